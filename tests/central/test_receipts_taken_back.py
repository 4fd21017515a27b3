"""Receipts that a centre has lost come back with the docks' facts, if they are its own."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from sqlalchemy import delete

from dockd.central.app import ServedCentre
from dockd.central.config import CentreConfig
from dockd.central.database import Database, sqlite_url
from dockd.central.opening import DATABASE_FILE
from dockd.central.tables import receipts, sources
from dockd.model import facts as f
from dockd.model.recording import ContainerVerdict, Receipt, StagedRecording
from tests.support.dock_voice import Chain, DockVoice, sha256


def custody(content: bytes, receipt: Receipt) -> list[f.Fact]:
    """What a dock tells of a recording, as far as it matters here."""
    recording = sha256(content)[:32]
    staged = StagedRecording(
        recording=recording,
        session="session-1",
        digest=sha256(content),
        size_bytes=len(content),
        container=ContainerVerdict.COMPLETE,
        is_read_whole=True,
    )
    listed = f.RecordingListed(
        recording=recording,
        session="session-1",
        camera="simulated:CAM-1",
        path="A.MP4",
        size_bytes=len(content),
        modified_ns=1,
        generation=0,
        recorded_at=None,
        officer="PC1234",
    )
    return [listed, f.RecordingStaged(staged=staged), f.RecordingAccepted(recording=recording, receipt=receipt)]


async def forget(config: CentreConfig) -> None:
    """Lose every receipt and claim, as a backup from before would."""
    url = config.database_url or sqlite_url(Path(config.folder) / DATABASE_FILE)
    database = Database(url)
    await database.open()
    async with database.writing() as connection:
        await connection.execute(delete(receipts))
        await connection.execute(delete(sources))
    await database.close()


async def test_receipt_that_the_centre_lost_comes_back_with_the_facts_and_where_it_came_from(
    centre: ServedCentre, config: CentreConfig, dock: DockVoice
) -> None:
    content = os.urandom(3000)
    receipt = await dock.send(content)
    await forget(config)
    assert (await dock.ask("GET", f"/api/v1/recordings/{sha256(content)}")).status == 404
    chain = Chain()
    chain.start()
    chain.add(*custody(content, Receipt.model_validate_json(json.dumps(receipt))))
    assert (await dock.put_facts(chain.facts)).status == 200
    told = (await dock.ask("GET", f"/api/v1/recordings/{sha256(content)}")).json
    assert told["receipt"] == receipt
    assert [(one["dock"], one["camera"], one["officer"]) for one in told["sources"]] == [
        ("dock-7", "simulated:CAM-1", "PC1234")
    ]
    assert (await dock.claim(content)).json["receipt"] == receipt


async def test_receipt_that_is_not_ours_is_not_taken_and_the_facts_are(
    centre: ServedCentre, config: CentreConfig, dock: DockVoice
) -> None:
    content = os.urandom(3000)
    receipt = Receipt.model_validate_json(json.dumps(await dock.send(content)))
    await forget(config)
    forged = receipt.model_copy(update={"signature": base64.b64encode(os.urandom(64)).decode()})
    chain = Chain()
    chain.start()
    chain.add(*custody(content, forged))
    assert (await dock.put_facts(chain.facts)).status == 200
    assert (await dock.claim(content)).json["receipt"] is None


async def test_receipt_that_is_held_is_never_replaced(centre: ServedCentre, dock: DockVoice) -> None:
    content = os.urandom(3000)
    receipt = Receipt.model_validate_json(json.dumps(await dock.send(content)))
    other = centre.services.identity.sign(receipt.model_copy(update={"object_key": "objects/elsewhere"}))
    chain = Chain()
    chain.start()
    chain.add(*custody(content, other))
    assert (await dock.put_facts(chain.facts)).status == 200
    assert (await dock.claim(content)).json["receipt"] == json.loads(receipt.model_dump_json())
