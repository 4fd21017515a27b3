"""What the canary found of an object store, kept as rows: what it really refuses, and whether that is enough.

A store is trusted, and its objects are not read back, only while the last report is fresh and shows that
every wrong digest was refused in every way that was tried. Knows findings and rows; tries nothing itself
(`canary_trials`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import Row, and_, insert, select

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database
from dockd.central.stores.s3.signing import Place
from dockd.central.tables import store_canaries
from dockd.clock import Clock
from dockd.model.canonical import Json
from dockd.model.moment import format_utc

FRESH_FOR = timedelta(hours=26)
"""A day and a little: a report that is older vouches for nothing."""


class Check(Enum):
    """One thing that is tried, and what a good store does."""

    GOOD_PART = "takes a right part and gives the same bytes back"
    WRONG_SHA256_BOUND = "refuses a part whose body is not the one that the address is bound to"
    WRONG_SHA256_HEADER = "refuses a part whose x-amz-checksum-sha256 is not that of its body"
    WRONG_SHA256_IN_LATER_PART = "refuses a second part whose x-amz-checksum-sha256 is not that of its body"
    WRONG_MD5 = "refuses a part whose Content-MD5 is not that of its body"
    TRUNCATED_BODY = "keeps nothing of a part whose connection ends early"
    WRONG_LENGTH = "refuses a part of another length than the address was signed for"
    EXPIRED_ADDRESS = "refuses an address that has expired"
    TAMPERED_HEADER = "refuses a part whose signed header was exchanged"
    LEFT_OUT_HEADER = "refuses a part without its signed checksum header"
    OVERWRITING = "refuses to overwrite an object (If-None-Match)"
    VERSIONS = "keeps versions"
    OBJECT_LOCK = "has Object Lock enabled"


NEEDED_FOR_TRUST = (
    Check.GOOD_PART,
    Check.WRONG_SHA256_BOUND,
    Check.WRONG_SHA256_HEADER,
    Check.WRONG_SHA256_IN_LATER_PART,
    Check.WRONG_MD5,
    Check.TRUNCATED_BODY,
    Check.WRONG_LENGTH,
    Check.TAMPERED_HEADER,
    Check.LEFT_OUT_HEADER,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether the store does what its check says; `said` is how it answered."""

    is_good: bool
    said: str


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """One run. `worse` names what was good in the report before and no longer is."""

    checked_at: datetime
    findings: Mapping[Check, Finding]
    worse: tuple[Check, ...] = ()

    @property
    def is_trusted(self) -> bool:
        """Whether every wrong digest was refused in every way tried."""
        return all(check in self.findings and self.findings[check].is_good for check in NEEDED_FOR_TRUST)

    def is_fresh(self, now: datetime) -> bool:
        """Whether it still vouches for anything."""
        return self.checked_at > now - FRESH_FOR

    def compared_with(self, before: CanaryReport | None) -> CanaryReport:
        """This report, knowing what was better before."""
        good_before = {check for check, one in before.findings.items() if one.is_good} if before else set()
        lost = tuple(check for check in Check if check in good_before and not self._is_good(check))
        return CanaryReport(self.checked_at, self.findings, lost)

    def _is_good(self, check: Check) -> bool:
        return check in self.findings and self.findings[check].is_good


@dataclass(frozen=True, slots=True)
class KeptReport:
    """A report with the number that it was kept under; later ones have higher numbers."""

    number: int
    report: CanaryReport


class CanaryRecords:
    """The reports of one bucket, all of them, for good. Every method raises Refusal (503, 507)."""

    def __init__(self, database: Database, place: Place, clock: Clock) -> None:
        self._database = database
        self._facts = CentreFacts(database, clock)
        self._place = place
        self.bucket = place.bucket
        self._is_mine = and_(store_canaries.c.endpoint == place.endpoint, store_canaries.c.bucket == place.bucket)

    async def latest(self) -> CanaryReport | None:
        """The last report, whichever process made it."""
        found = await self.before(None, 1)
        return found[0].report if found else None

    async def before(self, number: int | None, limit: int) -> tuple[KeptReport, ...]:
        """At most `limit` reports older than that number (None: the newest), newest first."""
        question = select(store_canaries).where(self._is_mine).order_by(store_canaries.c.number.desc()).limit(limit)
        if number is not None:
            question = question.where(store_canaries.c.number < number)
        async with self._database.reading() as connection:
            rows = (await connection.execute(question)).all()
        return tuple(KeptReport(row.number, _report(row)) for row in rows)

    async def is_trusted(self, now: datetime) -> bool:
        """Whether the last report is fresh and good enough to spare the reading back."""
        report = await self.latest()
        return report is not None and report.is_trusted and report.is_fresh(now)

    async def keep(self, report: CanaryReport) -> None:
        """Keep it beside all that were kept before; that the store was tried, and with what result, is a fact."""
        findings = {check.name: {"is_good": one.is_good, "said": one.said} for check, one in report.findings.items()}
        row = {
            "endpoint": self._place.endpoint,
            "bucket": self._place.bucket,
            "checked_at": report.checked_at,
            "findings": json.dumps(findings, sort_keys=True),
            "is_trusted": report.is_trusted,
            "worse": json.dumps([check.name for check in report.worse]),
        }
        async with self._database.writing() as connection:
            await connection.execute(insert(store_canaries).values(row))
            await self._facts.add_in(connection, kind="StoreTried", actor="dockd", about=self._about(report))

    def _about(self, report: CanaryReport) -> dict[str, Json]:
        """What the fact says. The store's own words are left out: they may be anything, and prove nothing."""
        does: dict[str, Json] = {check.name: one.is_good for check, one in report.findings.items()}
        return {
            "endpoint": self._place.endpoint,
            "bucket": self._place.bucket,
            "checked_at": format_utc(report.checked_at),
            "does": does,
            "is_trusted": report.is_trusted,
            "worse": [check.name for check in report.worse],
        }


def _report(row: Row[Any]) -> CanaryReport:
    told = json.loads(row.findings)
    findings = {check: Finding(**told[check.name]) for check in Check if check.name in told}
    worse = set(json.loads(row.worse))
    return CanaryReport(row.checked_at, findings, tuple(check for check in Check if check.name in worse))
