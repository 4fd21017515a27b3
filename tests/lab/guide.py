"""The install guide as a list of things to do: its blocks marked `sh`, word for word.

Knows the page's marks. Must not know what the blocks do, nor guests.
"""

from __future__ import annotations

import re
from pathlib import Path

_HEADING = re.compile(r"^## (?:\d+\. )?(?P<title>.+)$")


def blocks_by_heading(page: Path) -> dict[str, list[str]]:
    """Every heading of the page that has blocks to be run (its number left out), with them, in order."""
    found: dict[str, list[str]] = {}
    title = ""
    block: list[str] | None = None
    for line in page.read_text(encoding="utf-8").splitlines():
        if block is not None:
            if line == "```":
                found.setdefault(title, []).append("\n".join(block))
                block = None
            else:
                block.append(line)
        elif line == "```sh":
            block = []
        elif heading := _HEADING.match(line):
            title = heading["title"]
    return found
