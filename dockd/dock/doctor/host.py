"""Where the doctor gets its facts: folders of the kernel and of Debian below one root, and a few system calls.

All of it can be given, so that a test builds a folder tree and needs no mock. Decides nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dockd.clock import Clock, SystemClock
from dockd.dock.disk import Disk
from dockd.dock.policy import DockSection, PolicyConfig
from dockd.dock.privilege import PrivilegeConfig
from dockd.dock.sections import CentreConfig
from dockd.dock.staging import StagingConfig
from dockd.dock.udev_source import DeviceSource, UdevSource
from dockd.dock.usb_policy import UsbConfig

_COMM_CHARACTERS = 15
"""The kernel cuts a process's name there (proc(5), /proc/pid/comm)."""


class DoctorSettings(Protocol):
    """The sections of a dock's configuration that are checked against the host."""

    @property
    def dock(self) -> DockSection: ...
    @property
    def policy(self) -> PolicyConfig: ...
    @property
    def staging(self) -> StagingConfig: ...
    @property
    def centre(self) -> CentreConfig: ...
    @property
    def usb(self) -> UsbConfig: ...
    @property
    def privilege(self) -> PrivilegeConfig: ...


class SettingsMissing(LookupError):
    """A check needs the configuration, and there is none that can be read."""


@dataclass(frozen=True, slots=True)
class Host:
    """The computer that is looked at. Folders that the configuration names are taken as they are, not below `root`."""

    root: Path = Path("/")
    open_events: Callable[[int], DeviceSource] = UdevSource
    """Opens udev's events, given the size of the receive buffer in bytes. Raises SourceBroken."""
    statvfs: Callable[[Path], os.statvfs_result] = os.statvfs
    disk: Disk = field(default_factory=Disk)
    clock: Clock = field(default_factory=SystemClock)

    def path(self, name: str) -> Path:
        """`sys/block` as a path on this host."""
        return self.root / name

    def read(self, name: str | Path) -> str | None:
        """A small file's text without white space around it; None when there is no such file. Raises OSError."""
        text = self.read_text(name)
        return None if text is None else text.strip()

    def read_text(self, name: str | Path) -> str | None:
        """A small file's text as it is; None when there is no such file. Raises OSError."""
        try:
            return (self.root / name).read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def processes(self) -> Iterator[tuple[int, str]]:
        """Process id and name (at most 15 characters) of everything that runs and may be seen. Raises OSError."""
        for folder in self.path("proc").iterdir():
            if folder.name.isdecimal() and (name := self.read(folder / "comm")):
                yield int(folder.name), name

    def running(self, names: frozenset[str]) -> tuple[str, ...]:
        """Which of the programs `names` run, each once. Raises OSError."""
        alive = {name for _, name in self.processes()}
        return tuple(sorted(name for name in names if name[:_COMM_CHARACTERS] in alive))

    def kernel_release(self) -> str:
        """Such as `6.1.0-31-amd64`. Raises LookupError when the kernel does not say."""
        if release := self.read("proc/sys/kernel/osrelease"):
            return release
        raise LookupError("the kernel does not say its version")

    def kernel_version(self) -> tuple[int, int]:
        """Such as (6, 1). Raises LookupError."""
        if found := re.match(r"(\d+)\.(\d+)", release := self.kernel_release()):
            return int(found[1]), int(found[2])
        raise LookupError(f"the kernel's version {release!r} cannot be read")


@dataclass(frozen=True, slots=True)
class Examination:
    """What every check is given: the host, and what the dock is told."""

    host: Host
    config_file: Path
    given_settings: DoctorSettings | None
    settings_trouble: str | None = None
    """Why there are no settings, in words."""

    @property
    def settings(self) -> DoctorSettings:
        """The dock's settings. Raises SettingsMissing."""
        if self.given_settings is None:
            raise SettingsMissing("the configuration cannot be read")
        return self.given_settings
