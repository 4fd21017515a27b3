"""`dockd demo --exit-when-ready`, as `make demo` runs it: two processes, moved folders, a closed loop."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from dockd.cli.demo_site import DemoPlan, DemoSite
from dockd.config.central import load_central_config
from dockd.config.dock import load_dock_config
from dockd.model import facts
from tests.support.oracle import Oracle, facts_in


async def run_demo(*arguments: str, seconds: float = 150) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dockd",
        "demo",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except TimeoutError:
        process.terminate()
        output, _ = await process.communicate()
        pytest.fail(f"the demo did not end: {output.decode()}")
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.slow
async def test_demo_ends_with_status_0_and_every_recording_accepted(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    status, output = await run_demo(
        "--cameras", "3", "--clips", "2", "--seed", "7", "--port", "0", "--keep", str(folder), "--exit-when-ready"
    )
    assert status == 0, output
    assert "is pulled out at" in output, "one camera was pulled in the middle of its copy"
    assert "Reconciliation: listed = staged = stored = erased" in output
    assert "http://127.0.0.1:" in output
    oracle = Oracle(
        card_folders=[folder / "bays", folder / "shelf"],
        staging=folder / "staging",
        store=folder / "centre",
        journal=folder / "dock" / "journal" / "journal.sqlite3",
    )
    told = [one.fact for one in facts_in(oracle.journal)]
    listed = {one.recording: one for one in told if isinstance(one, facts.RecordingListed)}
    accepted = {one.recording: one.receipt.digest for one in told if isinstance(one, facts.RecordingAccepted)}
    erased = {one.recording for one in told if isinstance(one, facts.RecordingErased)}
    assert len(listed) == 6
    assert listed.keys() == accepted.keys() == erased
    assert set(accepted.values()) <= oracle.in_store()
    assert not oracle.on_cards()
    labels = [one.staged.container.value for one in told if isinstance(one, facts.RecordingStaged)]
    assert labels.count("truncated") == 1
    oracle.check_chain()
    oracle.check_order_of_custody()


async def test_demo_on_a_taken_port_says_what_to_do(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        status, output = await run_demo("--port", str(port), "--keep", str(tmp_path / "demo"))
    assert status != 0
    assert f"Port {port} is in use." in output
    assert "--port 0" in output


def test_configuration_of_the_demo_has_no_mistake(tmp_path: Path) -> None:
    site = DemoSite(tmp_path, DemoPlan(cameras=1, clips=1, seed=1, dock_port=1234, centre_port=1235))
    (tmp_path / "centre").mkdir()
    pinned = {"store": "store-1", "key": "key-1", "public_key": "AAAA"}
    (tmp_path / "centre" / "pinned-store.json").write_text(json.dumps(pinned), encoding="utf-8")
    site.write_configuration()
    assert load_dock_config(tmp_path / "dock.toml", {}).kiosk.port == 1234
    assert load_central_config(tmp_path / "centre.toml", {}).central.port == 1235
