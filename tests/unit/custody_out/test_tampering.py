"""Threats to an export: each one is detected, and the thing that was changed is named.

Most attackers here also mend `manifest-sha256.txt`: the list protects against accidents, the chain, the
signatures and the receipts against people.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.custody_out.bundle import fact_line, public_pem
from dockd.custody_out.manifest import SHA256_MANIFEST_NAME, sha256_list
from dockd.custody_out.pinned import PinnedKeys
from dockd.custody_out.proof import prove
from dockd.errors import ProofFailed
from dockd.model.canonical import canonical_json
from dockd.model.facts import RecordedFact, link
from dockd.model.ids import GENESIS
from tests.support.archive import MadeArchive
from tests.support.custody import Signer, sha256

FACTS = Path("docks/dock-1/facts.jsonl")


def mend_list(root: Path) -> None:
    """What a careful attacker does last."""
    files = {
        path.relative_to(root).as_posix(): sha256(path.read_bytes())
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).as_posix() != SHA256_MANIFEST_NAME
    }
    (root / SHA256_MANIFEST_NAME).write_bytes(sha256_list(sorted(files.items())))


def faults(root: Path, keys: PinnedKeys | None = None) -> list[str]:
    return [fault for claim in prove(root, keys) for fault in claim.faults]


def a_file(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


def edit_lines(root: Path, edit: Callable[[list[bytes]], list[bytes]]) -> None:
    path = root / FACTS
    path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))
    mend_list(root)


def number_of(lines: list[bytes], kind: str) -> int:
    return next(index for index, line in enumerate(lines) if json.loads(line)["fact"]["kind"] == kind)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_every_single_file_is_protected_by_the_list(export: Path) -> None:
    for path in sorted(one for one in export.rglob("*") if one.is_file()):
        if path.name in ("export.json", "public-key.pem") or path.stat().st_size == 0:
            continue
        before = path.read_bytes()
        flip(path)
        relative = path.relative_to(export).as_posix()
        assert any(relative in fault for fault in faults(export)), relative
        path.write_bytes(before)
    assert not faults(export)


def test_flipped_bit_of_footage_is_named(export: Path) -> None:
    path = next(one for one in sorted(export.glob("footage/*/*/*.MP4")) if one.stat().st_size)
    flip(path)
    mend_list(export)
    assert any(path.name in fault and "the dock read" in fault for fault in faults(export))


def test_footage_taken_out_is_named(export: Path) -> None:
    path = a_file(export, "footage/*/*/*.MP4")
    path.unlink()
    mend_list(export)
    assert any(path.name in fault and "missing" in fault for fault in faults(export))


def test_footage_taken_out_of_every_list_is_still_missed(export: Path) -> None:
    index = json.loads((export / "export.json").read_bytes())
    gone = index["recordings"].pop()
    (export / "export.json").write_bytes(canonical_json(index))
    (export / "footage" / gone["dock"] / gone["session"] / gone["name"]).unlink()
    for path in export.glob(f"receipts/*/{gone['recording']}.*"):
        path.unlink()
    mend_list(export)
    assert any(gone["recording"] in fault and "left out" in fault for fault in faults(export))


def test_footage_put_in_is_named(export: Path) -> None:
    (export / "footage" / "dock-1" / "session-2" / "extra.MP4").write_bytes(b"made up")
    mend_list(export)
    assert any("extra.MP4 is in no list" in fault for fault in faults(export))


def test_edited_fact_is_named(export: Path) -> None:
    def edit(lines: list[bytes]) -> list[bytes]:
        at = number_of(lines, "RecordingListed")
        lines[at] = lines[at].replace(b"PC1234", b"PC9999")
        return lines

    edit_lines(export, edit)
    assert any("(RecordingListed) was changed" in fault for fault in faults(export))


def test_deleted_fact_is_named(export: Path) -> None:
    edit_lines(export, lambda lines: lines[:4] + lines[5:])
    assert any(fault.startswith("fact 6 ") and "next number" in fault for fault in faults(export))


def test_inserted_fact_is_named(export: Path) -> None:
    edit_lines(export, lambda lines: [*lines[:4], lines[2], *lines[4:]])
    assert any(fault.startswith("fact 3 ") for fault in faults(export))


def test_exchanged_facts_are_named(export: Path) -> None:
    edit_lines(export, lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]])
    assert any(fault.startswith("fact 6 ") for fault in faults(export))


def test_fact_in_another_form_is_named(export: Path) -> None:
    edit_lines(export, lambda lines: [json.dumps(json.loads(lines[0])).encode() + b"\n", *lines[1:]])
    assert faults(export) == ["line 1 (fact 1) is not in canonical form"]


def test_line_that_is_no_fact_is_named(export: Path) -> None:
    edit_lines(export, lambda lines: [*lines, b"{}\n"])
    assert any("is not a fact" in fault for fault in faults(export))


def test_cut_off_tail_leaves_the_facts_unsigned(export: Path) -> None:
    edit_lines(export, lambda lines: lines[:-1])
    assert any("under a signature" in fault for fault in faults(export))


def relinked(lines: list[bytes], edit: Callable[[RecordedFact], RecordedFact]) -> list[bytes]:
    """A whole new chain with good hashes, as somebody with the format in hand would make it."""
    made: list[RecordedFact] = []
    for line in lines:
        one = edit(RecordedFact.model_validate_json(line))
        made.append(link(one.dock, len(made) + 1, made[-1].hash if made else GENESIS, one.moment, one.fact))
    return [fact_line(one) for one in made]


def test_rewritten_chain_with_good_hashes_breaks_the_signatures(export: Path) -> None:
    def edit(one: RecordedFact) -> RecordedFact:
        if one.fact.kind != "RecordingListed":
            return one
        return one.model_copy(update={"fact": one.fact.model_copy(update={"officer": "PC9999"})})

    edit_lines(export, lambda lines: relinked(lines, edit))
    found = faults(export)
    assert any("signs another fact" in fault for fault in found)
    assert any("under a signature" in fault for fault in found)


def test_rewritten_chain_signed_with_another_key_fails_against_the_published_one(
    export: Path, archive: MadeArchive
) -> None:
    thief = Ed25519PrivateKey.generate()
    public = base64.b64encode(thief.public_key().public_bytes_raw()).decode()
    heads: list[str] = []

    def relink(lines: list[bytes]) -> list[bytes]:
        made: list[RecordedFact] = []
        for line in lines:
            one = RecordedFact.model_validate_json(line)
            body = one.fact
            if body.kind == "DockStarted":
                body = body.model_copy(update={"public_key": public})
            if body.kind == "ChainSigned":
                head = made[body.through - 1].hash
                heads[:] = [str(body.through), head]
                signature = base64.b64encode(thief.sign(head.encode())).decode()
                body = body.model_copy(update={"head": head, "signature": signature})
            made.append(link(one.dock, len(made) + 1, made[-1].hash if made else GENESIS, one.moment, body))
        return [fact_line(one) for one in made]

    edit_lines(export, relink)
    folder = export / "docks" / "dock-1" / "key-1"
    (folder / "public-key.pem").write_bytes(public_pem(public))
    (folder / f"{heads[0]}.signed").write_text(heads[1])
    (folder / f"{heads[0]}.signature").write_bytes(thief.sign(heads[1].encode()))
    mend_list(export)
    assert faults(export) == []  # with the export's own keys there is nothing to see: hence pinned keys
    pinned = PinnedKeys(docks=frozenset({archive.chain.public_key}))
    assert any("was not given" in fault for fault in faults(export, pinned))


def test_stripped_checkpoint_file_is_named(export: Path) -> None:
    path = a_file(export, "docks/dock-1/key-1/*.signature")
    path.unlink()
    mend_list(export)
    assert any(path.name in fault for fault in faults(export))


def test_other_checkpoint_signature_is_named(export: Path) -> None:
    path = a_file(export, "docks/dock-1/key-1/*.signature")
    path.write_bytes(bytes(64))
    mend_list(export)
    assert any(path.name in fault for fault in faults(export))


def test_other_dock_key_is_named(export: Path) -> None:
    (export / "docks" / "dock-1" / "key-1" / "public-key.pem").write_bytes(public_pem(Signer().pinned.public_key))
    mend_list(export)
    assert any("is not the key that the dock announced" in fault for fault in faults(export))


def test_swapped_receipts_are_named(export: Path) -> None:
    first, second = sorted(export.glob("receipts/dock-1/*.json"))[:2]
    for suffix in ("json", "signed", "signature"):
        one, other = first.with_suffix(f".{suffix}"), second.with_suffix(f".{suffix}")
        one_bytes, other_bytes = one.read_bytes(), other.read_bytes()
        one.write_bytes(other_bytes)
        other.write_bytes(one_bytes)
    mend_list(export)
    found = faults(export)
    assert sum("not the one that the dock's facts hold" in fault for fault in found) == 2
    assert any("for other bytes" in fault for fault in found)


def test_stripped_receipt_signature_is_named(export: Path) -> None:
    path = a_file(export, "receipts/dock-1/*.json")
    receipt = json.loads(path.read_bytes())
    receipt["signature"] = ""
    path.write_bytes(canonical_json(receipt))
    mend_list(export)
    assert any("its signature is not of the store's key" in fault for fault in faults(export))


@pytest.mark.parametrize("suffix", ["json", "signed", "signature"])
def test_receipt_file_taken_out_is_named(export: Path, suffix: str) -> None:
    path = a_file(export, f"receipts/dock-1/*.{suffix}")
    path.unlink()
    mend_list(export)
    assert any("receipt of" in fault for fault in faults(export))


def test_other_store_key_is_named(export: Path) -> None:
    (export / "store" / "store-1" / "public-key.pem").write_bytes(public_pem(Signer().pinned.public_key))
    mend_list(export)
    assert sum("not of the store's key" in fault for fault in faults(export)) == 3


def test_store_key_that_is_not_the_published_one_is_named(export: Path) -> None:
    pinned = PinnedKeys(store=Signer().pinned.public_key)
    assert "it is not the key that was given" in faults(export, pinned)


@pytest.mark.parametrize("name", ["manifest-sha256.txt", "ascmhl/ascmhl_chain.xml"])
def test_manifest_of_a_session_taken_out_is_named(export: Path, name: str) -> None:
    (export / "footage" / "dock-1" / "session-2" / name).unlink()
    mend_list(export)
    assert any("manifest is missing or damaged" in fault for fault in faults(export))


def test_edited_mhl_is_named(export: Path) -> None:
    path = a_file(export, "footage/*/*/ascmhl/*.mhl")
    path.write_bytes(path.read_bytes().replace(b"PC1234", b"PC9999"))
    mend_list(export)
    found = faults(export)
    assert any("is not the generation that" in fault for fault in found)
    assert any("is not the one that the dock stored" in fault for fault in found)


def test_mhl_that_declares_entities_is_refused(export: Path) -> None:
    path = a_file(export, "footage/*/*/ascmhl/ascmhl_chain.xml")
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "' + b"x" * 100 + b'">]>'
    path.write_bytes(bomb + path.read_bytes().partition(b"\n")[2])
    mend_list(export)
    assert any("document type declaration" in fault for fault in faults(export))


def test_link_in_place_of_a_file_is_named(export: Path, tmp_path: Path) -> None:
    path = a_file(export, "footage/*/*/*.MP4")
    shutil.move(path, tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    assert any("not a plain file" in fault for fault in faults(export))


def test_link_in_place_of_a_folder_is_named(export: Path, tmp_path: Path) -> None:
    shutil.move(export / "receipts", tmp_path / "receipts")
    (export / "receipts").symlink_to(tmp_path / "receipts")
    assert any("receipts is not a plain file" in fault for fault in faults(export))


def test_index_that_points_outside_reads_nothing_there(export: Path) -> None:
    index = json.loads((export / "export.json").read_bytes())
    index["recordings"][0]["name"] = "../../../../etc/passwd"
    (export / "export.json").write_bytes(canonical_json(index))
    mend_list(export)
    assert any("etc/passwd is missing" in fault for fault in faults(export))


def test_erased_before_accepted_is_named(export: Path) -> None:
    def edit(lines: list[bytes]) -> list[bytes]:
        accepted, erased = number_of(lines, "RecordingAccepted"), number_of(lines, "RecordingErased")
        lines[accepted], lines[erased] = lines[erased], lines[accepted]
        return relinked(lines, lambda one: one)

    edit_lines(export, edit)
    assert any("RecordingErased does not follow" in fault for fault in faults(export))


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 1}'])
def test_damaged_index_is_said_at_once(export: Path, content: bytes) -> None:
    (export / "export.json").write_bytes(content)
    with pytest.raises(ProofFailed, match=r"export\.json is damaged"):
        prove(export)


def test_folder_that_is_no_export_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProofFailed, match="missing"):
        prove(tmp_path)
    with pytest.raises(ProofFailed, match="not a folder"):
        prove(tmp_path / "nothing")
