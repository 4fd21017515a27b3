"""Playable footage for simulated cameras: real MP4 files of a wanted length and size.

Knows how to make a clip with our own writer (Motion JPEG, no other program needed) or, where it is
present and asked for, with ffmpeg (H.264, moving test picture with its own clock). Must not know cameras.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

from drivers.simulated.jpeg import TEXT_HEIGHT_BLOCKS, TEXT_WIDTH_BLOCKS, FrameCoder, Texture
from drivers.simulated.mp4 import MEDIA_HEADER_BYTES, VideoTrack, file_type_box, index_box, media_header

_FRAMES_PER_SECOND = 10
_TICKS_PER_SECOND = 90_000
_PICTURES_BLOCKS = ((TEXT_WIDTH_BLOCKS, TEXT_HEIGHT_BLOCKS), (40, 23), (80, 45), (160, 90))
_FRAME_OVERHEAD_BYTES = 198
_CONTAINER_OVERHEAD_BYTES = 650
_USUAL_BITS = 3
_MOST_BITS = 10
_FFMPEG_PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Clip:
    """What was made: `size_bytes` on disk, `seconds` as its index says."""

    path: Path
    size_bytes: int
    seconds: float
    is_h264: bool


def make_clip(
    path: Path,
    *,
    seconds: float,
    size_bytes_hint: int,
    seed: int,
    started_at: datetime,
    prefer_ffmpeg: bool = False,
) -> Clip:
    """Write a playable MP4 file of `seconds` that shows its time of day, about `size_bytes_hint` large.

    Our own writer comes within a few percent of the hint from about 20 kB per second upwards (a frame
    has at least 2 kB; ten frames a second are usual), and writes the same bytes for the same
    arguments. The clip's creation time is `started_at` (aware); the file's modification time is its
    end, as cameras leave it. With `prefer_ffmpeg` an H.264 clip is made when ffmpeg is at hand and can
    code H.264, else our own.
    Raises ValueError for a length that is not positive, OSError when the file cannot be written.
    """
    if seconds <= 0:
        raise ValueError("a clip has a length")
    is_h264 = prefer_ffmpeg and _made_with_ffmpeg(path, seconds, size_bytes_hint, seed, started_at)
    length = seconds if is_h264 else _write_motion_jpeg(path, seconds, size_bytes_hint, seed, started_at)
    ended_ns = int((started_at + timedelta(seconds=length)).timestamp() * 1_000_000_000)
    os.utime(path, ns=(ended_ns, ended_ns))
    return Clip(path=path, size_bytes=path.stat().st_size, seconds=length, is_h264=is_h264)


def truncate_clip(path: Path, *, keep_bytes: int) -> None:
    """Cut the file after `keep_bytes`, as a power cut does: the index is lost, the time is kept.

    Raises ValueError when the file is not longer than that.
    """
    status = path.stat()
    if keep_bytes >= status.st_size:
        raise ValueError(f"{path.name} has only {status.st_size} bytes")
    os.truncate(path, keep_bytes)
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to reach a size: so many frames, of such a picture, with so much noise."""

    frames: int
    width_blocks: int
    height_blocks: int
    texture: Texture


def _plan(seconds: float, size_bytes: int) -> _Plan:
    width, height = _PICTURES_BLOCKS[-1]
    size_bytes = max(0, size_bytes - _CONTAINER_OVERHEAD_BYTES)
    largest_frame = width * height * Texture(63, _MOST_BITS).block_bytes
    least_frame = _PICTURES_BLOCKS[0][0] * _PICTURES_BLOCKS[0][1] * Texture(0, 1).block_bytes + _FRAME_OVERHEAD_BYTES
    affordable = max(1, min(_FRAMES_PER_SECOND, int(size_bytes / seconds / least_frame)))
    per_second = max(affordable, math.ceil(size_bytes / seconds / largest_frame))
    frames = max(1, round(seconds * per_second))
    frame_bytes = max(0, size_bytes // frames - _FRAME_OVERHEAD_BYTES)
    for width, height in _PICTURES_BLOCKS:
        texture = _texture(frame_bytes / (width * height), _USUAL_BITS)
        if texture.coefficients < 63:
            break
    else:
        block_bytes = frame_bytes / (width * height)
        textures = [_texture(block_bytes, bits) for bits in range(_USUAL_BITS, _MOST_BITS + 1)]
        texture = next((one for one in textures if one.coefficients < 63), textures[-1])
    return _Plan(frames, width, height, texture)


def _texture(block_bytes: float, bits: int) -> Texture:
    coded_bits = (block_bytes - 2) * 8 / (1 + 1 / 256)
    return Texture(coefficients=min(63, max(0, round((coded_bits - 19) / (4 + bits)))), bits=bits)


def _write_motion_jpeg(path: Path, seconds: float, size_bytes: int, seed: int, started_at: datetime) -> float:
    plan = _plan(seconds, size_bytes)
    coder = FrameCoder(seed, width_blocks=plan.width_blocks, height_blocks=plan.height_blocks, texture=plan.texture)
    frame_ticks = max(1, round(seconds * _TICKS_PER_SECOND / plan.frames))
    sizes: list[int] = []
    opening = file_type_box()
    with path.open("wb") as file:
        file.write(opening + media_header(0))
        for picture in _frames(coder, plan, seconds, started_at):
            file.write(picture)
            sizes.append(len(picture))
        media_start = len(opening) + MEDIA_HEADER_BYTES
        track = VideoTrack(
            width_pixels=coder.width_pixels,
            height_pixels=coder.height_pixels,
            ticks_per_second=_TICKS_PER_SECOND,
            frame_ticks=frame_ticks,
            frame_sizes_bytes=sizes,
            frame_offsets_bytes=list(accumulate(sizes[:-1], initial=media_start)),
            started_at=started_at,
        )
        file.write(index_box(track))
        file.seek(len(opening))
        file.write(media_header(sum(sizes)))
    return plan.frames * frame_ticks / _TICKS_PER_SECOND


def _frames(coder: FrameCoder, plan: _Plan, seconds: float, started_at: datetime) -> Iterator[bytes]:
    for number in range(plan.frames):
        at = started_at + timedelta(seconds=seconds * number / plan.frames)
        yield coder.frame(at.strftime("%H:%M:%S"))


def _made_with_ffmpeg(path: Path, seconds: float, size_bytes: int, seed: int, started_at: datetime) -> bool:
    """Try ffmpeg; False when it is not there or cannot code H.264. The noise keeps the bit rate honest."""
    program = shutil.which("ffmpeg")
    if program is None:
        return False
    bits_per_second = max(32_000, int(size_bytes * 8 / seconds))
    picture = f"testsrc2=size=640x360:rate=25:duration={seconds},noise=alls=24:allf=t:all_seed={seed % 2**31}"
    command = [
        *(program, "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", picture),
        *("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-pix_fmt", "yuv420p"),
        *("-b:v", str(bits_per_second), "-minrate", str(bits_per_second), "-maxrate", str(bits_per_second)),
        *("-bufsize", str(bits_per_second), "-fflags", "+bitexact", "-flags:v", "+bitexact"),
        *("-metadata", f"creation_time={started_at.astimezone(UTC).isoformat()}", "-f", "mp4", str(path)),
    ]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=_FFMPEG_PATIENCE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and path.stat().st_size > 0
