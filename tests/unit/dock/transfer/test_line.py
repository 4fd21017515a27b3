"""Buffers go round in order, in bounded number, and a failing or hanging step harms nobody else."""

from __future__ import annotations

import threading

import pytest

from dockd.dock.transfer.line import Line


def push(line: Line, number: int) -> bool:
    buffer = line.take(1.0)
    if buffer is None:
        return False
    buffer[0] = number % 256
    line.give(number, buffer, 1)
    return True


def test_every_step_sees_every_block_in_order_after_the_step_before():
    seen: list[tuple[str, int, int]] = []
    line = Line(
        "test",
        (lambda o, b, _n: seen.append(("first", o, b[0])), lambda o, b, _n: seen.append(("second", o, b[0]))),
        buffer_count=3,
        buffer_size_bytes=4096,
    )
    for number in range(300):
        assert push(line, number)
    assert line.drain(5.0)
    assert line.close(5.0)
    for name in ("first", "second"):
        assert [entry[1:] for entry in seen if entry[0] == name] == [(n, n % 256) for n in range(300)]
    for number in range(300):
        assert seen.index(("first", number, number % 256)) < seen.index(("second", number, number % 256))


def test_no_more_buffers_than_agreed_however_slow_a_step_is():
    hold = threading.Event()
    line = Line("test", (lambda *_: hold.wait(5),), buffer_count=2, buffer_size_bytes=4096)
    try:
        assert push(line, 0)
        assert push(line, 1)
        assert line.take(0.01) is None
        assert not line.drain(0.01)
        assert line.finished_count == 0
    finally:
        hold.set()
        assert line.close(5.0)


def test_failure_of_a_step_is_raised_to_the_caller_and_later_blocks_pass_untouched():
    done = []

    def fail(offset, _buffer, _length):
        if offset == 3:
            raise OSError(5, "Input/output error")

    line = Line("test", (fail, lambda o, _b, _n: done.append(o)), buffer_count=2, buffer_size_bytes=4096)
    for number in range(10):
        assert push(line, number)
    assert line.drain(5.0)
    assert line.has_failed
    with pytest.raises(OSError, match="Input/output"):
        line.check()
    assert done == list(range(len(done)))
    assert len(done) <= 3
    assert line.close(5.0)


def test_single_block_needs_no_thread():
    threads = set()
    line = Line("test", (lambda *_: threads.add(threading.get_ident()),), buffer_count=2, buffer_size_bytes=4096)
    line.give(0, line.take(1.0), 10, is_only=True)
    assert line.drain(0)
    assert threads == {threading.get_ident()}


def test_block_given_after_close_is_dropped_and_starts_nothing():
    seen = []
    line = Line("test", (lambda o, _b, _n: seen.append(o),), buffer_count=2, buffer_size_bytes=4096)
    buffer = line.take(1.0)
    assert line.close(1.0)
    line.give(0, buffer, 1)
    assert line.drain(0)
    assert seen == []
