"""Which camera folder lies in which bay folder, as a stream of port events.

Knows folders and inotify. Must not know what a camera can do. Events of the kernel only say where to
look again: what is reported comes from looking, so that a lost or merged event can do no harm. A folder
counts as docked once its `camera.toml` reads well and its card is there; one that stays malformed is
reported after a quiet second, so that opening it can say what is wrong. Looking is a handful of calls on
a local folder and is done on the event loop.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dockd.driver_api import Occupied, PortEvent, Vacated
from dockd.errors import UnknownCamera
from dockd.model.camera import Port
from dockd.model.ids import ID_PATTERN
from drivers.simulated import inotify
from drivers.simulated.camera import DRIVER_NAME
from drivers.simulated.description import MOST_BYTES, parse_description
from drivers.simulated.docked import CARD_NAME, DESCRIPTION_NAME
from drivers.simulated.inotify import Inotify

PORT_PREFIX = "folder:"

_LOOK_AGAIN_SECONDS = 1.0
_SETTLE_SECONDS = 1.0
_NAME_EVENTS = (
    inotify.CREATE | inotify.DELETE | inotify.MOVED_FROM | inotify.MOVED_TO | inotify.DELETE_SELF | inotify.MOVE_SELF
)
_ARRIVAL_EVENTS = _NAME_EVENTS | inotify.CLOSE_WRITE
_BAY_NAME = re.compile(ID_PATTERN)


@dataclass(frozen=True, slots=True, order=True)
class _Occupant:
    """One folder by name and inode: the same name with another inode is another camera."""

    name: str
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class _Watch:
    """A kernel watch, and the inode it was set on: it stays with the inode when that is moved."""

    number: int
    inode: int


class BayWatch:
    """An async iterator of port events; first what is there. Use as an async context manager.

    A bay that is empty when it is first seen is told as Vacated.
    """

    def __init__(
        self,
        bays_folder: Path,
        *,
        settle_seconds: float = _SETTLE_SECONDS,
        look_again_seconds: float = _LOOK_AGAIN_SECONDS,
        use_inotify: bool = True,
    ) -> None:
        self._bays_folder = bays_folder
        self._settle_seconds = settle_seconds
        self._look_again_seconds = look_again_seconds
        self._use_inotify = use_inotify
        self._events: asyncio.Queue[PortEvent] = asyncio.Queue()
        self._occupants: dict[str, _Occupant] = {}
        self._seen: set[str] = set()
        self._unsettled: dict[_Occupant, tuple[tuple[int, ...], float]] = {}
        self._watches: dict[Path, _Watch] = {}
        self._inotify: Inotify | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> BayWatch:
        if self._use_inotify:
            with suppress(OSError):  # no instance to be had: looking again every second remains
                self._inotify = Inotify()
                asyncio.get_running_loop().add_reader(self._inotify.descriptor, self._on_readable)
        self._look_everywhere()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.descriptor)
            self._inotify.close()
            self._inotify = None

    def __aiter__(self) -> BayWatch:
        return self

    async def __anext__(self) -> PortEvent:
        return await self._events.get()

    # --- what the kernel says -----------------------------------------------------------------

    def _on_readable(self) -> None:
        if self._inotify is None:
            return
        places = {watch.number: place for place, watch in self._watches.items()}
        for event in self._inotify.read():
            place = places.get(event.watch)
            if place is None:
                continue  # overflow, or a watch just given back: looking tells
            if event.mask & inotify.IGNORED:
                self._watches.pop(place, None)
            elif event.mask & (inotify.MOVED_FROM | inotify.DELETE):
                self._note_departure(place, os.fsdecode(event.name))
        self._look_everywhere()

    def _note_departure(self, place: Path, name: str) -> None:
        """A folder left; should it be back already, that is a docking of its own."""
        bay = name if place == self._bays_folder else place.name
        occupant = self._occupants.get(bay)
        if occupant is None:
            return
        if place == self._bays_folder or (place.parent == self._bays_folder and occupant.name == name):
            self._vacate(bay)
            self._look_into(bay)

    # --- what is there ------------------------------------------------------------------------

    def _look_everywhere(self) -> None:
        wanted = {self._bays_folder}
        self._watch(self._bays_folder, _NAME_EVENTS)
        bays = {folder.name for folder in _folders_in(self._bays_folder) if _BAY_NAME.fullmatch(folder.name)}
        for bay in self._occupants.keys() - bays:
            self._vacate(bay)
        candidates: set[_Occupant] = set()
        for bay in sorted(bays):
            wanted.add(self._bays_folder / bay)
            self._watch(self._bays_folder / bay, _NAME_EVENTS)
            waiting = self._look_into(bay)
            if bay not in self._seen:
                self._seen.add(bay)
                if bay not in self._occupants:
                    self._events.put_nowait(Vacated(PORT_PREFIX + bay))  # an empty bay, so that it can be shown
            candidates |= waiting
            wanted |= {self._bays_folder / bay / one.name for one in waiting}
        self._unsettled = {one: since for one, since in self._unsettled.items() if one in candidates}
        for place in self._watches.keys() - wanted:
            self._unwatch(place)
        self._set_timer(is_all_watched=wanted <= self._watches.keys())

    def _look_into(self, bay: str) -> set[_Occupant]:
        """Report what changed in one bay; return the folders in it that are not (yet) a docked camera."""
        present = set(_folders_in(self._bays_folder / bay))
        occupant = self._occupants.get(bay)
        if occupant is not None and occupant in present:
            return set()
        if occupant is not None:
            self._vacate(bay)
        for candidate in sorted(present):
            if self._is_docked(bay, candidate):
                self._occupants[bay] = candidate
                node = str(self._bays_folder / bay / candidate.name)
                self._events.put_nowait(Occupied(Port(path=PORT_PREFIX + bay, node=node, driver_hint=DRIVER_NAME)))
                return set()
        return present

    def _is_docked(self, bay: str, candidate: _Occupant) -> bool:
        """Whether the folder is a camera: complete, or malformed and quiet for a while."""
        folder = self._bays_folder / bay / candidate.name
        self._watch(folder, _ARRIVAL_EVENTS)
        version = _version_of(folder / DESCRIPTION_NAME)
        if version is None:
            return False
        if _is_complete(folder):
            return True
        now = asyncio.get_running_loop().time()
        known_version, since = self._unsettled.get(candidate, (None, now))
        if known_version != version:
            since = now
        self._unsettled[candidate] = (version, since)
        return now - since >= self._settle_seconds

    def _vacate(self, bay: str) -> None:
        del self._occupants[bay]
        self._events.put_nowait(Vacated(PORT_PREFIX + bay))

    # --- watches and the timer ----------------------------------------------------------------

    def _watch(self, folder: Path, mask: int) -> None:
        if self._inotify is None:
            return
        with suppress(OSError):  # vanished meanwhile, or the kernel's limit: the timer looks instead
            inode = folder.stat(follow_symlinks=False).st_ino
            known = self._watches.get(folder)
            if known is not None and known.inode == inode:
                return
            self._unwatch(folder)
            self._watches[folder] = _Watch(self._inotify.add(folder, mask), inode)

    def _unwatch(self, folder: Path) -> None:
        watch = self._watches.pop(folder, None)
        if watch is None or self._inotify is None:
            return
        if all(other.number != watch.number for other in self._watches.values()):
            self._inotify.remove(watch.number)

    def _set_timer(self, *, is_all_watched: bool) -> None:
        """Look again soon while something is unsettled or cannot be watched."""
        waits = [self._settle_seconds] if self._unsettled else []
        waits += [] if is_all_watched else [self._look_again_seconds]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if waits:
            self._timer = asyncio.get_running_loop().call_later(min(waits), self._look_everywhere)


def _folders_in(folder: Path) -> list[_Occupant]:
    """The real folders in `folder` whose names do not begin with a dot and are text; none if it cannot be read."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and _is_plain(entry.name):
                    status = entry.stat(follow_symlinks=False)
                    found.append(_Occupant(entry.name, status.st_dev, status.st_ino))
    except OSError:
        return []
    return found


def _is_plain(name: str) -> bool:
    return not name.startswith(".") and name.isprintable()


def _version_of(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat(follow_symlinks=False)
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _is_complete(folder: Path) -> bool:
    try:
        with (folder / DESCRIPTION_NAME).open("rb") as file:
            parse_description(file.read(MOST_BYTES + 1))
    except (OSError, UnknownCamera):
        return False
    return (folder / CARD_NAME).is_dir()
