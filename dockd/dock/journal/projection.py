"""The projections of the facts: which rows of `ledger` and `assignments` follow from them.

Folds facts with `rules.custody.apply_fact` over what the tables hold, all of one append or nothing. The
projections can be rebuilt from the facts at any time, and compared with a replay of all facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import Insert, insert

from dockd.dock.journal import rows, tables
from dockd.dock.journal.assigning import apply_assignment_fact, assignment_of
from dockd.dock.journal.rows import ListedEntry, NumberedAssignment
from dockd.lots import in_lots
from dockd.model.facts import RecordedFact
from dockd.model.ids import RecordingId
from dockd.rules.custody import LedgerBreak, apply_fact, recording_of

PROJECTION_VERSION = 1
"""Raise it whenever the same facts shall give other rows; the next opening rebuilds them."""

_FACTS_AT_ONCE = 500
_NAMES_AT_ONCE = 500
_LARGEST_INTEGER = 2**63 - 1


def _upsert(table: Table, key: str) -> Insert:
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=[key],
        set_={column.name: statement.excluded[column.name] for column in table.columns if column.name != key},
    )


def _named(table: Table, key: str) -> Select[Any]:
    return select(table).where(table.c[key].in_(bindparam("names", expanding=True)))


# Built once: these are asked for every fact, and building one takes longer than SQLite needs for its answer.
_SAVE_ENTRY = _upsert(tables.ledger, "recording")
_SAVE_ASSIGNMENT = _upsert(tables.assignments, "assignment")
_ENTRIES = _named(tables.ledger, "recording")
_ASSIGNMENTS = _named(tables.assignments, "assignment")
_FACTS_AFTER = (
    select(tables.facts.c.body, tables.facts.c.hash)
    .where(tables.facts.c.number > bindparam("number"))
    .order_by(tables.facts.c.number)
    .limit(bindparam("limit"))
)


class Fold:
    """Rows as they stood, the facts folded over them, and which rows that changed."""

    def __init__(self) -> None:
        self._entries: dict[RecordingId, ListedEntry] = {}
        self._assignments: dict[str, NumberedAssignment] = {}
        self._changed_entries: set[RecordingId] = set()
        self._changed_assignments: set[str] = set()

    def load(self, connection: Connection, recordings: Iterable[RecordingId], assignments: Iterable[str]) -> None:
        """Read the rows that facts about these may change; unknown ones are not an error."""
        for entry in _rows(connection, _ENTRIES, set(recordings) - self._entries.keys()):
            listed = rows.read_listed(entry)
            self._entries[listed.entry.recording] = listed
        for assignment in _rows(connection, _ASSIGNMENTS, set(assignments) - self._assignments.keys()):
            numbered = rows.read_numbered(assignment)
            self._assignments[numbered.assignment.assignment] = numbered

    def load_for(self, connection: Connection, facts: Sequence[RecordedFact]) -> None:
        """Read the rows that these facts may change."""
        self.load(
            connection,
            (recording for one in facts if (recording := recording_of(one.fact)) is not None),
            (assignment for one in facts if (assignment := assignment_of(one.fact)) is not None),
        )

    def knows(self, recording: RecordingId) -> bool:
        """Whether `recording` is in the ledger, as far as it was loaded or folded."""
        return recording in self._entries

    def apply(self, facts: Sequence[RecordedFact]) -> None:
        """Fold `facts` in, all or none. Raises LedgerBreak for the first that does not follow."""
        entries: dict[RecordingId, ListedEntry] = {}
        assignments: dict[str, NumberedAssignment] = {}
        for one in facts:
            if (recording := recording_of(one.fact)) is not None:
                entries[recording] = _folded(entries.get(recording, self._entries.get(recording)), one)
            if (assignment := assignment_of(one.fact)) is not None:
                known = assignments.get(assignment, self._assignments.get(assignment))
                assignments[assignment] = NumberedAssignment(
                    assignment=apply_assignment_fact(known.assignment if known else None, one),
                    number=known.number if known else one.number,
                )
        self._entries |= entries
        self._assignments |= assignments
        self._changed_entries |= entries.keys()
        self._changed_assignments |= assignments.keys()

    def write(self, connection: Connection) -> None:
        """Write the rows that changed, in the caller's transaction."""
        if self._changed_entries:
            connection.execute(_SAVE_ENTRY, self.ledger_rows(self._changed_entries))
        if self._changed_assignments:
            connection.execute(_SAVE_ASSIGNMENT, self.assignment_rows(self._changed_assignments))
        self._changed_entries.clear()
        self._changed_assignments.clear()

    def ledger_rows(self, recordings: Collection[RecordingId] | None = None) -> list[dict[str, Any]]:
        """Rows of these recordings, or of all, in the order in which they were listed."""
        chosen = self._entries.values() if recordings is None else [self._entries[one] for one in recordings]
        return [rows.ledger_row(one) for one in sorted(chosen, key=lambda one: one.listed_number)]

    def assignment_rows(self, assignments: Collection[str] | None = None) -> list[dict[str, Any]]:
        """Rows of these assignments, or of all, in the order in which they began."""
        chosen = self._assignments.values() if assignments is None else [self._assignments[one] for one in assignments]
        return [rows.assignment_row(one) for one in sorted(chosen, key=lambda one: one.number)]


def _folded(known: ListedEntry | None, one: RecordedFact) -> ListedEntry:
    entry = apply_fact(known.entry if known else None, one.fact)
    if not 0 <= entry.size_bytes <= _LARGEST_INTEGER or entry.generation > _LARGEST_INTEGER:
        raise LedgerBreak(f"the size of {entry.recording} cannot be that of a file")
    if known is None:
        return ListedEntry(entry=entry, listed_number=one.number, listed_at=one.moment.at)
    return ListedEntry(entry=entry, listed_number=known.listed_number, listed_at=known.listed_at)


def _rows(connection: Connection, named: Select[Any], names: Collection[str]) -> Iterator[Any]:
    for some in in_lots(list(names), _NAMES_AT_ONCE):
        yield from connection.execute(named, {"names": some}).mappings()


# --- all facts ------------------------------------------------------------------------------------


def read_facts_after(connection: Connection, number: int, limit: int) -> list[RecordedFact]:
    """At most `limit` facts above `number`, in order. Raises ValueError for a damaged body."""
    found = connection.execute(_FACTS_AFTER, {"number": number, "limit": limit})
    return [rows.read_fact(row) for row in found.mappings()]


def is_current(connection: Connection) -> bool:
    """Whether the projections were built by this version's rules."""
    return connection.execute(select(tables.projection.c.version)).scalar() == PROJECTION_VERSION


def rebuild(connection: Connection) -> None:
    """Throw the projections away and fold all facts again, in the caller's transaction; constant memory.

    Checkpoints and finished parts of recordings that are in the ledger stay. Raises LedgerBreak when the
    facts contradict each other, ValueError when one cannot be read; the caller then rolls back.
    """
    connection.execute(delete(tables.ledger))
    connection.execute(delete(tables.assignments))
    number = 0
    while batch := read_facts_after(connection, number, _FACTS_AT_ONCE):
        fold = Fold()
        fold.load_for(connection, batch)
        fold.apply(batch)
        fold.write(connection)
        number = batch[-1].number
    known = select(tables.ledger.c.recording)
    for table in (tables.checkpoints, tables.finished_parts):
        connection.execute(delete(table).where(table.c.recording.not_in(known)))
    connection.execute(update(tables.projection).values(version=PROJECTION_VERSION))


def differences(connection: Connection) -> tuple[str, ...]:
    """Where the projections differ from a replay of all facts, in words; empty when they are equal.

    Holds one entry per recording in memory. Raises LedgerBreak and ValueError like `rebuild`.
    """
    fold = Fold()
    number = 0
    while batch := read_facts_after(connection, number, _FACTS_AT_ONCE):
        fold.apply(batch)
        number = batch[-1].number
    found: list[str] = []
    for table, key, replayed in (
        (tables.ledger, "recording", fold.ledger_rows()),
        (tables.assignments, "assignment", fold.assignment_rows()),
    ):
        stored = {row[key]: dict(row) for row in connection.execute(select(table)).mappings()}
        expected = {row[key]: row for row in replayed}
        for name in sorted(stored.keys() | expected.keys()):
            found += _difference(table.name, name, stored.get(name), expected.get(name))
    return tuple(found)


def _difference(table: str, name: str, stored: dict[str, Any] | None, expected: dict[str, Any] | None) -> list[str]:
    if stored is None or expected is None:
        return [f"{table}: {name} is {'missing' if stored is None else 'in no fact'}"]
    return [
        f"{table}: {name} has {column} {stored[column]!r}, the facts say {value!r}"
        for column, value in expected.items()
        if stored[column] != value
    ]
