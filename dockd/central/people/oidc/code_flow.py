"""The way to the identity provider and back: one attempt, one browser, once.

Each attempt has a state (which attempt), a nonce (which token), a PKCE verifier (which client) and the browser that
began it. Its row is taken away when the browser comes back, whatever comes of it, so that nothing can be used twice,
in whichever process it arrives.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from sqlalchemy import delete, insert, select

from dockd.central.database import Database
from dockd.central.people.oidc.claims import check_claims, proved_of, refused
from dockd.central.people.oidc.provider import Provider
from dockd.central.people.random_tokens import is_token, new_token, token_hash
from dockd.central.people.signing_in import Proved
from dockd.central.people.tables import oidc_attempts
from dockd.clock import Clock

CALLBACK_PATH = "/sign-in/oidc/back"
_LIFETIME = timedelta(minutes=10)
_LONGEST_CODE = 4_000


@dataclass(frozen=True, slots=True)
class CameBack:
    """Who came back, and where they wanted to go."""

    proved: Proved
    next: str


class CodeFlow:
    """Sends browsers to the provider and takes them back."""

    def __init__(self, database: Database, provider: Provider, clock: Clock) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock

    @property
    def label(self) -> str:
        """What the button says."""
        return self._provider.config.label

    async def close(self) -> None:
        """Leave the provider."""
        await self._provider.close()

    async def begin(self, *, visit: str, origin: str, next_path: str) -> str:
        """Where to send the browser that holds the token `visit`. Raises Refusal (503)."""
        endpoints = await self._provider.endpoints()
        state, nonce, verifier = new_token(), new_token(), new_token()
        now = self._clock.now()
        row = {
            "state_hash": token_hash(state),
            "visit_hash": token_hash(visit),
            "nonce": nonce,
            "verifier": verifier,
            "next": next_path,
            "began_at": now,
        }
        async with self._database.writing() as connection:
            await connection.execute(delete(oidc_attempts).where(oidc_attempts.c.began_at < now - _LIFETIME))
            await connection.execute(insert(oidc_attempts), [row])
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=")
        question = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": origin + CALLBACK_PATH,
            "scope": " ".join(self._provider.config.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.decode("ascii"),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in endpoints.authorization else "?"
        return f"{endpoints.authorization}{joint}{urlencode(question)}"

    async def come_back(self, untrusted_query: Mapping[str, str], *, visit: str | None, origin: str) -> CameBack:
        """Who it is that the provider sent back. Raises Refusal (401 `provider-refused`, 503)."""
        state = untrusted_query.get("state", "")
        if visit is None or not is_token(state):
            raise refused("This answer does not belong to an attempt that this browser began.")
        is_it = oidc_attempts.c.state_hash == token_hash(state)
        async with self._database.writing() as connection:
            row = (await connection.execute(select(oidc_attempts).where(is_it).with_for_update())).first()
            if row is not None and row.visit_hash == token_hash(visit):
                await connection.execute(delete(oidc_attempts).where(is_it))
        if row is None or row.visit_hash != token_hash(visit):
            raise refused("This answer does not belong to an attempt that this browser began.")
        if self._clock.now() - row.began_at > _LIFETIME:
            raise refused("That took more than ten minutes.")
        endpoints = await self._provider.endpoints()
        issuer = untrusted_query.get("iss")
        if issuer != self._provider.issuer and (issuer is not None or endpoints.tells_issuer):
            raise refused("Another identity provider sent this answer.")
        if "error" in untrusted_query:
            raise refused("The identity provider did not let this account in.")
        code = untrusted_query.get("code", "")
        if not 0 < len(code) <= _LONGEST_CODE:
            raise refused("The identity provider sent no code.")
        claims = await self._provider.claims_for(code, redirect_uri=origin + CALLBACK_PATH, verifier=row.verifier)
        checked = check_claims(
            claims,
            issuer=self._provider.issuer,
            client_id=self._provider.client_id,
            nonce=row.nonce,
            now_seconds=int(self._clock.now().timestamp()),
        )
        return CameBack(proved_of(checked, self._provider.config), row.next)
