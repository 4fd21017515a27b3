"""Threats: names that are not what they should be."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.errors import BadRequest, UnusableIdentity
from dockd.model.ids import CardPath, camera_id, parse_digest, parse_id, parse_officer_number
from dockd.model.value import PathText, Value

_name = st.binary(min_size=1, max_size=255)


class _Line(Value):
    path: PathText


@given(st.lists(_name, min_size=1, max_size=5).map(tuple))
def test_any_bytes_a_card_calls_a_file_survive_as_text(names: tuple[bytes, ...]) -> None:
    path = CardPath(names)
    assert CardPath.from_text(path.text) == path
    assert path.file_name == names[-1]


@given(st.lists(_name, min_size=1, max_size=5).map(tuple))
def test_the_text_of_a_path_is_printable_and_may_go_into_a_fact(names: tuple[bytes, ...]) -> None:
    text = CardPath(names).text
    assert re.fullmatch(r"[A-Za-z0-9._\-%/ ]+", text)
    assert text.count("/") == len(names) - 1
    assert _Line(path=text).path == text


@given(st.lists(_name, min_size=1, max_size=3).map(tuple), st.lists(_name, min_size=1, max_size=3).map(tuple))
def test_two_names_never_become_one_text(one: tuple[bytes, ...], other: tuple[bytes, ...]) -> None:
    assert (CardPath(one).text == CardPath(other).text) == (one == other)


@pytest.mark.parametrize("name", [b"A/B", b"..", b"a\nb", b"a\0b", b"\xff\xfe", b"%2F", b"a%", b" ", b"MOVI~1.MP4"])
def test_awkward_names_survive(name: bytes) -> None:
    path = CardPath((b"DCIM", name))
    assert CardPath.from_text(path.text) == path


@pytest.mark.parametrize("text", ["", "A" * 64, "0" * 63, "0" * 65, "g" * 64, " " + "0" * 63, "0" * 64 + "\n"])
def test_what_is_not_a_digest_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_digest(text)


@pytest.mark.parametrize("text", ["", "-a", "a/b", "../x", "a b", "a" * 65, "a\n", "é"])
def test_what_cannot_be_a_name_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="bay"):
        parse_id(text, "bay")


@pytest.mark.parametrize(("typed", "number"), [("pc1234", "PC1234"), (" 1234 ", "1234"), ("E-77", "E-77")])
def test_an_officer_number_is_taken_as_typed(typed: str, number: str) -> None:
    assert parse_officer_number(typed) == number


@pytest.mark.parametrize("typed", ["", " ", "PC 1", "A" * 17, "<script>", "１２３", "ß"])
def test_what_is_not_an_officer_number_is_refused(typed: str) -> None:
    with pytest.raises(BadRequest):
        parse_officer_number(typed)


@given(st.text(max_size=60))
def test_a_serial_makes_an_identity_or_is_refused_in_words(untrusted: str) -> None:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", untrusted.strip()):
        assert camera_id("simulated", untrusted) == f"simulated:{untrusted.strip()}"
    else:
        with pytest.raises(UnusableIdentity, match="serial number"):
            camera_id("simulated", untrusted)


@pytest.mark.parametrize("serial", ["BWC-0001", " 12345\n", "a.b_c"])
def test_a_usable_serial_names_the_camera(serial: str) -> None:
    assert camera_id("simulated", serial) == f"simulated:{serial.strip()}"
