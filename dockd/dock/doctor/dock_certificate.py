"""Checks of this dock's own identity: until when is its certificate good, and does the centre let it in?

The centre tells every refusal in words; they are passed on as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from dockd.clock import Clock
from dockd.dock.centre_client import CentreClient
from dockd.dock.centre_tls import enrolled_context
from dockd.dock.centre_wire import open_http_session
from dockd.dock.doctor.check import Check
from dockd.dock.doctor.finding import Finding, ok, problem, warning
from dockd.dock.doctor.host import Examination
from dockd.dock.enrolment_files import EnrolmentFolder
from dockd.dock.enrolment_renewal import renewal_due_at
from dockd.dock.sections import CentreConfig
from dockd.errors import CentreRefused, CentreUnavailable, ConfigInvalid
from dockd.model.ids import DockId
from dockd.web.hosts import is_loopback

_WAITS = "None is lost: copies wait on the staging disk, and cameras are not emptied until the centre has them."
_ASK_SECONDS = 20.0
_OVERDUE = timedelta(days=1)
_ENROL = "Ask the centre's staff for a token and run as the daemon's user: dockd enrol TOKEN"

NOT_NEEDED = ok("dock-certificate-not-needed", "The centre is on this machine; a dock needs no certificate for it.")
NOT_ENROLLED = warning(
    "dock-not-enrolled",
    "The centre is on another machine and this dock has no certificate to show it.",
    f"The centre takes nothing from a dock that it does not know. {_WAITS}",
    _ENROL,
)
CERTIFICATE_GOOD = ok("dock-certificate-good", "This dock's certificate is good, and not due for renewal.")
CERTIFICATE_DUE = warning(
    "dock-certificate-not-renewed",
    "This dock's certificate should have been renewed by now, and was not.",
    "None yet. Once it has expired the centre takes nothing from this dock: copies then wait here.",
    "Look for certificate_not_renewed in the daemon's log: journalctl -u dockd. The daemon must run, reach the centre, "
    "and may write to enrolment_folder.",
)
CERTIFICATE_EXPIRED = problem(
    "dock-certificate-expired", "This dock's certificate has expired.", _WAITS, f"Check this host's clock. {_ENROL}"
)
CERTIFICATE_UNUSABLE = problem(
    "dock-certificate-unusable", "This dock's certificate or key cannot be used.", _WAITS, _ENROL
)
LET_IN = ok("dock-let-in", "The centre knows this dock and lets it in.")
NOT_LET_IN = problem(
    "dock-not-let-in",
    "The centre was asked for what is this dock's own, and did not give it.",
    _WAITS,
    "Do what the centre's words say.",
)


def check_certificate(examination: Examination) -> Iterator[Finding]:
    """Until when the certificate is good, without asking anyone."""
    folder = examination.settings.centre.enrolment_folder
    if folder is None:
        kind = NOT_NEEDED if is_loopback(urlsplit(examination.settings.centre.url).hostname or "") else NOT_ENROLLED
        yield kind.found("enrolment_folder in [centre] is not set.")
        return
    try:
        certificate = EnrolmentFolder(Path(folder)).certificate()
        enrolled_context(Path(folder))
    except ConfigInvalid as error:
        yield CERTIFICATE_UNUSABLE.found(error.what, action=error.action)
        return
    now, ends_at = examination.host.clock.now(), certificate.not_valid_after_utc
    if now > ends_at:
        yield CERTIFICATE_EXPIRED.found(f"It expired on {ends_at:%Y-%m-%d %H:%M} UTC.")
        return
    words = f"It is good until {ends_at:%Y-%m-%d %H:%M} UTC, {(ends_at - now).days} days from now"
    due_at = renewal_due_at(certificate)
    kind = CERTIFICATE_DUE if now > due_at + min(_OVERDUE, (ends_at - due_at) / 2) else CERTIFICATE_GOOD
    yield kind.found(f"{words}, and is renewed from {due_at:%Y-%m-%d} on.")


def check_let_in(examination: Examination) -> Iterator[Finding]:
    """Ask the centre once for something that only this dock may see."""
    centre = examination.settings.centre
    if centre.enrolment_folder is None:
        return
    dock = DockId(examination.settings.dock.id)
    try:
        asyncio.run(_ask(centre, Path(centre.enrolment_folder), dock, examination.host.clock))
    except ConfigInvalid:
        return  # told by the other check
    except (CentreUnavailable, CentreRefused, TimeoutError) as error:
        what = error.what if isinstance(error, CentreUnavailable | CentreRefused) else "No answer in time."
        yield NOT_LET_IN.found(f"Dock {dock} at {centre.url}: {what}")
        return
    yield LET_IN.found(f"{centre.url} lets dock {dock} in.")


async def _ask(centre: CentreConfig, folder: Path, dock: DockId, clock: Clock) -> None:
    async with asyncio.timeout(_ASK_SECONDS), open_http_session() as http:
        await CentreClient(http, centre.url, dock, clock, tls=enrolled_context(folder)).facts_head()


CHECKS = (
    Check(
        "dock-certificate",
        "Until when is this dock's certificate good?",
        check_certificate,
        (NOT_NEEDED, NOT_ENROLLED, CERTIFICATE_GOOD, CERTIFICATE_DUE, CERTIFICATE_EXPIRED, CERTIFICATE_UNUSABLE),
        _WAITS,
        "Run this as root, or as the daemon's user.",
    ),
    Check(
        "dock-let-in",
        "Does the centre let this dock in?",
        check_let_in,
        (LET_IN, NOT_LET_IN),
        _WAITS,
        "Run this as root, or as the daemon's user.",
    ),
)
