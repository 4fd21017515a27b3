"""Checks of the centre: is it there, is it the one that this dock was enrolled with, and do both clocks agree?

What a wrong centre would mean is said exactly: it gets no footage, and its receipts clear nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from dockd.dock.doctor.centre_question import CentreAnswer, Trouble, ask_centre
from dockd.dock.doctor.check import Check
from dockd.dock.doctor.finding import Finding, ok, problem, warning
from dockd.dock.doctor.host import Examination
from dockd.web.hosts import is_loopback
from dockd.wire.messages import StoreDescription

AGREE_WITHIN_SECONDS = 2.0
FAR_OFF_SECONDS = 60.0
_KEY_BYTES = 32
_WAITS = "None is lost: copies wait on the staging disk, and cameras are not emptied until the centre has them."

KEY_READABLE = ok("pinned-key-readable", "The pinned public key is a key.")
KEY_MALFORMED = problem(
    "pinned-key-malformed",
    "public_key in [centre] is not an Ed25519 key of 32 bytes in base64.",
    "No receipt can be checked: nothing is ever erased, and cameras are not emptied.",
    "Copy public_key again from the centre's pinned-store.json.",
)
PLAIN_HTTP = warning(
    "centre-plain-http",
    "The centre is on another computer and is spoken to without TLS.",
    "Whoever is between them can read the footage. Changing it unnoticed is not possible: digests and receipts tell.",
    "Give the centre an https address, or carry the connection in a tunnel (WireGuard, IPsec).",
)
CENTRE_ENROLLED = ok("centre-enrolled", "The centre answers, and it is the store and key that were pinned.")
CENTRE_OTHER_STORE = problem(
    "centre-other-store",
    "Another store than the pinned one answers at the centre's address.",
    "No footage is sent there, and a receipt of that store clears nothing: copies wait, cameras are not emptied.",
    "Check url in [centre]. Only if the force moved to another store on purpose, enrol this dock with it.",
)
CENTRE_OTHER_KEY = problem(
    "centre-other-key",
    "The store has the pinned name and another key.",
    "No footage is sent there, and receipts signed with that key clear nothing: copies wait, cameras are not emptied.",
    "Find out why the key changed before trusting it: the address may lead to an impostor, or the centre was set up "
    "anew and has lost its old key. Then enrol this dock again.",
)
CENTRE_NAME_UNKNOWN = problem(
    "centre-name-unknown",
    "The centre's name cannot be resolved.",
    _WAITS,
    "Check url in [centre], and this host's DNS: getent hosts NAME",
)
CENTRE_NOT_TRUSTED = problem(
    "centre-not-trusted",
    "The centre's TLS certificate is not trusted by this host.",
    _WAITS,
    "Check this host's clock first, then the centre's certificate. An enrolled dock trusts the centre's own CA alone: "
    "another certificate there is an impostor's, or the centre was set up anew. One that is not enrolled trusts the "
    "host's CAs (update-ca-certificates).",
)
CENTRE_NOT_REACHED = problem(
    "centre-not-reached",
    "No connection to the centre.",
    _WAITS,
    "Check that the centre runs, and that network and firewalls let this dock reach it: curl URL/api/v1/store",
)
CENTRE_NO_ANSWER = problem(
    "centre-no-answer",
    "The centre was connected to, or not even that, and nothing came back in time.",
    _WAITS,
    "A firewall that drops packets looks like this; so does a centre that hangs. Try: curl URL/api/v1/store",
)
CENTRE_LATER = warning(
    "centre-later",
    "The centre is busy, has a fault, or does not let this dock in.",
    _WAITS,
    "Try again in a few minutes; if it stays, look at the centre's log.",
)
NOT_A_CENTRE = problem(
    "centre-is-something-else",
    "Something answers at the address that is not a dockd centre.",
    _WAITS,
    "Check url in [centre]: it is the address without /api/v1. A proxy or a sign-in page in between looks like this.",
)
CLOCKS_AGREE = ok("centre-clock-agrees", "This host's clock and the centre's agree.")
CLOCKS_DIFFER = warning(
    "centre-clock-differs",
    "This host's clock and the centre's differ by more than two seconds.",
    "One of them is wrong. Offsets of camera clocks are measured against this host's.",
    "Compare both with another source, then mend the time service of the one that is wrong.",
)
CLOCKS_FAR_APART = problem(
    "centre-clock-far-off",
    "This host's clock and the centre's differ by more than a minute.",
    "Times recorded with footage may be wrong evidence, and a certificate or a part's address may count as expired.",
    "Compare both with another source, then mend the time service of the one that is wrong before cameras are docked.",
)

_BY_TROUBLE = {
    Trouble.NAME_UNKNOWN: CENTRE_NAME_UNKNOWN,
    Trouble.NOT_TRUSTED: CENTRE_NOT_TRUSTED,
    Trouble.NOT_REACHED: CENTRE_NOT_REACHED,
    Trouble.NO_ANSWER: CENTRE_NO_ANSWER,
    Trouble.LATER: CENTRE_LATER,
    Trouble.NOT_A_CENTRE: NOT_A_CENTRE,
}


def check_pinned(examination: Examination) -> Iterator[Finding]:
    """What was pinned at enrolment, without asking anyone."""
    centre = examination.settings.centre
    try:
        size = len(base64.b64decode(centre.public_key, validate=True))
    except (binascii.Error, ValueError):
        yield KEY_MALFORMED.found("public_key is not base64.")
    else:
        kind = KEY_READABLE if size == _KEY_BYTES else KEY_MALFORMED
        yield kind.found(f"Key {centre.key!r} of store {centre.store!r}: {size} bytes.")
    parts = urlsplit(centre.url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield PLAIN_HTTP.found(f"{centre.url} is not https.")


def check_centre(examination: Examination) -> Iterator[Finding]:
    """Ask the centre once; judge who it is and what time it has."""
    centre = examination.settings.centre
    folder = Path(centre.enrolment_folder) if centre.enrolment_folder is not None else None
    answer = ask_centre(centre.url, examination.host.clock, folder)
    if answer.trouble is not None:
        kind = _BY_TROUBLE[answer.trouble]
        name = urlsplit(centre.url).hostname or centre.url
        yield kind.found(
            f"{centre.url}: {answer.words}.", action=kind.action.replace("URL", centre.url).replace("NAME", name)
        )
    elif answer.description is not None:
        yield _identity(examination, answer.description)
    if answer.trouble in (None, Trouble.LATER):  # the clock of something else says nothing
        yield from _clocks(answer)


def _identity(examination: Examination, found: StoreDescription) -> Finding:
    pinned = examination.settings.centre.pinned
    if found.store != pinned.store:
        return CENTRE_OTHER_STORE.found(f"There answers store {found.store!r}; pinned is {pinned.store!r}.")
    if (found.key, found.public_key) != (pinned.key, pinned.public_key):
        what = "another key of the same name" if found.key == pinned.key else f"key {found.key!r}"
        return CENTRE_OTHER_KEY.found(f"Store {found.store!r} has {what}; pinned is {pinned.key!r}.")
    url = examination.settings.centre.url
    return CENTRE_ENROLLED.found(f"{url} is store {found.store!r} with key {found.key!r}, dockd {found.version}.")


def _clocks(answer: CentreAnswer) -> Iterator[Finding]:
    ahead_seconds = answer.centre_ahead_seconds
    if ahead_seconds is None:
        raise LookupError("the centre does not tell its time (no Date in its answer)")
    direction = "ahead of" if ahead_seconds > 0 else "behind"
    words = (
        f"The centre's clock is {abs(ahead_seconds):.1f} s {direction} this host's, "
        f"give or take {answer.uncertain_seconds:.1f} s."
    )
    least_seconds = abs(ahead_seconds) - answer.uncertain_seconds
    if least_seconds > FAR_OFF_SECONDS:
        yield CLOCKS_FAR_APART.found(words)
    elif least_seconds > AGREE_WITHIN_SECONDS:
        yield CLOCKS_DIFFER.found(words)
    else:
        yield CLOCKS_AGREE.found(words)


CHECKS = (
    Check(
        "pinned-centre",
        "Is what was pinned of the centre usable?",
        check_pinned,
        (KEY_READABLE, KEY_MALFORMED, PLAIN_HTTP),
        "Without a readable key no receipt counts.",
        "Compare [centre] with the centre's pinned-store.json.",
    ),
    Check(
        "centre",
        "Does the right centre answer, and do the clocks agree?",
        check_centre,
        (
            CENTRE_ENROLLED,
            CENTRE_OTHER_STORE,
            CENTRE_OTHER_KEY,
            *_BY_TROUBLE.values(),
            CLOCKS_AGREE,
            CLOCKS_DIFFER,
            CLOCKS_FAR_APART,
        ),
        _WAITS,
        "Try: curl --head with url of [centre] and /api/v1/store",
    ),
)
