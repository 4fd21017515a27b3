"""The configuration of a centre: one TOML file, composed of other modules' sections.

Knows which sections there are and nothing of their meaning.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from dockd.central.config import CentreConfig as CentralSection
from dockd.central.fleet.config import AlertsConfig
from dockd.central.people.config import OidcConfig, PeopleConfig
from dockd.central.retention.config import RetentionConfig
from dockd.central.stores.s3.config import StoreConfig
from dockd.config.reading import read_config
from dockd.log import LogConfig
from dockd.section import Section


class CentralConfig(Section):
    """Everything a centre is told."""

    central: CentralSection
    store: StoreConfig = Field(default=StoreConfig())
    people: PeopleConfig = Field(default=PeopleConfig())
    oidc: OidcConfig = Field(default=OidcConfig())
    alerts: AlertsConfig = Field(default=AlertsConfig())
    retention: RetentionConfig = Field(default=RetentionConfig())
    log: LogConfig = Field(default=LogConfig())


def load_central_config(path: Path, environ: Mapping[str, str] = os.environ) -> CentralConfig:
    """Read, check and return a centre's configuration. Raises ConfigInvalid listing every mistake with its line."""
    return read_config(path, CentralConfig, environ)
