"""docs/install.md, followed word for word on a bare Debian: what it promises is there when its last block has run.

Everything before the first camera was followed when the lab made its host (`installation.py`), and fails there.
"""

from __future__ import annotations

import pytest

from tests.lab.guide import blocks_by_heading
from tests.lab.installation import FIRST_CAMERA, GUIDE, WHICH_BAY, follow
from tests.lab.lab import Scene

_UNTIL_READY = """
import json, time, urllib.request
while True:
    with urllib.request.urlopen("http://127.0.0.1:8480/api/v1/status") as answer:
        if any(bay["state"] == "ready" for bay in json.load(answer)["bays"]):
            break
    time.sleep(1)
"""
"""The administrator watches the page; nobody outside can."""


@pytest.mark.takes_long
def test_the_install_guide_ends_with_a_verified_camera(scene: Scene) -> None:
    blocks = blocks_by_heading(GUIDE)
    titles = list(blocks)
    assert titles.index(WHICH_BAY) < titles.index(FIRST_CAMERA) < titles.index("Logs")
    guest = scene.start_by_guide()
    camera = scene.camera("BWC0001")
    guest.bays["1"].dock(camera)
    guest.run("python3", "-c", _UNTIL_READY)

    look, check = blocks[FIRST_CAMERA]
    shown = follow(guest, look)
    assert "massstorage:BWC0001" in shown
    for digest in camera.recordings:
        (line,) = [line for line in shown.splitlines() if digest in line]
        assert "accepted" in line
    claims = [line for line in follow(guest, check).splitlines() if line.startswith("All ")]
    assert len(claims) == 1, "dockd verify says that every claim holds"
    assert all(line.endswith("hold.") for line in claims)
    stored = guest.shell("sha256sum $(find /root/first-camera -name '*.MP4')")
    assert {line.split()[0] for line in stored.splitlines()} == set(camera.recordings)
    (logs,) = blocks["Logs"]
    assert "recording_accepted" in follow(guest, logs)
    guest.bays["1"].pull()
    assert not camera.on_card()
