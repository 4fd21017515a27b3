"""Nothing is closed under the feet of a thread that is still inside."""

from __future__ import annotations

import threading

import pytest

from dockd.dock.transfer.gate import LastOneOut


def test_closed_at_once_when_nobody_is_inside_and_only_once():
    closed = []
    gate = LastOneOut(lambda: closed.append(1))
    gate.close()
    gate.close()
    assert closed == [1]
    assert gate.is_closed


def test_last_one_out_closes():
    closed = []
    gate = LastOneOut(lambda: closed.append(threading.get_ident()))
    inside, leave = threading.Event(), threading.Event()

    def visit():
        with gate.inside():
            inside.set()
            leave.wait(5)

    visitor = threading.Thread(target=visit)
    visitor.start()
    inside.wait(5)
    gate.close()
    assert closed == []
    leave.set()
    visitor.join(5)
    assert closed == [visitor.ident]


@pytest.mark.parametrize("end", ["close", "forbid"])
def test_nobody_goes_in_after_the_end(end):
    gate = LastOneOut(lambda: None)
    getattr(gate, end)()
    with pytest.raises(OSError, match="closed already"), gate.inside():
        pytest.fail("went in")
    assert gate.is_closed is (end == "close")


def test_error_inside_still_lets_the_gate_close():
    closed = []
    gate = LastOneOut(lambda: closed.append(1))

    def visit():
        with gate.inside():
            gate.close()
            raise ValueError

    with pytest.raises(ValueError):
        visit()
    assert closed == [1]
