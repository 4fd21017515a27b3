"""The centre as a web application and as a process: its life from start to stop, and what goes on beside answering."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from aiohttp import web

from dockd import systemd_notify
from dockd.central.api.routes import add_api
from dockd.central.belonging import check_is_of_a_centre
from dockd.central.config import CentreConfig
from dockd.central.docks_door import DocksDoor
from dockd.central.fleet.config import NO_CHANNELS, AlertsConfig
from dockd.central.opening import bucket_service, existing_database, opened
from dockd.central.pages import add_pages
from dockd.central.people.config import NO_PEOPLE, SignInConfig
from dockd.central.people.door import stand_before
from dockd.central.retention.config import KEEP_EVERYTHING, RetentionConfig
from dockd.central.services import SERVICES, Services
from dockd.central.serving import in_url, listen, prepared
from dockd.central.stores.s3.config import FOLDER_STORE, StoreConfig
from dockd.clock import Clock, SystemClock
from dockd.errors import CentreUnusable
from dockd.web.problems import Refusal, problem_middleware, unread_body_middleware
from dockd.web.requests import guard_requests

_log = structlog.get_logger(__name__)

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
    stand_before(app, is_https=sign_in.people.is_https)  # inside the docks' door, which add_api brought
    add_pages(app)
    app.middlewares.insert(0, unread_body_middleware)
    the_clock = clock or SystemClock()

    async def life(running: web.Application) -> AsyncIterator[None]:
        async with opened(config, the_clock, store_config, sign_in, alerts_config, retention_config) as (
            services,
            bucket,
        ):
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
            if config.docks_host is not None:
                beside.append(asyncio.create_task(services.connections.run(), name="docks' connections"))
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
        database = await asyncio.to_thread(existing_database, config)
        stack.push_async_callback(database.close)
        await database.open()
        await check_is_of_a_centre(database)
        service = bucket_service(store_config, database, SystemClock())
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
