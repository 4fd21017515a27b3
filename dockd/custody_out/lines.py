"""What a manifest is made of: one line for each file of footage, under one heading for the session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dockd.custody_out.naming import footage_name
from dockd.model.ids import Digest
from dockd.rules.custody import LedgerEntry


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """One file of footage and what custody knows of it."""

    name: str
    c4: str
    entry: LedgerEntry

    @classmethod
    def of(cls, entry: LedgerEntry, c4: str) -> ManifestLine:
        """The line for a recording that has a digest."""
        return cls(footage_name(entry.recording, entry.path, entry.recorded_at), c4, entry)


@dataclass(frozen=True, slots=True)
class SessionHeading:
    """What a session's manifest says of the session. `made_at` is the moment of the fact that caused it."""

    dock: str
    session: str
    bay: str
    made_at: datetime
    version: str


def digest_of(entry: LedgerEntry) -> Digest:
    """The digest of a recording that has one. Raises ValueError."""
    if entry.digest is None:
        raise ValueError(f"{entry.recording} has no digest")
    return entry.digest
