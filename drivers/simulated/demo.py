"""A simulated camera with real footage on its card, for `dockd demo` (entry-point group `dockd.demo`)."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drivers.simulated.description import CameraDescription
from drivers.simulated.folders import make_camera_folder
from drivers.simulated.footage import make_clip, truncate_clip

_CLIP_SECONDS = 20.0
_GIBIBYTE = 1024**3


def make_demo_camera(
    folder: Path,
    *,
    serial: str,
    seed: int,
    clips: int,
    size_bytes: int,
    read_bytes_per_second: int,
    is_last_truncated: bool,
    prefer_ffmpeg: bool,
) -> None:
    """Make a camera folder with `clips` playable MP4 files of about `size_bytes` each on its card.

    The files follow each other without a gap, as a long recording does. With `is_last_truncated` the last one
    ends in the middle, as after a power loss. Raises FileExistsError when `folder` is there already.
    """
    dice = random.Random(seed)  # noqa: S311 - a story to be told again with the same seed, not a secret
    description = CameraDescription(
        serial=serial,
        maker="dockd",
        model="Simulated BWC",
        firmware="1.0",
        battery_percent=float(dice.randint(60, 78)),
        charge_percent_per_minute=120.0,
        clock_offset_milliseconds=dice.randint(-90_000, 90_000),
        read_bytes_per_second=read_bytes_per_second,
        card_size_bytes=32 * _GIBIBYTE,
    )
    card = make_camera_folder(folder, description)
    day = card / "DCIM" / "100BWC"
    day.mkdir(parents=True)
    began_at = datetime.now(UTC) - timedelta(hours=8, minutes=dice.randint(0, 240))
    for number in range(1, clips + 1):
        started_at = began_at + timedelta(seconds=_CLIP_SECONDS * (number - 1))
        path = day / f"{serial}_{started_at:%Y%m%d%H%M%S}_{number:04}.MP4"
        size = int(size_bytes * dice.uniform(0.6, 1.4))
        make_clip(
            path,
            seconds=_CLIP_SECONDS,
            size_bytes_hint=size,
            seed=seed * 1000 + number,
            started_at=started_at,
            prefer_ffmpeg=prefer_ffmpeg,
        )
        if is_last_truncated and number == clips:
            truncate_clip(path, keep_bytes=path.stat().st_size * 6 // 10)
