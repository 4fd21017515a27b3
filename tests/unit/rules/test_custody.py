"""Threats against the one permission to erase, and claims about the ledger."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.model import facts
from dockd.model.facts import Fact
from dockd.model.ids import SessionId
from dockd.model.recording import ByteRange
from dockd.rules.custody import (
    Clearance,
    Custody,
    LedgerBreak,
    LedgerEntry,
    NotCleared,
    apply_fact,
    clear,
    recording_of,
)
from dockd.rules.receipts import TrustedReceipt, check_receipt
from tests.support.clock import START
from tests.support.custody import SESSION, Footage, Signer, sha256

SIGNER = Signer()
FOOTAGE = Footage()


def fold(*told: Fact, entry: LedgerEntry | None = None) -> LedgerEntry:
    for fact in told:
        entry = apply_fact(entry, fact)
    assert entry is not None
    return entry


def accepted_entry(footage: Footage = FOOTAGE) -> LedgerEntry:
    return fold(footage.listed(), footage.staged(), footage.verified(), footage.stored(), footage.accepted(SIGNER))


def trusted(footage: Footage = FOOTAGE) -> TrustedReceipt:
    size = len(footage.content)
    receipt = SIGNER.receipt(footage.digest, size)
    return check_receipt(receipt, SIGNER.pinned, digest=footage.digest, size_bytes=size)


def attempt(entry: LedgerEntry | None = None, **other: Any) -> Clearance:
    """`clear` with everything in order, but for what is given."""
    given: dict[str, Any] = {
        "receipt": trusted(),
        "source": FOOTAGE.confirmed(),
        "session": SESSION,
        "now": START + timedelta(hours=1),
        "grace": timedelta(0),
    }
    given |= other
    receipt, source = given.pop("receipt"), given.pop("source")
    return clear(entry or accepted_entry(), receipt, source, **given)


def refused(entry: LedgerEntry | None = None, **other: Any) -> str:
    with pytest.raises(NotCleared) as caught:
        attempt(entry, **other)
    return caught.value.reason


# --- clearance ------------------------------------------------------------------------------------


def test_with_every_rule_kept_the_clearance_names_exactly_this_file() -> None:
    clearance = attempt()
    assert (clearance.recording, clearance.path) == (FOOTAGE.recording, FOOTAGE.path)
    assert (clearance.size_bytes, clearance.digest) == (len(FOOTAGE.content), FOOTAGE.digest)
    assert clearance.session == SESSION
    assert clearance.modified_ns == FOOTAGE.source.modified_ns


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_recording_that_is_not_accepted_is_not_cleared(count: int) -> None:
    told = [FOOTAGE.listed(), FOOTAGE.staged(), FOOTAGE.verified(), FOOTAGE.stored()][:count]
    assert "not ACCEPTED" in refused(fold(*told))


def test_a_rejected_recording_is_not_cleared() -> None:
    rejected = facts.RecordingRejected(recording=FOOTAGE.recording, code="x", reason="y")
    assert "REJECTED" in refused(fold(FOOTAGE.listed(), FOOTAGE.staged(), FOOTAGE.verified(), rejected))


def test_an_erased_recording_is_not_cleared_again() -> None:
    assert "ERASED" in refused(fold(FOOTAGE.wipe_intended(), FOOTAGE.erased(), entry=accepted_entry()))


def test_receipt_with_other_digest_does_not_clear() -> None:
    assert "receipt" in refused(receipt=trusted(Footage(content=b"FOOTAGE")))


def test_receipt_with_other_size_does_not_clear() -> None:
    entry = dataclasses.replace(accepted_entry(), size_bytes=len(FOOTAGE.content) + 1)
    assert "receipt" in refused(entry)


def test_an_entry_without_a_digest_is_not_cleared() -> None:
    assert "receipt" in refused(dataclasses.replace(accepted_entry(), digest=None))


def test_a_card_that_was_not_listed_in_this_session_is_not_erased() -> None:
    assert "listed" in refused(session=SessionId("session-2"))


def test_a_replaced_recording_is_not_cleared() -> None:
    replaced = facts.RecordingReplaced(recording=FOOTAGE.recording, session=SESSION, reason="other bytes")
    assert "listed" in refused(fold(replaced, entry=accepted_entry()))


def test_a_recording_with_unreadable_ranges_keeps_its_original() -> None:
    entry = dataclasses.replace(accepted_entry(), unreadable=(ByteRange(start_byte=0, end_byte=1),))
    assert "could not be read in whole" in refused(entry)


def test_a_source_confirmed_in_another_session_does_not_clear() -> None:
    source = dataclasses.replace(FOOTAGE, session=SessionId("session-0")).confirmed()
    assert "in this session" in refused(source=source)


def test_another_recordings_source_does_not_clear() -> None:
    source = FOOTAGE.confirmed().model_copy(update={"recording": "0" * 32})
    assert "in this session" in refused(source=source)


def test_a_card_that_holds_other_bytes_of_the_same_size_is_not_erased() -> None:
    assert "not those that the store holds" in refused(source=FOOTAGE.confirmed(content=b"FOOTAGE"))


def test_a_card_that_holds_more_bytes_is_not_erased() -> None:
    source = FOOTAGE.confirmed().model_copy(update={"size_bytes": 8})
    assert "not those that the store holds" in refused(source=source)


@given(grace_seconds=st.integers(0, 10**7), waited_seconds=st.integers(-(10**6), 10**7))
def test_nothing_is_cleared_before_its_grace_is_over(grace_seconds: int, waited_seconds: int) -> None:
    grace, now = timedelta(seconds=grace_seconds), START + timedelta(seconds=waited_seconds)
    # Without a grace period the dock's clock may be behind the centre's: that keeps nothing on the card.
    if grace_seconds == 0 or waited_seconds >= grace_seconds:
        assert attempt(now=now, grace=grace).recording == FOOTAGE.recording
    else:
        assert "grace" in refused(now=now, grace=grace)


def test_a_clearance_cannot_be_made_elsewhere() -> None:
    clearance = attempt()
    fields = {one.name: getattr(clearance, one.name) for one in dataclasses.fields(clearance)}
    fields["_token"] = object()
    with pytest.raises(TypeError):
        Clearance(**fields)


# --- ledger ---------------------------------------------------------------------------------------


def test_the_whole_way_of_a_recording() -> None:
    entry = fold(FOOTAGE.listed())
    assert entry.needs_copy
    assert not entry.is_safe_here
    entry = fold(FOOTAGE.staged(), entry=entry)
    assert (entry.state, entry.is_safe_here, entry.needs_copy) == (Custody.STAGED, False, False)
    entry = fold(FOOTAGE.verified(), entry=entry)
    assert (entry.state, entry.is_safe_here, entry.is_settled) == (Custody.VERIFIED, True, False)
    entry = fold(FOOTAGE.stored(), entry=entry)
    assert (entry.state, entry.is_settled) == (Custody.STORED, False)
    entry = fold(FOOTAGE.accepted(SIGNER), entry=entry)
    assert (entry.state, entry.is_settled, entry.is_on_card) == (Custody.ACCEPTED, True, True)
    entry = fold(FOOTAGE.wipe_intended(), FOOTAGE.erased(), entry=entry)
    assert (entry.state, entry.is_on_card) == (Custody.ERASED, False)


def test_a_lost_copy_does_not_take_the_ledger_back_but_is_not_safe_here() -> None:
    discarded = facts.CopyDiscarded(recording=FOOTAGE.recording, code="copy-damaged", reason="read back differently")
    entry = fold(FOOTAGE.listed(), FOOTAGE.staged(), FOOTAGE.verified(), discarded)
    assert entry.state is Custody.VERIFIED
    assert entry.needs_copy
    assert not entry.is_safe_here
    again = fold(FOOTAGE.staged(), FOOTAGE.verified(), entry=entry)
    assert again.is_safe_here


def test_a_copy_with_another_digest_cannot_stand_in_for_a_verified_one() -> None:
    discarded = facts.CopyDiscarded(recording=FOOTAGE.recording, code="copy-damaged", reason="read back differently")
    entry = fold(FOOTAGE.listed(), FOOTAGE.staged(), FOOTAGE.verified(), discarded)
    with pytest.raises(LedgerBreak):
        apply_fact(entry, FOOTAGE.staged(content=b"FOOTAGE"))


BREAKS: list[tuple[str, list[Fact], Fact]] = [
    ("listed twice", [FOOTAGE.listed()], FOOTAGE.listed()),
    ("staged but never listed", [], FOOTAGE.staged()),
    ("staged with another size", [FOOTAGE.listed()], FOOTAGE.staged(content=b"longer footage")),
    ("staged twice", [FOOTAGE.listed(), FOOTAGE.staged()], FOOTAGE.staged()),
    ("verified but never staged", [FOOTAGE.listed()], FOOTAGE.verified()),
    ("verified with another digest", [FOOTAGE.listed(), FOOTAGE.staged()], FOOTAGE.verified(content=b"FOOTAGE")),
    ("stored but never verified", [FOOTAGE.listed(), FOOTAGE.staged()], FOOTAGE.stored()),
    (
        "stored with another digest",
        [FOOTAGE.listed(), FOOTAGE.staged(), FOOTAGE.verified()],
        FOOTAGE.stored(digest=sha256(b"other")),
    ),
    ("accepted but never verified", [FOOTAGE.listed(), FOOTAGE.staged()], FOOTAGE.accepted(SIGNER)),
    (
        "accepted with another digest",
        [FOOTAGE.listed(), FOOTAGE.staged(), FOOTAGE.verified()],
        FOOTAGE.accepted(SIGNER).model_copy(update={"receipt": SIGNER.receipt(sha256(b"FOOTAGE"), 7)}),
    ),
    (
        "erased before accepted",
        [FOOTAGE.listed(), FOOTAGE.staged(), FOOTAGE.verified(), FOOTAGE.stored()],
        FOOTAGE.erased(),
    ),
    (
        "erased without a written intent",
        [FOOTAGE.listed(), FOOTAGE.staged(), FOOTAGE.verified(), FOOTAGE.accepted(SIGNER)],
        FOOTAGE.erased(),
    ),
    (
        "wipe intended before accepted",
        [FOOTAGE.listed(), FOOTAGE.staged(), FOOTAGE.verified()],
        FOOTAGE.wipe_intended(),
    ),
    (
        "copy evicted before accepted",
        [FOOTAGE.listed(), FOOTAGE.staged(), FOOTAGE.verified(), FOOTAGE.stored()],
        facts.StagingEvicted(recording=FOOTAGE.recording),
    ),
]


@pytest.mark.parametrize(
    ("told", "then"), [(told, then) for _, told, then in BREAKS], ids=[name for name, _, _ in BREAKS]
)
def test_a_fact_that_does_not_follow_is_refused(told: list[Fact], then: Fact) -> None:
    entry = fold(*told) if told else None
    with pytest.raises(LedgerBreak):
        apply_fact(entry, then)


def some_fact() -> st.SearchStrategy[Fact]:
    content = st.sampled_from([b"footage", b"FOOTAGE"])
    name = FOOTAGE.recording
    return st.one_of(
        st.just(FOOTAGE.listed()),
        st.just(facts.RecordingSeen(recording=name, session="session-2")),
        st.builds(lambda one: FOOTAGE.staged(content=one), content),
        st.builds(lambda one: FOOTAGE.verified(content=one), content),
        st.just(FOOTAGE.stored()),
        st.just(FOOTAGE.accepted(SIGNER)),
        st.just(facts.RecordingRejected(recording=name, code="x", reason="y")),
        st.just(facts.CopyDiscarded(recording=name, code="x", reason="y")),
        st.just(facts.RecordingReplaced(recording=name, session=SESSION, reason="y")),
        st.just(facts.SourceConfirmed(source=FOOTAGE.confirmed())),
        st.just(FOOTAGE.wipe_intended()),
        st.just(FOOTAGE.erased()),
        st.just(facts.StagingEvicted(recording=name)),
    )


ORDER = [Custody.LISTED, Custody.STAGED, Custody.VERIFIED, Custody.STORED, Custody.ACCEPTED, Custody.ERASED]


@given(st.lists(some_fact(), max_size=40))
def test_whatever_is_told_the_ledger_never_goes_back_and_erases_only_what_was_accepted(told: list[Fact]) -> None:
    entry = apply_fact(None, FOOTAGE.listed())
    kept: list[Fact] = []
    for fact in told:
        before = entry
        try:
            entry = apply_fact(entry, fact)
        except LedgerBreak:
            assert entry is before
            continue
        kept.append(fact)
        if before.state is Custody.REJECTED:
            assert entry.state is Custody.REJECTED
        elif entry.state is not Custody.REJECTED:
            assert ORDER.index(entry.state) >= ORDER.index(before.state)
        if before.state >= Custody.VERIFIED and before.state is not Custody.REJECTED:
            assert entry.digest == before.digest, "a verified recording is its digest, for ever"
        if entry.state in (Custody.ACCEPTED, Custody.ERASED):
            assert entry.receipt is not None
            assert entry.receipt.digest == entry.digest
    if entry.state is Custody.ERASED:
        kinds = [fact.kind for fact in kept]
        assert kinds.index("RecordingAccepted") < kinds.index("WipeIntended") < kinds.index("RecordingErased")
        assert kinds.index("RecordingStaged") < kinds.index("RecordingVerified") < kinds.index("RecordingAccepted")


@given(st.lists(some_fact(), max_size=40))
def test_only_an_accepted_unreplaced_recording_can_be_cleared(told: list[Fact]) -> None:
    entry = apply_fact(None, FOOTAGE.listed())
    for fact in told:
        try:
            entry = apply_fact(entry, fact)
        except LedgerBreak:
            continue
        try:
            clearance = attempt(entry)
        except NotCleared:
            continue
        assert entry.state is Custody.ACCEPTED
        assert not entry.is_replaced
        assert entry.last_session == SESSION
        assert clearance.digest == entry.digest == FOOTAGE.digest


@given(some_fact())
def test_every_fact_about_a_recording_names_it(fact: Fact) -> None:
    assert recording_of(fact) == FOOTAGE.recording


def test_facts_about_other_things_name_no_recording() -> None:
    assert recording_of(facts.DockStopped()) is None
    assert recording_of(facts.CameraUndocked(session=SESSION, bay="1", camera=None)) is None
