"""`dockd issue` and `dockd release`: what the page's form does, for those who are at a keyboard."""

from __future__ import annotations

import asyncio

import click

from dockd.cli.dock_client import open_dock, url_option
from dockd.cli.status import printable
from dockd.errors import BadRequest
from dockd.model.ids import BayId, OfficerNumber, parse_id, parse_officer_number


@click.command()
@click.option("--officer", required=True, help="Badge or officer number: 1 to 16 letters, digits and hyphens.")
@url_option
def issue(officer: str, url: str) -> None:
    """Give an officer the best charged camera that is ready.

    Says which bay to take it from. Exit status 1 when none could be issued, with the reason; 2 when the
    daemon does not answer.
    """
    click.echo(asyncio.run(_issue(_checked_officer(officer), url)))


@click.command()
@click.argument("bay")
@url_option
def release(bay: str, url: str) -> None:
    """Let a HELD bay go on, after a person has dealt with it.

    The dock starts again with the camera from the beginning; nothing is erased by releasing.
    """
    try:
        name = BayId(parse_id(bay, "bay"))
    except BadRequest as error:
        raise click.BadParameter(error.what, param_hint="BAY") from None
    asyncio.run(_release(name, url))
    click.echo(f"Bay {name} goes on.")


def _checked_officer(officer: str) -> OfficerNumber:
    try:
        return parse_officer_number(officer)
    except BadRequest as error:
        raise click.BadParameter(error.what, param_hint="--officer") from None


async def _issue(officer: OfficerNumber, url: str) -> str:
    async with open_dock(url) as dock:
        answer = await dock.issue(officer)
    return printable(f"{answer['headline']}.\n{answer['words']}")


async def _release(bay: BayId, url: str) -> None:
    async with open_dock(url) as dock:
        await dock.release(bay)
