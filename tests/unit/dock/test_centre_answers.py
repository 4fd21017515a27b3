"""The table that tells *later* from *never*."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.dock.centre_answers import (
    MAXIMUM_RETRY_AFTER_SECONDS,
    Answer,
    PartOutcome,
    check_answer,
    is_final,
    part_outcome,
    retry_after_seconds,
)
from dockd.errors import CentreRefused, CentreUnavailable
from dockd.wire.problems import CONTENT_TYPE, Problem
from tests.support.clock import START

NEVER = Problem(title="Bad", status=422, code="claim-differs", detail="as it is").model_dump_json().encode()


def answer(
    status: int, body: bytes = NEVER, content_type: str = CONTENT_TYPE, retry_after: str | None = None
) -> Answer:
    return Answer(status, content_type, retry_after, body)


@pytest.mark.parametrize("status", [200, 201, 204])
def test_success_gives_the_body(status: int) -> None:
    assert check_answer(answer(status, b"body"), START) == b"body"


@pytest.mark.parametrize("status", [100, 202, 206, 301, 302, 307, 304])
def test_answers_that_were_not_agreed_mean_later(status: int) -> None:
    with pytest.raises(CentreUnavailable):
        check_answer(answer(status), START)


@pytest.mark.parametrize("status", [401, 403, 405, 407, 408, 421, 425, 426, 429, 431, 500, 502, 503, 504, 507, 599])
def test_access_load_and_faults_mean_later_even_with_a_problem(status: int) -> None:
    with pytest.raises(CentreUnavailable):
        check_answer(answer(status), START)


@pytest.mark.parametrize("status", [400, 404, 409, 410, 411, 413, 415, 422, 451])
def test_understood_refusal_carries_code_and_reason(status: int) -> None:
    with pytest.raises(CentreRefused, match="as it is") as refused:
        check_answer(answer(status), START)
    assert refused.value.refusal == "claim-differs"
    assert refused.value.status == status
    assert is_final(refused.value) is (status != 404)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("text/html", b"<html>"), ("application/json", NEVER), (CONTENT_TYPE, b"{"), (CONTENT_TYPE, b"{}"), ("", b"")],
)
def test_refusal_that_is_not_the_centres_own_means_later(content_type: str, body: bytes) -> None:
    with pytest.raises(CentreUnavailable, match="not the centre"):
        check_answer(answer(400, body, content_type), START)


@pytest.mark.parametrize("code", ["parts-missing", "digest-differs", "gap", "fork", "rewrite", "not-found"])
def test_refusals_that_another_step_cures_are_not_final(code: str) -> None:
    assert not is_final(CentreRefused("x", status=409, refusal=code))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("17", 17.0),
        (" 17 ", 17.0),
        ("999999999999", MAXIMUM_RETRY_AFTER_SECONDS),
        ("9" * 500, MAXIMUM_RETRY_AFTER_SECONDS),
        ("Sun, 22 Nov 2026 06:01:00 GMT", 60.0),
        ("Sun, 22 Nov 2020 06:01:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("²", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, START) == seconds


@given(st.text())
def test_no_retry_after_can_break_or_stall_us(header: str) -> None:
    seconds = retry_after_seconds(header, START)
    assert seconds is None or 0.0 <= seconds <= MAXIMUM_RETRY_AFTER_SECONDS


def test_retry_after_travels_with_the_error() -> None:
    with pytest.raises(CentreUnavailable) as later:
        check_answer(answer(503, retry_after="30"), START)
    assert later.value.retry_after_seconds == 30.0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, PartOutcome.TAKEN),
        (204, PartOutcome.TAKEN),
        (400, PartOutcome.NOT_TAKEN),
        (403, PartOutcome.ADDRESS_STALE),
        (404, PartOutcome.ADDRESS_STALE),
        (409, PartOutcome.RELIST),
        (412, PartOutcome.RELIST),
        (429, PartOutcome.LATER),
        (503, PartOutcome.LATER),
        (507, PartOutcome.LATER),
        (302, PartOutcome.NOT_TAKEN),
    ],
)
def test_answer_to_a_part_tells_what_to_do_and_never_refuses_footage(status: int, outcome: PartOutcome) -> None:
    assert part_outcome(status) is outcome
