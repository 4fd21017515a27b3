"""The rules of the chain as a model: whatever is offered, what is held is one dock's linked past."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.central.chain import ChainEnd, ReceivedFact, key_after, new_facts, receive
from dockd.model import facts as f
from dockd.model.facts import RecordedFact
from dockd.web.problems import Refusal
from tests.support.dock_voice import Chain


def chain_of(count: int) -> Chain:
    chain = Chain()
    chain.start()
    chain.add(*(f.CameraDocked(session=f"s{n}", bay="b", port="p") for n in range(count - 1)))
    return chain


CHAIN = chain_of(12)
OTHER = chain_of(12)


class Held:
    """What the intake's table would hold."""

    def __init__(self) -> None:
        self.facts: list[RecordedFact] = []

    @property
    def end(self) -> ChainEnd:
        return ChainEnd(self.facts[-1].number, self.facts[-1].hash) if self.facts else ChainEnd()

    def offer(self, batch: list[RecordedFact]) -> Refusal | None:
        received = receive("dock-7", tuple(batch))
        hashes = {fact.number: fact.hash for fact in self.facts}
        try:
            self.facts += [one.recorded for one in new_facts(self.end, received, hashes)]
        except Refusal as refusal:
            return refusal
        return None


BATCHES = st.lists(
    st.tuples(st.sampled_from([CHAIN, OTHER]), st.integers(0, 11), st.integers(1, 12)).map(
        lambda one: one[0].facts[one[1] : one[1] + one[2]]
    ),
    max_size=12,
)


@given(BATCHES)
def test_what_is_held_is_always_a_prefix_of_one_chain_and_never_shrinks(batches: list[list[RecordedFact]]) -> None:
    held = Held()
    for batch in batches:
        before = list(held.facts)
        refusal = held.offer(batch)
        if refusal is not None:
            assert refusal.kind.code in ("gap", "fork", "rewrite")
            assert refusal.expected_number == len(before) + 1
            assert refusal.expected_head == held.end.head
            assert held.facts == before
        assert held.facts[: len(before)] == before
        assert held.facts in (CHAIN.facts[: len(held.facts)], OTHER.facts[: len(held.facts)])


@given(st.data())
def test_any_changed_field_is_found_out(data: st.DataObject) -> None:
    fact = data.draw(st.sampled_from(CHAIN.facts))
    changes = data.draw(
        st.sampled_from(
            [
                {"number": fact.number + 1},
                {"previous": "ab" * 32},
                {"hash": "cd" * 32},
                {"moment": fact.moment.model_copy(update={"boot_id": "another"})},
                {"fact": f.DockStopped()},
            ]
        )
    )
    with pytest.raises(Refusal) as caught:
        receive("dock-7", (fact.model_copy(update=changes),))
    assert caught.value.kind.code == "bad-hash"


def test_body_that_is_kept_hashes_as_the_dock_hashed_it() -> None:
    for one in receive("dock-7", tuple(CHAIN.facts)):
        again = RecordedFact.model_validate_json(one.body)
        assert again == one.recorded
        assert again.computed_hash() == again.hash


def received(chain: Chain) -> tuple[ReceivedFact, ...]:
    return receive(chain.dock, tuple(chain.facts))


def hashes(chain: Chain) -> dict[int, str]:
    return {fact.number: fact.hash for fact in chain.facts}


def test_first_announced_key_counts_and_signs() -> None:
    chain = chain_of(3)
    chain.sign()
    assert key_after(ChainEnd(), received(chain), hashes(chain)) == chain.public_key


def test_allowed_key_takes_over_and_the_old_one_does_not_sign_any_more() -> None:
    chain = Chain()
    chain.start()
    old, old_key = chain.private, chain.public_key
    chain.private = Chain().private
    chain.start()
    with pytest.raises(Refusal, match="another signing key"):
        key_after(ChainEnd(), received(chain), hashes(chain))
    allowed = ChainEnd(allowed_key=chain.public_key, public_key=old_key)
    assert key_after(allowed, received(chain), hashes(chain)) == chain.public_key
    chain.private = old
    chain.sign()
    with pytest.raises(Refusal, match="does not verify"):
        key_after(allowed, received(chain), hashes(chain))
