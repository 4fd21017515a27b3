"""A sound configuration to break."""

from __future__ import annotations

from pathlib import Path

import pytest

SOUND = """\
[dock]
id = "dock-1"
site = "Blackfriars"

[centre]
url = "https://centre.example"
store = "store-1"
key = "key-1"
public_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

[staging]
folder = "/srv/staging"

[policy]
grace_hours = 24
"""


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """The path of a sound configuration file."""
    path = tmp_path / "dockd.toml"
    path.write_text(SOUND)
    return path
