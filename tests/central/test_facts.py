"""The chain: in order, once, unforgeable, and durable when acknowledged."""

from __future__ import annotations

import asyncio
import base64
import os

import aiohttp
from hypothesis import given, settings
from hypothesis import strategies as st

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.model import facts as f
from dockd.model.ids import GENESIS
from dockd.model.moment import Moment
from tests.support.clock import ManualClock
from tests.support.dock_voice import Chain, DockVoice


def docked(number: int) -> f.CameraDocked:
    return f.CameraDocked(session=f"s{number}", bay="bay-1", port="1-1.1")


async def test_facts_are_held_and_given_back_byte_for_byte(dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    chain.add(*(docked(n) for n in range(10)))
    assert await dock.head() == {"number": 0, "head": GENESIS}
    taken = await dock.put_facts(chain.facts)
    assert (taken.status, taken.json) == (200, {"number": 11, "head": chain.head})
    assert await dock.head() == taken.json
    read = await dock.ask("GET", "/api/v1/docks/dock-7/facts?after=4&limit=3")
    assert read.json["facts"] == [one.model_dump(mode="json") for one in chain.facts[4:7]]
    last = await dock.ask("GET", "/api/v1/docks/dock-7/facts?after=11")
    assert last.json == {"facts": []}


async def test_same_facts_again_change_nothing_and_get_the_same_answer(dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    chain.add(docked(1), docked(2))
    first = await dock.put_facts(chain.facts)
    again = await dock.put_facts(chain.facts)
    part = await dock.put_facts(chain.facts[:1])
    assert first.json == again.json == part.json
    assert len((await dock.ask("GET", "/api/v1/docks/dock-7/facts")).json["facts"]) == 3


async def test_overlap_is_allowed_where_it_is_identical(dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    chain.add(docked(1))
    await dock.put_facts(chain.facts)
    chain.add(docked(2), docked(3))
    assert (await dock.put_facts(chain.facts[1:])).json == {"number": 4, "head": chain.head}


async def test_gap_is_refused_with_what_is_expected(dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    chain.add(docked(1), docked(2))
    await dock.put_facts(chain.facts[:1])
    refused = await dock.put_facts(chain.facts[2:])
    assert (refused.status, refused.code) == (409, "gap")
    assert refused.json["expected_number"] == 2
    assert refused.json["expected_head"] == chain.facts[0].hash
    assert (await dock.head())["number"] == 1


async def test_gap_and_fork_within_a_batch_are_refused_whole(dock: DockVoice) -> None:
    chain, other = Chain(), Chain()
    chain.start()
    chain.add(docked(1), docked(2))
    assert (await dock.put_facts([chain.facts[0], chain.facts[2]])).code == "gap"
    other.start()
    other.add(docked(9))
    assert (await dock.put_facts([chain.facts[0], other.facts[1]])).code == "fork"
    assert (await dock.head())["number"] == 0


async def test_fork_is_refused(dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    await dock.put_facts(chain.facts)
    other = Chain()
    other.private = chain.private
    other.clock.advance(5)
    other.start()
    other.add(docked(1))
    refused = await dock.put_facts(other.facts[1:])
    assert (refused.status, refused.code) == (409, "fork")
    assert refused.json["expected_head"] == chain.head


async def test_rewriting_the_past_is_refused(dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    chain.add(docked(1))
    await dock.put_facts(chain.facts)
    forged = Chain()
    forged.facts = chain.facts[:1]
    forged.add(docked(999), docked(2))
    refused = await dock.put_facts(forged.facts[1:])
    assert (refused.status, refused.code) == (409, "rewrite")
    assert await dock.head() == {"number": 2, "head": chain.head}


async def test_fact_whose_hash_is_not_its_own_is_refused(dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    lie = chain.facts[0].model_copy(update={"hash": "ab" * 32})
    refused = await dock.put_facts([lie])
    assert (refused.status, refused.code) == (422, "bad-hash")


async def test_facts_of_another_dock_are_refused(dock: DockVoice) -> None:
    chain = Chain("dock-8")
    chain.start()
    assert (await dock.put_facts(chain.facts)).code == "wrong-dock"
    assert (await dock.put_facts([])).code == "invalid-body"


async def test_checkpoint_signed_by_the_announced_key_is_taken(dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    chain.sign()
    chain.add(docked(1))
    assert (await dock.put_facts(chain.facts)).status == 200
    chain.sign(through=2, head=chain.facts[1].hash)
    assert (await dock.put_facts(chain.facts[3:])).status == 200


async def test_checkpoint_with_another_keys_signature_is_refused(dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    chain.private = Chain().private
    chain.sign()
    refused = await dock.put_facts(chain.facts)
    assert (refused.status, refused.code) == (409, "bad-signature")
    assert (await dock.head())["number"] == 0


async def test_checkpoint_over_something_else_than_the_chain_is_refused(dock: DockVoice) -> None:
    for through, head in ((1, "ab" * 32), (7, None), (-1, None)):
        chain = Chain()
        chain.start()
        chain.sign(head=head, through=through)
        assert (await dock.put_facts(chain.facts)).code == "bad-signature"
    unannounced = Chain()
    unannounced.add(docked(1))
    unannounced.sign()
    assert (await dock.put_facts(unannounced.facts)).code == "bad-signature"


async def test_another_key_is_refused_until_an_administrator_allows_it(centre: ServedCentre, dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    await dock.put_facts(chain.facts)
    chain.private = Chain().private
    chain.start()
    refused = await dock.put_facts(chain.facts)
    assert (refused.status, refused.code) == (409, "other-key")
    await centre.services.facts.allow_key("dock-7", chain.public_key)
    chain.sign()
    assert (await dock.put_facts(chain.facts)).status == 200
    thief = chain.private = Chain().private
    chain.start()
    assert thief is chain.private
    assert (await dock.put_facts(chain.facts[-1:])).code == "other-key"


async def test_key_that_is_no_key_is_refused(dock: DockVoice) -> None:
    for text in ("", "not base64!", base64.b64encode(b"short").decode()):
        chain = Chain()
        chain.add(f.DockStarted(version="0.1.0", public_key=text))
        assert (await dock.put_facts(chain.facts)).code == "invalid-body"


async def test_nul_and_numbers_beyond_64_bits_do_no_harm(dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    chain.add(docked(1), f.SessionMoved(session="s1", from_state="a\0", to_state="b\0", reason="\0 why \U0001f4f7"))
    assert (await dock.put_facts(chain.facts)).status == 200
    read = await dock.ask("GET", "/api/v1/docks/dock-7/facts?after=2")
    assert read.json["facts"][0]["fact"]["reason"] == "\0 why \U0001f4f7"
    chain.add(
        f.SessionReconciled(
            session="s1",
            camera="simulated:C",
            listed=f.Tally(count=2**70, size_bytes=0),
            staged=f.Tally(count=0, size_bytes=0),
            stored=f.Tally(count=0, size_bytes=0),
            erased=f.Tally(count=0, size_bytes=0),
            retained=f.Tally(count=0, size_bytes=0),
            differences=(),
        )
    )
    assert (await dock.put_facts(chain.facts[-1:])).code == "invalid-body"


async def test_two_processes_hand_in_the_same_facts_at_once(config: CentreConfig, dock: DockVoice) -> None:
    chain = Chain()
    chain.start()
    chain.add(*(docked(n) for n in range(50)))
    async with serving_centre(config) as second:
        elsewhere = DockVoice(dock.session, second.url)
        replies = await asyncio.gather(*(one.put_facts(chain.facts) for one in (dock, elsewhere) * 4))
    assert {reply.status for reply in replies} == {200}
    assert await dock.head() == {"number": 51, "head": chain.head}


async def test_acknowledged_facts_are_there_after_a_restart(
    config: CentreConfig, session: aiohttp.ClientSession, clock: ManualClock
) -> None:
    chain = Chain()
    chain.start()
    async with serving_centre(config, clock=clock) as first:
        await DockVoice(session, first.url).put_facts(chain.facts)
    async with serving_centre(config, clock=clock) as second:
        assert await DockVoice(session, second.url).head() == {"number": 1, "head": chain.head}


@settings(max_examples=25)
@given(cuts=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=8))
async def test_whatever_batches_arrive_the_chain_held_is_a_prefix_of_the_docks(
    centre: ServedCentre, dock: DockVoice, cuts: list[tuple[int, int]]
) -> None:
    chain = Chain(f"dock-{os.urandom(6).hex()}", clock=_ticking())
    chain.start()
    chain.add(*(docked(n) for n in range(29)))
    held = 0
    for one, other in cuts:
        begin, end = sorted((one, other))
        reply = await dock.put_facts(chain.facts[begin:end], dock=chain.dock)
        if begin == end:
            assert reply.code == "invalid-body"
        elif begin > held:
            assert (reply.code, reply.json["expected_number"]) == ("gap", held + 1)
        else:
            held = max(held, end)
            assert reply.json == {"number": held, "head": chain.facts[held - 1].hash}
    bodies = await centre.services.queries.fact_bodies(chain.dock, 0, 500)
    assert [f.RecordedFact.model_validate_json(body) for body in bodies] == chain.facts[:held]


def _ticking() -> ManualClock:
    class Ticking(ManualClock):
        def moment(self) -> Moment:
            self.advance(0.001)
            return super().moment()

    return Ticking()
