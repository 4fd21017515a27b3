"""A real nginx on loopback with the configuration of `deploy/nginx`, in a folder of the test's own.

Only what names this machine is exchanged: addresses, and the places of certificates and logs. Debian's nginx-light.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import TlsFiles
from tests.support.object_store import wait_for_port
from tests.support.processes import quiet_port

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "dockd.conf"
# A test's folder belongs to whoever runs it; nginx as root would hand its temporary files to another user.
_USER = "user root;" if os.geteuid() == 0 else ""
_STOP_SECONDS = 10.0
_PATIENCE_SECONDS = 20.0

_AROUND = """\
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
worker_processes 1;
worker_rlimit_nofile 65536;
events {{ worker_connections 30000; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@dataclass
class Nginx:
    """A running nginx that answers at `port` with `tls`."""

    folder: Path
    port: int
    tls: TlsFiles
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def access_log(self) -> Path:
        return self.folder / "access.log"

    def stop(self) -> None:
        """End it and its workers."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def adapted(text: str, exchanged: Sequence[tuple[str, str]]) -> str:
    """`text` with every pair exchanged. Fails unless the example holds each exactly once."""
    for old, new in exchanged:
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in the example"
        text = text.replace(old, new)
    return text


@contextmanager
def running_nginx(folder: Path, centres: tuple[int, int], tls: TlsFiles, *, port: int | None = None) -> Iterator[Nginx]:
    """nginx before the two centres at these ports, until the block is left."""
    folder.mkdir(exist_ok=True)
    port = port or quiet_port()
    exchanged = (
        ("server 127.0.0.1:8490 ", f"server 127.0.0.1:{centres[0]} "),
        ("server 127.0.0.1:8590 ", f"server 127.0.0.1:{centres[1]} "),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("server_name centre.example;", "server_name localhost;"),
        ("/etc/dockd/tls/centre.pem;", f"{tls.certificate};"),
        ("/etc/dockd/tls/centre-key.pem;", f"{tls.key};"),
        ("/var/log/nginx/dockd.log", f"{folder}/access.log"),
    )
    (folder / "site.conf").write_text(adapted(EXAMPLE.read_text("utf-8"), exchanged), encoding="utf-8")
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, user=_USER), encoding="utf-8")
    with (folder / "stderr.log").open("wb") as said:
        process = subprocess.Popen(
            ["nginx", "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    one = Nginx(folder, port, tls, process)
    try:
        wait_for_port(port, _PATIENCE_SECONDS, process)
        yield one
    finally:
        one.stop()
