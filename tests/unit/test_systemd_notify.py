"""Claims about what systemd is told."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from dockd import systemd_notify
from tests.support.clock import ManualClock


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service_manager:
        service_manager.bind(address.replace("@", "\0", 1))
        service_manager.settimeout(2)
        yield service_manager


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@dockd-test-{os.getpid()}"


def test_each_message_arrives_as_systemd_wants_it(address: str) -> None:
    environ = {"NOTIFY_SOCKET": address}
    with listening(address) as manager:
        for message in (systemd_notify.READY, systemd_notify.WATCHDOG, systemd_notify.STOPPING):
            assert systemd_notify.notify(message, environ)
        assert [manager.recv(200) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "not-a-path"}], ids=str)
def test_without_systemd_nothing_is_sent(environ: dict[str, str]) -> None:
    assert systemd_notify.notify(systemd_notify.READY, environ) is False


def test_a_systemd_that_does_not_listen_stops_nothing(tmp_path: Path) -> None:
    assert systemd_notify.notify(systemd_notify.READY, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}) is False


def test_half_of_the_time_allowed_is_the_interval() -> None:
    environ = {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}
    assert systemd_notify.watchdog_seconds(environ) == 10.0
    assert systemd_notify.watchdog_seconds({"WATCHDOG_USEC": "500000"}) == 0.25


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
    ids=str,
)
def test_where_nobody_watches_there_is_no_interval(environ: dict[str, str]) -> None:
    assert systemd_notify.watchdog_seconds(environ) is None


# --- watchdog -------------------------------------------------------------------------------------


@asynccontextmanager
async def reporting(clock: ManualClock, environ: dict[str, str]) -> AsyncIterator[None]:
    task = asyncio.create_task(systemd_notify.report_alive(clock, environ))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def heard(manager: socket.socket) -> list[bytes]:
    manager.setblocking(False)
    messages = []
    while True:
        try:
            messages.append(manager.recv(200))
        except BlockingIOError:
            return messages


async def test_a_loop_that_turns_is_reported_twice_in_the_time_allowed(address: str, clock: ManualClock) -> None:
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000"}
    with listening(address) as manager:
        async with reporting(clock, environ):
            await clock.run_for(29)
            assert heard(manager) == []
            await clock.run_for(32)
            assert heard(manager) == [b"WATCHDOG=1"] * 2


async def test_a_loop_that_is_stuck_is_not_reported(address: str, clock: ManualClock) -> None:
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000"}
    with listening(address) as manager:
        async with reporting(clock, environ):
            clock.advance(600)  # time passes while this function holds the loop, as a stuck one would
            assert heard(manager) == []
            await clock.run_for(0.001)
            assert heard(manager) == [b"WATCHDOG=1"], "and once it turns again it says so"


async def test_without_a_watchdog_nothing_is_reported(address: str, clock: ManualClock) -> None:
    with listening(address) as manager:
        async with reporting(clock, {"NOTIFY_SOCKET": address}):
            await clock.run_for(4 * 3600)
            assert heard(manager) == []
