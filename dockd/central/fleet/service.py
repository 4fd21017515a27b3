"""The fleet's parts put together, and what goes on beside answering: judging alerts and sending messages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database
from dockd.central.fleet.channels import open_channels
from dockd.central.fleet.config import AlertsConfig
from dockd.central.fleet.delivery import Delivery
from dockd.central.fleet.desk import AlertDesk
from dockd.central.fleet.evaluator import AlertEvaluator
from dockd.central.fleet.expiries import Expiries, NoCertificates
from dockd.central.fleet.history import FleetHistory
from dockd.central.fleet.outbox import Outbox
from dockd.central.fleet.queries import FleetQueries
from dockd.clock import Clock


@dataclass(frozen=True, slots=True)
class FleetServices:
    """What pages and calls ask: `places` by health, `history` of bays and search, `desk` for alerts."""

    places: FleetQueries
    history: FleetHistory
    desk: AlertDesk
    evaluator: AlertEvaluator
    delivery: Delivery

    async def run(self) -> None:
        """Judge and deliver until cancelled. Any number of processes may do it beside each other."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.evaluator.run(), name="alerts: judging")
            tasks.create_task(self.delivery.run(), name="alerts: delivery")


async def open_fleet(
    database: Database,
    clock: Clock,
    config: AlertsConfig,
    *,
    store: str,
    expiries: Expiries | None = None,
    retry_seconds: float = 2.0,
) -> FleetServices:
    """Make the parts. `retry_seconds` is the first pause within one attempt to send.

    Raises CentreUnusable when a secret that `config` names cannot be read.
    """
    channels = await asyncio.to_thread(open_channels, config, clock)
    return FleetServices(
        places=FleetQueries(database, clock, config.limits),
        history=FleetHistory(database, clock, config.limits),
        desk=AlertDesk(database, clock, CentreFacts(database, clock)),
        evaluator=AlertEvaluator(database, clock, config, expiries or NoCertificates(), store=store),
        delivery=Delivery(
            Outbox(database, clock),
            channels,
            clock,
            give_up_after=timedelta(hours=config.undelivered_hours),
            retry_seconds=retry_seconds,
        ),
    )
