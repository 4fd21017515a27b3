"""The configuration of a dock: one TOML file, composed of other modules' sections.

Knows which sections there are and nothing of their meaning. Must not load a centre's: a dock starts without it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dockd.config.reading import read_config
from dockd.dock.kiosk.config import KioskConfig
from dockd.dock.policy import DockSection, PolicyConfig
from dockd.dock.privilege import PrivilegeConfig
from dockd.dock.sections import CentreConfig, ReporterConfig, UploaderConfig
from dockd.dock.staging import StagingConfig
from dockd.dock.transfer.settings import CopySettings
from dockd.dock.usb_policy import UsbConfig
from dockd.log import LogConfig
from dockd.section import Section

DRIVERS_GROUP = "dockd.drivers"
"""The entry-point group in which drivers are found."""


class DockConfig(Section):
    """Everything a dock is told."""

    dock: DockSection
    centre: CentreConfig
    policy: PolicyConfig = Field(default=PolicyConfig())
    staging: StagingConfig = Field(default=StagingConfig())
    copying: CopySettings = Field(default=CopySettings())
    uploader: UploaderConfig = Field(default=UploaderConfig())
    reporter: ReporterConfig = Field(default=ReporterConfig())
    usb: UsbConfig = Field(default=UsbConfig())
    privilege: PrivilegeConfig = Field(default=PrivilegeConfig())
    kiosk: KioskConfig = Field(default=KioskConfig())
    log: LogConfig = Field(default=LogConfig())
    drivers: dict[str, dict[str, Any]] = Field(
        default={}, description="One table for each driver that has options; the driver's own README names them."
    )


class _CentreBeforeEnrolment(BaseModel):
    """What of `[centre]` counts before there is an enrolment."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", defer_build=True)

    enrolment_folder: str | None = Field(default=None, min_length=1)


class EnrolmentConfig(BaseModel):
    """What enrolling a dock needs of its file; the rest may be incomplete until it is done."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", defer_build=True)

    dock: DockSection
    centre: _CentreBeforeEnrolment = Field(default=_CentreBeforeEnrolment())

    @property
    def is_folder_named(self) -> bool:
        """Whether the file says where the enrolment is kept."""
        return self.centre.enrolment_folder is not None

    @property
    def folder(self) -> Path:
        """Where the enrolment is kept: as the file says, or a folder beside the journal."""
        named = self.centre.enrolment_folder
        return Path(named) if named is not None else Path(self.dock.state_folder) / "centre"


def driver_names() -> tuple[str, ...]:
    """The names of the installed drivers, without importing them."""
    return tuple(sorted(point.name for point in entry_points(group=DRIVERS_GROUP)))


def load_dock_config(path: Path, environ: Mapping[str, str] = os.environ) -> DockConfig:
    """Read, check and return a dock's configuration. Raises ConfigInvalid listing every mistake with its line."""
    return read_config(path, DockConfig, environ, driver_names=driver_names())


def load_enrolment_config(path: Path, environ: Mapping[str, str] = os.environ) -> EnrolmentConfig:
    """Read what enrolling needs of a dock's configuration. Raises ConfigInvalid listing every mistake in that."""
    mine = {
        name: value for name, value in environ.items() if name in ("DOCKD_DOCK__ID", "DOCKD_CENTRE__ENROLMENT_FOLDER")
    }
    return read_config(path, EnrolmentConfig, mine, driver_names=driver_names())
