"""A dock's or a centre's configuration, as the verbs about configuration take it."""

from __future__ import annotations

from pathlib import Path

import click

from dockd.config.central import CentralConfig, load_central_config
from dockd.config.dock import DockConfig, load_dock_config

central_option = click.option("--central", "is_central", is_flag=True, help="The file is a centre's, not a dock's.")


def load_either(path: Path, is_central: bool) -> DockConfig | CentralConfig:
    """Read a dock's or a centre's configuration. Raises ConfigInvalid."""
    return load_central_config(path) if is_central else load_dock_config(path)
