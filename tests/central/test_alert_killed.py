"""A real centre is killed between sending an alert and marking it: the next one sends it again, under the same id."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import update

from dockd.central.database import Database, sqlite_url
from dockd.central.fleet.channels import MESSAGE_HEADER
from dockd.central.fleet.tables import alert_messages
from dockd.clock import SystemClock
from dockd.config.central import CentralConfig
from dockd.config.toml_text import config_text
from tests.support.alert_receivers import http_receiver
from tests.support.kiosk_fakes import DockOnPaper, ready_bay
from tests.support.launchers import PlainLauncher
from tests.support.processes import quiet_port, serving, until


async def test_a_kill_between_sending_and_marking_repeats_and_never_loses(
    folder: Path, where: dict[str, Any], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef0123456789abcdef")
    secret.chmod(0o600)
    launcher = PlainLauncher()
    port = quiet_port()
    url = f"http://127.0.0.1:{port}"
    async with http_receiver() as receiver, aiohttp.ClientSession() as session:
        config = CentralConfig.model_validate(
            {
                "central": {"folder": str(folder), "port": port, "free_space_floor_bytes": 0, **where},
                "alerts": {
                    "evaluate_seconds": 5,
                    "gather_seconds": 0,
                    "webhook_url": receiver.url,
                    "webhook_secret_file": str(secret),
                },
            }
        )
        file = tmp_path / "centre.toml"
        file.write_text(config_text(config, changed_only=True))
        log = tmp_path / "centre.log"
        try:
            first = await serving(await launcher.launch("dockd", "central", "run", "--config", str(file), log=log))
            receiver.before_answer = lambda: os.kill(first.pid, signal.SIGKILL)
            status = DockOnPaper(ready_bay("1"), staging_free_bytes=1, staging_total_bytes=100).snapshot()
            async with session.put(f"{url}/api/v1/docks/dock-7/status", json=status.model_dump(mode="json")) as answer:
                assert answer.status == 204
            await first.wait(60)
            assert len(receiver.taken) == 1
            receiver.before_answer = lambda: None
            await let_the_lease_pass(where.get("database_url") or sqlite_url(folder / "centre.sqlite"))
            await serving(await launcher.launch("dockd", "central", "run", "--config", str(file), log=log))
            await until(lambda: len(receiver.taken) >= 2, lambda: "the message to be sent again")
        finally:
            await launcher.close()
    ids = {headers[MESSAGE_HEADER] for headers, _body in receiver.taken}
    assert len(ids) == 1
    assert json.loads(receiver.taken[0][1]) == json.loads(receiver.taken[1][1])


async def let_the_lease_pass(url: str) -> None:
    """The dead process holds the message for minutes; so that the test need not wait for them, they are over now."""
    database = Database(url)
    await database.open()
    try:
        async with database.writing() as connection:
            changed = await connection.execute(
                update(alert_messages).where(alert_messages.c.sent_at.is_(None)).values(taken_until=SystemClock().now())
            )
            assert changed.rowcount == 1
    finally:
        await database.close()
