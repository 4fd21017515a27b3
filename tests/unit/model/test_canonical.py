"""Claims about the one form in which everything is hashed and signed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockd.model.canonical import canonical_json, digest_of_bytes, digest_of_json
from dockd.model.facts import RecordedFact, link
from dockd.model.ids import GENESIS
from tests.support.clock import ManualClock
from tests.support.custody import Footage

# jq holds numbers as doubles: beyond 2**53 it is no judge.
_exact_integers = st.integers(-(2**53), 2**53)
# U+007F: jq 1.6 escapes it, later ones do not.
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=12)
_json = st.recursive(
    st.none() | st.booleans() | _exact_integers | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=20,
)


@given(_json)
def test_it_reads_back_as_the_same_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(_texts, _json, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(value)


@pytest.mark.parametrize(
    "value", [1.0, [1.5], {"a": {"b": [0.1]}}, float("nan"), float("inf")], ids=["plain", "list", "deep", "nan", "inf"]
)
def test_a_floating_point_number_is_refused_wherever_it_hides(value: Any) -> None:
    with pytest.raises(TypeError, match="floating-point"):
        canonical_json(value)


def test_the_form_is_the_documented_one() -> None:
    assert canonical_json({"b": 1, "a": [True, None, "ä/\n"]}) == '{"a":[true,null,"ä/\\n"],"b":1}'.encode()


def test_digests_are_sha256() -> None:
    assert digest_of_json({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest() == digest_of_bytes(b'{"a":1}')


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@given(st.lists(_json, min_size=1, max_size=30))
@settings(max_examples=12)
def test_jq_prints_the_same_bytes(values: list[Any]) -> None:
    asked = "\n".join(json.dumps([value]) for value in values)  # a bare text jq -j would print without quotes
    judged = subprocess.run(["jq", "-cSj", "."], input=asked.encode(), capture_output=True, check=True)
    assert judged.stdout == b"".join(canonical_json([value]) for value in values)


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_and_sha256sum_compute_the_hash_of_a_fact_with_a_time_in_nanoseconds() -> None:
    footage = Footage()
    listed = footage.listed().model_copy(update={"modified_ns": 1_763_791_200_123_456_789})
    fact = link("dock-1", 1, GENESIS, ManualClock().moment(), listed)
    judged = subprocess.run(
        "jq -cSj 'del(.hash)' | sha256sum",
        check=True,
        shell=True,
        input=fact.model_dump_json().encode(),
        capture_output=True,
    )
    assert judged.stdout.decode().split()[0] == fact.hash
    assert RecordedFact.model_validate_json(fact.model_dump_json()) == fact
