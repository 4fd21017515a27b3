"""The dock's composition root: the only file that names the concrete parts and puts them together.

Start: journal, key, staging, drivers, page; then port watchers. One root task group: a service that
returns or raises ends the process, and systemd starts it again. On a stop signal nothing new is begun,
what runs is cancelled at its next safe point, the journal is closed in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog
from aiohttp import web

from dockd import __version__, systemd_notify
from dockd.clock import Clock
from dockd.dock.bay_board import DockBoard
from dockd.dock.bay_map import BayMap, load_bay_map
from dockd.dock.bays import Bays, PortSource
from dockd.dock.centre_client import CentreClient
from dockd.dock.centre_wire import open_http_session
from dockd.dock.desk import DeskParts, DockDesk
from dockd.dock.disk import Disk
from dockd.dock.driver_context import NoPortEvents, SessionDriverContext
from dockd.dock.enrolment_renewal import open_certificate
from dockd.dock.eviction import sweep_leftovers
from dockd.dock.hotplug import UsbWatcher
from dockd.dock.issuing import Issuing
from dockd.dock.journal import Journal
from dockd.dock.keys import ChainSigner, DockKey, load_or_create_key
from dockd.dock.kiosk.app import build_kiosk
from dockd.dock.kiosk.config import KioskConfig
from dockd.dock.manifests import ManifestService
from dockd.dock.orders import OrderWatch
from dockd.dock.policy import DockSection, PolicyConfig
from dockd.dock.privilege import HostPrivilege, PrivilegeConfig
from dockd.dock.registry import DriverRegistry
from dockd.dock.reporter import Reporter
from dockd.dock.sections import CentreConfig, ReporterConfig, UploaderConfig
from dockd.dock.services import DockedIdentities, DockServices
from dockd.dock.session import Session
from dockd.dock.staging import Staging, StagingConfig
from dockd.dock.transfer.settings import CopySettings
from dockd.dock.uploader import Uploader
from dockd.dock.usb_policy import UsbConfig, check_interfaces
from dockd.dock.worker import CameraThread
from dockd.driver_api import PortEvent
from dockd.errors import JournalUnwritable, PortInUse, ServiceFailed
from dockd.model import facts
from dockd.model.camera import Port
from dockd.model.ids import CameraId, DockId
from dockd.wire.status import DockStatus

log = structlog.get_logger(__name__)

_LEAVE_SECONDS = 15.0
"""What the page's last answers may take; the unit allows 20 s before it kills."""


Service = Callable[[], Coroutine[Any, Any, None]]
"""A part that must always run."""


class DockSettings(Protocol):
    """The sections that the dock needs; `dockd.config.DockConfig` has them all."""

    @property
    def dock(self) -> DockSection: ...
    @property
    def policy(self) -> PolicyConfig: ...
    @property
    def staging(self) -> StagingConfig: ...
    @property
    def copying(self) -> CopySettings: ...
    @property
    def centre(self) -> CentreConfig: ...
    @property
    def uploader(self) -> UploaderConfig: ...
    @property
    def reporter(self) -> ReporterConfig: ...
    @property
    def kiosk(self) -> KioskConfig: ...
    @property
    def usb(self) -> UsbConfig: ...
    @property
    def privilege(self) -> PrivilegeConfig: ...
    @property
    def drivers(self) -> Mapping[str, Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class RunningDock:
    """A dock that has started: where its page is, and what tests and tools may look at."""

    page_url: str
    desk: DockDesk
    journal: Journal
    staging: Staging


async def run_dock(
    settings: DockSettings,
    clock: Clock,
    stop: asyncio.Event,
    started: Callable[[RunningDock], None] = lambda _dock: None,
    *,
    disk: Disk | None = None,
) -> None:
    """Run the dock until `stop` is set. Raises DockdError with reaction EXIT when it cannot start or go on.

    `disk` are the file calls for the staging disk, passed in so that a failing disk can be had in a test.
    """
    async with _opened(settings, clock, disk) as (dock, services):
        started(dock)
        systemd_notify.notify(systemd_notify.READY)
        log.info("dock runs", dock=settings.dock.id, page=dock.page_url, version=__version__)
        try:
            await _until_stopped(services, stop)
        finally:
            systemd_notify.notify(systemd_notify.STOPPING)


@asynccontextmanager
async def _opened(
    settings: DockSettings, clock: Clock, disk: Disk | None
) -> AsyncIterator[tuple[RunningDock, dict[str, Service]]]:
    async with AsyncExitStack() as stack:
        privilege = HostPrivilege(settings.privilege, settings.usb)
        if settings.usb.is_enabled:
            privilege.enter()
        state_folder = Path(settings.dock.state_folder)
        dock_id = DockId(settings.dock.id)
        journal = await Journal.open(state_folder / "journal", dock=dock_id, clock=clock)
        stack.push_async_callback(journal.close)
        key_file = settings.dock.key_file
        key = load_or_create_key(state_folder, Path(key_file) if key_file is not None else None)
        staging = Staging(settings.staging, disk=disk)
        await staging.open()
        await sweep_leftovers(journal, staging)
        registry = DriverRegistry.load(settings.drivers)
        certificate = open_certificate(settings.centre, dock_id, clock)
        http = await stack.enter_async_context(open_http_session())
        tls = certificate.context if certificate is not None else None
        client = CentreClient(http, settings.centre.url, dock_id, clock, tls=tls)
        await journal.append(facts.DockStarted(version=__version__, public_key=key.public_key))
        stack.push_async_callback(_journal_stop, journal)
        parts = _Parts(settings, clock, journal, key, staging, registry, client, privilege)
        await parts.sign_chain("start")  # also over what a kill left without a checkpoint
        page_url = await stack.enter_async_context(_page(parts.desk, settings.kiosk))
        services = parts.services()
        if certificate is not None:
            services["certificate"] = partial(certificate.keep_fresh, client)
        yield RunningDock(page_url, parts.desk, journal, staging), services


async def _journal_stop(journal: Journal) -> None:
    with suppress(JournalUnwritable):  # when that is why we stop, it was told already
        await journal.append(facts.DockStopped())


class _Parts:
    """The concrete parts, made in the order in which they need each other."""

    def __init__(
        self,
        settings: DockSettings,
        clock: Clock,
        journal: Journal,
        key: DockKey,
        staging: Staging,
        registry: DriverRegistry,
        client: CentreClient,
        privilege: HostPrivilege,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._bay_map = _bay_map_of(settings.usb)
        self._usb = UsbWatcher(settings.usb, privilege, self._bay_map.ports) if settings.usb.is_enabled else None
        self._privilege = privilege
        self._clock = clock
        self._signer = ChainSigner(journal, key, clock)
        board = DockBoard(clock, [bay.bay for bay in self._bay_map.bays])
        self._uploader = self._make_uploader(journal, staging, client)
        self._reporter = Reporter(
            journal, client, clock=clock, config=settings.reporter, status=self._status_for_centre
        )
        self._orders = OrderWatch(client, clock, carry_out={})
        self._manifests = ManifestService(
            journal,
            staging,
            client,
            clock=clock,
            dock=DockId(settings.dock.id),
            state_folder=Path(settings.dock.state_folder),
            sign_chain=self._signer.sign,
        )
        session_services = DockServices(
            journal=journal,
            staging=staging,
            registry=registry,
            clock=clock,
            policy=settings.policy,
            copying=settings.copying,
            pinned=settings.centre.pinned,
            centre=client.reachability,
            board=board,
            identities=DockedIdentities(),
            check_port=self._check_port,
            admit=self._admit,
            context_for=self._context_for,
            check_agrees=self._reporter.check_agrees,
            sign_chain=self._signer.sign,
        )
        self._bays = Bays(self._bay_map.bay_of, lambda bay, port: Session(session_services, bay, port), board.know)
        self.desk = DockDesk(
            DeskParts(
                section=settings.dock,
                journal=journal,
                staging=staging,
                board=board,
                bays=self._bays,
                issuing=Issuing(journal, self._bays.sessions),
                uploader=self._uploader,
                reporter=self._reporter,
            )
        )

    def _make_uploader(self, journal: Journal, staging: Staging, client: CentreClient) -> Uploader:
        return Uploader(
            journal,
            staging,
            client,
            dock=DockId(self._settings.dock.id),
            pinned=self._settings.centre.pinned,
            clock=self._clock,
            config=self._settings.uploader,
            docked=self._docked_cameras,
        )

    async def sign_chain(self, why: str) -> None:
        """Write a signed checkpoint. Raises JournalUnwritable."""
        await self._signer.sign(why)

    def services(self) -> dict[str, Service]:
        """Everything that must always run, by name."""
        return {
            "bays": partial(self._bays.serve, self._port_sources()),
            "uploader": self._uploader.run,
            "reporter": self._reporter.run,
            "orders": self._orders.run,
            "manifests": self._manifests.run,
            "signer": self._signer.run,
            "desk": self.desk.run,
            "watchdog": partial(systemd_notify.report_alive, self._clock),
        }

    def _port_sources(self) -> list[PortSource]:
        sources: list[PortSource] = [] if self._usb is None else [self._usb.ports]
        watches = [driver.watch() for driver in self._registry.drivers]
        return sources + [_source_of(watch) for watch in watches if watch is not None]

    def _docked_cameras(self) -> frozenset[CameraId]:
        return frozenset(session.camera for session in self._bays.sessions() if session.camera is not None)

    async def _status_for_centre(self) -> DockStatus:
        return self.desk.snapshot()

    def _check_port(self, port: Port) -> None:
        if port.driver_hint is None:
            check_interfaces(port, self._settings.usb)

    async def _admit(self, port: Port) -> None:
        if self._usb is not None and port.driver_hint is None:
            await self._usb.authorise(port)

    def _context_for(self, port: Port, thread: CameraThread) -> SessionDriverContext:
        is_usb = self._usb is not None and port.driver_hint is None
        return SessionDriverContext(
            clock=self._clock,
            privilege=self._privilege,
            port=port,
            thread=thread,
            events=self._usb if is_usb and self._usb is not None else NoPortEvents(),
        )


def _source_of(watch: AbstractAsyncContextManager[AsyncIterator[PortEvent]]) -> PortSource:
    return lambda: watch


def _bay_map_of(usb: UsbConfig) -> BayMap:
    return load_bay_map(Path(usb.bays_file)) if usb.is_enabled else BayMap()


@asynccontextmanager
async def _page(desk: DockDesk, config: KioskConfig) -> AsyncIterator[str]:
    runner = web.AppRunner(build_kiosk(desk, desk, config), access_log=None, shutdown_timeout=_LEAVE_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.host, config.port)
        try:
            await site.start()
        except OSError as error:
            raise PortInUse(
                f"The page cannot be served on {config.host} port {config.port}: {error.strerror}."
            ) from error
        port = runner.addresses[0][1]
        yield f"http://{config.host}:{port}/"
    finally:
        await runner.cleanup()


async def _until_stopped(services: Mapping[str, Service], stop: asyncio.Event) -> None:
    """Run every service until `stop`; one that ends by itself, or fails, ends them all."""

    async def vital(name: str, service: Service) -> None:
        await service()
        raise ServiceFailed(f"The part {name!r} of the dock ended by itself.")

    async with asyncio.TaskGroup() as root:
        tasks = [root.create_task(vital(name, service), name=name) for name, service in services.items()]

        async def stopper() -> None:
            await stop.wait()
            for task in tasks:
                task.cancel()

        root.create_task(stopper(), name="stopper")
