"""Where alerts learn of certificates that end: whoever issues certificates implements it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from dockd.rules.alerts import Expiry


class Expiries(Protocol):
    """Certificates that are in use."""

    async def ending_before(self, at: datetime) -> tuple[Expiry, ...]:
        """Those that end before `at` and that nothing has replaced, also those that have ended already.

        Raises Refusal (503) when it cannot be told now.
        """


class NoCertificates:
    """For a centre that issues none."""

    async def ending_before(self, at: datetime) -> tuple[Expiry, ...]:  # noqa: ARG002 - the protocol's signature
        """None."""
        return ()
