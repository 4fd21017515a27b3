"""How a signed custody bundle lies on a disk.

```
README.txt  custody.json
manifest-sha256.txt  seal.txt  seal.txt.signature       every other file; the digest of that list; Ed25519 over that
differences/ recordings/ sessions/ holders/             rows, 5,000 to a file: .csv for people, .jsonl for programs
docks/<dock>/facts.jsonl                                the dock's chain, byte for byte as the centre holds it
docks/<dock>/key-<n>/public-key.pem .signed .signature  the dock's keys and the last checkpoint made with each
receipts/<dock>/<recording>.json .signed .signature
manifests/<dock>/<session>/                             what the dock stored: manifest-sha256.txt and its ASC MHL
store/<store>/public-key.pem                            signs receipts and this bundle
footage/<dock>/<session>/<files>                        only with footage; named in the list
footage/<dock>/<session>/manifest-sha256.txt, ascmhl/   made beside the footage by whoever fetched it; not in the list
```
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from dockd.custody_out import bundle
from dockd.custody_out.csv_rows import csv_head, csv_row
from dockd.custody_out.manifest import SHA256_MANIFEST_NAME
from dockd.custody_out.mhl import MHL_FOLDER
from dockd.custody_out.naming import footage_name
from dockd.model.canonical import Json, canonical_json
from dockd.model.ids import CardPath, RecordingId
from dockd.model.recording import Receipt
from dockd.model.value import Value
from dockd.rules.custody import Custody
from dockd.rules.receipts import receipt_bytes
from dockd.wire.custody import (
    CustodyDifference,
    CustodyHolder,
    CustodyRecording,
    CustodySession,
    ListedFootage,
)

INDEX_NAME = "custody.json"
SEAL_NAME = "seal.txt"
SIGNATURE_NAME = "seal.txt.signature"
ROWS_PER_FILE = 5_000
_LONGEST_NAME = 400
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){0,4}")
_MADE_BESIDE = re.compile(rf"footage/[^/]+/[^/]+/({re.escape(SHA256_MANIFEST_NAME)}|{MHL_FOLDER}/[^/]+)")

KINDS: dict[type[Value], str] = {
    CustodyDifference: "differences",
    CustodyRecording: "recordings",
    CustodySession: "sessions",
    CustodyHolder: "holders",
}
"""The folder of each kind of row."""


class RowFiles:
    """Turns rows of one kind into files, 5,000 rows to each; at least one file, even of no rows."""

    def __init__(self, kind: type[Value]) -> None:
        self._kind = kind
        self._csv: list[str] = []
        self._lines: list[bytes] = []
        self._files = 0
        self.count = 0

    def add(self, row: Value) -> Iterator[tuple[str, bytes]]:
        """Take one row; gives (name, content) of the files that are full with it."""
        self._csv.append(csv_row(row))
        self._lines.append(row_line(row))
        self.count += 1
        if len(self._lines) == ROWS_PER_FILE:
            yield from self._flush()

    def finish(self) -> Iterator[tuple[str, bytes]]:
        """The last files."""
        if self._lines or not self._files:
            yield from self._flush()

    def _flush(self) -> Iterator[tuple[str, bytes]]:
        self._files += 1
        stem = f"{KINDS[self._kind]}/{self._files:06}"
        yield f"{stem}.csv", (csv_head(self._kind) + "".join(self._csv)).encode("utf-8")
        yield f"{stem}.jsonl", b"".join(self._lines)
        self._csv, self._lines = [], []


def row_line(row: Value) -> bytes:
    """A row as a line of canonical JSON."""
    return canonical_json(cast(Json, row.model_dump(mode="json"))) + b"\n"


def is_safe_name(name: str) -> bool:
    """Whether a file of a bundle may be called so: no way out of its folder, nothing that a shell would take apart."""
    return len(name) <= _LONGEST_NAME and _SAFE_NAME.fullmatch(name) is not None


def is_made_beside(name: str) -> bool:
    """Whether this is a manifest of a footage folder, made by whoever fetched the footage."""
    return _MADE_BESIDE.fullmatch(name) is not None


def footage_of(row: CustodyRecording) -> ListedFootage | None:
    """The file of a recording that the store holds, as far as the facts tell; else None."""
    if row.receipt is None or row.listed is None or row.listed.session is None or row.path is None:
        return None
    if row.state not in (Custody.ACCEPTED.name, Custody.ERASED.name):
        return None
    return ListedFootage(
        dock=row.dock,
        session=row.listed.session,
        recording=row.recording,
        name=footage_name(RecordingId(row.recording), CardPath.from_text(row.path), row.recorded_at),
        digest=row.receipt.digest,
        size_bytes=row.receipt.size_bytes,
    )


def footage_path(one: ListedFootage) -> str:
    """Where it lies."""
    return f"{bundle.footage_folder(one.dock, one.session)}/{one.name}"


def manifest_path(dock: str, session: str, name: str) -> str:
    """Where a manifest that the dock stored lies."""
    return f"manifests/{dock}/{session}/{name}"


def lost_manifest(dock: str, session: str, name: str) -> str:
    """The note for a manifest that the store does not give back as the dock stored it."""
    return f"{manifest_path(dock, session, name)} is not in the store as the dock stored it."


def receipt_files(dock: str, recording: str, receipt: Receipt) -> Iterator[tuple[str, bytes]]:
    """The three files of a receipt."""
    yield bundle.receipt_path(dock, recording, "json"), canonical_json(receipt.to_json()) + b"\n"
    yield bundle.receipt_path(dock, recording, "signed"), receipt_bytes(receipt)
    yield bundle.receipt_path(dock, recording, "signature"), bundle.signature_bytes(receipt.signature)


README = """\
WHAT THIS IS

An account of custody of body-worn camera footage, made and signed by the central store. Every row in
it follows from facts that docks wrote down and signed; those facts are here too. Every file can be
checked with public tools. The long form of this text, with what each check proves and what none can,
is docs/custody.md of the dockd project.

differences/              READ THIS FIRST: what is not as it should be
recordings/               what was on the card, copied where, when, with which SHA-256; erased when, on which receipt
sessions/                 one camera in one bay: its clock, and listed = staged = stored = erased
holders/                  who held which camera from when to when
custody.json              what was asked for, how far each dock's signed facts go, what the centre itself says
docks/DOCK/facts.jsonl    everything the dock wrote down, one fact a line, each naming the one before
docks/DOCK/key-1/         the dock's public key and the last checkpoint that it signed
receipts/DOCK/            the central store's signed word that it holds exactly these bytes
manifests/DOCK/SESSION/   the lists of its footage that the dock stored
store/STORE/              the public key of the receipts and of this bundle
footage/                  only where it was asked for

HOW TO CHECK IT (in this folder, in a shell)

1. The centre made this list, and nothing was changed since:
     openssl pkeyutl -verify -rawin -pubin -inkey store/STORE/public-key.pem \\
       -in seal.txt -sigfile seal.txt.signature
     sha256sum --check --quiet --strict seal.txt
     sha256sum --check --quiet --strict manifest-sha256.txt

2. All of it at once, also that every row follows from the facts, with our own program and no server:
     dockd verify .

The keys in here prove nothing by themselves: compare them with those that the force published.
     openssl pkey -pubin -in store/STORE/public-key.pem -outform DER | sha256sum
"""
