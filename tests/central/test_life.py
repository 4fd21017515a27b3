"""Setting up, starting, refusing to start: `dockd central` as a real process where that matters."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.config.central import CentralConfig
from dockd.config.toml_text import config_text
from dockd.errors import CentreUnusable, PortInUse
from dockd.rules.receipts import PinnedStore


def dockd(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dockd", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_init_makes_a_centre_and_never_a_second_one_over_it(tmp_path: Path) -> None:
    folder = tmp_path / "centre"
    made = dockd("central", "init", "--folder", str(folder), "--store", "store-north")
    assert made.returncode == 0, made.stderr
    pinned = PinnedStore.model_validate_json((folder / "pinned-store.json").read_bytes())
    assert pinned.store == "store-north"
    assert pinned.public_key in made.stdout
    for name in ("receipt-key.pem", "address-secret"):
        assert (folder / "keys" / name).stat().st_mode & 0o777 == 0o600
    key = serialization.load_pem_private_key((folder / "keys/receipt-key.pem").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    again = dockd("central", "init", "--folder", str(folder))
    assert again.returncode == CentreUnusable.exit_status
    assert "already" in again.stderr
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


async def test_half_made_centre_is_not_completed_over_its_keys(tmp_path: Path) -> None:
    folder = tmp_path / "centre"
    await initialise_centre(folder)
    key = (folder / "keys/receipt-key.pem").read_bytes()
    (folder / "pinned-store.json").unlink()
    with pytest.raises(CentreUnusable, match="already"):
        await initialise_centre(folder)
    assert (folder / "keys/receipt-key.pem").read_bytes() == key


def _another_key(folder: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "keys/receipt-key.pem").write_bytes(pem)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda folder: (folder / "keys/receipt-key.pem").chmod(0o644), "read by other users"),
        (lambda folder: (folder / "keys/receipt-key.pem").unlink(), "missing"),
        (lambda folder: (folder / "keys/receipt-key.pem").write_bytes(b"no key"), "not a private key"),
        (lambda folder: (folder / "keys/address-secret").write_bytes(b""), "damaged"),
        (lambda folder: (folder / "pinned-store.json").write_text("{}"), "damaged"),
        (_another_key, "not the key"),
    ],
)
async def test_centre_does_not_start_on_a_damaged_identity(
    folder: Path, config: CentreConfig, harm: object, words: str
) -> None:
    assert callable(harm)
    harm(folder)
    with pytest.raises(CentreUnusable, match=words):
        async with serving_centre(config):
            pass


async def test_centre_does_not_start_on_a_damaged_database_nor_begins_another(tmp_path: Path) -> None:
    folder = tmp_path / "embedded"
    await initialise_centre(folder)
    config = CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0)
    (folder / "centre.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(CentreUnusable, match="database cannot be opened"):
        async with serving_centre(config):
            pass
    (folder / "centre.sqlite").unlink()
    with pytest.raises(CentreUnusable, match="no PostgreSQL is configured"):
        async with serving_centre(config):
            pass
    assert not (folder / "centre.sqlite").exists()


async def test_address_that_is_taken_is_said_in_words(config: CentreConfig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = config.model_copy(update={"port": taken.getsockname()[1]})
        with pytest.raises(PortInUse, match="cannot listen"):
            async with serving_centre(busy):
                pass


async def test_run_serves_until_sigterm_and_leaves_in_order(config: CentreConfig, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = tmp_path / "centre.toml"
    section = config.model_copy(update={"port": port})
    file.write_text(config_text(CentralConfig(central=section), changed_only=True), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dockd", "central", "run", "--config", str(file), stderr=asyncio.subprocess.PIPE
    )
    try:
        async with aiohttp.ClientSession() as session:
            for _ in range(200):
                try:
                    async with session.get(f"http://127.0.0.1:{port}/api/v1/store") as response:
                        assert (await response.json())["store"] == "store-test"
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)
            else:
                pytest.fail("it never answered")
        process.send_signal(signal.SIGTERM)
        _out, said = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said
    assert b"Traceback" not in said


async def test_accepting_a_key_by_command_lets_the_dock_go_on(config: CentreConfig, tmp_path: Path) -> None:
    file = tmp_path / "centre.toml"
    file.write_text(config_text(CentralConfig(central=config), changed_only=True), encoding="utf-8")
    bad = await asyncio.to_thread(dockd, "central", "accept-key", "-c", str(file), "--dock", "dock-7", "--key", "x")
    assert bad.returncode == 1
    assert "32 bytes" in bad.stderr
    key = "A" * 43 + "="
    good = await asyncio.to_thread(dockd, "central", "accept-key", "-c", str(file), "--dock", "dock-7", "--key", key)
    assert good.returncode == 0, good.stderr


def test_umask_of_the_caller_does_not_open_the_secrets(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        asyncio.run(initialise_centre(tmp_path / "centre"))
    finally:
        os.umask(before)
    for path in (tmp_path / "centre").rglob("*"):
        public = ("pinned-store.json", "receipt-key.pub.pem", "ca.pem", "centre.sqlite")
        if path.is_file() and path.name not in public:
            assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "centre").stat().st_mode & 0o077 == 0
