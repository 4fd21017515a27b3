"""What an auditor must see: each difference by itself, and the promises that hold for every order of facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.model import facts
from dockd.model.facts import Fact
from dockd.model.moment import ClockSync
from dockd.model.recording import ByteRange
from dockd.rules.custody import Custody, LedgerBreak, LedgerEntry, apply_fact
from dockd.rules.differences import (
    DIFFERENCE_WORDS,
    Difference,
    RecordingStanding,
    SessionStanding,
    do_counts_agree,
    in_order,
)
from tests.support.custody import CAMERA, SESSION, Footage, Signer

GOOD = ClockSync.SYNCHRONISED
SIGNER = Signer()
ONE = Footage()


def standing(*told: Fact) -> RecordingStanding:
    made = RecordingStanding()
    for fact in told:
        made.take(fact, GOOD)
    return made


def way(until: Custody) -> list[Fact]:
    steps: list[Fact] = [ONE.listed(), ONE.staged(), ONE.verified(), ONE.stored(), ONE.accepted(SIGNER)]
    if until is Custody.ERASED:
        return [*steps, ONE.wipe_intended(), ONE.erased()]
    return steps[: int(until)]


def test_every_difference_has_its_sentence() -> None:
    assert set(DIFFERENCE_WORDS) == set(Difference)
    assert in_order({Difference.NO_TIME, Difference.ERASED_UNACCEPTED})[0] is Difference.ERASED_UNACCEPTED


@pytest.mark.parametrize("until", [Custody.LISTED, Custody.STAGED, Custody.VERIFIED, Custody.STORED])
def test_what_is_not_accepted_is_never_stored_unless_another_dock_stored_it(until: Custody) -> None:
    made = standing(*way(until))
    assert made.differences() == {Difference.NEVER_STORED}
    assert made.differences(is_stored_elsewhere=True) == set()


def test_accepted_is_not_erased_and_erased_is_nothing() -> None:
    assert standing(*way(Custody.ACCEPTED)).differences() == {Difference.NOT_ERASED}
    assert standing(*way(Custody.ACCEPTED)).differences(is_erased_elsewhere=True) == set()
    assert standing(*way(Custody.ERASED)).differences() == set()


@pytest.mark.parametrize("until", [Custody.LISTED, Custody.STAGED, Custody.VERIFIED, Custody.STORED])
def test_erased_without_acceptance_is_the_gravest_and_stays(until: Custody) -> None:
    made = standing(*way(until), ONE.wipe_intended(), ONE.erased(), ONE.accepted(SIGNER), ONE.erased())
    assert in_order(made.differences())[0] is Difference.ERASED_UNACCEPTED
    assert not made.is_stored
    assert not made.is_erased


def test_a_fact_about_what_was_never_listed_breaks_the_order() -> None:
    assert Difference.BROKEN_ORDER in standing(ONE.staged()).differences()
    assert Difference.ERASED_UNACCEPTED in standing(ONE.erased()).differences()


def test_a_receipt_for_other_bytes_accepts_nothing() -> None:
    other = Footage(b"other bytes")
    wrong = facts.RecordingAccepted(recording=ONE.recording, receipt=SIGNER.receipt(other.digest, 7))
    made = standing(*way(Custody.STORED), wrong)
    assert made.differences() == {Difference.BROKEN_ORDER, Difference.NEVER_STORED}


def test_rejected_replaced_unreadable_unknown_holder_time_and_clock() -> None:
    rejected = facts.RecordingRejected(recording=ONE.recording, code="never", reason="Never.")
    assert standing(*way(Custody.VERIFIED), rejected).differences() == {Difference.REJECTED}
    replaced = facts.RecordingReplaced(recording=ONE.recording, session=SESSION, reason="Other.")
    assert standing(*way(Custody.LISTED), replaced).differences() == {Difference.REPLACED, Difference.NEVER_STORED}
    assert standing(*way(Custody.ACCEPTED), replaced).differences() == set()
    lost = ONE.staged(unreadable=(ByteRange(start_byte=0, end_byte=1),))
    assert Difference.UNREADABLE in standing(ONE.listed(), lost).differences()
    unknown = ONE.listed().model_copy(update={"officer": None, "recorded_at": None})
    made = RecordingStanding()
    made.take(unknown, ClockSync.UNKNOWN)
    assert made.differences() >= {Difference.NO_HOLDER, Difference.NO_TIME, Difference.HOST_CLOCK}


@given(
    st.lists(
        st.sampled_from(
            [
                *way(Custody.ERASED),
                facts.CopyDiscarded(recording=ONE.recording, code="c", reason="r"),
                facts.RecordingRejected(recording=ONE.recording, code="c", reason="r"),
                facts.StagingEvicted(recording=ONE.recording),
            ]
        ),
        max_size=14,
    )
)
def test_whatever_the_order_what_the_docks_ledger_allows_is_no_contradiction_and_stands_the_same(
    told: list[Fact],
) -> None:
    entry: LedgerEntry | None = None
    made = RecordingStanding()
    for fact in told:
        try:
            entry = apply_fact(entry, fact)
        except LedgerBreak:
            continue  # the dock would never have written it
        assert made.take(fact, GOOD) is None
        assert made.stage == entry.state
        assert made.is_erased == (entry.state is Custody.ERASED)


@given(
    st.lists(
        st.sampled_from([*way(Custody.ERASED), facts.RecordingRejected(recording=ONE.recording, code="c", reason="r")]),
        max_size=14,
    )
)
def test_whatever_is_told_erased_means_accepted_before_or_the_gravest_difference(told: list[Fact]) -> None:
    made = standing(*told)
    was_erased = any(isinstance(fact, facts.RecordingErased) for fact in told)
    if was_erased:
        assert made.is_erased != (Difference.ERASED_UNACCEPTED in made.differences())


def tally(count: int) -> facts.Tally:
    return facts.Tally(count=count, size_bytes=count * 10)


def books(listed: int, staged: int, stored: int, erased: int, retained: int, *said: str) -> facts.SessionReconciled:
    return facts.SessionReconciled(
        session=SESSION,
        camera=CAMERA,
        listed=tally(listed),
        staged=tally(staged),
        stored=tally(stored),
        erased=tally(erased),
        retained=tally(retained),
        differences=said,
    )


@pytest.mark.parametrize(
    ("counts", "agree"),
    [
        ((3, 3, 3, 3, 0), True),
        ((0, 0, 0, 0, 0), True),
        ((3, 3, 2, 2, 1), True),
        ((3, 2, 2, 2, 1), True),
        ((3, 3, 3, 2, 0), False),
        ((3, 3, 2, 3, 0), False),
        ((3, 2, 3, 3, 0), False),
    ],
)
def test_counts_agree_when_all_is_erased_or_kept(counts: tuple[int, int, int, int, int], agree: bool) -> None:
    assert do_counts_agree(books(*counts)) is agree


def test_a_named_difference_never_agrees() -> None:
    assert not do_counts_agree(books(3, 3, 3, 3, 0, "a.MP4: staged"))


def test_a_session_owes_its_books_only_when_it_is_over() -> None:
    made = SessionStanding()
    made.take(facts.CameraDocked(session=SESSION, bay="1", port="1-1"), GOOD)
    assert made.differences() == set()
    made.succeed()
    assert made.differences() == {Difference.NOT_IDENTIFIED}
