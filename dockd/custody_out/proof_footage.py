"""What an export proves of its footage: receipts, digests, and the manifests of each session's folder."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from dockd.custody_out import bundle
from dockd.custody_out.bundle import ExportedRecording
from dockd.custody_out.claims import Claim, claim
from dockd.custody_out.content import Content
from dockd.custody_out.evidence import Evidence
from dockd.custody_out.manifest import SHA256_MANIFEST_NAME, place_in_folder, read_sha256_list
from dockd.custody_out.mhl import MHL_CHAIN_NAME, MHL_FOLDER, read_chain, read_mhl
from dockd.custody_out.naming import footage_name
from dockd.custody_out.replay import ChainReplay, is_in_store, verified_signature
from dockd.model.ids import RecordingId, SessionId
from dockd.model.recording import Receipt
from dockd.rules.custody import LedgerEntry
from dockd.rules.receipts import receipt_bytes


def receipt_claims(evidence: Evidence) -> Iterator[Claim]:
    """Every exported recording has the receipt that its dock took, signed by the store."""
    faults: list[str] = []
    for one in evidence.index.recordings:
        entry = _entry(evidence, one)
        faults += [f"receipt of {one.name}: {fault}" for fault in _receipt_faults(evidence, one, entry)]
    yield claim(
        f"Store {evidence.index.store} signed a receipt for every recording.",
        faults,
        f"{len(evidence.index.recordings)} receipts",
    )


def _receipt_faults(evidence: Evidence, one: ExportedRecording, entry: LedgerEntry | None) -> Iterator[str]:
    raw = evidence.read(bundle.receipt_path(one.dock, one.recording, "json"))
    if raw is None:
        yield "it is missing"
        return
    try:
        receipt = Receipt.model_validate_json(raw)
    except ValidationError:
        yield "it is damaged"
        return
    message = receipt_bytes(receipt)
    if verified_signature(evidence.store_key, receipt.signature, message) is None:
        yield "its signature is not of the store's key over this content"
    if (receipt.store, receipt.key) != (evidence.index.store, evidence.index.key):
        yield f"it is of store {receipt.store} and key {receipt.key}"
    if entry is None or entry.receipt != receipt:
        yield "it is not the one that the dock's facts hold"
    if entry is not None and (receipt.digest, receipt.size_bytes) != (entry.digest, entry.size_bytes):
        yield "it is for other bytes than those that the dock verified"
    if evidence.read(bundle.receipt_path(one.dock, one.recording, "signed")) != message:
        yield "its .signed file is not what the signature is over"
    if evidence.read(bundle.receipt_path(one.dock, one.recording, "signature")) != bundle.signature_bytes(
        receipt.signature
    ):
        yield "its .signature file is not its signature"


def footage_claims(evidence: Evidence) -> Iterator[Claim]:
    """The files are the footage, the manifests describe them, and nothing that should be here is left out."""
    yield digest_claim(evidence)
    yield manifest_claim(evidence)
    yield _completeness_claim(evidence)


def digest_claim(evidence: Evidence) -> Claim:
    """Every file of footage that the index names is here and has the digest in the facts."""
    faults: list[str] = []
    total_bytes = 0
    for one in evidence.index.recordings:
        path = f"{bundle.footage_folder(one.dock, one.session)}/{one.name}"
        content, entry = evidence.files.get(path), _entry(evidence, one)
        if entry is None or content is None:
            faults.append(f"{path} is missing" if content is None else f"{path}: the dock's facts do not know it")
            continue
        total_bytes += content.size_bytes
        if content.digest != entry.digest:
            faults.append(f"{path} has SHA-256 {content.digest}; the dock read {entry.digest} from the camera")
        elif content.size_bytes != entry.size_bytes:
            faults.append(f"{path} has {content.size_bytes} bytes; the dock read {entry.size_bytes}")
        if one.name != footage_name(entry.recording, entry.path, entry.recorded_at):
            faults.append(f"{path} has another name than the dock's facts give it")
    return claim(
        "Every file of footage has the digest that the dock verified and the store receipted.",
        faults,
        f"{len(evidence.index.recordings)} files, {total_bytes} bytes",
    )


def manifest_claim(evidence: Evidence) -> Claim:
    """The manifests beside the footage that the index names list it and nothing else."""
    folders: dict[tuple[str, str], list[ExportedRecording]] = {}
    for one in evidence.index.recordings:
        folders.setdefault((one.dock, one.session), []).append(one)
    faults: list[str] = []
    for (dock, session), recordings in sorted(folders.items()):
        folder = bundle.footage_folder(dock, session)
        faults += [f"{folder}: {fault}" for fault in _folder_faults(evidence, folder, recordings)]
        if bundle.session_name(dock, session) in evidence.index.whole_sessions:
            faults += [f"{folder}: {fault}" for fault in _stored_faults(evidence, dock, session)]
    return claim("The manifests of every session list exactly its files.", faults, f"{len(folders)} sessions")


def _folder_faults(evidence: Evidence, folder: str, recordings: list[ExportedRecording]) -> Iterator[str]:
    found = {
        path.removeprefix(f"{folder}/"): content
        for path, content in evidence.files.items()
        if path.startswith(f"{folder}/")
    }
    footage = {
        name: content
        for name, content in found.items()
        if name != SHA256_MANIFEST_NAME and not name.startswith(f"{MHL_FOLDER}/")
    }
    for name in sorted(footage.keys() - {one.name for one in recordings}):
        yield f"{name} is in no list of this export"
    try:
        listed = read_sha256_list(_needed(evidence, f"{folder}/{SHA256_MANIFEST_NAME}"))
        generations = read_chain(_needed(evidence, f"{folder}/{MHL_FOLDER}/{MHL_CHAIN_NAME}"))
        hashed = [one for name, c4 in generations for one in read_mhl(_generation(evidence, folder, name, c4, found))]
    except ValueError as error:
        yield f"a manifest is missing or damaged: {error}"
        return
    if listed != {name: content.digest for name, content in footage.items()}:
        yield f"{SHA256_MANIFEST_NAME} does not describe these files"
    if {(one.name, one.c4, one.sha256) for one in hashed} != {
        (name, content.c4, content.digest) for name, content in footage.items()
    } or len(hashed) != len(footage):
        yield "the ASC MHL does not describe these files"


def _needed(evidence: Evidence, relative: str) -> bytes:
    content = evidence.read(relative)
    if content is None:
        raise ValueError(f"{relative} is not there")
    return content


def _generation(evidence: Evidence, folder: str, name: str, c4: str, found: dict[str, Content]) -> bytes:
    place = f"{MHL_FOLDER}/{name}"
    content = found.get(place)
    if content is None or content.c4 != c4:
        raise ValueError(f"{name} is not the generation that {MHL_CHAIN_NAME} names")
    return evidence.read(f"{folder}/{place}") or b""


def _stored_faults(evidence: Evidence, dock: str, session: str) -> Iterator[str]:
    """Of a whole session: its manifests are those that the dock stored, by the digests in its facts."""
    record = evidence.docks[dock].replay.sessions.get(SessionId(session))
    if record is None or not record.manifests:
        yield "the dock's facts tell of no manifest for this session"
        return
    for name, fact in sorted(record.manifests.items()):
        content = evidence.files.get(f"{bundle.footage_folder(dock, session)}/{place_in_folder(name)}")
        if content is None or content.digest != fact.digest:
            yield f"{name} is not the one that the dock stored"


def _completeness_claim(evidence: Evidence) -> Claim:
    """What the chain says is in the store, for the sessions asked for, is here; what is not is accounted for."""
    here = {(one.dock, one.recording) for one in evidence.index.recordings}
    faults: list[str] = []
    for one in evidence.index.missing:
        replay = evidence.docks[one.dock].replay if one.dock in evidence.docks else None
        entry = replay.entries.get(RecordingId(one.recording)) if replay else None
        if entry is None or is_in_store(entry):
            faults.append(f"recording {one.recording}: {one.reason}")
        here.add((one.dock, one.recording))
    for dock, proof in evidence.docks.items():
        faults += [
            f"recording {name} of dock {dock} is left out without a word"
            for name in _asked_for(proof.replay, evidence.index.asked_for)
            if (dock, name) not in here
        ]
    note = f"{len(evidence.index.missing)} never reached the store" if evidence.index.missing and not faults else ""
    return claim(f"Nothing of {evidence.index.asked_for} is left out.", faults, note)


def _asked_for(replay: ChainReplay, words: str) -> tuple[RecordingId, ...]:
    """What the chain itself has of what was asked for, as far as it must be in the export."""
    kind, _, name = words.partition(" ")
    if kind == "session":
        record = replay.sessions.get(SessionId(name))
        return tuple(record.recordings) if record else ()
    return tuple(
        entry.recording
        for entry in replay.entries.values()
        if is_in_store(entry) and name in (entry.camera, entry.digest)
    )


def _entry(evidence: Evidence, one: ExportedRecording) -> LedgerEntry | None:
    proof = evidence.docks.get(one.dock)
    return proof.replay.entries.get(RecordingId(one.recording)) if proof else None
