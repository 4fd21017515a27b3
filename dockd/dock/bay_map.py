"""Which port is which bay: the map from kernel port paths to the names printed on the slots.

Knows the file `bays.toml` and how the map is learned from events; knows nothing of USB itself.

A bay is a socket, and a USB 3 socket is two kernel ports at once: a high-speed camera appears at `1-1.3`
and a SuperSpeed camera in the very same slot at `2-1.3`. Both paths belong to the bay: `port` is the one
that was learned, `companion_port` the other one where the kernel names it.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockd.driver_api import Occupied, PortEvent
from dockd.errors import BadRequest, ConfigInvalid
from dockd.model.camera import Port
from dockd.model.ids import BayId, parse_id

FOLDER_PREFIX = "folder:"
"""Ports of simulated bays: `folder:<name>` is bay `<name>` without any map."""

_PORT_PATH = re.compile(r"^[1-9]\d*-[1-9]\d*(\.[1-9]\d*)*$")
_KEYS = frozenset({"name", "port", "companion_port"})
_HEAD = """\
# Which USB port is which bay. Written by `dockd bays learn`; may be edited by hand while dockd is stopped.
# name: as printed on the slot. port: the kernel's path of the hub port, such as 1-1.3.
# companion_port: the same socket's other path, for cameras of another USB speed.
"""


@dataclass(frozen=True, slots=True)
class MappedBay:
    """One bay and its kernel port paths."""

    bay: BayId
    port: str
    companion_port: str | None = None

    @property
    def ports(self) -> tuple[str, ...]:
        """Every path at which a camera in this bay may appear."""
        return (self.port,) if self.companion_port is None else (self.port, self.companion_port)


class BayMap:
    """An unchanging map, in the order of the file."""

    def __init__(self, bays: Iterable[MappedBay] = ()) -> None:
        self.bays = tuple(bays)
        self._by_port = {port: bay.bay for bay in self.bays for port in bay.ports}
        self._names = frozenset(bay.bay for bay in self.bays)

    @property
    def ports(self) -> frozenset[str]:
        """The kernel paths of all ports that are bays."""
        return frozenset(self._by_port)

    def bay_of(self, port_path: str) -> BayId | None:
        """The bay at this port; None for a port that is no bay.

        A folder may not take the name of a mapped bay: two places cannot be one bay.
        """
        if not port_path.startswith(FOLDER_PREFIX):
            return self._by_port.get(port_path)
        try:
            name = BayId(parse_id(port_path.removeprefix(FOLDER_PREFIX), "bay"))
        except BadRequest:
            return None
        return None if name in self._names else name

    def with_bay(self, learned: MappedBay) -> BayMap:
        """The same map with this bay in it, in its old place where it had one."""
        if learned.bay in self._names:
            return BayMap(learned if bay.bay == learned.bay else bay for bay in self.bays)
        return BayMap((*self.bays, learned))

    def without(self, names: Set[BayId]) -> BayMap:
        """The same map without these bays."""
        return BayMap(bay for bay in self.bays if bay.bay not in names)


def load_bay_map(path: Path) -> BayMap:
    """Read `bays.toml`; an absent file is an empty map. Raises ConfigInvalid listing every mistake at once."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return BayMap()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"The bay map {path} cannot be read: {error}.") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"The bay map {path} is not TOML: {error}.") from error
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.replace(" ", "").startswith("[[bay]]")]
    bays, mistakes = _read_bays(document, lines)
    if mistakes:
        raise ConfigInvalid(f"The bay map {path} has mistakes:\n" + "\n".join(f"  {line}" for line in mistakes))
    return BayMap(bays)


def save_bay_map(path: Path, bay_map: BayMap) -> None:
    """Write the map so that a reader, or a power cut, finds either the old or the new one whole.

    Raises ConfigInvalid when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(bay_map_text(bay_map))
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigInvalid(
            f"The bay map {path} cannot be written: {error}.", action="Run the command as the user who owns the file."
        ) from error


def bay_map_text(bay_map: BayMap) -> str:
    """The map as TOML. Names and paths need no escapes: neither may hold a quote or a backslash."""
    parts = [_HEAD]
    for bay in bay_map.bays:
        parts.append(f'\n[[bay]]\nname = "{bay.bay}"\nport = "{bay.port}"\n')
        if bay.companion_port is not None:
            parts.append(f'companion_port = "{bay.companion_port}"\n')
    return "".join(parts)


def _read_bays(document: dict[str, Any], lines: list[int]) -> tuple[list[MappedBay], list[str]]:
    mistakes = [f"{key!r} is not known here; only [[bay]] tables are" for key in document if key != "bay"]
    tables = document.get("bay", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return [], [*mistakes, "'bay' must be written as [[bay]] tables"]
    bays: list[MappedBay] = []
    first_use: dict[str, str] = {}
    for index, table in enumerate(tables):
        place = f"line {lines[index]}" if len(lines) == len(tables) else f"bay number {index + 1}"
        wrong = _mistakes_in(table)
        for value in dict.fromkeys(table.get(key) for key in ("name", "port", "companion_port")):
            if isinstance(value, str) and first_use.setdefault(value, place) != place:
                wrong.append(f"{value!r} is used already at {first_use[value]}")
        if table.get("companion_port") is not None and table.get("companion_port") == table.get("port"):
            wrong.append("'companion_port' is the same as 'port'")
        mistakes += [f"{place}: {words}" for words in wrong]
        if not wrong:
            bays.append(MappedBay(BayId(table["name"]), table["port"], table.get("companion_port")))
    return bays, mistakes


def _mistakes_in(table: dict[str, Any]) -> list[str]:
    wrong = [f"{key!r} is not known; known are name, port, companion_port" for key in table if key not in _KEYS]
    name = table.get("name")
    try:
        if not isinstance(name, str):
            raise BadRequest("'name' is missing or not a text")
        parse_id(name, "bay")
    except BadRequest as error:
        wrong.append(error.what)
    for key in ("port", "companion_port"):
        path = table.get(key)
        if path is None and key == "companion_port":
            continue
        if not isinstance(path, str) or not _PORT_PATH.fullmatch(path):
            wrong.append(f"{key!r} must be a kernel port path such as '1-1.3', not {path!r}")
    return wrong


async def learn_bays(
    events: AsyncIterator[PortEvent],
    bay_ids: Collection[BayId],
    tell: Callable[[str], None],
    *,
    known: BayMap,
    present: Collection[str],
    save: Callable[[BayMap], None],
    companion: Callable[[Port], str | None],
) -> BayMap:
    """Learn the port of each bay in turn by having a camera put into it and taken out again.

    `present` are the ports with something in them at the start: what was there before does not answer a prompt until
    it has been taken out. A port that was learned before, now or for a bay not in `bay_ids`, is refused in words.
    `save` is called after every bay, so that what was learned stays learned when the work is broken off; bays still to
    be learned keep their old port until then. Returns the whole map.
    """
    bay_map = known
    settled = {one.bay for one in known.bays if one.bay not in bay_ids}
    busy = set(present)
    for bay in bay_ids:
        tell(f"Put a camera into bay {bay}.")
        learned: MappedBay | None = None
        async for event in events:
            if not isinstance(event, Occupied):
                busy.discard(event.port_path)
                if learned is not None and event.port_path in learned.ports:
                    break
            elif learned is not None:
                busy.add(event.port.path)
                tell(f"Something was put into USB port {event.port.path}. First take the camera out of bay {bay}.")
            elif event.port.path not in busy:
                busy.add(event.port.path)
                learned = MappedBay(bay, event.port.path, companion(event.port))
                others: set[BayId] = {
                    other for path in learned.ports if (other := bay_map.bay_of(path)) is not None and other != bay
                }
                if taken := sorted(others & settled):
                    tell(f"This is bay {taken[0]}, which is known already. Put the camera into bay {bay}.")
                    learned = None
                else:
                    bay_map = bay_map.without(others).with_bay(learned)
                    settled.add(bay)
                    save(bay_map)
                    tell(f"Bay {bay} is USB port {' and '.join(learned.ports)}. Take the camera out again.")
        else:
            return bay_map
    tell(f"{len(bay_map.bays)} bays are known.")
    return bay_map
