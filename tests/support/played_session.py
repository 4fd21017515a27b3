"""One whole session of a dock at a real centre: docked, copied, sent, erased, reconciled, undocked, signed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from dockd.dock.keys import ChainSigner, load_or_create_key
from dockd.dock.manifests import ManifestService
from dockd.dock.reporter import Reporter
from dockd.dock.sections import ReporterConfig
from dockd.model import facts
from dockd.model.camera import CameraIdentity
from dockd.rules.custody import Custody
from dockd.wire.status import DockStatus
from tests.support.upload_site import DOCK, UploadSite


async def _never() -> DockStatus:
    """A status that is not asked for."""
    await asyncio.Event().wait()
    raise AssertionError


async def play_session(site: UploadSite, folder: Path) -> None:
    """Dock, copy, send, erase, reconcile, undock, sign; all of it reported."""
    key = load_or_create_key(folder)
    signer = ChainSigner(site.journal, key, site.clock)
    identity = CameraIdentity(camera=site.camera, maker="Example", model="One")
    await site.journal.append(
        facts.DockStarted(version="0.1.0", public_key=key.public_key),
        facts.CameraDocked(session=site.session, bay="bay-1", port="folder:bay-1"),
        facts.CameraIdentified(session=site.session, bay="bay-1", driver="simulated", identity=identity),
    )
    contents = [os.urandom(200_000), b"", b"zeros" + bytes(70_000)]
    names = [b"VID 0001.MP4", b"empty.MP4", b"../../\xff\n'.mp4"]
    staged = [await site.stage(content, name) for content, name in zip(contents, names, strict=True)]
    reporter = Reporter(
        site.journal, site.client, clock=site.clock, config=ReporterConfig(gather_seconds=0.0), status=_never
    )
    manifests = ManifestService(
        site.journal, site.staging, site.client, dock=DOCK, clock=site.clock, state_folder=folder
    )
    services = [asyncio.create_task(one) for one in (site.uploader().run(), reporter.run(), manifests.run())]
    try:
        for recording in staged:
            await site.reaches(recording, Custody.ACCEPTED)
        await signer.sign("before wipe")
        tally = facts.Tally(count=len(staged), size_bytes=sum(map(len, contents)))
        for recording in staged:
            await site.journal.append(
                facts.WipeIntended(session=site.session, recording=recording),
                facts.RecordingErased(recording=recording, session=site.session),
            )
        await site.journal.append(
            facts.SessionReconciled(
                session=site.session,
                camera=site.camera,
                listed=tally,
                staged=tally,
                stored=tally,
                erased=tally,
                retained=facts.Tally(count=0, size_bytes=0),
                differences=(),
            )
        )
        async with asyncio.timeout(20):
            while sum(one.fact.kind == "ManifestStored" for one in await site.journal.facts_after(0, 1000)) < 3:
                await asyncio.sleep(0.01)
            await site.journal.append(facts.CameraUndocked(session=site.session, bay="bay-1", camera=site.camera))
            await signer.sign("session end")
            while reporter.facts_at_centre < site.journal.head[0]:
                await asyncio.sleep(0.01)
    finally:
        for service in services:
            service.cancel()
        await asyncio.gather(*services, return_exceptions=True)
