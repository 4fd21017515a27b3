"""HTTP/1.1 requests over one kept connection each, as cheaply as Python can: the load generator shares the processors.

Knows bytes, connections and waiting. Must not know what is asked. Requests of a line go out in order, one at a time; a
line whose connection breaks connects again and sends the same request again, as a dock does.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_RECONNECT_SECONDS = 0.2
_CONNECTING_AT_ONCE = 40
_LATER = (408, 429, 502, 503, 504, 507)
"""What a dock takes for: the same again, after a while. 500 is one too, but here it is a bug that must be seen."""


@dataclass(slots=True)
class Request:
    """Bytes to send, and whom the answer is for. `due_at` is loop time: when it should have been sent."""

    kind: str
    content: bytes
    due_at: float
    answered: Callable[[Request, int, bytes], None]
    is_cut: bool = False
    """End the connection instead of waiting for the answer, once."""


@dataclass(slots=True)
class Trouble:
    """What happened to connections and was survived by asking again."""

    cut: int = 0
    broken: int = 0
    not_now: int = 0
    connect_failures: int = 0
    words: dict[str, int] = field(default_factory=dict)


class Network:
    """Where the centre is reached. Lines are spread over `ports`; `tls` is what each dock shows, or one for all.

    Every dock has an address of its own, as docks have: what counts connections by address counts a dock's.
    """

    def __init__(self, ports: list[int], tls: Sequence[ssl.SSLContext]) -> None:
        self.ports = ports
        self._tls = tls
        self.trouble = Trouble()
        self.connecting = asyncio.Semaphore(_CONNECTING_AT_ONCE)
        self.tasks: set[asyncio.Task[None]] = set()

    def tls_of(self, dock: int) -> ssl.SSLContext | None:
        """What this dock speaks TLS with; None where nobody does."""
        return self._tls[dock % len(self._tls)] if self._tls else None

    def address_of(self, dock: int) -> str:
        """The dock's own, on loopback."""
        return f"127.1.{dock // 250}.{dock % 250 + 1}"


class Line(asyncio.Protocol):
    """One connection of one dock."""

    def __init__(self, network: Network, dock: int, port: int) -> None:
        self._network = network
        self._dock = dock
        self._port = port
        self._queue: deque[Request] = deque()
        self._current: Request | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._is_closed = False
        self._is_paused = False
        self._is_cutting = False

    @property
    def waiting(self) -> int:
        """Requests that are not answered yet."""
        return len(self._queue) + (self._current is not None)

    def ask(self, request: Request) -> None:
        """Send it when its turn comes."""
        self._queue.append(request)
        self._next()

    async def connect(self) -> None:
        """Connect, again and again until it is possible."""
        loop = asyncio.get_running_loop()
        tls, source = self._network.tls_of(self._dock), (self._network.address_of(self._dock), 0)
        while not self._is_closed:
            try:
                async with self._network.connecting, asyncio.timeout(30):
                    await loop.create_connection(
                        lambda: self,
                        "127.0.0.1",
                        self._port,
                        ssl=tls,
                        server_hostname="localhost" if tls else None,
                        local_addr=source,
                    )
            except (OSError, TimeoutError):
                self._network.trouble.connect_failures += 1
                await asyncio.sleep(_RECONNECT_SECONDS)
            else:
                return

    def close(self) -> None:
        """For good; what was not answered stays so."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._received.clear()
        self._is_cutting = False
        if self._is_paused:
            return
        if self._current is not None:
            self._send(self._current)
        else:
            self._next()

    def data_received(self, data: bytes) -> None:
        if self._is_cutting:
            return
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._current is None:
            return
        head = bytes(self._received[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._received) < end + 4 + length:
            return
        status = int(head[9:12])
        body = bytes(self._received[end + 4 : end + 4 + length])
        del self._received[: end + 4 + length]
        if status in _LATER:
            self._later(head, body)
            return
        answered, self._current = self._current, None
        answered.answered(answered, status, body)
        if b"connection: close" not in head:
            self._next()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        if self._is_closed:
            return
        if self._current is not None and not self._is_cutting:
            self._network.trouble.broken += 1
        self._reconnect()

    # --- inside ---------------------------------------------------------------------------------

    def _next(self) -> None:
        if self._current is None and self._queue and self._transport is not None and not self._is_paused:
            self._current = self._queue.popleft()
            self._send(self._current)

    def _send(self, request: Request) -> None:
        assert self._transport is not None
        self._transport.write(request.content)
        if request.is_cut:
            request.is_cut = False
            self._is_cutting = True
            self._network.trouble.cut += 1
            self._transport.close()  # what was written still goes out; the answer is never read

    def _later(self, head: bytes, body: bytes) -> None:
        """The centre says: not now. Ask again when it says, in the same turn."""
        trouble = self._network.trouble
        trouble.not_now += 1
        words = body.decode("utf-8", "replace")[:200]
        trouble.words[words] = trouble.words.get(words, 0) + 1
        at = head.find(b"retry-after:")
        seconds = float(head[at + 12 :].split(b"\r\n", 1)[0]) if at >= 0 else 1.0
        self._is_paused = True
        asyncio.get_running_loop().call_later(seconds, self._again)

    def _again(self) -> None:
        self._is_paused = False
        if self._transport is not None and self._current is not None:
            self._send(self._current)

    def _reconnect(self) -> None:
        task = asyncio.get_running_loop().create_task(self.connect())
        self._network.tasks.add(task)
        task.add_done_callback(self._network.tasks.discard)


def request_bytes(method: str, path: str, body: bytes = b"", *, headers: str = "") -> bytes:
    """One request; a body without `headers` is JSON."""
    kind = "" if not body else headers or "Content-Type: application/json\r\n"
    length = f"Content-Length: {len(body)}\r\n" if method != "GET" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{kind}{length}\r\n".encode() + body
