"""The closed loop of a session: every listed recording is erased or kept on purpose, or it is named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dockd.model.ids import CameraId, CardPath, Digest, RecordingId, SessionId
from dockd.rules.custody import Custody, LedgerEntry
from dockd.rules.reconciliation import Reconciliation

SESSION = SessionId("s1")
CAMERA = CameraId("simulated:A1")


def reconcile(session, camera, entries, *, retained, missing=()):
    books = Reconciliation(session, camera, retained=retained, missing=missing)
    for entry in entries:
        books.add(entry)
    return books.record()


def entry(number: int, state: Custody, size_bytes: int = 100) -> LedgerEntry:
    return LedgerEntry(
        recording=RecordingId(f"r{number}"),
        camera=CAMERA,
        path=CardPath((b"%d.MP4" % number,)),
        size_bytes=size_bytes,
        modified_ns=None,
        generation=0,
        first_session=SESSION,
        last_session=SESSION,
        recorded_at=None,
        officer=None,
        state=state,
        digest=None if state is Custody.LISTED else Digest("a" * 64),
    )


def test_all_erased_agrees_in_count_and_bytes() -> None:
    record = reconcile(SESSION, CAMERA, [entry(1, Custody.ERASED), entry(2, Custody.ERASED, 7)], retained=())
    assert record.differences == ()
    for tally in (record.listed, record.staged, record.stored, record.erased):
        assert (tally.count, tally.size_bytes) == (2, 107)


def test_empty_card_agrees() -> None:
    assert reconcile(SESSION, CAMERA, [], retained=()).differences == ()


def test_recording_that_is_neither_erased_nor_kept_is_named() -> None:
    record = reconcile(SESSION, CAMERA, [entry(1, Custody.ERASED), entry(2, Custody.ACCEPTED)], retained=())
    assert record.differences == ("2.MP4: accepted, neither erased nor kept on purpose",)


def test_recording_that_vanished_before_it_was_copied_is_named() -> None:
    record = reconcile(SESSION, CAMERA, [], retained=(), missing=("DCIM/9.MP4",))
    assert len(record.differences) == 1
    assert record.differences[0].startswith("DCIM/9.MP4")


def test_erased_although_retained_is_a_difference() -> None:
    record = reconcile(SESSION, CAMERA, [entry(1, Custody.ERASED)], retained={RecordingId("r1")})
    assert record.differences == ("1.MP4: retained and erased at once",)


@given(st.lists(st.tuples(st.sampled_from(list(Custody)), st.booleans(), st.integers(0, 10**12)), max_size=30))
def test_no_difference_exactly_when_each_is_erased_or_kept(rows: list[tuple[Custody, bool, int]]) -> None:
    entries = [entry(number, state, size) for number, (state, _, size) in enumerate(rows)]
    retained = {one.recording for one, (_, is_kept, _) in zip(entries, rows, strict=True) if is_kept}
    record = reconcile(SESSION, CAMERA, entries, retained=retained)
    bad = [state for state, is_kept, _ in rows if (state is Custody.ERASED) == is_kept]
    assert len(record.differences) == len(bad)
    assert record.listed.count == len(rows)
    assert record.erased.count + record.retained.count + len(bad) >= record.listed.count
