"""The dock's own page and local API: what staff at the station see, and the few things they may do.

Knows `DockStatus` and three actions; never the journal, a session or a camera.
"""

from __future__ import annotations

from dockd.dock.kiosk.app import build_kiosk
from dockd.dock.kiosk.config import KioskConfig
from dockd.dock.kiosk.view import DockActions, DockView, Issued

__all__ = ["DockActions", "DockView", "Issued", "KioskConfig", "build_kiosk"]
