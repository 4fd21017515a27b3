"""The judge: every byte that was ever on a camera's card lies on the card, on a dock's staging disk, or in the store.

Looks from outside: at the cards' images with mtools, at the store's folder on this host, at the guest's disk with
Python's own hashlib and sqlite3. What must hold is said in `tests/support/oracle.py`.
"""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dockd.model.facts import RecordedFact
from tests.lab.camera_image import CameraImage
from tests.lab.guest import Guest
from tests.support.oracle import Oracle, facts_in

_STATE = "/var/lib/dockd"
_COPY_OF_JOURNAL = """
import base64, contextlib, pathlib, sqlite3
(path,) = pathlib.Path(arguments[0], "journal").glob("*.sqlite3")
copy = pathlib.Path("/dev/shm/journal.copy")
with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as source:
    with contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
output = base64.b64encode(copy.read_bytes()).decode()
copy.unlink()
"""
_DIGESTS_OF_COPIES = """
import hashlib, pathlib
copies = [path for path in pathlib.Path(arguments[0], "staging").rglob("*") if path.is_file()]
output = " ".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in copies)
"""


@dataclass
class Accounts(Oracle):
    """The books of one dock in the lab. Cards are looked at as they lie in their files."""

    cameras: list[CameraImage] = field(default_factory=list)
    guest: Guest | None = None
    since: int = 0
    """The last fact before this scenario. The chain is always judged from the first."""
    _looked_at: list[RecordedFact] | None = None

    @classmethod
    def of(cls, guest: Guest, store: Path, cameras: list[CameraImage], folder: Path, since: int = 0) -> Accounts:
        """The books about these cameras, at this dock and this store."""
        books = cls([], Path(_STATE), store, folder / "journal.copy", cameras=cameras, guest=guest, since=since)
        for camera in cameras:
            books.expected.update(camera.recordings)
        return books

    def on_cards(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for camera in self.cameras:
            found += camera.on_card()
        return found

    def in_staging(self) -> set[str]:
        return set(self._inside().look(_DIGESTS_OF_COPIES, _STATE).split())

    def facts(self) -> list[RecordedFact]:
        """Every fact of the journal as it is now."""
        self.journal.write_bytes(base64.b64decode(self._inside().look(_COPY_OF_JOURNAL, _STATE)))
        self._looked_at = facts_in(self.journal)
        return self._looked_at

    def journal_in_guest(self) -> str:
        """Path of the journal's database."""
        return self._inside().shell(f"ls {_STATE}/journal/*.sqlite3").strip()

    def kinds(self) -> Counter[str]:
        """How many facts of each kind this scenario had made when the books were last judged."""
        return Counter(str(one.fact.kind) for one in self._own_facts())

    def facts_of(self, kind: str) -> list[dict[str, Any]]:
        """Every fact of one kind that this scenario had made when the books were last judged, as in JSON."""
        return [one.fact.model_dump(mode="json") for one in self._own_facts() if one.fact.kind == kind]

    def _own_facts(self) -> list[RecordedFact]:
        # Looking anew costs the guest a second each time.
        facts = self.facts() if self._looked_at is None else self._looked_at
        return [one for one in facts if one.number > self.since]

    def _inside(self) -> Guest:
        assert self.guest is not None
        return self.guest
