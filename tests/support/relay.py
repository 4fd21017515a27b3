"""A wire between dock and centre that counts what goes over it: bytes, and every part that is sent.

Changes nothing. Knows of HTTP only what a request for a part looks like.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_PART = re.compile(rb"PUT /api/v1/uploads/([A-Za-z0-9._-]+)/parts/([0-9]+)\?")
_PIECE_BYTES = 256 * 1024


class Relay:
    """Listens on `url`, hands everything on to the centre's port."""

    def __init__(self, centre_port: int) -> None:
        self._centre_port = centre_port
        self.url = ""
        self.sent_bytes = 0
        """From the dock to the centre."""
        self.parts: Counter[tuple[str, int]] = Counter()
        """How often a part was begun, by upload and number."""
        self._connections: set[asyncio.Task[None]] = set()

    def reset(self) -> None:
        """Count from nothing again."""
        self.sent_bytes = 0
        self.parts.clear()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Relay]:
        """Relay while the block lasts."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_PIECE_BYTES)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError):
                await self._connect(reader, writer)
        finally:
            writer.close()
            self._connections.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        centre_reader, centre_writer = await asyncio.open_connection("127.0.0.1", self._centre_port)
        answers = asyncio.create_task(_copy(centre_reader, writer))
        try:
            await self._count_and_copy(reader, centre_writer)
        finally:
            centre_writer.close()
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)

    async def _count_and_copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The head of a request may be cut between two pieces: a little of the last one is looked at again.
        before = b""
        while piece := await reader.read(_PIECE_BYTES):
            self.sent_bytes += len(piece)
            seen = before + piece
            for found in _PART.finditer(seen):
                if found.end() > len(before):
                    self.parts[found[1].decode(), int(found[2])] += 1
            before = seen[-200:]
            writer.write(piece)
            await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    writer.close()
