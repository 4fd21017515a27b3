"""`dockd central init`: set a centre up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from dockd.central.identity import PINNED_FILE, PUBLIC_KEY_FILE
from dockd.central.opening import initialise_centre
from dockd.central.postgres import check_address


def _without_password(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    try:
        if text is not None:
            check_address(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return text


@click.command("init")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where the centre keeps everything; made when it is not there.",
)
@click.option("--store", help="The store's id; docks pin it. Without it one is made up.")
@click.option(
    "--database-url",
    callback=_without_password,
    help="The PostgreSQL database, like postgresql://dockd@db.example/dockd; without it an SQLite file in FOLDER.",
)
@click.option(
    "--database-password-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with its password, mode 0600.",
)
def init(folder: Path, store: str | None, database_url: str | None, database_password_file: Path | None) -> None:
    """Make a centre: store id, receipt key, certificate authority, database.

    An existing one is never changed, but is given an authority for docks' certificates when it has none.
    """
    if database_password_file is not None and database_url is None:
        raise click.UsageError("--database-password-file is given without --database-url.")
    pinned = asyncio.run(
        initialise_centre(
            folder,
            store=store,
            database_url=database_url,
            database_password_file=str(database_password_file) if database_password_file else None,
        )
    )
    click.echo(f"The centre {pinned.store} is ready in {folder}.")
    if database_url is not None:
        click.echo("Its tables are in PostgreSQL: put the same database_url under [central] in its configuration.")
    click.echo(f"Docks pin what is in {folder / PINNED_FILE}:")
    click.echo(f'\n[centre]\nstore = "{pinned.store}"\nkey = "{pinned.key}"\npublic_key = "{pinned.public_key}"\n')
    click.echo(
        "A dock on another machine is enrolled instead: set docks_host and docks_url, then `dockd central invite`."
    )
    click.echo(f"{folder / PUBLIC_KEY_FILE} checks receipts with openssl. Keep a copy of {folder / 'keys'}.")
