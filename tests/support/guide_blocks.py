"""Runs the `sh` blocks of a page of the documentation word for word, with what names a machine exchanged.

Knows the page's marks (as `tests/lab/guide.py`) and a shell. Must not know what the blocks do.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.guide import blocks_by_heading


@dataclass(frozen=True, slots=True)
class Guide:
    """A page, and what stands in this run for the names in it (in this order)."""

    page: Path
    exchanged: Sequence[tuple[str, str]]
    environment: Mapping[str, str]

    def here(self, text: str) -> str:
        """`text` with the names of this run."""
        for old, new in self.exchanged:
            text = text.replace(old, new)
        return text

    def follow(self, heading: str) -> str:
        """Run every block below this heading, each as it stands; returns what they print. Fails with their words."""
        said = []
        for block in blocks_by_heading(self.page)[heading]:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", self.here(block)],
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
                env=dict(self.environment),
            )
            assert done.returncode == 0, f"{heading}:\n{block}\n{done.stdout}\n{done.stderr}"
            said.append(done.stdout)
        return "".join(said)
