"""How a headline looks, the same on the dock's page, the centre's pages and the terminal.

A tone is the name of a CSS class, an icon a name in `templates/icons.html`. No two headlines share
either, so that nothing is told by colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from dockd.rules.headline import STATE_NAMES, Headline
from dockd.rules.lifecycle import State


@dataclass(frozen=True, slots=True)
class Look:
    """Tone and icon of one headline."""

    tone: str
    icon: str


LOOKS: dict[Headline, Look] = {
    Headline.EMPTY: Look("empty", "empty"),
    Headline.LEAVE_IN_BAY: Look("busy", "stay"),
    Headline.YOU_MAY_GO: Look("go", "tick"),
    Headline.CHARGING: Look("charging", "bolt"),
    Headline.READY: Look("ready", "check"),
    Headline.TAKE: Look("take", "take"),
    Headline.HELD: Look("held", "hand"),
    Headline.FAULT: Look("fault", "warning"),
}

NEEDS_PERSON = (Headline.HELD, Headline.FAULT)
"""A bay that says this wants somebody to look at it."""


def state_name(state: str) -> str:
    """A life-cycle state, or `empty`, in words; one that this version does not know is shown as it is."""
    if state == "empty":
        return "Empty"
    try:
        return STATE_NAMES[State(state)]
    except ValueError:
        return state
