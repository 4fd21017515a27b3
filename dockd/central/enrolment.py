"""Who may come in as which dock: tokens, certificates, and taking them back.

The truth is in the database, so that any centre process asked by a dock a moment after a revocation says no; who was
invited, let in, renewed and put out stands in the centre's own facts too. Knows tokens and certificates as rows; the
keys are `authority`'s business, connections are the API's.

A token is good once. But a dock that was killed between the centre's answer and its own disk must be able to
ask again: the same token with the same key gets the same certificate, and with another key it is a replay.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from cryptography import x509
from sqlalchemy import Row, Select, Update, and_, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central.authority import Authority, dock_named_by, fingerprint_of, key_digest_of, parse_request, pem_of
from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database, insert_new
from dockd.central.enrolment_sites import check_site
from dockd.central.enrolment_tables import dock_certificates, enrolment_tokens
from dockd.central.refusals import (
    BAD_KEY_REQUEST,
    CERTIFICATE_EXPIRED,
    CERTIFICATE_REVOKED,
    CERTIFICATE_UNKNOWN,
    DOCK_KNOWN,
    NO_AUTHORITY,
    TOKEN_EXPIRED,
    TOKEN_OF_OTHER_DOCK,
    TOKEN_UNKNOWN,
    TOKEN_USED,
)
from dockd.central.shared_looks import SharedLooks
from dockd.central.tables import docks
from dockd.clock import Clock
from dockd.errors import NotFound
from dockd.model.canonical import Json
from dockd.model.ids import GENESIS, Digest, DockId
from dockd.model.moment import format_utc
from dockd.rules.receipts import PinnedStore
from dockd.web.problems import Refusal
from dockd.wire.enrolment import DockCertificate, EnrolmentRequest, InviteToken, token_hash

_log = structlog.get_logger(__name__)

_SECRET_BYTES = 32
_ENROLLED_ANEW = "the dock was enrolled anew"


_STANDINGS: Select[Any] = select(
    dock_certificates.c.fingerprint,
    dock_certificates.c.dock,
    dock_certificates.c.expires_at,
    dock_certificates.c.revoked_at,
    dock_certificates.c.revoked_because,
).where(dock_certificates.c.fingerprint.in_(bindparam("fingerprints", expanding=True)))


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """What a certificate of our CA says of itself, read once for each connection."""

    fingerprint: Digest
    dock: DockId | None
    """The dock that it names."""

    @classmethod
    def of(cls, der: bytes) -> ShownCertificate:
        """Read it from its DER form, which TLS has looked at already. Raises ValueError."""
        certificate = x509.load_der_x509_certificate(der)
        return cls(fingerprint_of(certificate), dock_named_by(certificate))


@dataclass(frozen=True, slots=True)
class EnrolledDock:
    """One dock's newest certificate, for people."""

    dock: str
    site: str
    expires_at: datetime
    revoked_at: datetime | None
    revoked_because: str | None


class Enrolment:
    """Gives tokens, takes them for certificates, renews and revokes those. Without an authority it only refuses."""

    def __init__(
        self,
        database: Database,
        authority: Authority | None,
        pinned: PinnedStore,
        clock: Clock,
        *,
        certificate_lifetime: timedelta,
    ) -> None:
        self._database = database
        self._facts = CentreFacts(database, clock)
        self._authority = authority
        self._pinned = pinned
        self._clock = clock
        self._certificate_lifetime = certificate_lifetime
        self._standings: SharedLooks[Digest, Row[Any]] = SharedLooks(self._standing_of)

    @property
    def authority(self) -> Authority:
        """The centre's CA. Raises Refusal (`no-authority`)."""
        if self._authority is None:
            raise Refusal(NO_AUTHORITY, "This centre was made without a certificate authority.")
        return self._authority

    async def invite(self, url: str, *, site: str, dock: str | None, valid: timedelta, actor: str) -> InviteToken:
        """A new token, good once and for so long; only its hash is kept.

        Raises BadRequest when the list of sites says otherwise; Refusal (409, 503, 507).
        """
        now = self._clock.now()
        token = InviteToken(
            url=url,
            ca=self.authority.fingerprint,
            store=self._pinned.store,
            key=self._pinned.key,
            public_key=self._pinned.public_key,
            site=site,
            dock=dock,
            expires_at=now + valid,
            secret=secrets.token_urlsafe(_SECRET_BYTES),
        )
        row = {
            "token_hash": token_hash(token.text),
            "site": site,
            "dock": dock,
            "created_at": now,
            "expires_at": token.expires_at,
        }
        async with self._database.writing() as connection:
            await check_site(connection, site, dock)
            await connection.execute(enrolment_tokens.insert(), [row])
            about: dict[str, Json] = {
                "token_hash": token_hash(token.text),
                "site": site,
                "dock": dock,
                "expires_at": format_utc(token.expires_at),
            }
            await self._facts.add_in(connection, kind="dock-invited", actor=actor, about=about)
        return token

    async def enrol(self, request: EnrolmentRequest) -> DockCertificate:
        """Take a token for a certificate; durable when this returns.

        Raises Refusal: `token-unknown`, `token-used`, `token-expired`, `token-of-other-dock`, `dock-known`,
        `bad-key-request`, `certificate-revoked`, `no-authority`, 503, 507.
        """
        authority = self.authority
        wanted = parse_request(request.request)
        key_digest = key_digest_of(wanted)
        now = self._clock.now()
        async with self._database.reading() as connection:  # a stranger without a token shall cost no transaction
            _check_known(await _token(connection, request.token))
        async with self._database.writing() as connection:
            # The dock before the token, as a revocation does: else the two could wait for each other.
            await _hold(connection, request.dock)
            # FOR UPDATE: two docks that come with one token at the same time come one after the other.
            token = _check_known(await _token(connection, request.token, is_held=True))
            if token.used_at is not None:
                return await self._again(connection, token, request.dock, key_digest)
            await _check_fresh(connection, token, request.dock, now)
            await connection.execute(_revocation(request.dock, now, _ENROLLED_ANEW))
            certificate = authority.issue_to_dock(request.dock, wanted, now, self._certificate_lifetime)
            await self._note(connection, certificate, request.dock, token.site)
            used = {"used_at": now, "used_by": request.dock, "used_key": key_digest}
            is_token = enrolment_tokens.c.token_hash == token_hash(request.token)
            await connection.execute(update(enrolment_tokens).where(is_token).values(**used))
            about = _about(certificate, request.dock) | {"site": token.site, "token_hash": token.token_hash}
            await self._facts.add_in(connection, kind="dock-enrolled", actor=f"dock:{request.dock}", about=about)
        _log.info("dock_enrolled", dock=request.dock, site=token.site)
        return self._answer(request.dock, pem_of(certificate))

    async def renew(self, dock: str, request_pem: str) -> DockCertificate:
        """The next certificate of an enrolled dock, over a key of its own; the present one stays good.

        The caller has proved who asks. Raises Refusal (`bad-key-request`, 503, 507).
        """
        wanted = parse_request(request_pem)
        is_key = dock_certificates.c.key_digest == key_digest_of(wanted)
        newest = (
            select(dock_certificates.c.site)
            .where(and_(dock_certificates.c.dock == dock, dock_certificates.c.revoked_at.is_(None)))
            .order_by(dock_certificates.c.issued_at.desc())
            .limit(1)
        )
        async with self._database.writing() as connection:
            await _hold(connection, dock)
            site = (await connection.execute(newest)).scalar_one_or_none()
            if site is None:  # revoked while it asked
                raise Refusal(CERTIFICATE_REVOKED, "This dock's certificates have been revoked.")
            held = (await connection.execute(select(dock_certificates).where(is_key))).one_or_none()
            if held is not None:
                if held.dock != dock or held.revoked_at is not None:
                    raise Refusal(BAD_KEY_REQUEST, "This key was used before; make a new one.")
                return self._answer(dock, held.certificate)
            certificate = self.authority.issue_to_dock(dock, wanted, self._clock.now(), self._certificate_lifetime)
            await self._note(connection, certificate, dock, site)
            about = _about(certificate, dock)
            await self._facts.add_in(connection, kind="dock-certificate-renewed", actor=f"dock:{dock}", about=about)
        _log.info("dock_certificate_renewed", dock=dock)
        return self._answer(dock, pem_of(certificate))

    async def revoke(self, dock: str, because: str, *, actor: str) -> int:
        """Take back every certificate and unused token of `dock`, at once; return how many certificates.

        Raises NotFound when it never had any; Refusal (503, 507).
        """
        now = self._clock.now()
        unused = and_(enrolment_tokens.c.dock == dock, enrolment_tokens.c.used_at.is_(None))
        async with self._database.writing() as connection:
            await _hold(connection, dock)
            if not await _has_certificate(connection, dock):
                raise NotFound(
                    f"No dock {dock} was ever enrolled here.", action="`dockd central docks list` names all."
                )
            revoked = (await connection.execute(_revocation(dock, now, because))).rowcount
            await connection.execute(update(enrolment_tokens).where(unused).values(expires_at=now))
            about: dict[str, Json] = {"dock": dock, "because": because, "certificates": revoked}
            await self._facts.add_in(connection, kind="dock-revoked", actor=actor, about=about)
        _log.warning("dock_revoked", dock=dock, because=because, certificates=revoked)
        return revoked

    async def dock_of(self, shown: ShownCertificate) -> DockId:
        """Which dock shows this certificate, now. The caller's TLS has proved that our CA signed it.

        Raises Refusal: `certificate-unknown`, `certificate-revoked`, `certificate-expired`, 503.
        """
        row = await self._standings.ask(shown.fingerprint)
        if row is None or row.dock != shown.dock:
            raise Refusal(
                CERTIFICATE_UNKNOWN,
                "This certificate is not on record at the centre (restored from an old copy?). "
                f"Enrol the dock again: {_ASK_FOR_TOKEN}",
            )
        if row.revoked_at is not None:
            raise _revoked(row)
        if self._clock.now() > row.expires_at:
            raise Refusal(
                CERTIFICATE_EXPIRED,
                f"The certificate of dock {row.dock} expired on {_words(row.expires_at)}. "
                f"Enrol the dock again: {_ASK_FOR_TOKEN}",
            )
        return DockId(row.dock)

    async def put_out(self, fingerprints: Collection[Digest]) -> frozenset[Digest]:
        """Those of these certificates that count no more: revoked, expired, or not on record. Raises Refusal (503)."""
        if not fingerprints:
            return frozenset()
        is_good = and_(
            dock_certificates.c.fingerprint.in_(fingerprints),
            dock_certificates.c.revoked_at.is_(None),
            dock_certificates.c.expires_at >= self._clock.now(),
        )
        async with self._database.looking() as connection:
            good = (await connection.execute(select(dock_certificates.c.fingerprint).where(is_good))).scalars()
            return frozenset(fingerprints) - {Digest(one) for one in good}

    async def enrolled(self) -> tuple[EnrolledDock, ...]:
        """Every dock that was ever enrolled, by name, with its newest certificate. Raises Refusal (503)."""
        newest_first = (dock_certificates.c.issued_at.desc(), dock_certificates.c.fingerprint)
        place = func.row_number().over(partition_by=dock_certificates.c.dock, order_by=newest_first)
        ranked = select(dock_certificates, place.label("place")).subquery()
        question = select(ranked).where(ranked.c.place == 1).order_by(ranked.c.dock)
        async with self._database.reading() as connection:
            rows = (await connection.execute(question)).all()
        return tuple(
            EnrolledDock(row.dock, row.site, row.expires_at, row.revoked_at, row.revoked_because) for row in rows
        )

    # --- inside -------------------------------------------------------------------------------

    async def _standing_of(self, fingerprints: Sequence[Digest]) -> Mapping[Digest, Row[Any]]:
        async with self._database.looking() as connection:
            rows = await connection.execute(_STANDINGS, {"fingerprints": list(fingerprints)})
            return {Digest(row.fingerprint): row for row in rows}

    async def _again(
        self, connection: AsyncConnection, token: Row[tuple[object, ...]], dock: str, key_digest: str
    ) -> DockCertificate:
        """A used token is shown: by the dock that used it, which did not hear the answer, or by somebody else."""
        if (token.used_by, token.used_key) != (dock, key_digest):
            raise Refusal(
                TOKEN_USED,
                f"This token enrolled dock {token.used_by} on {_words(token.used_at)} and is good only once. "
                "If that was not meant, revoke that dock at the centre. Ask for a new token.",
            )
        is_key = dock_certificates.c.key_digest == key_digest
        held = (await connection.execute(select(dock_certificates).where(is_key))).one()
        if held.revoked_at is not None:
            raise _revoked(held)
        return self._answer(dock, held.certificate)

    async def _note(self, connection: AsyncConnection, certificate: x509.Certificate, dock: str, site: str) -> None:
        row = {
            "fingerprint": fingerprint_of(certificate),
            "dock": dock,
            "site": site,
            "key_digest": key_digest_of(certificate),
            "certificate": pem_of(certificate),
            "issued_at": self._clock.now(),
            "expires_at": certificate.not_valid_after_utc,
        }
        await insert_new(connection, dock_certificates, [row])
        is_it = dock_certificates.c.fingerprint == row["fingerprint"]
        if (await connection.execute(select(dock_certificates.c.dock).where(is_it))).one_or_none() is None:
            # insert_new passed over it: another certificate was given for this key.
            raise Refusal(BAD_KEY_REQUEST, "This key was used before; make a new one.")

    def _answer(self, dock: str, certificate: str) -> DockCertificate:
        pinned = self._pinned
        return DockCertificate(
            dock=dock, certificate=certificate, store=pinned.store, key=pinned.key, public_key=pinned.public_key
        )


async def _check_fresh(connection: AsyncConnection, token: Row[tuple[object, ...]], dock: str, now: datetime) -> None:
    """Raise Refusal unless an unused token may enrol `dock` now."""
    if now > token.expires_at:
        raise Refusal(
            TOKEN_EXPIRED,
            f"This token was good until {_words(token.expires_at)}. Ask the centre's staff for a new one.",
        )
    if token.dock is not None:
        if token.dock != dock:
            raise Refusal(TOKEN_OF_OTHER_DOCK, f"This token is for dock {token.dock}, and this dock is {dock}.")
        return
    was_heard = and_(docks.c.dock == dock, docks.c.last_heard_at.is_not(None))
    has_facts = (await connection.execute(select(docks.c.dock).where(was_heard))).one_or_none() is not None
    if has_facts or await _has_certificate(connection, dock):
        raise Refusal(
            DOCK_KNOWN,
            f"The centre knows a dock {dock} already. Give this dock another id, or, if it is that very dock, "
            f"ask for a token made with --dock {dock}.",
        )


async def _token(connection: AsyncConnection, text: str, *, is_held: bool = False) -> Row[tuple[object, ...]] | None:
    question = select(enrolment_tokens).where(enrolment_tokens.c.token_hash == token_hash(text))
    return (await connection.execute(question.with_for_update() if is_held else question)).one_or_none()


def _check_known(token: Row[tuple[object, ...]] | None) -> Row[tuple[object, ...]]:
    if token is None:
        raise Refusal(TOKEN_UNKNOWN, "This centre has given no such token, or it was changed on its way.")
    return token


async def _hold(connection: AsyncConnection, dock: str) -> None:
    """Until the transaction ends nobody else enrols, renews or revokes this dock: a renewal that ran beside a
    revocation could else outlive it. (On SQLite the transaction is alone already.)
    """
    await insert_new(connection, docks, [{"dock": dock, "facts": 0, "head": GENESIS}])
    await connection.execute(select(docks.c.dock).where(docks.c.dock == dock).with_for_update())


def _about(certificate: x509.Certificate, dock: str) -> dict[str, Json]:
    """What a fact says of a certificate."""
    return {
        "dock": dock,
        "fingerprint": fingerprint_of(certificate),
        "expires_at": format_utc(certificate.not_valid_after_utc),
    }


async def _has_certificate(connection: AsyncConnection, dock: str) -> bool:
    question = select(dock_certificates.c.dock).where(dock_certificates.c.dock == dock).limit(1)
    return (await connection.execute(question)).one_or_none() is not None


def _revocation(dock: str, now: datetime, because: str) -> Update:
    mine = and_(dock_certificates.c.dock == dock, dock_certificates.c.revoked_at.is_(None))
    return update(dock_certificates).where(mine).values(revoked_at=now, revoked_because=because)


def _revoked(row: Row[tuple[object, ...]]) -> Refusal:
    return Refusal(
        CERTIFICATE_REVOKED,
        f"The certificate of dock {row.dock} was revoked on {_words(row.revoked_at)}: {row.revoked_because}. "
        f"If the dock is to come back, {_ASK_FOR_TOKEN}",
    )


_ASK_FOR_TOKEN = "ask the centre's staff for a token and run `dockd enrol TOKEN` on it."  # noqa: S105 - words


def _words(at: object) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
