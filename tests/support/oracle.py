"""The judge of the durability tests: knows what was ever on a card, and looks at nothing but files.

Reads cards, staging disk, store and journal as an outsider would (sqlite3, sha256), never through the
code under test, except for the two pure functions that define the chain.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dockd.model.facts import RecordedFact, chain_break

RANKS = {
    "RecordingListed": 1,
    "RecordingStaged": 2,
    "RecordingVerified": 3,
    "RecordingStored": 4,
    "RecordingAccepted": 5,
    "RecordingErased": 6,
}


def sha256_of(path: Path) -> str:
    """Digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """Regular files, also while somebody moves folders about."""
    if folder.is_dir():
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path


def facts_in(journal: Path) -> list[RecordedFact]:
    """Every fact of a journal file, rebuilt from the bytes that are hashed."""
    with sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=30) as database:
        rows = database.execute("SELECT number, hash, body FROM facts ORDER BY number").fetchall()
    database.close()
    facts = []
    for number, digest, body in rows:
        assert hashlib.sha256(body.encode()).hexdigest() == digest, f"fact {number} does not have its hash"
        facts.append(RecordedFact.model_validate_json(json.dumps({**json.loads(body), "hash": digest})))
    return facts


@dataclass
class Oracle:
    """Everything that a test put on cards, and where it may lie now."""

    card_folders: list[Path]
    """Folders below which camera folders are (bays, shelves)."""
    staging: Path
    store: Path
    journal: Path
    expected: dict[str, str] = field(default_factory=dict)
    """Digest of every file ever put on a card, with a name for messages."""

    def remember(self, camera: Path) -> None:
        """A camera's card as it is now is footage that may never be lost."""
        for path in files_below(camera / "card"):
            self.expected[sha256_of(path)] = f"{camera.name}/{path.name}"

    def on_cards(self) -> Counter[str]:
        """Digests on all cards. A camera that is moved meanwhile would be missed, so then all are read again."""
        while True:
            cards = self._cards()
            found: Counter[str] = Counter()
            for path in (path for card in cards for path in files_below(card)):
                with suppress(FileNotFoundError):  # erased, or moved, just now
                    found[sha256_of(path)] += 1
            if self._cards() == cards:
                return found

    def _cards(self) -> set[Path]:
        return {card for folder in self.card_folders for card in folder.rglob("card") if card.is_dir()}

    def in_store(self) -> set[str]:
        """Digests in the store; each object must lie under its own digest."""
        found = set()
        for path in files_below(self.store / "objects"):
            digest = sha256_of(path)
            assert path.name == digest, f"object {path.name} has digest {digest}"
            found.add(digest)
        return found

    def in_staging(self) -> set[str]:
        """Digests of whole files on the staging disk."""
        return {sha256_of(path) for path in files_below(self.staging)}

    def check_nothing_lost(self) -> None:
        """Every file that was ever on a card exists complete in card, staging or store."""
        # The order matters while the dock is at work: footage moves from left to right.
        present = set(self.on_cards())
        present |= self.in_staging()
        present |= self.in_store()
        lost = {name for digest, name in self.expected.items() if digest not in present}
        assert not lost, f"lost: {sorted(lost)}"

    def check_erased_only_what_the_store_has(self) -> None:
        """A file that no card holds any more lies in the final store, whole."""
        cards = set(self.on_cards())
        stored = self.in_store()
        early = {name for digest, name in self.expected.items() if digest not in cards and digest not in stored}
        assert not early, f"erased from the card before the store had it: {sorted(early)}"

    def facts(self) -> list[RecordedFact]:
        """The journal's facts, or none when it was never opened."""
        return facts_in(self.journal) if self.journal.exists() else []

    def checkpoint_bytes(self) -> int:
        """How far the copies under way are durable, all together."""
        with sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True, timeout=30) as database:
            ((offset_bytes,),) = database.execute("SELECT coalesce(sum(offset_bytes), 0) FROM checkpoints").fetchall()
        database.close()
        return int(offset_bytes)

    def check_chain(self, facts: Iterable[RecordedFact] | None = None) -> None:
        """Gap-free and chained."""
        before: RecordedFact | None = None
        for fact in self.facts() if facts is None else facts:
            assert chain_break(before, fact) is None, f"chain breaks at {fact.number}: {chain_break(before, fact)}"
            before = fact

    def check_order_of_custody(self, facts: Iterable[RecordedFact] | None = None) -> None:
        """Nothing erased without an earlier receipt, intent and listing in that session; no step back."""
        rank: dict[str, int] = {}
        intended: set[str] = set()
        for recorded in self.facts() if facts is None else facts:
            body = json.loads(recorded.fact.model_dump_json())
            kind = body["kind"]
            recording = (
                body.get("recording")
                or next(
                    (inner["recording"] for inner in body.values() if isinstance(inner, dict) and "recording" in inner),
                    None,
                )
                or body.get("verified", {}).get("staged", {}).get("recording")
            )
            if kind == "WipeIntended":
                assert rank[recording] == RANKS["RecordingAccepted"], (
                    f"wipe of {recording} intended at {rank[recording]}"
                )
                intended.add(recording)
            if kind == "RecordingErased":
                assert rank[recording] == RANKS["RecordingAccepted"], f"{recording} erased at rank {rank[recording]}"
                assert recording in intended, f"{recording} erased without an intent"
            if kind in RANKS:
                rank[recording] = max(rank.get(recording, 0), RANKS[kind])

    def check_all(self) -> list[RecordedFact]:
        """Every invariant that must hold at any moment; returns the facts that were judged."""
        self.check_nothing_lost()
        self.check_erased_only_what_the_store_has()
        facts = self.facts()
        self.check_chain(facts)
        self.check_order_of_custody(facts)
        return facts

    def check_finished(self) -> None:
        """The end of a good day: all cards empty, everything in the store, the chain sound."""
        assert self.check_all(), "there is no journal"
        assert not self.on_cards(), f"still on cards: {sorted(self.on_cards())}"
        stored = self.in_store()
        missing = {name for digest, name in self.expected.items() if digest not in stored}
        assert not missing, f"not in the store: {sorted(missing)}"
