"""Docks in processes that were enrolled as docs/deploy.md says, with its own blocks, at a centre behind a proxy.

Knows the guide's names for a dock and what stands for them here; nothing of how the centre runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from dockd.dock.centre_tls import enrolled_context
from dockd.rules.receipts import PinnedStore
from tests.support.dock_voice import DockVoice
from tests.support.enrolled_rig import EnrolledRig
from tests.support.guide_blocks import Guide
from tests.support.launchers import Launcher
from tests.support.processes import QUICK, StationProcess


@dataclass
class EnrolledTown:
    """Stations in `folder`, each with a dock of its own; `close` ends what was opened for them."""

    folder: Path
    page: Path
    exchanged: Sequence[tuple[str, str]]
    environment: Mapping[str, str]
    url: str
    pinned: PinnedStore
    launcher: Launcher
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    def guide(self, dock: str) -> Guide:
        """The page as it is read for this dock: at the centre and on the dock's own host."""
        home = self.home(dock)
        mine = [
            ("blackfriars-1", dock),
            ("runuser -u dockd -- ", ""),
            ("/etc/dockd/dockd.toml", str(home / "guide.toml")),
            ("/var/lib/dockd/centre", str(self.enrolment(dock))),
            ("/root/", f"{home}/"),
        ]
        return Guide(self.page, [*mine, *self.exchanged], self.environment)

    def home(self, dock: str) -> Path:
        """The dock's host."""
        return self.folder / dock

    def enrolment(self, dock: str) -> Path:
        """What `dockd enrol` fills."""
        return self.home(dock) / "enrolment"

    def enrol(self, dock: str) -> None:
        """Invite the dock and enrol it, for the first time or again."""
        self.home(dock).mkdir(exist_ok=True)
        guide = self.guide(dock)
        guide.follow("Inviting a dock")
        token = self.home(dock) / f"{dock}.token"
        assert token.stat().st_mode & 0o777 == 0o600
        assert f"Dock {dock} is enrolled" in guide.follow("On the dock")
        assert not token.exists()

    def put_out(self, dock: str) -> str:
        """Revoke it; returns what the command says."""
        return self.guide(dock).follow("Putting a dock out")

    def station(self, dock: str, **sections: dict[str, Any]) -> StationProcess:
        """A station with two bays whose dock was enrolled; it does not run yet."""
        rig = EnrolledRig(
            self.home(dock),
            self.url,
            self.pinned,
            self.folder / "centre",
            bay_count=2,
            dock_id=dock,
            policy={"battery_interval_seconds": 0.2},
            enrolment=self.enrolment(dock),
        )
        return StationProcess(rig, self.launcher, {**QUICK, **sections})

    async def voice(self, dock: str) -> DockVoice:
        """A client that shows the dock's certificate as it is now."""
        connector = aiohttp.TCPConnector(ssl=enrolled_context(self.enrolment(dock)))
        session = await self._open.enter_async_context(aiohttp.ClientSession(connector=connector))
        return DockVoice(session, self.url, dock)

    async def close(self) -> None:
        """Close every voice."""
        await self._open.aclose()
