"""What this dock is called, and what the force has decided about its cameras.

Knows the choices and their limits; takes no decision itself: those are in `dockd/rules`. Upgrades never
change what a force wrote here, and a default is never looser than the one before it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from dockd.model.moment import ClockSync
from dockd.model.value import IdText
from dockd.section import Section

FolderText = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
WordsText = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Retain(StrEnum):
    """Whether a camera may be issued with footage aboard that is verified here but not yet in the store."""

    NEVER = "never"
    WHEN_UNREACHABLE = "when_unreachable"
    ALWAYS = "always"


class WhenHostCannotTell(StrEnum):
    """What to do with camera clocks on a host whose kernel cannot say whether its own is synchronised."""

    REFUSE = "refuse"
    SET = "set"


class DockSection(Section):
    """The `[dock]` section: which dock this is and where it keeps its own state."""

    id: IdText = Field(description="Name of this dock, unique in the force; part of every fact, never changed later.")
    site: WordsText = Field(description="The station or depot, as staff call it; shown on the pages.")
    state_folder: FolderText = Field(
        default="/var/lib/dockd",
        description="Folder for the journal and the dock's own key, mode 0700, on a local disk.",
    )
    key_file: FolderText | None = Field(
        default=None,
        description="The dock's private signing key (Ed25519, PEM) where it comes from outside, such as the systemd "
        "credential `/run/credentials/dockd.service/dockd.dock-key.pem`. Without it the dock makes its own in the "
        "state folder.",
    )


class PolicyConfig(Section):
    """The `[policy]` section."""

    retain: Retain = Field(
        default=Retain.WHEN_UNREACHABLE,
        description=(
            "May a camera be issued with footage aboard that is verified on this dock but not yet accepted by the "
            "central store? `never`, `when_unreachable` (only while the centre has been out of reach for "
            "`unreachable_after_seconds`) or `always`. Nothing is erased for it."
        ),
    )
    unreachable_after_seconds: int = Field(
        default=900,
        ge=1,
        description='How long the centre must have been out of reach before `retain = "when_unreachable"` counts.',
    )
    grace_hours: int = Field(
        default=0,
        ge=0,
        le=744,
        description="How long accepted footage stays on the camera's card before it is erased (at most 31 days).",
    )
    read_card_twice: bool = Field(
        default=False,
        description=(
            "Read every recording a second time from the card before it is erased. It is always done when the camera "
            "was away since the copy was begun; with true also for a copy made in one piece, which finds a bit that "
            "was read wrong once. It doubles the reading time before a card is emptied, not before staff may go."
        ),
    )
    minimum_battery_percent: int = Field(
        default=80,
        ge=0,
        le=100,
        description=(
            "Battery below this keeps a camera from READY. A full battery lasts 12 hours: 80 % covers a shift of 8 "
            "hours and overtime, and spares the slow last fifth of charging."
        ),
    )
    minimum_free_percent: int = Field(
        default=50,
        ge=0,
        le=100,
        description="Less free space on the card than this keeps a camera from READY.",
    )
    set_clock_from_unsynchronised_host: bool = Field(
        default=False,
        description=(
            "Set camera clocks although this host's own clock is known to be unsynchronised. Leave it false: a wrong "
            "host clock would be copied into evidence."
        ),
    )
    when_host_cannot_tell: WhenHostCannotTell = Field(
        default=WhenHostCannotTell.REFUSE,
        description=(
            "On a host whose kernel cannot be asked (some containers): `set` camera clocks, with `unknown` in the "
            "record, or `refuse` to."
        ),
    )
    battery_interval_seconds: float = Field(
        default=10.0, ge=0.1, le=600.0, description="How often the battery of a docked camera is read."
    )
    not_charging_after_seconds: int = Field(
        default=900,
        ge=1,
        description="A battery that has not risen for this long in its bay is reported as not charging.",
    )
    retry_seconds: tuple[Annotated[int, Field(ge=1, le=86_400)], ...] = Field(
        default=(5, 15, 60, 300, 900),
        min_length=1,
        description=(
            "How long a FAULTED bay waits before each new try; the last of them is repeated until it works or a "
            "person takes the camera out: nobody is there at night to release it."
        ),
    )

    def retry_delay_seconds(self, faults_before: int) -> int:
        """How long a bay waits that has faulted `faults_before` times in a row already."""
        return self.retry_seconds[min(faults_before, len(self.retry_seconds) - 1)]

    def may_retain(self, unreachable_seconds: float) -> bool:
        """Whether a camera may go on with footage aboard that the store has not accepted yet."""
        match self.retain:
            case Retain.NEVER:
                return False
            case Retain.ALWAYS:
                return True
            case Retain.WHEN_UNREACHABLE:
                return unreachable_seconds >= self.unreachable_after_seconds

    def may_set_camera_clock(self, host: ClockSync) -> bool:
        """Whether this host's clock is good enough to be copied into a camera."""
        match host:
            case ClockSync.SYNCHRONISED:
                return True
            case ClockSync.UNSYNCHRONISED:
                return self.set_clock_from_unsynchronised_host
            case ClockSync.UNKNOWN:
                return self.when_host_cannot_tell is WhenHostCannotTell.SET
