"""What every scenario of the lab gets: a `scene` with guests of its own, or a turn at the `shared` dock.

A guest of its own goes on from a saved state within seconds, and sees nothing that another left behind: for whoever
cuts power, changes the host, or stops the dock. All others come to the same dock in turn, as cameras do in a station.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.lab.centre import ROOT
from tests.lab.lab import Lab, LabUnavailable, Scene, SharedDock

_HERE = Path(__file__).parent
_SCENES = pytest.StashKey[Scene]()
_HAS_HELD = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the lab. What takes long begins first: nobody is left alone with it at the end."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)
    items.sort(key=lambda item: item.get_closest_marker("takes_long") is None)


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The laboratory. `LAB_ACCELERATOR=kvm` where a guest really runs under it; `LAB_CACHE` for another cache;
    `LAB_PACKAGE` to try a package as it was delivered instead of one built from the sources."""
    cache = Path(os.environ.get("LAB_CACHE", ROOT / ".cache" / "lab")).resolve()
    try:
        given = os.environ.get("LAB_PACKAGE")
        return Lab(cache, os.environ.get("LAB_ACCELERATOR", "tcg"), Path(given).resolve() if given else None)
    except LabUnavailable as missing:
        pytest.skip(f"the lab cannot be had: {missing}")


@pytest.fixture
def scene(lab: Lab, request: pytest.FixtureRequest, seed: int) -> Iterator[Scene]:
    """The place of this scenario."""
    scene = Scene(lab, request.node.name, seed)
    request.node.stash[_SCENES] = scene
    try:
        yield scene
    finally:
        scene.close()


@pytest.fixture(scope="session")
def shared_dock(lab: Lab, seed: int) -> Iterator[SharedDock]:
    """The dock that scenarios share; every worker has one."""
    dock = SharedDock(lab, seed)
    yield dock
    dock.close()


@pytest.fixture
def shared(shared_dock: SharedDock, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A turn at the shared dock: connected and at rest, and so again at the end."""
    scene = shared_dock.scene_for(request.node.name)
    request.node.stash[_SCENES] = scene
    yield scene
    shared_dock.end_turn(is_fit=request.node.stash.get(_HAS_HELD, False))


@pytest.fixture
def _shared_dock_is_there(request: pytest.FixtureRequest) -> None:
    if "shared" in request.fixturenames:
        request.getfixturevalue("shared")


@pytest.fixture(autouse=True)
def _no_thread_or_mount_left(_shared_dock_is_there: None, _no_thread_or_mount_left: None) -> None:
    """As for every test; the threads of a shared dock were there before."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A scenario that held must also have left a log without a bug in it."""
    yield
    if scene := item.stash.get(_SCENES, None):
        scene.check_sound()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the guest's log of a scenario that failed, and say where it is."""
    report = yield
    if call.when == "call":
        item.stash[_HAS_HELD] = report.passed
    scene = item.stash.get(_SCENES, None)
    if scene is not None and call.when == "call" and report.failed:
        report.sections.append(("lab", f"The guest's log is kept in {scene.keep_logs()}"))
    return report
