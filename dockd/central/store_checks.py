"""How the store stands, for pages and the API: the canary's reports in words, what they mean for the proof, what waits.

Knows the reports and whether they are believed (`canary`), and the queue; tries nothing and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dockd.central.canary import NEEDED_FOR_TRUST, CanaryRecords, CanaryReport, KeptReport
from dockd.central.verifier_queue import VerifierQueue
from dockd.wire.store_checks import StoreChecks, StoreFinding, StoreReport

MOST_REPORTS = 100
LATE_AFTER = timedelta(minutes=15)
"""A read-back that waits longer is no longer only a busy hour."""

_FOLDER = (
    "Footage lies in the centre's own folder. Every recording is read back and hashed there before the centre "
    "signs for it."
)
_NOT_TRIED = (
    "The object store has not been tried yet. Until it has, every recording is read back by a verifier before the "
    "centre signs for it."
)
_TRUSTED = (
    "The object store refused every wrong digest that it was told. Recordings are not read back before the centre "
    "signs for them."
)
_TOO_OLD = (
    "The object store refused every wrong digest, but it was tried too long ago. Every recording is read back by a "
    "verifier before the centre signs for it. Tell IT: the centre cannot try the store, its log says why."
)
_NOT_TRUSTED = (
    "The object store does not refuse every wrong digest. So every recording is read back by a verifier before the "
    "centre signs for it: footage is as safe, receipts take longer."
)


@dataclass(frozen=True, slots=True)
class BucketRecords:
    """What the database tells of one bucket: its trials, and what waits to be read back."""

    canaries: CanaryRecords
    queue: VerifierQueue


async def store_checks(
    records: BucketRecords | None, now: datetime, *, before: int | None = None, limit: int = MOST_REPORTS
) -> StoreChecks:
    """How the store stands at `now`, with `limit` reports older than the one numbered `before` (None: the newest).

    `records` is None where footage lies in a folder. Raises Refusal (503, 507).
    """
    if records is None:
        return StoreChecks(kind="folder", bucket=None, is_read_back=True, words=_FOLDER)
    latest = await records.canaries.latest()
    found = await records.canaries.before(before, limit + 1)
    backlog = await records.queue.backlog()
    shown = found[:limit]
    is_trusted = latest is not None and latest.is_trusted and latest.is_fresh(now)
    return StoreChecks(
        kind="s3",
        bucket=records.canaries.bucket,
        is_read_back=not is_trusted,
        words=_words(latest, now),
        waiting=backlog.count,
        oldest_waiting_since=backlog.oldest_at,
        is_late=backlog.oldest_at is not None and now - backlog.oldest_at > LATE_AFTER,
        reports=tuple(map(_report, shown)),
        next_after=shown[-1].number if len(found) > limit else None,
    )


def _words(latest: CanaryReport | None, now: datetime) -> str:
    if latest is None:
        return _NOT_TRIED
    if not latest.is_trusted:
        return _NOT_TRUSTED
    return _TRUSTED if latest.is_fresh(now) else _TOO_OLD


def _report(kept: KeptReport) -> StoreReport:
    report = kept.report
    return StoreReport(
        number=kept.number,
        checked_at=report.checked_at,
        refuses_every_wrong_digest=report.is_trusted,
        is_worse_than_before=bool(report.worse),
        findings=tuple(
            StoreFinding(
                check=check.name.lower().replace("_", "-"),
                promise=check.value,
                is_kept=finding.is_good,
                became_worse=check in report.worse,
                is_needed=check in NEEDED_FOR_TRUST,
                said=finding.said,
            )
            for check, finding in report.findings.items()
        ),
    )
