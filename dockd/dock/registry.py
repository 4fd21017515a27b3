"""The installed drivers, and which of them a device belongs to.

Knows the entry-point group `dockd.drivers` and the rule of choice; imports no driver by name. Must not
know bays, sessions or what a driver does with a device.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from dockd.driver_api import Driver
from dockd.errors import ConfigInvalid, UnknownCamera
from dockd.model.camera import Port

_GROUP = "dockd.drivers"


class DriverRegistry:
    """A fixed set of configured drivers."""

    def __init__(self, drivers: Iterable[Driver]) -> None:
        self._drivers = {driver.name: driver for driver in drivers}

    @classmethod
    def load(
        cls, options: Mapping[str, Mapping[str, Any]], *, installed: Iterable[EntryPoint] | None = None
    ) -> DriverRegistry:
        """Load every installed driver and give it its `[drivers.<name>]` options.

        Each registry configures copies of its own, so that two docks in one process do not share options.
        Raises ConfigInvalid listing every mistake: a driver that cannot be loaded, a name that two
        packages use, options for a driver that is not installed, options that the driver refuses.
        """
        points = sorted(entry_points(group=_GROUP) if installed is None else installed, key=lambda one: one.name)
        drivers: dict[str, Driver] = {}
        mistakes: list[str] = []
        named: set[str] = set()
        for point in points:
            if point.name in named:
                mistakes.append(f"Two installed packages offer a driver named {point.name!r}.")
                continue
            named.add(point.name)
            try:
                drivers[point.name] = _loaded(point, options.get(point.name, {}))
            except ConfigInvalid as mistake:
                mistakes.append(mistake.what)
        mistakes += [f"[drivers.{name}]: no such driver is installed." for name in sorted(options.keys() - named)]
        if mistakes:
            raise ConfigInvalid("\n".join(mistakes))
        return cls(drivers.values())

    @property
    def drivers(self) -> tuple[Driver, ...]:
        """All of them, by name."""
        return tuple(self._drivers[name] for name in sorted(self._drivers))

    def choose(self, port: Port) -> Driver:
        """The one driver for what sits in `port`.

        A port that a driver's own watcher reported belongs to that driver. Otherwise the most specific
        match wins. Raises UnknownCamera when no driver claims the device, or two with equal right.
        """
        if port.driver_hint is not None:
            hinted = self._drivers.get(port.driver_hint)
            if hinted is None:
                raise UnknownCamera(f"The driver {port.driver_hint!r} for port {port.path} is not installed.")
            return hinted
        claims = {
            driver.name: max(match.specificity for match in driver.matches() if match.matches(port))
            for driver in self.drivers
            if any(match.matches(port) for match in driver.matches())
        }
        if not claims:
            raise UnknownCamera(f"No driver knows {_device_words(port)}.")
        best = max(claims.values())
        winners = [name for name, specificity in claims.items() if specificity == best]
        if len(winners) > 1:
            raise UnknownCamera(f"The drivers {' and '.join(winners)} claim {_device_words(port)} with equal right.")
        return self._drivers[winners[0]]


def _loaded(point: EntryPoint, options: Mapping[str, Any]) -> Driver:
    try:
        driver: Driver = copy.copy(point.load())
        name = driver.name
    except (ImportError, AttributeError) as failure:
        raise ConfigInvalid(f"The driver {point.name!r} ({point.value}) cannot be loaded: {failure}.") from failure
    if name != point.name:
        raise ConfigInvalid(f"The driver {point.name!r} ({point.value}) calls itself {name!r}.")
    driver.configure(options)
    return driver


def _device_words(port: Port) -> str:
    if port.usb_vendor_id is None or port.usb_product_id is None:
        return f"the device at port {port.path}"
    interfaces = ", ".join("{:02x}/{:02x}/{:02x}".format(*one) for one in port.usb_interfaces) or "none"
    return (
        f"the device at port {port.path} (USB {port.usb_vendor_id:04x}:{port.usb_product_id:04x}, "
        f"interfaces {interfaces})"
    )
