"""Simulated cameras: folders that are moved into bay folders. See README.md."""

from __future__ import annotations

from drivers.simulated.description import CameraDescription, Faults, ReadError
from drivers.simulated.driver import SimulatedDriver
from drivers.simulated.folders import make_camera_folder
from drivers.simulated.footage import Clip, make_clip, truncate_clip

__all__ = [
    "CameraDescription",
    "Clip",
    "Faults",
    "ReadError",
    "SimulatedDriver",
    "driver",
    "make_camera_folder",
    "make_clip",
    "truncate_clip",
]

driver = SimulatedDriver()
"""The entry point `simulated` of the group `dockd.drivers`."""
