"""The `[store]` section: whether footage lies in the centre's folder or in a bucket, and how that is reached."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from dockd.central.config import UrlText
from dockd.central.stores.s3.signing import Credentials, Place
from dockd.errors import CentreUnusable
from dockd.section import Section

BucketText = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
RegionText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,60}$")]


class StoreConfig(Section):
    """The `[store]` section. Without it footage lies in the centre's folder."""

    kind: Literal["folder", "s3"] = Field(default="folder", description="Where footage and manifests lie.")
    endpoint: UrlText | None = Field(
        default=None,
        description="Address of the S3 server, as the centre and all docks reach it: parts go there directly.",
    )
    bucket: BucketText | None = Field(
        default=None,
        description="The bucket, made by whoever runs the store; with versions and Object Lock where it has them.",
    )
    region: RegionText = Field(default="us-east-1", description="The region that signatures name.")
    path_style: bool = Field(
        default=True, description="The bucket stands in the path; false: in the host name, as AWS wants it."
    )
    credentials_file: str | None = Field(
        default=None,
        min_length=1,
        description="File in the form of AWS's tools (`aws_access_key_id`, `aws_secret_access_key`), mode 0600.",
    )
    credentials_profile: str = Field(default="default", min_length=1, description="Which section of that file.")
    ca_file: str | None = Field(
        default=None, min_length=1, description="Certificates that the store's own is checked with; else the system's."
    )
    timeout_seconds: int = Field(
        default=60, ge=1, le=600, description="A store that is silent for so long is asked again later."
    )
    retention_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="How long Object Lock protects each object, from its upload; 0: not. Only where the bucket has it.",
    )
    retention_mode: Literal["GOVERNANCE", "COMPLIANCE"] = Field(
        default="GOVERNANCE", description="Object Lock's mode: in COMPLIANCE nobody at all can shorten it."
    )
    verifiers: int = Field(
        default=2,
        ge=0,
        le=64,
        description="How many objects this process reads back at once; 0 where `dockd central verifier` does it.",
    )
    canary_hours: int = Field(
        default=24, ge=1, le=168, description="How often the store is tried: what does it really refuse."
    )

    @model_validator(mode="after")
    def _s3_is_complete(self) -> StoreConfig:
        if self.kind == "s3":
            missing = [name for name in ("endpoint", "bucket", "credentials_file") if getattr(self, name) is None]
            if missing:
                raise ValueError(f"a store of kind s3 needs {', '.join(missing)}")
        return self

    @property
    def place(self) -> Place:
        """Where requests go. Only for kind s3."""
        if self.endpoint is None or self.bucket is None:
            raise ValueError("only a store of kind s3 has a place")
        return Place(self.endpoint, self.region, self.bucket, self.path_style)

    def credentials(self) -> Credentials:
        """Read the credentials file. Blocking. Raises CentreUnusable, without a word of what is in the file."""
        path = Path(self.credentials_file or "")
        parser = configparser.ConfigParser(interpolation=None)
        try:
            if path.stat().st_mode & 0o077:
                raise CentreUnusable(
                    f"{path} can be read by other users.",
                    action=f"Find out who could have read it, then run: chmod 600 {path}",
                )
            parser.read_string(path.read_text(encoding="utf-8"))
            section = parser[self.credentials_profile]
            return Credentials(section["aws_access_key_id"].strip(), section["aws_secret_access_key"].strip())
        except OSError as error:
            raise CentreUnusable(f"The credentials file {path} cannot be read: {error.strerror}.") from error
        except (configparser.Error, KeyError, UnicodeDecodeError):
            raise CentreUnusable(
                f"{path} does not hold aws_access_key_id and aws_secret_access_key in [{self.credentials_profile}]."
            ) from None


FOLDER_STORE = StoreConfig()
"""The embedded default: no bucket."""
