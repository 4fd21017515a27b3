"""Runs inside the guest as root: does what the lab asks over a virtio serial port, one JSON object on each line.

Knows processes and files; nothing of dockd. Needs nothing but Debian's own python3. Requests run side by side, so
that one that waits does not keep others waiting.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any, BinaryIO

PORT = Path("/dev/virtio-ports/lab.agent")


def serve(port: BinaryIO) -> None:
    """Answer requests `{number, argv, input, timeout_seconds}` with `{number, status, output, errors}` for ever."""
    telling = threading.Lock()

    def answer(request: dict[str, Any]) -> None:
        told = memoryview(json.dumps({"number": request["number"], **run(request)}).encode() + b"\n")
        with telling:
            while told:  # the port takes as much as its buffer holds
                told = told[os.write(port.fileno(), told) :]

    pending = b""
    while True:
        pending += os.read(port.fileno(), 65536)
        *lines, pending = pending.split(b"\n")
        for line in lines:
            threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run one program to its end; status 124 when its time was over, as of timeout(1)."""
    try:
        done = subprocess.run(
            request["argv"],
            input=request["input"].encode(),
            capture_output=True,
            check=False,
            timeout=request["timeout_seconds"],
            cwd="/",
        )
    except subprocess.TimeoutExpired as late:
        return {"status": 124, "output": _text(late.stdout), "errors": f"not done in time\n{_text(late.stderr)}"}
    except OSError as failure:
        return {"status": 127, "output": "", "errors": str(failure)}
    return {"status": done.returncode, "output": _text(done.stdout), "errors": _text(done.stderr)}


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")


if __name__ == "__main__":
    with PORT.open("r+b", buffering=0) as opened:
        serve(opened)
