"""`python -m bench`: every measurement, one after the other, each with its own table and JSON file."""

from __future__ import annotations

import subprocess
import sys

for module in ("bench.offload", "bench.upload", "bench.daemon"):
    subprocess.run([sys.executable, "-m", module], check=True)
