"""The dock's journal: append-only facts in SQLite, and the ledger that follows from them."""

from dockd.dock.journal.assigning import AssignmentState, OpenAssignment
from dockd.dock.journal.database import DATABASE_NAME
from dockd.dock.journal.journal import Changes, Journal
from dockd.dock.journal.queries import Backlog

__all__ = ["DATABASE_NAME", "AssignmentState", "Backlog", "Changes", "Journal", "OpenAssignment"]
