"""Threats: a disk that is full, slow, lying or gone, and is trusted with footage all the same."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dockd.dock.disk import Disk
from dockd.dock.doctor import Severity
from dockd.dock.doctor.disk_trial import try_staging_disk
from tests.support.dock_host import GIGABYTE, DockHost, room
from tests.support.full_disk import FailingDisk, ForgetfulDisk


class WithoutDirect(Disk):
    """A file system that refuses O_DIRECT: already when opened, or only when it is used."""

    def __init__(self, *, only_in_use: bool) -> None:
        super().__init__()
        self._only_in_use = only_in_use

    def open_to_write(self, path: Path) -> tuple[int, bool]:
        descriptor, _ = super().open_to_write(path)
        if not self._only_in_use:
            self.leave_direct(descriptor)
        return descriptor, self._only_in_use

    def open_to_read(self, path: Path, *, direct: bool) -> int:
        if direct and not self._only_in_use:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return super().open_to_read(path, direct=direct)

    def write(self, descriptor: int, content: memoryview, offset: int) -> int:
        self._refuse_direct(descriptor)
        return super().write(descriptor, content, offset)

    def read(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        self._refuse_direct(descriptor)
        return super().read(descriptor, buffer, offset)

    def _refuse_direct(self, descriptor: int) -> None:
        if self._only_in_use and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


class FullDisk(Disk):
    def write(self, descriptor: int, content: memoryview, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Crawling(Disk):
    """Every flush seems to take so long: the clock is asked before and after."""

    def __init__(self, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._seconds = seconds
        self._now = 100.0
        monkeypatch.setattr("dockd.dock.doctor.disk_trial.time.monotonic", lambda: self._now)

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self._now += self._seconds


# --- the trial ----------------------------------------------------------------------------------


def test_a_disk_that_keeps_its_word_is_well_and_nothing_is_left_behind(host: DockHost) -> None:
    found = host.only("staging-disk")
    assert found.code == "staging-disk-keeps"
    assert "64 KiB came back the same" in found.found
    assert list(host.staging.iterdir()) == []


@pytest.mark.parametrize("only_in_use", [False, True])
def test_a_file_system_that_refuses_o_direct_is_a_warning(host: DockHost, only_in_use: bool) -> None:
    host.host = replace(host.host, disk=WithoutDirect(only_in_use=only_in_use))
    found = host.only("staging-disk")
    assert (found.code, found.severity) == ("staging-disk-without-direct", Severity.WARNING)
    assert list(host.staging.iterdir()) == []


@pytest.mark.parametrize("call", ["write", "sync", "read", "sync_folder"])
def test_a_call_that_fails_is_a_problem_and_nothing_is_left_behind(host: DockHost, call: str) -> None:
    host.host = replace(host.host, disk=FailingDisk(call))
    found = host.only("staging-disk")
    assert found.code == "staging-disk-failed"
    assert "Input/output error" in found.found
    assert list(host.staging.iterdir()) == []


def test_a_disk_that_gives_back_other_bytes_is_a_problem(host: DockHost) -> None:
    host.host = replace(host.host, disk=ForgetfulDisk())
    assert host.only("staging-disk").code == "staging-disk-lies"


def test_a_full_disk_is_not_called_broken(host: DockHost) -> None:
    host.host = replace(host.host, disk=FullDisk())
    assert host.only("staging-disk").code == "staging-disk-full"
    assert list(host.staging.iterdir()) == []


def test_a_slow_flush_is_a_warning_with_its_time(host: DockHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write_config()
    trial = try_staging_disk(Crawling(1.5, monkeypatch), host.staging)
    assert trial.fsync_seconds == 1.5
    monkeypatch.undo()
    monkeypatch.setattr("dockd.dock.doctor.staging_disk.try_staging_disk", lambda _disk, _folder: trial)
    report = host.look("staging-disk")
    assert [one.code for one in report.findings] == ["staging-disk-slow", "staging-disk-keeps"]
    assert "1500 ms" in report.findings[0].found


def test_a_missing_staging_folder_is_not_made(host: DockHost) -> None:
    host.staging.rmdir()
    assert host.codes("staging-disk") == ["staging-folder-absent"]
    assert not host.staging.exists()


def test_a_file_in_the_place_of_the_probe_is_neither_followed_nor_written(host: DockHost, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("evidence")
    (host.staging / f".probe-doctor-{os.getpid()}").symlink_to(precious)
    assert host.codes("staging-disk") == ["staging-disk-failed"]
    assert precious.read_text() == "evidence"


# --- room ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free_gigabytes", "code"),
    [
        (1, "staging-space-below-floor"),
        (2.1, "staging-space-below-floor"),
        (10, "staging-space-short"),
        (30, "staging-space-modest"),
        (100, "staging-space-enough"),
    ],
)
def test_room_is_compared_with_the_floor_and_with_what_cameras_bring(
    host: DockHost, free_gigabytes: float, code: str
) -> None:
    host.set_room(room(int(free_gigabytes * GIGABYTE)))
    found = host.only("staging-space")
    assert found.code == code
    assert f"{free_gigabytes:.1f} GB of 1000.0 GB are free, the floor is 2.1 GB" in found.found


@pytest.mark.parametrize(
    ("files_free", "files", "code"),
    [(12, 1000, "staging-inodes-short"), (20_000, 30_000, "staging-inodes-enough"), (0, 0, "staging-inodes-enough")],
)
def test_files_that_may_yet_be_made_are_counted_where_the_file_system_counts(
    host: DockHost, files_free: int, files: int, code: str
) -> None:
    host.set_room(room(500 * GIGABYTE, files_free=files_free, files=files))
    assert host.codes("staging-inodes") == [code]


def test_a_disk_that_cannot_be_asked_is_unknown(host: DockHost) -> None:
    def fails(_path: Path) -> os.statvfs_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    host.set_room(fails)
    assert host.codes("staging-space", "staging-inodes", "state-space") == [
        "staging-space-unknown",
        "staging-inodes-unknown",
        "state-space-unknown",
    ]


def test_no_room_for_the_journal_is_a_problem(host: DockHost) -> None:
    host.set_room(room(100 * 1024**2))
    assert host.codes("state-space") == ["state-space-short"]
