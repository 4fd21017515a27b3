"""The signed bundle: exported by the command over HTTP, checked by ours and by public tools, and attacked.

The shell blocks of `docs/custody.md` are run as they stand in the document.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.cli.custody import custody
from dockd.cli.verify import verify
from dockd.custody_out.bundle import fact_line, public_pem
from dockd.custody_out.content import c4_of_bytes
from dockd.custody_out.custody_proof import prove_custody
from dockd.custody_out.lines import ManifestLine, SessionHeading
from dockd.custody_out.manifest import SHA256_MANIFEST_NAME, session_manifests, sha256_list
from dockd.custody_out.pinned import PinnedKeys
from dockd.custody_out.replay import ChainReplay
from dockd.errors import ProofFailed
from dockd.model import facts as f
from dockd.model.camera import CameraIdentity, ClockReading
from dockd.model.canonical import canonical_json
from dockd.model.facts import RecordedFact, Tally, link
from dockd.model.ids import GENESIS, CameraId, CardPath, SessionId
from dockd.model.recording import Receipt
from tests.support.clock import START, ManualClock
from tests.support.custody import Footage
from tests.support.cutting import cutting
from tests.support.dock_voice import Chain, DockVoice, sha256
from tests.support.public_tools import judge, tools_in

DOCUMENT = (Path(__file__).parents[2] / "docs" / "custody.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
CAMERA = CameraId("simulated:CAM-1")


@dataclass
class Told:
    """A centre that has heard two docks, and what they told."""

    url: str
    first: Chain
    second: Chain
    centre: ServedCentre


def footage(session: str, content: bytes, name: bytes) -> Footage:
    return Footage(content, CardPath((b"DCIM", name)), CAMERA, SessionId(session))


async def told_by(voice: DockVoice, chain: Chain, session: str, taken: list[Footage], *, until: str) -> None:
    """One whole session with real receipts of the centre; `until` accepted or erased."""
    identity = CameraIdentity(camera=CAMERA, maker="m", model="Sim")
    chain.add(
        f.CameraDocked(session=session, bay="1", port="1-1"),
        f.CameraIdentified(session=session, bay="1", driver="simulated", identity=identity),
        f.ClockMeasured(
            session=session,
            camera=CAMERA,
            reading=ClockReading(camera_at=START, host_at=START, offset_milliseconds=-250, uncertainty_milliseconds=9),
        ),
        *(one.listed() for one in taken),
    )
    for one in taken:
        receipt = await voice.send(one.content, recording=one.recording, session=session, path=one.path.text)
        chain.add(one.staged(), one.verified(), one.stored())
        chain.add(
            f.RecordingAccepted(recording=one.recording, receipt=Receipt.model_validate_json(json.dumps(receipt)))
        )
        if until == "erased":
            chain.add(one.wipe_intended(), one.erased())
    total = Tally(count=len(taken), size_bytes=sum(len(one.content) for one in taken))
    nothing = Tally(count=0, size_bytes=0)
    chain.add(
        f.SessionReconciled(
            session=session,
            camera=CAMERA,
            listed=total,
            staged=total,
            stored=total,
            erased=total if until == "erased" else nothing,
            retained=nothing if until == "erased" else total,
            differences=(),
        )
    )
    replay = ChainReplay(chain.dock)
    for recorded in chain.facts:
        replay.add(recorded)
    lines = [ManifestLine.of(replay.entries[one.recording], c4_of_bytes(one.content)) for one in taken]
    heading = SessionHeading(chain.dock, SessionId(session), "1", START, "0.1.0")
    for name, content in session_manifests(heading, lines).by_name():
        reply = await voice.ask(
            "PUT",
            f"/api/v1/sessions/{chain.dock}/{session}/manifests/{name}",
            data=content,
            headers={"X-Content-SHA256": sha256(content), "Content-Type": "application/octet-stream"},
        )
        assert reply.status == 200, reply.body
        chain.add(f.ManifestStored(session=session, name=name, digest=sha256(content), size_bytes=len(content)))
    chain.add(f.CameraUndocked(session=session, bay="1", camera=CAMERA))


@asynccontextmanager
async def telling(folder: Path) -> Any:
    """A centre with the account of two docks."""
    await initialise_centre(folder, store="store-test")
    clock = ManualClock()
    config = CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0)
    async with serving_centre(config, clock=clock) as centre, aiohttp.ClientSession() as session:
        chains = [Chain("dock-7", clock=clock), Chain("dock-8", clock=clock)]
        first, second = chains
        voices = [DockVoice(session, centre.url, one.dock) for one in chains]
        for one in chains:
            one.start()
        pieces = [footage("session-1", b"first " * 900, b"A1.MP4"), footage("session-1", b"second " * 400, b"A2.MP4")]
        await told_by(voices[0], first, "session-1", pieces, until="erased")
        first.add(
            f.AssignmentStarted(assignment="a1", camera=CAMERA, officer="PC1234", started_at=START),
        )
        kept = [footage("session-2", b"kept " * 300, b"B1.MP4"), footage("session-2", b"", b"B2.MP4")]
        await told_by(voices[0], first, "session-2", kept, until="accepted")
        lost = footage("session-2", b"never stored", b"=B3.MP4")
        first.add(lost.listed())
        first.sign()
        first.add(f.DockStopped())  # held and not signed yet
        await told_by(voices[1], second, "session-3", [kept[0]], until="erased")
        second.sign()
        for voice, chain in zip(voices, chains, strict=True):
            assert (await voice.put_facts(chain.facts)).status == 200
        yield Told(centre.url, first, second, centre)


def run(url: str, folder: Path, *options: str) -> Result:
    return CliRunner().invoke(custody, ["export", "--centre", url, *options, str(folder)], standalone_mode=False)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An account with footage and one without, made once by the command."""
    root = tmp_path_factory.mktemp("bundles")

    async def make() -> None:
        async with telling(root / "centre") as told:
            for name, options in (("rows", ()), ("footage", ("--with-footage",))):
                result = await asyncio.to_thread(run, told.url, root / name, *options)
                assert result.exception is None, result.output
                assert result.return_value == 0, result.output
            assert "never-stored" in result.output

    asyncio.run(make())
    return {"rows": root / "rows", "footage": root / "footage"}


@pytest.fixture
def bundle(bundles: dict[str, Path], tmp_path: Path) -> Path:
    """A copy with footage, to tamper with."""
    return Path(shutil.copytree(bundles["footage"], tmp_path / "bundle"))


def faults(root: Path, pinned: PinnedKeys | None = None) -> list[str]:
    proof = prove_custody(root, pinned or PinnedKeys())
    return [fault for one in (*proof.of_bundle, *proof.of_custody) for fault in one.faults]


def files_of(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_nothing_is_left_of_the_making_and_everything_is_there(bundles: dict[str, Path]) -> None:
    root = bundles["footage"]
    assert sorted(path.name for path in root.parent.iterdir()) == ["centre", "footage", "rows"]
    rows = [json.loads(line) for line in (root / "recordings/000001.jsonl").read_bytes().splitlines()]
    assert len(rows) == 6
    assert {row["state"] for row in rows} == {"ERASED", "ACCEPTED", "LISTED"}
    assert len(list(root.glob("footage/*/*/*.MP4"))) == 5
    found = [json.loads(line) for line in (root / "differences/000001.jsonl").read_bytes().splitlines()]
    assert sorted(one["difference"] for one in found) == ["never-stored", "not-erased"]
    index = json.loads((root / "custody.json").read_bytes())
    assert [(one["dock"], one["held"] - one["through"]) for one in index["docks"]] == [("dock-7", 1), ("dock-8", 0)]


def test_no_cell_of_the_csv_is_a_formula(bundles: dict[str, Path]) -> None:
    for path in bundles["rows"].glob("*/*.csv"):
        for line in path.read_text(encoding="utf-8").split("\r\n"):
            assert not re.search(r"""(^|,)"?[=+@]""", line), line


# --- public tools -----------------------------------------------------------------------------------


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    return tools_in(tmp_path / "tools")


@pytest.mark.parametrize("name", ["rows", "footage"])
def test_every_check_of_the_document_passes_on_a_real_bundle(bundles: dict[str, Path], tools: Path, name: str) -> None:
    assert len(BLOCKS) == 10
    before = files_of(bundles[name])
    for script in BLOCKS:
        result = judge(script, bundles[name], tools)
        assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
    assert files_of(bundles[name]) == before


@pytest.mark.parametrize(
    ("pattern", "block"),
    [
        ("seal.txt", 1),
        ("seal.txt.signature", 1),
        ("manifest-sha256.txt", 1),
        ("recordings/000001.csv", 1),
        ("custody.json", 1),
        ("receipts/*/*.json", 3),
        ("receipts/*/*.signed", 3),
        ("receipts/*/*.signature", 3),
        ("docks/*/facts.jsonl", 4),
        ("docks/*/key-1/*.signature", 5),
        ("manifests/*/*/*.mhl", 8),
        ("footage/*/*/*_A1_*.MP4", 9),
    ],
)
def test_check_of_the_document_finds_one_changed_byte(bundle: Path, tools: Path, pattern: str, block: int) -> None:
    flip(sorted(bundle.glob(pattern))[0])
    assert judge(BLOCKS[block - 1], bundle, tools).returncode != 0


def test_check_of_the_document_finds_what_was_put_in_or_told_otherwise(bundle: Path, tools: Path) -> None:
    (bundle / "recordings" / "000002.csv").write_bytes(b"x\r\n")
    assert judge(BLOCKS[1], bundle, tools).returncode != 0
    rows = bundle / "recordings" / "000001.jsonl"
    row = json.loads(rows.read_bytes().splitlines()[0])
    rows.write_bytes(canonical_json({**row, "digest": "0" * 64}) + b"\n")
    assert judge(BLOCKS[5], bundle, tools).returncode != 0


# --- tampering --------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def mend_list(root: Path) -> None:
    """What a careful attacker does, who has not the centre's key: the list and the seal are right again."""
    own = (SHA256_MANIFEST_NAME, "seal.txt", "seal.txt.signature")
    listed = [
        (name, sha256((root / name).read_bytes()))
        for name in files_of(root)
        if name not in own and not re.fullmatch(r"footage/[^/]+/[^/]+/(manifest-sha256\.txt|ascmhl/.*)", name)
    ]
    (root / SHA256_MANIFEST_NAME).write_bytes(sha256_list(listed))
    (root / "seal.txt").write_bytes(
        sha256_list([(SHA256_MANIFEST_NAME, sha256((root / SHA256_MANIFEST_NAME).read_bytes()))])
    )


def reseal(root: Path, key: Ed25519PrivateKey) -> None:
    """What an attacker does who has the centre's key."""
    mend_list(root)
    (root / "seal.txt.signature").write_bytes(key.sign((root / "seal.txt").read_bytes()))


@pytest.fixture
def centre_key(bundles: dict[str, Path]) -> Ed25519PrivateKey:
    pem = (bundles["rows"].parent / "centre" / "keys" / "receipt-key.pem").read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def told_names() -> Iterator[str]:
    """Which files there are is known once the bundle is made; kinds of them are known before."""
    yield from ("README.txt", "custody.json", "manifest-sha256.txt", "seal.txt", "seal.txt.signature")
    for kind in ("differences", "recordings", "sessions", "holders"):
        yield from (f"{kind}/000001.csv", f"{kind}/000001.jsonl")
    yield from ("docks/dock-7/facts.jsonl", "docks/dock-8/key-1/public-key.pem", "store/store-test/public-key.pem")
    yield from ("docks/dock-7/key-1/*.signed", "docks/dock-7/key-1/*.signature")
    yield from ("receipts/dock-7/*.json", "receipts/dock-7/*.signed", "receipts/dock-7/*.signature")
    yield from ("manifests/dock-7/session-1/manifest-sha256.txt", "manifests/dock-7/session-1/*.mhl")
    yield "manifests/dock-7/session-1/ascmhl_chain.xml"
    yield from ("footage/dock-7/session-1/*_A1_*.MP4", "footage/dock-7/session-1/manifest-sha256.txt")
    yield from ("footage/dock-7/session-1/ascmhl/*.mhl", "footage/dock-7/session-1/ascmhl/ascmhl_chain.xml")


@pytest.mark.parametrize("pattern", list(told_names()))
def test_one_changed_byte_anywhere_is_found_and_the_file_is_named(bundle: Path, pattern: str) -> None:
    path = sorted(bundle.glob(pattern))[0]
    flip(path)
    result = CliRunner().invoke(verify, [str(bundle)], standalone_mode=False)
    assert isinstance(result.exception, ProofFailed)
    folder, name = path.relative_to(bundle).as_posix().rsplit("/", 1) if "/" in pattern else ("", path.name)
    said = f"{result.output}{result.exception}"
    assert name in said or folder.removesuffix("/ascmhl") in said or "key file" in said, said


def test_every_file_kind_is_among_those_that_were_changed(bundle: Path) -> None:
    patterns = [re.sub(r"\*", "[^/]*", one.replace(".", r"\.")) for one in told_names()]
    kinds = {re.sub(r"(dock|session)-\d|[0-9a-f]{32}|\d{8}T\d{6}Z|_[AB]\d_", "*", name) for name in files_of(bundle)}
    matched = {
        re.sub(r"(dock|session)-\d|[0-9a-f]{32}|\d{8}T\d{6}Z|_[AB]\d_", "*", name)
        for name in files_of(bundle)
        if any(re.fullmatch(one, name) for one in patterns)
    }
    left = {one for one in kinds - matched if not one.startswith(("docks/*/key-1/", "manifests/*/*/", "footage/*/*/"))}
    assert not left


@pytest.mark.parametrize(
    "pattern", ["differences/*.jsonl", "receipts/*/*.json", "manifests/*/*/*.mhl", "footage/*/*/*.MP4"]
)
def test_a_file_taken_out_of_every_list_is_still_missed(
    bundle: Path, pattern: str, centre_key: Ed25519PrivateKey
) -> None:
    path = sorted(bundle.glob(pattern))[0]
    path.unlink()
    reseal(bundle, centre_key)
    assert faults(bundle)


def edit_lines(path: Path, edit: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_difference_taken_out_is_missed_even_under_the_centres_own_seal(
    bundle: Path, centre_key: Ed25519PrivateKey, form: str
) -> None:
    edit_lines(bundle / f"differences/000001.{form}", lambda lines: lines[:-1])
    mend_list(bundle)
    assert any("signature over seal.txt" in one for one in faults(bundle))
    reseal(bundle, centre_key)
    (one,) = faults(bundle)
    assert f"differences/000001.{form} is not what the facts tell" in one


@pytest.mark.parametrize("kind", ["recordings", "sessions", "holders"])
def test_a_row_told_otherwise_is_found_with_its_line(bundle: Path, centre_key: Ed25519PrivateKey, kind: str) -> None:
    path = bundle / f"{kind}/000001.jsonl"
    edit_lines(path, lambda lines: [lines[0].replace(b"CAM-1", b"CAM-2"), *lines[1:]])
    reseal(bundle, centre_key)
    (one,) = faults(bundle)
    assert one == f"{kind}/000001.jsonl is not what the facts tell, first in line 1"


def test_a_whole_dock_told_away_is_missed_by_the_rows_that_rest_on_it(
    bundle: Path, centre_key: Ed25519PrivateKey
) -> None:
    for folder in ("docks", "receipts", "manifests", "footage"):
        shutil.rmtree(bundle / folder / "dock-8")
    index = json.loads((bundle / "custody.json").read_bytes())
    index["docks"] = index["docks"][:1]
    (bundle / "custody.json").write_bytes(canonical_json(index) + b"\n")
    reseal(bundle, centre_key)
    assert any("recordings/000001.jsonl is not what the facts tell" in one for one in faults(bundle))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda lines: [*lines[:4], *lines[5:]], "next number"),
        (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], "next number"),
        (lambda lines: [*lines[:4], lines[3], *lines[4:]], "next number"),
        (lambda lines: [lines[0].replace(b"0.1.0", b"0.1.9"), *lines[1:]], "was changed"),
        (lambda lines: lines[:-1], "under"),
    ],
)
def test_facts_dropped_moved_doubled_or_changed_are_named(
    bundle: Path, centre_key: Ed25519PrivateKey, edit: Callable[[list[bytes]], list[bytes]], words: str
) -> None:
    edit_lines(bundle / "docks/dock-7/facts.jsonl", edit)
    reseal(bundle, centre_key)
    assert any(words in one for one in faults(bundle))


def test_swapped_receipts_are_named(bundle: Path, centre_key: Ed25519PrivateKey) -> None:
    one, other = sorted(bundle.glob("receipts/dock-7/*.json"))[:2]
    for suffix in ("json", "signed", "signature"):
        pair = one.with_suffix(f".{suffix}"), other.with_suffix(f".{suffix}")
        contents = [path.read_bytes() for path in pair]
        pair[0].write_bytes(contents[1])
        pair[1].write_bytes(contents[0])
    reseal(bundle, centre_key)
    assert sum("not the one that the dock's facts hold" in one for one in faults(bundle)) == 2


def test_a_bundle_sealed_with_a_foreign_key_is_found(bundle: Path, bundles: dict[str, Path]) -> None:
    """With the thief's key in the place of the centre's even the seal holds: then receipts fail, and the pinned key."""
    thief = Ed25519PrivateKey.generate()
    genuine = PinnedKeys(store=None)
    raw = base64.b64encode(thief.public_key().public_bytes_raw()).decode()
    (bundle / "store/store-test/public-key.pem").write_bytes(public_pem(raw))
    reseal(bundle, thief)
    assert sum("not of the store's key" in one for one in faults(bundle, genuine)) == 5
    key = bundles["rows"] / "store/store-test/public-key.pem"
    result = CliRunner().invoke(verify, [str(bundle), "--store-key", str(key)], standalone_mode=False)
    assert isinstance(result.exception, ProofFailed)
    assert "it is not the key that was given" in result.output


def test_a_chain_rewritten_and_signed_by_a_foreign_dock_key_fails_against_the_published_one(
    bundle: Path, centre_key: Ed25519PrivateKey
) -> None:
    """Everything made again with good hashes, and even the centre's seal; only the dock's own key cannot be had."""
    thief = Ed25519PrivateKey.generate()
    public = base64.b64encode(thief.public_key().public_bytes_raw()).decode()

    def rewritten(lines: list[bytes]) -> list[bytes]:
        made: list[RecordedFact] = []
        for line in lines:
            one = RecordedFact.model_validate_json(line)
            body = one.fact
            if isinstance(body, f.DockStarted):
                body = body.model_copy(update={"public_key": public})
            if isinstance(body, f.ChainSigned):
                head = made[body.through - 1].hash
                signed = base64.b64encode(thief.sign(head.encode())).decode()
                body = body.model_copy(update={"head": head, "signature": signed})
            made.append(link(one.dock, len(made) + 1, made[-1].hash if made else GENESIS, one.moment, body))
        return [fact_line(one) for one in made]

    edit_lines(bundle / "docks/dock-7/facts.jsonl", rewritten)
    reseal(bundle, centre_key)
    found = faults(bundle, PinnedKeys(docks=frozenset({"published"})))
    assert any("was not given" in one for one in found)
    assert any("is not the key that the dock announced" in one for one in found)


def test_footage_put_in_and_a_link_are_named(bundle: Path, tmp_path: Path) -> None:
    (bundle / "footage/dock-7/session-1/extra.MP4").write_bytes(b"made up")
    assert any("extra.MP4 is not listed" in one for one in faults(bundle))
    path = bundle / "README.txt"
    shutil.move(path, tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    assert any("not a plain file" in one for one in faults(bundle))


@pytest.mark.parametrize("content", [b"", b"{", b'{"form": "another"}'])
def test_damaged_index_is_said_at_once(bundle: Path, content: bytes) -> None:
    (bundle / "custody.json").write_bytes(content)
    with pytest.raises(ProofFailed):
        prove_custody(bundle, PinnedKeys())


# --- making it --------------------------------------------------------------------------------------


async def test_the_same_question_gives_the_same_bytes(tmp_path: Path) -> None:
    async with telling(tmp_path / "centre") as told, aiohttp.ClientSession() as session:
        voice = DockVoice(session, told.url)
        address = "/api/v1/custody/bundle.tar?camera=simulated:CAM-1&footage=yes"
        first = await voice.ask("GET", address)
        again = await voice.ask("GET", address)
        assert first.body == again.body


async def test_a_narrow_account_holds_only_what_was_asked_for_and_what_it_rests_on(tmp_path: Path) -> None:
    async with telling(tmp_path / "centre") as told:
        result = await asyncio.to_thread(run, told.url, tmp_path / "out", "--dock", "dock-7", "--officer", "pc1234")
        assert result.exception is None, result.output
        index = json.loads((tmp_path / "out" / "custody.json").read_bytes())
        assert [(one["dock"], one["has_rows"]) for one in index["docks"]] == [("dock-7", True), ("dock-8", False)]
        result = await asyncio.to_thread(run, told.url, tmp_path / "none", "--officer", "PC9")
        assert result.exception is None, result.output
        assert "There are no differences." in result.output


async def test_a_broken_connection_leaves_nothing_that_looks_whole_and_is_gone_on_with(tmp_path: Path) -> None:
    async with telling(tmp_path / "centre") as told:
        asked: list[str] = []

        def cut(path: str) -> int | None:
            asked.append(path)
            return 700 if "content" in path and len([one for one in asked if "content" in one]) <= 3 else None

        async with cutting(told.url, cut) as url:
            result = await asyncio.to_thread(run, url, tmp_path / "out", "--with-footage")
            assert result.exception is None, result.output
        assert not faults(tmp_path / "out")
        ranges = [one for one in asked if "content" in one]
        assert len(ranges) > 5


async def test_a_bundle_cut_off_is_never_given_its_name(tmp_path: Path) -> None:
    async with telling(tmp_path / "centre") as told:

        def cut(path: str) -> int | None:
            return 9000 if "bundle.tar" in path else None

        async with cutting(told.url, cut) as url:
            result = await asyncio.to_thread(run, url, tmp_path / "out")
        assert result.exception is not None
        assert not (tmp_path / "out").exists()
        assert (tmp_path / "out.partial" / "UNFINISHED.txt").is_file()
        result = await asyncio.to_thread(run, told.url, tmp_path / "out")
        assert result.exception is None, result.output
        assert not (tmp_path / "out.partial").exists()


async def test_a_store_that_gives_other_footage_is_told_and_nothing_is_named(tmp_path: Path) -> None:
    async with telling(tmp_path / "centre") as told:
        for path in (tmp_path / "centre").rglob(sha256(b"first " * 900)):
            path.chmod(0o644)
            path.write_bytes(b"FIRST " * 900)
        result = await asyncio.to_thread(run, told.url, tmp_path / "out", "--with-footage")
        assert result.exception is not None
        assert not (tmp_path / "out").exists()


async def test_a_folder_that_is_not_empty_is_never_written_over(tmp_path: Path) -> None:
    async with telling(tmp_path / "centre") as told:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_text("mine")
        result = await asyncio.to_thread(run, told.url, tmp_path / "out")
        assert "is not empty" in str(result.exception)
        (tmp_path / "new.partial").mkdir()
        result = await asyncio.to_thread(run, told.url, tmp_path / "new")
        assert "in the way" in str(result.exception)
