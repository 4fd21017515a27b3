"""All accounts of one dock's chain, made by reading its facts once in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dockd.custody_out.accounts import (
    HolderAccount,
    RecordingAccount,
    SessionAccount,
    is_of_account,
    wants_holder,
    wants_recording,
    wants_session,
)
from dockd.model import facts
from dockd.model.facts import RecordedFact
from dockd.rules.custody import recording_of
from dockd.wire.custody import CustodyHolder, CustodyRecording, CustodySelection, CustodySession


@dataclass(slots=True)
class ChainAccounts:
    """What one chain amounts to. Memory grows with its recordings and sessions, not with its facts."""

    dock: str
    recordings: dict[str, RecordingAccount] = field(default_factory=dict)
    sessions: dict[str, SessionAccount] = field(default_factory=dict)
    holders: dict[str, HolderAccount] = field(default_factory=dict)
    _in_bay: dict[str, SessionAccount] = field(default_factory=dict)

    def add(self, recorded: RecordedFact) -> None:
        """The next fact of the chain."""
        fact = recorded.fact
        name = recording_of(fact)
        if name is not None:
            self.recordings.setdefault(name, RecordingAccount(self.dock, name)).add(recorded)
            return
        match fact:
            case facts.CameraDocked():
                self._dock(recorded, fact)
            case facts.AssignmentStarted():
                account = HolderAccount(self.dock, recorded.number, fact, recorded.moment.at)
                self.holders.setdefault(fact.assignment, account)
            case facts.AssignmentEnded():
                held = self.holders.get(fact.assignment)
                if held is not None:
                    held.end(recorded.number, fact, recorded.moment.at)
            case _:
                session = getattr(fact, "session", None)
                if isinstance(session, str) and session in self.sessions and is_of_account(fact):
                    self.sessions[session].add(recorded)

    def _dock(self, recorded: RecordedFact, fact: facts.CameraDocked) -> None:
        if fact.session in self.sessions:
            return  # a session begins once; the chain's own proof names the second beginning
        before = self._in_bay.get(fact.bay)
        if before is not None:
            before.succeed(recorded)
        self.sessions[fact.session] = self._in_bay[fact.bay] = SessionAccount(recorded)


@dataclass(frozen=True, slots=True)
class Settled:
    """Which docks' facts tell that a recording was accepted, and erased after that."""

    stored: Mapping[str, set[str]]
    erased: Mapping[str, set[str]]

    @classmethod
    def of(cls, accounts: Iterable[ChainAccounts]) -> Settled:
        """Look at all chains."""
        stored: dict[str, set[str]] = {}
        erased: dict[str, set[str]] = {}
        for chain in accounts:
            for name, account in chain.recordings.items():
                if account.standing.is_stored:
                    stored.setdefault(name, set()).add(chain.dock)
                if account.standing.is_erased:
                    erased.setdefault(name, set()).add(chain.dock)
        return cls(stored, erased)

    def row(self, account: RecordingAccount) -> CustodyRecording:
        """The row of a recording, with what other docks tell of it."""
        own = {account.dock}
        return account.row(
            stored_by=self.stored.get(account.recording, set()) - own,
            erased_by=self.erased.get(account.recording, set()) - own,
        )


def recording_rows(chain: ChainAccounts, settled: Settled, selection: CustodySelection) -> Iterator[CustodyRecording]:
    """The wanted recordings of a chain, by time."""
    for account in sorted(chain.recordings.values(), key=lambda one: (one.at, one.recording)):
        row = settled.row(account)
        if wants_recording(selection, row):
            yield row


def session_rows(chain: ChainAccounts, selection: CustodySelection) -> Iterator[CustodySession]:
    """The wanted sessions of a chain, by time."""
    officers: dict[str, set[str]] = {}
    for one in chain.recordings.values():
        if one.first_session is not None and one.officer is not None:
            officers.setdefault(one.first_session, set()).add(one.officer)
    for account in sorted(chain.sessions.values(), key=lambda one: (one.started_at, one.session)):
        row = account.row()
        if wants_session(selection, row, officers.get(row.session, ())):
            yield row


def holder_rows(chain: ChainAccounts, selection: CustodySelection) -> Iterator[CustodyHolder]:
    """The wanted assignments of a chain, by time."""
    rows = (account.row() for account in chain.holders.values())
    for row in sorted(rows, key=lambda one: (one.started_at, one.assignment)):
        if wants_holder(selection, row):
            yield row
