"""Whether a batch of facts may be added to a dock's chain. Pure: no database, no clock, no network.

A dock cannot change its past: what is held is never replaced, and what is new must follow it. Signed
checkpoints are checked against the key that the dock announced in its first `DockStarted`; another key is
refused (409 `other-key`) until an administrator has allowed that very key with `dockd central accept-key`.
Reason: whoever steals a dock's address could otherwise go on with its chain under a key of his own.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dockd.central.refusals import BAD_HASH, BAD_SIGNATURE, FORK, GAP, OTHER_KEY, REWRITE, WRONG_DOCK
from dockd.central.tables import LARGEST_INTEGER
from dockd.model.canonical import Json, canonical_json, digest_of_bytes
from dockd.model.facts import ChainSigned, DockStarted, RecordedFact
from dockd.model.ids import GENESIS
from dockd.web.problems import INVALID_BODY, ProblemKind, Refusal
from dockd.wire.messages import MAXIMUM_FACTS_PER_BATCH


@dataclass(frozen=True, slots=True)
class ReceivedFact:
    """A fact whose hash was computed here and agrees; `body` is its canonical JSON, hash and all."""

    recorded: RecordedFact
    body: str


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """The chain as it is held: `number` facts, the last one's hash, and the dock's signing key."""

    number: int = 0
    head: str = GENESIS
    public_key: str | None = None
    allowed_key: str | None = None


def receive(dock: str, batch: tuple[RecordedFact, ...]) -> tuple[ReceivedFact, ...]:
    """Check everything that needs no knowledge of what is held; costs one hash for each fact.

    Raises Refusal: `invalid-body`, `wrong-dock`, `bad-hash`, and `gap` or `fork` within the batch.
    """
    if not 1 <= len(batch) <= MAXIMUM_FACTS_PER_BATCH:
        raise Refusal(INVALID_BODY, f"A batch has 1 to {MAXIMUM_FACTS_PER_BATCH} facts.")
    received = tuple(_received(dock, fact) for fact in batch)
    for before, after in itertools.pairwise(batch):
        if after.number != before.number + 1:
            raise Refusal(GAP, f"Within the batch, fact {after.number} comes after fact {before.number}.")
        if after.previous != before.hash:
            raise Refusal(FORK, f"Within the batch, fact {after.number} does not follow fact {before.number}.")
    return received


def new_facts(
    end: ChainEnd, received: tuple[ReceivedFact, ...], held_hashes: Mapping[int, str]
) -> tuple[ReceivedFact, ...]:
    """Return those of `received` that are to be added after `end`; none when all are held already.

    `held_hashes` are the hashes held for the batch's numbers up to `end`. Raises Refusal: `gap`,
    `fork`, `rewrite`, each with the number and head that are expected next.
    """
    first = received[0].recorded
    if first.number > end.number + 1:
        raise _chain_refusal(GAP, end, f"Facts {end.number + 1} to {first.number - 1} are missing here.")
    for one in received:
        number = one.recorded.number
        if number <= end.number and held_hashes.get(number) != one.recorded.hash:
            raise _chain_refusal(REWRITE, end, f"Fact {number} is held here with another hash.")
    new = tuple(one for one in received if one.recorded.number > end.number)
    if new and new[0].recorded.previous != end.head:
        raise _chain_refusal(FORK, end, f"Fact {new[0].recorded.number} does not follow the last one held here.")
    return new


def key_after(end: ChainEnd, new: tuple[ReceivedFact, ...], hash_at: Mapping[int, str]) -> str | None:
    """Check keys and signed checkpoints in `new`; return the dock's key afterwards.

    `hash_at` gives the hashes of the facts that the checkpoints sign, held or new. Raises Refusal:
    `other-key`, `bad-signature`.
    """
    key = end.public_key
    for one in new:
        fact = one.recorded.fact
        if isinstance(fact, DockStarted):
            _public_key(fact.public_key)
            if key is not None and fact.public_key not in (key, end.allowed_key):
                raise Refusal(
                    OTHER_KEY,
                    f"Fact {one.recorded.number} announces another signing key than this dock had before.",
                    expected_number=end.number + 1,
                    expected_head=end.head,
                )
            key = fact.public_key
        elif isinstance(fact, ChainSigned):
            _check_signature(one.recorded, fact, key, hash_at)
    return key


def _received(dock: str, recorded: RecordedFact) -> ReceivedFact:
    if recorded.dock != dock:
        raise Refusal(WRONG_DOCK, f"Fact {recorded.number} is not of this dock.")
    if recorded.version != 1 or not 1 <= recorded.number <= LARGEST_INTEGER:
        raise Refusal(INVALID_BODY, "A fact has a version or a number that does not exist.")
    whole = cast(dict[str, Json], recorded.model_dump(mode="json"))
    if not _fits(whole):
        raise Refusal(INVALID_BODY, f"Fact {recorded.number} holds a number beyond 64 bits.")
    # The canonical form of an object is that of its fields, in order: written once, joined without and with the hash.
    before, after = (canonical_json({name: whole[name] for name in side})[1:-1] for side in _sides_of_hash(whole))
    if digest_of_bytes(b"{%b,%b}" % (before, after)) != recorded.hash:
        raise Refusal(BAD_HASH, f"The hash of fact {recorded.number} is not that of its content.")
    body = b'{%b,"hash":%b,%b}' % (before, canonical_json(whole["hash"]), after)
    return ReceivedFact(recorded, body.decode("utf-8"))


def _sides_of_hash(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those that come before `hash` in the canonical form, and those that come after; neither is ever empty."""
    return [name for name in names if name < "hash"], [name for name in names if name > "hash"]


def _fits(value: Json) -> bool:
    """Whether every integer inside can be kept in a column."""
    if isinstance(value, dict):
        return all(map(_fits, value.values()))
    if isinstance(value, list):
        return all(map(_fits, value))
    return not isinstance(value, int) or -LARGEST_INTEGER <= value <= LARGEST_INTEGER


def _chain_refusal(kind: ProblemKind, end: ChainEnd, words: str) -> Refusal:
    return Refusal(kind, words, expected_number=end.number + 1, expected_head=end.head)


def _public_key(text: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise Refusal(INVALID_BODY, "The announced key is not an Ed25519 public key in base64.") from None


def _check_signature(recorded: RecordedFact, fact: ChainSigned, key: str | None, hash_at: Mapping[int, str]) -> None:
    where = f"The checkpoint in fact {recorded.number}"
    if key is None:
        raise Refusal(BAD_SIGNATURE, f"{where} comes before the dock announced its key.")
    if fact.through >= recorded.number or hash_at.get(fact.through) != fact.head:
        raise Refusal(BAD_SIGNATURE, f"{where} signs something that is not in the chain.")
    try:
        signature = base64.b64decode(fact.signature, validate=True)
        _public_key(key).verify(signature, fact.head.encode("ascii"))
    except (InvalidSignature, binascii.Error, ValueError):
        raise Refusal(BAD_SIGNATURE, f"{where} does not verify with the dock's key.") from None
