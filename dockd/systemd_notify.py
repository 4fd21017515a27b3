"""Tell systemd how the service is doing (sd_notify(3)); silent where systemd did not start us."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

from dockd.clock import Clock

READY = "READY=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"

_MICROSECONDS = 1_000_000
_UNWATCHED_SECONDS = 3600.0


def notify(message: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send `message` (lines of NAME=value) and return whether it was sent.

    `NOTIFY_SOCKET` names a datagram socket: a path, or with a leading `@` one in the abstract name
    space. A systemd that does not listen is no reason to stop taking footage: failure is only returned.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.settimeout(1.0)
        out.sendto(message.encode("utf-8"), address)
        return True
    return False


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often to report: half of what systemd allows; None when it does not watch this process."""
    allowed = environ.get("WATCHDOG_USEC", "")
    watched = environ.get("WATCHDOG_PID", str(os.getpid()))
    if not allowed.isdigit() or int(allowed) == 0 or watched != str(os.getpid()):
        return None
    return int(allowed) / _MICROSECONDS / 2


async def report_alive(clock: Clock, environ: Mapping[str, str] = os.environ) -> None:
    """Tell systemd again and again that this event loop turns; for ever, also where nobody listens.

    Run it as a task of the loop that does the work, and of no other: a loop that is stuck then says nothing,
    and systemd starts the service again.
    """
    every_seconds = watchdog_seconds(environ)
    while True:
        await clock.sleep(every_seconds or _UNWATCHED_SECONDS)
        if every_seconds is not None:
            notify(WATCHDOG, environ)
