"""Camera drivers, plug-ins that dockd finds by the entry-point group `dockd.drivers`."""
