"""What the centre found out about the store that it puts footage into: `GET /api/v1/store/checks`."""

from __future__ import annotations

from typing import Literal

from dockd.model.moment import UtcTime
from dockd.model.value import LongText, ShortText, Value


class StoreFinding(Value):
    """One thing that was tried. `promise` is what a good store does; `said` is how this one answered."""

    check: ShortText
    promise: LongText
    is_kept: bool
    became_worse: bool
    is_needed: bool
    """Whether recordings are read back as long as this is not kept."""
    said: LongText


class StoreReport(Value):
    """One trial of the store, with all that was tried. Every report is kept; `number` counts them."""

    number: int
    checked_at: UtcTime
    refuses_every_wrong_digest: bool
    is_worse_than_before: bool
    findings: tuple[StoreFinding, ...]


class StoreChecks(Value):
    """How footage is proved now, and the reports of the store's trials, newest first.

    A folder of the centre's own is never tried: it is always read back. `next_after` asks for older reports.
    """

    kind: Literal["folder", "s3"]
    bucket: ShortText | None
    is_read_back: bool
    """Whether every recording is read back and hashed before the centre signs for it."""
    words: LongText
    waiting: int = 0
    """Recordings that wait to be read back or are being read."""
    oldest_waiting_since: UtcTime | None = None
    is_late: bool = False
    """Whether the oldest has waited so long that perhaps no verifier is at work."""
    reports: tuple[StoreReport, ...] = ()
    next_after: int | None = None
