"""Brings messages from the outbox to people, one channel beside the other, until they are taken.

Knows the order of things: take, try, try again at once a little, put off. Trouble of one channel does not hold up the
other.
"""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import timedelta

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from dockd.central.fleet.channels import Channel, NotDelivered
from dockd.central.fleet.outbox import Outbox, Waiting
from dockd.clock import Clock
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)

_LOOK_AGAIN_SECONDS = 5.0
_ATTEMPTS_AT_ONCE = 3


class Delivery:
    """`run` never returns; `deliver_due` empties the outbox as far as it can now."""

    def __init__(
        self,
        outbox: Outbox,
        channels: tuple[Channel, ...],
        clock: Clock,
        *,
        give_up_after: timedelta,
        retry_seconds: float = 2.0,
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._clock = clock
        self._give_up_after = give_up_after
        self._retry_seconds = retry_seconds
        self._name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for channel in self._channels:
                tasks.create_task(self._serve(channel), name=f"alerts: {channel.name}")
            await asyncio.get_running_loop().create_future()  # also without a channel this goes on

    async def deliver_due(self) -> None:
        """Try every message that is due, once in each channel. Raises Refusal when the database cannot be used."""
        for channel in self._channels:
            while await self._deliver_one(channel):
                continue

    async def _serve(self, channel: Channel) -> None:
        while True:
            await self._clock.sleep(_LOOK_AGAIN_SECONDS)
            try:
                while await self._deliver_one(channel):
                    continue
            except Refusal as refusal:
                _log.warning("alerts_not_sent", channel=channel.name, reason=refusal.what)

    async def _deliver_one(self, channel: Channel) -> bool:
        """Whether there was one and the next may be looked at."""
        taken = await self._outbox.take(channel.name, self._name)
        if taken is None:
            return False
        try:
            await self._send(channel, taken)
        except NotDelivered as error:
            is_old = self._clock.now() - taken.made_at > self._give_up_after
            _log.warning("alert_message_not_sent", channel=channel.name, reason=str(error), is_given_up=is_old)
            if is_old:
                await self._outbox.give_up(taken, self._name, str(error))
                return True
            await self._outbox.put_off(taken, self._name, str(error))
            return False
        await self._outbox.mark_sent(taken)
        _log.info("alert_message_sent", channel=channel.name, message=taken.number)
        return True

    async def _send(self, channel: Channel, taken: Waiting) -> None:
        """A connection that broke once is tried again at once; what lasts is the outbox's matter."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(NotDelivered),
            stop=stop_after_attempt(_ATTEMPTS_AT_ONCE),
            wait=wait_random_exponential(multiplier=self._retry_seconds, max=self._retry_seconds * 4),
            reraise=True,
        ):
            with attempt:
                await channel.send(taken.body)
