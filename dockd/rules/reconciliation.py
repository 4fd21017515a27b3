"""The closed loop of one session: listed = staged = stored = erased, or a named difference."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dockd.model.facts import SessionReconciled, Tally
from dockd.model.ids import CameraId, RecordingId, SessionId
from dockd.rules.custody import Custody, LedgerEntry


class Reconciliation:
    """The books of one session: every recording is added once, then they give the record that closes it.

    Every recording must be safe in the store and gone from the card, or retained; each one that is
    neither is a difference, named with what is known of it.
    """

    def __init__(
        self, session: SessionId, camera: CameraId, *, retained: Collection[RecordingId], missing: Collection[str] = ()
    ) -> None:
        """`retained` are those kept on the card on purpose. `missing` names (path text) recordings that an earlier
        session listed, that were never copied, and that the card does not hold any more."""
        self._session = session
        self._camera = camera
        self._retained = retained
        self._listed, self._staged, self._stored, self._erased, self._kept = (_Count() for _ in range(5))
        self._differences = [
            f"{path}: on the card in an earlier session, never copied, not on it now" for path in missing
        ]

    def add(self, entry: LedgerEntry) -> None:
        """A recording that the card listed in this session."""
        self._listed.add(entry)
        if entry.digest is not None:
            self._staged.add(entry)
        if entry.state in (Custody.ACCEPTED, Custody.ERASED):
            self._stored.add(entry)
        if entry.state is Custody.ERASED:
            self._erased.add(entry)
            if entry.recording in self._retained:
                self._differences.append(f"{entry.path.text}: retained and erased at once")
        elif entry.recording in self._retained:
            self._kept.add(entry)
        else:
            self._differences.append(
                f"{entry.path.text}: {entry.state.name.lower()}, neither erased nor kept on purpose"
            )

    def record(self) -> SessionReconciled:
        """The record."""
        return SessionReconciled(
            session=self._session,
            camera=self._camera,
            listed=self._listed.tally(),
            staged=self._staged.tally(),
            stored=self._stored.tally(),
            erased=self._erased.tally(),
            retained=self._kept.tally(),
            differences=tuple(self._differences),
        )


@dataclass(slots=True)
class _Count:
    count: int = 0
    size_bytes: int = 0

    def add(self, entry: LedgerEntry) -> None:
        self.count += 1
        self.size_bytes += entry.size_bytes

    def tally(self) -> Tally:
        return Tally(count=self.count, size_bytes=self.size_bytes)
