"""What one session is handed: the concrete objects that `dock/app.py` built, and small shared state.

Sessions get this and nothing else; they construct nothing that talks to the world.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dockd.clock import Clock
from dockd.dock.bay_board import DockBoard
from dockd.dock.journal import Journal
from dockd.dock.policy import PolicyConfig
from dockd.dock.registry import DriverRegistry
from dockd.dock.stages.offload import CopySettings
from dockd.dock.staging import Staging
from dockd.dock.worker import CameraThread
from dockd.driver_api import DriverContext
from dockd.errors import DuplicateIdentity
from dockd.model.camera import Port
from dockd.model.ids import CameraId, SessionId
from dockd.rules.receipts import PinnedStore

if TYPE_CHECKING:
    from dockd.dock.session import Session


class CentreReach(Protocol):
    """What a session asks about the centre."""

    def unreachable_seconds(self) -> float:
        """How long the centre has been out of reach; 0.0 while it answers."""


class DockedIdentities:
    """Who is docked where; two sessions that claim one identity are both held."""

    def __init__(self) -> None:
        self._claims: dict[CameraId, set[Session]] = {}

    def claim(self, camera: CameraId, session: Session) -> None:
        """Record that `session` found `camera`. Raises DuplicateIdentity, and holds the other one too."""
        self.forget(session)
        sessions = self._claims.setdefault(camera, set())
        others = list(sessions)
        sessions.add(session)
        if not others:
            return
        bays = ", ".join(sorted({session.bay, *(other.bay for other in others)}))
        error = DuplicateIdentity(f"The cameras in bays {bays} both say that they are {camera}.")
        for other in others:
            other.interrupt(error)
        raise error

    def forget(self, session: Session) -> None:
        """`session` is over, or asks again."""
        for camera, sessions in list(self._claims.items()):
            sessions.discard(session)
            if not sessions:
                del self._claims[camera]


@dataclass(frozen=True, slots=True)
class DockServices:
    """Everything a session may use."""

    journal: Journal
    staging: Staging
    registry: DriverRegistry
    clock: Clock
    policy: PolicyConfig
    copying: CopySettings
    pinned: PinnedStore
    centre: CentreReach
    board: DockBoard
    identities: DockedIdentities
    check_port: Callable[[Port], None]
    """Judge the device by the interfaces it offers, before anything is switched on. Raises ForbiddenDevice."""
    admit: Callable[[Port], Awaitable[None]]
    """Switch the device on. Raises ForbiddenDevice, CameraGone, DriverTimeout."""
    context_for: Callable[[Port, CameraThread], DriverContext]
    check_agrees: Callable[[], None]
    """Raises RecordsDiffer while the centre is known to contradict this dock's record."""
    sign_chain: Callable[[str], Awaitable[None]]
    """Write a signed checkpoint of the fact chain; the argument says why."""

    @staticmethod
    def new_session_id() -> SessionId:
        """A fresh session id, unique over docks and time."""
        return SessionId(secrets.token_hex(12))
