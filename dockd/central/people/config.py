"""The sections `[people]` and `[oidc]`: how long sessions last, and which identity provider is believed."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from dockd.rules.roles import Role
from dockd.section import Section
from dockd.web.hosts import host_name, is_loopback

if TYPE_CHECKING:  # not installed where nobody signs in
    from argon2 import PasswordHasher

ClaimText = Annotated[str, StringConstraints(min_length=1, max_length=200)]
RoleText = Annotated[Role, Field(strict=False)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"]


class PeopleConfig(Section):
    """The `[people]` section. It counts where `[central] sign_in = "required"`."""

    url: str | None = Field(
        default=None,
        pattern=r"^https?://[A-Za-z0-9.:\[\]_-]+$",
        description="How browsers reach the pages (no path), like `https://centre.example`: cookies are then for https "
        "only, and the identity provider sends people back there. Needed behind a proxy.",
    )
    idle_minutes: int = Field(
        default=30, ge=1, le=24 * 60, description="A session in which nothing was asked for so long is over."
    )
    session_hours: int = Field(
        default=12, ge=1, le=24 * 7, description="However busy, a session is over after so long: one shift."
    )
    token_days: int = Field(
        default=90, ge=1, le=366, description="How long a token for scripts holds from the day it was made."
    )
    hashing_at_once: int = Field(
        default=2, ge=1, le=32, description="Passwords compared at the same time; each takes 64 MiB and some 0.1 s."
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="Addresses of the proxies whose `X-Forwarded-For` is believed, so that lock-outs and sessions "
        "tell one client from another. The proxy must set or extend that header itself.",
    )

    @property
    def served_names(self) -> frozenset[str]:
        """The host name in `url`."""
        name = host_name(self.url.partition("://")[2]) if self.url else None
        return frozenset({name}) if name else frozenset()

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the pages over https, as far as `url` says."""
        return (self.url or "").startswith("https://")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            ipaddress.ip_address(one)  # its ValueError says what is wrong
        return given


class OidcConfig(Section):
    """The `[oidc]` section: people sign in at the force's own identity provider. Without it: passwords only."""

    issuer: str | None = Field(
        default=None,
        max_length=500,
        description="The provider's issuer, exactly as its discovery document says it; https, or http on loopback.",
    )
    client_id: ClaimText | None = Field(default=None, description="This centre's name at the provider.")
    client_secret_file: str | None = Field(
        default=None, min_length=1, description="File with the client's secret, mode 0600. Without it: PKCE alone."
    )
    label: ClaimText = Field(default="Sign in with the force's account", description="What the button says.")
    scopes: tuple[ClaimText, ...] = Field(
        default=("openid", "profile"), strict=False, description="What is asked for; `openid` must be among it."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "ES256", "PS256"),
        min_length=1,
        strict=False,
        description="Signatures that are believed. Only ones with a public key can be named.",
    )
    name_claim: ClaimText = Field(
        default="preferred_username", description="The claim that becomes the person's name here at the first sign-in."
    )
    role_claim: ClaimText = Field(default="groups", description="The claim, a text or a list, that gives the role.")
    roles: dict[str, RoleText] = Field(
        default={},
        description='What the values of that claim mean, like `{ "bwv-auditors" = "auditor" }`; the first that a '
        "person has counts.",
    )
    site_claim: ClaimText = Field(default="site", description="The claim that names the site of station staff.")

    @field_validator("issuer")
    @classmethod
    def _is_https(cls, text: str | None) -> str | None:
        if text is not None:
            parts = urlsplit(text)
            is_near = parts.scheme == "http" and is_loopback(parts.hostname or "")
            if not (parts.scheme == "https" or is_near) or not parts.hostname or parts.query or parts.fragment:
                raise ValueError("an issuer begins with https:// (http:// on loopback only), without a query")
        return text

    @model_validator(mode="after")
    def _is_whole(self) -> OidcConfig:
        if self.issuer is None:
            return self
        if self.client_id is None:
            raise ValueError("issuer is given without client_id")
        if "openid" not in self.scopes:
            raise ValueError("`openid` is missing among the scopes")
        if not self.roles:
            raise ValueError("roles is empty: nobody could sign in")
        return self


@dataclass(frozen=True, slots=True)
class SignInConfig:
    """Both sections together. `hasher` says what one comparison of passwords costs; None: what is right today."""

    people: PeopleConfig = field(default_factory=PeopleConfig)
    oidc: OidcConfig = field(default_factory=OidcConfig)
    hasher: PasswordHasher | None = None


NO_PEOPLE = SignInConfig()
"""The defaults: passwords only. They count where `[central] sign_in` says so."""
