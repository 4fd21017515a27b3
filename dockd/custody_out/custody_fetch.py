"""Brings a custody bundle to a folder, with or without its footage, checks it, and only then gives it its name.

Until all of it is there and proved it lies in `<folder>.partial`, which says that it is unfinished; the same
command again goes on with the footage that is there already. Knows the form of a bundle; where it comes from is a
`CustodyArchive`, whose word is not believed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from dockd import __version__
from dockd.clock import Clock
from dockd.custody_out import bundle, custody_bundle
from dockd.custody_out.content import measure_file
from dockd.custody_out.custody_proof import CustodyProof, prove_custody
from dockd.custody_out.evidence import read_chain
from dockd.custody_out.lines import ManifestLine, SessionHeading
from dockd.custody_out.manifest import place_in_folder, session_manifests
from dockd.custody_out.pinned import PinnedKeys
from dockd.errors import BadRequest, CentreUnavailable, ProofFailed
from dockd.model.ids import Digest, RecordingId, SessionId, parse_digest
from dockd.wire.custody import CustodyRecording, ListedFootage

_TRIES = 5
_RETRY_SECONDS = 2.0
_UNFINISHED = "UNFINISHED.txt"
_UNFINISHED_WORDS = """\
This is an unfinished custody export and proves nothing. Run the same `dockd custody export` again: it
goes on with the footage that is here. Or remove this folder.
"""


class CustodyArchive(Protocol):
    """Where bundles and footage come from. Raises CentreUnavailable, CentreRefused."""

    def custody_bundle(self, query: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The signed bundle as a tar archive."""

    def content(self, digest: Digest, offset_bytes: int = 0) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes of one recording."""


class CustodyFetch:
    """One export to `root`, which must not exist or be empty."""

    def __init__(
        self,
        archive: CustodyArchive,
        root: Path,
        clock: Clock,
        *,
        pinned: PinnedKeys | None = None,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._archive = archive
        self._root = root
        self._clock = clock
        self._pinned = pinned or PinnedKeys()
        self._told = told
        self._partial = root.with_name(f"{root.name}.partial")
        self._made = self._partial / "bundle"
        self._contents = self._partial / "footage"

    async def fetch(self, query: Mapping[str, str], *, has_footage: bool) -> CustodyProof:
        """Fetch, check, and move to its place; returns what was proved.

        Raises BadRequest for a folder that cannot be used, ProofFailed when what came is not genuine and whole (it
        stays in `<folder>.partial`), CentreUnavailable, CentreRefused.
        """
        await asyncio.to_thread(self._begin)
        await self._fetch_bundle({**query, "footage": "yes"} if has_footage else query)
        if has_footage:
            for one in await asyncio.to_thread(lambda: list(wanted_footage(self._made))):
                await self._fetch_footage(one)
            await asyncio.to_thread(write_footage_manifests, self._made, self._clock)
        self._told("checking everything")
        proof = await asyncio.to_thread(prove_custody, self._made, self._pinned)
        faults = [fault for one in proof.of_bundle for fault in one.faults]
        if faults:
            raise ProofFailed(f"What came is not a whole and genuine bundle: {'; '.join(faults[:5])}.")
        await asyncio.to_thread(self._finish)
        return proof

    def _begin(self) -> None:
        try:
            if self._root.exists() and (not self._root.is_dir() or any(self._root.iterdir())):
                raise BadRequest(f"{self._root} is not empty; an export never writes over or beside other files.")
            if self._partial.exists() and not (self._partial / _UNFINISHED).is_file():
                raise BadRequest(f"{self._partial} is in the way and is no unfinished export.")
            self._partial.mkdir(parents=True, exist_ok=True)
            (self._partial / _UNFINISHED).write_text(_UNFINISHED_WORDS, encoding="utf-8")
            if self._made.exists():
                shutil.rmtree(self._made)
            self._made.mkdir()
            self._contents.mkdir(exist_ok=True)
        except OSError as error:
            raise BadRequest(f"{self._root} cannot be used for an export: {error.strerror}.") from error

    async def _fetch_bundle(self, query: Mapping[str, str]) -> None:
        archive = self._partial / "bundle.tar"
        self._told("fetching the account")
        for left in reversed(range(_TRIES)):
            try:
                with archive.open("wb") as file:
                    async with self._archive.custody_bundle(query) as pieces:
                        async for piece in pieces:
                            await asyncio.to_thread(file.write, piece)
                break
            except CentreUnavailable:
                if not left:
                    raise
                await self._clock.sleep(_RETRY_SECONDS * (_TRIES - left))
        await asyncio.to_thread(unpack, archive, self._made)
        archive.unlink()

    async def _fetch_footage(self, one: ListedFootage) -> None:
        """Bring one file; what is there of it already is kept. Raises ProofFailed for other bytes than receipted."""
        digest = parse_digest(one.digest)
        kept = self._contents / digest
        place = self._made / custody_bundle.footage_path(one)
        if not kept.exists():
            self._told(f"{one.name} ({one.size_bytes} bytes)")
            await self._download(digest, one.size_bytes, kept)
        await asyncio.to_thread(_put, kept, place)

    async def _download(self, digest: Digest, size_bytes: int, kept: Path) -> None:
        draft, failures = kept.with_suffix(".part"), 0
        while True:
            have = draft.stat().st_size if draft.exists() else 0
            try:
                if have < size_bytes or not size_bytes:
                    with draft.open("ab") as file:
                        async with self._archive.content(digest, have) as pieces:
                            async for piece in pieces:
                                await asyncio.to_thread(file.write, piece)
                        await asyncio.to_thread(bundle.settle, file)
            except CentreUnavailable:
                failures += 1
                if failures == _TRIES:
                    raise
                await self._clock.sleep(_RETRY_SECONDS * failures)
                continue
            content = await asyncio.to_thread(measure_file, draft)
            if content.digest == digest:
                draft.rename(kept)
                return
            draft.unlink()
            failures += 1
            if failures == _TRIES or not have:
                raise ProofFailed(f"The store gave {content.size_bytes} bytes with another SHA-256 than {digest}.")

    def _finish(self) -> None:
        if self._root.exists():
            self._root.rmdir()
        self._made.rename(self._root)
        descriptor = os.open(self._root.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        shutil.rmtree(self._partial)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a bundle: plain files under safe names, none twice. Blocking. Raises ProofFailed."""
    try:
        with tarfile.open(archive, "r:") as opened:
            for entry in opened:
                source = opened.extractfile(entry) if entry.isreg() else None
                if source is None or not custody_bundle.is_safe_name(entry.name):
                    raise ProofFailed(f"The archive holds {entry.name[:100]!r}, which has no place in a bundle.")
                path = folder / entry.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    shutil.copyfileobj(source, file)
                    bundle.settle(file)
    except FileExistsError as error:
        raise ProofFailed(f"The archive holds {error.filename} twice.") from error
    except tarfile.TarError as error:
        raise ProofFailed(f"The archive is damaged: {error}.") from error


def wanted_footage(root: Path) -> Iterator[ListedFootage]:
    """The footage that the rows of an unpacked bundle name. Blocking. Raises ProofFailed."""
    for path in sorted((root / custody_bundle.KINDS[CustodyRecording]).glob("*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                try:
                    row = CustodyRecording.model_validate_json(line)
                except ValueError as error:
                    raise ProofFailed(f"A row of {path.name} is damaged.") from error
                footage = custody_bundle.footage_of(row)
                if footage is not None:
                    yield footage


def write_footage_manifests(root: Path, clock: Clock) -> None:
    """Write `manifest-sha256.txt` and an ASC MHL into every folder of footage, from its bytes. Blocking."""
    folders: dict[tuple[str, str], list[ListedFootage]] = {}
    for one in wanted_footage(root):
        folders.setdefault((one.dock, one.session), []).append(one)
    for dock in sorted({dock for dock, _ in folders}):
        replay = read_chain(root, dock).replay
        for (of_dock, session), files in sorted(folders.items()):
            if of_dock != dock:
                continue
            lines = [
                ManifestLine.of(
                    replay.entries[RecordingId(one.recording)], measure_file(root / custody_bundle.footage_path(one)).c4
                )
                for one in files
            ]
            record = replay.sessions.get(SessionId(session))
            heading = SessionHeading(
                dock, SessionId(session), record.bay if record else "unknown", clock.now(), __version__
            )
            for name, content in session_manifests(heading, lines).by_name():
                path = root / bundle.footage_folder(dock, session) / place_in_folder(name)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)


def _put(kept: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(kept, place)
    except OSError:  # a file system without hard links
        shutil.copyfile(kept, place)
