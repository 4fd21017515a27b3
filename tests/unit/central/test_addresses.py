"""A part's address allows one part, once given, for a while; nothing about it can be changed."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.central.stores import PlannedPart
from dockd.central.stores.addresses import PartAddresses
from dockd.model.ids import Digest
from dockd.web.problems import Refusal
from tests.support.clock import START

ADDRESSES = PartAddresses(b"s" * 32)
PART = PlannedPart(3, 2000, 1000, Digest("ab" * 32))
URL = ADDRESSES.sign("up-1", PART, START + timedelta(minutes=15))


def asked(url: str) -> tuple[str, str, dict[str, str]]:
    parts = urlsplit(url)
    _, _, _, _, upload, _, number = parts.path.split("/")
    return upload, number, dict(parse_qsl(parts.query))


def test_address_allows_what_was_granted_until_it_expires() -> None:
    upload, number, query = asked(URL)
    granted = ADDRESSES.check(upload, number, query, START + timedelta(minutes=15))
    assert (granted.upload, granted.part) == ("up-1", PART)
    with pytest.raises(Refusal) as caught:
        ADDRESSES.check(upload, number, query, START + timedelta(minutes=15, seconds=1))
    assert caught.value.kind.code == "expired"


def test_another_centres_secret_opens_nothing() -> None:
    upload, number, query = asked(URL)
    with pytest.raises(Refusal):
        PartAddresses(b"t" * 32).check(upload, number, query, START)


@given(
    field=st.sampled_from(["upload", "number", "offset", "size", "digest", "expires", "signature"]),
    value=st.one_of(st.text(max_size=70), st.integers(-1, 2**70).map(str), st.just("ab" * 32), st.just("+3")),
)
def test_any_other_value_in_any_field_is_refused(field: str, value: str) -> None:
    upload, number, query = asked(URL)
    fields = {"upload": upload, "number": number, **query}
    if fields[field] == value:
        return
    fields[field] = value
    with pytest.raises(Refusal) as caught:
        ADDRESSES.check(fields.pop("upload"), fields.pop("number"), fields, START)
    assert caught.value.kind.code == "bad-address"


@pytest.mark.parametrize("field", ["offset", "size", "digest", "expires", "signature"])
def test_missing_field_is_refused(field: str) -> None:
    upload, number, query = asked(URL)
    del query[field]
    with pytest.raises(Refusal):
        ADDRESSES.check(upload, number, query, START)
