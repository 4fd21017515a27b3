"""Custody states and container verdicts as people read them."""

from __future__ import annotations

from dockd.model.recording import ContainerVerdict
from dockd.rules.custody import Custody

CUSTODY_WORDS: dict[str, str] = {
    Custody.LISTED.name: "On the card",
    Custody.STAGED.name: "Copied to the dock",
    Custody.VERIFIED.name: "Safe on the dock",
    Custody.STORED.name: "Sent to the store",
    Custody.ACCEPTED.name: "In the store",
    Custody.ERASED.name: "In the store, erased from the card",
    Custody.REJECTED.name: "Refused by the centre",
}
"""By the state's name, as docks report it."""

CONTAINER_WORDS: dict[ContainerVerdict, str] = {
    ContainerVerdict.COMPLETE: "Complete video",
    ContainerVerdict.TRUNCATED: "Video cut short",
    ContainerVerdict.ZERO_FILLED: "Only zeros",
    ContainerVerdict.EMPTY: "Empty file",
    ContainerVerdict.NOT_VIDEO: "Not a video",
}
