"""`dockd drivers`: what is installed, what it claims, and what is broken."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from dockd.config.dock import DRIVERS_GROUP
from dockd.driver_api import Driver, Match


@click.command("drivers")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def drivers(as_json: bool) -> None:
    """List the camera drivers that are installed; exit status 1 when one cannot be loaded."""
    rows = [_row(point) for point in sorted(entry_points(group=DRIVERS_GROUP), key=lambda point: point.name)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            click.echo(f"{row['name']}: {row['fault'] or row['summary']}")
            for claim in row["claims"]:
                click.echo(f"    claims {claim}")
        if not rows:
            click.echo("No camera driver is installed; without one the dock knows no camera.")
    if not rows or any(row["fault"] for row in rows):
        raise click.exceptions.Exit(1)


def _row(point: EntryPoint) -> dict[str, Any]:
    row: dict[str, Any] = {"name": point.name, "from": point.value, "summary": None, "claims": [], "fault": None}
    try:
        driver: Driver = point.load()
    except (ImportError, AttributeError) as error:
        row["fault"] = f"cannot be loaded: {error}"
        return row
    row["summary"] = driver.summary
    row["claims"] = [_words(match) for match in driver.matches()]
    return row


def _words(match: Match) -> str:
    words: list[str] = []
    if match.vendor_id is not None:
        words.append(f"USB vendor {match.vendor_id:04x}")
    if match.product_id is not None:
        words.append(f"product {match.product_id:04x}")
    if match.interface is not None:
        words.append("interface class {:02x}/{:02x}/{:02x}".format(*match.interface))
    if match.port_prefix is not None:
        words.append(f"ports {match.port_prefix}*")
    return ", ".join(words) or "everything"
