"""What holds for every test: one printed seed, and nothing left behind.

A test that leaves an asyncio task, a thread or a mount behind fails: in a daemon that runs for months
each of those is a leak, and in a test it is somebody else's puzzling failure.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from tests.support.clock import ManualClock
from tests.support.made_centres import MadeCentres
from tests.support.postgres import PostgresServer, postgres_server

_SLOW_MACHINE = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("check", max_examples=60, deadline=None, print_blob=True, suppress_health_check=_SLOW_MACHINE)
settings.register_profile("long", settings.get_profile("check"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "check"))

_MOUNTS = Path("/proc/self/mountinfo")
_THREADS_MAY_TAKE_SECONDS = float(os.environ.get("LEFT_THREADS_SECONDS", "3"))


_SEED = pytest.StashKey[int]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Hand the seed to an xdist worker."""
    node.workerinput["dockd_seed"] = str(node.config.stash[_SEED])


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose one seed for Hypothesis and for our own fault plans; `TEST_SEED=n` repeats a run."""
    given = config.getoption("--hypothesis-seed", default=None)
    if given is None and hasattr(config, "workerinput"):
        given = config.workerinput["dockd_seed"]  # xdist: one seed for all workers, chosen and printed by the first
    if given is None:
        given = os.environ.get("TEST_SEED") or str(random.SystemRandom().randrange(2**32))
        config.option.hypothesis_seed = given
    config.stash[_SEED] = int(given)


def pytest_report_header(config: pytest.Config) -> str:
    """Print the seed, so that a failure can be repeated."""
    return f"seed: TEST_SEED={config.stash[_SEED]}"


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The run's seed, printed in the header; `TEST_SEED=n` repeats it."""
    return request.config.stash[_SEED]


@pytest.fixture
def clock() -> ManualClock:
    """A clock moved by hand."""
    return ManualClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL, started for the first test of this process that asks for it and ended after the last."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def made_centres(tmp_path_factory: pytest.TempPathFactory) -> MadeCentres:
    """Centres set up once, to be copied."""
    return MadeCentres(tmp_path_factory.mktemp("made-centres"))


# --- nothing left behind --------------------------------------------------------------------------


def _mount_points(own_folder: Path) -> frozenset[str]:
    """Every mount of this host but those in temporary folders of other test processes, which come and go."""
    points = (line.split()[4] for line in _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines())
    return frozenset(one for one in points if "/pytest-of-" not in one or one.startswith(f"{own_folder}/"))


@pytest.fixture(autouse=True)
def _no_thread_or_mount_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    threads_before = set(threading.enumerate())
    own_folder = tmp_path_factory.getbasetemp()
    mounts_before = _mount_points(own_folder)
    yield
    end = time.monotonic() + _THREADS_MAY_TAKE_SECONDS
    while left := [
        one
        for one in threading.enumerate()
        # The event loop's own pool ends with the loop, which pytest-asyncio closes after the fixtures.
        if one not in threads_before and one.is_alive() and not one.name.startswith("asyncio_")
    ]:
        if time.monotonic() > end:
            pytest.fail(f"left threads running: {', '.join(one.name for one in left)}")
        left[0].join(0.05)
    if mounts := _mount_points(own_folder) - mounts_before:
        pytest.fail(f"left mounted: {', '.join(sorted(mounts))}")


@pytest.fixture(autouse=True)
def _no_task_left(request: pytest.FixtureRequest) -> None:
    test = getattr(request.function, "hypothesis", None)
    if inspect.iscoroutinefunction(test.inner_test if test else request.function):
        request.getfixturevalue("_no_task_left_in_loop")


@pytest_asyncio.fixture
async def _no_task_left_in_loop() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left: set[asyncio.Task[object]] = set()
    for _ in range(50):  # what was cancelled at the very end may still be on its way out
        left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0.002)
    pytest.fail("left tasks running: " + ", ".join(sorted(repr(task.get_coro()) for task in left)))
