"""PostgreSQL as the centre's database: how it is reached, what it must promise, what its failures mean.

Knows libpq's parameters and SQLSTATE codes (PostgreSQL manual, appendix A); must not know any table. A
password is never part of an address: it is read from a file for every new connection, or libpq finds it in
its own service or password file.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.pool import ConnectionPoolEntry

from dockd.central.refusals import BUSY, DATABASE_AWAY, STORE_FULL, STORE_SUSPECT
from dockd.errors import CentreUnusable
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)

BACKEND = "postgresql"
DRIVER = "postgresql+psycopg"
_CONNECT_SECONDS = 5
_LOCK_SECONDS = 10
_MIGRATION_LOCK_SECONDS = 300
_IDLE_IN_TRANSACTION_SECONDS = 60
_POOL_PATIENCE_SECONDS = 10.0
_OLDEST_CONNECTION_SECONDS = 1800
_LARGEST_PASSWORD_BYTES = 4096
_READ_ONLY = "25006"
_SECRET_PARAMETERS = ("password", "sslpassword")
_HAS_BEEN_USED = "dockd_has_been_used"

_REACHING: Mapping[str, str] = {
    "application_name": "dockd-centre",
    "connect_timeout": str(_CONNECT_SECONDS),
    # Only the server that may write: after a failover the old one may still answer, as a standby.
    "target_session_attrs": "read-write",
    # A server whose machine is gone says nothing any more; found after about 25 s.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}


@dataclass(frozen=True, slots=True)
class PostgresLimits:
    """How much of a PostgreSQL one centre process takes. `connections` at most are open at once.

    `transaction_seconds` is our own patience with a server that keeps its connections and says nothing.
    """

    connections: int = 10
    statement_seconds: int = 30
    transaction_seconds: float = 90.0


DEFAULT_LIMITS = PostgresLimits()


def check_address(text: str) -> None:
    """Raise ValueError, which never repeats the address, unless it is one of PostgreSQL without a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is not an address; write it like postgresql://dockd@db.example/dockd") from None
    if url.drivername != BACKEND:
        raise ValueError("must begin with postgresql://; without it the centre keeps its own SQLite file")
    if url.password is not None or any(name.lower() in _SECRET_PARAMETERS for name in url.query):
        raise ValueError(
            "holds a password; take it out, change it, and name a file with database_password_file, "
            "or use libpq's service or password file"
        )


def engine_options(url: URL, limits: PostgresLimits) -> dict[str, Any]:
    """What `create_async_engine` is told beside the address."""
    return {
        "connect_args": _connect_arguments(url, limits.statement_seconds, _LOCK_SECONDS),
        "isolation_level": "READ COMMITTED",
        "pool_size": limits.connections - _looking(limits),
        "max_overflow": 0,
        "pool_timeout": _POOL_PATIENCE_SECONDS,
        "pool_recycle": _OLDEST_CONNECTION_SECONDS,
        "pool_use_lifo": True,
    }


def look_options(url: URL, limits: PostgresLimits) -> dict[str, Any]:
    """The same for questions by themselves: each is its own transaction, without a round trip to begin and end it."""
    return {**engine_options(url, limits), "isolation_level": "AUTOCOMMIT", "pool_size": _looking(limits)}


def _looking(limits: PostgresLimits) -> int:
    """How many of the connections are for questions by themselves."""
    return max(1, limits.connections // 3)


def migration_options(url: URL) -> dict[str, Any]:
    """The same for the one connection that migrates: a step may take as long as it needs."""
    return {"connect_args": _connect_arguments(url, 0, _MIGRATION_LOCK_SECONDS), "isolation_level": "READ COMMITTED"}


def prepare_engine(engine: Engine, password_file: Path | None) -> None:
    """Let the engine read the password when it connects, and notice connections that have died."""

    @event.listens_for(engine, "do_connect")
    def _give_password(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
        if password_file is not None:
            parameters["password"] = _password_now(password_file)

    @event.listens_for(engine, "checkout")
    def _must_be_alive(_raw: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        # A server that sends to a connection which asked nothing is saying goodbye. Costs no round trip. A new
        # connection is not looked at: one that dies at this very moment fails with its first statement, as "later".
        if _HAS_BEEN_USED not in record.info:
            record.info[_HAS_BEEN_USED] = True
            return
        connection: Any = record.driver_connection
        if connection.closed or _is_readable(connection.fileno()):
            raise DisconnectionError("the server ended this connection while it was idle")

    @event.listens_for(engine, "handle_error")
    def _leave_standby(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            context.is_disconnect = True  # it was the primary; the next connection asks who is now


def check_promises(connection: Connection) -> None:
    """Raise CentreUnusable where this server would forget what it acknowledged, or cannot keep every text."""
    for setting, bad, why in (
        ("fsync", "off", "a power cut would lose what docks were told is held"),
        ("synchronous_commit", "off", "a power cut would lose what docks were told is held"),
    ):
        if connection.exec_driver_sql(f"SHOW {setting}").scalar() == bad:
            raise CentreUnusable(
                f"PostgreSQL runs with {setting} = {bad}: {why}.", action=f"Set {setting} = on, then start the centre."
            )
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise CentreUnusable(
            f"The database has the encoding {encoding}.", action="Create it anew with ENCODING 'UTF8'."
        )


def check_password_file(password_file: Path) -> None:
    """Raise CentreUnusable unless the file can be read and nobody else can read it."""
    try:
        _read_password(password_file)
    except OSError as error:
        raise CentreUnusable(
            f"The file with the database's password, {password_file}, cannot be read: {error.strerror}.",
            action="Put it there, readable by the centre alone (mode 0600).",
        ) from error


def silence() -> Refusal:
    """What to answer when the server has not answered for `transaction_seconds`."""
    _log.warning("database_silent")
    return Refusal(DATABASE_AWAY, "The centre's database does not answer now.", retry_after_seconds=10)


def refusal_for(error: SQLAlchemyError) -> Refusal | None:
    """What whoever asked should do about a failure: later, all of them. None when it is a bug of ours."""
    if isinstance(error, PoolExhausted):
        return Refusal(BUSY, "All of the centre's database connections are in use.", retry_after_seconds=5)
    if not isinstance(error, DBAPIError):
        return None
    code: str | None = getattr(error.orig, "sqlstate", None)
    if code is None:
        # psycopg tells a connection that failed or broke by an OperationalError without a code.
        if error.connection_invalidated or type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout"):
            return _away(error)
        return None
    for begins, make in _MEANINGS:
        if code.startswith(begins):
            return make(error)
    return None


def _away(error: DBAPIError) -> Refusal:
    _log.warning("database_away", reason=str(error.orig).strip().partition("\n")[0])
    return Refusal(DATABASE_AWAY, "The centre's database does not answer now.", retry_after_seconds=3)


def _busy(seconds: int) -> Callable[[DBAPIError], Refusal]:
    return lambda _error: Refusal(BUSY, "The centre's database is busy.", retry_after_seconds=seconds)


def _full(_error: DBAPIError) -> Refusal:
    _log.error("database_disk_full")
    return Refusal(STORE_FULL, "The disk of the centre's database is full.", retry_after_seconds=60)


def _suspect(error: DBAPIError) -> Refusal:
    _log.error("database_suspect", reason=str(error.orig).strip().partition("\n")[0])
    return Refusal(STORE_SUSPECT, "The centre's database cannot be used now.", retry_after_seconds=60)


_MEANINGS: tuple[tuple[str, Callable[[DBAPIError], Refusal]], ...] = (
    ("53100", _full),
    ("53", _busy(5)),  # out of connections, memory or another resource
    ("40", _busy(1)),  # serialization failure, deadlock: nothing was written
    ("55P03", _busy(2)),  # lock_timeout
    ("57014", _busy(5)),  # statement_timeout
    ("25P03", _busy(5)),  # idle_in_transaction_session_timeout
    (_READ_ONLY, _away),
    ("57P", _away),  # shut down, crashed, starting up
    ("08", _away),
    ("28", _away),  # this role is not let in (any more)
    ("3D000", _away),
    ("58", _suspect),  # the server's own input or output failed
    ("XX", _suspect),
)


def _connect_arguments(url: URL, statement_seconds: int, lock_seconds: int) -> dict[str, Any]:
    ours = (
        f"-c statement_timeout={statement_seconds}s -c lock_timeout={lock_seconds}s "
        f"-c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_SECONDS}s"
    )
    given = url.query.get("options")
    return {
        **{name: value for name, value in _REACHING.items() if name not in url.query},
        "options": f"{ours} {given}" if isinstance(given, str) else ours,
    }


def _password_now(password_file: Path) -> str:
    try:
        return _read_password(password_file)
    except (OSError, CentreUnusable) as error:
        _log.error("database_password_unreadable", file=str(password_file))
        raise Refusal(DATABASE_AWAY, "The centre cannot reach its database now.", retry_after_seconds=30) from error


def _read_password(password_file: Path) -> str:
    with password_file.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        content = file.read(_LARGEST_PASSWORD_BYTES)
    if mode & 0o077:
        raise CentreUnusable(
            f"{password_file} can be read by other users (mode {mode:04o}).",
            action=f"Change the password, then run: chmod 600 {password_file}",
        )
    try:
        return content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise CentreUnusable(f"{password_file} does not hold a text in UTF-8.", action="Write it again.") from None


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
