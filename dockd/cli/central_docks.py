"""`dockd central invite`, `docks …` and `accept-key`: who may come in, who is in, and putting someone out."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import click

from dockd.central.config import CentreConfig
from dockd.central.enrolment import EnrolledDock, Enrolment
from dockd.central.opening import open_services
from dockd.cli.operator import operator
from dockd.cli.options import config_option
from dockd.clock import SystemClock
from dockd.config.central import CentralConfig, load_central_config
from dockd.errors import BadRequest
from dockd.model.ids import parse_id
from dockd.wire.enrolment import InviteToken

_SPAN = re.compile(r"([1-9][0-9]{0,4})(m|h|d)")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST = timedelta(days=30)
_LONGEST_WORDS = 200
_KEY_BYTES = 32

R = TypeVar("R")


class _Span(click.ParamType[timedelta]):
    """A length of time as people write it."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        found = _SPAN.fullmatch(str(value))
        span = int(found[1]) * _UNITS[found[2]] if found else timedelta(0)
        if not timedelta(0) < span <= _LONGEST:
            self.fail(f"{value!r} is not a time such as 30m, 24h or 7d (at most 30d)", param, ctx)
        return span


@click.command("invite")
@config_option
@click.option("--site", required=True, help="The station or depot where the dock stands, for people.")
@click.option("--dock", help="The only dock that may use it; needed for a dock that was enrolled or heard of before.")
@click.option("--valid", type=_Span(), default="24h", show_default=True, help="How long the token is good.")
def invite(config_file: Path, site: str, dock: str | None, valid: timedelta) -> None:
    """Print a token that enrols one dock, once. Only its hash is kept here.

    Carry it to the dock by a way that you trust, and run there: dockd enrol TOKEN
    """
    if dock is not None:
        parse_id(dock, "dock")
    if not site.strip() or len(site) > _LONGEST_WORDS:
        raise BadRequest(f"A site has a name of 1 to {_LONGEST_WORDS} characters.")
    config = load_central_config(config_file).central
    url = _docks_url(config)

    async def ask(enrolment: Enrolment) -> InviteToken:
        return await enrolment.invite(url, site=site.strip(), dock=dock, valid=valid, actor=operator())

    token = asyncio.run(_with_enrolment(config, ask))
    whom = f"dock {dock}" if dock else "one dock that is new to this centre"
    click.echo(f"For {whom} at {site.strip()}, once, until {token.expires_at:%Y-%m-%d %H:%M} UTC:", err=True)
    click.echo(token.text)
    click.echo("On the dock, as its daemon's user: dockd enrol TOKEN", err=True)


@click.group("docks")
def docks() -> None:
    """The enrolled docks."""


@docks.command("list")
@config_option
def list_docks(config_file: Path) -> None:
    """Every dock that was ever enrolled, and until when its certificate is good."""
    config = load_central_config(config_file).central
    found = asyncio.run(_with_enrolment(config, lambda enrolment: enrolment.enrolled()))
    for one in found:
        click.echo(f"{one.dock}\t{one.site}\t{_state_words(one)}")
    if not found:
        click.echo("No dock was ever enrolled.", err=True)


@docks.command("revoke")
@config_option
@click.argument("dock")
@click.option("--because", required=True, help="Why; the dock is told, and it stays on record.")
def revoke(config_file: Path, dock: str, because: str) -> None:
    """Put DOCK out, at once: its certificates and its unused tokens count no more.

    What it holds stays on it: it waits until the dock is enrolled again (`dockd central invite --dock DOCK`).
    """
    parse_id(dock, "dock")
    if not because.strip() or len(because) > _LONGEST_WORDS:
        raise BadRequest(f"Say why in 1 to {_LONGEST_WORDS} characters.")
    config = load_central_config(config_file).central
    words = because.strip()
    count = asyncio.run(_with_enrolment(config, lambda enrolment: enrolment.revoke(dock, words, actor=operator())))
    click.echo(f"Dock {dock} is out: {count} certificates revoked.")


def _docks_url(config: CentreConfig) -> str:
    """What docks are told. Raises BadRequest when the configuration does not say it."""
    if config.docks_host is None or config.docks_url is None:
        raise BadRequest(
            "The configuration does not say how docks reach this centre.",
            action='Set docks_host ("0.0.0.0", say) and docks_url ("https://centre.example:8491") in [central].',
        )
    return config.docks_url


async def _with_enrolment(config: CentreConfig, ask: Callable[[Enrolment], Awaitable[R]]) -> R:
    async with open_services(config, SystemClock()) as services:
        return await ask(services.enrolment)


def _state_words(dock: EnrolledDock) -> str:
    if dock.revoked_at is not None:
        return f"revoked {dock.revoked_at:%Y-%m-%d %H:%M} UTC: {dock.revoked_because}"
    state = "expired" if SystemClock().now() > dock.expires_at else "good until"
    return f"{state} {dock.expires_at:%Y-%m-%d %H:%M} UTC"


@click.command("accept-key")
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
