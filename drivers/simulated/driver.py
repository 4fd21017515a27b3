"""The simulated driver: cameras that are folders, bays that are folders.

Knows its options and puts the parts together. See README.md beside this file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from dockd.driver_api import DriverContext, Match, PortEvent
from dockd.errors import CameraGone, CardUnreadable, ConfigInvalid
from dockd.model.camera import Port
from dockd.model.value import Value
from drivers.simulated.bay_watch import PORT_PREFIX, BayWatch
from drivers.simulated.camera import DRIVER_NAME, SimulatedCamera
from drivers.simulated.description import explain
from drivers.simulated.docked import DockedFolder

_OPEN_TIMEOUT_SECONDS = 10.0


class SimulatedOptions(Value):
    """The section `[drivers.simulated]`."""

    bays_folder: Annotated[str, Field(min_length=1)] | None = None
    """Its sub-folders are bays. Without it there are no folder bays."""


class SimulatedDriver:
    """`Driver` for camera folders."""

    name = DRIVER_NAME
    summary = "camera folders moved into bay folders: for demonstrations, training and tests"

    def __init__(self) -> None:
        self._options = SimulatedOptions()

    def configure(self, options: Mapping[str, Any]) -> None:
        try:
            self._options = SimulatedOptions.model_validate(dict(options))
        except ValidationError as mistakes:
            raise ConfigInvalid(f"[drivers.{self.name}] is wrong: {explain(mistakes)}.") from mistakes

    def matches(self) -> tuple[Match, ...]:
        return (Match(port_prefix=PORT_PREFIX),)

    @asynccontextmanager
    async def open(self, port: Port, context: DriverContext) -> AsyncIterator[SimulatedCamera]:
        """Open the camera folder that `port.node` names.

        Raises UnknownCamera (what is wrong with camera.toml), CardUnreadable, CameraGone, DriverTimeout.
        """
        docked = DockedFolder(Path(port.node))
        try:
            await context.run_blocking(docked.open, timeout_seconds=_OPEN_TIMEOUT_SECONDS)
            camera = SimulatedCamera(docked, context)
            try:
                yield camera
            finally:
                # Not in the worker thread: it may be stuck in a read, and this is one small file.
                with suppress(CameraGone, CardUnreadable):
                    camera.battery.save()
        finally:
            docked.close()

    def watch(self) -> AbstractAsyncContextManager[AsyncIterator[PortEvent]] | None:
        """The folder bays; None when no bays folder is configured. Entering raises ConfigInvalid if it is not there."""
        if self._options.bays_folder is None:
            return None
        return _watching(Path(self._options.bays_folder))


@asynccontextmanager
async def _watching(bays_folder: Path) -> AsyncIterator[AsyncIterator[PortEvent]]:
    if not bays_folder.is_dir():
        raise ConfigInvalid(f"[drivers.{DRIVER_NAME}] bays_folder {str(bays_folder)!r} is not a folder.")
    async with BayWatch(bays_folder.resolve()) as events:
        yield events
