"""The running dock's certificate: shown for every connection, renewed in good time, without a restart.

When a third of its life is left the dock makes a new key, asks the centre over a connection that shows the present
certificate, puts both on the disk in one step, and shows them for every connection from then on. Connections that
are open go on, an upload in the middle of a part for one. Until it has succeeded it tries again at every look; the
centre being away for weeks does no harm, a year does: then a person enrols the dock again.
"""

from __future__ import annotations

import asyncio
import ssl
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from dockd.clock import Clock
from dockd.dock.centre_tls import enrolled_context, reload_certificate
from dockd.dock.enrolment_files import EnrolmentFolder, certificate_request, new_key
from dockd.dock.sections import CentreConfig
from dockd.errors import CentreRefused, CentreUnavailable, ConfigInvalid
from dockd.model.ids import DockId
from dockd.wire.enrolment import DockCertificate

_log = structlog.get_logger(__name__)


class RenewingCentre(Protocol):
    """What renewal needs of the centre."""

    async def renew_certificate(self, request_pem: str) -> DockCertificate:
        """The next certificate over the key in this request."""


def renewal_due_at(certificate: x509.Certificate) -> datetime:
    """From when on a certificate is to be renewed: when a third of its time is left."""
    begins_at, ends_at = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return ends_at - (ends_at - begins_at) / 3


def open_certificate(config: CentreConfig, dock: DockId, clock: Clock) -> DockCertificateWatch | None:
    """What the dock was given at its enrolment; None for one that is not enrolled. Blocking. Raises ConfigInvalid."""
    if config.enrolment_folder is None:
        return None
    files = EnrolmentFolder(Path(config.enrolment_folder))
    pinned = files.pinned()
    if pinned.dock != dock:
        raise ConfigInvalid(
            f"{files.folder} is the enrolment of dock {pinned.dock}, and this dock is {dock}.",
            footage="Nothing was started; no footage was touched.",
            action="Correct id in [dock], or enrol this dock with a token of its own.",
        )
    return DockCertificateWatch(files, dock, clock, check_seconds=config.renewal_check_seconds)


class DockCertificateWatch:
    """Holds the TLS context that the dock's calls use, and keeps its certificate fresh."""

    def __init__(self, files: EnrolmentFolder, dock: DockId, clock: Clock, *, check_seconds: float) -> None:
        self.context: ssl.SSLContext = enrolled_context(files.folder)
        self._files = files
        self._dock = dock
        self._clock = clock
        self._check_seconds = check_seconds
        self._certificate = files.certificate()
        self._next_key: ec.EllipticCurvePrivateKey | None = None

    @property
    def expires_at(self) -> datetime:
        """Until when the certificate that is shown now is good."""
        return self._certificate.not_valid_after_utc

    async def keep_fresh(self, centre: RenewingCentre) -> None:
        """Renew whenever it is due, for ever. What goes wrong is told and tried again; it never ends the dock."""
        while True:
            if self._clock.now() >= renewal_due_at(self._certificate):
                try:
                    await self._renew(centre)
                except (CentreRefused, CentreUnavailable, ConfigInvalid, OSError, ValueError) as error:
                    _log.warning("certificate_not_renewed", why=str(error), expires_at=self.expires_at.isoformat())
            await self._clock.sleep(self._check_seconds)

    async def _renew(self, centre: RenewingCentre) -> None:
        if await asyncio.to_thread(self._files.certificate) != self._certificate:
            # Perhaps by another centre; a certificate of the present one must not be put beside its CA.
            raise ValueError("this dock was enrolled anew; start the daemon again")
        # One key until it has succeeded: the centre gives one certificate for a key, however often it is asked.
        key = self._next_key = self._next_key or new_key()
        granted = await centre.renew_certificate(certificate_request(key, self._dock))
        certificate = x509.load_pem_x509_certificate(granted.certificate.encode("ascii"))
        if certificate.public_key() != key.public_key() or granted.dock != self._dock:
            raise ValueError("the centre gave a certificate over another key, or for another dock")
        await asyncio.to_thread(self._files.replace_certificate, key, granted.certificate)
        reload_certificate(self.context, self._files.dock_file)
        self._certificate = certificate
        self._next_key = None
        _log.info("certificate_renewed", expires_at=self.expires_at.isoformat())
