"""The ledger, the assignments and the progress as the journal answers for them."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from dockd.dock.journal import AssignmentState, Backlog, Journal
from dockd.dock.journal.rows import ListedEntry, ledger_row, read_entry
from dockd.dock.journal.tables import ledger
from dockd.errors import JournalUnwritable
from dockd.model import facts
from dockd.model.ids import CameraId, CardPath, OfficerNumber, RecordingId, SessionId
from dockd.model.recording import ByteRange, CopyCheckpoint, SourceFile
from dockd.rules.custody import Custody, LedgerBreak, LedgerEntry, apply_fact
from dockd.rules.issuing import Assignment
from tests.support.clock import START, ManualClock
from tests.support.custody import CAMERA, SESSION, Footage, sha256
from tests.support.journals import SIGNER, ended, footage, intended, started, way_to_the_store, whole_way

OTHER = CameraId("simulated:BWC-0002")


def folded(*known: facts.Fact) -> LedgerEntry:
    entry: LedgerEntry | None = None
    for fact in known:
        entry = apply_fact(entry, fact)
    assert entry is not None
    return entry


# --- ledger ---------------------------------------------------------------------------------------


async def test_entry_is_what_the_rules_make_of_the_facts_at_every_step(journal: Journal) -> None:
    one = footage(1)
    way = whole_way(one)
    for step, fact in enumerate(way, start=1):
        await journal.append(fact)
        assert await journal.entry(one.recording) == folded(*way[:step])
    assert await journal.projection_differences() == ()


async def test_every_field_of_an_entry_survives_the_database(journal: Journal) -> None:
    one = Footage(content=b"x" * 100, path=CardPath((b"a/b\n", b"\xff~..", b"")), session=SessionId("s9"))
    damaged = (ByteRange(start_byte=3, end_byte=9), ByteRange(start_byte=20, end_byte=21))
    await journal.append(one.listed(), one.staged(unreadable=damaged), one.verified(unreadable=damaged))
    entry = await journal.entry(one.recording)
    assert entry == folded(one.listed(), one.staged(unreadable=damaged), one.verified(unreadable=damaged))
    assert entry is not None
    assert entry.path == one.path


def test_no_field_of_a_ledger_entry_is_forgotten_by_its_row() -> None:
    entry = dataclasses.replace(folded(*way_to_the_store(footage(1))), is_wipe_intended=True, is_replaced=True)
    entry = dataclasses.replace(entry, rejection="no", recorded_at=None, officer=None, modified_ns=None)
    row = ledger_row(ListedEntry(entry, listed_number=1, listed_at=START))
    assert read_entry(row) == entry
    assert {field.name for field in dataclasses.fields(LedgerEntry)} <= row.keys()
    assert row.keys() == {column.name for column in ledger.columns}


async def test_unknown_recording_has_no_entry(journal: Journal) -> None:
    assert await journal.entry(RecordingId("0" * 32)) is None
    assert await journal.latest(CAMERA, footage(1).source) is None


async def test_latest_is_the_highest_generation_of_the_same_file_of_the_same_camera(journal: Journal) -> None:
    first = footage(1)
    # The same name, size and time; only the generation tells them apart.
    second, third = (dataclasses.replace(first, generation=number) for number in (1, 2))
    elsewhere = dataclasses.replace(first, camera=OTHER, generation=7)
    for one in (third, first, second, elsewhere):
        await journal.append(one.listed())
    latest = await journal.latest(CAMERA, first.source)
    assert latest is not None
    assert latest.recording == third.recording
    other_time = dataclasses.replace(first.source, modified_ns=1)
    assert await journal.latest(CAMERA, other_time) is None
    assert await journal.latest(CAMERA, dataclasses.replace(first.source, size_bytes=1)) is None


async def test_latest_finds_a_file_without_a_time(journal: Journal) -> None:
    one = footage(1)
    await journal.append(one.listed().model_copy(update={"modified_ns": None}))
    assert await journal.latest(CAMERA, one.source) is None
    found = await journal.latest(CAMERA, SourceFile(one.path, len(one.content), None))
    assert found is not None
    assert found.recording == one.recording


async def test_entries_are_chosen_by_everything_that_is_given(journal: Journal) -> None:
    listed, accepted, erased = footage(1), footage(2), footage(3)
    elsewhere = footage(4, camera=OTHER, session=SessionId("session-2"))
    await journal.append(erased.listed())
    for one, way in (
        (listed, (listed.listed(),)),
        (accepted, way_to_the_store(accepted)),
        (erased, whole_way(erased)[1:]),
        (elsewhere, (elsewhere.listed(), elsewhere.staged())),
    ):
        await journal.append(*way)
        assert await journal.entry(one.recording) is not None

    async def names(**chosen: object) -> list[RecordingId]:
        found = [entry.recording for entry in await journal.entries(**chosen)]  # type: ignore[arg-type]
        if not chosen.keys() & {"limit", "has_copy"}:
            walked = journal.each_entry(**chosen)  # type: ignore[arg-type]
            assert [entry.recording async for entry in walked] == found
        return found

    here = [erased.recording, listed.recording, accepted.recording]
    assert await names() == [*here, elsewhere.recording]
    assert await names(camera=CAMERA) == here
    assert await names(last_session="session-2") == [elsewhere.recording]
    assert await names(states={Custody.ACCEPTED, Custody.ERASED}) == [erased.recording, accepted.recording]
    assert await names(states=(Custody.ACCEPTED, Custody.ERASED), has_copy=True, limit=1) == [erased.recording]
    assert await names(camera=CAMERA, has_copy=False) == [listed.recording]
    assert await names(camera=CAMERA, is_on_card=True) == [listed.recording, accepted.recording]
    assert await names(camera=CAMERA, is_on_card=False) == [erased.recording]
    assert await names(camera=OTHER, states=()) == []


async def test_backlog_counts_what_is_verified_and_not_accepted(journal: Journal, clock: ManualClock) -> None:
    assert await journal.backlog() == Backlog(0, 0, None)
    one, two, three = footage(1), footage(2), footage(3)
    await journal.append(*way_to_the_store(one))
    clock.advance(60)
    await journal.append(*way_to_the_store(two)[:3])
    clock.advance(60)
    await journal.append(*way_to_the_store(three)[:4])
    await journal.append(footage(4).listed(), footage(4).staged())
    size_bytes = len(two.content) + len(three.content)
    assert await journal.backlog() == Backlog(2, size_bytes, START + timedelta(seconds=60))


async def test_tally_counts_by_state_what_the_sessions_card_holds(journal: Journal) -> None:
    assert await journal.tally(SESSION) == {}
    replaced = footage(4)
    await journal.append(footage(1).listed(), footage(2).listed(), *way_to_the_store(footage(3)), replaced.listed())
    await journal.append(facts.RecordingReplaced(recording=replaced.recording, session=SESSION, reason="other bytes"))
    await journal.append(footage(5, session=SessionId("session-2")).listed())
    listed_bytes = len(footage(1).content) + len(footage(2).content)
    assert await journal.tally(SESSION) == {
        Custody.LISTED: (2, listed_bytes),
        Custody.ACCEPTED: (1, len(footage(3).content)),
    }


# --- assignments ----------------------------------------------------------------------------------


async def test_assignment_is_followed_from_promise_to_return(journal: Journal) -> None:
    await journal.append(intended("a1"))
    promised = await journal.open_assignment_of(CAMERA)
    assert promised is not None
    assert (promised.assignment, promised.state, promised.bay) == ("a1", AssignmentState.INTENDED, "bay-1")
    await journal.append(facts.AssignmentWritten(assignment="a1", session=SESSION, is_on_camera=False))
    assert await journal.assignments(CAMERA) == ()
    await journal.append(started("a1"))
    held = await journal.open_assignment_by(OfficerNumber("PC1"))
    assert held is not None
    assert (held.state, held.started_at, held.is_on_camera) == (AssignmentState.STARTED, START, False)
    assert await journal.assignments() == (Assignment(CAMERA, OfficerNumber("PC1"), START, None),)
    await journal.append(ended("a1"))
    assert await journal.open_assignment_of(CAMERA) is None
    assert await journal.open_assignment_by(OfficerNumber("PC1")) is None
    assert await journal.assignments(CAMERA) == (Assignment(CAMERA, OfficerNumber("PC1"), START, START),)
    assert await journal.assignments(OTHER) == ()


async def test_cancelled_assignment_is_not_open(journal: Journal) -> None:
    await journal.append(intended("a1"), facts.AssignmentCancelled(assignment="a1", reason="not taken"))
    await journal.append(intended("a2", officer="PC2"))
    assert await journal.open_assignment_by(OfficerNumber("PC1")) is None
    still = await journal.open_assignment_of(CAMERA)
    assert still is not None
    assert still.assignment == "a2"


async def test_camera_taken_without_a_promise_is_held(journal: Journal) -> None:
    await journal.append(started("a1"))
    held = await journal.open_assignment_of(CAMERA)
    assert held is not None
    assert (held.bay, held.state) == (None, AssignmentState.STARTED)


@pytest.mark.parametrize(
    "way",
    [
        (ended("a1"),),
        (facts.AssignmentWritten(assignment="a1", session=SESSION, is_on_camera=True),),
        (intended("a1"), intended("a1")),
        (intended("a1"), ended("a1")),
        (started("a1"), ended("a1"), started("a1")),
        (started("a1"), facts.AssignmentCancelled(assignment="a1", reason="too late")),
        (intended("a1"), started("a1", officer="PC2")),
        (intended("a1"), started("a1", camera=OTHER)),
        (started("a1"), ended("a1", officer="PC2")),
    ],
)
async def test_assignment_that_contradicts_itself_is_refused(journal: Journal, way: tuple[facts.Fact, ...]) -> None:
    with pytest.raises(LedgerBreak):
        await journal.append(*way)
    assert journal.head[0] == 0


# --- progress -------------------------------------------------------------------------------------


def checkpoint(offset_bytes: int) -> CopyCheckpoint:
    return CopyCheckpoint(offset_bytes, sha256(b"prefix"), SESSION)


async def test_checkpoint_is_kept_replaced_and_dropped(journal: Journal) -> None:
    one = footage(1)
    await journal.append(one.listed())
    assert await journal.checkpoint(one.recording) is None
    await journal.save_checkpoint(one.recording, checkpoint(10))
    await journal.save_checkpoint(one.recording, checkpoint(20))
    assert await journal.checkpoint(one.recording) == checkpoint(20)
    await journal.drop_checkpoint(one.recording)
    await journal.drop_checkpoint(one.recording)
    assert await journal.checkpoint(one.recording) is None
    assert journal.head[0] == 1


async def test_checkpoint_of_a_recording_that_was_never_listed_is_refused(journal: Journal) -> None:
    with pytest.raises(LedgerBreak):
        await journal.save_checkpoint(RecordingId("0" * 32), checkpoint(10))
    with pytest.raises(LedgerBreak):
        await journal.note_part_finished(RecordingId("0" * 32), "u", 1)
    await journal.append(footage(1).listed())


async def test_checkpoint_is_forgotten_once_it_can_mislead(journal: Journal) -> None:
    replaced = facts.RecordingReplaced(recording=footage(2).recording, session=SESSION, reason="other bytes")
    for one, fact in ((footage(1), footage(1).staged()), (footage(2), replaced)):
        await journal.append(one.listed())
        await journal.save_checkpoint(one.recording, checkpoint(10))
        await journal.append(fact)
        assert await journal.checkpoint(one.recording) is None
    one = footage(1)
    await journal.save_checkpoint(one.recording, checkpoint(10))
    await journal.append(facts.CopyDiscarded(recording=one.recording, code="c", reason="r"))
    assert await journal.checkpoint(one.recording) is None


async def test_finished_parts_are_those_of_the_newest_upload_only(journal: Journal) -> None:
    one = footage(1)
    await journal.append(*way_to_the_store(one)[:3])
    assert await journal.finished_parts(one.recording) is None
    for part in (1, 3, 3):
        await journal.note_part_finished(one.recording, "upload-1", part)
    assert await journal.finished_parts(one.recording) == ("upload-1", frozenset({1, 3}))
    await journal.note_part_finished(one.recording, "upload-2", 2)
    assert await journal.finished_parts(one.recording) == ("upload-2", frozenset({2}))
    await journal.append(one.accepted(SIGNER))
    assert await journal.finished_parts(one.recording) is None


# --- rebuilding -----------------------------------------------------------------------------------


async def test_rebuilt_projection_is_the_same_and_keeps_progress(journal: Journal) -> None:
    for number in range(5):
        await journal.append(*whole_way(footage(number))[: number + 1])
    await journal.append(intended("a1"), started("a1"))
    await journal.save_checkpoint(footage(0).recording, checkpoint(10))
    before = await journal.entries(), await journal.open_assignment_of(CAMERA)
    await journal.rebuild()
    assert (await journal.entries(), await journal.open_assignment_of(CAMERA)) == before
    assert await journal.checkpoint(footage(0).recording) == checkpoint(10)
    assert await journal.projection_differences() == ()


async def test_tampered_ledger_row_is_found_and_mended_from_the_facts(journal: Journal) -> None:
    await journal.append(*way_to_the_store(footage(1))[:3])

    def tamper(connection: object) -> None:
        connection.exec_driver_sql("UPDATE ledger SET state = 5, officer = 'PC9'")  # type: ignore[attr-defined]

    await journal._database.run(tamper)
    differences = await journal.projection_differences()
    assert len(differences) == 2
    assert any("state" in one for one in differences)
    await journal.rebuild()
    assert await journal.projection_differences() == ()


async def test_questions_to_a_closed_journal_have_a_clear_answer(journal: Journal) -> None:
    await journal.close()
    with pytest.raises(JournalUnwritable):
        await journal.backlog()
