"""A camera's memory card as a file: made with dosfstools and exfatprogs, filled and read with mtools.

What is on the card is told by mtools, or for exFAT (which mtools does not know) by a reader of our own: never by the
code under test, nor by the guest's kernel. Knows no QEMU.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import struct
import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from drivers.simulated.footage import make_clip
from tests.lab.exfat_files import read_exfat

FileSystem = Literal["vfat", "exfat"]

_SECTOR_BYTES = 512
_FIRST_PARTITION_BYTES = 1024 * 1024
_PARTITION_TYPES = {"vfat": 0x0C, "exfat": 0x07}
_ENVIRONMENT = {
    **os.environ,
    "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
    "MTOOLS_SKIP_CHECK": "1",
    "TZ": "UTC",
}
_FIRST_RECORDING_AT = datetime(2026, 11, 21, 22, 15, 0, tzinfo=UTC)
_EXCUSED_BY_FSCK = re.compile(
    r"fsck\.fat |There are differences between boot sector and its backup|This is mostly harmless|  \d+:\w+/\w+"
    r"|  Not automatically fixing this|Dirty bit is set| Automatically removing dirty bit|Reclaimed \d+ unused cluster"
    r"|Free cluster summary wrong|  Auto-correcting|FATs differ but appear to be intact|  Using first FAT"
    r"|\*\*\* Filesystem was changed|Writing changes|\S+: \d+ files, \d+/\d+ clusters"
)
"""What fsck.fat (4.2) says of a volume whose power went while Linux erased from it, and around it."""


@dataclass(slots=True)
class CameraImage:
    """One camera: its card's file and the serial number that its USB device gives."""

    file: Path
    serial: str
    file_system: FileSystem
    has_partition_table: bool
    recordings: dict[str, str]
    """SHA-256 of everything that was put on the card, with its path there."""

    @classmethod
    def make(
        cls,
        folder: Path,
        serial: str,
        *,
        seed: int,
        count: int = 2,
        size_bytes: int = 600_000,
        file_system: FileSystem = "vfat",
        has_partition_table: bool = False,
        label: str = "BODYCAM",
        image_bytes: int = 64 * 1024 * 1024,
        name: str | None = None,
    ) -> CameraImage:
        """A formatted card with `count` playable recordings below DCIM. exFAT is filled by the guest (`fill_exfat`)."""
        file = folder / f"{name or serial}.img"
        camera = cls(file, serial, file_system, has_partition_table, {})
        camera._format(image_bytes, label)
        dice = random.Random(f"{seed} {serial} {file.name}")
        clips = folder / f"{file.stem}-clips"
        (clips / "DCIM").mkdir(parents=True)
        for number in range(count):
            at = _FIRST_RECORDING_AT + timedelta(minutes=5 * number)
            clip = clips / "DCIM" / f"{at:%Y%m%d_%H%M%S}.MP4"
            make_clip(clip, seconds=2, size_bytes_hint=size_bytes, seed=dice.randrange(2**31), started_at=at)
            camera.recordings[hashlib.sha256(clip.read_bytes()).hexdigest()] = f"{serial}/{clip.name}"
        if file_system == "vfat":
            camera.mtools("mcopy", "-s", "-m", str(clips / "DCIM"), "::/")
            shutil.rmtree(clips)
        return camera

    @property
    def volume_offset_bytes(self) -> int:
        """Where the file system begins."""
        return _FIRST_PARTITION_BYTES if self.has_partition_table else 0

    @property
    def unfilled(self) -> Path:
        """What is still to be put on an exFAT card."""
        return self.file.with_name(f"{self.file.stem}-clips")

    def on_card(self) -> Counter[str]:
        """SHA-256 of every file on the card as it lies there now, the camera being out of its bay."""
        if self.file_system == "exfat":
            return Counter(
                hashlib.sha256(content).hexdigest()
                for content in read_exfat(self.file, self.volume_offset_bytes).values()
            )
        out = self.file.with_name(f"{self.file.stem}-read")
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        self.mtools("mcopy", "-s", "-n", "::/", str(out))
        found = Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in out.rglob("*") if path.is_file())
        shutil.rmtree(out)
        return found

    def digest(self) -> str:
        """SHA-256 of the whole card: equal means that nobody wrote anything."""
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def add(self, path: str, content: bytes) -> None:
        """Put another file onto a FAT card, `path` below its root; its folder must be there."""
        subprocess.run(
            ["mcopy", "-o", "-i", self._mtools_image(), "-", f"::/{path}"], input=content, check=True, env=_ENVIRONMENT
        )
        self.recordings[hashlib.sha256(content).hexdigest()] = f"{self.serial}/{path}"

    def mtools(self, program: str, *arguments: str) -> bytes:
        """Run one of mtools on the card; what it prints."""
        command = [program, "-i", self._mtools_image(), *arguments]
        done = subprocess.run(command, capture_output=True, check=False, env=_ENVIRONMENT)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.decode('utf-8', 'replace').strip()}"
        return done.stdout

    def check(self, *, was_power_cut_while_written: bool = False) -> None:
        """Fails unless the file system checker of its own makers finds it clean.

        `was_power_cut_while_written`: FAT then keeps its mark "not properly unmounted", because Linux does not take
        back a mark that it found, and clusters of a file that was being erased may belong to nobody. Nothing else is
        excused, and once those are mended it must be clean.
        """
        volume = self.file.with_suffix(".volume")
        with self.file.open("rb") as whole, volume.open("wb") as part:
            whole.seek(self.volume_offset_bytes)
            shutil.copyfileobj(whole, part, 1 << 20)
        if was_power_cut_while_written and self.file_system != "exfat":
            mended = self._checked(["fsck.fat", "-a", str(volume)])
            strange = [line for line in mended.stdout.splitlines() if line and not _EXCUSED_BY_FSCK.match(line)]
            assert not strange, f"fsck.fat: {mended.stdout}{mended.stderr}"
            assert mended.returncode in (0, 1), f"fsck.fat: {mended.stdout}{mended.stderr}"
        program = ["fsck.exfat", "-n"] if self.file_system == "exfat" else ["fsck.fat", "-n"]
        done = self._checked([*program, str(volume)])
        assert done.returncode == 0, f"{program[0]}: {done.stdout}{done.stderr}"

    def _checked(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False, env=_ENVIRONMENT)

    def _mtools_image(self) -> str:
        return f"{self.file}@@{self.volume_offset_bytes}"

    def _format(self, image_bytes: int, label: str) -> None:
        volume = self.file.with_suffix(".volume")
        volume_bytes = image_bytes - self.volume_offset_bytes
        with volume.open("wb") as file:
            file.truncate(volume_bytes)
        # One sector in a cluster makes enough clusters for FAT32 on a card that is quick to make.
        fat = ["mkfs.vfat", "-F", "32", "-s", "1", "-n", label, str(volume)]
        make = ["mkfs.exfat", "-L", label, str(volume)] if self.file_system == "exfat" else fat
        subprocess.run(make, check=True, capture_output=True, env=_ENVIRONMENT)
        if self.has_partition_table:
            with self.file.open("wb") as whole, volume.open("rb") as part:
                whole.write(self._partition_table(volume_bytes))
                whole.seek(self.volume_offset_bytes)
                shutil.copyfileobj(part, whole, 1 << 20)
            volume.unlink()
        else:
            volume.rename(self.file)

    def _partition_table(self, volume_bytes: int) -> bytes:
        """A master boot record with one partition (layout: UEFI specification 2.10, §5.2.1)."""
        entry = struct.pack(
            "<B3sB3sII",
            *(0, b"\xfe\xff\xff", _PARTITION_TYPES[self.file_system], b"\xfe\xff\xff"),
            *(_FIRST_PARTITION_BYTES // _SECTOR_BYTES, volume_bytes // _SECTOR_BYTES),
        )
        return bytes(446) + entry + bytes(48) + b"\x55\xaa"
