"""`dockd central …`: set a centre up, run it, and allow a dock another signing key."""

from __future__ import annotations

import asyncio
import base64
import binascii
from pathlib import Path

import click

from dockd.central.app import run_centre, run_verifiers
from dockd.central.identity import PINNED_FILE, PUBLIC_KEY_FILE
from dockd.central.opening import initialise_centre, open_services
from dockd.central.people.config import SignInConfig
from dockd.central.postgres import check_address
from dockd.cli.central_docks import docks, invite
from dockd.cli.central_import import import_list
from dockd.cli.central_people import people
from dockd.cli.central_retention import retention
from dockd.cli.options import config_option
from dockd.clock import SystemClock
from dockd.config import CentralConfig, load_central_config
from dockd.errors import BadRequest
from dockd.log import start_logging
from dockd.model.ids import parse_id

_KEY_BYTES = 32


def _without_password(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    try:
        if text is not None:
            check_address(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return text


@click.group("central")
def central() -> None:
    """Run the centre: take footage from docks, prove it, sign receipts."""


central.add_command(import_list)
central.add_command(invite)
central.add_command(docks)
central.add_command(people)
central.add_command(retention)


@central.command("init")
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


@central.command("run")
@config_option
def run(config_file: Path) -> None:
    """Serve docks and pages until stopped."""
    config = load_central_config(config_file)
    start_logging(config.log)
    if config.central.sign_in == "off":
        click.echo("Nobody signs in: whoever may use this machine may read and add footage.", err=True)
    running = run_centre(
        config.central,
        store_config=config.store,
        sign_in=SignInConfig(people=config.people, oidc=config.oidc),
        alerts_config=config.alerts,
        retention_config=config.retention,
    )
    asyncio.run(running)


@central.command("verifier")
@config_option
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Objects at once.")
def verifier(config_file: Path, workers: int) -> None:
    """Read objects back from the bucket for proof, beside or instead of the centres; run as many as are needed."""
    config = load_central_config(config_file)
    start_logging(config.log)
    asyncio.run(run_verifiers(config.central, config.store, workers=workers))


@central.command("accept-key")
@config_option
@click.option("--dock", required=True, help="The dock that announces another signing key.")
@click.option("--key", "public_key", required=True, help="Its new public key: Ed25519, 32 bytes in base64.")
def accept_key(config_file: Path, dock: str, public_key: str) -> None:
    """Allow a dock to go on with its chain under another key, once.

    Only after someone has seen that the dock's own key was really lost: until then the centre refuses its
    facts (`other-key`), so that nobody else can go on in its name.
    """
    parse_id(dock, "dock")
    _check_key(public_key)
    asyncio.run(_accept_key(load_central_config(config_file), dock, public_key))
    click.echo(f"Dock {dock} may announce this key once.")


async def _accept_key(config: CentralConfig, dock: str, public_key: str) -> None:
    async with open_services(config.central, SystemClock(), store_config=config.store) as services:
        await services.facts.allow_key(dock, public_key)


def _check_key(public_key: str) -> None:
    try:
        size_bytes = len(base64.b64decode(public_key, validate=True))
    except (binascii.Error, ValueError):
        size_bytes = 0
    if size_bytes != _KEY_BYTES:
        raise BadRequest("The key is not 32 bytes in base64.")
