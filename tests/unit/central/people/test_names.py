"""Claims about names, passwords and ways back; threat: an open redirect."""

from __future__ import annotations

import pytest

from dockd.central.people.names import (
    new_password,
    parse_line,
    parse_new_password,
    parse_person,
    safe_next,
)
from dockd.errors import BadRequest

EVIL = '"><script>alert(1)</script>'


@pytest.mark.parametrize("text", ["ada", " Ada ", "a.b-c_d@force.example", "1"])
def test_names_are_small_letters_without_spaces(text: str) -> None:
    assert parse_person(text) == text.strip().lower()


@pytest.mark.parametrize("text", ["", " ", "a b", EVIL, "'; DROP TABLE people;--", "ä", "a\0b", "-a", "a" * 65, "a/b"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_person(text)


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "a\0", "x" * 101, "a\u2028b", "\x1b[31m"])
def test_a_line_is_one_line_that_can_be_read(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_line(text, "The full name")


def test_html_and_sql_may_be_in_a_full_name_because_they_stay_text() -> None:
    assert parse_line(f" {EVIL} ", "The full name") == EVIL


@pytest.mark.parametrize(
    "text", ["short", "x" * 201, "ada-ada-ada-ada", "password1234", "aaaaaaaaaaaaaaaa", "long enough but\0not"]
)
def test_weak_passwords_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_new_password(text, "ada")
    assert text not in str(refused.value)


def test_long_passwords_in_any_language_are_taken() -> None:
    assert parse_new_password("vier würfel fallen leise", "ada")
    # The same word composed by another keyboard is the same password.
    assert parse_new_password("wu\u0308rfel fallen leise", "a") == parse_new_password("würfel fallen leise", "a")


def test_passwords_made_here_are_taken_and_never_the_same() -> None:
    made = {new_password() for _ in range(200)}
    assert len(made) == 200
    assert all(parse_new_password(one, "ada") == one for one in made)


@pytest.mark.parametrize("path", ["/", "/recordings?camera=a:b&from=2026-01-01", "/docks/dock-7", "/people/a%40b"])
def test_the_way_back_is_a_page_of_ours(path: str) -> None:
    assert safe_next(path) == path


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "https://evil.example/",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/ok\\..\\x",
        "/a\r\nSet-Cookie: x=1",
        "javascript:alert(1)",
        " /",
        "/%zz\0",
        "/sign-out",
        "/sign-in?next=/sign-in",
        "/api/v1/recordings/0/content",
        "/" + "a" * 3000,
        "/[",
        "//[",
    ],
)
def test_the_way_back_never_leads_elsewhere(text: str | None) -> None:
    assert safe_next(text) in ("/", "/[")
    assert not safe_next(text).startswith("//")
