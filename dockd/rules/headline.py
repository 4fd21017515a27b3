"""What a bay's tile says, in words that a tired person understands.

Knows the life-cycle states and the few facts about a session that staff need; decides nothing and
knows neither page nor network nor the time. Two rules stand above all words here: nobody is told to
go before every recording on the card is verified on this dock, and nobody is told that footage is
lost or erased.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dockd.model.ids import OfficerNumber
from dockd.rules.lifecycle import State

_LONGEST_PART = 900
"""Characters of one part of an error; three of them stay far below what the wire allows."""


class Headline(StrEnum):
    """What a tile shouts, for someone walking past."""

    EMPTY = "EMPTY"
    LEAVE_IN_BAY = "LEAVE IN BAY"
    YOU_MAY_GO = "YOU MAY GO"
    CHARGING = "CHARGING"
    READY = "READY"
    TAKE = "TAKE"
    HELD = "HELD"
    FAULT = "FAULT"


@dataclass(frozen=True, slots=True)
class Trouble:
    """The error that holds or stops a session: its stable code, and the three things an error says."""

    code: str
    what: str
    footage: str
    action: str


@dataclass(frozen=True, slots=True)
class SessionView:
    """What the words are made from. Counts are recordings of this session.

    `is_all_safe_here`: the card was listed, and every recording on it is verified on this dock's
    staging disk or already accepted by the store. False as long as that is not known.
    """

    state: State
    is_all_safe_here: bool
    recordings_listed: int = 0
    recordings_safe_here: int = 0
    recordings_accepted: int = 0
    recordings_erased: int = 0
    recordings_retained: int = 0
    """Kept on the card on purpose (grace, policy)."""
    blockers: tuple[str, ...] = ()
    """In words, of `rules.readiness`."""
    promised_officer: OfficerNumber | None = None
    trouble: Trouble | None = None
    """For HELD and FAULTED."""
    retry_at: datetime | None = None
    """When a FAULTED bay tries again; the page prints the time, the words only say that it will."""
    is_centre_reachable: bool = True


EMPTY_BAY: tuple[Headline, str] = (Headline.EMPTY, "No camera. Any camera may be put in here.")
"""For a bay without a session."""

STATE_NAMES: dict[State, str] = {
    State.ARRIVED: "Camera seen",
    State.UNLOCKING: "Opening the camera",
    State.IDENTIFYING: "Reading which camera it is",
    State.OFFLOADING: "Copying footage",
    State.VERIFYING: "Checking the copies",
    State.SECURING: "Sending to the central store",
    State.WIPING: "Emptying the card",
    State.PREPARING: "Preparing for the next officer",
    State.CHARGING: "Charging",
    State.READY: "Ready",
    State.HELD: "Held for a person",
    State.FAULTED: "Waiting to try again",
    State.GONE: "Taken out",
}
"""A life-cycle state in two or three plain words."""


def headline(view: SessionView) -> tuple[Headline, str]:
    """What the tile shouts and the whole message under it, for any session."""
    match view.state:
        case State.ARRIVED | State.UNLOCKING | State.IDENTIFYING | State.OFFLOADING | State.VERIFYING:
            return Headline.LEAVE_IN_BAY, _words_before_safe(view)
        case State.SECURING | State.WIPING | State.PREPARING:
            return _headline_after_copy(view)
        case State.CHARGING:
            return _headline_of_charging(view)
        case State.READY:
            return _headline_of_ready(view)
        case State.HELD:
            return Headline.HELD, _words_of_trouble(view, "A person must look at this camera.")
        case State.FAULTED:
            return Headline.FAULT, _words_of_fault(view)
        case State.GONE:
            return Headline.EMPTY, _words_of_gone(view)


def _words_before_safe(view: SessionView) -> str:
    stay = "Leave the camera in the bay."
    match view.state:
        case State.ARRIVED:
            return f"We have the camera. {stay}"
        case State.UNLOCKING:
            return f"Opening the camera. {stay}"
        case State.IDENTIFYING:
            return f"Reading which camera this is. {stay}"
        case State.VERIFYING:
            return f"Copied; checking every copy. {_safe_of_listed(view)} {stay}".replace("  ", " ")
        case _:
            return f"Copying footage. {_safe_of_listed(view)} {stay}".replace("  ", " ")


def _headline_after_copy(view: SessionView) -> tuple[Headline, str]:
    if not view.is_all_safe_here:
        return (
            Headline.LEAVE_IN_BAY,
            f"Not all footage is safe yet. {_safe_of_listed(view)} Leave the camera in the bay.".replace("  ", " "),
        )
    return Headline.YOU_MAY_GO, f"{_all_safe(view)} {_what_goes_on(view)} The camera stays in the bay."


def _what_goes_on(view: SessionView) -> str:
    match view.state:
        case State.WIPING:
            return "The central store has it; the card is being emptied."
        case State.PREPARING:
            return "The camera is being made ready for the next officer."
        case _ if view.recordings_listed == 0:
            return "The camera is being made ready for the next officer."
        case _ if not view.is_centre_reachable:
            return "The central store cannot be reached; the footage waits here and is sent later."
        case _:
            return f"Sending to the central store: {view.recordings_accepted} of {view.recordings_listed} accepted."


def _headline_of_charging(view: SessionView) -> tuple[Headline, str]:
    reasons = "; ".join(view.blockers) or "the battery is being charged"
    safe = f"{_all_safe(view)} You may go. " if view.is_all_safe_here else "Leave the camera in the bay. "
    return Headline.CHARGING, f"{safe}Not yet to be issued: {reasons}."


def _headline_of_ready(view: SessionView) -> tuple[Headline, str]:
    if view.promised_officer is not None:
        return Headline.TAKE, f"This camera is for officer {view.promised_officer}. Take it out now; it is yours."
    if view.recordings_retained:
        kept = _recordings(view.recordings_retained)
        stay = "stays" if view.recordings_retained == 1 else "stay"
        return Headline.READY, f"May be issued. {kept} {stay} on the card on purpose and will be dealt with later."
    return Headline.READY, "May be issued."


def _words_of_fault(view: SessionView) -> str:
    words = _words_of_trouble(view, "Something failed that may pass.")
    if view.retry_at is not None and "by itself" not in words:
        words += " The dock tries again by itself."
    return words


def _words_of_trouble(view: SessionView, without_trouble: str) -> str:
    if view.trouble is None:
        words = f"{without_trouble} Nothing is erased in the meantime. Tell IT."
    else:
        parts = (view.trouble.what, view.trouble.footage, view.trouble.action)
        words = " ".join(_shortened(part) for part in parts if part)
    if view.is_all_safe_here and "safe" not in words:
        words += f" {_all_safe(view)}"
    return words


def _words_of_gone(view: SessionView) -> str:
    if view.promised_officer is not None:
        return f"Taken by officer {view.promised_officer}."
    if view.is_all_safe_here:
        return "The camera was taken out. Its footage is safe here."
    return "The camera was taken out before all its footage was copied. Put it back into any bay."


def _all_safe(view: SessionView) -> str:
    if view.recordings_listed == 0:
        return "There was no footage on the card."
    if view.recordings_listed == 1:
        return "The 1 recording is safe."
    return f"All {view.recordings_listed} recordings are safe."


def _safe_of_listed(view: SessionView) -> str:
    if view.recordings_listed == 0:
        return ""
    return f"{view.recordings_safe_here} of {_recordings(view.recordings_listed)} safe."


def _recordings(count: int) -> str:
    return "1 recording" if count == 1 else f"{count} recordings"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_PART else text[: _LONGEST_PART - 1] + "…"
