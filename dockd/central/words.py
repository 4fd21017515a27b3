"""One sentence for each fact about a recording: the custody record as people read it. Pure."""

from __future__ import annotations

from dockd.model import facts
from dockd.model.facts import Fact
from dockd.model.recording import ContainerVerdict, ReadBackMethod

_LONGEST = 4000

_CONTAINER = {
    ContainerVerdict.COMPLETE: "the video is complete",
    ContainerVerdict.TRUNCATED: "the video is cut short",
    ContainerVerdict.ZERO_FILLED: "the video holds only zeros",
    ContainerVerdict.EMPTY: "the file is empty",
    ContainerVerdict.NOT_VIDEO: "the file is not a video",
}
_READ_BACK = {
    ReadBackMethod.O_DIRECT: "directly from the disk",
    ReadBackMethod.FADV_DONTNEED: "from the disk, its cached pages dropped first",
}


def custody_words(fact: Fact) -> str | None:
    """What happened to the recording, for the custody record; None when the fact is not about one."""
    words = _words(fact)
    # A NUL has no place in a sentence, and PostgreSQL keeps none.
    return None if words is None else words.replace("\0", " ")[:_LONGEST]


def _words(fact: Fact) -> str | None:
    match fact:
        case facts.RecordingListed():
            holder = f"held by officer {fact.officer}" if fact.officer else "holder not known"
            return f"Found on the card of {fact.camera} as {fact.path}, {fact.size_bytes} bytes, {holder}."
        case facts.RecordingSeen():
            return "Found on the card again in another session."
        case facts.RecordingStaged():
            return _staged_words(fact)
        case facts.RecordingVerified():
            return f"The dock's copy was read back {_READ_BACK[fact.verified.method]}; it has the same SHA-256."
        case facts.CopyDiscarded():
            return f"The dock's copy was thrown away, the camera still has the original: {fact.reason}"
        case facts.RecordingReplaced():
            return f"The card holds other bytes under this name now: {fact.reason}"
        case facts.SourceConfirmed():
            return "The bytes on the card were read in whole and have this SHA-256."
        case facts.RecordingStored():
            return "Every part was sent to the central store."
        case facts.RecordingAccepted():
            return f"The dock checked the receipt of store {fact.receipt.store}, signed with {fact.receipt.key}."
        case facts.RecordingRejected():
            return f"The centre refused it ({fact.code}): {fact.reason}"
        case facts.WipeIntended():
            return "Cleared for erasing from the card."
        case facts.RecordingErased():
            return "Erased from the card; the card does not list it any more."
        case facts.StagingEvicted():
            return "The dock's own copy was removed to make room; the central store has it."
        case _:
            return None


def _staged_words(fact: facts.RecordingStaged) -> str:
    staged = fact.staged
    words = f"Copied to the dock, SHA-256 {staged.digest}; {_CONTAINER[staged.container]}."
    if staged.unreadable:
        lost = sum(one.end_byte - one.start_byte for one in staged.unreadable)
        words += f" {lost} bytes in {len(staged.unreadable)} places of the card could not be read."
    return words
