"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path

import click

from dockd.config import CentralConfig, DockConfig, load_central_config, load_dock_config

DEFAULT_CONFIG = Path("/etc/dockd/dockd.toml")

config_option = click.option(
    "--config",
    "-c",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_CONFIG,
    show_default=True,
    envvar="DOCKD_CONFIG",
    show_envvar=True,
    help="The configuration file.",
)

central_option = click.option("--central", "is_central", is_flag=True, help="The file is a centre's, not a dock's.")


def load_either(path: Path, is_central: bool) -> DockConfig | CentralConfig:
    """Read a dock's or a centre's configuration. Raises ConfigInvalid."""
    return load_central_config(path) if is_central else load_dock_config(path)
