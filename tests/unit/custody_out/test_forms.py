"""Names, digests and manifests in the forms that public tools read; the tools' own code is the judge."""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ascmhl import chain_xml_parser, hashlist_xml_parser
from ascmhl.hasher import C4, DirectoryHashContext
from hypothesis import given
from hypothesis import strategies as st

from dockd.custody_out.content import c4_id, c4_of_bytes, c4_of_folder, measure_file
from dockd.custody_out.lines import ManifestLine, SessionHeading
from dockd.custody_out.manifest import read_sha256_list, session_manifests, sha256_list
from dockd.custody_out.mhl import read_chain, read_mhl
from dockd.custody_out.naming import footage_name
from dockd.model.ids import CardPath, RecordingId
from dockd.model.recording import ByteRange
from dockd.rules.custody import LedgerEntry, apply_fact
from tests.support.clock import START
from tests.support.custody import Footage, sha256

RECORDING = RecordingId("0123456789abcdef0123456789abcdef")
HEADING = SessionHeading("dock-1", "session-1", "bay-1", START, "0.1.0")


def entry(content: bytes, name: bytes, *, unreadable: tuple[ByteRange, ...] = ()) -> LedgerEntry:
    one = Footage(content, CardPath((b"DCIM", name)))
    listed = apply_fact(None, one.listed())
    return apply_fact(apply_fact(listed, one.staged(unreadable=unreadable)), one.verified(unreadable=unreadable))


def line(content: bytes, name: bytes) -> ManifestLine:
    return ManifestLine.of(entry(content, name), c4_of_bytes(content))


# --- names -------------------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=255), st.none() | st.datetimes(timezones=st.just(UTC)))
def test_no_name_of_a_camera_can_hurt(name: bytes, at: datetime | None) -> None:
    made = footage_name(RECORDING, CardPath((b"DCIM", name)), at)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*\.[A-Za-z0-9]{1,8}", made)
    assert len(made) <= 160
    assert RECORDING in made


@pytest.mark.parametrize(
    ("name", "made"),
    [
        (b"VID_0001.MP4", "VID-0001_" + RECORDING + ".MP4"),
        (b"..", "unnamed_" + RECORDING + ".bin"),
        (b".MP4", "MP4_" + RECORDING + ".bin"),
        (b"a\nb.mov", "a-b_" + RECORDING + ".mov"),
        (b"x" * 251 + b".mp4", "x" * 40 + "_" + RECORDING + ".mp4"),
        (b"no extension", "no-extension_" + RECORDING + ".bin"),
    ],
)
def test_name_stays_readable(name: bytes, made: str) -> None:
    assert footage_name(RECORDING, CardPath((name,)), None) == f"time-unknown_{made}"
    assert footage_name(RECORDING, CardPath((name,)), START) == f"20261122T060000Z_{made}"


# --- C4 ----------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_c4_is_that_of_the_asc_tool(content: bytes) -> None:
    assert c4_of_bytes(content) == C4.hash_data(content)


def test_c4_of_small_numbers_is_filled_up() -> None:
    assert c4_id(bytes(64)) == "c4" + "1" * 88
    assert c4_id(bytes(63) + b"\x3a") == "c4" + "1" * 86 + "21"


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9]{1,9}\.MP4", fullmatch=True), st.binary(max_size=9), max_size=6))
def test_folder_hash_is_that_of_the_asc_tool(files: dict[str, bytes]) -> None:
    context = DirectoryHashContext("c4")
    for name, content in sorted(files.items()):
        context.append_file_hash(name, c4_of_bytes(content))
    ours = c4_of_folder([(name, c4_of_bytes(content)) for name, content in files.items()])
    assert ours == (context.final_content_hash_str(), context.final_structure_hash_str())


def test_file_is_measured_in_one_pass(tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "file").write_bytes(content)
    measured = measure_file(tmp_path / "file", keep_cached=False)
    assert measured.digest == hashlib.sha256(content).hexdigest()
    assert measured.c4 == c4_of_bytes(content)
    assert measured.size_bytes == len(content)


def test_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic link"):
        measure_file(tmp_path / "link")


# --- the SHA-256 list --------------------------------------------------------------------------------


@given(st.dictionaries(st.text(min_size=1, max_size=20).filter(lambda name: "\0" not in name), st.binary(max_size=5)))
def test_list_is_read_back_as_it_was(files: dict[str, bytes]) -> None:
    try:
        listed = sha256_list((name, sha256(content)) for name, content in files.items())
    except UnicodeEncodeError:
        return
    assert read_sha256_list(listed) == {name: sha256(content) for name, content in files.items()}


def test_sha256sum_reads_even_the_strangest_names(tmp_path: Path) -> None:
    names = ["plain.MP4", "with space", "back\\slash", "line\nfeed", "carriage\rreturn"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "list").write_bytes(sha256_list((name, sha256(name.encode())) for name in names))
    done = subprocess.run(["sha256sum", "--check", "--strict", "list"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs = subprocess.run(["sha256sum", "--", *names], cwd=tmp_path, capture_output=True, check=True).stdout
    assert theirs == (tmp_path / "list").read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"abc", b"abc  name\n", sha256(b"").encode() + b"  a", (sha256(b"").encode() + b"  a\n") * 2, b"\xff\n", b"\n"],
)
def test_damaged_list_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read_sha256_list(content)


# --- the ASC MHL -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # the ASC's parser leaves files open
def test_asc_tool_reads_our_generation(tmp_path: Path) -> None:
    lines = [line(b"one", b"1.MP4"), line(b"", b"<&>'\".MP4")]
    made = session_manifests(HEADING, lines)
    (tmp_path / "made.mhl").write_bytes(made.mhl)
    (tmp_path / "chain.xml").write_bytes(made.mhl_chain)
    theirs = hashlist_xml_parser.parse(str(tmp_path / "made.mhl"))
    assert {one.path: one.hash_entries[0].hash_string for one in theirs.media_hashes} == {
        one.name: one.c4 for one in lines
    }
    assert [one.file_size for one in theirs.media_hashes if one.path == lines[0].name] == [3]
    (generation,) = chain_xml_parser.parse(str(tmp_path / "chain.xml")).generations
    assert generation.ascmhl_filename == made.mhl_name == "0001_session-1_2026-11-22_060000Z.mhl"
    assert generation.hash_string == C4.hash_data(made.mhl)


def test_we_read_our_generation(tmp_path: Path) -> None:
    lines = [line(b"one", b"1.MP4"), line(b"two", b"2.MP4")]
    made = session_manifests(HEADING, lines)
    assert {(one.name, one.c4, one.sha256) for one in read_mhl(made.mhl)} == {
        (one.name, one.c4, str(one.entry.digest)) for one in lines
    }
    assert read_chain(made.mhl_chain) == ((made.mhl_name, c4_of_bytes(made.mhl)),)


def test_generation_tells_what_custody_knows() -> None:
    damaged = entry(b"damaged", b"\xff 1.MP4", unreadable=(ByteRange(start_byte=2, end_byte=5),))
    text = session_manifests(HEADING, [ManifestLine.of(damaged, "c4")]).mhl.decode()
    assert "<custody:cardPath>DCIM/%FF 1.MP4</custody:cardPath>" in text
    assert "<custody:officer>PC1234</custody:officer>" in text
    assert '<custody:unreadable start="2" end="5"/>' in text
    assert "<sha256>" not in text


def test_what_was_not_copied_is_told_and_not_hashed() -> None:
    listed = apply_fact(None, Footage(b"left behind").listed())
    made = session_manifests(HEADING, [line(b"one", b"1.MP4")], [listed])
    assert listed.recording in made.mhl.decode().partition("<custody:notCopied>")[2]
    assert len(read_mhl(made.mhl)) == 1
    assert len(read_sha256_list(made.sha256)) == 1


def test_same_facts_give_the_same_bytes_in_any_order() -> None:
    lines = [line(b"one", b"1.MP4"), line(b"two", b"2.MP4"), line(b"three", b"3.MP4")]
    assert session_manifests(HEADING, lines) == session_manifests(HEADING, reversed(lines))


def test_times_that_no_calendar_has_do_not_break_a_manifest() -> None:
    for modified_ns in (None, -1, 10**30, 0):
        odd = replace(entry(b"one", b"1.MP4"), modified_ns=modified_ns, recorded_at=None)
        assert b"time-unknown" in session_manifests(HEADING, [ManifestLine.of(odd, "c4")]).mhl


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<hashlist/>",
        b'<hashlist version="2.0" xmlns="urn:other"/>',
        b'<!DOCTYPE hashlist [<!ENTITY a "b">]><hashlist xmlns="urn:ASC:MHL:v2.0">&a;</hashlist>',
        b'<hashlist xmlns="urn:ASC:MHL:v2.0">',
    ],
)
def test_hostile_or_damaged_xml_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read_mhl(content)
    with pytest.raises(ValueError):
        read_chain(content)
