"""Takes footage and its custody out of the store into a folder that anyone can check.

Knows the form of an export (`bundle.py`) and what belongs together; where it comes from is an `Archive`.
Footage is believed only when its SHA-256 is the one that the dock's facts name. Nothing is left out in
silence: what was asked for and cannot be given is named with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dockd import __version__
from dockd.clock import Clock
from dockd.custody_out import bundle
from dockd.custody_out.chain_copy import ChainCopy
from dockd.custody_out.content import ContentMeter
from dockd.custody_out.lines import ManifestLine, SessionHeading, digest_of
from dockd.custody_out.manifest import (
    SHA256_MANIFEST_NAME,
    place_in_folder,
    read_sha256_list,
    session_manifests,
    sha256_list,
)
from dockd.custody_out.naming import footage_name
from dockd.custody_out.readme import README
from dockd.custody_out.replay import ChainReplay, SessionRecord, is_in_store
from dockd.errors import BadRequest, CentreRefused, CentreUnavailable, NotFound
from dockd.model.canonical import canonical_json, digest_of_bytes
from dockd.model.facts import RecordedFact
from dockd.model.ids import Digest, RecordingId, SessionId
from dockd.model.recording import Receipt
from dockd.rules.custody import LedgerEntry
from dockd.rules.receipts import receipt_bytes
from dockd.wire.messages import DockList, RecordingDetail, RecordingList, StoreDescription

_DOWNLOAD_TRIES = 4
_RETRY_SECONDS = 2.0


class Archive(Protocol):
    """Where footage and facts come from. Raises CentreUnavailable, CentreRefused."""

    async def describe(self) -> StoreDescription:
        """Who the store says it is."""

    async def docks(self) -> DockList:
        """All docks."""

    async def recordings(self, filters: dict[str, str], after: str | None) -> RecordingList:
        """A page of recordings; filters by `camera`, `session`, `dock`."""

    async def recording(self, digest: Digest) -> RecordingDetail:
        """All that is known of one digest."""

    def content(self, digest: Digest) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes."""

    async def facts(self, dock: str, after: int, limit: int) -> tuple[RecordedFact, ...]:
        """A dock's facts in order."""

    async def manifest(self, dock: str, session: str, name: str) -> bytes:
        """A stored manifest."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for: exactly one of session, camera and digest; `dock` narrows a session."""

    session: SessionId | None = None
    dock: str | None = None
    camera: str | None = None
    digest: Digest | None = None

    @property
    def words(self) -> str:
        """For the index."""
        if self.session is not None:
            return f"session {self.session}"
        return f"camera {self.camera}" if self.camera is not None else f"digest {self.digest}"


@dataclass(slots=True)
class _Found:
    """The recordings wanted of one dock."""

    dock: str
    replay: ChainReplay
    wanted: dict[SessionId, list[LedgerEntry]]
    whole: set[SessionId] = field(default_factory=set)


class Exporter:
    """Makes one export. `store_key` (base64) pins the key of the receipts; None takes the archive's word."""

    def __init__(
        self,
        archive: Archive,
        root: Path,
        clock: Clock,
        *,
        store_key: str | None = None,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._archive = archive
        self._root = root
        self._clock = clock
        self._store_key = store_key
        self._told = told
        self._recordings: list[bundle.ExportedRecording] = []
        self._missing: list[bundle.MissingRecording] = []
        self._notes: list[str] = []

    async def export(self, selection: Selection) -> bundle.ExportIndex:
        """Write the export and return its index.

        Raises NotFound when the selection is empty, BadRequest for a folder that cannot be used or a store
        with another key than the pinned one, CentreUnavailable, CentreRefused.
        """
        store = await self._archive.describe()
        if self._store_key is not None and store.public_key != self._store_key:
            raise BadRequest("The centre's receipts are signed with another key than the one given.")
        by_dock = await self._wanted_by_dock(selection)
        folder = bundle.ExportFolder.create(self._root)
        exported_at = self._clock.now()
        found = [await self._read_chain(folder, dock, selection, wanted) for dock, wanted in sorted(by_dock.items())]
        found = [one for one in found if one.wanted]
        if not found:
            raise NotFound(f"The central store has no recordings of {selection.words}.")
        for one in found:
            for session, entries in one.wanted.items():
                await self._export_session(folder, one, session, entries, exported_at)
        folder.write(bundle.store_key_path(store.store), bundle.public_pem(store.public_key))
        folder.write(bundle.README_NAME, README.encode("utf-8"))
        index = bundle.ExportIndex(
            asked_for=selection.words,
            exported_at=exported_at,
            tool=f"dockd {__version__}",
            store=store.store,
            key=store.key,
            docks=tuple(one.dock for one in found),
            whole_sessions=tuple(bundle.session_name(one.dock, name) for one in found for name in sorted(one.whole)),
            recordings=tuple(self._recordings),
            missing=tuple(self._missing),
            notes=tuple(self._notes),
        )
        folder.write(bundle.EXPORT_NAME, canonical_json(index.to_json()) + b"\n")
        folder.write(SHA256_MANIFEST_NAME, sha256_list(sorted(folder.digests.items())))
        return index

    async def _wanted_by_dock(self, selection: Selection) -> dict[str, set[RecordingId]]:
        """Docks to read, with the recordings wanted of each (none: the chain will tell, for a session)."""
        if selection.digest is not None:
            try:
                sources = (await self._archive.recording(selection.digest)).sources
            except CentreRefused as refused:
                if refused.status == 404:
                    raise NotFound(f"The central store has no recording with digest {selection.digest}.") from refused
                raise
            pairs = [(one.dock, one.recording) for one in sources]
        elif selection.camera is not None:
            pairs = await self._listed({"camera": selection.camera})
        elif selection.dock is not None:
            return {selection.dock: set()}
        else:
            pairs = await self._listed({"session": selection.session or ""})
            docks = {dock for dock, _ in pairs} or {one.dock for one in (await self._archive.docks()).docks}
            return {dock: set() for dock in docks}
        by_dock: dict[str, set[RecordingId]] = {}
        for dock, recording in pairs:
            by_dock.setdefault(dock, set()).add(RecordingId(recording))
        return by_dock

    async def _listed(self, filters: dict[str, str]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        after: str | None = None
        while True:
            page = await self._archive.recordings(filters, after)
            found += [(one.dock, one.recording) for one in page.recordings]
            if page.next_after is None or page.next_after == after:
                return found
            after = page.next_after

    async def _read_chain(
        self, folder: bundle.ExportFolder, dock: str, selection: Selection, wanted: set[RecordingId]
    ) -> _Found:
        """Copy a dock's chain, as far as it concerns what is wanted, and put the wanted in their sessions."""
        self._told(f"reading the facts of dock {dock}")
        copy = ChainCopy(folder, dock)
        try:
            await copy.read_all(self._archive.facts)
            found = _Found(dock, copy.replay, {})
            for session, entry in _choose(copy.replay, selection, wanted):
                found.wanted.setdefault(session, []).append(entry)
            if found.wanted:
                relevant = [entry.recording for entries in found.wanted.values() for entry in entries]
                copy.finish(copy.last_relevant(found.wanted, relevant))
            return found
        finally:
            copy.close()

    async def _export_session(
        self,
        folder: bundle.ExportFolder,
        found: _Found,
        session: SessionId,
        entries: list[LedgerEntry],
        exported_at: datetime,
    ) -> None:
        lines = []
        for entry in entries:
            line = await self._export_recording(folder, found.dock, session, entry)
            if line is not None:
                lines.append(line)
        if not lines:
            return
        record = found.replay.sessions.get(session)
        is_whole = record is not None and {line.entry.recording for line in lines} == set(record.recordings)
        manifests = await self._stored_manifests(found.dock, record, lines) if record and is_whole else None
        if manifests is None:
            bay = record.bay if record else "unknown"
            heading = SessionHeading(found.dock, session, bay, exported_at, __version__)
            manifests = session_manifests(heading, lines).by_name()
        elif record is not None:
            found.whole.add(session)
        for name, content in manifests:
            folder.write(f"{bundle.footage_folder(found.dock, session)}/{place_in_folder(name)}", content)

    async def _export_recording(
        self, folder: bundle.ExportFolder, dock: str, session: SessionId, entry: LedgerEntry
    ) -> ManifestLine | None:
        """Bring one recording out; None, with the reason noted, when that cannot be."""
        if not is_in_store(entry) or entry.receipt is None:
            self._lacks(dock, session, entry, f"It is not in the central store: {entry.state.name}.")
            return None
        name = footage_name(entry.recording, entry.path, entry.recorded_at)
        relative = f"{bundle.footage_folder(dock, session)}/{name}"
        self._told(f"{name} ({entry.size_bytes} bytes)")
        try:
            c4 = await self._download(folder, relative, digest_of(entry), entry.size_bytes)
        except (CentreRefused, _OtherBytes) as error:
            self._lacks(dock, session, entry, f"The central store did not give it: {error}")
            return None
        self._write_receipt(folder, dock, entry.recording, entry.receipt)
        self._recordings.append(
            bundle.ExportedRecording(
                dock=dock,
                session=session,
                recording=entry.recording,
                name=name,
                digest=digest_of(entry),
                size_bytes=entry.size_bytes,
            )
        )
        return ManifestLine.of(entry, c4)

    async def _download(self, folder: bundle.ExportFolder, relative: str, digest: Digest, size_bytes: int) -> str:
        """Write the bytes of `digest` and return their C4. Raises CentreUnavailable, CentreRefused, _OtherBytes."""
        draft, tries = folder.path(relative + ".part"), 0
        while True:
            meter = ContentMeter()
            try:
                with draft.open("wb") as file:
                    async with self._archive.content(digest) as pieces:
                        async for piece in pieces:
                            await asyncio.to_thread(_take, piece, meter, file.write)
                            if meter.size_bytes > size_bytes:
                                break
                    await asyncio.to_thread(bundle.settle, file)
                break
            except CentreUnavailable:
                tries += 1
                if tries >= _DOWNLOAD_TRIES:
                    raise
                await self._clock.sleep(_RETRY_SECONDS * tries)
        content = meter.result()
        if content.digest != digest:
            draft.unlink()
            raise _OtherBytes(f"it gave {content.size_bytes} bytes with SHA-256 {content.digest}.")
        draft.rename(folder.path(relative))
        folder.digests[relative] = digest
        return content.c4

    def _write_receipt(self, folder: bundle.ExportFolder, dock: str, recording: RecordingId, receipt: Receipt) -> None:
        signed = receipt_bytes(receipt)
        folder.write(bundle.receipt_path(dock, recording, "json"), canonical_json(receipt.to_json()) + b"\n")
        folder.write(bundle.receipt_path(dock, recording, "signed"), signed)
        folder.write(bundle.receipt_path(dock, recording, "signature"), bundle.signature_bytes(receipt.signature))

    async def _stored_manifests(
        self, dock: str, record: SessionRecord, lines: Iterable[ManifestLine]
    ) -> tuple[tuple[str, bytes], ...] | None:
        """The session's manifests as the dock stored them; None when they do not describe exactly these files."""
        manifests: list[tuple[str, bytes]] = []
        for name, fact in sorted(record.manifests.items()):
            try:
                content = await self._archive.manifest(dock, record.session, name)
            except CentreRefused:
                content = b""
            if digest_of_bytes(content) != fact.digest:
                self._notes.append(
                    f"The store's copy of {name} of session {record.session} is not the one that the dock stored; "
                    "it was made afresh from the facts."
                )
                return None
            manifests.append((name, content))
        listed = dict(manifests).get(SHA256_MANIFEST_NAME)
        if listed is None or read_sha256_list(listed) != {line.name: line.entry.digest for line in lines}:
            return None
        return tuple(manifests)

    def _lacks(self, dock: str, session: SessionId, entry: LedgerEntry, reason: str) -> None:
        self._told(f"MISSING {entry.path.text}: {reason}")
        self._missing.append(
            bundle.MissingRecording(dock=dock, session=session, recording=entry.recording, reason=reason[:4000])
        )


class _OtherBytes(Exception):
    """The store gave other bytes than those of the digest."""


def _take(piece: bytes, meter: ContentMeter, write: Callable[[bytes], int]) -> None:
    meter.add(piece)
    write(piece)


def _choose(replay: ChainReplay, selection: Selection, wanted: set[RecordingId]) -> list[tuple[SessionId, LedgerEntry]]:
    """Which recordings of a dock are wanted, each with the session whose folder it goes to."""
    if selection.session is not None:
        record = replay.sessions.get(selection.session)
        recordings = list(record.recordings) if record else []
        return [(selection.session, replay.entries[name]) for name in recordings if name in replay.entries]
    entries = [replay.entries[name] for name in sorted(wanted) if name in replay.entries]
    return [(entry.first_session, entry) for entry in entries]
