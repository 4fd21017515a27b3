"""The real netlink socket of this machine's kernel: its buffer, its overflow, its descriptors."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from dockd.dock.hotplug import UsbWatcher
from dockd.dock.udev_source import DeviceSource, SourceBroken, UdevSource
from dockd.dock.usb_policy import UsbConfig
from dockd.model.camera import Port

SMALL_BUFFER_BYTES = 64 * 1024
SOON_SECONDS = 10.0


class NeverOn:
    async def authorise(self, port: Port) -> None:
        pytest.fail(f"nothing is there to switch on at {port.path}")


def overflowing_source() -> tuple[UdevSource, Path]:
    """A source that hears the kernel itself, and the file of a device that can be made to speak."""
    voices = sorted(Path("/sys/class/block").glob("*/uevent"))
    if os.geteuid() != 0 or not voices:
        pytest.skip("needs root and a block device in sysfs, to have the kernel send real events")
    return UdevSource(SMALL_BUFFER_BYTES, group="kernel"), voices[-1]


def overflow(voice: Path) -> None:
    for _ in range(2000):
        voice.write_text("change", encoding="ascii")


def receive_buffer_bytes(source: UdevSource) -> int:
    with socket.socket(fileno=os.dup(source.fileno())) as view:
        return view.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def test_receive_buffer_is_raised() -> None:
    source = UdevSource(4 * 1024 * 1024)
    limit = int(Path("/proc/sys/net/core/rmem_max").read_text(encoding="ascii"))
    try:
        assert receive_buffer_bytes(source) >= min(4 * 1024 * 1024, 2 * limit)
    finally:
        source.close()


def test_without_the_right_to_raise_the_buffer_the_allowed_size_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_monitor: object, _size: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pyudev.Monitor.set_receive_buffer_size", refused)
    source = UdevSource(128 * 1024)
    try:
        assert receive_buffer_bytes(source) >= 128 * 1024
    finally:
        source.close()


def test_overflow_of_the_kernels_buffer_is_not_silent() -> None:
    source, voice = overflowing_source()
    try:
        overflow(voice)
        # What was sent about other devices than USB ones is passed over on the way to the error.
        with pytest.raises(SourceBroken, match="lost"):
            source.receive()
    finally:
        source.close()


async def test_watcher_listens_afresh_after_the_kernels_buffer_overflowed() -> None:
    opened: list[DeviceSource] = []
    voices: list[Path] = []

    def open_source() -> DeviceSource:
        source, voice = overflowing_source()
        opened.append(source)
        voices.append(voice)
        return source

    watcher = UsbWatcher(UsbConfig(), NeverOn(), [], open_source=open_source)
    async with watcher.ports():
        overflow(voices[0])  # no await in between: the watcher cannot keep up
        async with asyncio.timeout(SOON_SECONDS):
            while len(opened) < 2:
                await asyncio.sleep(0.01)


async def test_no_descriptor_is_left_open() -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def once() -> None:
        async with UsbWatcher(UsbConfig(), NeverOn(), ["1-1.1"]).ports():
            await asyncio.sleep(0)
        async with UsbWatcher(UsbConfig(), NeverOn(), ["1-1.1"]).ports():
            pass  # left before the listening task had its first turn

    await once()
    before = open_files()
    for _ in range(10):
        await once()
    assert open_files() == before
