"""How the centre's application is put onto sockets: addresses, limits of a connection, the access log. No route.

Whoever can reach an address can open connections and then say nothing, or one byte a minute. A handshake and a
request's headers have limits here; bodies have theirs where they are read (`web.problems`, `stores.part_intake`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from dockd.errors import PortInUse

_READ_BUFFER_BYTES = 1024 * 1024
_LEAVE_WITHIN_SECONDS = 15.0
_HANDSHAKE_SECONDS = 20.0
_IDLE_SECONDS = 75.0
"""Until the headers of the first or next request are there. Above nginx's 60, so that a proxy closes first."""


@asynccontextmanager
async def serving_app(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve `app` as a centre is served; yields the port. Raises PortInUse."""
    async with prepared(app) as runner:
        yield await listen(runner, host, port)


@asynccontextmanager
async def prepared(app: web.Application) -> AsyncIterator[web.AppRunner]:
    """Start `app`; it is served where `listen` says, and stopped in order when the block is left."""
    runner = web.AppRunner(
        app,
        access_log_class=_AccessLog,
        read_bufsize=_READ_BUFFER_BYTES,
        lingering_time=0.0,  # unread_body_middleware does it, and ends when the other side leaves
        shutdown_timeout=_LEAVE_WITHIN_SECONDS,
        keepalive_timeout=_IDLE_SECONDS,
    )
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


async def listen(runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
    """Serve at one more address; returns the port. Raises PortInUse."""
    before = len(runner.addresses)
    site = web.TCPSite(runner, host, port) if tls is None else _TlsSite(runner, host, port, tls)
    try:
        await site.start()
    except OSError as error:
        raise PortInUse(f"The centre cannot listen on {host} port {port}: {error.strerror}.") from error
    return int(runner.addresses[before][1])


class _TlsSite(web.BaseSite):
    """As `web.TCPSite`, which leaves a handshake a whole minute and cannot be told otherwise."""

    __slots__ = ("_host", "_port")

    def __init__(self, runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(runner, ssl_context=tls)
        self._host = host
        self._port = port

    @property
    def name(self) -> str:
        """For logs."""
        return f"https://{in_url(self._host)}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await super().start()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the application is not prepared")
        self._server = await asyncio.get_running_loop().create_server(
            server,
            self._host,
            self._port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS,
        )


def in_url(host: str) -> str:
    """A host name or address as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


class _AccessLog(AbstractAccessLogger):
    """One line for each answer, without the query: a part's address is a permission."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        self.logger.info("%s %s %s %.3f s", request.method, request.path, response.status, time)

    @property
    def enabled(self) -> bool:
        return bool(self.logger.isEnabledFor(20))
