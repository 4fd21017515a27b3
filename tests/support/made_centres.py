"""A centre that is set up once for all tests of a process, and copied for each; every step was really done.

Setting one up takes ten migrations and the making of keys, most of the processor time of a short test. Tests about
setting up, and tests of two centres that must differ, make their own.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from dockd.central.opening import initialise_centre
from dockd.rules.receipts import PinnedStore
from tests.support.postgres import PostgresServer

STORE = "store-test"


class MadeCentres:
    """The patterns, each made when first asked for. All copies have the same keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pinned: dict[str, PinnedStore] = {}
        self._database: str | None = None

    def on_sqlite(self) -> None:
        """Make the pattern; to be called while no event loop runs."""
        self._make("sqlite")

    def on_postgresql(self, server: PostgresServer) -> str:
        """A new database with a centre's tables in it, as `copy_to` of "postgresql" expects it; its name."""
        if self._database is None:
            name = server.new_database()
            self._make("postgresql", database_url=server.address(name))
            self._database = name
        return server.new_database(like=self._database)

    def copy_to(self, folder: Path, kind: str = "sqlite") -> PinnedStore:
        """Make `folder` a centre's folder; what docks pin of it."""
        shutil.copytree(self._folder / kind, folder)
        return self._pinned[kind]

    def _make(self, kind: str, **where: str) -> None:
        if kind not in self._pinned:
            self._pinned[kind] = asyncio.run(initialise_centre(self._folder / kind, store=STORE, **where))
