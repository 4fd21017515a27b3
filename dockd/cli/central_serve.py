"""`dockd central run` and `verifier`: what goes on until it is stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from dockd.central.app import run_centre, run_verifiers
from dockd.central.people.config import SignInConfig
from dockd.cli.options import config_option
from dockd.config.central import load_central_config
from dockd.log import start_logging


@click.command("run")
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


@click.command("verifier")
@config_option
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Objects at once.")
def verifier(config_file: Path, workers: int) -> None:
    """Read objects back from the bucket for proof, beside or instead of the centres; run as many as are needed."""
    config = load_central_config(config_file)
    start_logging(config.log)
    asyncio.run(run_verifiers(config.central, config.store, workers=workers))
