"""One package and one bare Debian for all tests of this folder, whatever the number of test workers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bare_debian import BareDebian, build_package, copy_sources, one_at_a_time, what_is_missing


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """What is built, as it was when the first of these tests began."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "package-sources"
    with one_at_a_time(folder):
        return folder / "tree" if (folder / "tree").exists() else copy_sources(folder / "tree")


@pytest.fixture(scope="session")
def package(sources: Path) -> Path:
    """The package, built once."""
    folder = sources.parent / "build"
    with one_at_a_time(folder):
        found = list(folder.glob("*.deb"))
        return found[0] if found else build_package(sources, folder)


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareDebian]:
    """A bare Debian 12 in which nothing of ours is installed."""
    if (missing := what_is_missing()) is not None:
        pytest.skip(missing)
    root = tmp_path_factory.mktemp("debian") / "root"
    yield BareDebian(root)
    shutil.rmtree(root)
