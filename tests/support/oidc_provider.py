"""A small OpenID Connect provider over real HTTP with real keys: honest unless a test asks it to lie.

It checks what a provider must check (client, redirect address, PKCE, code used once) by itself, so that a client that
forgets one of them is refused here. `python -m tests.support.oidc_provider PORT CLIENT REDIRECT_URI` serves one that
signs everybody in as the account in `login_hint`, or the first one.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode

from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

Claims = dict[str, Any]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def number(value: int, size_bytes: int) -> str:
    return b64(value.to_bytes(size_bytes, "big"))


class SigningKey:
    """RS256 or ES256, with the name under which its public half is published."""

    def __init__(self, algorithm: str = "RS256", kid: str | None = None) -> None:
        self.algorithm = algorithm
        self.kid = kid or secrets.token_hex(4)
        self._rsa = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else None
        self._ec = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else None

    def jwk(self) -> dict[str, str]:
        """The public half."""
        shared = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self._rsa is not None:
            numbers = self._rsa.public_key().public_numbers()
            return {**shared, "kty": "RSA", "n": number(numbers.n, 256), "e": number(numbers.e, 3)}
        assert self._ec is not None
        point = self._ec.public_key().public_numbers()
        return {**shared, "kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)}

    def public_pem(self) -> bytes:
        assert self._rsa is not None
        return self._rsa.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, claims: Claims, header: dict[str, Any] | None = None) -> str:
        """A JWS in compact form."""
        head = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT", **(header or {})}
        signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
        if self._rsa is not None:
            raw = self._rsa.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            assert self._ec is not None
            r, s = decode_dss_signature(self._ec.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
            raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{signed}.{b64(raw)}"


def unsigned(claims: Claims) -> str:
    """A token with `alg` none."""
    return f"{b64(json.dumps({'alg': 'none'}).encode())}.{b64(json.dumps(claims).encode())}."


def signed_with_public_key(key: SigningKey, claims: Claims) -> str:
    """The public key taken for the secret of an HMAC: works where the token may choose how it is checked."""
    head = {"alg": "HS256", "kid": key.kid, "typ": "JWT"}
    signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{signed}.{b64(hmac.new(key.public_pem(), signed.encode(), hashlib.sha256).digest())}"


@dataclass
class Lies:
    """How it lies; honest as it is."""

    change_claims: Callable[[Claims], Claims] = lambda claims: claims
    make_token: Callable[[SigningKey, Claims], str] = lambda key, claims: key.sign(claims)
    change_discovery: Callable[[dict[str, Any]], dict[str, Any]] = lambda document: document
    answer_iss: str | None = None
    takes_codes_again: bool = False
    checks_pkce: bool = True
    is_broken: bool = False


@dataclass
class Provider:
    """The provider. `accounts` are the claims of those whom it knows."""

    client_id: str
    redirect_uris: set[str]
    client_secret: str | None = None
    now: Callable[[], float] = time.time
    key: SigningKey = field(default_factory=SigningKey)
    published: list[SigningKey] = field(default_factory=list)
    accounts: list[Claims] = field(default_factory=list)
    lies: Lies = field(default_factory=Lies)
    issuer: str = ""
    asked: list[str] = field(default_factory=list)
    """Every path that was asked, in order."""
    given_codes: dict[str, tuple[dict[str, str], Claims]] = field(default_factory=dict)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self.discovery)
        app.router.add_get("/authorize", self.authorize)
        app.router.add_post("/token", self.token)
        app.router.add_get("/keys", self.keys)
        return app

    async def discovery(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.lies.is_broken:
            return web.Response(status=503)
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return web.json_response(self.lies.change_discovery(document))

    async def authorize(self, request: web.Request) -> web.Response:
        """Signs in whoever `login_hint` names and sends the browser back, as a real one does after its own pages."""
        self.asked.append(request.path)
        asked = dict(request.query)
        if asked.get("client_id") != self.client_id or asked.get("redirect_uri") not in self.redirect_uris:
            return web.Response(status=400, text="unknown client or redirect_uri")
        if asked.get("response_type") != "code" or "openid" not in asked.get("scope", "").split():
            return web.Response(status=400, text="not an OpenID Connect code request")
        if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
            return web.Response(status=400, text="PKCE is required")
        wanted = asked.get("login_hint")
        account = next((one for one in self.accounts if wanted in (None, one["preferred_username"])), None)
        back = {"state": asked.get("state", ""), "iss": self.lies.answer_iss or self.issuer}
        if account is None:
            back["error"] = "access_denied"
        else:
            back["code"] = secrets.token_urlsafe(16)
            self.given_codes[back["code"]] = (asked, account)
        return web.Response(status=303, headers={"Location": f"{asked['redirect_uri']}?{urlencode(back)}"})

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        form = {name: str(value) for name, value in (await request.post()).items()}
        if not self._is_client(request, form):
            return web.json_response({"error": "invalid_client"}, status=401)
        take = self.given_codes.get if self.lies.takes_codes_again else self.given_codes.pop
        code = form.get("code", "")
        asked, account = take(code, None) if code in self.given_codes else (None, {})  # type: ignore[misc]
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if self.lies.checks_pkce and challenge != asked["code_challenge"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(self.now())
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 300,
            "nonce": asked.get("nonce"),
            **account,
        }
        token = self.lies.make_token(self.key, self.lies.change_claims(claims))
        return web.json_response({"access_token": "x", "token_type": "Bearer", "id_token": token})

    async def keys(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.json_response({"keys": [one.jwk() for one in self.published or [self.key]]})

    def _is_client(self, request: web.Request, form: dict[str, str]) -> bool:
        if self.client_secret is None:
            return form.get("client_id") == self.client_id
        scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return False
        name, _, secret = base64.b64decode(pair).decode().partition(":")
        return (unquote(name), unquote(secret)) == (self.client_id, self.client_secret)


@asynccontextmanager
async def serving_provider(provider: Provider, port: int = 0) -> AsyncIterator[Provider]:
    """Serve it on loopback; its issuer is then its address."""
    runner = web.AppRunner(provider.app())
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield provider
    finally:
        await runner.cleanup()


async def _main(port: int, client_id: str, redirect_uri: str) -> None:
    account = {"sub": "42", "preferred_username": "olga", "name": "Olga O.", "groups": ["bwv-it"]}
    provider = Provider(client_id, {redirect_uri}, key=SigningKey("ES256"), accounts=[account])
    async with serving_provider(provider, port):
        print("serving", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
