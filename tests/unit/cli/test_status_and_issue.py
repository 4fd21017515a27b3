"""`dockd status`, `dockd issue` and `dockd release` against the real local API."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result
from rich.console import Console

from dockd.cli.dock_client import open_dock
from dockd.cli.issue import issue, release
from dockd.cli.status import bay_lines, dock_lines, exit_status, picture, printable, status
from dockd.dock.kiosk.app import build_kiosk
from dockd.dock.kiosk.config import KioskConfig
from dockd.errors import DockRefused, DockUnreachable
from dockd.web.sse import Streams
from dockd.wire.status import DockStatus, Headline, Progress
from tests.support.kiosk_fakes import DockOnPaper, empty_bay, held_bay, ready_bay


@pytest.fixture
def dock() -> DockOnPaper:
    progress = Progress(
        done_bytes=36, total_bytes=100, done_recordings=1, total_recordings=3, rate_bytes_per_second=9, eta_seconds=90
    )
    copying = ready_bay("3").model_copy(update={"headline": Headline.LEAVE_IN_BAY, "progress": progress})
    return DockOnPaper(ready_bay("1"), empty_bay("2"), copying)


@pytest_asyncio.fixture
async def url(dock: DockOnPaper) -> AsyncIterator[str]:
    app = build_kiosk(dock, dock, KioskConfig(), streams=Streams(interval_seconds=0))
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def invoke(command, *arguments: str) -> Result:
    """Run a verb in a thread of its own: it brings its own event loop."""
    return await asyncio.to_thread(CliRunner().invoke, command, list(arguments), standalone_mode=False)


async def test_all_fine_is_status_0(url: str) -> None:
    result = await invoke(status, "--url", url)
    assert result.return_value == 0
    assert "Bay 1: READY | CAM1 | battery 95 %, good, charging | May be issued." in result.output
    assert "36 %, 9 B/s, about 2 min left" in result.output


@pytest.mark.parametrize("headline", [Headline.HELD, Headline.FAULT])
async def test_a_bay_that_needs_a_person_is_status_1(url: str, dock: DockOnPaper, headline: Headline) -> None:
    dock.put(held_bay("2").model_copy(update={"headline": headline}))
    result = await invoke(status, "--url", url)
    assert result.return_value == 1
    assert "Need a person: bay 2" in result.output


def test_only_held_and_fault_need_a_person() -> None:
    for headline in Headline:
        dock = DockOnPaper(ready_bay("1").model_copy(update={"headline": headline})).snapshot()
        assert exit_status(dock) == (1 if headline in (Headline.HELD, Headline.FAULT) else 0)


async def test_no_daemon_is_status_2(unused_port: int) -> None:
    result = await invoke(status, "--url", f"http://127.0.0.1:{unused_port}")
    assert isinstance(result.exception, DockUnreachable)
    assert result.exception.exit_status == 2


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_something_else_in_the_docks_place_is_status_2() -> None:
    async def greet(_request: web.Request) -> web.Response:
        return web.json_response({"hello": "world"})

    app = web.Application()
    app.router.add_get("/api/v1/status", greet)
    async with TestServer(app) as server:
        for path in ("/", "/elsewhere"):
            result = await invoke(status, "--url", str(server.make_url(path)))
            assert isinstance(result.exception, DockUnreachable)


@pytest.mark.parametrize("wrong", ["not an address", "ftp://dock", "http://", "http://[bad"])
async def test_wrong_address_is_a_usage_error(wrong: str) -> None:
    result = await asyncio.to_thread(CliRunner().invoke, status, ["--url", wrong])
    assert result.exit_code == 2
    assert "not an http address" in result.output


async def test_json_is_the_docks_own(url: str, dock: DockOnPaper) -> None:
    result = await invoke(status, "--json", "--url", url)
    assert DockStatus.model_validate_json(result.output) == dock.snapshot()


async def test_watch_sees_a_change(url: str, dock: DockOnPaper) -> None:
    async with open_dock(url) as client, asyncio.timeout(5):
        watched = client.watch()
        assert (await anext(watched)).ready_count == 1
        dock.put(ready_bay("2"))
        assert (await anext(watched)).ready_count == 2
        await watched.aclose()


async def test_watch_on_a_pipe_prints_only_what_changed_and_ends_with_the_daemon(dock: DockOnPaper) -> None:
    app = build_kiosk(dock, dock, KioskConfig(), streams=Streams(interval_seconds=0))
    server = TestServer(app)
    await server.start_server()
    watching = asyncio.create_task(invoke(status, "--watch", "--url", str(server.make_url("/"))))
    async with asyncio.timeout(5):
        while not dock.watchers:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        dock.put(held_bay("2"))
        await asyncio.sleep(0.05)
        await server.close()
        result = await watching
    lines = [line.split(" | ")[0] for line in result.output.splitlines()]
    assert lines == ["Bay 1: READY", "Bay 2: EMPTY", "Bay 3: LEAVE IN BAY", "Bay 2: HELD"]
    assert isinstance(result.exception, DockUnreachable)


async def test_watch_as_json_is_one_line_each(dock: DockOnPaper) -> None:
    app = build_kiosk(dock, dock, KioskConfig(), streams=Streams(interval_seconds=0))
    server = TestServer(app)
    await server.start_server()
    watching = asyncio.create_task(invoke(status, "--watch", "--json", "--url", str(server.make_url("/"))))
    async with asyncio.timeout(5):
        while not dock.watchers:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        await server.close()
        result = await watching
    assert [json.loads(line)["dock"] for line in result.output.splitlines()] == ["dock-7"]


def test_terminal_shows_bars_headlines_and_words(dock: DockOnPaper) -> None:
    dock.put(held_bay("2", words="The card is write-protected [bold]x[/bold]."))
    console = Console(file=io.StringIO(), width=150, force_terminal=True, color_system=None)
    console.print(picture(dock.snapshot()))
    shown = console.file.getvalue()
    for words in ("HELD", "READY", "LEAVE IN BAY", "━", "36 %, 9 B/s", "95 % +", "[bold]x[/bold]"):
        assert words in shown


def test_a_camera_cannot_steer_the_terminal(dock: DockOnPaper) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\rBay 1: READY\u202e"
    dock.put(held_bay("2", words=evil))
    dock.change(centre_words=evil, site=evil)
    console = Console(file=io.StringIO(), width=150, force_terminal=True, color_system=None)
    console.print(picture(dock.snapshot()))
    for shown in (*bay_lines(dock.snapshot()), *dock_lines(dock.snapshot()), console.file.getvalue()):
        assert "\x1b]0" not in shown
        assert "\x1b[2J" not in shown
        assert "\r" not in shown
        assert "\u202e" not in shown
    assert printable("a\tb\x00c\nd") == "a\ufffdb\ufffdc\nd"


async def test_issue_says_which_bay(url: str, dock: DockOnPaper) -> None:
    result = await invoke(issue, "--officer", "mx4521", "--url", url)
    assert "Take the camera from bay 1." in result.output
    assert dock.bay("1").officer == "MX4521"


async def test_refused_issue_says_why_and_changes_nothing(url: str, dock: DockOnPaper) -> None:
    dock.put(empty_bay("1"))
    result = await invoke(issue, "--officer", "1", "--url", url)
    assert isinstance(result.exception, DockRefused)
    assert "No camera in this dock is ready." in result.exception.what
    assert result.exception.exit_status == 1


async def test_officer_number_of_a_wrong_form_is_a_usage_error() -> None:
    result = await asyncio.to_thread(CliRunner().invoke, issue, ["--officer", "a b"])
    assert result.exit_code == 2
    assert "is not an officer number" in result.output


async def test_release(url: str, dock: DockOnPaper) -> None:
    dock.put(held_bay("2"))
    result = await invoke(release, "2", "--url", url)
    assert result.output == "Bay 2 goes on.\n"
    assert dock.bay("2").headline is Headline.LEAVE_IN_BAY
    again = await invoke(release, "2", "--url", url)
    assert isinstance(again.exception, DockRefused)


async def test_release_of_a_name_that_is_no_bay_is_a_usage_error() -> None:
    result = await asyncio.to_thread(CliRunner().invoke, release, ["../x"])
    assert result.exit_code == 2
