"""What checks a value is built at its first use, and several threads may be the first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import ValidationError, create_model

from dockd.model.value import Value

_THREADS = 8


@pytest.mark.parametrize("round_number", range(10))
def test_threads_that_are_first_at_once_all_check_with_the_right_class(round_number: int) -> None:
    inner = create_model(f"Inner{round_number}", __base__=Value, size_bytes=(int, ...))
    outer = create_model(f"Outer{round_number}", __base__=Value, name=(str, ...), inner=(inner, ...))
    at_once = threading.Barrier(_THREADS)

    def be_first(number: int) -> Any:
        at_once.wait(10)
        # Half of them take the inner class first.
        one = inner(size_bytes=number) if number % 2 else outer(name="a", inner={"size_bytes": number})
        with pytest.raises(ValidationError):
            inner(size_bytes="7")
        with pytest.raises(ValidationError):
            outer(name="a", inner={"size_bytes": 1, "more": 2})
        return one.model_dump(mode="json")

    with ThreadPoolExecutor(_THREADS) as threads:
        told = list(threads.map(be_first, range(_THREADS)))
    assert told == [
        {"size_bytes": number} if number % 2 else {"name": "a", "inner": {"size_bytes": number}}
        for number in range(_THREADS)
    ]
