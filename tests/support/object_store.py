"""What tests know of a running object store: where it is and who may use it."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession


@dataclass(frozen=True, slots=True)
class ObjectStoreServer:
    """One S3 server on loopback."""

    name: str
    endpoint: str
    access_key: str
    secret_key: str

    def write_credentials(self, file: Path) -> Path:
        """Write them as AWS's tools keep them, for the owner's eyes only."""
        file.write_text(
            f"[default]\naws_access_key_id = {self.access_key}\naws_secret_access_key = {self.secret_key}\n",
            encoding="utf-8",
        )
        file.chmod(0o600)
        return file


def wait_for_port(port: int, seconds: float, process: subprocess.Popen[bytes]) -> None:
    """Return once something on loopback takes connections there; fails when `process` ends or time is up."""
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, f"{process.args} ended with {process.returncode}"
            assert time.monotonic() < give_up_at, f"nothing listens on port {port} after {seconds:g} s"
            time.sleep(0.05)


@asynccontextmanager
async def s3_client(server: ObjectStoreServer) -> AsyncIterator[Any]:
    """A plain S3 client, as whoever runs the store would use it."""
    settings = AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    async with AioSession().create_client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=settings,
    ) as client:
        yield client


async def make_bucket(server: ObjectStoreServer, name: str, *, has_lock: bool = False) -> str:
    """A new bucket; with Object Lock it keeps versions too."""
    async with s3_client(server) as client:
        await client.create_bucket(Bucket=name, **({"ObjectLockEnabledForBucket": True} if has_lock else {}))
    return name
