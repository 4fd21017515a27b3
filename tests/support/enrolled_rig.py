"""A whole dock that is enrolled: `DockRig`, but its configuration names an enrolment instead of a centre."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dockd.dock.sections import CentreConfig, UploaderConfig
from tests.support.dock_rig import DockRig, RigSettings
from tests.support.enrolled_site import EnrolledSite


@dataclass
class EnrolledRig(DockRig):
    """A rig whose dock speaks mutual TLS."""

    enrolment: Path = Path()
    bytes_per_second: int | None = None

    def settings(self) -> RigSettings:
        """As the file says after `dockd enrol`."""
        return replace(
            super().settings(),
            centre=CentreConfig.model_validate(
                {"enrolment_folder": str(self.enrolment), "renewal_check_seconds": 0.2},
            ),
            uploader=UploaderConfig(longest_retry_seconds=2.0, bytes_per_second=self.bytes_per_second),
        )


async def enrolled_rig(site: EnrolledSite, dock: str = "dock-1", **settings: Any) -> EnrolledRig:
    """A station whose dock is enrolled now and does not run yet."""
    enrolment = await site.enrol(dock)
    return EnrolledRig(
        root=site.root / "station",
        centre_url=site.url,
        pinned=site.centre.services.identity.pinned,
        store=site.folder,
        dock_id=dock,
        enrolment=enrolment,
        clock=site.clock,
        **settings,
    )
