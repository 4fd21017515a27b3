"""`dockd central people …`: the first administrator, and the way back in when nobody can sign in any more.

Whoever may read the centre's configuration and database may do this; it is a fact like everything else, under the
name `console`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from dockd.central.opening import open_people
from dockd.central.people.accounts import Account, NewAccount
from dockd.central.people.config import SignInConfig
from dockd.central.people.names import new_password, parse_line, parse_new_password, parse_person
from dockd.cli.options import config_option
from dockd.clock import SystemClock
from dockd.config.central import CentralConfig, load_central_config
from dockd.errors import BadRequest
from dockd.rules.roles import Role

CONSOLE = "console"
_LONGEST_BYTES = 4_000

_password_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True),
    help="File with the password (- for standard input). Without it one is made and printed, once.",
)


@click.group("people")
def people() -> None:
    """Who may sign in at the centre: the first administrator, lost passwords, lock-outs."""


@people.command("add-administrator")
@click.argument("name")
@click.option("--full-name", help="As the pages show it; the name itself when it is left out.")
@_password_option
@config_option
def add_administrator(name: str, full_name: str | None, password_file: Path | None, config_file: Path) -> None:
    """Add an administrator NAME, who then adds everybody else on the page People."""
    person = parse_person(name)
    shown = parse_line(full_name if full_name is not None else person, "The full name")
    config = load_central_config(config_file)
    given = _password_in(password_file, person)
    password = given if given is not None else new_password()
    asyncio.run(_add(config, person, shown, password, must_change=given is None))
    click.echo(f"{person} is an administrator of this centre.")
    if given is None:
        click.echo(f"First password, printed this once: {password}\nIt must be changed at the first sign-in.")
    if config.central.sign_in == "off":
        click.echo('Nobody is asked to sign in yet: set sign_in = "required" under [central].', err=True)


@people.command("reset-password")
@click.argument("name")
@_password_option
@config_option
def reset_password(name: str, password_file: Path | None, config_file: Path) -> None:
    """Give NAME another password, which must be changed; all of their sessions and tokens end."""
    person = parse_person(name)
    given = _password_in(password_file, person)
    password = given if given is not None else new_password()
    asyncio.run(_reset(load_central_config(config_file), person, password))
    click.echo(f"{person} has another password and may try again at once.")
    if given is None:
        click.echo(f"Printed this once: {password}")


@people.command("unlock")
@click.argument("name")
@config_option
def unlock(name: str, config_file: Path) -> None:
    """Let NAME try again at once after too many wrong passwords."""
    person = parse_person(name)
    asyncio.run(_unlock(load_central_config(config_file), person))
    click.echo(f"{person} may try again.")


@people.command("list")
@config_option
def list_people(config_file: Path) -> None:
    """List everybody with role and site."""
    for one in asyncio.run(_all(load_central_config(config_file))):
        state = "disabled" if one.is_disabled else "enabled"
        click.echo(f"{one.person}  {one.role.value}  {one.site or 'all sites'}  {state}  {one.full_name}")


async def _add(config: CentralConfig, person: str, full_name: str, password: str, *, must_change: bool) -> None:
    async with open_people(config.central, _sign_in(config), SystemClock()) as service:
        account = NewAccount(
            person=person,
            full_name=full_name,
            role=Role.ADMINISTRATOR,
            site=None,
            password_hash=await service.signing_in.hash_of(password),
            must_change_password=must_change,
        )
        await service.accounts.add(account, by=CONSOLE)


async def _reset(config: CentralConfig, person: str, password: str) -> None:
    async with open_people(config.central, _sign_in(config), SystemClock()) as service:
        hashed = await service.signing_in.hash_of(password)
        await service.accounts.set_password(person, hashed, by=CONSOLE, must_change=True)
        await service.lockout.unlock(person, by=CONSOLE)


async def _unlock(config: CentralConfig, person: str) -> None:
    async with open_people(config.central, _sign_in(config), SystemClock()) as service:
        await service.accounts.one(person)
        await service.lockout.unlock(person, by=CONSOLE)


async def _all(config: CentralConfig) -> tuple[Account, ...]:
    async with open_people(config.central, _sign_in(config), SystemClock()) as service:
        return await service.accounts.all()


def _sign_in(config: CentralConfig) -> SignInConfig:
    return SignInConfig(people=config.people, oidc=config.oidc)


def _password_in(file: Path | None, person: str) -> str | None:
    """The password in `file`, checked. Raises BadRequest."""
    if file is None:
        return None
    try:
        raw = sys.stdin.buffer.read(_LONGEST_BYTES) if os.fspath(file) == "-" else file.read_bytes()[:_LONGEST_BYTES]
        return parse_new_password(raw.decode("utf-8").rstrip("\r\n"), person)
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise BadRequest(f"{file} is not text in UTF-8.") from None
