"""A centre whose footage lies in a folder needs no S3 client, and never loads one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from dockd.central import app
from dockd.central.app import run_verifiers
from dockd.central.claims import Claims
from dockd.central.config import CentreConfig
from dockd.central.opening import DATABASE_FILE, initialise_centre, open_services
from dockd.central.stores.s3.config import FOLDER_STORE, StoreConfig
from dockd.clock import SystemClock
from dockd.errors import CentreUnusable

_PROGRAM = """
import asyncio, sys
from pathlib import Path
import dockd.cli.central_serve
from dockd.central.app import serving_centre
from dockd.central.opening import initialise_centre
from dockd.central.claims import Claims
from dockd.central.config import CentreConfig

async def main(folder):
    await initialise_centre(folder)
    async with serving_centre(CentreConfig(folder=str(folder), port=0)):
        pass

asyncio.run(main(Path(sys.argv[1])))
print(sorted(name for name in sys.modules if name.startswith(("aiobotocore", "botocore"))))
"""


@pytest.mark.slow
def test_folder_centre_starts_and_serves_without_loading_the_s3_client(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path / "centre")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def bucket_config(tmp_path: Path) -> StoreConfig:
    return StoreConfig.model_validate(
        {"kind": "s3", "endpoint": "http://127.0.0.1:9", "bucket": "abc", "credentials_file": str(tmp_path / "none")}
    )


async def test_bucket_without_the_s3_client_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await initialise_centre(tmp_path / "centre")
    for name in [one for one in sys.modules if one.startswith("dockd.central.stores.s3.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiobotocore.config", None)
    config = CentreConfig(folder=str(tmp_path / "centre"))
    with pytest.raises(CentreUnusable, match="aiobotocore") as refused:
        async with open_services(config, SystemClock(), store_config=bucket_config(tmp_path)):
            pass
    assert "extra `central`" in (refused.value.action or "")


async def test_verifier_needs_a_bucket_and_the_database_of_a_centre(tmp_path: Path) -> None:
    config = CentreConfig(folder=str(tmp_path))
    with pytest.raises(CentreUnusable, match="lies in a folder"):
        await run_verifiers(config, FOLDER_STORE, workers=1)
    with pytest.raises(CentreUnusable, match=DATABASE_FILE):
        await run_verifiers(config, bucket_config(tmp_path), workers=1)
    (tmp_path / DATABASE_FILE).touch()
    with pytest.raises(CentreUnusable, match="No centre has opened"):
        await run_verifiers(config, bucket_config(tmp_path), workers=1)


async def test_centre_ends_when_what_goes_on_beside_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd starts it again; a centre that goes on without its sweep or its verifiers would only look alive."""

    async def fail(*_: object) -> int:
        raise ValueError("a bug")

    await initialise_centre(tmp_path / "centre")
    monkeypatch.setattr(Claims, "give_up_abandoned", fail)
    async with asyncio.timeout(30):
        with pytest.raises(ValueError, match="a bug"):
            await app.run_centre(CentreConfig(folder=str(tmp_path / "centre"), port=0))
