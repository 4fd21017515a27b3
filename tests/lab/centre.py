"""A centre on this host, as a process of its own, for docks in guests. Knows the command line of `dockd central`."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.processes import quiet_port

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 30.0
_LEAVE_SECONDS = 30.0


def make_centre(folder: Path) -> None:
    """`dockd central init`: keys, store id, database."""
    subprocess.run(_dockd("central", "init", "--folder", str(folder)), check=True, capture_output=True, cwd=ROOT)


def pinned_store(folder: Path) -> dict[str, str]:
    """What a dock must know of the centre: `store`, `key`, `public_key`."""
    pinned: dict[str, str] = json.loads((folder / "pinned-store.json").read_text(encoding="utf-8"))
    return pinned


class Centre:
    """A running centre, a copy of the one made in `template`. To be ended with `stop`."""

    def __init__(self, template: Path, folder: Path, log: Path) -> None:
        self.folder = folder / "centre"
        shutil.copytree(template, self.folder)
        self.port = quiet_port()
        self._log = log
        self._config = folder / "centre.toml"
        self._config.write_text(
            f"[central]\nfolder = {json.dumps(str(self.folder))}\nport = {self.port}\nfree_space_floor_bytes = 0\n",
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                _dockd("central", "run", "--config", str(self._config)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        end = time.monotonic() + _START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, f"the centre ended: {self._log.read_text('utf-8', 'replace')[-2000:]}"
            assert time.monotonic() < end, "the centre does not listen"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it in order; kill it when it does not leave."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def get(self, path: str) -> Any:
        """One JSON answer of its API."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)


def _dockd(*verb: str) -> list[str]:
    return [sys.executable, "-m", "dockd", *verb]
