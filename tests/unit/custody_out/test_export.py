"""What an export holds, and what it says when it cannot hold it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.custody_out.export import Exporter, Selection
from dockd.custody_out.pinned import PinnedKeys
from dockd.custody_out.proof import prove
from dockd.errors import BadRequest, NotFound
from dockd.model.ids import SessionId
from tests.support.archive import MadeArchive
from tests.support.clock import ManualClock
from tests.support.custody import sha256


async def export(archive: MadeArchive, root: Path, selection: Selection, **options: str) -> object:
    return await Exporter(archive, root, ManualClock(), **options).export(selection)


def footage_in(root: Path) -> set[bytes]:
    return {path.read_bytes() for path in root.glob("footage/*/*/*.MP4")}


def test_export_of_a_session_is_byte_for_byte_and_proves_itself(archive: MadeArchive, pristine: Path) -> None:
    wanted = {one.content for one in archive.footage if one.session == "session-2"}
    assert footage_in(pristine) == wanted
    assert all(claim.holds for claim in prove(pristine))


def test_export_keeps_the_manifests_that_the_dock_stored(archive: MadeArchive, pristine: Path) -> None:
    folder = pristine / "footage" / "dock-1" / "session-2"
    stored = archive.manifests["session-2", "manifest-sha256.txt"]
    assert (folder / "manifest-sha256.txt").read_bytes() == stored
    assert json.loads((pristine / "export.json").read_bytes())["whole_sessions"] == ["dock-1/session-2"]


def test_chain_is_cut_after_the_checkpoint_that_covers_the_export(archive: MadeArchive, pristine: Path) -> None:
    lines = (pristine / "docks" / "dock-1" / "facts.jsonl").read_text().splitlines()
    assert len(lines) < len(archive.chain.facts)
    assert json.loads(lines[-1])["fact"]["kind"] == "ChainSigned"
    assert "session-3" not in "".join(lines)


def test_names_in_an_export_need_no_quoting(pristine: Path) -> None:
    names = [path.relative_to(pristine).as_posix() for path in pristine.rglob("*")]
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") for name in names)


async def test_export_of_a_camera_follows_all_pages(archive: MadeArchive, tmp_path: Path) -> None:
    await export(archive, tmp_path / "out", Selection(camera="simulated:BWC-0001"))
    assert footage_in(tmp_path / "out") == {one.content for one in archive.footage}
    assert all(claim.holds for claim in prove(tmp_path / "out"))


async def test_export_of_one_digest_has_its_own_manifest(archive: MadeArchive, tmp_path: Path) -> None:
    one = archive.footage[1]
    await export(archive, tmp_path / "out", Selection(digest=one.digest))
    assert footage_in(tmp_path / "out") == {one.content}
    assert all(claim.holds for claim in prove(tmp_path / "out"))


async def test_session_whose_dock_is_not_known_is_found(archive: MadeArchive, tmp_path: Path) -> None:
    archive = MadeArchive(chain=archive.chain, signer=archive.signer, contents=archive.contents)
    archive.manifests = {}
    await export(archive, tmp_path / "out", Selection(session=SessionId("session-1")))
    assert footage_in(tmp_path / "out") == {b"other footage"}


async def test_recording_that_never_reached_the_store_is_named_not_dropped(tmp_path: Path) -> None:
    made = MadeArchive()
    made.session("session-1", [b"kept on the dock"], accept=False)
    index = await export(made, tmp_path / "out", Selection(session=SessionId("session-1")))
    assert [one.reason for one in index.missing] == ["It is not in the central store: VERIFIED."]
    assert all(claim.holds for claim in prove(tmp_path / "out"))


async def test_store_that_gives_other_bytes_is_found_out(tmp_path: Path) -> None:
    made = MadeArchive()
    (one,) = made.session("session-1", [b"the true bytes"])
    made.contents[one.digest] = b"the 7rue bytes"
    index = await export(made, tmp_path / "out", Selection(session=SessionId("session-1")))
    assert "gave 14 bytes" in index.missing[0].reason
    assert footage_in(tmp_path / "out") == set()
    assert not list((tmp_path / "out").rglob("*.part"))
    assert any(not claim.holds for claim in prove(tmp_path / "out"))


async def test_store_that_gives_endless_bytes_is_cut_off(tmp_path: Path) -> None:
    made = MadeArchive()
    (one,) = made.session("session-1", [b"short"])
    made.contents[one.digest] = b"x" * 10_000_000
    index = await export(made, tmp_path / "out", Selection(session=SessionId("session-1")))
    assert "gave 1000 bytes" in index.missing[0].reason


async def test_exchanged_manifest_in_the_store_is_noted_and_made_afresh(tmp_path: Path) -> None:
    made = MadeArchive()
    made.session("session-1", [b"content"])
    made.manifests["session-1", "manifest-sha256.txt"] = sha256(b"lie").encode() + b"  lie\n"
    index = await export(made, tmp_path / "out", Selection(session=SessionId("session-1")))
    assert len(index.notes) == 1
    assert all(claim.holds for claim in prove(tmp_path / "out"))


async def test_facts_that_nobody_signed_yet_are_told(tmp_path: Path) -> None:
    made = MadeArchive()
    made.session("session-1", [b"content"], sign=False)
    await export(made, tmp_path / "out", Selection(session=SessionId("session-1")))
    faults = [fault for claim in prove(tmp_path / "out") for fault in claim.faults]
    assert len(faults) == 1
    assert "only 0 are under a signature" in faults[0]


async def test_folder_with_something_in_it_is_not_used(archive: MadeArchive, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me")
    with pytest.raises(BadRequest, match="not empty"):
        await export(archive, tmp_path, Selection(session=SessionId("session-2")))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "selection",
    [Selection(session=SessionId("nope")), Selection(camera="simulated:nope"), Selection(digest=sha256(b""))],
)
async def test_nothing_found_is_said(tmp_path: Path, selection: Selection) -> None:
    made = MadeArchive()
    made.session("session-1", [b"content"])
    with pytest.raises(NotFound):
        await export(made, tmp_path / "out", selection)


async def test_centre_with_another_key_than_the_published_one_is_refused(archive: MadeArchive, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="another key"):
        await export(archive, tmp_path / "out", Selection(session=SessionId("session-2")), store_key="AAAA")
    assert not (tmp_path / "out").exists()


def test_pinned_keys_that_fit_hold(archive: MadeArchive, pristine: Path) -> None:
    keys = PinnedKeys(store=archive.signer.pinned.public_key, docks=frozenset({archive.chain.public_key}))
    assert all(claim.holds for claim in prove(pristine, keys))


async def test_second_key_of_a_dock_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    made = MadeArchive()
    made.session("session-1", [b"one"])
    made.chain.private_key = Ed25519PrivateKey.generate()
    made.chain.start()
    made.session("session-2", [b"two"])
    await export(made, tmp_path / "out", Selection(camera="simulated:BWC-0001"))
    assert (tmp_path / "out" / "docks" / "dock-1" / "key-2" / "public-key.pem").exists()
    assert all(claim.holds for claim in prove(tmp_path / "out"))
