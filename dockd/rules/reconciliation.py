"""The closed loop of one session: listed = staged = stored = erased, or a named difference."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from dockd.model.facts import SessionReconciled, Tally
from dockd.model.ids import CameraId, RecordingId, SessionId
from dockd.rules.custody import Custody, LedgerEntry


def reconcile(
    session: SessionId,
    camera: CameraId,
    entries: Iterable[LedgerEntry],
    *,
    retained: Collection[RecordingId],
    missing: Collection[str] = (),
) -> SessionReconciled:
    """Return the record that closes `session`.

    `entries` are all recordings that the card listed in this session. `retained` are those kept on
    the card on purpose. `missing` names (path text) recordings that an earlier session listed, that were
    never copied, and that the card does not hold any more.

    Every recording must be safe in the store and gone from the card, or retained; each one that is
    neither is a difference, named with what is known of it.
    """
    listed: list[LedgerEntry] = []
    staged: list[LedgerEntry] = []
    stored: list[LedgerEntry] = []
    erased: list[LedgerEntry] = []
    kept: list[LedgerEntry] = []
    differences = [f"{path}: on the card in an earlier session, never copied, not on it now" for path in missing]
    for entry in entries:
        listed.append(entry)
        if entry.digest is not None:
            staged.append(entry)
        if entry.state in (Custody.ACCEPTED, Custody.ERASED):
            stored.append(entry)
        if entry.state is Custody.ERASED:
            erased.append(entry)
            if entry.recording in retained:
                differences.append(f"{entry.path.text}: retained and erased at once")
        elif entry.recording in retained:
            kept.append(entry)
        else:
            differences.append(f"{entry.path.text}: {entry.state.name.lower()}, neither erased nor kept on purpose")
    return SessionReconciled(
        session=session,
        camera=camera,
        listed=_tally(listed),
        staged=_tally(staged),
        stored=_tally(stored),
        erased=_tally(erased),
        retained=_tally(kept),
        differences=tuple(differences),
    )


def _tally(entries: Collection[LedgerEntry]) -> Tally:
    return Tally(count=len(entries), size_bytes=sum(entry.size_bytes for entry in entries))
