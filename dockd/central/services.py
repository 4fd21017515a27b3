"""What the centre is made of, opened and handed to every call. Made in `dockd.central.app` only."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from dockd.central.api.open_connections import OpenConnections
from dockd.central.centre_facts import CentreFacts
from dockd.central.claims import Claims
from dockd.central.config import CentreConfig
from dockd.central.custody.desk import CustodyDesk
from dockd.central.custody.gathering import Gathering
from dockd.central.enrolment import Enrolment
from dockd.central.fact_intake import FactIntake
from dockd.central.fleet.service import FleetServices
from dockd.central.identity import Identity
from dockd.central.manifests import Manifests
from dockd.central.order_waits import OrderWaits
from dockd.central.ownership import Ownership
from dockd.central.places.importing import ListImport
from dockd.central.places.rollout import RolloutQueries
from dockd.central.queries import Queries
from dockd.central.retention.service import Retention
from dockd.central.store_checks import BucketRecords
from dockd.central.stores import ObjectStore
from dockd.clock import Clock

if TYPE_CHECKING:  # loaded only where people sign in
    from dockd.central.people.service import People


@dataclass(frozen=True, slots=True)
class Services:
    """An open centre. `bucket` tells of the bucket; None where footage lies in a folder.

    `people` are those who may sign in; None where nobody does.

    `stopping` is set when it is about to close: whoever waits should answer now.
    """

    config: CentreConfig
    clock: Clock
    identity: Identity
    store: ObjectStore
    facts: FactIntake
    claims: Claims
    manifests: Manifests
    queries: Queries
    waits: OrderWaits
    lists: ListImport
    rollout: RolloutQueries
    enrolment: Enrolment
    ownership: Ownership
    centre_facts: CentreFacts
    fleet: FleetServices
    custody: CustodyDesk
    gathering: Gathering
    retention: Retention
    connections: OpenConnections
    people: People | None = None
    bucket: BucketRecords | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def origin_of(self, request: web.Request) -> str:
        """How whoever asks reaches this centre, for addresses in the answer."""
        known = self.config.docks_url if request.secure else self.config.public_url
        return known or f"{request.scheme}://{request.host}"


SERVICES: web.AppKey[Services] = web.AppKey("dockd_central_services", Services)
"""Where an application holds them, once it has started."""
