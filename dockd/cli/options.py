"""Options that several verbs share. Must not load any configuration: every verb imports this."""

from __future__ import annotations

from pathlib import Path

import click

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
