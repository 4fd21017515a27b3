"""The `[central]` section: where the centre keeps everything, where it listens, and its limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from dockd.section import Section
from dockd.web.hosts import LOOPBACK_NAMES, HostText, host_name, is_loopback

HttpsText = Annotated[str, StringConstraints(max_length=500, pattern=r"^https://[A-Za-z0-9.:\[\]_-]+$")]
UrlText = Annotated[str, StringConstraints(max_length=500, pattern=r"^https?://[A-Za-z0-9.:\[\]_-]+$")]

DEFAULT_PORT = 8490
DEFAULT_DOCKS_PORT = 8491
GIBIBYTE = 1024**3


class CentreConfig(Section):
    """The `[central]` section.

    People's pages are plain HTTP, on loopback unless something else is asked for. Docks have an address of their own,
    over TLS with certificates on both sides; without `docks_host` docks come to the same address as people and are not
    asked who they are.
    """

    folder: str = Field(
        min_length=1, description="Folder made by `dockd central init`: keys, database, footage and manifests."
    )
    database_url: str | None = Field(
        default=None,
        description="The PostgreSQL database, like `postgresql://dockd@db.example/dockd`, never with a password; "
        "libpq's parameters may follow (`?sslmode=verify-full`, `?service=dockd`). Without it the centre keeps an "
        "SQLite file in `folder`.",
    )
    database_password_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the database's password, mode 0600; read for every new connection. Without it libpq "
        "looks into its own service and password files.",
    )
    database_connections: int = Field(
        default=10,
        ge=2,
        le=200,
        description="Most connections to PostgreSQL that one centre process opens; whoever finds none is told: later.",
    )
    database_statement_seconds: int = Field(
        default=30,
        ge=1,
        le=600,
        description="A statement that runs longer is ended by PostgreSQL; the answer is: later.",
    )
    host: HostText = Field(
        default="127.0.0.1", description="Address for people's pages and, without `docks_host`, for docks; plain HTTP."
    )
    port: int = Field(
        default=DEFAULT_PORT, ge=0, le=65535, description="TCP port of the centre; 0 lets the system choose one."
    )
    sign_in: Literal["off", "required"] = Field(
        default="off",
        description="`required`: pages and API are for people who have signed in, each with a role. `off`: nobody is "
        "asked; only while `host` is loopback, for a demonstration or a single machine.",
    )
    allow_other_hosts: bool = Field(
        default=False,
        description=(
            "Permit a `host` other than loopback, with `sign_in` required. The centre speaks plain HTTP to people: "
            "only for a proxy that ends TLS in front of it. Docks have `docks_host`."
        ),
    )
    allowed_hosts: tuple[HostText, ...] = Field(
        default=(),
        strict=False,
        description="Names, without port, under which docks and browsers may reach it, besides loopback and `host`.",
    )
    docks_host: HostText | None = Field(
        default=None,
        description="Address on which enrolled docks are served over TLS (`0.0.0.0` for all). Without it there is no "
        "such service. With it, docks' facts and footage are taken there only.",
    )
    docks_port: int = Field(default=DEFAULT_DOCKS_PORT, ge=0, le=65535, description="TCP port for docks.")
    docks_url: HttpsText | None = Field(
        default=None,
        description="How docks reach that address, such as `https://centre.example:8491`: in tokens, in part "
        "addresses, and a name of the centre's certificate.",
    )
    docks_names: tuple[HostText, ...] = Field(
        default=(),
        strict=False,
        description="More names and addresses for the centre's certificate, for docks that reach it in another way.",
    )
    certificate_days: int = Field(
        default=90,
        ge=1,
        le=825,
        description="How long a dock's certificate is good. Docks renew it by themselves when a third is left.",
    )
    public_url: UrlText | None = Field(
        default=None,
        description="How docks reach this centre from outside (no path); part addresses begin with it. "
        "Without it they begin with what the dock itself asked.",
    )
    free_space_floor_bytes: int = Field(
        default=2 * GIBIBYTE, ge=0, description="Free space of the disk that footage never uses; below it: 507, later."
    )
    part_address_minutes: int = Field(default=15, ge=1, le=240, description="How long a part's address may be used.")
    part_idle_seconds: int = Field(
        default=60, ge=1, le=600, description="A part of which no byte arrives for so long is given up."
    )
    abandoned_upload_hours: int = Field(
        default=168,
        ge=1,
        le=24 * 90,
        description="Unfinished uploads that no dock has asked for in so long are thrown away; the dock still has "
        "the footage.",
    )

    @field_validator("database_url")
    @classmethod
    def _is_address_without_password(cls, text: str | None) -> str | None:
        if text is not None:
            from dockd.central.postgres import check_address  # noqa: PLC0415 - a dock's commands load no SQLAlchemy

            check_address(text)
        return text

    @model_validator(mode="after")
    def _password_is_for_a_database(self) -> CentreConfig:
        if self.database_password_file is not None and self.database_url is None:
            raise ValueError("database_password_file is given without database_url")
        return self

    @model_validator(mode="after")
    def _other_addresses_are_meant(self) -> CentreConfig:
        if is_loopback(self.host):
            return self
        if self.sign_in == "off":
            raise ValueError(
                f'host {self.host!r} can be reached from other machines, and with sign_in = "off" nobody is asked who '
                'they are; set sign_in = "required", or use 127.0.0.1; docks have docks_host, over TLS'
            )
        if not self.allow_other_hosts:
            raise ValueError(
                f"host {self.host!r} can be reached from other machines, and passwords would go there over plain HTTP; "
                "use 127.0.0.1 behind a proxy on this machine, or set allow_other_hosts = true for one elsewhere"
            )
        return self

    @property
    def certificate_names(self) -> frozenset[str]:
        """Every name and address that the centre's TLS certificate is good for."""
        outside = host_name(self.docks_url.partition("://")[2]) if self.docks_url else None
        named = {self.docks_host or "", *self.docks_names, outside or ""}
        return frozenset(LOOPBACK_NAMES | named) - {"", "0.0.0.0", "::"}  # noqa: S104 - what is left out

    @property
    def served_names(self) -> frozenset[str]:
        """Every host name that the centre answers to."""
        names = self.certificate_names | {self.host} | set(self.allowed_hosts)
        outside = host_name(self.public_url.partition("://")[2]) if self.public_url else None
        return names | {outside} if outside else names
