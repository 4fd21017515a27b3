"""What an export proves of a dock: its chain of facts, its checkpoints, and the order of custody."""

from __future__ import annotations

from collections.abc import Iterator

from dockd.custody_out import bundle
from dockd.custody_out.claims import Claim, claim
from dockd.custody_out.evidence import Evidence
from dockd.custody_out.replay import ChainReplay
from dockd.errors import ProofFailed
from dockd.model.ids import RecordingId, SessionId
from dockd.rules.custody import Custody

_ORDER = ("RecordingListed", "RecordingStaged", "RecordingVerified", "RecordingAccepted", "RecordingErased")


def chain_claims(evidence: Evidence, dock: str, pinned: frozenset[str] | None) -> Iterator[Claim]:
    """The claims about one dock."""
    proof = evidence.docks[dock]
    replay = proof.replay
    faults = proof.form_faults + [f"fact {one.number} {one.words}" for one in replay.chain_problems]
    if replay.count == 0:
        faults.append("there are no facts")
    yield claim(f"The facts of dock {dock} form one unbroken chain.", faults, f"{replay.count} facts")
    yield _key_claim(evidence, dock, replay, pinned)
    yield _checkpoint_claim(evidence, dock, replay)
    yield _order_claim(evidence, dock, replay)


def _key_claim(evidence: Evidence, dock: str, replay: ChainReplay, pinned: frozenset[str] | None) -> Claim:
    """The key files are the announced keys, and those that were given, if any were."""
    fingerprints = ", ".join(bundle.key_fingerprint(key) for key in replay.keys) or "none"
    faults: list[str] = []
    for index, key in enumerate(replay.keys):
        path = f"{bundle.dock_key_folder(dock, index)}/{bundle.PUBLIC_KEY_NAME}"
        try:
            held = bundle.read_public_pem(evidence.read(path) or b"")
        except ProofFailed:
            faults.append(f"{path} is missing or damaged")
            continue
        if held != key:
            faults.append(f"{path} is not the key that the dock announced in fact {replay.keys[key]}")
    if pinned is not None:
        faults += [f"key {bundle.key_fingerprint(key)} was not given" for key in replay.keys if key not in pinned]
    note = "compared with the keys that were given" if pinned else "compare it with the one that the force published"
    return claim(f"The signing key of dock {dock} has the fingerprint {fingerprints}.", faults, note)


def _checkpoint_claim(evidence: Evidence, dock: str, replay: ChainReplay) -> Claim:
    """Every signature is good, and all that concerns this export lies under one."""
    faults = [f"fact {one.number} {one.words}" for one in replay.signature_problems]
    sessions = {SessionId(one.session) for one in evidence.index.recordings if one.dock == dock}
    recordings = {RecordingId(one.recording) for one in evidence.index.recordings if one.dock == dock}
    last = max(
        [
            *(replay.sessions[name].last_number for name in sessions if name in replay.sessions),
            *(replay.last_number_about(name) for name in recordings),
        ],
        default=0,
    )
    if last > replay.signed_through:
        faults.append(
            f"the facts of this export go up to number {last}, but only {replay.signed_through} are under a "
            "signature; export again after the dock has signed (at the session's end, or within the hour)"
        )
    for one in replay.checkpoints:
        stem = f"{bundle.dock_key_folder(dock, one.key)}/{one.through}"
        for suffix, content in (("signed", one.head.encode("ascii")), ("signature", one.signature)):
            if evidence.read(f"{stem}.{suffix}") not in (None, content):
                faults.append(f"{stem}.{suffix} is not the checkpoint that the chain holds")
    for index in {one.key for one in replay.checkpoints}:
        made = [one.through for one in replay.checkpoints if one.key == index]
        stem = f"{bundle.dock_key_folder(dock, index)}/{made[-1]}"
        faults += [
            f"{stem}.{end} is missing" for end in ("signed", "signature") if f"{stem}.{end}" not in evidence.files
        ]
    return claim(f"Dock {dock} signed its facts.", faults, f"{len(replay.checkpoints)} checkpoints")


def _order_claim(evidence: Evidence, dock: str, replay: ChainReplay) -> Claim:
    """Custody: listed, staged, verified, accepted, and only then erased."""
    faults = [f"fact {problem.number}: {problem.words}" for _, problem in replay.custody_problems]
    erased = 0
    for one in evidence.index.recordings:
        if one.dock != dock:
            continue
        entry = replay.entries.get(RecordingId(one.recording))
        if entry is None:
            faults.append(f"{one.name}: no fact tells of recording {one.recording}")
            continue
        kinds = [kind for _, kind in replay.steps[entry.recording]]
        needed = _ORDER if entry.state is Custody.ERASED else _ORDER[:-1]
        firsts = [kinds.index(kind) if kind in kinds else -1 for kind in needed]
        faults += [f"{one.name}: there is no {kind} fact" for kind, at in zip(needed, firsts, strict=True) if at < 0]
        if -1 not in firsts and firsts != sorted(firsts):
            faults.append(f"{one.name}: its facts are not in the order of custody")
        erased += entry.state is Custody.ERASED
    return claim(
        f"On dock {dock} every recording was listed, copied, verified and accepted before it was erased.",
        faults,
        f"{erased} erased from their cameras",
    )
