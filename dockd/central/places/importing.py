"""Brings a list into the database: every mistake at once, all of the file or none of it, and twice is once.

Knows the order of things (read, check, compare, write) and the tables of `places`. What a line may be is in `rows`.
The file is read twice, so that memory does not grow with it and nothing is written before all of it was checked;
its digest sees to it that both times were the same file.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Table, and_, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central import tables
from dockd.central.database import Database, insert_or_replace
from dockd.central.places.csv_lines import Mistake, bounded_lines, read_cells
from dockd.central.places.rows import FORMS, Form, Row, SiteRow
from dockd.clock import Clock
from dockd.errors import BadRequest, ListRefused

MOST_ROWS = 250_000
"""More than ten times the cameras of the largest force."""
LARGEST_FILE_BYTES = 256 * 1024 * 1024
_LOT_ROWS = 1_000
_TABLES: Mapping[str, Table] = {"sites": tables.sites, "officers": tables.officers, "cameras": tables.cameras}


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or with `is_dry_run` would do, in rows."""

    rows: int
    added: int
    changed: int
    is_dry_run: bool

    @property
    def unchanged(self) -> int:
        return self.rows - self.added - self.changed


@dataclass(slots=True)
class _Known:
    """The places that the database has, in the order of their names."""

    units: dict[str, str]
    """By site."""
    docks: dict[str, list[str]] = field(default_factory=dict)
    """By site."""

    def docks_at(self, site: str) -> tuple[str, ...]:
        return tuple(self.docks.get(site, ()))


@dataclass(frozen=True, slots=True)
class _Checked:
    """A file in which nothing is wrong, beside the places that were there when it was checked."""

    rows: int
    digest: str
    known: _Known


@dataclass(slots=True)
class _Findings:
    """What one reading of the file has shown so far. Grows with the number of rows, which is bounded."""

    lines: dict[str, int] = field(default_factory=dict)
    units: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By the unit's name without regard to capitals: how it was first written, and in which line."""
    dock_lines: dict[str, tuple[str, int]] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


class ListImport:
    """Where lists of sites, officers and cameras come in."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def bring_in(self, name: str, file: Path, *, is_dry_run: bool = False) -> Imported:
        """Make the table `name` (a key of FORMS) say what `file` says; rows it does not name stay as they are.

        Raises ListRefused with every mistake; BadRequest when the file cannot be read; Refusal (503, 507). Nothing
        is changed then.
        """
        form = FORMS[name]
        async with self._database.reading() as connection:
            known = await _known(connection)
        checked = await asyncio.to_thread(_check, form, file, known)
        if is_dry_run:
            async with self._database.reading() as connection:
                return await self._compare(connection, form, file, checked, is_dry_run=True)
        async with self._database.writing() as connection:
            # One import at a time: the centre's only row is the lock on PostgreSQL, SQLite has one writer anyway.
            await connection.execute(select(tables.centre.c.place).with_for_update())
            return await self._compare(connection, form, file, checked, is_dry_run=False)

    async def _compare(
        self, connection: AsyncConnection, form: Form, file: Path, checked: _Checked, *, is_dry_run: bool
    ) -> Imported:
        known = await _known(connection)
        if form.name == "sites" and known != checked.known:
            raise ListRefused("Another import changed the sites meanwhile.", action="Import the file again.")
        now = self._clock.now()
        added = changed = 0
        digest = hashlib.sha256()
        lots = _lots(form, file, digest)
        while lot := await asyncio.to_thread(next, lots, None):
            there = await _held(connection, form, [getattr(row, form.key) for row in lot])
            new = [row for row in lot if getattr(row, form.key) not in there]
            other = [row for row in lot if _differs(row, there.get(getattr(row, form.key)), known)]
            added += len(new)
            changed += len(other)
            if not is_dry_run:
                given = ({**_values(row), "changed_at": now} for row in (*new, *other))
                await insert_or_replace(connection, _TABLES[form.name], given)
                await _place_docks(connection, (*new, *other), known)
        if digest.hexdigest() != checked.digest:
            raise ListRefused(f"{file.name} was changed while it was read.", action="Import it again.")
        if not is_dry_run and added + changed:
            await connection.execute(
                tables.list_imports.insert().values(
                    list=form.name,
                    digest=checked.digest,
                    row_count=checked.rows,
                    added_count=added,
                    changed_count=changed,
                    imported_at=now,
                )
            )
        return Imported(checked.rows, added, changed, is_dry_run)


# --- reading and checking -----------------------------------------------------------------------


def _rows(form: Form, file: Path, digest: hashlib._Hash) -> Iterator[tuple[int, Row | tuple[Mistake, ...]]]:
    """Every line's number with its row, or with what is wrong with it. Raises BadRequest."""
    try:
        with file.open("rb") as opened:
            if opened.seekable() and opened.seek(0, 2) > LARGEST_FILE_BYTES:
                raise BadRequest(f"{file.name} is larger than {LARGEST_FILE_BYTES // 1024**2} MiB.")
            opened.seek(0)
            lines = _digested(bounded_lines(opened), digest)
            for cells in read_cells(lines, columns=form.column_names, required=form.needed_names):
                yield (cells.line, (cells,) if isinstance(cells, Mistake) else form.read(cells))
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}.") from error


def _digested(lines: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for line in lines:
        digest.update(line)
        yield line


def _check(form: Form, file: Path, known: _Known) -> _Checked:
    """Read all of the file and say everything that is wrong. Raises ListRefused, BadRequest."""
    digest = hashlib.sha256()
    found = _Findings()
    count = 0
    for line, row in _rows(form, file, digest):
        count += 1
        if count > MOST_ROWS:
            found.mistakes.append(Mistake(line, None, f"More than {MOST_ROWS:,} rows; divide the file."))
            break
        if isinstance(row, tuple):
            found.mistakes += row
        else:
            found.mistakes += _contradictions(form, line, row, known, found)
    if form.name == "sites":
        found.mistakes += _contradictions_with_kept_sites(known, found)
    if found.mistakes:
        raise _refused(file, count, found.mistakes)
    return _Checked(count, digest.hexdigest(), known)


def _refused(file: Path, count: int, mistakes: Sequence[Mistake]) -> ListRefused:
    ordered = sorted(mistakes, key=lambda one: one.line)
    wrong = len({one.line for one in ordered})
    lines = [f"{file.name} {one}" for one in ordered]
    rows = "1 row" if count == 1 else f"{count:,} rows"
    are = "1 line is" if wrong == 1 else f"{wrong:,} lines are"
    return ListRefused("\n".join([*lines, f"{file.name}: {are} wrong, in {rows} that were read."]))


def _contradictions(form: Form, line: int, row: Row, known: _Known, found: _Findings) -> Iterator[Mistake]:
    """What is wrong with a row because of other rows, of the file or of the database."""
    key = getattr(row, form.key)
    first = found.lines.setdefault(key, line)
    if first != line:
        yield Mistake(line, form.key, f"{key} is in line {first} already.")
    if isinstance(row, SiteRow):
        yield from _contradictions_of_site(line, row, found)
    elif row.site is not None and row.site not in known.units:
        yield Mistake(line, "site", f"There is no site {row.site!r}; import the sites first.")


def _contradictions_of_site(line: int, row: SiteRow, found: _Findings) -> Iterator[Mistake]:
    written, first = found.units.setdefault(row.unit.casefold(), (row.unit, line))
    if written != row.unit:
        yield Mistake(line, "unit", f"{row.unit!r} is written {written!r} in line {first}.")
    for dock in row.docks:
        other, first = found.dock_lines.setdefault(dock, (row.site, line))
        if first != line:
            yield Mistake(line, "docks", f"The dock {dock} stands at {other} according to line {first}.")


def _contradictions_with_kept_sites(known: _Known, found: _Findings) -> Iterator[Mistake]:
    """Against sites that the file does not name, which therefore stay as they are."""
    for site, unit in known.units.items():
        written, line = found.units.get(unit.casefold(), (unit, 0))
        if site not in found.lines and written != unit:
            yield Mistake(line, "unit", f"{written!r} is written {unit!r} at the site {site}, which stays.")
    kept = ((dock, site) for site, docks in known.docks.items() if site not in found.lines for dock in docks)
    for dock, site in kept:
        if dock in found.dock_lines:
            words = f"The dock {dock} stands at {site}, which this file does not name; name it without this dock."
            yield Mistake(found.dock_lines[dock][1], "docks", words)


# --- comparing and writing ----------------------------------------------------------------------


def _lots(form: Form, file: Path, digest: hashlib._Hash) -> Iterator[list[Any]]:
    """The rows a thousand at a time, and an empty list never. Raises ListRefused for a file that has become bad."""
    lot: list[Any] = []
    for _line, row in _rows(form, file, digest):
        if isinstance(row, tuple):
            raise ListRefused(f"{file.name} was changed while it was read.", action="Import it again.")
        lot.append(row)
        if len(lot) == _LOT_ROWS:
            yield lot
            lot = []
    if lot:
        yield lot


async def _known(connection: AsyncConnection) -> _Known:
    sites, docks = tables.sites.c, tables.site_docks.c
    known = _Known(
        {row.site: row.unit for row in await connection.execute(select(sites.site, sites.unit).order_by(sites.site))}
    )
    for row in await connection.execute(select(docks.site, docks.dock).order_by(docks.site, docks.dock)):
        known.docks.setdefault(row.site, []).append(row.dock)
    return known


async def _held(connection: AsyncConnection, form: Form, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    table = _TABLES[form.name]
    rows = await connection.execute(select(table).where(table.c[form.key].in_(keys)))
    return {row[form.key]: dict(row) for row in rows.mappings()}


def _values(row: Row) -> dict[str, Any]:
    """The row's columns as its table has them."""
    values = {one.name: getattr(row, one.name) for one in dataclasses.fields(row)}
    values["state"] = row.state.value
    values.pop("docks", None)
    return values


def _differs(row: Row, held: dict[str, Any] | None, known: _Known) -> bool:
    """Whether the row is there and says something else."""
    if held is None:
        return False
    if any(held[name] != value for name, value in _values(row).items()):
        return True
    return isinstance(row, SiteRow) and known.docks_at(row.site) != row.docks


async def _place_docks(connection: AsyncConnection, rows: Iterable[Row], known: _Known) -> None:
    sites = [row for row in rows if isinstance(row, SiteRow)]
    for row in sites:
        gone = set(known.docks_at(row.site)) - set(row.docks)
        if gone:
            is_gone = and_(tables.site_docks.c.site == row.site, tables.site_docks.c.dock.in_(gone))
            await connection.execute(delete(tables.site_docks).where(is_gone))
    placed = ({"dock": dock, "site": row.site} for row in sites for dock in row.docks)
    await insert_or_replace(connection, tables.site_docks, placed)
