"""Whether the journal may be believed: the file's structure, and the chain of the facts in it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, func, select

from dockd.dock.journal import rows, tables
from dockd.errors import ConfigInvalid, JournalCorrupt
from dockd.model.facts import RecordedFact, chain_break
from dockd.model.ids import GENESIS, Digest, DockId

QUICK_CHECK_LIMIT_BYTES = 256 * 1024 * 1024
"""A larger file is checked by its tail alone at start; `Journal.verify_chain` checks all of it."""
TAIL_FACTS = 1000
"""How many of the last facts are checked at every start."""
FACTS_AT_ONCE = 500


def check_structure(connection: Connection, path: Path) -> None:
    """Let SQLite check its own pages, in bounded time. Raises JournalCorrupt."""
    if path.stat().st_size > QUICK_CHECK_LIMIT_BYTES:
        return
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise JournalCorrupt(f"The journal's file is damaged: {found}.")


def check_tail(connection: Connection, dock: DockId, tail_facts: int = TAIL_FACTS) -> tuple[int, Digest]:
    """Check the chain of the last `tail_facts` facts and return the head: (0, GENESIS) when empty.

    Raises JournalCorrupt, and ConfigInvalid when the journal is another dock's.
    """
    last = connection.execute(select(func.max(tables.facts.c.number))).scalar() or 0
    if last == 0:
        return 0, GENESIS
    if connection.execute(select(func.min(tables.facts.c.number))).scalar() != 1:
        raise JournalCorrupt("The journal does not begin with fact 1.")
    before = _fact_before(connection, max(1, last - tail_facts + 1))
    number = before.number if before else 0
    while number < last:
        checked = check_facts_after(connection, before, FACTS_AT_ONCE)
        if not checked:
            raise JournalCorrupt(f"Fact {number + 1} of {last} is missing from the journal.")
        before, number = checked[-1], checked[-1].number
    if before is not None and before.dock != dock:
        raise ConfigInvalid(f"The journal is that of dock {before.dock!r}, but this dock is named {dock!r}.")
    return (before.number, Digest(before.hash)) if before else (0, GENESIS)


def last_fact(connection: Connection) -> RecordedFact | None:
    """The fact with the highest number, its chain unchecked; None in an empty journal. Raises JournalCorrupt."""
    last = connection.execute(select(func.max(tables.facts.c.number))).scalar() or 0
    return _fact_before(connection, last + 1)


def check_facts_after(connection: Connection, before: RecordedFact | None, limit: int) -> tuple[RecordedFact, ...]:
    """Read at most `limit` facts that follow `before` and check every one. Raises JournalCorrupt.

    A fact must parse, continue the chain of the same dock, have the hash of its own content, be written in
    canonical form, and agree with the columns by which it is found.
    """
    number = before.number if before else 0
    chosen = select(tables.facts).where(tables.facts.c.number > number).order_by(tables.facts.c.number).limit(limit)
    checked: list[RecordedFact] = []
    for row in connection.execute(chosen).mappings():
        try:
            fact = rows.read_fact(row)
        except ValueError:
            raise JournalCorrupt(f"Fact {row['number']} of the journal cannot be read.") from None
        broken = chain_break(before, fact)
        if broken is not None:
            raise JournalCorrupt(f"The chain of the journal breaks at fact {row['number']}: {broken.value}.")
        if before is not None and before.dock != fact.dock:
            raise JournalCorrupt(f"Fact {fact.number} of the journal is of another dock.")
        if not rows.columns_agree(row, fact):
            raise JournalCorrupt(f"Fact {fact.number} of the journal is filed under what it does not say.")
        checked.append(fact)
        before = fact
    return tuple(checked)


def _fact_before(connection: Connection, number: int) -> RecordedFact | None:
    row = connection.execute(select(tables.facts).where(tables.facts.c.number == number - 1)).mappings().first()
    if row is None:
        return None
    try:
        return rows.read_fact(row)
    except ValueError:
        raise JournalCorrupt(f"Fact {row['number']} of the journal cannot be read.") from None
