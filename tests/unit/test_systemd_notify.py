"""Claims about what systemd is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockd import systemd_notify


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
