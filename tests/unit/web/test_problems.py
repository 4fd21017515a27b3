"""Every error becomes one problem answer; docks can rely on 4xx meaning *never* and 503/507 *later*."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import BaseModel, ConfigDict, ValidationError

from dockd import errors
from dockd.web.problems import (
    GENERAL_KINDS,
    INVALID_BODY,
    ProblemKind,
    Refusal,
    describe_mistakes,
    parse_model,
    problem_middleware,
    problem_of,
    problem_response,
)
from dockd.wire.problems import Problem

TEAPOT = ProblemKind("teapot", 418, "Teapot", "short and stout")


async def answer_to(error: BaseException, path: str = "/api/v1/x") -> tuple[web.StreamResponse, Problem]:
    async def handler(_request: web.Request) -> web.StreamResponse:
        raise error

    response = await problem_middleware(make_mocked_request("GET", path), handler)
    assert isinstance(response, web.Response)
    assert response.content_type == "application/problem+json"
    assert isinstance(response.body, bytes)
    problem = Problem.model_validate_json(response.body)
    assert problem.status == response.status
    return response, problem


async def test_refusal_keeps_its_code_status_and_what_is_expected() -> None:
    refusal = Refusal(TEAPOT, "No coffee.", expected_number=7, expected_head="ab", retry_after_seconds=3)
    response, problem = await answer_to(refusal)
    assert (problem.code, problem.status, problem.detail) == ("teapot", 418, "No coffee.")
    assert (problem.expected_number, problem.expected_head) == (7, "ab")
    assert response.headers["Retry-After"] == "3"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.BadRequest("x"), 400),
        (errors.NotFound("x"), 404),
        (errors.NothingReady("x"), 409),
        (errors.AlreadyHolding("x"), 409),
        (errors.BadReceipt("x"), 409),
        (errors.UnknownCamera("x"), 409),
        (errors.StagingFull("x"), 503),
        (errors.JournalUnwritable("x"), 503),
        (errors.CentreUnavailable("x", retry_after_seconds=0.2), 503),
    ],
)
async def test_our_errors_have_the_status_of_their_reaction(error: errors.DockdError, status: int) -> None:
    response, problem = await answer_to(error)
    assert (problem.status, problem.code) == (status, error.code)
    assert error.action in problem.detail
    if isinstance(error, errors.CentreUnavailable):
        assert response.headers["Retry-After"] == "1"


async def test_bug_is_told_as_500_without_its_inside() -> None:
    _response, problem = await answer_to(ZeroDivisionError("at /home/secret/path.py"))
    assert (problem.status, problem.code) == (500, "internal-error")
    assert "secret" not in problem.model_dump_json()


async def test_pydantic_error_of_our_own_is_a_bug_and_no_refusal() -> None:
    with pytest.raises(ValidationError) as caught:
        Point.model_validate({})
    assert (await answer_to(caught.value))[1].status == 500


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (web.HTTPNotFound(), "not-found"),
        (web.HTTPMethodNotAllowed("PUT", ["GET", "POST"]), "method-not-allowed"),
        (web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2), "too-large"),
        (web.HTTPUnsupportedMediaType(), "wrong-content-type"),
        (web.HTTPForbidden(), "bad-request"),
        (web.HTTPBadGateway(), "internal-error"),
    ],
)
async def test_aiohttps_own_refusals_become_problems(error: web.HTTPException, code: str) -> None:
    response, problem = await answer_to(error)
    assert (problem.code, problem.status) == (code, error.status)
    if isinstance(error, web.HTTPMethodNotAllowed):
        assert response.headers["Allow"] == "GET, POST"


async def test_redirect_passes() -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/elsewhere")

    with pytest.raises(web.HTTPFound):
        await problem_middleware(make_mocked_request("GET", "/"), handler)


class Point(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    x: int
    y: int


def test_mistakes_are_named_without_their_values() -> None:
    with pytest.raises(Refusal) as caught:
        parse_model(Point, b'{"x": "s3cret", "z": 1}')
    assert caught.value.kind is INVALID_BODY
    assert "x: " in caught.value.what
    assert "y: " in caught.value.what
    assert "z: " in caught.value.what
    assert "s3cret" not in caught.value.what


def test_a_thousand_mistakes_are_not_all_named() -> None:
    body = json.dumps({"x": 1, "y": 2, **{f"field{number}": 0 for number in range(1000)}}).encode()
    with pytest.raises(ValidationError) as caught:
        Point.model_validate_json(body)
    assert describe_mistakes(caught.value).endswith("and 990 more")
    assert len(describe_mistakes(caught.value)) < 4000


def test_absent_fields_are_left_out_of_the_answer() -> None:
    problem, headers = problem_of(Refusal(TEAPOT, "x"))
    response = problem_response(problem, headers)
    assert isinstance(response.body, bytes)
    assert set(json.loads(response.body)) == {"type", "title", "status", "code", "detail"}


def test_codes_are_unique_and_all_say_something() -> None:
    codes = [kind.code for kind in GENERAL_KINDS]
    assert len(set(codes)) == len(codes)
    assert all(kind.meaning and 400 <= kind.status < 600 for kind in GENERAL_KINDS)
