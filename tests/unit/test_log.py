"""Claims about the log: one form for our words, the libraries' words and tracebacks."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from dockd.log import LogConfig, LogFormat, LogLevel, start_logging


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("aiohttp.access", "aiosqlite", "alembic", "asyncio")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, one in levels.items():
        logging.getLogger(name).setLevel(one)
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def started(**choices: Any) -> io.StringIO:
    out = io.StringIO()
    start_logging(LogConfig(**choices), stream=out)
    return out


def test_our_words_are_one_json_object_on_each_line() -> None:
    out = started()
    structlog.get_logger("dockd.test").info("camera docked", bay="3", count=2)
    (line,) = lines(out)
    assert line.pop("at").endswith("Z")
    assert line == {"event": "camera docked", "bay": "3", "count": 2, "level": "info", "logger": "dockd.test"}


def test_a_librarys_words_come_out_in_the_same_form() -> None:
    out = started()
    logging.getLogger("aiohttp.server").warning("bad %s", "request", extra={"peer": "::1"})
    (line,) = lines(out)
    assert (line["event"], line["peer"], line["level"]) == ("bad request", "::1", "warning")


def test_a_newline_in_a_hostile_name_cannot_forge_a_line() -> None:
    out = started()
    structlog.get_logger("x").info("listed", name='a\n{"event": "all footage erased"}')
    assert len(lines(out)) == 1


def test_a_traceback_is_data_on_the_same_line() -> None:
    out = started()
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        structlog.get_logger("x").exception("session failed")
        logging.getLogger("y").error("failed", exc_info=sys.exc_info())
    first, second = lines(out)
    assert first["exception"][0]["exc_type"] == second["exception"][0]["exc_type"] == "RuntimeError"


def test_what_is_less_important_than_the_level_is_not_written() -> None:
    out = started(level=LogLevel.WARNING)
    structlog.get_logger("x").info("quiet")
    logging.getLogger("y").info("quiet")
    logging.getLogger("y").error("loud")
    assert [line["event"] for line in lines(out)] == ["loud"]


def test_every_poll_of_a_page_is_not_worth_a_line() -> None:
    out = started()
    logging.getLogger("aiohttp.access").info("GET /")
    assert lines(out) == []


def test_context_of_a_session_is_in_each_of_its_lines() -> None:
    out = started()
    with structlog.contextvars.bound_contextvars(bay="3"):
        structlog.get_logger("x").info("one")
        logging.getLogger("y").info("two")
    assert [line["bay"] for line in lines(out)] == ["3", "3"]


def test_on_a_console_it_is_words_for_people() -> None:
    out = started(format=LogFormat.CONSOLE)
    structlog.get_logger("x").info("camera docked", bay="3")
    assert "camera docked" in out.getvalue()
    assert "bay=3" in out.getvalue()


def test_the_last_call_counts() -> None:
    first = started()
    second = started()
    structlog.get_logger("x").info("once")
    assert (first.getvalue(), len(lines(second))) == ("", 1)
