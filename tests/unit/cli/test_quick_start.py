"""Commands that only read the configuration start without loading what only daemons need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_HEAVY = ("aiohttp", "alembic", "jinja2", "sqlalchemy")


@pytest.mark.parametrize("module", ["dockd.cli.bays", "dockd.cli.check_config", "dockd.cli.show_config"])
def test_a_command_that_reads_the_configuration_loads_neither_network_nor_database(module: str) -> None:
    script = f"import {module}, json, sys; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert not set(_HEAVY) & set(json.loads(told.stdout))
