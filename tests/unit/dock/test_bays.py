"""Port events become sessions: one per port, never two at once, none for a port that is no bay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from dockd.dock.bays import Bays
from dockd.driver_api import Occupied, PortEvent, Vacated
from dockd.errors import BadRequest, NotFound
from dockd.model.camera import Port
from dockd.model.ids import BayId


@dataclass(eq=False)
class Stay:
    """Stands in for a session: lives until it is undocked and its books are closed."""

    bay: BayId
    port: Port
    is_held: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    may_close: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False

    async def run(self) -> None:
        await self.gone.wait()
        await self.may_close.wait()
        self.is_over = True

    def undock(self) -> None:
        self.gone.set()

    def release(self) -> bool:
        was_held, self.is_held = self.is_held, False
        return was_held


class Station:
    """Bays over a queue of port events."""

    def __init__(self) -> None:
        self.stays: list[Stay] = []
        self.events: asyncio.Queue[PortEvent] = asyncio.Queue()
        self.bays = Bays(lambda path: None if path == "9-9" else BayId(f"bay-{path}"), self.new_session)

    def new_session(self, bay: BayId, port: Port) -> Stay:
        self.stays.append(Stay(bay, port))
        return self.stays[-1]

    @asynccontextmanager
    async def ports(self) -> AsyncIterator[AsyncIterator[PortEvent]]:
        async def events() -> AsyncIterator[PortEvent]:
            while True:
                yield await self.events.get()

        yield events()

    async def feed(self, *events: PortEvent) -> None:
        for event in (*events, None):
            if event is not None:
                self.events.put_nowait(event)
            for _ in range(10):
                await asyncio.sleep(0)


@asynccontextmanager
async def serving() -> AsyncIterator[Station]:
    station = Station()
    task = asyncio.create_task(station.bays.serve([station.ports]))
    try:
        yield station
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def port(path: str, node: str = "first") -> Port:
    return Port(path=path, node=node)


async def test_a_session_begins_and_ends_with_its_port() -> None:
    async with serving() as station:
        await station.feed(Occupied(port("1")))
        (stay,) = station.stays
        assert station.bays.sessions() == (stay,)
        stay.may_close.set()
        await station.feed(Vacated("1"))
        assert stay.is_over
        assert station.bays.sessions() == ()


async def test_the_same_arrival_told_twice_is_one_session() -> None:
    async with serving() as station:
        await station.feed(Occupied(port("1")), Occupied(port("1")))
        assert len(station.stays) == 1


async def test_sessions_of_one_port_never_overlap() -> None:
    async with serving() as station:
        await station.feed(Occupied(port("1")), Vacated("1"), Occupied(port("1", "second")))
        assert len(station.stays) == 1, "the second waits until the first has closed its books"
        station.stays[0].may_close.set()
        await station.feed()
        assert [stay.port.node for stay in station.stays] == ["first", "second"]
        assert station.bays.sessions() == (station.stays[1],)


async def test_another_device_without_a_departure_ends_the_first_session() -> None:
    async with serving() as station:
        await station.feed(Occupied(port("1")), Occupied(port("1", "second")))
        assert station.stays[0].gone.is_set()


async def test_a_camera_that_came_and_went_while_books_were_closed_never_begins() -> None:
    async with serving() as station:
        await station.feed(Occupied(port("1")), Vacated("1"), Occupied(port("1", "second")), Vacated("1"))
        station.stays[0].may_close.set()
        await station.feed()
        assert len(station.stays) == 1


async def test_a_port_that_is_no_bay_is_left_alone() -> None:
    async with serving() as station:
        await station.feed(Occupied(port("9-9")), Vacated("9-9"))
        assert station.stays == []


async def test_bays_are_apart() -> None:
    async with serving() as station:
        await station.feed(Occupied(port("1")), Occupied(port("2")), Vacated("1"))
        assert station.stays[0].gone.is_set()
        assert not station.stays[1].gone.is_set()


async def test_release_names_what_is_wrong() -> None:
    async with serving() as station:
        await station.feed(Occupied(port("1")))
        with pytest.raises(NotFound):
            station.bays.release(BayId("bay-2"))
        with pytest.raises(BadRequest):
            station.bays.release(BayId("bay-1"))
        station.stays[0].is_held = True
        station.bays.release(BayId("bay-1"))
        assert not station.stays[0].is_held


async def test_a_session_that_raises_ends_everything() -> None:
    class Broken(Stay):
        async def run(self) -> None:
            raise OSError("the journal is gone")

    station = Station()
    station.bays = Bays(BayId, Broken)
    task = asyncio.create_task(station.bays.serve([station.ports]))
    await station.feed(Occupied(port("1")))
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await task
