"""Addresses without passwords, and what PostgreSQL's failures mean for whoever asked."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import errors as pg
from pydantic import ValidationError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InvalidRequestError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from dockd.central.config import CentreConfig
from dockd.central.database import Database
from dockd.central.identity import load_identity
from dockd.central.opening import initialise_centre
from dockd.central.postgres import (
    DEFAULT_LIMITS,
    PostgresLimits,
    check_password_file,
    engine_options,
    look_options,
    migration_options,
    refusal_for,
)
from dockd.config.central import CentralConfig, load_central_config
from dockd.config.toml_text import config_text
from dockd.errors import CentreUnusable, ConfigInvalid

SECRET = "hunter2-never-shown"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://dockd@db.example/dockd",
        "postgresql:///?service=dockd",
        "postgresql:///dockd?host=/run/postgresql",
        "postgresql://dockd@/dockd?host=db-1:5432&host=db-2:5432&sslmode=verify-full",
    ],
)
def test_address_without_password_is_taken_as_it_is(address: str) -> None:
    assert CentreConfig(folder="/x", database_url=address).database_url == address


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://dockd:{SECRET}@db.example/dockd",
        f"postgresql://dockd@db.example/dockd?password={SECRET}",
        f"postgresql://dockd@db.example/dockd?PassWord={SECRET}",
        f"postgresql://dockd@db.example/dockd?sslkey=/x&sslpassword={SECRET}",
        f"postgresql://dockd:{SECRET}@db.example:port/dockd",
        f"mysql://dockd:{SECRET}@db.example/dockd",
        f"postgresql+psycopg://dockd:{SECRET}@db.example/dockd",
        SECRET,
        "",
    ],
)
def test_password_in_the_address_is_refused_and_never_repeated(tmp_path: Path, address: str) -> None:
    file = tmp_path / "central.toml"
    file.write_text(f'[central]\nfolder = "/x"\ndatabase_url = "{address}"\n', encoding="utf-8")
    with pytest.raises(ConfigInvalid) as refused:
        load_central_config(file, {})
    assert "line 3" in str(refused.value)
    assert SECRET not in str(refused.value)
    with pytest.raises(ConfigInvalid) as refused:
        load_central_config(_plain(tmp_path), {"DOCKD_CENTRAL__DATABASE_URL": address})
    assert SECRET not in str(refused.value)


def _plain(folder: Path) -> Path:
    file = folder / "plain.toml"
    file.write_text('[central]\nfolder = "/x"\n', encoding="utf-8")
    return file


def test_password_file_without_a_database_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="without database_url"):
        CentreConfig(folder="/x", database_password_file="/etc/dockd/password")


def test_shown_configuration_holds_the_path_and_not_the_password(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET)
    section = CentreConfig(folder="/x", database_url="postgresql:///d", database_password_file=str(file))
    text = config_text(CentralConfig(central=section))
    assert str(file) in text
    assert SECRET not in text


async def test_password_file_that_others_may_read_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET)
    file.chmod(0o644)
    database = Database("postgresql://dockd@db.invalid/dockd", password_file=file)
    with pytest.raises(CentreUnusable, match="other users") as refused:
        await database.open()
    assert SECRET not in str(refused.value)
    file.chmod(0o600)
    check_password_file(file)
    with pytest.raises(CentreUnusable, match="cannot be read"):
        check_password_file(tmp_path / "nowhere")
    file.write_bytes(SECRET.encode() + b"\xff")
    with pytest.raises(CentreUnusable, match="UTF-8") as refused:
        check_password_file(file)
    assert SECRET not in str(refused.value)


async def test_init_that_comes_to_nothing_leaves_no_half_centre_and_may_be_repeated(tmp_path: Path) -> None:
    folder, file = tmp_path / "centre", tmp_path / "password"
    file.write_text(SECRET)
    file.chmod(0o644)
    with pytest.raises(CentreUnusable, match="other users"):
        await initialise_centre(folder, database_url="postgresql:///d", database_password_file=str(file))
    assert list(folder.iterdir()) == []
    pinned = await initialise_centre(folder)
    with pytest.raises(CentreUnusable, match="a centre already"):
        await initialise_centre(folder)
    assert load_identity(folder).pinned == pinned


def test_every_wait_has_an_end_and_the_administrators_own_parameters_stay() -> None:
    url = make_url("postgresql://db.example/dockd?connect_timeout=2&options=-c%20search_path%3Ddockd")
    options = engine_options(url, DEFAULT_LIMITS)
    arguments = options["connect_args"]
    assert "connect_timeout" not in arguments  # the address has its own
    assert arguments["target_session_attrs"] == "read-write"
    for limit in ("statement_timeout=30s", "lock_timeout=10s", "idle_in_transaction_session_timeout=60s"):
        assert f"-c {limit}" in arguments["options"]
    assert arguments["options"].endswith("-c search_path=dockd")
    looks = look_options(url, DEFAULT_LIMITS)
    assert (options["isolation_level"], looks["isolation_level"]) == ("READ COMMITTED", "AUTOCOMMIT")
    assert (options["max_overflow"], looks["max_overflow"]) == (0, 0)
    assert (options["pool_size"], looks["pool_size"]) == (7, 3)  # ten together, as `DEFAULT_LIMITS` says
    fewest = PostgresLimits(connections=2)
    assert (engine_options(url, fewest)["pool_size"], look_options(url, fewest)["pool_size"]) == (1, 1)
    assert options["pool_timeout"] == 10.0
    assert "-c statement_timeout=0s" in migration_options(url)["connect_args"]["options"]


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (pg.AdminShutdown(), "database-away", 503),
        (pg.CrashShutdown(), "database-away", 503),
        (pg.CannotConnectNow(), "database-away", 503),
        (pg.ConnectionFailure(), "database-away", 503),
        (pg.InvalidPassword(), "database-away", 503),
        (pg.ReadOnlySqlTransaction(), "database-away", 503),
        (psycopg.OperationalError("server closed the connection unexpectedly"), "database-away", 503),
        (pg.ConnectionTimeout("connection timeout expired"), "database-away", 503),
        (pg.TooManyConnections(), "busy", 503),
        (pg.OutOfMemory(), "busy", 503),
        (pg.SerializationFailure(), "busy", 503),
        (pg.DeadlockDetected(), "busy", 503),
        (pg.LockNotAvailable(), "busy", 503),
        (pg.QueryCanceled(), "busy", 503),
        (pg.IdleInTransactionSessionTimeout(), "busy", 503),
        (pg.DiskFull(), "store-full", 507),
        (pg.IoError(), "store-suspect", 503),
        (pg.DataCorrupted(), "store-suspect", 503),
        (pg.IndexCorrupted(), "store-suspect", 503),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else str(one),
)
def test_failure_that_passes_is_later_with_a_time_to_come_back(error: psycopg.Error, code: str, status: int) -> None:
    refusal = refusal_for(OperationalError("SELECT 1", {}, error))
    assert refusal is not None
    assert (refusal.kind.code, refusal.kind.status) == (code, status)
    assert refusal.retry_after_seconds is not None
    assert refusal.retry_after_seconds >= 1


@pytest.mark.parametrize(
    "error",
    [
        DBAPIError("…", {}, pg.UniqueViolation()),
        DBAPIError("…", {}, pg.UndefinedTable()),
        DBAPIError("…", {}, pg.NumericValueOutOfRange()),
        DBAPIError("…", {}, psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")),
        InvalidRequestError("a bug"),
    ],
    ids=lambda one: type(getattr(one, "orig", one)).__name__,
)
def test_bug_of_ours_is_nobody_elses_later(error: SQLAlchemyError) -> None:
    assert refusal_for(error) is None


def test_no_free_connection_is_later() -> None:
    refusal = refusal_for(PoolExhausted("QueuePool limit of size 10"))
    assert refusal is not None
    assert (refusal.kind.code, refusal.retry_after_seconds) == ("busy", 5)
