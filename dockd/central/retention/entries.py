"""From what this area keeps to what it tells. Knows both shapes and nothing else."""

from __future__ import annotations

from dockd.central.retention.brake import Stop
from dockd.central.retention.decisions import PolicyLine
from dockd.central.retention.holds import HoldLine
from dockd.central.retention.runs import RunLine
from dockd.central.retention.service import RecordingRetention, Retention
from dockd.central.retention.survey import Judged
from dockd.wire.retention import (
    ClassificationEntry,
    Deleted,
    DueRecording,
    HoldEntry,
    PolicyEntry,
    RecordingStanding,
    RetentionOverview,
    RunEntry,
    StoppedList,
    Tonight,
)

FIRST_SHOWN = 100


async def overview(retention: Retention) -> RetentionOverview:
    """What stands at the top of everything."""
    stop = await retention.brake.newest()
    return RetentionOverview(
        is_turned_on=retention.config.delete,
        next_run_at=retention.next_run_at,
        policies=in_force(await retention.decisions.policy_history()),
        stop=None if stop is None else stopped_list(stop),
        runs=tuple(map(run_entry, await retention.runs.lines())),
    )


def in_force(history: tuple[PolicyLine, ...]) -> tuple[PolicyEntry, ...]:
    """The newest of each category, by name."""
    newest: dict[str, PolicyLine] = {}
    for one in history:
        newest.setdefault(one.category, one)
    return tuple(policy_entry(newest[name]) for name in sorted(newest))


def policy_entry(one: PolicyLine) -> PolicyEntry:
    """One row."""
    return PolicyEntry(category=one.category, days=one.days, set_at=one.set_at, set_by=one.set_by, reason=one.reason)


def hold_entry(one: HoldLine) -> HoldEntry:
    """One hold."""
    return HoldEntry(
        hold=one.number,
        recording=one.scope.digest,
        camera=one.scope.camera,
        officer=one.scope.officer,
        site=one.scope.site,
        recorded_from=one.scope.recorded_from,
        recorded_before=one.scope.recorded_before,
        set_at=one.set_at,
        set_by=one.set_by,
        reason=one.reason,
        released_at=one.released_at,
        released_by=one.released_by,
        release_reason=one.release_reason,
    )


def due_recording(one: Judged) -> DueRecording:
    """One recording that would go; it has a deadline, else it would not."""
    if one.verdict.deadline_at is None:
        raise ValueError(f"{one.footage.digest} is not due")
    first = one.footage.sources[0]
    return DueRecording(
        recording=one.footage.digest,
        size_bytes=one.footage.size_bytes,
        category=one.verdict.category,
        camera=first.camera,
        officer=first.officer,
        dock=first.dock,
        recorded_at=first.recorded_at,
        deadline_at=one.verdict.deadline_at,
        why=one.verdict.words,
    )


def stopped_list(one: Stop) -> StoppedList:
    """One list that stopped a run."""
    return StoppedList(
        list_digest=one.list_digest,
        recordings=one.recordings,
        size_bytes=one.size_bytes,
        stored=one.stored,
        made_at=one.made_at,
        expires_at=one.expires_at,
        is_confirmed=one.is_confirmed,
        answered_at=one.answered_at,
        answered_by=one.answered_by,
        reason=one.reason,
    )


def run_entry(one: RunLine) -> RunEntry:
    """One run."""
    return RunEntry(
        run=one.number,
        started_at=one.started_at,
        ended_at=one.ended_at,
        actor=one.actor,
        due=one.due,
        deleted=one.deleted,
        deleted_bytes=one.deleted_bytes,
        kept=one.kept,
        said=one.said,
    )


async def tonight(retention: Retention) -> Tonight:
    """What the next night's run would begin with."""
    at = retention.next_run_at
    survey = await retention.survey(at)
    first: list[DueRecording] = []
    async for one in retention.due(at):
        first.append(due_recording(one))
        if len(first) == FIRST_SHOWN:
            break
    return Tonight(
        at=at,
        is_turned_on=retention.config.delete,
        due=len(survey.due),
        size_bytes=survey.size_bytes,
        held=survey.held,
        stored=survey.stored,
        would_stop=retention.brake.grips(survey),
        list_digest=survey.list_digest,
        first=tuple(first),
    )


def recording_standing(digest: str, found: RecordingRetention) -> RecordingStanding:
    """How one recording stands."""
    verdict = found.judged.verdict if found.judged else None
    gone = found.tombstone
    return RecordingStanding(
        recording=digest,
        standing=verdict.standing.value if verdict else None,
        category=verdict.category if verdict else None,
        deadline_at=verdict.deadline_at if verdict else None,
        words=verdict.words if verdict else None,
        holds=tuple(map(hold_entry, found.holds)),
        classifications=tuple(
            ClassificationEntry(
                category=one.category, decided_at=one.decided_at, decided_by=one.decided_by, reason=one.reason
            )
            for one in found.classifications
        ),
        deleted=None
        if gone is None
        else Deleted(deleted_at=gone.deleted_at, intended_at=gone.intended_at, run=gone.run, why=gone.words),
        store_said=found.refusal,
    )
