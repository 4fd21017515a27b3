"""A centre on PostgreSQL as a real process, one of several on the same database and folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dockd.central.config import CentreConfig
from tests.support.launchers import Daemon, Launcher
from tests.support.processes import launch_centre, quiet_port, serving


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
        self.daemon = await launch_centre(self.launcher, section, self.name)
        return self.daemon

    async def start(self) -> Daemon:
        """Start it and wait until it serves."""
        return await serving(await self.launch())
