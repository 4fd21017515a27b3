"""Real receivers of alerts: an HTTP server and a small SMTP server on loopback, which may refuse and keep everything.

The SMTP server speaks as much of RFC 5321 as smtplib needs, line by line over a real socket.
"""

from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.policy import default

from aiohttp import web


@dataclass
class HttpReceiver:
    """Keeps every POST it took; `answers` are the statuses of the next ones, then 204."""

    url: str = ""
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    asked: int = 0
    answers: list[int] = field(default_factory=list)
    before_answer: Callable[[], None] = lambda: None

    async def post(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked += 1
        status = self.answers.pop(0) if self.answers else 204
        if status == 204:
            self.taken.append((dict(request.headers), body))
        self.before_answer()
        return web.Response(status=status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def http_receiver(port: int = 0) -> AsyncIterator[HttpReceiver]:
    """Serve one."""
    receiver = HttpReceiver()
    app = web.Application()
    app.router.add_post("/alerts", receiver.post)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/alerts"
        yield receiver
    finally:
        await runner.cleanup()


@dataclass
class SmtpReceiver:
    """Keeps every mail it took. `refusals` are replies to the next DATA instead of taking it."""

    port: int = 0
    mails: list[Message] = field(default_factory=list)
    receivers: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(words: str) -> None:
            writer.write(f"{words}\r\n".encode())
            await writer.drain()

        try:
            await say("220 mail.example.org ESMTP")
            while line := await reader.readline():
                verb = line.decode("ascii", "replace").strip()
                command = verb.partition(" ")[0].upper()
                if command == "QUIT":
                    await say("221 Bye")
                    return
                if command == "DATA":
                    await say("354 Go on")
                    content = await _content(reader)
                    if self.refusals:
                        await say(self.refusals.pop(0))
                    else:
                        self.mails.append(email.message_from_bytes(content, policy=default))
                        await say("250 Taken")
                    continue
                if command == "RCPT":
                    self.receivers.append(verb)
                await say("250 Ok" if command in ("EHLO", "HELO", "MAIL", "RCPT", "RSET", "NOOP") else "502 Unknown")
        finally:
            writer.close()


async def _content(reader: asyncio.StreamReader) -> bytes:
    """Up to the line with a dot, doubled dots undone (RFC 5321, 4.5.2)."""
    lines = []
    while (line := await reader.readline()) != b".\r\n":
        assert line, "the mail ended in the middle"
        lines.append(line.removeprefix(b"."))
    return b"".join(lines)


@asynccontextmanager
async def smtp_receiver() -> AsyncIterator[SmtpReceiver]:
    """Serve one."""
    receiver = SmtpReceiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await server.wait_closed()
