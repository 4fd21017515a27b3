"""docs/install.md, followed word for word on a bare Debian: what it promises is there when its last block has run.

Everything before the first camera was followed when the lab made its host (`installation.py`), and fails there.
"""

from __future__ import annotations

from tests.lab.guide import blocks_by_heading
from tests.lab.installation import FIRST_CAMERA, GUIDE, WHICH_BAY, follow
from tests.lab.lab import Scene


def test_the_install_guide_ends_with_a_verified_camera(scene: Scene) -> None:
    blocks = blocks_by_heading(GUIDE)
    titles = list(blocks)
    assert titles.index(WHICH_BAY) < titles.index(FIRST_CAMERA) < titles.index("Logs")
    guest = scene.start_by_guide()
    camera = scene.camera("BWC0001")
    guest.bays["1"].dock(camera)
    guest.until_output(_bay_in_words("ready"), "the first camera to be ready")

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


def _bay_in_words(state: str) -> str:
    return (
        "dockd status --json | python3 -c 'import json, sys; "
        f'print(*[one["bay"] for one in json.load(sys.stdin)["bays"] if one["state"] == "{state}"])\''
    )
