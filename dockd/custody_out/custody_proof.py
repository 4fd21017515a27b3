"""Checks a signed custody bundle without any server: every claim by itself, every fault named.

The order of trust: keys given from outside (else the bundle's own, which prove nothing by themselves) → the centre's
seal over the list of files → signed checkpoints → the chains → receipts → rows made again from the chains, byte for
byte. A row in the bundle is never believed. What the centre itself says (conflicts, notes, which docks stand at a site)
follows from no facts: it rests on the seal alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from dockd.custody_out import bundle, custody_bundle
from dockd.custody_out.accounts import recording_differences, session_differences
from dockd.custody_out.chain_accounts import ChainAccounts, Settled, holder_rows, recording_rows, session_rows
from dockd.custody_out.claims import Claim, claim
from dockd.custody_out.content import Content
from dockd.custody_out.custody_bundle import RowFiles
from dockd.custody_out.evidence import DockProof, Evidence, measure_all, read_chain
from dockd.custody_out.manifest import SHA256_MANIFEST_NAME, read_sha256_list, sha256_list
from dockd.custody_out.pinned import PinnedKeys, store_key_claim
from dockd.custody_out.proof_chain import chain_claims
from dockd.custody_out.proof_footage import digest_claim, manifest_claim, receipt_claims
from dockd.custody_out.replay import verified_signature
from dockd.errors import ProofFailed
from dockd.model.canonical import canonical_json, digest_of_bytes
from dockd.model.value import Value
from dockd.rules.differences import GRAVE, Difference
from dockd.wire.custody import BUNDLE_FORM, BundleIndex, CustodyRecording, CustodySession, ListedFootage


@dataclass(frozen=True, slots=True)
class CustodyProof:
    """`of_bundle`: is it genuine and whole? `of_custody`: do the facts in it tell of what must never happen?"""

    of_bundle: tuple[Claim, ...]
    of_custody: tuple[Claim, ...]


@dataclass(slots=True)
class _Bundle:
    """What was read, and what follows from it."""

    root: Path
    files: dict[str, Content]
    strange: tuple[str, ...]
    index: BundleIndex
    store_key: str
    docks: dict[str, DockProof]
    accounts: dict[str, ChainAccounts]
    expected: dict[str, str]
    """SHA-256 by name of every file of rows, as the facts give them."""
    recordings: list[CustodyRecording]
    sessions: list[CustodySession]
    counts: dict[str, int]

    def read(self, name: str) -> bytes | None:
        return (self.root / name).read_bytes() if name in self.files else None


def prove_custody(root: Path, pinned: PinnedKeys) -> CustodyProof:
    """Check the bundle in `root`; blocking, reads every byte once and every chain in whole.

    Raises ProofFailed when there is nothing that could be checked: no index, no key.
    """
    read = _gather(root)
    _make_rows(read)
    receipted = _evidence(read, [_exported(one) for one in read.recordings if one.receipt is not None])
    claims = [
        store_key_claim(read.index.store, read.store_key, pinned),
        _seal_claim(read),
        _list_claim(read),
        _docks_claim(read),
    ]
    order: list[Claim] = []
    for dock in read.docks:
        chain, keys, checkpoints, custody = chain_claims(receipted, dock, pinned.docks)
        claims += [chain, keys, checkpoints]
        order.append(custody)
    claims += [_signed_end_claim(read), *receipt_claims(receipted), _rows_claim(read), _manifests_claim(read)]
    claims += list(_footage_claims(read))
    order.append(_grave_claim(read))
    return CustodyProof(tuple(claims), tuple(order))


def _gather(root: Path) -> _Bundle:
    try:
        files, strange = measure_all(root)
        index = BundleIndex.model_validate_json((root / custody_bundle.INDEX_NAME).read_bytes())
        store_key = bundle.read_public_pem((root / bundle.store_key_path(index.store)).read_bytes())
    except FileNotFoundError as error:
        raise ProofFailed(f"{error.filename} is missing; this is not a whole custody bundle.") from error
    except OSError as error:
        raise ProofFailed(f"The bundle cannot be read: {error}.") from error
    except ValidationError as error:
        raise ProofFailed(f"{custody_bundle.INDEX_NAME} is damaged ({error.error_count()} mistakes).") from error
    if index.form != BUNDLE_FORM:
        raise ProofFailed(
            f"{custody_bundle.INDEX_NAME} is of the form {index.form!r}; this version reads {BUNDLE_FORM}."
        )
    accounts = {one.dock: ChainAccounts(one.dock) for one in index.docks}
    docks = {name: read_chain(root, name, account.add) for name, account in accounts.items()}
    return _Bundle(root, files, strange, index, store_key, docks, accounts, {}, [], [], {})


def _make_rows(read: _Bundle) -> None:
    """Make every file of rows again from the chains."""
    made = {kind: RowFiles(kind) for kind in custody_bundle.KINDS}
    for row in _rows(read):
        if isinstance(row, CustodyRecording):
            read.recordings.append(row)
        elif isinstance(row, CustodySession):
            read.sessions.append(row)
        _keep(read, made[type(row)].add(row))
    for kind, files in made.items():
        _keep(read, files.finish())
        read.counts[custody_bundle.KINDS[kind]] = files.count


def _keep(read: _Bundle, files: Iterator[tuple[str, bytes]]) -> None:
    read.expected.update({name: digest_of_bytes(content) for name, content in files})


def _rows(read: _Bundle) -> Iterator[Value]:
    """Every row that follows from the chains, in the order in which the centre makes them."""
    settled, selection = Settled.of(read.accounts.values()), read.index.selection
    for _, account in sorted(read.accounts.items()):
        for recording in recording_rows(account, settled, selection):
            yield recording
            yield from recording_differences(recording)
        for session in session_rows(account, selection):
            yield session
            yield from session_differences(session)
        yield from holder_rows(account, selection)


def _evidence(read: _Bundle, recordings: list[bundle.ExportedRecording]) -> Evidence:
    """The bundle as the claims about chains, receipts and footage want it."""
    index = bundle.ExportIndex(
        asked_for="custody",
        exported_at=datetime.min.replace(tzinfo=UTC),
        tool="custody",
        store=read.index.store,
        key=read.index.key,
        docks=tuple(read.docks),
        whole_sessions=(),
        recordings=tuple(recordings),
        missing=(),
    )
    return Evidence(read.root, read.files, read.strange, index, read.store_key, read.docks)


def _seal_claim(read: _Bundle) -> Claim:
    seal, signature = read.read(custody_bundle.SEAL_NAME), read.read(custody_bundle.SIGNATURE_NAME)
    faults = []
    if seal is None or signature is None:
        faults.append(f"{custody_bundle.SEAL_NAME} or its signature is missing")
    else:
        if verified_signature(read.store_key, bundle.base64_text(signature), seal) is None:
            faults.append(
                f"{custody_bundle.SIGNATURE_NAME} is not the store's signature over {custody_bundle.SEAL_NAME}"
            )
        listed = read.files.get(SHA256_MANIFEST_NAME)
        if listed is None or seal != sha256_list([(SHA256_MANIFEST_NAME, listed.digest)]):
            faults.append(f"{custody_bundle.SEAL_NAME} is over another {SHA256_MANIFEST_NAME} than the one here")
    return claim(f"Store {read.index.store} sealed the list of files.", faults)


def _list_claim(read: _Bundle) -> Claim:
    words = f"Every file is the one that {SHA256_MANIFEST_NAME} lists, and there is no other."
    try:
        listed = read_sha256_list(read.read(SHA256_MANIFEST_NAME) or b"")
    except ValueError as error:
        return claim(words, [f"{SHA256_MANIFEST_NAME} cannot be read: {error}"])
    own = (SHA256_MANIFEST_NAME, custody_bundle.SEAL_NAME, custody_bundle.SIGNATURE_NAME)
    found = {
        name: content.digest
        for name, content in read.files.items()
        if name not in own and not (read.index.has_footage and custody_bundle.is_made_beside(name))
    }
    faults = [f"{name} is missing" for name in sorted(listed.keys() - found.keys())]
    faults += [f"{name} is not listed" for name in sorted(found.keys() - listed.keys())]
    faults += [f"{name} is not a plain file" for name in read.strange]
    faults += [f"{name} was changed" for name in sorted(listed.keys() & found.keys()) if listed[name] != found[name]]
    return claim(words, faults, f"{len(found)} files")


def _docks_claim(read: _Bundle) -> Claim:
    """The index says of each dock what its chain says, and every chain is named in it."""
    faults = []
    for one in read.index.docks:
        replay = read.docks[one.dock].replay
        if (one.through, one.head) != (replay.count, replay.head):
            faults.append(f"dock {one.dock}: the chain here has {replay.count} facts and does not end with {one.head}")
        if one.has_rows != _has_rows(read, one.dock):
            faults.append(f"dock {one.dock}: {custody_bundle.INDEX_NAME} is wrong about whether it has rows")
    chains = {name.split("/")[1] for name in read.files if name.startswith("docks/")}
    faults += [f"dock {name} is in no list" for name in sorted(chains - read.docks.keys())]
    if canonical_json(read.index.to_json()) + b"\n" != read.read(custody_bundle.INDEX_NAME):
        faults.append(f"{custody_bundle.INDEX_NAME} is not in canonical form")
    late = sum(one.held - one.through for one in read.index.docks)
    note = f"{late} facts were held that no dock had signed yet; they are not in the account" if late else ""
    if read.index.unsigned:
        note += f"{'; ' if note else ''}{len(read.index.unsigned)} docks had never signed: nothing of them is in it"
    return claim(f"{custody_bundle.INDEX_NAME} names the docks and how far each goes.", faults, note)


def _has_rows(read: _Bundle, dock: str) -> bool:
    selection, account = read.index.selection, read.accounts[dock]
    return (
        any(one.dock == dock for one in read.recordings)
        or any(one.dock == dock for one in read.sessions)
        or any(True for _ in holder_rows(account, selection))
    )


def _signed_end_claim(read: _Bundle) -> Claim:
    faults = [
        f"dock {dock}: the last {proof.replay.count - 1 - proof.replay.signed_through} facts are under no signature"
        for dock, proof in read.docks.items()
        if proof.replay.signed_through != proof.replay.count - 1
    ]
    return claim("Every chain ends with its dock's signature over all before it.", faults)


def _rows_claim(read: _Bundle) -> Claim:
    """Every row follows from the facts, and none that follows is left out."""
    folders = tuple(f"{folder}/" for folder in custody_bundle.KINDS.values())
    here = {name for name in read.files if name.startswith(folders)}
    faults = [f"{name} is missing: the facts tell of its rows" for name in sorted(read.expected.keys() - here)]
    faults += [f"{name} does not follow from the facts" for name in sorted(here - read.expected.keys())]
    for name in sorted(here & read.expected.keys()):
        if read.files[name].digest != read.expected[name]:
            faults.append(f"{name} is not what the facts tell{_first_difference(read, name)}")
    told = read.index.counts.model_dump()
    faults += [
        f"{custody_bundle.INDEX_NAME} counts {told[kind]} {kind}, the facts tell of {count}"
        for kind, count in read.counts.items()
        if told[kind] != count
    ]
    note = ", ".join(f"{count} {kind}" for kind, count in read.counts.items())
    return claim(
        f"Every row of {read.index.selection.words} follows from the facts, and none is left out.", faults, note
    )


def _first_difference(read: _Bundle, name: str) -> str:
    """Where a file of rows departs from what the facts give, in words; made again only for a file that differs."""
    folder = name.partition("/")[0]
    kind = next(kind for kind, known in custody_bundle.KINDS.items() if known == folder)
    files = RowFiles(kind)
    made = (one for row in _rows(read) if isinstance(row, kind) for one in files.add(row))
    content = next(content for made_name, content in itertools.chain(made, _last(files)) if made_name == name)
    theirs, ours = (read.read(name) or b"").splitlines(), content.splitlines()
    for line, (their, our) in enumerate(zip(theirs, ours, strict=False), 1):
        if their != our:
            return f", first in line {line}"
    return f": it has {len(theirs)} lines instead of {len(ours)}"


def _last(files: RowFiles) -> Iterator[tuple[str, bytes]]:
    yield from files.finish()


def _manifests_claim(read: _Bundle) -> Claim:
    """The lists that docks stored are here as their facts name them."""
    expected = {
        custody_bundle.manifest_path(row.dock, row.session, one.name): (one.digest, row, one.name)
        for row in read.sessions
        for one in row.manifests
    }
    faults, lost = [], 0
    for path, (digest, row, name) in expected.items():
        content = read.files.get(path)
        if content is None and custody_bundle.lost_manifest(row.dock, row.session, name) in read.index.notes:
            lost += 1
        elif content is None:
            faults.append(f"{path} is missing")
        elif content.digest != digest:
            faults.append(f"{path} is not the one that the dock stored")
    here = {name for name in read.files if name.startswith("manifests/")}
    faults += [f"{name} is of no session in this account" for name in sorted(here - expected.keys())]
    note = f"{len(expected)} manifests" + (f", {lost} of them lost by the store, as it says" if lost else "")
    return claim("The lists of footage are those that the docks stored.", faults, note)


def _footage_claims(read: _Bundle) -> Iterator[Claim]:
    if not read.index.has_footage:
        faults = [f"{name} is in an account without footage" for name in read.files if name.startswith("footage/")]
        yield claim("There is no footage in this bundle.", faults, "it was not asked for")
        return
    wanted = [one for row in read.recordings if (one := custody_bundle.footage_of(row)) is not None]
    evidence = _evidence(read, [_footage(one) for one in wanted])
    paths = {custody_bundle.footage_path(one) for one in wanted}
    strange = [
        name
        for name in read.files
        if name.startswith("footage/") and name not in paths and not custody_bundle.is_made_beside(name)
    ]
    yield digest_claim(evidence)
    yield claim("No other footage is here.", [f"{name} is in no row" for name in sorted(strange)])
    yield manifest_claim(evidence)


def _grave_claim(read: _Bundle) -> Claim:
    faults = [
        f"dock {row.dock}, recording {row.recording}, {row.path or 'never listed'}: {'; '.join(row.contradictions)}"
        for row in read.recordings
        if any(Difference(code) in GRAVE for code in row.differences)
    ]
    return claim("NOTHING WAS ERASED WITHOUT ACCEPTANCE, and no recording's facts contradict each other.", faults)


def _exported(row: CustodyRecording) -> bundle.ExportedRecording:
    listed = custody_bundle.footage_of(row)
    return bundle.ExportedRecording(
        dock=row.dock,
        session=listed.session if listed else "unknown",
        recording=row.recording,
        name=listed.name if listed else row.recording,
        digest=row.digest or "0" * 64,
        size_bytes=row.size_bytes or 0,
    )


def _footage(one: ListedFootage) -> bundle.ExportedRecording:
    return bundle.ExportedRecording(**one.model_dump())
