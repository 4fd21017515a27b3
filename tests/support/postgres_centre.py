"""A centre on PostgreSQL as a real process, one of several on the same database and folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dockd.central.config import CentreConfig
from dockd.config import CentralConfig, config_text
from tests.support.launchers import Daemon, Launcher
from tests.support.processes import quiet_port, until


@dataclass
class PostgresCentre:
    """`name` tells it from the others; `changes` are more keys of its `[central]` section."""

    folder: Path
    database_url: str
    launcher: Launcher
    name: str = "centre"
    changes: dict[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=quiet_port)
    daemon: Daemon | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder.parent / f"{self.name}.log"

    async def launch(self) -> Daemon:
        """Start it."""
        section = CentreConfig(
            folder=str(self.folder),
            port=self.port,
            free_space_floor_bytes=0,
            database_url=self.database_url,
            **self.changes,
        )
        config = self.folder.parent / f"{self.name}.toml"
        config.write_text(config_text(CentralConfig(central=section), changed_only=True), encoding="utf-8")
        self.daemon = await self.launcher.launch("dockd", "central", "run", "--config", str(config), log=self.log)
        return self.daemon

    async def start(self) -> Daemon:
        """Start it and wait until it serves."""
        daemon = await self.launch()
        await until(
            lambda: daemon.told("centre_serving") or daemon.status is not None,
            lambda: f"the centre to serve\n{daemon.end_of_log()}",
        )
        assert daemon.status is None, f"the centre ended with {daemon.status}\n{daemon.end_of_log()}"
        return daemon
