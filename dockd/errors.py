"""Every error dockd raises on purpose, grouped by what must happen next.

An error says three things, in this order: what happened, what it means for the footage, what to do.
Each class has a stable `code` (it survives the wire, the journal and the page) and a `reaction`.
The table in `docs/errors.md` is generated from this module.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Reaction(Enum):
    """What must happen next; the value is the sentence that the manual prints."""

    RETRY = "the bay is FAULTED and tries again by itself at a known time"
    END = "the session ends; the next docking goes on where this one stopped"
    HOLD = "the bay is HELD until a person decides; nothing is erased"
    REFUSE = "the request is refused; nothing was changed"
    EXIT = "the program stops with a named exit status; nothing is erased"


class DockdError(Exception):
    """Base of our errors.

    `what` is one sentence for staff. `footage` and `action` have a default per class and may be made
    more exact by the place that raises.
    """

    code: ClassVar[str] = "error"
    reaction: ClassVar[Reaction] = Reaction.HOLD
    footage: str = "No footage was erased."
    action: str = "Tell IT and give them this message."
    exit_status: ClassVar[int] = 1

    def __init__(self, what: str, *, footage: str | None = None, action: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        if footage is not None:
            self.footage = footage
        if action is not None:
            self.action = action

    def __str__(self) -> str:
        return f"{self.what} {self.footage} {self.action}"


# --- RETRY -------------------------------------------------------------------------------------


class DriverTimeout(DockdError):
    """The camera did not answer within the time its driver allows."""

    code = "driver-timeout"
    reaction = Reaction.RETRY
    footage = "What was already copied is kept; the rest is still on the camera."
    action = "Leave the camera in the bay; the dock tries again by itself."


class CardUnreadable(DockdError):
    """The card as a whole cannot be listed or read (a single bad file is kept with its ranges)."""

    code = "card-unreadable"
    reaction = Reaction.RETRY
    footage = "What was already copied is kept; the rest is still on the camera."
    action = "Leave the camera in the bay; if this stays, tell IT and do not use the camera."


class SourceChanged(DockdError):
    """A recording on the card is no longer the file that was copied."""

    code = "source-changed"
    reaction = Reaction.RETRY
    footage = "The camera's present file is copied again as a recording of its own; both are kept."
    action = "Leave the camera in the bay."


class CopyDamaged(DockdError):
    """The staged copy gave back other bytes than were written; it was thrown away."""

    code = "copy-damaged"
    reaction = Reaction.RETRY
    footage = "The damaged copy was thrown away; the original is still on the camera."
    action = "Leave the camera in the bay; it is copied again."


class ClockNotSettable(DockdError):
    """The camera did not take the time, or the host's own clock may not be trusted to set it."""

    code = "clock-not-set"
    reaction = Reaction.RETRY
    footage = "The footage is not affected; the measured offset is recorded with it."
    action = "Tell IT: the dock's clock must be synchronised before camera clocks are set."


class StagingFull(DockdError):
    """The staging disk has no room for the next recording above its floor."""

    code = "staging-full"
    reaction = Reaction.RETRY
    footage = "Nothing is erased; the footage stays on the camera until there is room."
    action = "Tell IT: the dock's disk is full because the central store has not taken its footage."


class NotCharging(DockdError):
    """The battery does not rise although the camera is in its bay."""

    code = "not-charging"
    reaction = Reaction.RETRY
    footage = "The footage is not affected."
    action = "Take the camera out and put it back firmly; if this stays, use another bay."


class AssignmentNotWritten(DockdError):
    """The camera did not give back the assignment that was written to it."""

    code = "assignment-not-written"
    reaction = Reaction.RETRY
    footage = "The footage is not affected."
    action = "Choose another camera; tell IT if this one fails again."


class CentreUnavailable(DockdError):
    """The centre or its store cannot be reached, is busy, or is full: later, never a rejection."""

    code = "centre-unavailable"
    reaction = Reaction.RETRY
    footage = "The footage is safe on the dock and waits."
    action = "Nothing; the dock tries again by itself."

    def __init__(self, what: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(what)
        self.retry_after_seconds = retry_after_seconds


# --- END ---------------------------------------------------------------------------------------


class CameraGone(DockdError):
    """The camera was taken out, or its cable or hub failed."""

    code = "camera-gone"
    reaction = Reaction.END
    footage = "What was not yet copied is still on the camera."
    action = "Put the camera back into any bay; the copy goes on where it stopped."


# --- HOLD --------------------------------------------------------------------------------------


class UnknownCamera(DockdError):
    """No driver knows this device, or two drivers claim it with equal right."""

    code = "unknown-camera"
    footage = "Nothing on the device was read or changed."
    action = "Check that this is a camera of the force; tell IT which model it is."


class ForbiddenDevice(DockdError):
    """The device offers a USB interface that no camera may have here (a keyboard, a network card)."""

    code = "forbidden-device"
    footage = "The device was not switched on for this computer; nothing was read or changed."
    action = "Take the device out and hand it to IT."


class DuplicateIdentity(DockdError):
    """Two docked cameras claim the same identity."""

    code = "duplicate-identity"
    footage = "Neither camera is read or erased until a person has decided."
    action = "Take both cameras to IT; one of them has a wrong serial number."


class UnusableIdentity(DockdError):
    """The camera gives no serial number, or one that cannot be a serial number."""

    code = "unusable-identity"
    footage = "Nothing on the camera was changed."
    action = "Tell IT; the camera's serial number must be set before its footage can be attributed."


class DigestMismatch(DockdError):
    """What the staging disk gave back differs, repeatedly, from what the camera gave."""

    code = "digest-mismatch"
    footage = "The original is still on the camera; the damaged copy is not used."
    action = "Tell IT: the dock's disk or memory is suspect."


class StagingSuspect(DockdError):
    """The staging disk failed a write, an fsync or a read-back; it may not be trusted."""

    code = "staging-suspect"
    footage = "Nothing is erased; the originals stay on the cameras."
    action = "Tell IT: the dock's disk must be checked or replaced before it takes footage again."


class RecordingRefused(DockdError):
    """The centre says that it can never accept this recording."""

    code = "recording-rejected"
    footage = "The recording is kept on the camera and on the dock."
    action = "Tell IT; the reason given by the centre is shown."


class CardWriteProtected(DockdError):
    """The card refuses to be written: its lock switch is set, or its memory is worn out and has locked itself."""

    code = "card-write-protected"
    footage = "What was copied stays copied; nothing was erased, and nothing can be erased from this card."
    action = "Do not issue this camera; tell IT: move the lock switch of its card, or replace the card if it has none."


class EraseFailed(DockdError):
    """A cleared recording is still on the card after it was erased."""

    code = "erase-failed"
    footage = "The footage is safe in the central store."
    action = "Do not issue this camera; tell IT."


class SpaceNotFreed(DockdError):
    """After erasing, the card reports less free space than was erased."""

    code = "space-not-freed"
    footage = "The footage is safe in the central store."
    action = "Do not issue this camera; its card must be checked by IT."


class ReconciliationDiffers(DockdError):
    """The session's counts do not agree: listed, staged, stored and erased differ."""

    code = "reconciliation-differs"
    footage = "Nothing more is erased until a person has decided."
    action = "Tell IT; the record of the session shows the difference."


class CardDamaged(DockdError):
    """Places on the card cannot be read; what could be read is stored, the original is kept."""

    code = "card-damaged"
    footage = "What could be read is safe in the central store, labelled; the original is kept on the card."
    action = "Do not issue this camera; give it to IT, a specialist may recover the rest."


class RecordsDiffer(DockdError):
    """The centre's record of this dock contradicts the dock's own: one of them was restored from an old copy."""

    code = "records-differ"
    footage = "What is on the card is copied and sent as ever; nothing is erased from it."
    action = "Tell IT: the guide on enrolment says how a dock comes back after that. Then release the bay."


class InternalError(DockdError):
    """Our own bug in one session; the other bays go on."""

    code = "internal-error"
    footage = "Nothing is erased in this bay until a person has decided."
    action = "Tell IT and send them the dock's log of this minute."


# --- REFUSE ------------------------------------------------------------------------------------


class BadRequest(DockdError):
    """A value given by a person or a program is not of the right form."""

    code = "bad-request"
    reaction = Reaction.REFUSE
    footage = "No footage is affected."
    action = "Correct the value and try again."


class NothingReady(DockdError):
    """No camera in this dock can be issued now."""

    code = "nothing-ready"
    reaction = Reaction.REFUSE
    footage = "No footage is affected."
    action = "Wait for the time shown on the page, or go to another dock."


class AlreadyHolding(DockdError):
    """The officer already holds a camera that has not been docked."""

    code = "already-holding"
    reaction = Reaction.REFUSE
    footage = "No footage is affected."
    action = "Dock the other camera first, or ask IT to mark it as lost."


class ListRefused(DockdError):
    """A list of sites, officers or cameras has wrong lines; all of them are named."""

    code = "list-refused"
    reaction = Reaction.REFUSE
    footage = "Nothing was changed; no footage is affected."
    action = "Correct what is named above and import the whole file again."


class AccountRefused(DockdError):
    """An account cannot be made or changed like this: the name is taken, or nobody would be left to administer."""

    code = "account-refused"
    reaction = Reaction.REFUSE
    footage = "Nothing was changed; no footage is affected."
    action = "Choose another name, or ask another administrator."


class NotFound(DockdError):
    """There is no such recording, bay, camera or session."""

    code = "not-found"
    reaction = Reaction.REFUSE
    footage = "No footage is affected."
    action = "Check the name and try again."


class CentreRefused(DockdError):
    """The centre understood the question and refuses it; `refusal` and `status` say how, by its own code."""

    code = "centre-refused"
    reaction = Reaction.REFUSE
    footage = "The footage stays where it is."
    action = "Read the reason given by the centre; tell IT if it is not clear."

    def __init__(self, what: str, *, status: int, refusal: str) -> None:
        super().__init__(what)
        self.status = status
        self.refusal = refusal


class DockRefused(DockdError):
    """The dock's daemon does not do what the command line asked; its own words are given."""

    code = "dock-refused"
    reaction = Reaction.REFUSE
    footage = "Nothing was changed."
    action = "Do what the message says, then try again."


class EnrolmentRefused(DockdError):
    """This dock could not be enrolled with the centre that its token names."""

    code = "enrolment-refused"
    reaction = Reaction.REFUSE
    footage = "The dock is as it was; footage on it waits."
    action = "Do what the message says. The same token may be tried again on this dock until it has expired."


class BadReceipt(DockdError):
    """A receipt that does not prove what it must: other digest, size, store or key, or bad signature."""

    code = "bad-receipt"
    reaction = Reaction.REFUSE
    footage = "The receipt clears nothing; the footage stays on the camera and on the dock."
    action = "Tell IT: the centre may be set up wrongly, or someone stands in its place."


class ProofFailed(DockdError):
    """`dockd verify` found something that does not agree."""

    code = "proof-failed"
    reaction = Reaction.REFUSE
    footage = "Treat the export as damaged; the central store still holds the original."
    action = "Export again and compare; keep this output."


# --- EXIT --------------------------------------------------------------------------------------


class ConfigInvalid(DockdError):
    """The configuration has mistakes; all of them are listed."""

    code = "config-invalid"
    reaction = Reaction.EXIT
    footage = "Nothing was started."
    action = "Correct the lines named above."
    exit_status = 78  # EX_CONFIG, sysexits.h


class JournalLocked(DockdError):
    """Another daemon has this journal open."""

    code = "journal-locked"
    reaction = Reaction.EXIT
    footage = "Nothing was started; the other daemon goes on."
    action = "Stop the other dockd first; never run two on one state folder."
    exit_status = 65


class JournalCorrupt(DockdError):
    """The journal's file or its hash chain is damaged."""

    code = "journal-corrupt"
    reaction = Reaction.EXIT
    footage = "Nothing is erased without a sound journal; cameras keep their footage."
    action = "Keep the state folder as it is and call IT; restore the journal from its copy."
    exit_status = 66


class JournalNewer(DockdError):
    """The journal was written by a newer dockd."""

    code = "journal-newer"
    reaction = Reaction.EXIT
    footage = "Nothing was started or changed."
    action = "Install the newer dockd again."
    exit_status = 67


class JournalUnwritable(DockdError):
    """A fact could not be made durable; without the journal nothing may go on."""

    code = "journal-unwritable"
    reaction = Reaction.EXIT
    footage = "Nothing is erased; the originals stay on the cameras."
    action = "Tell IT: the dock's disk is full, read-only or broken."
    exit_status = 68


class StagingBelowFloor(DockdError):
    """The staging disk has less free space at start than its floor."""

    code = "staging-below-floor"
    reaction = Reaction.EXIT
    footage = "Nothing was taken or erased."
    action = "Free space on the staging disk, or give the dock a larger one."
    exit_status = 69


class PortInUse(DockdError):
    """The page's or the API's address is taken or not ours."""

    code = "address-in-use"
    reaction = Reaction.EXIT
    footage = "Nothing was started."
    action = "Choose another port in the configuration."
    exit_status = 70


class ServiceFailed(DockdError):
    """A part that must always run has ended; the program stops so that it is started afresh."""

    code = "service-failed"
    reaction = Reaction.EXIT
    footage = "Nothing is lost; the next start goes on from the journal."
    action = "Nothing if it was started again by itself; else tell IT."
    exit_status = 71


class CentreUnusable(DockdError):
    """The centre's folder is not set up, its keys are missing or open to others, or its database is newer."""

    code = "centre-unusable"
    reaction = Reaction.EXIT
    footage = "Nothing was started; docks keep their footage and wait."
    action = "Set the folder up with `dockd central init`, or restore it from its copy."
    exit_status = 72


class DatabaseUnreachable(DockdError):
    """The centre's PostgreSQL does not answer, or lets nobody in; systemd starts the centre again."""

    code = "database-unreachable"
    reaction = Reaction.EXIT
    footage = "Nothing was started; docks keep their footage and wait."
    action = "Start PostgreSQL, or correct the database's address; the service tries again by itself."
    exit_status = 75  # EX_TEMPFAIL, sysexits.h


class DockUnreachable(DockdError):
    """The command line asked a dock's daemon, and none answers there."""

    code = "dock-unreachable"
    reaction = Reaction.EXIT
    footage = "What the dock does with its cameras cannot be seen from here."
    action = "Check that dockd runs (systemctl status dockd) and that --url is its address."
    exit_status = 2
