"""The file of an upload is given its size once, whichever process comes first."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from dockd.central.stores import files
from dockd.central.stores.durable import lock_range
from dockd.web.problems import Refusal

SIZE_BYTES = 10_000


async def test_process_that_comes_second_leaves_what_the_first_has_received(tmp_path: Path) -> None:
    path = tmp_path / "up-one"
    first = os.open(path, os.O_RDWR | os.O_CREAT)
    second = os.open(path, os.O_RDWR)
    try:
        assert lock_range(first, 0, 0)
        # It saw the file without its size, as the first had just made it.
        waiting = asyncio.create_task(asyncio.to_thread(files._size_once, second, SIZE_BYTES))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        os.ftruncate(first, SIZE_BYTES)
        os.pwrite(first, b"the first part", 0)
        os.close(first)
        await waiting
        assert path.stat().st_size == SIZE_BYTES
        assert path.read_bytes().startswith(b"the first part")
    finally:
        os.close(second)


async def test_file_that_nobody_lets_go_of_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LOCK_PATIENCE_SECONDS", 0.1)
    path = tmp_path / "up-one"
    first = os.open(path, os.O_RDWR | os.O_CREAT)
    second = os.open(path, os.O_RDWR)
    try:
        assert lock_range(first, 0, 0)
        with pytest.raises(Refusal) as refused:
            await asyncio.to_thread(files._size_once, second, SIZE_BYTES)
        assert refused.value.retry_after_seconds == 2
        assert path.stat().st_size == 0
    finally:
        os.close(first)
        os.close(second)
