"""`dockd central retention …`: what would be deleted and why, and deleting it."""

from __future__ import annotations

import asyncio
import csv
import sys
from pathlib import Path

import click

from dockd.central.opening import open_services
from dockd.central.retention.listing import COLUMNS, listed
from dockd.central.retention.runs import RunLine
from dockd.central.retention.service import Retention
from dockd.cli.options import config_option
from dockd.clock import SystemClock
from dockd.config.central import CentralConfig, load_central_config
from dockd.web.text import count_in_words, size_in_words, utc_time


@click.group("retention")
def retention() -> None:
    """How long footage is kept: what would go, and deleting it."""


@retention.command("report")
@config_option
@click.option("--csv", "as_csv", is_flag=True, help="Every recording that would go, with the reason, as CSV.")
def report(config_file: Path, as_csv: bool) -> None:
    """Say what the next night's run would delete, as things stand now. Changes nothing."""
    asyncio.run(_report(load_central_config(config_file), as_csv=as_csv, is_now=False))


@retention.command("run")
@config_option
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Say what would be deleted now; delete nothing.")
@click.option("--by", "person", help="Your name; it is kept with what you do. Needed without --dry-run.")
def run(config_file: Path, is_dry_run: bool, person: str | None) -> None:
    """Delete what is due by policy now, as the nightly run does, with the same brake.

    Only where `delete = true` stands under [retention]. Any number of centres may run meanwhile.
    """
    config = load_central_config(config_file)
    if is_dry_run:
        asyncio.run(_report(config, as_csv=False, is_now=True))
        return
    if person is None or not person.strip():
        raise click.UsageError("--by is missing: a deletion is kept with the name of whoever asked for it.")
    done = asyncio.run(_run(config, person.strip()[:100]))
    click.echo(f"Run {done.number}: {done.due or 0:,} due, {done.deleted or 0:,} deleted, {done.kept or 0:,} kept.")
    click.echo(done.said or "")


async def _run(config: CentralConfig, person: str) -> RunLine:
    async with open_services(
        config.central, SystemClock(), store_config=config.store, retention_config=config.retention
    ) as services:
        return await services.retention.runs.run(actor=person)


async def _report(config: CentralConfig, *, as_csv: bool, is_now: bool) -> None:
    clock = SystemClock()
    async with open_services(
        config.central, clock, store_config=config.store, retention_config=config.retention
    ) as services:
        found = services.retention
        at = clock.now() if is_now else found.next_run_at
        if as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(COLUMNS)
            async for row in listed(found, at):
                writer.writerow(row)
            return
        survey = await found.survey(at)
        what = f"{count_in_words(len(survey.due), 'recording', 'recordings')}, {size_in_words(survey.size_bytes)}"
        click.echo(f"At {utc_time(at)} would go: {what}, of {survey.stored:,} in the store.")
        click.echo(f"Past their days and held: {survey.held:,}.")
        _warn(found, is_stopped=found.brake.grips(survey))
        async for row in listed(found, at):
            click.echo(f"{row[0]}  {row[-1]}")


def _warn(found: Retention, *, is_stopped: bool) -> None:
    if not found.config.delete:
        click.echo("Deleting is not turned on: nothing of this will be deleted ([retention] delete = true).")
    if is_stopped:
        click.echo("That is so much at once that the run would stop and ask a person to confirm the list.")
