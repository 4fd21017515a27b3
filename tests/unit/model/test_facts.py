"""Threats against the chain of facts."""

from __future__ import annotations

import typing
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dockd.model import facts
from dockd.model.facts import FACT, ChainBreak, RecordedFact, chain_break, link
from dockd.model.ids import GENESIS, Digest
from tests.support.clock import ManualClock
from tests.support.custody import Footage


def chain(count: int) -> list[RecordedFact]:
    clock, made = ManualClock(), []
    previous = GENESIS
    for number in range(1, count + 1):
        fact = facts.CameraDocked(session=f"s{number}", bay="1", port="folder:1")
        made.append(link("dock-1", number, previous, clock.moment(), fact))
        previous = Digest(made[-1].hash)
        clock.advance(1)
    return made


def breaks(told: list[RecordedFact]) -> list[ChainBreak | None]:
    return [chain_break(before, fact) for before, fact in zip([None, *told], told, strict=False)]


def test_a_chain_as_it_was_made_has_no_break() -> None:
    assert breaks(chain(5)) == [None] * 5


@given(st.integers(0, 4))
def test_a_fact_left_out_is_a_gap(place: int) -> None:
    told = chain(6)
    del told[place]
    assert breaks(told)[place] is ChainBreak.GAP


def test_a_fact_that_names_another_predecessor_is_a_fork() -> None:
    told = chain(3)
    told[2] = link("dock-1", 3, GENESIS, told[2].moment, told[2].fact)
    assert breaks(told)[2] is ChainBreak.FORK


@pytest.mark.parametrize("part", ["fact", "moment", "dock", "version"])
def test_no_part_of_a_fact_can_be_changed_unnoticed(part: str) -> None:
    told = chain(2)
    changed = {
        "fact": facts.CameraDocked(session="s2", bay="2", port="folder:1"),
        "moment": told[1].moment.model_copy(update={"at": told[1].moment.at - timedelta(seconds=1)}),
        "dock": "dock-2",
        "version": 2,
    }
    told[1] = told[1].model_copy(update={part: changed[part]})
    assert breaks(told)[1] is ChainBreak.BAD_HASH


def test_a_rewritten_past_breaks_the_next_fact() -> None:
    told = chain(3)
    told[0] = link("dock-1", 1, GENESIS, told[0].moment, facts.CameraDocked(session="x", bay="1", port="folder:1"))
    assert breaks(told) == [None, ChainBreak.FORK, None]


def test_a_fact_reads_back_from_its_json_with_the_same_hash() -> None:
    for fact in chain(3):
        again = RecordedFact.model_validate_json(fact.model_dump_json())
        assert again == fact
        assert again.computed_hash() == fact.hash


def test_every_kind_of_fact_is_told_apart_by_its_own_name() -> None:
    kinds = [kind.model_fields["kind"].default for kind in typing.get_args(facts.Fact)]
    assert kinds == [kind.__name__ for kind in typing.get_args(facts.Fact)]
    assert len(set(kinds)) == len(kinds)


def test_every_class_of_fact_in_the_module_may_be_written() -> None:
    classes = {
        one for one in vars(facts).values() if isinstance(one, type) and "kind" in getattr(one, "model_fields", {})
    }
    assert classes == set(typing.get_args(facts.Fact))


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "NoSuchFact"},
        {"kind": "DockStopped", "extra": 1},
        {"kind": "StagingEvicted"},
        {"kind": "StagingEvicted", "recording": "../x"},
        {"kind": "StagingEvicted", "recording": 5},
        {},
    ],
    ids=str,
)
def test_a_fact_of_the_wrong_form_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FACT.validate_python(body)


def test_facts_hold_no_floating_point_number() -> None:
    footage = Footage()
    for number, fact in enumerate([footage.listed(), footage.staged(), footage.verified()], start=1):
        assert link("dock-1", number, GENESIS, ManualClock().moment(), fact).hash
