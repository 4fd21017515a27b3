"""Errors over HTTP: `application/problem+json` (RFC 9457), told apart by `code`.

4xx without `retry` means never acceptable as it is; 429, 503 and 507 mean later.
"""

from __future__ import annotations

from dockd.model.value import Value

CONTENT_TYPE = "application/problem+json"


class Problem(Value):
    """What the centre says when it does not do what was asked.

    `expected_number` and `expected_head` are given with the codes `gap`, `fork` and `rewrite`.
    """

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    expected_number: int | None = None
    expected_head: str | None = None
