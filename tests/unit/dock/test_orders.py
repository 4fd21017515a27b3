"""Orders by long poll."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dockd.dock.orders import OrderWatch
from dockd.errors import CentreUnavailable
from dockd.wire.messages import Order, Orders
from tests.support.clock import ManualClock, settle


class Centre:
    """Gives what it has at once, as a proxy that cuts long polls short would."""

    def __init__(self, *orders: Order) -> None:
        self.given = list(orders)
        self.asked: list[int] = []
        self.trouble = 0
        self.repeats = False

    async def orders(self, after: int, wait_seconds: int) -> Orders:
        assert wait_seconds > 0
        self.asked.append(after)
        if self.trouble:
            self.trouble -= 1
            raise CentreUnavailable("cut")
        return Orders(orders=tuple(one for one in self.given if self.repeats or one.number > after))


def order(number: int, kind: str = "HoldCamera") -> Order:
    return Order(number=number, kind=kind, body={})


@asynccontextmanager
async def watching(centre: Centre, clock: ManualClock, done: list[int]) -> AsyncIterator[None]:
    async def carry_out(one: Order) -> None:
        done.append(one.number)

    task = asyncio.create_task(OrderWatch(centre, clock, {"HoldCamera": carry_out}).run())
    await settle()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_orders_are_carried_out_once_and_in_order(clock: ManualClock) -> None:
    done: list[int] = []
    centre = Centre(order(1), order(2))
    async with watching(centre, clock, done):
        await clock.run_for(5)
        centre.given.append(order(3))
        await clock.run_for(5)
    assert done == [1, 2, 3]


async def test_unknown_kind_is_passed_over(clock: ManualClock) -> None:
    done: list[int] = []
    async with watching(Centre(order(1, "Dance"), order(2, "Dance"), order(3)), clock, done):
        await clock.run_for(5)
    assert done == [3]


async def test_centre_that_answers_at_once_is_not_asked_in_a_hot_loop(clock: ManualClock) -> None:
    centre = Centre()
    async with watching(centre, clock, []):
        await clock.run_for(10)
    assert len(centre.asked) <= 12


async def test_centre_that_repeats_old_orders_is_not_asked_in_a_hot_loop(clock: ManualClock) -> None:
    centre, done = Centre(order(1)), []
    centre.repeats = True
    async with watching(centre, clock, done):
        await clock.run_for(10)
    assert done == [1]
    assert len(centre.asked) <= 13


async def test_trouble_delays_and_loses_nothing(clock: ManualClock) -> None:
    centre, done = Centre(order(1)), []
    centre.trouble = 3
    async with watching(centre, clock, done):
        await clock.run_for(4)
        assert not done
        await clock.run_for(60)
    assert done == [1]
