"""A centre's parts, made and opened: the only module that names concrete classes, and the order in which they close."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from dockd.central.api.open_connections import OpenConnections
from dockd.central.authority import create_authority, lacks_authority, load_authority
from dockd.central.belonging import check_is_of_a_centre, claim_database
from dockd.central.centre_facts import CentreFacts
from dockd.central.claims import Claims
from dockd.central.config import CentreConfig
from dockd.central.custody.bundling import Sources
from dockd.central.custody.desk import CustodyDesk
from dockd.central.custody.gathering import Gathering
from dockd.central.custody.reading import CustodyReader
from dockd.central.database import Database, sqlite_url
from dockd.central.dock_expiries import DockExpiries
from dockd.central.enrolment import Enrolment
from dockd.central.fact_intake import FactIntake
from dockd.central.fleet.config import NO_CHANNELS, AlertsConfig
from dockd.central.fleet.service import open_fleet
from dockd.central.identity import Identity, check_is_new, create_identity, load_identity
from dockd.central.manifests import Manifests
from dockd.central.order_waits import OrderWaits
from dockd.central.ownership import Ownership
from dockd.central.people.config import NO_PEOPLE, SignInConfig
from dockd.central.people.loading import load_people
from dockd.central.places.importing import ListImport
from dockd.central.places.rollout import RolloutQueries
from dockd.central.postgres import PostgresLimits
from dockd.central.queries import Queries
from dockd.central.retention.config import KEEP_EVERYTHING, RetentionConfig
from dockd.central.retention.service import Retention
from dockd.central.services import Services
from dockd.central.stores import ObjectStore
from dockd.central.stores.files import FileStore
from dockd.central.stores.s3.config import FOLDER_STORE, StoreConfig
from dockd.clock import Clock, SystemClock
from dockd.errors import CentreUnusable
from dockd.rules.receipts import PinnedStore

if TYPE_CHECKING:  # at run time only where they are configured: see bucket_service, load_people
    from dockd.central.people.service import People
    from dockd.central.stores.s3.service import BucketService

_log = structlog.get_logger(__name__)

DATABASE_FILE = "centre.sqlite"


async def initialise_centre(
    folder: Path,
    *,
    store: str | None = None,
    database_url: str | None = None,
    database_password_file: str | None = None,
) -> PinnedStore:
    """Make a centre in `folder`: database, keys, identity, certificate authority. Returns what docks must pin.

    A centre that has no authority is given one, and nothing else. With `database_url` the tables are made in that
    PostgreSQL, else in a new SQLite file. Raises CentreUnusable when there is a centre already, or the database is
    another's; BadRequest for a bad store name; DatabaseUnreachable.
    """
    config = CentreConfig(folder=str(folder), database_url=database_url, database_password_file=database_password_file)
    if store is None and await asyncio.to_thread(lacks_authority, folder):
        pinned = (await asyncio.to_thread(load_identity, folder)).pinned
        await asyncio.to_thread(create_authority, folder, pinned.store, SystemClock().now())
        return pinned
    await asyncio.to_thread(check_is_new, folder, store=store)
    database = _database(config)
    try:
        # Before the identity, which makes the folder a centre: a kill in between leaves no centre without a database.
        await database.open()
        pinned = await asyncio.to_thread(create_identity, folder, store=store)
        await asyncio.to_thread(create_authority, folder, pinned.store, SystemClock().now())
        await claim_database(database, pinned, SystemClock())
    finally:
        await database.close()
    return pinned


@asynccontextmanager
async def open_services(
    config: CentreConfig,
    clock: Clock,
    *,
    store_config: StoreConfig = FOLDER_STORE,
    retention_config: RetentionConfig = KEEP_EVERYTHING,
) -> AsyncIterator[Services]:
    """Open everything that the centre keeps, and close it in order. Raises CentreUnusable, DatabaseUnreachable."""
    async with opened(config, clock, store_config, NO_PEOPLE, NO_CHANNELS, retention_config) as (services, _):
        yield services


@asynccontextmanager
async def open_people(config: CentreConfig, sign_in: SignInConfig, clock: Clock) -> AsyncIterator[People]:
    """Open only what people's accounts need, whether or not people sign in now. Raises as `open_services`."""
    async with contextlib.AsyncExitStack() as stack:
        database = await asyncio.to_thread(existing_database, config)
        stack.push_async_callback(database.close)
        await database.open()
        await check_is_of_a_centre(database)
        people = load_people(config, sign_in, database, CentreFacts(database, clock), clock)
        stack.push_async_callback(people.close)
        yield people


@asynccontextmanager
async def opened(
    config: CentreConfig,
    clock: Clock,
    store_config: StoreConfig,
    sign_in: SignInConfig,
    alerts_config: AlertsConfig,
    retention_config: RetentionConfig,
) -> AsyncIterator[tuple[Services, BucketService | None]]:
    """Open everything; yields it, and what a bucket needs beside. Raises as `open_services`."""
    folder = Path(config.folder)
    identity = await asyncio.to_thread(load_identity, folder)
    authority = await asyncio.to_thread(load_authority, folder)
    async with contextlib.AsyncExitStack() as stack:
        database = await asyncio.to_thread(existing_database, config)
        stack.push_async_callback(database.close)
        await database.open()
        await claim_database(database, identity.pinned, clock)
        bucket = bucket_service(store_config, database, clock) if store_config.kind == "s3" else None
        store: ObjectStore = bucket.store if bucket else _folder_store(config, identity, database, clock)
        stack.push_async_callback(store.close)
        await store.open()
        lifetime = timedelta(minutes=config.part_address_minutes)
        claims = Claims(database, store, identity, clock, address_lifetime=lifetime)
        stack.push_async_callback(claims.close)
        intake = FactIntake(database, clock, pinned=identity.pinned)
        stack.push_async_callback(intake.close)
        queries, stopping = Queries(database), asyncio.Event()
        facts = CentreFacts(database, clock)
        people = load_people(config, sign_in, database, facts, clock) if config.sign_in == "required" else None
        if people is not None:
            stack.push_async_callback(people.close)
        manifests = Manifests(database, store, clock)
        custody = Sources(database, CustodyReader(database), manifests, identity)
        retention = Retention(database, store, clock, retention_config)
        await retention.decisions.begin()
        life = timedelta(days=config.certificate_days)
        enrolment = Enrolment(database, authority, identity.pinned, clock, certificate_lifetime=life)
        services = Services(
            config=config,
            clock=clock,
            identity=identity,
            store=store,
            facts=intake,
            claims=claims,
            manifests=manifests,
            queries=queries,
            waits=OrderWaits(database, queries, stopping),
            stopping=stopping,
            bucket=bucket.records if bucket else None,
            lists=ListImport(database, clock),
            rollout=RolloutQueries(database, clock),
            enrolment=enrolment,
            ownership=Ownership(database),
            centre_facts=facts,
            people=people,
            fleet=await open_fleet(
                database, clock, alerts_config, store=identity.store, expiries=DockExpiries(enrolment)
            ),
            custody=CustodyDesk(custody, facts),
            gathering=Gathering(database, clock),
            retention=retention,
            connections=OpenConnections(enrolment, clock),
        )
        yield services, bucket


def bucket_service(config: StoreConfig, database: Database, clock: Clock) -> BucketService:
    """The one place where the S3 client comes in. Raises CentreUnusable where it is not installed."""
    try:
        from dockd.central.stores.s3.service import BucketService  # noqa: PLC0415 - a folder must not need or load it
    except ModuleNotFoundError as error:
        raise CentreUnusable(
            f"The store is a bucket, and the Python package {error.name} is not installed.",
            action="Install dockd with its extra `central`.",
        ) from error
    return BucketService(config, database, clock)


def _folder_store(config: CentreConfig, identity: Identity, database: Database, clock: Clock) -> FileStore:
    return FileStore(
        Path(config.folder),
        database=database,
        clock=clock,
        address_secret=identity.address_secret,
        floor_bytes=config.free_space_floor_bytes,
        part_idle_seconds=config.part_idle_seconds,
    )


def existing_database(config: CentreConfig) -> Database:
    """Raises CentreUnusable where there should be an SQLite file and is none."""
    folder = Path(config.folder)
    if config.database_url is None and not (folder / DATABASE_FILE).exists():
        raise CentreUnusable(
            f"There is no {DATABASE_FILE} in {folder}, and no PostgreSQL is configured.",
            action="Restore the database from its copy, or set database_url. An empty one is never begun here.",
        )
    return _database(config)


def _database(config: CentreConfig) -> Database:
    if config.database_url is None:
        return Database(sqlite_url(Path(config.folder).resolve() / DATABASE_FILE))
    password_file = config.database_password_file
    return Database(
        config.database_url,
        password_file=Path(password_file) if password_file is not None else None,
        limits=PostgresLimits(config.database_connections, config.database_statement_seconds),
    )
