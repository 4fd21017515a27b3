"""The centre put together: the only module here that names concrete classes, and its life from open to close."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from dockd import systemd_notify
from dockd.central.api.routes import add_api
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
from dockd.central.docks_door import DocksDoor
from dockd.central.enrolment import Enrolment
from dockd.central.fact_intake import FactIntake
from dockd.central.fleet.config import NO_CHANNELS, AlertsConfig
from dockd.central.fleet.service import open_fleet
from dockd.central.identity import Identity, check_is_new, create_identity, load_identity
from dockd.central.manifests import Manifests
from dockd.central.order_waits import OrderWaits
from dockd.central.ownership import Ownership
from dockd.central.pages import add_pages
from dockd.central.people.config import NO_PEOPLE, SignInConfig
from dockd.central.people.door import people_door
from dockd.central.people.loading import load_people
from dockd.central.places.importing import ListImport
from dockd.central.places.rollout import RolloutQueries
from dockd.central.postgres import PostgresLimits
from dockd.central.queries import Queries
from dockd.central.retention.config import KEEP_EVERYTHING, RetentionConfig
from dockd.central.retention.service import Retention
from dockd.central.services import SERVICES, Services
from dockd.central.serving import in_url, listen, prepared
from dockd.central.stores import ObjectStore
from dockd.central.stores.files import FileStore
from dockd.central.stores.s3.config import FOLDER_STORE, StoreConfig
from dockd.clock import Clock, SystemClock
from dockd.errors import CentreUnusable
from dockd.rules.receipts import PinnedStore
from dockd.web.problems import Refusal, problem_middleware, unread_body_middleware
from dockd.web.requests import guard_requests

if TYPE_CHECKING:  # at run time only where they are configured: see _bucket_service, load_people
    from dockd.central.people.service import People
    from dockd.central.stores.s3.service import BucketService

_log = structlog.get_logger(__name__)

DATABASE_FILE = "centre.sqlite"
_SWEEP_SECONDS = 3600.0
_BESIDE: web.AppKey[tuple[asyncio.Task[None], ...]] = web.AppKey("dockd_central_beside", tuple)


@dataclass(frozen=True, slots=True)
class ServedCentre:
    """A centre that answers at `url` (no path)."""

    url: str
    port: int
    services: Services
    beside: tuple[asyncio.Task[None], ...]
    """What goes on beside answering. None of it ends by itself; one that has ended has failed."""
    docks_url: str | None = None
    """Where docks are served over TLS, as they reach it."""


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
    async with _opened(config, clock, store_config, NO_PEOPLE, NO_CHANNELS, retention_config) as (services, _):
        yield services


@asynccontextmanager
async def open_people(config: CentreConfig, sign_in: SignInConfig, clock: Clock) -> AsyncIterator[People]:
    """Open only what people's accounts need, whether or not people sign in now. Raises as `open_services`."""
    async with contextlib.AsyncExitStack() as stack:
        database = await asyncio.to_thread(_existing_database, config)
        stack.push_async_callback(database.close)
        await database.open()
        await check_is_of_a_centre(database)
        people = load_people(config, sign_in, database, CentreFacts(database, clock), clock)
        stack.push_async_callback(people.close)
        yield people


@asynccontextmanager
async def _opened(
    config: CentreConfig,
    clock: Clock,
    store_config: StoreConfig,
    sign_in: SignInConfig,
    alerts_config: AlertsConfig,
    retention_config: RetentionConfig,
) -> AsyncIterator[tuple[Services, BucketService | None]]:
    folder = Path(config.folder)
    identity = await asyncio.to_thread(load_identity, folder)
    authority = await asyncio.to_thread(load_authority, folder)
    async with contextlib.AsyncExitStack() as stack:
        database = await asyncio.to_thread(_existing_database, config)
        stack.push_async_callback(database.close)
        await database.open()
        await claim_database(database, identity.pinned, clock)
        bucket = _bucket_service(store_config, database, clock) if store_config.kind == "s3" else None
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
            enrolment=Enrolment(
                database,
                authority,
                identity.pinned,
                clock,
                certificate_lifetime=timedelta(days=config.certificate_days),
            ),
            ownership=Ownership(database),
            centre_facts=facts,
            people=people,
            fleet=await open_fleet(database, clock, alerts_config, store=identity.store),
            custody=CustodyDesk(custody, facts),
            gathering=Gathering(database, clock),
            retention=retention,
        )
        yield services, bucket


def build_centre(
    config: CentreConfig,
    *,
    clock: Clock | None = None,
    store_config: StoreConfig = FOLDER_STORE,
    sign_in: SignInConfig = NO_PEOPLE,
    alerts_config: AlertsConfig = NO_CHANNELS,
    retention_config: RetentionConfig = KEEP_EVERYTHING,
) -> web.Application:
    """The centre as an application. It opens its folder when it starts and closes it when it is cleaned up."""
    app = web.Application()
    guard_requests(app, allowed_hosts=config.served_names | sign_in.people.served_names)
    app.middlewares.append(problem_middleware)
    add_api(app)
    app.middlewares.append(people_door)  # inside the docks' door, which add_api brought
    add_pages(app)
    app.middlewares.insert(0, unread_body_middleware)
    the_clock = clock or SystemClock()

    async def life(running: web.Application) -> AsyncIterator[None]:
        async with _opened(config, the_clock, store_config, sign_in, alerts_config, retention_config) as opened:
            services, bucket = opened
            running[SERVICES] = services
            beside = [
                asyncio.create_task(_sweep(services), name="centre sweep"),
                asyncio.create_task(services.waits.run(), name="order waits"),
                asyncio.create_task(services.fleet.run(), name="alerts"),
                asyncio.create_task(_gather_custody(services), name="custody"),
                asyncio.create_task(services.retention.runs.keep_looking(), name="retention"),
            ]
            if bucket is not None:
                orphans_after = timedelta(hours=config.abandoned_upload_hours)
                beside.append(asyncio.create_task(bucket.run(orphans_after), name="object store"))
            beside.append(asyncio.create_task(services.retention.runs.keep_looking(), name="retention"))
            running[_BESIDE] = tuple(beside)
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)

    async def wake_waiting(running: web.Application) -> None:
        running[SERVICES].stopping.set()

    app.cleanup_ctx.append(life)
    app.on_shutdown.append(wake_waiting)
    return app


@asynccontextmanager
async def serving_centre(
    config: CentreConfig,
    *,
    clock: Clock | None = None,
    store_config: StoreConfig = FOLDER_STORE,
    sign_in: SignInConfig = NO_PEOPLE,
    alerts_config: AlertsConfig = NO_CHANNELS,
    retention_config: RetentionConfig = KEEP_EVERYTHING,
) -> AsyncIterator[ServedCentre]:
    """Serve a centre at `config.host`/`config.port` (0: any) inside this process, until the block is left.

    Raises CentreUnusable, DatabaseUnreachable, PortInUse.
    """
    app = build_centre(
        config,
        clock=clock,
        store_config=store_config,
        sign_in=sign_in,
        alerts_config=alerts_config,
        retention_config=retention_config,
    )
    async with contextlib.AsyncExitStack() as stack:
        door = await DocksDoor.open(config) if config.docks_host is not None else None
        runner = await stack.enter_async_context(prepared(app))
        port = await listen(runner, config.host, config.port)
        url, docks_url, beside = f"http://{in_url(config.host)}:{port}", None, app[_BESIDE]
        if door is not None:
            docks_port = await listen(runner, door.host, config.docks_port, door.context)
            docks_url = config.docks_url or f"https://{in_url(door.host)}:{docks_port}"
            stack.push_async_callback(door.close)
            beside = (*beside, door.keep_certificate_fresh())
        yield ServedCentre(url, port, app[SERVICES], beside, docks_url)


async def run_centre(
    config: CentreConfig,
    *,
    store_config: StoreConfig = FOLDER_STORE,
    sign_in: SignInConfig = NO_PEOPLE,
    alerts_config: AlertsConfig = NO_CHANNELS,
    retention_config: RetentionConfig = KEEP_EVERYTHING,
) -> None:
    """Serve until SIGTERM or SIGINT. Raises CentreUnusable, DatabaseUnreachable, PortInUse.

    What goes on beside answering ends the process when it fails: it is started again, instead of going on without.
    """
    asked_to_stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _ask_to_stop, asked_to_stop)
    try:
        async with serving_centre(
            config,
            store_config=store_config,
            sign_in=sign_in,
            alerts_config=alerts_config,
            retention_config=retention_config,
        ) as served:
            _log.info("centre_serving", url=served.url, docks=served.docks_url, store=served.services.identity.store)
            systemd_notify.notify(systemd_notify.READY)
            watchdog = asyncio.create_task(systemd_notify.report_alive(served.services.clock), name="watchdog")
            try:
                await asyncio.wait({asked_to_stop, *served.beside}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                watchdog.cancel()
                await asyncio.gather(watchdog, return_exceptions=True)
            systemd_notify.notify(systemd_notify.STOPPING)
            _log.info("centre_stopping")
            for task in served.beside:
                if task.done():
                    task.result()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def run_verifiers(config: CentreConfig, store_config: StoreConfig, *, workers: int) -> None:
    """Read objects back for every centre of this database, until SIGTERM or SIGINT.

    Needs no key of the centre's. Raises CentreUnusable where there is no bucket or the database is of no centre,
    DatabaseUnreachable.
    """
    if store_config.kind != "s3":
        raise CentreUnusable("The footage lies in a folder: the centre itself reads it back.", action="Nothing.")
    async with contextlib.AsyncExitStack() as stack:
        database = await asyncio.to_thread(_existing_database, config)
        stack.push_async_callback(database.close)
        await database.open()
        await check_is_of_a_centre(database)
        service = _bucket_service(store_config, database, SystemClock())
        stack.push_async_callback(service.store.close)
        await service.store.open()
        verifying = asyncio.create_task(service.verify(workers), name="verifiers")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, verifying.cancel)
            stack.callback(loop.remove_signal_handler, number)
        _log.info("verifier_ready", workers=workers, bucket=store_config.bucket)
        systemd_notify.notify(systemd_notify.READY)
        watchdog = asyncio.create_task(systemd_notify.report_alive(SystemClock()), name="watchdog")
        await asyncio.wait([verifying])
        watchdog.cancel()
        await asyncio.gather(watchdog, return_exceptions=True)
        if not verifying.cancelled():
            verifying.result()


def _bucket_service(config: StoreConfig, database: Database, clock: Clock) -> BucketService:
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


def _existing_database(config: CentreConfig) -> Database:
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


async def _sweep(services: Services) -> None:
    """Every hour, and at the start: give up uploads that nobody asks for any more."""
    older_than = timedelta(hours=services.config.abandoned_upload_hours)
    while True:
        try:
            await services.claims.give_up_abandoned(older_than)
            if services.people is not None:
                await services.people.forget_old()
        except Refusal as refusal:
            _log.warning("sweep_failed", reason=refusal.what)  # the disk or database passes; so does this
        await services.clock.sleep(_SWEEP_SECONDS)


async def _gather_custody(services: Services) -> None:
    """At the start, and every hour: what other processes of an older version took in without the account of custody."""
    while True:
        try:
            folded = await services.gathering.catch_up()
            if folded:
                _log.info("custody_gathered", facts=folded)
        except Refusal as refusal:
            _log.warning("custody_not_gathered", reason=refusal.what)
        await services.clock.sleep(_SWEEP_SECONDS)


def _ask_to_stop(asked: asyncio.Future[None]) -> None:
    if not asked.done():
        asked.set_result(None)
