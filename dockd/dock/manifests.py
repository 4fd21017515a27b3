"""Lays a session's manifests beside its footage in the store, once the session's footage is settled.

Caused by `SessionReconciled`, or by the end of a session that never got so far; made from the chain and
the ledger, so that the same session gives the same bytes after a crash. Ends in one `ManifestStored`
fact for each file. The centre may be away: it is tried again, and nothing waits for it.

C4 needs the SHA-512 of the content, which the offload does not compute: it is read here, once, in a
thread, from the staged copy; from the store's own copy when the staged one was evicted before. Either is
believed only if its SHA-256 is the recording's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Protocol

import structlog

from dockd import __version__
from dockd.clock import Clock
from dockd.custody_out.content import Content, ContentMeter, measure_file
from dockd.custody_out.lines import ManifestLine, SessionHeading, digest_of
from dockd.custody_out.manifest import MANIFESTS_PER_SESSION, SessionManifests, session_manifests
from dockd.custody_out.replay import SessionRecord, note_in_session
from dockd.dock.uploader import Changes
from dockd.errors import CentreRefused, CentreUnavailable
from dockd.model.facts import (
    CameraUndocked,
    Fact,
    ManifestStored,
    RecordedFact,
    RecordingVerified,
    SessionReconciled,
)
from dockd.model.ids import Digest, DockId, RecordingId, SessionId
from dockd.model.value import Value
from dockd.rules.custody import LedgerEntry
from dockd.wire.messages import StoredManifest

_log = structlog.get_logger(__name__)

_FACTS_AT_ONCE = 500
_FIRST_RETRY_SECONDS = 5.0
_LONGEST_RETRY_SECONDS = 300.0
_REMEMBERED = 20_000
_CURSOR_NAME = "manifests.json"
_CURSOR_STEP = 500


class ManifestJournal(Protocol):
    """What is needed of the journal."""

    @property
    def head(self) -> tuple[int, Digest]:
        """Number and hash of the last fact."""

    async def append(self, *facts: Fact) -> tuple[RecordedFact, ...]:
        """Make facts durable."""

    async def facts_after(self, number: int, limit: int) -> tuple[RecordedFact, ...]:
        """Facts numbered above `number`, in order."""

    async def entry(self, recording: RecordingId) -> LedgerEntry | None:
        """One recording's ledger entry."""

    def changes(self, *kinds: type[Value]) -> AbstractContextManager[Changes]:
        """Watch for appended facts of these kinds."""


class ManifestCopies(Protocol):
    """What is needed of the staging disk."""

    def final_path(self, recording: RecordingId) -> Path:
        """Where a verified copy lies."""


class ManifestCentre(Protocol):
    """What is needed of the centre."""

    async def put_manifest(self, session: str, name: str, content: bytes) -> StoredManifest:
        """Store a manifest beside the footage."""

    def content(self, digest: Digest) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The store's own copy."""


class ManifestService:
    """Runs in the root task group; `run` never returns.

    `state_folder` keeps how far the chain was worked through; without it (or without the file) the chain
    is read from its beginning, which costs time and changes nothing. `sign_chain` writes a signed
    checkpoint once a session's manifests are noted.
    """

    def __init__(
        self,
        journal: ManifestJournal,
        staging: ManifestCopies,
        client: ManifestCentre,
        *,
        dock: DockId,
        clock: Clock,
        state_folder: Path | None = None,
        sign_chain: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._sign_chain = sign_chain
        self._journal = journal
        self._staging = staging
        self._client = client
        self._dock = dock
        self._clock = clock
        self._cursor_path = None if state_folder is None else state_folder / _CURSOR_NAME
        self._sessions: dict[SessionId, SessionRecord] = {}
        self._given_up: set[SessionId] = set()
        self._scanned = 0
        self._saved_cursor = 0
        self._c4: dict[Digest, str] = {}

    async def run(self) -> None:
        """Make and store manifests for ever. Ends only by cancellation, or with an error that must end the program."""
        self._scanned = self._saved_cursor = self._read_cursor()
        failures = 0
        with self._journal.changes(SessionReconciled, CameraUndocked) as changes:  # only these settle a session
            while True:
                await self._scan()
                try:
                    await self._store_settled()
                except CentreUnavailable as error:
                    failures += 1
                    wait_seconds = min(_FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 10), _LONGEST_RETRY_SECONDS)
                    await self._clock.sleep(max(wait_seconds, error.retry_after_seconds or 0.0))
                    continue
                failures = 0
                self._save_cursor()
                await changes.wait()

    async def _scan(self) -> None:
        while batch := await self._journal.facts_after(self._scanned, _FACTS_AT_ONCE):
            for recorded in batch:
                self._note_verified(recorded)
                record = note_in_session(self._sessions, recorded)
                if record is not None and record.is_over and self._is_done(record):
                    del self._sessions[record.session]
            self._scanned = batch[-1].number

    def _note_verified(self, recorded: RecordedFact) -> None:
        """Keep what was verified only after a session was settled out of its manifest: made twice, made equal."""
        if not isinstance(recorded.fact, RecordingVerified):
            return
        recording = RecordingId(recorded.fact.verified.staged.recording)
        for record in self._sessions.values():
            if recording not in record.recordings or recording in record.verified:
                continue
            (record.verified if record.settled_at is None else record.verified_late).add(recording)

    def _is_done(self, record: SessionRecord) -> bool:
        has_all = len(record.manifests) >= MANIFESTS_PER_SESSION
        return has_all or not record.recordings or record.session in self._given_up

    async def _store_settled(self) -> None:
        """Store what is due; one session's refusal does not hold up the others. Raises CentreUnavailable."""
        for record in list(self._sessions.values()):
            if record.settled_at is None or self._is_done(record):
                continue
            manifests = await self._made(record)
            if manifests is None:
                self._given_up.add(record.session)
            else:
                await self._store(record, manifests)
            if record.is_over:
                self._sessions.pop(record.session, None)

    async def _store(self, record: SessionRecord, manifests: SessionManifests) -> None:
        for name, content in manifests.by_name():
            if name in record.manifests:
                continue
            try:
                stored = await self._client.put_manifest(record.session, name, content)
            except CentreRefused as refused:
                _log.error("manifest_refused", session=record.session, name=name, why=refused.what)
                self._given_up.add(record.session)
                return
            fact = ManifestStored(
                session=record.session, name=stored.name, digest=stored.digest, size_bytes=stored.size_bytes
            )
            await self._journal.append(fact)
            record.manifests[name] = fact
        if self._sign_chain is not None:
            # A session's last facts: without a checkpoint over them an export of it would wait for the hour.
            await self._sign_chain("manifests stored")

    async def _made(self, record: SessionRecord) -> SessionManifests | None:
        """The manifests of a settled session; None when nothing in it was ever verified."""
        lines: list[ManifestLine] = []
        not_copied: list[LedgerEntry] = []
        for recording in record.recordings:
            entry = await self._journal.entry(recording)
            if entry is None:
                continue
            if entry.verified is None or recording in record.verified_late:
                not_copied.append(entry)
                continue
            lines.append(ManifestLine.of(entry, await self._c4_of(entry)))
        if not lines or record.settled_at is None:
            return None
        heading = SessionHeading(self._dock, record.session, record.bay, record.settled_at, __version__)
        return session_manifests(heading, lines, not_copied)

    async def _c4_of(self, entry: LedgerEntry) -> str:
        """The C4 of a recording's content. Raises CentreUnavailable when no sound copy can be read now."""
        digest = digest_of(entry)
        if digest not in self._c4:
            content = await asyncio.to_thread(_measured, self._staging.final_path(entry.recording), digest)
            if content is None:
                content = await self._from_store(digest, entry.size_bytes)
            while len(self._c4) >= _REMEMBERED:
                del self._c4[next(iter(self._c4))]
            self._c4[digest] = content.c4
        return self._c4[digest]

    async def _from_store(self, digest: Digest, size_bytes: int) -> Content:
        meter = ContentMeter()
        try:
            async with self._client.content(digest) as pieces:
                async for piece in pieces:
                    await asyncio.to_thread(meter.add, piece)
                    if meter.size_bytes > size_bytes:
                        break
        except CentreRefused as refused:
            raise CentreUnavailable(f"Neither the dock nor the store can read {digest}: {refused.what}") from refused
        content = meter.result()
        if content.digest != digest:
            raise CentreUnavailable(f"The store gave other bytes than those of {digest}.")
        return content

    def _read_cursor(self) -> int:
        """Before which fact everything is done; 0 when that is not known."""
        if self._cursor_path is None:
            return 0
        try:
            number = json.loads(self._cursor_path.read_bytes())["done_before"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        is_number = isinstance(number, int) and not isinstance(number, bool)
        return number if is_number and 0 <= number <= self._journal.head[0] else 0

    def _save_cursor(self) -> None:
        """Note how far everything is done; losing the note only costs a longer start."""
        open_numbers: Collection[int] = [record.first_number - 1 for record in self._sessions.values()]
        done = min(open_numbers, default=self._scanned)
        if self._cursor_path is None or done < self._saved_cursor + _CURSOR_STEP:
            return
        draft = self._cursor_path.with_name(self._cursor_path.name + ".new")
        try:
            draft.write_text(json.dumps({"done_before": done}), encoding="ascii")
            draft.replace(self._cursor_path)
        except OSError as error:
            _log.warning("manifest_cursor_not_saved", why=str(error))
        self._saved_cursor = done


def _measured(path: Path, digest: Digest) -> Content | None:
    """What the staged copy holds; None when it is not there or not what was verified."""
    try:
        content = measure_file(path, keep_cached=False)
    except OSError:
        return None
    return content if content.digest == digest else None
