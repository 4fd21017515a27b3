"""The `[kiosk]` section: where the dock's page is served, and to whom."""

from __future__ import annotations

from pydantic import Field, model_validator

from dockd.section import Section
from dockd.web.hosts import LOOPBACK_NAMES, HostText, is_loopback

DEFAULT_PORT = 8480


class KioskConfig(Section):
    """The `[kiosk]` section."""

    host: HostText = Field(
        default="127.0.0.1",
        description="Address the page listens on. Anyone who reaches it can issue cameras: there is no sign-in yet.",
    )
    port: int = Field(
        default=DEFAULT_PORT, ge=0, le=65535, description="TCP port of the page; 0 lets the system choose one."
    )
    allow_other_hosts: bool = Field(
        default=False,
        description="Permit a `host` other than loopback. Only inside a network where everyone may issue cameras.",
    )
    allowed_hosts: tuple[HostText, ...] = Field(
        default=(),
        strict=False,
        description=(
            "Names, without port, under which browsers may open the page, besides loopback and `host`. "
            "Others are refused, so that a foreign site cannot pose as the dock."
        ),
    )
    maximum_streams: int = Field(
        default=64, ge=1, le=1024, description="How many pages may be open and live at the same time."
    )

    @model_validator(mode="after")
    def _other_addresses_are_meant(self) -> KioskConfig:
        if not is_loopback(self.host) and not self.allow_other_hosts:
            raise ValueError(
                f"host {self.host!r} can be reached from other machines; "
                "set allow_other_hosts = true if that is meant, or use 127.0.0.1"
            )
        return self

    @property
    def served_names(self) -> frozenset[str]:
        """Every host name that the page answers to."""
        return LOOPBACK_NAMES | {self.host} | set(self.allowed_hosts)
