"""Cameras that show their card as a USB disk. See README.md."""

from __future__ import annotations

from drivers.massstorage.driver import MassStorageDriver

__all__ = ["MassStorageDriver", "driver"]

driver = MassStorageDriver()
"""The entry point `massstorage` of the group `dockd.drivers`."""
