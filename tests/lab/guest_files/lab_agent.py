"""Runs inside the guest as root: does what the lab asks over a virtio serial port, one JSON object on each line.

Knows processes and files; nothing of dockd. Needs nothing but Debian's own python3. Requests run side by side, so
that one that waits does not keep others waiting. What is asked in Python runs in this process: to start another
Python only to look takes an emulated processor longer than looking.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO

PORT = Path("/dev/virtio-ports/lab.agent")


def serve(port: BinaryIO) -> None:
    """Answer requests with `{number, status, output, errors}` for ever.

    A request is `{number, argv, input, timeout_seconds}`, or `{number, python, arguments}`: a source text that finds
    `arguments` and leaves its `output`.
    """
    telling = threading.Lock()

    def answer(request: dict[str, Any]) -> None:
        done = look(request) if "python" in request else run(request)
        told = memoryview(json.dumps({"number": request["number"], **done}).encode() + b"\n")
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


def look(request: dict[str, Any]) -> dict[str, Any]:
    """Run a source text in this process; status 1 and its traceback when it fails."""
    names: dict[str, Any] = {"arguments": request["arguments"]}
    try:
        exec(compile(request["python"], "<asked>", "exec"), names)
    except Exception:  # noqa: BLE001 - whatever it is, the lab is told
        return {"status": 1, "output": "", "errors": traceback.format_exc()}
    return {"status": 0, "output": names["output"], "errors": ""}


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")


if __name__ == "__main__":
    with PORT.open("r+b", buffering=0) as opened:
        serve(opened)
