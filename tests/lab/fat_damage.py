"""Damage for FAT32 cards, done to the image byte by byte, as wear, a cheap card or an attacker would do it.

Layout: "Microsoft FAT Specification" (ECMA-107 describes the older kinds), boot sector, FAT, 32-byte directory entries.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FatLayout:
    """Where things lie on a FAT32 volume that fills its image."""

    sector_bytes: int
    cluster_bytes: int
    fat_start: int
    fat_bytes: int
    fat_count: int
    data_start: int
    root_cluster: int

    @classmethod
    def of(cls, image: Path) -> FatLayout:
        with image.open("rb") as file:
            boot = file.read(512)
        sector_bytes, per_cluster, reserved, count = struct.unpack_from("<HBHB", boot, 11)
        fat_sectors, _, _, root_cluster = struct.unpack_from("<IHHI", boot, 36)
        fat_start = reserved * sector_bytes
        fat_bytes = fat_sectors * sector_bytes
        return cls(
            sector_bytes,
            per_cluster * sector_bytes,
            fat_start,
            fat_bytes,
            count,
            fat_start + count * fat_bytes,
            root_cluster,
        )

    def place_of(self, cluster: int) -> int:
        """Where a cluster begins."""
        return self.data_start + (cluster - 2) * self.cluster_bytes


def scramble_allocation_table(image: Path, seed: int) -> None:
    """Every copy of the FAT becomes noise: no chain of clusters can be followed."""
    layout = FatLayout.of(image)
    with image.open("r+b") as file:
        file.seek(layout.fat_start + 12)
        file.write(random.Random(seed).randbytes(layout.fat_count * layout.fat_bytes - 12))


def scramble_boot_sector(image: Path, seed: int) -> None:
    """The parameters of the volume become noise; what tells that it is FAT32 stays."""
    with image.open("r+b") as file:
        file.seek(13)
        file.write(random.Random(seed).randbytes(32))


def make_folder_its_own_child(image: Path, folder: str) -> None:
    """A folder of the root gets an entry `LOOP` that is the folder itself: a tree without an end."""
    layout = FatLayout.of(image)
    content = image.read_bytes()
    root = layout.place_of(layout.root_cluster)
    entry = content.index(folder.ljust(11).encode(), root, root + layout.cluster_bytes)
    high, low = struct.unpack_from("<H", content, entry + 20)[0], struct.unpack_from("<H", content, entry + 26)[0]
    start = layout.place_of(high << 16 | low)
    free = next(at for at in range(start, start + layout.cluster_bytes, 32) if content[at] == 0)
    attributes_of_a_folder = b"\x10"
    looped = b"LOOP       " + attributes_of_a_folder + content[entry + 12 : entry + 32]
    with image.open("r+b") as file:
        file.seek(free)
        file.write(looped)


def sectors_of(image: Path, content: bytes) -> range:
    """The sectors of the image in which `content` begins, found by its bytes."""
    at = image.read_bytes().find(content)
    assert at >= 0, "these bytes are not on the card in one piece"
    return range(at // 512, (at + len(content)) // 512)
