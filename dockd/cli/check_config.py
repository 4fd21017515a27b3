"""`dockd check-config`: say everything that is wrong in a file, and start nothing."""

from __future__ import annotations

from pathlib import Path

import click

from dockd.cli.either_config import central_option, load_either


@click.command("check-config")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@central_option
def check_config(file: Path, is_central: bool) -> None:
    """Check FILE; every mistake is listed with its line.

    Exit status 0 when it may be used, 78 when not. The environment counts as it would for `dockd run`.
    """
    load_either(file, is_central)
    click.echo(f"{file} is in order.")
