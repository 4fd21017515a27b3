"""Databases to migrate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dockd.central.database import sqlite_url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind, for a centre's folder at `tmp_path / "centre"`."""
    (tmp_path / "centre").mkdir(mode=0o700)
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "centre" / "centre.sqlite")
        return
    server = request.getfixturevalue("postgres")
    name = server.new_database()
    yield server.address(name)
    server.drop_database(name)
