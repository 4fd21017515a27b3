"""dockd: docking-station sync and charging service for body-worn video cameras."""

__version__ = "0.1.0"
