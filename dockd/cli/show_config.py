"""`dockd show-config`: the configuration in force."""

from __future__ import annotations

from pathlib import Path

import click

from dockd.cli.either_config import central_option, load_either
from dockd.cli.options import config_option
from dockd.config.toml_text import config_text


@click.command("show-config")
@config_option
@click.option("--changed", is_flag=True, help="Only what differs from the defaults, with the default beside it.")
@central_option
def show_config(config_file: Path, changed: bool, is_central: bool) -> None:
    """Print the configuration in force as TOML, overrides from the environment included.

    There is no secret to hide: secrets are files, and only their paths are configured.
    """
    click.echo(config_text(load_either(config_file, is_central), changed_only=changed), nl=False)
