"""Asks the centre for orders by long poll, and hands each to what carries out its kind.

Orders are numbered per dock and delivered at least once: whatever carries one out must bear getting it
again. A kind that this version does not know is logged once and passed over, so that a newer centre
does not stop an older dock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import structlog

from dockd.clock import Clock
from dockd.errors import CentreRefused, CentreUnavailable
from dockd.wire.messages import Order, Orders

_log = structlog.get_logger(__name__)

_WAIT_SECONDS = 50
_AT_LEAST_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 300.0


class OrderingCentre(Protocol):
    """What is needed of the centre."""

    async def orders(self, after: int, wait_seconds: int) -> Orders:
        """Orders numbered above `after`."""


class OrderWatch:
    """Runs in the root task group; `run` never returns."""

    def __init__(
        self,
        client: OrderingCentre,
        clock: Clock,
        carry_out: Mapping[str, Callable[[Order], Awaitable[None]]],
        *,
        after: int = 0,
    ) -> None:
        self._client = client
        self._clock = clock
        self._carry_out = carry_out
        self._after = after
        self._unknown: set[str] = set()

    async def run(self) -> None:
        """Watch for ever. Ends only by cancellation, or with an error from what carries an order out."""
        failures = 0
        while True:
            asked_monotonic = self._clock.monotonic()
            try:
                answer = await self._client.orders(self._after, _WAIT_SECONDS)
            except (CentreUnavailable, CentreRefused) as error:
                failures += 1
                asked = error.retry_after_seconds if isinstance(error, CentreUnavailable) else None
                pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10), _LONGEST_PAUSE_SECONDS)
                await self._clock.sleep(max(pause, asked or 0.0))
                continue
            failures = 0
            before = self._after
            for order in answer.orders:
                await self._take(order)
            # A centre that answers at once instead of holding the question must not be asked in a hot loop.
            if self._after == before and self._clock.monotonic() - asked_monotonic < _AT_LEAST_SECONDS:
                await self._clock.sleep(_AT_LEAST_SECONDS)

    async def _take(self, order: Order) -> None:
        if order.number <= self._after:
            return
        carry_out = self._carry_out.get(order.kind)
        if carry_out is not None:
            await carry_out(order)
        elif order.kind not in self._unknown:
            self._unknown.add(order.kind)
            _log.warning("order_unknown", kind=order.kind, number=order.number)
        self._after = order.number
