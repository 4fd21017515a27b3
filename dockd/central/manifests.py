"""Manifests of sessions, kept beside the footage. Small, immutable, by checked names only."""

from __future__ import annotations

import re

from sqlalchemy import and_, select

from dockd.central.database import Database, insert_new
from dockd.central.refusals import BAD_NAME, MANIFEST_DIFFERS
from dockd.central.stores import ObjectStore
from dockd.central.tables import manifests
from dockd.clock import Clock
from dockd.errors import NotFound
from dockd.model.canonical import digest_of_bytes
from dockd.web.problems import Refusal
from dockd.wire.messages import StoredManifest

LARGEST_MANIFEST_BYTES = 32 * 1024 * 1024
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(mhl|txt|xml|json|jsonl|sig)$"
_NAME = re.compile(NAME_PATTERN)


class Manifests:
    """Keeps manifests. `dock` and `session` are checked ids."""

    def __init__(self, database: Database, store: ObjectStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    async def keep(self, dock: str, session: str, name: str, content: bytes) -> StoredManifest:
        """Keep `content` durably; the same content again changes nothing.

        Raises Refusal: `bad-name`, `manifest-differs`, 503, 507.
        """
        key = _key(dock, session, name)
        try:
            await self._store.keep_document(key, content)
        except FileExistsError:
            raise Refusal(MANIFEST_DIFFERS, f"{name} of this session is stored with other content.") from None
        stored = StoredManifest(name=name, digest=digest_of_bytes(content), size_bytes=len(content))
        row = {"dock": dock, "session": session, "stored_at": self._clock.now(), **stored.model_dump()}
        async with self._database.writing() as connection:
            await insert_new(connection, manifests, [row])
        return stored

    async def read(self, dock: str, session: str, name: str) -> bytes:
        """Return the manifest. Raises NotFound; Refusal `bad-name`, 503."""
        key = _key(dock, session, name)
        is_it = and_(manifests.c.dock == dock, manifests.c.session == session, manifests.c.name == name)
        async with self._database.reading() as connection:
            row = (await connection.execute(select(manifests).where(is_it))).one_or_none()
        if row is None:
            raise NotFound("There is no such manifest.")
        return await self._store.read_document(key)


def _key(dock: str, session: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Refusal(BAD_NAME, "A manifest is named like manifest-sha256.txt or 0001_session.mhl.")
    return f"sessions/{dock}/{session}/{name}"
