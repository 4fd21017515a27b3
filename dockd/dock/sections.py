"""Sections of the dock's configuration that are about the centre: where it is, and how it is spoken to.

Apart from what uses them, so that a command that only reads the configuration loads no network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from dockd.dock.enrolment_files import EnrolmentFolder
from dockd.errors import ConfigInvalid
from dockd.model.value import IdText, ShortText
from dockd.rules.receipts import PinnedStore
from dockd.section import Section

UrlText = Annotated[
    str, StringConstraints(max_length=500, pattern=r"^https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?$")
]


class CentreConfig(Section):
    """The `[centre]` section: where the centre is, and what was pinned at enrolment.

    An enrolled dock has only `enrolment_folder` here. The rest is for a centre on the same machine.
    """

    enrolment_folder: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="Folder that `dockd enrol` fills: the centre's CA, this dock's TLS key and certificate, and the "
        "four values below, which are read from it. Writable for the daemon, which renews the certificate.",
    )
    renewal_check_seconds: float = Field(
        default=3600.0,
        ge=0.1,
        le=86_400.0,
        description="How often an enrolled dock looks whether its certificate is due for renewal (a third of its "
        "time left).",
    )
    url: UrlText = Field(description="Address of the centre, without `/api/v1`.")
    store: IdText = Field(description="Id of the central store; a receipt that names another clears nothing.")
    key: IdText = Field(description="Name of the key that signs the store's receipts.")
    public_key: ShortText = Field(description="The receipt key's public half: Ed25519, 32 bytes in base64.")

    @model_validator(mode="before")
    @classmethod
    def _pinned_at_enrolment(cls, given: object) -> object:
        """Take what is not written here from the enrolment. Raises ValueError in words."""
        if not isinstance(given, dict) or not isinstance(given.get("enrolment_folder"), str):
            return given
        try:
            pinned = EnrolmentFolder(Path(given["enrolment_folder"])).pinned()
        except ConfigInvalid as error:
            raise ValueError(f"{error.what} {error.action}") from None
        found = pinned.model_dump(include={"url", "store", "key", "public_key"})
        for name in ("store", "key", "public_key"):
            if name in given and given[name] != found[name]:
                raise ValueError(f"{name} is not the one that was pinned at enrolment; leave it out")
        return {**found, **given}

    @property
    def pinned(self) -> PinnedStore:
        """What receipts are compared with."""
        return PinnedStore(store=self.store, key=self.key, public_key=self.public_key)


class UploaderConfig(Section):
    """The `[uploader]` section."""

    parallel_recordings: int = Field(default=3, ge=1, le=32, description="How many recordings are sent at once.")
    parallel_parts: int = Field(default=4, ge=1, le=32, description="How many parts are sent at once, over all.")
    bytes_per_second: int | None = Field(
        default=None, ge=16_384, description="Cap on the sending rate of this dock in bytes per second; none if absent."
    )
    longest_retry_seconds: float = Field(
        default=120.0,
        ge=1.0,
        le=3600.0,
        description="Longest pause before footage that could not be sent is tried again.",
    )


class ReporterConfig(Section):
    """The `[reporter]` section."""

    heartbeat_seconds: float = Field(
        default=15.0, ge=1.0, le=300.0, description="How often the centre is told how this dock is."
    )
    gather_seconds: float = Field(
        default=5.0,
        ge=0.0,
        le=60.0,
        description="How long facts wait for others, to be handed over together; the journal has them at once.",
    )
    longest_retry_seconds: float = Field(
        default=60.0, ge=1.0, le=3600.0, description="Longest pause before facts that were not taken are sent again."
    )
    recheck_seconds: float = Field(
        default=900.0,
        ge=10.0,
        le=86_400.0,
        description="How often a dock that has nothing to tell looks whether the centre still has its facts, and one "
        "whose record differs from the centre's whether IT has mended it.",
    )
