"""Connections of docks that are open, so that those of a dock that was put out can be closed.

Each request is judged when it comes (`api.access`); this is for what is already on its way then: a download that
runs for hours, a body that is still being sent. One question to the database serves all connections of a process.
Knows connections and fingerprints of certificates; must not know what is asked over them.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary, WeakSet

import structlog

from dockd.central.enrolment import Enrolment, ShownCertificate
from dockd.clock import Clock
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)

_LOOK_SECONDS = 3.0


class OpenConnections:
    """Who is connected, by certificate."""

    def __init__(self, enrolment: Enrolment, clock: Clock) -> None:
        self._enrolment = enrolment
        self._clock = clock
        self._read: WeakKeyDictionary[asyncio.Transport, ShownCertificate] = WeakKeyDictionary()
        self._good: WeakSet[asyncio.Transport] = WeakSet()

    def certificate_of(self, transport: asyncio.Transport) -> ShownCertificate | None:
        """What the other side of this connection showed when it was made; None for nothing.

        Read once for each connection: TLS lets nobody show another one later (we never ask again).
        """
        shown = self._read.get(transport)
        if shown is None:
            tls = transport.get_extra_info("ssl_object")
            der = tls.getpeercert(binary_form=True) if tls is not None else None
            if not der:
                return None
            shown = self._read[transport] = ShownCertificate.of(der)
        return shown

    def note(self, transport: asyncio.Transport) -> None:
        """The certificate of this connection, which `certificate_of` has read, was found good."""
        self._good.add(transport)

    async def run(self) -> None:
        """Close, for ever, the connections of docks that were put out; at most some seconds after that was done."""
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            for transport in [one for one in self._good if one.is_closing()]:
                self._good.discard(transport)
            try:
                put_out = await self._enrolment.put_out(frozenset(self._read[one].fingerprint for one in self._good))
            except Refusal as refusal:
                _log.debug("open_connections_not_looked_at", reason=refusal.what)  # the next look may
                continue
            for transport in list(self._good):
                fingerprint = self._read[transport].fingerprint
                if fingerprint in put_out:
                    self._good.discard(transport)
                    transport.abort()
                    _log.info("connection_of_put_out_dock_closed", fingerprint=fingerprint)
