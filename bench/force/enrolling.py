"""Every dock of a force enrolled with the bench's centre: a token, a key and a certificate for each, by their own code.

Knows the centre's enrolment and TLS. Must not know what docks say.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from dockd.central.authority import load_authority
from dockd.central.database import Database
from dockd.central.enrolment import Enrolment
from dockd.clock import SystemClock
from dockd.dock.centre_tls import context_trusting
from dockd.dock.enrolment_files import certificate_request, new_key, private_pem
from dockd.rules.receipts import PinnedStore
from dockd.wire.enrolment import EnrolmentRequest

_VALID = timedelta(days=1)


async def enrol_all(
    home: Path, database_url: str, pinned: PinnedStore, *, docks_url: str, docks: Sequence[str]
) -> list[ssl.SSLContext]:
    """What each of `docks` shows the centre in `home` from now on, in their order."""
    authority = load_authority(home)
    assert authority is not None, f"the centre in {home} was made without a CA"
    shown = home.parent / "dock.pem"
    shown.touch(mode=0o600)
    contexts: list[ssl.SSLContext] = []
    database = Database(database_url)
    await database.open()
    try:
        enrolment = Enrolment(database, authority, pinned, SystemClock(), certificate_lifetime=_VALID)
        for dock in docks:
            key = new_key()
            token = await enrolment.invite(docks_url, site="Bench", dock=dock, valid=_VALID, actor="bench")
            given = await enrolment.enrol(
                EnrolmentRequest(dock=dock, token=token.text, request=certificate_request(key, dock))
            )
            shown.write_bytes(private_pem(key) + given.certificate.encode("ascii"))
            context = context_trusting(authority.pem)
            context.load_cert_chain(shown)
            contexts.append(context)
    finally:
        await database.close()
    return contexts
