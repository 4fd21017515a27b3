"""A real PostgreSQL for tests: Debian's, in a temporary folder, reached only through a socket in that folder.

Started and ended by its own process id. As root it runs as the user `postgres`, since PostgreSQL refuses root.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_INSTALLED = Path("/usr/lib/postgresql")
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0777",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "restart_after_crash": "on",
    "log_min_messages": "warning",
    # Where text order is not byte order: an index or a comparison without COLLATE "C" shows.
    "lc_messages": "C",
}


class PostgresServer:
    """One server with its own data folder. `start` after `kill` recovers, as after a power cut."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count(1)

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def address(self, database: str) -> str:
        """As a centre's configuration names it."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def make_cluster(self) -> None:
        """initdb, as a packager would; texts sorted by a language's rules unless told otherwise."""
        locale = "C.UTF-8"
        command = [_program("initdb"), "--pgdata", self._data, "--auth", "trust", "--username", "postgres"]
        command += ["--encoding", "UTF8", f"--locale={locale}", "--locale-provider=icu", "--icu-locale=en"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as_postgres())
        assert done.returncode == 0, done.stderr
        lines = "".join(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
        with (self._data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write(lines + f"unix_socket_directories = '{self.folder}'\n")

    def start(self) -> None:
        """Start and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", self._data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_postgres(),
            )
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.address("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                ended = self._process.poll()
                assert ended is None, f"PostgreSQL ended with {ended}\n{self.end_of_log()}"
                assert time.monotonic() < until, f"{error}\n{self.end_of_log()}"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Immediate stop of everything it started (SIGQUIT, "immediate shutdown"); safe when it does not run."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_STOP_SECONDS)
            self._process = None

    def kill(self) -> None:
        """SIGKILL to the server and to every process of its session, as a power cut would end them."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_STOP_SECONDS)
        # Its children have groups of their own; they leave by themselves when the first one is gone, and a new
        # server waits for them (they hold its shared memory).
        for child in self._children():
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        while self._children():
            time.sleep(0.01)
        self._process = None

    def query(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Ask or change anything, outside any transaction block; rows where there are some."""
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_database(self, *, like: str | None = None) -> str:
        """Make a database, empty or a copy of one to which nobody is connected; returns its name."""
        name = f"centre_{next(self._names)}"
        self.query(f"CREATE DATABASE {name}" + (f" TEMPLATE {like}" if like else ""))
        return name

    def drop_database(self, name: str) -> None:
        """With everybody who is still connected."""
        self.query(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def dump(self, name: str) -> bytes:
        """As an administrator backs it up."""
        command = [_program("pg_dump"), "--format=custom", "--host", self.folder, "--username", "postgres", name]
        return subprocess.run(command, capture_output=True, check=True).stdout

    def restore(self, name: str, content: bytes) -> None:
        """Into an empty database."""
        command = [_program("pg_restore"), "--exit-on-error", "--no-owner", "--dbname", name]
        command += ["--host", self.folder, "--username", "postgres"]
        subprocess.run(command, input=content, capture_output=True, check=True)

    def end_of_log(self, lines: int = 15) -> str:
        """For messages."""
        return "\n".join((self.folder / "log").read_text("utf-8", "replace").splitlines()[-lines:])

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _children(self) -> list[int]:
        """Processes of this server that are still there: those whose working folder is its data folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    if (entry / "cwd").readlink() == self._data and (entry / "stat").read_text().split()[2] != "Z":
                        found.append(int(entry.name))
                except OSError:
                    continue  # it ended while we looked
        return found

    @staticmethod
    def _as_postgres() -> dict[str, object]:
        """Keywords for subprocess: as root, drop to the user `postgres` for good."""
        if os.geteuid() != 0:
            return {}
        user = pwd.getpwnam("postgres")
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server with an empty cluster; gone when the block is left, also after a failure."""
    # Not below pytest's folder: that belongs to root alone. And short: a socket's path has 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="dockd-pg-"))
    try:
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(0o755)
        server = PostgresServer(folder)
        server.make_cluster()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def programs() -> Path:
    """The folder of PostgreSQL's own programs, of its newest version here."""
    return _program("postgres").parent


def _program(name: str) -> Path:
    versions = sorted(_INSTALLED.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    assert versions, f"{name} is not installed: see deploy/debian-packages-test.txt"
    return versions[-1]
