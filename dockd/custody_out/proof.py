"""Checks an export without any server: every claim by itself, every fault named.

The order of trust: keys given from outside (else the export's own, which prove nothing by themselves) →
signed checkpoints → the chain of facts → receipts → digests → files. A list in the export is never
believed: `export.json` and `manifest-sha256.txt` only tell what to look for.
"""

from __future__ import annotations

from pathlib import Path

from dockd.custody_out.claims import Claim, claim
from dockd.custody_out.custody_bundle import INDEX_NAME
from dockd.custody_out.custody_proof import prove_custody
from dockd.custody_out.evidence import Evidence, gather
from dockd.custody_out.manifest import SHA256_MANIFEST_NAME, read_sha256_list
from dockd.custody_out.pinned import PinnedKeys, store_key_claim
from dockd.custody_out.proof_chain import chain_claims
from dockd.custody_out.proof_footage import footage_claims, receipt_claims


def prove(root: Path, pinned: PinnedKeys | None = None) -> tuple[Claim, ...]:
    """Check the export in `root`; blocking, reads every byte once.

    Raises ProofFailed when there is nothing that could be checked: no folder, no index, no key.
    """
    keys = pinned or PinnedKeys()
    if (root / INDEX_NAME).is_file():
        proof = prove_custody(root, keys)
        return proof.of_bundle + proof.of_custody
    evidence = gather(root)
    claims = [_list_claim(evidence), store_key_claim(evidence.index.store, evidence.store_key, keys)]
    for dock in evidence.docks:
        claims += chain_claims(evidence, dock, keys.docks)
    claims += receipt_claims(evidence)
    claims += footage_claims(evidence)
    return tuple(claims)


def _list_claim(evidence: Evidence) -> Claim:
    words = f"Every file is the one that {SHA256_MANIFEST_NAME} lists, and there is no other."
    if evidence.files.get(SHA256_MANIFEST_NAME) is None:
        return claim(words, [f"{SHA256_MANIFEST_NAME} is missing"])
    try:
        listed = read_sha256_list(evidence.read(SHA256_MANIFEST_NAME) or b"")
    except ValueError as error:
        return claim(words, [f"{SHA256_MANIFEST_NAME} cannot be read: {error}"])
    found = {name: content.digest for name, content in evidence.files.items() if name != SHA256_MANIFEST_NAME}
    faults = [f"{name} is missing" for name in sorted(listed.keys() - found.keys())]
    faults += [f"{name} is not listed" for name in sorted(found.keys() - listed.keys())]
    faults += [f"{name} is not a plain file" for name in evidence.strange]
    faults += [f"{name} was changed" for name in sorted(listed.keys() & found.keys()) if listed[name] != found[name]]
    return claim(words, faults, f"{len(found)} files")
