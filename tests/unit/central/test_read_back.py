"""Reading back gives the digest of what the disk has, whatever the size."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from dockd.central.stores.durable import forget_range, lock_range, make_folders, write_new
from dockd.central.stores.read_back import BLOCK_BYTES, digest_on_disk, part_digests_on_disk


@pytest.mark.parametrize(
    "size_bytes", [0, 1, 511, 512, 4095, 4096, 4097, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 9_000_001]
)
def test_digest_is_that_of_the_bytes(tmp_path: Path, size_bytes: int) -> None:
    content = os.urandom(size_bytes)
    file = tmp_path / "file"
    file.write_bytes(content)
    os.sync()
    assert digest_on_disk(file) == (hashlib.sha256(content).hexdigest(), size_bytes)


@pytest.mark.parametrize("part_size_bytes", [1, 3000, 4096, 5_000_000])
def test_part_digests_may_begin_anywhere(tmp_path: Path, part_size_bytes: int) -> None:
    content = os.urandom(10_000 if part_size_bytes > 1 else 7)
    file = tmp_path / "file"
    file.write_bytes(content)
    expected = [
        hashlib.sha256(content[at : at + part_size_bytes]).hexdigest() for at in range(0, len(content), part_size_bytes)
    ]
    assert part_digests_on_disk(file, part_size_bytes) == expected


def test_disk_without_o_direct_is_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(5_000_000)
    file = tmp_path / "file"
    file.write_bytes(content)
    real = os.open

    def no_direct(path: object, flags: int, *rest: int) -> int:
        if flags & os.O_DIRECT:
            raise OSError(22, "Invalid argument")
        return real(path, flags, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", no_direct)
    assert digest_on_disk(file) == (hashlib.sha256(content).hexdigest(), len(content))


def test_range_is_locked_against_every_other_open_and_freed_by_close(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    one, other = os.open(file, os.O_RDWR), os.open(file, os.O_RDWR)
    try:
        assert lock_range(one, 0, 50)
        assert lock_range(other, 50, 50)
        assert not lock_range(other, 10, 10)
        assert not lock_range(other, 0, 0)
        os.close(one)
        assert lock_range(other, 0, 0)
    finally:
        os.close(other)


def test_forgotten_range_reads_as_zeros_and_the_rest_stays(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 30_000)
    descriptor = os.open(file, os.O_RDWR)
    forget_range(descriptor, 10_000, 10_000)
    os.close(descriptor)
    assert file.read_bytes() == b"x" * 10_000 + bytes(10_000) + b"x" * 10_000


def test_new_file_never_replaces_another(tmp_path: Path) -> None:
    folder = make_folders(tmp_path, "a", "b")
    write_new(folder / "file", b"first")
    with pytest.raises(FileExistsError):
        write_new(folder / "file", b"second")
    assert (folder / "file").read_bytes() == b"first"
    assert list(folder.iterdir()) == [folder / "file"]
    assert (folder / "file").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
