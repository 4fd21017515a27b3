"""The public tools that judge exports and bundles, run as the documents say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def tools_in(folder: Path) -> Path:
    """Make `folder` with `ascmhl-debug` without its start-up, which asks the network for updates and an older click."""
    folder.mkdir()
    tool = folder / "ascmhl-debug"
    tool.write_text(
        f"#!{sys.executable}\nimport sys\nfrom ascmhl import commands\n"
        "verb = sys.argv.pop(1)\n{'verify': commands.verify}[verb]()\n"
    )
    tool.chmod(0o755)
    return folder


def judge(script: str, folder: Path, tools: Path) -> subprocess.CompletedProcess[str]:
    """Run a block of a document in the folder of an export or bundle."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={"PATH": f"{tools}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
