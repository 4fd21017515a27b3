"""Where docks are served: the TLS of that address, and its certificate, which is renewed while it is served.

The certificate is made in memory from the centre's CA at every start and each day, so that there is none on a disk
that could be forgotten and expire, and any number of centre processes can do the same. Its validity counts from the
host's own clock, because that is what the other side's TLS compares it with. Knows no request.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from dockd.central.authority import Authority, load_authority, load_server_certificate, server_context
from dockd.central.config import CentreConfig
from dockd.clock import SystemClock
from dockd.errors import CentreUnusable

_RENEW_SECONDS = 24 * 3600.0


class DocksDoor:
    """Open it with `open`, serve `host` with `context`, and close it."""

    def __init__(self, host: str, authority: Authority, names: frozenset[str]) -> None:
        self.host = host
        self.context: ssl.SSLContext = server_context(authority)
        self._authority = authority
        self._names = names
        self._clock = SystemClock()
        self._task: asyncio.Task[None] | None = None
        self._load()

    @classmethod
    async def open(cls, config: CentreConfig) -> DocksDoor:
        """The door that `config` wants. Raises CentreUnusable."""
        if config.docks_host is None:
            raise ValueError("no docks are served over TLS")
        authority = await asyncio.to_thread(load_authority, Path(config.folder))
        if authority is None:
            raise CentreUnusable(
                f"docks_host is set, and {config.folder} has no certificate authority.",
                action=f"Run `dockd central init --folder {config.folder}`: it adds one and changes nothing else.",
            )
        return cls(config.docks_host, authority, config.certificate_names)

    def keep_certificate_fresh(self) -> asyncio.Task[None]:
        """Renew the certificate every day from now on; returns what does it."""
        self._task = asyncio.create_task(self._renew(), name="centre certificate")
        return self._task

    async def close(self) -> None:
        """Stop renewing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(_RENEW_SECONDS)
            self._load()

    def _load(self) -> None:
        load_server_certificate(self.context, self._authority, self._names, self._clock.now())
