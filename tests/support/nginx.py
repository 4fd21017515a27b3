"""A real nginx on loopback with the configuration of `deploy/nginx`, in a folder of the test's own.

Only what names this machine is exchanged: addresses, and the places of certificates and logs. Debian's nginx-light
and its module `stream`, included where Debian's own nginx.conf includes them.
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

_EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "nginx"
PAGES_EXAMPLE = _EXAMPLES / "dockd.conf"
DOCKS_EXAMPLE = _EXAMPLES / "dockd-docks.conf"
# A test's folder belongs to whoever runs it; nginx as root would hand its temporary files to another user.
_USER = "user root;" if os.geteuid() == 0 else ""
_STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
_STOP_SECONDS = 10.0
_PATIENCE_SECONDS = 20.0

_AROUND = """\
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
worker_processes {workers};
worker_rlimit_nofile 65536;
{docks}
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
    """A running nginx that answers at `port` with `tls`, and passes TCP through at `docks_port`."""

    folder: Path
    port: int
    tls: TlsFiles
    process: subprocess.Popen[bytes]
    docks_port: int | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def docks_url(self) -> str:
        return f"https://127.0.0.1:{self.docks_port}"

    @property
    def access_log(self) -> Path:
        return self.folder / "access.log"

    @property
    def docks_log(self) -> Path:
        """One line for every connection of a dock that has ended."""
        return self.folder / "docks.log"

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
def running_nginx(
    folder: Path,
    centres: tuple[int, int],
    tls: TlsFiles,
    *,
    docks: tuple[int, int] | None = None,
    pages_example: Path = PAGES_EXAMPLE,
    workers: int = 1,
) -> Iterator[Nginx]:
    """nginx before the two centres at these ports, and with `docks` before their ports for docks, until the end.

    Open files are limited for each process, so many connections need more than one of the `workers`.
    """
    folder.mkdir(exist_ok=True)
    port, docks_port = quiet_port(), quiet_port() if docks else None
    exchanged = (
        ("server 127.0.0.1:8490 ", f"server 127.0.0.1:{centres[0]} "),
        ("server 127.0.0.1:8590 ", f"server 127.0.0.1:{centres[1]} "),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("server_name centre.example;", "server_name localhost;"),
        ("/etc/dockd/tls/centre.pem;", f"{tls.certificate};"),
        ("/etc/dockd/tls/centre-key.pem;", f"{tls.key};"),
        ("/var/log/nginx/dockd.log", f"{folder}/access.log"),
    )
    (folder / "site.conf").write_text(adapted(pages_example.read_text("utf-8"), exchanged), encoding="utf-8")
    included = ""
    if docks is not None:
        (folder / "docks.conf").write_text(_docks_text(folder, docks, docks_port), encoding="utf-8")
        included = f"load_module {_STREAM_MODULE};\ninclude {folder}/docks.conf;"
    around = _AROUND.format(folder=folder, user=_USER, workers=workers, docks=included)
    (folder / "nginx.conf").write_text(around, encoding="utf-8")
    with (folder / "stderr.log").open("wb") as said:
        process = subprocess.Popen(
            ["nginx", "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    one = Nginx(folder, port, tls, process, docks_port)
    try:
        for opened in (port, docks_port):
            if opened is not None:
                wait_for_port(opened, _PATIENCE_SECONDS, process)
        yield one
    finally:
        one.stop()


def _docks_text(folder: Path, docks: tuple[int, int], port: int | None) -> str:
    exchanged = (
        ("server 127.0.0.1:8492 ", f"server 127.0.0.1:{docks[0]} "),
        ("server 127.0.0.1:8592 ", f"server 127.0.0.1:{docks[1]} "),
        ("listen 8491 ", f"listen 127.0.0.1:{port} "),
        ("/var/log/nginx/dockd-docks.log", f"{folder}/docks.log"),
    )
    return adapted(DOCKS_EXAMPLE.read_text("utf-8"), exchanged)
