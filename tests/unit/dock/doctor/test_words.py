"""Claims about the words: stable codes, and for everything but OK what it means and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dockd.dock.doctor import AREAS, CHECKS, Check, Kind, Severity

KINDS = [kind for check in CHECKS for kind in (*check.kinds, check.unknown)]
SOURCES = Path(__file__).parents[4] / "dockd/dock/doctor"


def test_no_two_kinds_share_a_code_and_no_two_checks_a_name() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(codes) == len(set(codes))
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert sum(len(checks) for checks in AREAS.values()) == len(CHECKS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_each_kind_says_when_and_unless_it_is_ok_what_it_means_and_what_to_do(kind: Kind) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kind.code)
    assert kind.case.endswith(".")
    assert bool(kind.footage) == bool(kind.action) == (kind.severity is not Severity.OK)
    assert kind.severity is Severity.OK or kind.footage.endswith(".")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_each_check_is_a_question_and_has_a_kind_that_says_all_is_well(check: Check) -> None:
    assert check.question.endswith("?")
    assert check.unknown.severity is Severity.UNKNOWN
    assert any(kind.severity in (Severity.OK, Severity.NOTE) for kind in check.kinds)


def test_every_kind_that_is_declared_belongs_to_a_check() -> None:
    declared = set()
    for path in SOURCES.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        declared |= set(re.findall(r'= (?:ok|note|warning|problem|Kind)\(\s*"([a-z0-9-]+)"', text))
    assert declared == {kind.code for check in CHECKS for kind in check.kinds}
