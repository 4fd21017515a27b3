"""A real centre that serves docks over mutual TLS on loopback, and docks that are enrolled with it for real.

Also the strangers: certificates of another CA, self-made ones, and a man in the middle who is a TLS server of
his own. Nothing of TLS is replaced.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.authority import Authority, create_authority, load_server_certificate, parse_request, pem_of
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.clock import SystemClock
from dockd.dock.centre_tls import context_trusting, enrolled_context
from dockd.dock.enrolment import enrol
from dockd.dock.enrolment_files import certificate_request, new_key, private_pem
from dockd.model.ids import DockId
from dockd.model.moment import Moment
from dockd.wire.enrolment import InviteToken
from tests.support.dock_voice import DockVoice


class ShiftedClock(SystemClock):
    """The host's clock, set forward or back by a test. Only wall time is shifted."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead

    def moment(self) -> Moment:
        return super().moment().model_copy(update={"at": self.now()})


@dataclass
class EnrolledSite:
    """One centre with its door for docks open, and the folders of docks."""

    root: Path
    folder: Path
    centre: ServedCentre
    clock: ShiftedClock
    _sessions: list[aiohttp.ClientSession] = field(default_factory=list)

    @property
    def url(self) -> str:
        assert self.centre.docks_url is not None
        return self.centre.docks_url

    @property
    def ca_pem(self) -> str:
        return (self.folder / "ca.pem").read_text()

    def dock_folder(self, dock: str) -> Path:
        return self.root / "docks" / dock

    async def invite(self, dock: str | None = None, *, valid: timedelta = timedelta(hours=24)) -> InviteToken:
        enrolment = self.centre.services.enrolment
        return await enrolment.invite(self.url, site="Test station", dock=dock, valid=valid, actor="it")

    async def enrol(self, dock: str, token: str | None = None) -> Path:
        """Enrol `dock` as the command does; returns its folder."""
        text = token or (await self.invite(dock)).text
        folder = self.dock_folder(dock)
        await enrol(text, DockId(dock), folder, self.clock)
        return folder

    async def voice(self, dock: str, *, context: ssl.SSLContext | None = None) -> DockVoice:
        """A client that shows the certificate of `dock` (enrolled now when it is not), or what `context` shows."""
        if context is None and not self.dock_folder(dock).exists():
            await self.enrol(dock)
        shown = context or enrolled_context(self.dock_folder(dock))
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=shown))
        self._sessions.append(session)
        return DockVoice(session, self.url, dock)

    def stranger(self, authority: Authority, dock: str) -> ssl.SSLContext:
        """A context that trusts this centre and shows a certificate for `dock` of another authority."""
        key = new_key()
        request = parse_request(certificate_request(key, dock))
        certificate = authority.issue_to_dock(dock, request, datetime.now(UTC), timedelta(days=9))
        context = context_trusting(self.ca_pem)
        file = self.root / f"stranger-{dock}.pem"
        file.write_bytes(private_pem(key) + pem_of(certificate).encode())
        context.load_cert_chain(file)
        return context

    async def close(self) -> None:
        for session in self._sessions:
            await session.close()


@asynccontextmanager
async def enrolled_site(root: Path, *, docks_port: int = 0, **settings: Any) -> AsyncIterator[EnrolledSite]:
    """A new centre in `root`, serving, or the one that is there."""
    folder = root / "centre"
    if not folder.exists():
        where = {"database_url": settings["database_url"]} if "database_url" in settings else {}
        await initialise_centre(folder, store="store-test", **where)
    clock = ShiftedClock()
    config = CentreConfig(
        folder=str(folder), port=0, docks_host="127.0.0.1", docks_port=docks_port, free_space_floor_bytes=0, **settings
    )
    async with serving_centre(config, clock=clock) as served:
        site = EnrolledSite(root, folder, served, clock)
        try:
            yield site
        finally:
            await site.close()


def other_authority(folder: Path) -> Authority:
    """A CA that nobody pinned."""
    folder.mkdir()
    return create_authority(folder, "another", datetime.now(UTC))


@dataclass
class Impostor:
    """A man in the middle: what was sent to him."""

    url: str
    asked: list[tuple[str, str, bytes]]


@asynccontextmanager
async def impostor(authority: Authority, *, shows_ca: str) -> AsyncIterator[Impostor]:
    """A TLS server under `authority`; asked for the CA it shows `shows_ca`. It writes down everything it is sent."""
    asked: list[tuple[str, str, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.method, request.path, await request.read()))
        if request.path.endswith("/authority"):
            return web.json_response({"certificate": shows_ca})
        return web.json_response({"thank": "you"})

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_server_certificate(context, authority, {"127.0.0.1", "localhost"}, datetime.now(UTC))
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield Impostor(f"https://127.0.0.1:{runner.addresses[0][1]}", asked)
    finally:
        await runner.cleanup()
