"""`dockd central import …`: bring the force's own lists of sites, officers and cameras to the centre."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from dockd.central.config import CentreConfig
from dockd.central.opening import open_services
from dockd.central.places.importing import Imported
from dockd.central.places.rows import FORMS
from dockd.cli.options import config_option
from dockd.clock import SystemClock
from dockd.config.central import load_central_config


@click.command("import")
@click.argument("name", metavar="sites|officers|cameras", type=click.Choice(tuple(FORMS)))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--dry-run", "is_dry_run", is_flag=True, help="Check everything and say what would change; write nothing."
)
@config_option
def import_list(name: str, file: Path, is_dry_run: bool, config_file: Path) -> None:
    """Import a list from a CSV file: all of it, or nothing and every mistake with its line.

    Rows that the file does not name stay as they are; the same file again changes nothing. Import the sites first:
    officers and cameras name them. The columns are described in docs/places.md.
    """
    done = asyncio.run(_import(load_central_config(config_file).central, name, file, is_dry_run))
    would = "would be " if is_dry_run else ""
    click.echo(
        f"{file.name}: {done.rows:,} {name} read; {done.added:,} {would}new, {done.changed:,} {would}changed, "
        f"{done.unchanged:,} as they were."
    )
    if is_dry_run:
        click.echo("Nothing was written.")


async def _import(config: CentreConfig, name: str, file: Path, is_dry_run: bool) -> Imported:
    async with open_services(config, SystemClock()) as services:
        return await services.lists.bring_in(name, file, is_dry_run=is_dry_run)
