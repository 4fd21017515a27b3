"""The mass-storage driver: USB disks with a file system, known by profiles.

Knows its options and puts the parts together. See README.md beside this file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from dockd.driver_api import DriverContext, Match, Volume
from dockd.errors import ConfigInvalid
from dockd.model.camera import Port
from dockd.model.value import Value
from drivers.massstorage.camera import DRIVER_NAME, MassStorageCamera
from drivers.massstorage.card_mount import (
    CardMount,
    CardPresence,
    PortPresence,
    ReadFirstBlock,
    read_first_block,
)
from drivers.massstorage.mounted_card import MeasureRoom, MountedCard, look_at, room_of
from drivers.massstorage.profile import Profile
from drivers.massstorage.profile_library import CardLook, ProfileLibrary, usb_id_of

_LOOK_TIMEOUT_SECONDS = 60.0


class MassStorageOptions(Value):
    """The section `[drivers.massstorage]`."""

    profiles_folder: Annotated[str, Field(min_length=1)] | None = None
    """A folder with the force's own profiles; one of the same name takes a shipped one's place."""
    without_profiles: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of profiles that are not to be used."""
    volume_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """How long after it was plugged in a camera may take to show its disk."""


class MassStorageDriver:
    """`Driver` for USB disks."""

    name = DRIVER_NAME
    summary = "cameras that show their card as a USB disk (bulk-only mass storage), known by profiles"

    def __init__(self, *, measure_room: MeasureRoom = room_of, first_block: ReadFirstBlock = read_first_block) -> None:
        self._options = MassStorageOptions()
        self._library = ProfileLibrary.load()
        self._measure_room = measure_room
        self._first_block = first_block

    def configure(self, options: Mapping[str, Any]) -> None:
        try:
            self._options = MassStorageOptions.model_validate(dict(options))
        except ValidationError as mistakes:
            raise ConfigInvalid(
                "\n".join(
                    f"[drivers.{self.name}] {'.'.join(str(step) for step in one['loc'])}: {one['msg']}."
                    for one in mistakes.errors(include_url=False)
                )
            ) from mistakes
        own = self._options.profiles_folder
        self._library = ProfileLibrary.load(Path(own) if own else None, without=self._options.without_profiles)

    def matches(self) -> tuple[Match, ...]:
        return self._library.matches()

    @asynccontextmanager
    async def open(self, port: Port, context: DriverContext) -> AsyncIterator[MassStorageCamera]:
        """Wait for the volume, protect and mount it, choose its profile.

        Raises UnknownCamera (no profile, or two), CardUnreadable, CameraGone, DriverTimeout.
        """
        presence = PortPresence(Path(port.node))
        volume = await context.volume(timeout_seconds=self._options.volume_timeout_seconds)
        answers = CardPresence(presence, volume.device_node, self._first_block)
        mount = CardMount(volume, context)
        try:
            profile = await self._choose_profile(await mount.mount(), port, volume, presence, context)
            await mount.open(
                lambda root: MountedCard(
                    root,
                    profile,
                    check_present=presence.check,
                    check_answers=answers.check,
                    measure_room=self._measure_room,
                )
            )
            yield MassStorageCamera(
                mount, profile, context, untrusted_label=volume.untrusted_label, usb_serial=port.usb_serial
            )
        finally:
            await mount.end()

    def watch(self) -> None:
        """USB ports are watched by the dock."""
        return

    async def _choose_profile(
        self, root: Path, port: Port, volume: Volume, presence: PortPresence, context: DriverContext
    ) -> Profile:
        def look() -> tuple[frozenset[tuple[bytes, ...]], bool]:
            return look_at(root, presence.check, deepest_folder=self._library.deepest_folder)

        folders, is_empty = await context.run_blocking(look, timeout_seconds=_LOOK_TIMEOUT_SECONDS)
        return self._library.choose(CardLook(usb_id_of(port), volume.untrusted_label, folders, is_empty))
