"""A bundle's archive laid out in a folder."""

from __future__ import annotations

from pathlib import Path

from dockd.custody_out.custody_fetch import unpack


def unpacked(archive: bytes, folder: Path) -> Path:
    """Unpack as the product does."""
    folder.mkdir(parents=True)
    file = folder.with_suffix(".tar")
    file.write_bytes(archive)
    unpack(file, folder)
    return folder
