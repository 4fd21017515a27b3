"""Clips are real: they decode, last as long as they say, and show what they should."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers.simulated.footage import make_clip, truncate_clip

STARTED = datetime(2026, 11, 22, 6, 1, 57, tzinfo=UTC)
needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffprobe") is None or shutil.which("ffmpeg") is None, reason="ffmpeg and ffprobe are not installed"
)


def boxes(content: bytes) -> list[tuple[bytes, int, bytes]]:
    """The top-level boxes: kind, offset, body (ISO/IEC 14496-12 §4.2)."""
    found, offset = [], 0
    while offset < len(content):
        size, kind = struct.unpack_from(">I4s", content, offset)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, offset + 8)
            header = 16
        assert header <= size <= len(content) - offset
        found.append((kind, offset, content[offset + header : offset + size]))
        offset += size
    return found


def inner(body: bytes, *kinds: bytes) -> bytes:
    for kind in kinds:
        (body,) = [content for name, _, content in boxes(body) if name == kind]
    return body


def test_the_same_arguments_give_the_same_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    made = [
        make_clip(tmp_path / f"{index}.mp4", seconds=2, size_bytes_hint=60_000, seed=seed, started_at=STARTED)
        for index, seed in enumerate((7, 7, 8))
    ]
    first, again, other = (clip.path.read_bytes() for clip in made)
    assert first == again
    assert first != other


def test_its_index_describes_every_frame(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", seconds=3, size_bytes_hint=300_000, seed=1, started_at=STARTED)
    content = clip.path.read_bytes()
    assert [kind for kind, _, _ in boxes(content)] == [b"ftyp", b"mdat", b"moov"]
    moov = inner(content, b"moov")
    created, _, ticks_per_second, ticks = struct.unpack_from(">4I", inner(moov, b"mvhd"), 4)
    assert datetime(1904, 1, 1, tzinfo=UTC) + timedelta(seconds=created) == STARTED
    assert ticks / ticks_per_second == pytest.approx(3.0)
    table = inner(moov, b"trak", b"mdia", b"minf", b"stbl")
    sizes_box, offsets_box = inner(table, b"stsz"), inner(table, b"stco")
    (count,) = struct.unpack_from(">I", sizes_box, 8)
    sizes = struct.unpack_from(f">{count}I", sizes_box, 12)
    offsets = struct.unpack_from(f">{count}I", offsets_box, 8)
    frames = [content[start : start + size] for start, size in zip(offsets, sizes, strict=True)]
    assert count == 30
    assert all(frame.startswith(b"\xff\xd8") and frame.endswith(b"\xff\xd9") for frame in frames)
    assert len(set(frames)) == count, "every frame is different"
    (media,) = [body for kind, _, body in boxes(content) if kind == b"mdat"]
    assert sum(sizes) == len(media), "no byte of the media is padding"


@pytest.mark.parametrize(("seconds", "hint"), [(1, 20_000), (2, 50_000), (5, 1_000_000), (4, 8_000_000)])
def test_it_comes_near_the_wanted_size(tmp_path: Path, seconds: float, hint: int) -> None:
    clip = make_clip(tmp_path / "a.mp4", seconds=seconds, size_bytes_hint=hint, seed=3, started_at=STARTED)
    assert clip.size_bytes == clip.path.stat().st_size
    assert 0.9 * hint <= clip.size_bytes <= 1.1 * hint


def test_its_file_time_is_the_end_of_the_recording(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", seconds=3, size_bytes_hint=30_000, seed=1, started_at=STARTED)
    assert clip.path.stat().st_mtime == (STARTED + timedelta(seconds=3)).timestamp()


def test_a_truncated_clip_has_lost_its_index_and_kept_its_time(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", seconds=3, size_bytes_hint=30_000, seed=1, started_at=STARTED)
    whole = clip.path.read_bytes()
    before = clip.path.stat().st_mtime_ns
    truncate_clip(clip.path, keep_bytes=clip.size_bytes // 2)
    assert clip.path.read_bytes() == whole[: clip.size_bytes // 2]
    assert b"moov" not in clip.path.read_bytes()
    assert clip.path.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="has only"):
        truncate_clip(clip.path, keep_bytes=clip.size_bytes)


def test_a_clip_without_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="length"):
        make_clip(tmp_path / "a.mp4", seconds=0, size_bytes_hint=1, seed=1, started_at=STARTED)


def probe(path: Path) -> tuple[float, str, int, str]:
    """Seconds, codec, decodable frames and creation time, as ffprobe says."""
    wanted = "stream=codec_name,nb_read_frames:format=duration:format_tags=creation_time"
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", wanted, "-of", "json", str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    said = json.loads(done.stdout)
    (stream,) = said["streams"]
    length = float(said["format"]["duration"])
    return length, stream["codec_name"], int(stream["nb_read_frames"]), said["format"]["tags"]["creation_time"]


@pytest.mark.slow
@needs_ffmpeg
@pytest.mark.parametrize(("seconds", "hint"), [(0.3, 500), (2, 50_000), (7.5, 2_000_000), (1, 12_000_000)])
def test_it_plays(tmp_path: Path, seconds: float, hint: int) -> None:
    clip = make_clip(tmp_path / "a.mp4", seconds=seconds, size_bytes_hint=hint, seed=5, started_at=STARTED)
    length, codec, frames, created = probe(clip.path)
    assert length == pytest.approx(seconds, abs=0.01)
    assert codec == "mjpeg"
    assert frames >= 1
    assert created == "2026-11-22T06:01:57.000000Z"
    decoded = subprocess.run(
        ["ffmpeg", "-v", "warning", "-xerror", "-i", str(clip.path), "-f", "null", "-"], check=True, capture_output=True
    )
    assert decoded.stderr == b""


@pytest.mark.slow
@needs_ffmpeg
def test_its_picture_shows_the_time_of_day(tmp_path: Path) -> None:
    """The dots of the clock are bright: sample the middle of each block of the first and the last picture."""
    clip = make_clip(tmp_path / "a.mp4", seconds=5, size_bytes_hint=200_000, seed=5, started_at=STARTED)
    command = ["ffmpeg", "-v", "error", "-i", str(clip.path), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    pixels = subprocess.run(command, check=True, capture_output=True).stdout
    frame_bytes = 320 * 72
    first, last = _dots(pixels[:frame_bytes]), _dots(pixels[-frame_bytes:])
    assert first != last
    one = (".#.", ".#.", ".#.", ".#.", ".#.")
    zero = ("###", "#.#", "#.#", "#.#", "###")
    assert first[0] == zero
    assert first[4] == one, "06:01:57 has a 1 in the fifth place"


def _dots(frame: bytes) -> list[tuple[str, ...]]:
    def is_bright(column: int, row: int) -> bool:
        return frame[(row * 8 + 4) * 320 + column * 8 + 4] > 140

    return [
        tuple("".join("#" if is_bright(place * 4 + x + 1, 2 + y) else "." for x in range(3)) for y in range(5))
        for place in range(8)
    ]


@pytest.mark.slow
@needs_ffmpeg
def test_ffmpeg_makes_an_h264_clip_when_it_is_wanted(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.mp4", seconds=2, size_bytes_hint=400_000, seed=5, started_at=STARTED, prefer_ffmpeg=True
    )
    length, codec, frames, created = probe(clip.path)
    assert (codec, frames, created) == ("h264", 50, "2026-11-22T06:01:57.000000Z")
    assert length == pytest.approx(2.0, abs=0.05)
    assert clip.is_h264
    assert 0.5 * 400_000 <= clip.size_bytes <= 1.6 * 400_000


def test_without_ffmpeg_our_own_writer_makes_the_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    clip = make_clip(
        tmp_path / "a.mp4", seconds=1, size_bytes_hint=30_000, seed=5, started_at=STARTED, prefer_ffmpeg=True
    )
    assert not clip.is_h264
    assert [kind for kind, _, _ in boxes(clip.path.read_bytes())] == [b"ftyp", b"mdat", b"moov"]
