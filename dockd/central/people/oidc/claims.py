"""What an ID token must say before it proves anything, and what its claims mean here. Pure: no key, no network.

The signature was checked before (`id_tokens`). Rules of OpenID Connect Core 1.0, section 3.1.3.7. Raises Refusal
(401 `provider-refused`) in words that tell a person whom to ask, never a claim's content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockd.central.people.config import OidcConfig
from dockd.central.people.names import parse_line
from dockd.central.people.random_tokens import is_equal
from dockd.central.people.signing_in import Proved, site_of
from dockd.central.refusals import PROVIDER_REFUSED
from dockd.errors import BadRequest
from dockd.rules.roles import is_bound_to_site, role_of_claims
from dockd.web.problems import Refusal

CLOCKS_DIFFER_SECONDS = 60
_OLDEST_SECONDS = 600
_LONGEST_SUBJECT = 255  # OpenID Connect Core, section 2
_MOST_VALUES = 1_000


def check_claims(
    claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now_seconds: int
) -> Mapping[str, Any]:
    """Return `claims` when they are by `issuer`, for us, for this very attempt, and of now."""
    if claims.get("iss") != issuer:
        raise refused("The identity provider's answer is in another provider's name.")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences:
        raise refused("The identity provider's answer was made for another program.")
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != client_id:
        raise refused("The identity provider's answer was made for another program.")
    expires, issued = _seconds(claims, "exp"), _seconds(claims, "iat")
    if expires + CLOCKS_DIFFER_SECONDS <= now_seconds:
        raise refused("The identity provider's answer has expired.")
    if not now_seconds - _OLDEST_SECONDS <= issued <= now_seconds + CLOCKS_DIFFER_SECONDS:
        raise refused("The identity provider's answer is not of now; compare its clock with the centre's.")
    if "nbf" in claims and _seconds(claims, "nbf") > now_seconds + CLOCKS_DIFFER_SECONDS:
        raise refused("The identity provider's answer does not hold yet; compare its clock with the centre's.")
    given = claims.get("nonce")
    if not isinstance(given, str) or not is_equal(given, nonce):
        raise refused("The identity provider's answer belongs to another attempt to sign in.")
    return claims


def proved_of(claims: Mapping[str, Any], config: OidcConfig) -> Proved:
    """Who the checked claims say it is, with the role that they mean here."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or "\0" in subject:
        raise refused("The identity provider does not say who this is.")
    name = claims.get(config.name_claim)
    if not isinstance(name, str):
        raise refused(f"The identity provider does not give the claim {config.name_claim}.")
    role = role_of_claims(_texts(claims.get(config.role_claim)), config.roles)
    if role is None:
        raise refused("The identity provider gives this account no role at this centre.")
    site = claims.get(config.site_claim)
    if is_bound_to_site(role) and not isinstance(site, str):
        raise refused("The identity provider does not say at which site this account works.")
    full_name = claims.get("name")
    try:
        shown = parse_line(full_name if isinstance(full_name, str) and full_name.strip() else name, "The name")
    except BadRequest:
        shown = "name not readable"
    return Proved(
        issuer=str(claims["iss"]), subject=subject, name=name, full_name=shown, role=role, site=site_of(role, site)
    )


def refused(what: str) -> Refusal:
    """A refusal after which nobody is signed in."""
    return Refusal(PROVIDER_REFUSED, f"{what} Nobody was signed in. Try again; if it stays, tell IT.")


def _texts(value: Any) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset({value})
    if isinstance(value, list):
        return frozenset(one for one in value[:_MOST_VALUES] if isinstance(one, str))
    return frozenset()


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    # Not `isinstance(value, int)` alone: true is an int in Python. NumericDate may have a fraction (RFC 7519).
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise refused("The identity provider's answer says no time.")
    return int(value)
