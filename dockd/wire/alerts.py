"""Alerts as the API, the webhook and the pages tell them. Not evidence.

Alerts name docks, bays, cameras and sites; never an officer and never a recording: messages leave the centre.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dockd.model.moment import UtcTime
from dockd.model.value import LongText, ShortText, Value
from dockd.rules.alerting import Told
from dockd.rules.alerts import AlertKind

SubjectText = Annotated[str, StringConstraints(max_length=300)]
ReasonText = Annotated[
    str, StringConstraints(min_length=3, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")
]
SiteText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ScopeText = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]

SeverityWord = Literal["attention", "trouble"]


class AlertView(Value):
    """One alert: cause, since when, what to do."""

    number: int
    kind: AlertKind
    title: ShortText
    subject: SubjectText
    site: ShortText | None
    severity: SeverityWord
    words: LongText
    action: LongText
    since: UtcTime
    opened_at: UtcTime
    resolved_at: UtcTime | None
    acknowledged_at: UtcTime | None
    acknowledged_by: ShortText | None
    silenced_until: UtcTime | None
    """None while it is told as usual."""


class AlertList(Value):
    """Open alerts, the worst and longest first, or closed ones, newest first; `left_out` are not in the list."""

    at: UtcTime
    alerts: tuple[AlertView, ...]
    left_out: int
    undelivered: int
    """Messages that wait to be sent."""
    undelivered_since: UtcTime | None
    undelivered_said: LongText | None
    """What the last attempt to send came to."""


class NewSilence(Value):
    """What shall not be told until then. Nothing named: everything. `reason` is for whoever wonders later."""

    kind: AlertKind | None = None
    site: SiteText | None = None
    subject: ScopeText | None = None
    hours: Annotated[int, Field(ge=1, le=720)]
    """How long."""
    reason: ReasonText


class SilenceView(Value):
    """A silence as it is kept."""

    number: int
    kind: AlertKind | None
    site: ShortText | None
    subject: SubjectText | None
    until: UtcTime
    reason: LongText
    made_by: ShortText
    made_at: UtcTime
    ended_at: UtcTime | None


class SilenceList(Value):
    """Silences that hold now, the one that ends first first."""

    silences: tuple[SilenceView, ...]


class ToldAlert(Value):
    """An alert in a message."""

    number: int
    subject: SubjectText
    site: ShortText | None
    severity: SeverityWord
    words: LongText
    since: UtcTime
    resolved_at: UtcTime | None


class AlertMessage(Value):
    """What a webhook receives: one matter. Lists are cut at 50; the counts are whole.

    Sent at least once: `id` tells a repetition.
    """

    id: ShortText
    store: ShortText
    made_at: UtcTime
    why: Told
    kind: AlertKind
    title: ShortText
    site: ShortText | None
    """None where it is about several sites, or about none."""
    summary: LongText
    action: LongText
    new_count: int
    reminded_count: int
    resolved_count: int
    new: tuple[ToldAlert, ...]
    reminded: tuple[ToldAlert, ...]
    resolved: tuple[ToldAlert, ...]
    link: ShortText | None
