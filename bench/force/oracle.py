"""Judges the database after a replay: no fact lost or doubled, chains whole, every receipt there once and true.

Knows the centre's tables and what was told to it. Takes nothing from the centre's own code but the receipt's rule: the
hashes are computed again from the bytes in the rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg

from bench.force.docks import Fleet
from dockd.model.ids import GENESIS, Digest
from dockd.model.recording import Receipt
from dockd.rules.receipts import PinnedStore, check_receipt
from tests.support.postgres import PostgresServer

_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was looked at, and every difference found (the first of each kind in words)."""

    facts: int
    docks: int
    receipts: int
    differences: tuple[str, ...]


def judge(
    server: PostgresServer,
    database: str,
    fleet: Fleet,
    pinned: PinnedStore,
    receipts: Mapping[str, str],
) -> Judgement:
    """Compare the database with everything that docks told, and with the receipts that they were given."""
    differences: list[str] = []
    with psycopg.connect(server.address(database)) as connection:
        facts = _facts(connection, fleet, differences)
        held = _receipts(connection, fleet, pinned, receipts, differences)
        differences += _counts(connection, fleet)
    return Judgement(facts, len(fleet.docks), held, tuple(differences))


def _facts(connection: psycopg.Connection[tuple[object, ...]], fleet: Fleet, differences: list[str]) -> int:
    """Each chain fact by fact: number, hash as the dock has it, hash of the row's bytes, link to the one before."""
    told_ends = _rows(connection, "SELECT dock, facts || ' ' || head FROM docks WHERE facts > 0")
    ends = {str(dock): str(end) for dock, end in told_ends}
    expected = {dock.name: dock.hashes for dock in fleet.docks if dock.hashes}
    for name, hashes in expected.items():
        if ends.get(name) != f"{len(hashes)} {hashes[-1]}":
            differences.append(f"the chain of {name} ends at {ends.get(name)} and not at {len(hashes)} {hashes[-1]}")
    seen: dict[str, int] = {}
    total = 0
    for row in _rows(connection, "SELECT dock, number, hash, body FROM facts ORDER BY 1, 2"):
        dock, number, digest, body = str(row[0]), int(str(row[1])), str(row[2]), str(row[3])
        if dock not in expected:
            continue  # history that was there before
        hashes = expected[dock]
        total += 1
        if number != seen.get(dock, 0) + 1 or number > len(hashes):
            differences.append(f"{dock} has fact {number} after {seen.get(dock, 0)}")
            seen[dock] = number
            continue
        seen[dock] = number
        content = json.loads(body)
        claimed = content.pop("hash")
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        before = hashes[number - 2] if number > 1 else GENESIS
        is_same = claimed == digest == hashes[number - 1] == hashlib.sha256(text.encode()).hexdigest()
        if not is_same or content["previous"] != before:
            differences.append(f"fact {number} of {dock} is not the one that was told")
    for name, hashes in expected.items():
        if seen.get(name) != len(hashes):
            differences.append(f"{name} told {len(hashes)} facts, the last one held is {seen.get(name)}")
    return total


def _receipts(
    connection: psycopg.Connection[tuple[object, ...]],
    fleet: Fleet,
    pinned: PinnedStore,
    given: Mapping[str, str],
    differences: list[str],
) -> int:
    """One receipt for every digest that was claimed, true, and the very one that docks were given."""
    wanted = {digest for digest, _, _ in fleet.told.claims}
    held: dict[str, Receipt] = {}
    for digest, text in _rows(connection, "SELECT digest, receipt FROM receipts"):
        if digest in wanted:
            receipt = Receipt.model_validate_json(str(text))
            check_receipt(receipt, pinned, digest=Digest(str(digest)), size_bytes=receipt.size_bytes)
            held[str(digest)] = receipt
    missing = len(wanted - held.keys())
    if missing:
        differences.append(f"{missing} recordings have no receipt")
    untold = len(wanted - given.keys())
    if untold:
        differences.append(f"{untold} recordings' receipts were never given to a dock")
    other = sum(Receipt.model_validate_json(one) != held.get(digest) for digest, one in given.items() if digest in held)
    if other:
        differences.append(f"{other} docks were given another receipt than the one held")
    return len(held)


def _counts(connection: psycopg.Connection[tuple[object, ...]], fleet: Fleet) -> Iterator[str]:
    """What the facts amount to, row by row of the kind."""
    told, is_ours = fleet.told, "dock LIKE 'dock-%'"
    for what, statement, wanted in (
        ("sessions", f"SELECT count(*) FROM sessions WHERE {is_ours} AND state = 'gone'", told.dockings),
        ("recordings", f"SELECT count(*) FROM dock_recordings WHERE {is_ours} AND state = 'ERASED'", told.recordings),
        ("custody lines", f"SELECT count(*) FROM custody_lines WHERE {is_ours}", told.custody_lines),
        ("claims", f"SELECT count(*) FROM sources WHERE {is_ours}", len(told.claims)),
        ("manifests", f"SELECT count(*) FROM manifests WHERE {is_ours}", told.manifests),
        ("unfinished uploads", "SELECT count(*) FROM uploads WHERE NOT is_done", 0),
    ):
        ((found,),) = _rows(connection, statement)
        if found != wanted:
            yield f"{found} {what} and not {wanted}"


def _rows(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> Iterator[tuple[object, ...]]:
    with connection.cursor(name="oracle") as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        cursor.execute(statement.encode())
        yield from cursor
