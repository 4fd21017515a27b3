"""One identity provider over HTTP: its discovery document, its keys, and the exchange of a code for a token.

What is read is kept for an hour and asked again when a signature fits no key at hand, so that the provider may change
its keys at any moment; never more often than every half minute, so that forged tokens do not become its load. Nothing
kept here is the truth: another process asks for itself. Raises Refusal (503 `provider-away`, 401 `provider-refused`).
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import structlog

from dockd.central.people.config import OidcConfig
from dockd.central.people.oidc.claims import refused
from dockd.central.people.oidc.id_tokens import Jwk, UnknownKey, verified_claims
from dockd.central.refusals import PROVIDER_AWAY
from dockd.clock import Clock
from dockd.web.hosts import is_loopback
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)

_LARGEST_ANSWER_BYTES = 1024 * 1024
_PATIENCE_SECONDS = 10.0
_KEEP_SECONDS = 3600.0
_ASK_AGAIN_SECONDS = 30.0
_MOST_KEYS = 100


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the provider takes what. `tells_issuer`: its answers carry `iss` (RFC 9207)."""

    authorization: str
    token: str
    keys: str
    takes_basic: bool
    tells_issuer: bool


class Provider:
    """The provider of `config`, whose issuer and client id are set."""

    def __init__(self, config: OidcConfig, clock: Clock) -> None:
        if config.issuer is None or config.client_id is None:
            raise ValueError("no provider is configured")
        self.config = config
        self.issuer = config.issuer
        self.client_id = config.client_id
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._endpoints: tuple[float, Endpoints] | None = None
        self._keys: tuple[float, Sequence[Jwk]] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def close(self) -> None:
        """Leave; safe when never asked."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def endpoints(self) -> Endpoints:
        """Where to go, from the discovery document."""
        async with self._one_at_a_time:
            if self._endpoints is None or self._is_older(self._endpoints[0], _KEEP_SECONDS):
                address = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
                self._endpoints = (self._clock.monotonic(), self._read(await self._fetch("GET", address)))
            return self._endpoints[1]

    async def claims_for(self, code: str, *, redirect_uri: str, verifier: str) -> Mapping[str, Any]:
        """Exchange `code` and return the claims of the ID token, whose signature is right."""
        endpoints = await self.endpoints()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self.client_id,
            "code_verifier": verifier,
        }
        headers = {}
        secret = await asyncio.to_thread(self._secret)
        if secret is not None and endpoints.takes_basic:
            pair = f"{quote(self.client_id, safe='')}:{quote(secret, safe='')}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
        elif secret is not None:
            form["client_secret"] = secret
        answer = await self._fetch("POST", endpoints.token, form=form, headers=headers)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise refused("The identity provider gave no ID token.")
        return await self._verified(token, endpoints)

    async def _verified(self, token: str, endpoints: Endpoints) -> Mapping[str, Any]:
        try:
            return verified_claims(token, await self._known_keys(endpoints, _KEEP_SECONDS), self.config.algorithms)
        except UnknownKey:
            pass
        try:
            keys = await self._known_keys(endpoints, _ASK_AGAIN_SECONDS)
            return verified_claims(token, keys, self.config.algorithms)
        except UnknownKey:
            raise refused("The identity provider's answer is not signed with one of its keys.") from None

    async def _known_keys(self, endpoints: Endpoints, at_most_seconds: float) -> Sequence[Jwk]:
        async with self._one_at_a_time:
            if self._keys is None or self._is_older(self._keys[0], at_most_seconds):
                found = (await self._fetch("GET", endpoints.keys)).get("keys")
                if not isinstance(found, list):
                    raise _away("has no keys where it says that they are")
                keys = [one for one in found[:_MOST_KEYS] if isinstance(one, dict)]
                self._keys = (self._clock.monotonic(), keys)
            return self._keys[1]

    def _is_older(self, at_monotonic: float, seconds: float) -> bool:
        return self._clock.monotonic() - at_monotonic >= seconds

    def _read(self, document: Mapping[str, Any]) -> Endpoints:
        if document.get("issuer") != self.issuer:
            raise _away("calls itself by another name than `issuer` in the centre's configuration")
        ways = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return Endpoints(
            authorization=_address(document, "authorization_endpoint"),
            token=_address(document, "token_endpoint"),
            keys=_address(document, "jwks_uri"),
            takes_basic=not isinstance(ways, list) or "client_secret_basic" in ways,
            tells_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        )

    def _secret(self) -> str | None:
        if self.config.client_secret_file is None:
            return None
        file = Path(self.config.client_secret_file)
        try:
            if file.stat().st_mode & 0o077:
                _log.error("client_secret_open_to_others", file=str(file), action="chmod 600")
                raise _away("cannot be asked: the centre's secret for it can be read by others; tell IT")
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            _log.error("client_secret_unreadable", file=str(file), reason=str(error))
            raise _away("cannot be asked: the centre's secret for it cannot be read; tell IT") from error

    async def _fetch(
        self, method: str, address: str, *, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> Mapping[str, Any]:
        """A JSON object from the provider; without redirections, limited in size and time."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=_PATIENCE_SECONDS),
                headers={"Accept": "application/json", "User-Agent": "dockd"},
            )
        try:
            async with self._session.request(
                method, address, data=form, headers=headers, allow_redirects=False
            ) as response:
                body = await _limited(response)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _away(f"cannot be reached ({type(error).__name__})") from error
        if status >= 500:
            raise _away(f"answered with HTTP {status}")
        if status != 200:
            raise refused(f"The identity provider refused (HTTP {status}).")
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise _away("does not answer with JSON") from None
        if not isinstance(answer, dict):
            raise _away("does not answer with a JSON object")
        return answer


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LARGEST_ANSWER_BYTES:
            raise _away("answers with more than a mebibyte")
    return bytes(body)


def _address(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if isinstance(value, str):
        parts = urlsplit(value)
        if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))):
            return value
    raise _away(f"names no {name} with https")


def _away(what: str) -> Refusal:
    return Refusal(
        PROVIDER_AWAY, f"The identity provider {what}. Nobody was signed in; try again soon.", retry_after_seconds=15
    )
