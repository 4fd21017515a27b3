"""From a planned message to what is sent: JSON for the webhook, and the same in words for a mail. Pure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime

from dockd.rules.alerting import Alert, Planned, Told
from dockd.rules.alerts import ACTIONS, TITLES, Severity
from dockd.web.text import count_in_words, utc_time
from dockd.wire.alerts import AlertMessage, SeverityWord, ToldAlert

MOST_TOLD = 50


def message_text(planned: Planned, *, store: str, page_url: str | None, now: datetime) -> str:
    """The message as JSON; its id is made here."""
    message = AlertMessage(
        id=os.urandom(16).hex(),
        store=store,
        made_at=now,
        why=planned.why,
        kind=planned.kind,
        title=TITLES[planned.kind],
        site=planned.site,
        summary=summary(planned),
        action=ACTIONS[planned.kind],
        new_count=len(planned.new),
        reminded_count=len(planned.reminded),
        resolved_count=len(planned.resolved),
        new=_told(planned.new),
        reminded=_told(planned.reminded),
        resolved=_told(planned.resolved),
        link=f"{page_url}/alerts?kind={planned.kind.value}" if page_url else None,
    )
    return message.model_dump_json()


def summary(planned: Planned) -> str:
    """One line: how many, of what, where. A single alert is told by its own words."""
    every = (*planned.new, *planned.reminded, *planned.resolved)
    if len(every) == 1 and planned.why is not Told.RESOLVED:
        return every[0].words
    if len(every) == 1:
        return f"Over: {every[0].words}"
    parts = [
        count_in_words(len(some), word, words)
        for some, word, words in (
            (planned.new, "new", "new"),
            (planned.reminded, "still open", "still open"),
            (planned.resolved, "over", "over"),
        )
        if some
    ]
    sites = len({one.site for one in every})
    where = f"at site {planned.site}" if planned.site else f"at {sites} sites" if sites > 1 else "of no single site"
    return f"{TITLES[planned.kind]} {where}: {', '.join(parts)}."


def severity_word(severity: Severity) -> SeverityWord:
    """As the wire says it."""
    return "trouble" if severity is Severity.TROUBLE else "attention"


def mail_subject(message: AlertMessage) -> str:
    """Short, on one line."""
    what = {Told.NEW: "", Told.REMINDER: "Still open: ", Told.RESOLVED: "Over: "}[message.why]
    count = message.new_count + message.reminded_count + message.resolved_count
    where = f" at {message.site}" if message.site else ""
    many = f" ({count})" if count > 1 else ""
    return " ".join(f"[dockd {message.store}] {what}{message.title}{where}{many}".split())


def mail_text(message: AlertMessage) -> str:
    """The whole mail."""
    lines = [message.summary, "", f"What to do: {message.action}"]
    for title, count, some in (
        ("New", message.new_count, message.new),
        ("Still open", message.reminded_count, message.reminded),
        ("Over", message.resolved_count, message.resolved),
    ):
        if not some:
            continue
        lines += ["", f"{title}:"]
        lines += [f"- since {utc_time(one.since)}: {one.words}" for one in some]
        if count > len(some):
            lines.append(f"- and {count - len(some):,} more; the page has them all.")
    lines += ["", f"Made at {utc_time(message.made_at)} by the centre of {message.store}, message {message.id}."]
    if message.link:
        lines.append(message.link)
    return "\n".join(lines) + "\n"


def _told(some: Sequence[Alert]) -> tuple[ToldAlert, ...]:
    return tuple(
        ToldAlert(
            number=one.number,
            subject=one.subject,
            site=one.site,
            severity=severity_word(one.severity),
            words=one.words,
            since=one.since,
            resolved_at=one.resolved_at,
        )
        for one in some[:MOST_TOLD]
    )
