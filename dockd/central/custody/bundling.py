"""Makes the signed bundle, file after file, from what the centre holds; never more than a few files' worth in memory.

Every dock counts as of its last signed checkpoint, so that facts which arrive meanwhile change nothing, and the same
question over the same facts gives the same bytes. Knows the form of a bundle (`custody_out.custody_bundle`) and
the reader; must not know HTTP. Errors: NotFound, Refusal (503) of the database and the store.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import LargeBinary, cast, func, select

from dockd.central.custody.reading import CustodyReader, Standing, Through
from dockd.central.custody.search import Cursor
from dockd.central.database import Database
from dockd.central.identity import Identity
from dockd.central.manifests import Manifests
from dockd.central.tables import facts
from dockd.custody_out import bundle, custody_bundle, tar_stream
from dockd.custody_out.accounts import recording_differences, session_differences
from dockd.custody_out.custody_bundle import RowFiles
from dockd.custody_out.manifest import SHA256_MANIFEST_NAME, sha256_list
from dockd.errors import NotFound
from dockd.model import facts as told
from dockd.model.canonical import canonical_json, digest_of_bytes
from dockd.model.facts import RecordedFact
from dockd.model.value import Value
from dockd.wire.custody import (
    BundleCounts,
    BundleDock,
    BundleIndex,
    CustodyDifference,
    CustodyHolder,
    CustodyRecording,
    CustodySelection,
    CustodySession,
    UnsignedDock,
)

_FACTS_AT_ONCE = 500
_FACTS_MEASURED_AT_ONCE = 5_000
_LIST_IN_MEMORY_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
_MOST_NOTES = 1_000

Row = TypeVar("Row", bound=Value)
Lot = Callable[[str, Through, CustodySelection, Cursor | None], Awaitable[tuple[list[Row], Cursor | None]]]


@dataclass(frozen=True, slots=True)
class Sources:
    """What a bundle is made from."""

    database: Database
    reader: CustodyReader
    manifests: Manifests
    identity: Identity


@dataclass(slots=True)
class _Keys:
    """The keys that a dock announced, in order, each with the last checkpoint made with it."""

    checkpoints: dict[str, told.ChainSigned | None] = field(default_factory=dict)
    current: str = ""

    def note(self, kind: str, body: str) -> None:
        """Follow which key the dock signs with."""
        if kind not in ("DockStarted", "ChainSigned"):
            return
        fact = RecordedFact.model_validate_json(body).fact
        if isinstance(fact, told.DockStarted):
            self.checkpoints.setdefault(fact.public_key)
            self.current = fact.public_key
        elif isinstance(fact, told.ChainSigned) and self.current:
            self.checkpoints[self.current] = fact


class Bundling:
    """One bundle. `stream` it once; `index` and `digest` (of its list of files) are known afterwards."""

    def __init__(self, sources: Sources, wanted: CustodySelection, *, has_footage: bool) -> None:
        self._sources = sources
        self._wanted = wanted
        self._has_footage = has_footage
        self._through: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self._unsigned: list[UnsignedDock] = []
        self._with_rows: set[str] = set()
        self._rested_on: set[str] = set()
        self._notes: list[str] = []
        self._files = {kind: RowFiles(kind) for kind in custody_bundle.KINDS}
        self._list = tempfile.SpooledTemporaryFile(max_size=_LIST_IN_MEMORY_BYTES)  # noqa: SIM115 - closed in `stream`
        self.index: BundleIndex | None = None
        self.digest: str | None = None

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The bundle as a tar archive; its list of files and the signature over it come last."""
        with self._list:
            docks = await self._begin()
            async for piece in self._rows(docks):
                yield piece
            heads: dict[str, str] = {}
            for dock in sorted(self._with_rows | self._rested_on):
                async for piece in self._chain(dock, heads):
                    yield piece
            for piece in self._closing(await self._index(heads)):
                yield piece

    async def _begin(self) -> list[str]:
        """Fix how far each dock counts; return those that may have rows."""
        standings = await self._sources.reader.docks(CustodySelection())
        self._through = {one.dock: one.signed for one in standings}
        self._held = {one.dock: one.held for one in standings}
        named = await self._sources.reader.docks_of_person_or_camera(self._wanted)

        def is_asked(one: Standing) -> bool:
            return self._wanted.covers_dock(one.dock) and (named is None or one.dock in named)

        asked = [one for one in standings if is_asked(one)]
        self._unsigned = [UnsignedDock(dock=one.dock, held=one.held) for one in asked if not one.signed]
        return [one.dock for one in asked if one.signed]

    # --- rows --------------------------------------------------------------------------------------

    async def _rows(self, docks: list[str]) -> AsyncIterator[bytes]:
        reader = self._sources.reader
        for dock in docks:
            async for recording in self._each(reader.recordings_of, dock):
                for piece in self._recording(recording):
                    yield piece
            async for session in self._each(reader.sessions_of, dock):
                async for piece in self._session(session):
                    yield piece
            async for holder in self._each(reader.holders_of, dock):
                for piece in self._row(holder):
                    yield piece
        for files in self._files.values():
            for name, content in files.finish():
                for piece in self._entry(name, content):
                    yield piece

    async def _each(self, lot: Lot[Row], dock: str) -> AsyncIterator[Row]:
        after: Cursor | None = None
        while True:
            rows, after = await lot(dock, self._through, self._wanted, after)
            for row in rows:
                self._with_rows.add(dock)
                yield row
            if after is None:
                return

    def _recording(self, row: CustodyRecording) -> Iterator[bytes]:
        self._rested_on.update(row.stored_by, row.erased_by)
        yield from self._row(row)
        for difference in recording_differences(row):
            yield from self._row(difference)
        if row.receipt is not None:
            for name, content in custody_bundle.receipt_files(row.dock, row.recording, row.receipt):
                yield from self._entry(name, content)
        footage = custody_bundle.footage_of(row) if self._has_footage else None
        if footage is not None:
            self._note_file(custody_bundle.footage_path(footage), footage.digest)

    async def _session(self, row: CustodySession) -> AsyncIterator[bytes]:
        for piece in self._row(row):
            yield piece
        for difference in session_differences(row):
            for piece in self._row(difference):
                yield piece
        for one in row.manifests:
            content = await self._stored_manifest(row.dock, row.session, one.name)
            if content is not None and digest_of_bytes(content) == one.digest:
                for piece in self._entry(custody_bundle.manifest_path(row.dock, row.session, one.name), content):
                    yield piece
            elif len(self._notes) < _MOST_NOTES:
                self._notes.append(custody_bundle.lost_manifest(row.dock, row.session, one.name))

    async def _stored_manifest(self, dock: str, session: str, name: str) -> bytes | None:
        try:
            return await self._sources.manifests.read(dock, session, name)
        except NotFound:
            return None

    def _row(self, row: CustodyRecording | CustodySession | CustodyHolder | CustodyDifference) -> Iterator[bytes]:
        for name, content in self._files[type(row)].add(row):
            yield from self._entry(name, content)

    # --- chains ------------------------------------------------------------------------------------

    async def _chain(self, dock: str, heads: dict[str, str]) -> AsyncIterator[bytes]:
        """A dock's facts up to its last checkpoint, and its keys."""
        name = bundle.facts_path(dock)
        size_bytes = await self._chain_size_bytes(dock)
        yield tar_stream.tar_header(name, size_bytes)
        digest, keys = hashlib.sha256(), _Keys()
        async for rows in self._facts(dock):
            piece = "".join(f"{row.body}\n" for row in rows).encode("utf-8")
            digest.update(piece)
            for row in rows:
                heads[dock] = row.hash
                keys.note(row.kind, row.body)
            yield piece
        yield tar_stream.tar_padding(size_bytes)
        self._note_file(name, digest.hexdigest())
        for index, (key, signed) in enumerate(keys.checkpoints.items()):
            folder = bundle.dock_key_folder(dock, index)
            files = [(bundle.PUBLIC_KEY_NAME, bundle.public_pem(key))]
            if signed is not None:
                files.append((f"{signed.through}.signed", signed.head.encode("ascii")))
                files.append((f"{signed.through}.signature", bundle.signature_bytes(signed.signature)))
            for file_name, content in files:
                for piece in self._entry(f"{folder}/{file_name}", content):
                    yield piece

    async def _facts(self, dock: str) -> AsyncIterator[list[_FactRow]]:
        after, end = 0, self._through[dock]
        while after < end:
            question = (
                select(facts.c.number, facts.c.kind, facts.c.hash, facts.c.body)
                .where(facts.c.dock == dock, facts.c.number > after, facts.c.number <= end)
                .order_by(facts.c.number)
                .limit(_FACTS_AT_ONCE)
            )
            async with self._sources.database.reading() as connection:
                rows = [_FactRow(*row) for row in await connection.execute(question)]
            if not rows:
                raise LookupError(f"facts of dock {dock} after {after} are not held")
            after = rows[-1].number
            yield rows

    async def _chain_size_bytes(self, dock: str) -> int:
        total, end = 0, self._through[dock]
        for after in range(0, end, _FACTS_MEASURED_AT_ONCE):
            async with self._sources.database.reading() as connection:
                is_sqlite = connection.dialect.name == "sqlite"
                body = facts.c.body
                length = func.length(cast(body, LargeBinary)) if is_sqlite else func.octet_length(body)
                question = select(func.coalesce(func.sum(length + 1), 0)).where(
                    facts.c.dock == dock,
                    facts.c.number > after,
                    facts.c.number <= min(end, after + _FACTS_MEASURED_AT_ONCE),
                )
                total += int((await connection.execute(question)).scalar_one())
        return total

    # --- the end -----------------------------------------------------------------------------------

    async def _index(self, heads: dict[str, str]) -> BundleIndex:
        conflicts = (await self._sources.reader.conflicts(self._wanted)).conflicts
        pinned = self._sources.identity.pinned
        self.index = BundleIndex(
            selection=self._wanted,
            has_footage=self._has_footage,
            store=pinned.store,
            key=pinned.key,
            docks=tuple(
                BundleDock(
                    dock=dock,
                    through=self._through[dock],
                    head=heads[dock],
                    held=self._held[dock],
                    has_rows=dock in self._with_rows,
                )
                for dock in sorted(heads)
            ),
            unsigned=tuple(self._unsigned),
            counts=BundleCounts(**{custody_bundle.KINDS[kind]: files.count for kind, files in self._files.items()}),
            conflicts=tuple(one for one in conflicts if one.dock in heads),
            notes=tuple(self._notes),
        )
        return self.index

    def _closing(self, index: BundleIndex) -> Iterator[bytes]:
        identity = self._sources.identity
        yield from self._entry(bundle.store_key_path(identity.store), bundle.public_pem(identity.pinned.public_key))
        yield from self._entry(bundle.README_NAME, custody_bundle.README.encode("utf-8"))
        yield from self._entry(custody_bundle.INDEX_NAME, canonical_json(index.to_json()) + b"\n")
        size_bytes = self._list.tell()
        self._list.seek(0)
        yield tar_stream.tar_header(SHA256_MANIFEST_NAME, size_bytes)
        signing = hashlib.sha256()
        while piece := self._list.read(_PIECE_BYTES):
            signing.update(piece)
            yield piece
        self.digest = signing.hexdigest()
        yield tar_stream.tar_padding(size_bytes)
        seal = sha256_list([(SHA256_MANIFEST_NAME, self.digest)])
        yield from _framed(custody_bundle.SEAL_NAME, seal)
        yield from _framed(custody_bundle.SIGNATURE_NAME, identity.sign_seal(seal))
        yield tar_stream.END

    def _entry(self, name: str, content: bytes) -> Iterator[bytes]:
        self._note_file(name, digest_of_bytes(content))
        yield from _framed(name, content)

    def _note_file(self, name: str, digest: str) -> None:
        if not custody_bundle.is_safe_name(name):
            raise ValueError(f"{name!r} cannot be a file of a bundle")
        self._list.write(sha256_list([(name, digest)]))


@dataclass(frozen=True, slots=True)
class _FactRow:
    """A fact as it is held."""

    number: int
    kind: str
    hash: str
    body: str


def _framed(name: str, content: bytes) -> Iterator[bytes]:
    yield tar_stream.tar_header(name, len(content))
    yield content
    yield tar_stream.tar_padding(len(content))
