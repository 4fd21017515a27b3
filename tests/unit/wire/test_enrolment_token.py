"""The token that brings dock and centre together: what it says, and that a damaged one says what is wrong."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.errors import BadRequest
from dockd.wire.enrolment import InviteToken, parse_token, token_hash

TOKEN = InviteToken(
    url="https://centre.example:8491",
    ca="a" * 64,
    store="store-1",
    key="key-1",
    public_key="AAAA",
    site="Blackfriars <b>&amp;\u00e9",
    dock=None,
    expires_at=datetime(2026, 11, 23, tzinfo=UTC),
    secret="s3cr3t-s3cr3t-s3cr3t",
)


def test_it_says_what_was_put_in_also_broken_over_lines() -> None:
    assert parse_token(TOKEN.text) == TOKEN
    broken = f" {TOKEN.text[:40]}\r\n{TOKEN.text[40:90]}\n\t{TOKEN.text[90:]}\n"
    assert parse_token(broken) == TOKEN
    assert token_hash(broken) == token_hash(TOKEN.text)


@given(st.integers(0, len(TOKEN.text) - 1), st.sampled_from("AZaz09-_.="))
def test_any_one_changed_character_is_found(at: int, letter: str) -> None:
    changed = TOKEN.text[:at] + letter + TOKEN.text[at + 1 :]
    if changed != TOKEN.text:
        with pytest.raises(BadRequest):
            parse_token(changed)


@given(st.text(max_size=200))
def test_what_is_no_token_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_token(text)
    assert len(text) < 20 or text not in str(refused.value)


def test_a_token_for_plain_http_is_none() -> None:
    """Whoever made it wants the secret to be sent in the clear."""
    said = json.loads(TOKEN.model_dump_json()) | {"url": "http://centre.example:8491"}
    payload = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    check = hashlib.sha256(payload.encode()).hexdigest()[:8]
    with pytest.raises(BadRequest, match="does not hold"):
        parse_token(f"dockd1.{payload}.{check}")
