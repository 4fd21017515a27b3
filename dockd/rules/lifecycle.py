"""The life of a docked camera as a table; only `dock/session.py` drives it.

Short-lived and in memory: a crash forgets it and the next session walks the same path. It decides
nothing about erasing; that is `rules/custody.py`. The diagram in `docs/lifecycle.md` is generated
from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a session stands. The value is stable: it is written to facts and shown by tools."""

    ARRIVED = "arrived"
    """Something is in the bay; no driver has been asked yet."""
    UNLOCKING = "unlocking"
    """A driver makes the camera's storage reachable; it may re-enumerate."""
    IDENTIFYING = "identifying"
    """Who is it, how full is the battery and the card, what does its clock say."""
    OFFLOADING = "offloading"
    """Recordings are being copied to the staging disk."""
    VERIFYING = "verifying"
    """Staged copies are read back past the page cache and compared."""
    SECURING = "securing"
    """Everything is safe here; the central store has not yet receipted all of it."""
    WIPING = "wiping"
    """Cleared recordings are erased from the card, one clearance each."""
    PREPARING = "preparing"
    """Clock set, old assignment removed, card measured, session reconciled."""
    CHARGING = "charging"
    """Only the battery is missing."""
    READY = "ready"
    """May be issued."""
    HELD = "held"
    """A person decides."""
    FAULTED = "faulted"
    """Tries again by itself at a known time."""
    GONE = "gone"
    """The camera left the bay. Terminal."""


class Event(StrEnum):
    """What moves a session."""

    STAGE_DONE = "stage done"
    ERROR_RETRY = "error, retry later"
    ERROR_HOLD = "error, a person decides"
    RETRY_DUE = "retry is due"
    RELEASED = "released by a person"
    CLEARED_LATER = "retained footage may be erased now"
    UNDOCKED = "camera taken out"


@dataclass(frozen=True, slots=True)
class Transition:
    """One allowed step and why it exists."""

    source: State
    event: Event
    target: State
    why: str


_PATH = (
    (State.ARRIVED, State.UNLOCKING, "exactly one driver claims the device"),
    (State.UNLOCKING, State.IDENTIFYING, "the storage is reachable, blocked against writing"),
    (State.IDENTIFYING, State.OFFLOADING, "the identity is usable and in no other bay"),
    (State.OFFLOADING, State.VERIFYING, "every listed recording has a staged copy"),
    (State.VERIFYING, State.SECURING, "every staged copy was read back equal: YOU MAY GO"),
    (State.SECURING, State.WIPING, "every recording is accepted, or the policy retains it"),
    (State.WIPING, State.PREPARING, "every cleared recording is gone from the card"),
    (State.PREPARING, State.CHARGING, "reconciled, clock set, unassigned, space measured"),
    (State.CHARGING, State.READY, "the battery is above the threshold and nothing blocks"),
)

WORKING = tuple(source for source, _, _ in _PATH)
"""The states in which a stage is at work."""


def _build() -> tuple[Transition, ...]:
    steps = [Transition(a, Event.STAGE_DONE, b, why) for a, b, why in _PATH]
    for state in WORKING:
        steps.append(Transition(state, Event.ERROR_RETRY, State.FAULTED, "something failed that may pass"))
        steps.append(Transition(state, Event.ERROR_HOLD, State.HELD, "something failed that a person must see"))
    steps += [
        Transition(State.FAULTED, Event.RETRY_DUE, State.UNLOCKING, "always from the beginning"),
        Transition(State.FAULTED, Event.ERROR_HOLD, State.HELD, "failed too often"),
        Transition(State.HELD, Event.RELEASED, State.UNLOCKING, "a person released the bay"),
        Transition(State.READY, Event.ERROR_HOLD, State.HELD, "a hold was ordered"),
        Transition(State.READY, Event.ERROR_RETRY, State.FAULTED, "the camera stopped answering"),
        Transition(
            State.READY,
            Event.CLEARED_LATER,
            State.SECURING,
            "receipts came, or grace ended, for footage kept aboard",
        ),
    ]
    steps += [
        Transition(state, Event.UNDOCKED, State.GONE, "the camera left") for state in State if state is not State.GONE
    ]
    return tuple(steps)


TRANSITIONS: tuple[Transition, ...] = _build()
_TABLE = {(step.source, step.event): step for step in TRANSITIONS}


class NotAllowed(ValueError):
    """The table has no such step: our own bug, never a camera's doing."""


def step(state: State, event: Event) -> Transition:
    """Return the transition out of `state` on `event`. Raises NotAllowed."""
    try:
        return _TABLE[state, event]
    except KeyError:
        raise NotAllowed(f"{event.value!r} is not allowed in state {state.value!r}") from None
