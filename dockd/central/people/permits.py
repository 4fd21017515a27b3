"""What each address of the centre asks of whoever calls it: one table for every API call and every page.

An address that is not here is served to nobody once people sign in, and a test fails for it. `Reach` says how an answer
keeps to the site of people who are bound to one; `Look` that every call is kept as a fact before it is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from dockd.rules.roles import Permission


class Gate(Enum):
    """What needs no permission of a role."""

    ANYONE = "anyone"
    """Not even signing in: what is needed in order to sign in, and what is public."""
    SIGNED_IN = "signed-in"
    """Whoever has signed in: their own account."""
    INVITED = "invited"
    """Whoever brings a token of one use, which the call itself looks at; no cookie counts, so none is asked about."""
    DOCKS = "docks"
    """An enrolled dock with its certificate; never a person."""


class Reach(Enum):
    """How far an answer goes for somebody who is bound to one site."""

    FORCE = "force"
    """It is of all sites together, so they are not answered."""
    DOCK = "dock"
    """It is of the dock in the address, which must stand at their site."""
    OWN = "own"
    """The call leaves out what is elsewhere (`acting.seen_docks`)."""


class Look(Enum):
    """What is looked at, as the fact `Looked` tells it."""

    CUSTODY = "custody"
    RECEIPT = "receipt"
    FACTS = "facts"
    MANIFEST = "manifest"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Permit:
    """What one address asks."""

    asks: Permission | Gate
    reach: Reach = Reach.FORCE
    look: Look | None = None
    notes_itself: bool = False
    """The call writes its own fact about the look, with what was asked."""


_ANYONE = Permit(Gate.ANYONE)
_SIGNED_IN = Permit(Gate.SIGNED_IN)
_DOCKS = Permit(Gate.DOCKS)
_PEOPLE = Permit(Permission.MANAGE_PEOPLE)
_FORCE = Permit(Permission.SEE_FORCE)
_CUSTODY = Permit(Permission.SEE_CUSTODY, notes_itself=True)
_DECIDE = Permit(Permission.DECIDE_RETENTION)
_POLICY = Permit(Permission.SET_POLICY)
_RUN = Permit(Permission.RUN_DOCKS)
_DOCK = Permit(Permission.SEE_DOCKS, Reach.DOCK)

PERMITS: Final[dict[tuple[str, str], Permit]] = {
    # --- the API --------------------------------------------------------------------------------
    ("GET", "/api/v1/openapi.json"): _ANYONE,
    ("GET", "/api/v1/store"): _ANYONE,
    ("GET", "/api/v1/store/checks"): _FORCE,
    ("GET", "/api/v1/rollout"): _FORCE,
    ("GET", "/api/v1/rollout/sites"): _FORCE,
    ("GET", "/api/v1/docks"): Permit(Permission.SEE_DOCKS, Reach.OWN),
    ("GET", "/api/v1/docks/{dock}/facts/head"): _DOCK,
    ("GET", "/api/v1/docks/{dock}/facts"): Permit(Permission.SEE_CUSTODY, look=Look.FACTS),
    ("PUT", "/api/v1/docks/{dock}/facts"): _DOCKS,
    ("PUT", "/api/v1/docks/{dock}/status"): _DOCKS,
    ("GET", "/api/v1/docks/{dock}/orders"): _DOCKS,
    ("POST", "/api/v1/recordings"): _DOCKS,
    ("GET", "/api/v1/uploads/{upload}"): _DOCKS,
    ("POST", "/api/v1/uploads/{upload}/complete"): _DOCKS,
    ("PUT", "/api/v1/uploads/{upload}/parts/{number}"): _DOCKS,
    ("GET", "/api/v1/recordings"): Permit(Permission.SEE_RECORDINGS, Reach.OWN),
    ("GET", "/api/v1/recordings/{digest}"): Permit(Permission.SEE_CUSTODY, look=Look.CUSTODY),
    ("GET", "/api/v1/recordings/{digest}/content"): Permit(Permission.TAKE_FOOTAGE, look=Look.CONTENT),
    ("PUT", "/api/v1/sessions/{dock}/{session}/manifests/{name}"): _DOCKS,
    ("GET", "/api/v1/sessions/{dock}/{session}/manifests/{name}"): Permit(Permission.SEE_CUSTODY, look=Look.MANIFEST),
    ("GET", "/api/v1/enrolment/authority"): _ANYONE,
    ("POST", "/api/v1/enrolment"): Permit(Gate.INVITED),
    ("POST", "/api/v1/docks/{dock}/certificate"): _DOCKS,
    ("GET", "/api/v1/fleet"): _FORCE,
    ("GET", "/api/v1/fleet/sites"): _FORCE,
    ("GET", "/api/v1/fleet/search"): _FORCE,
    ("GET", "/api/v1/docks/{dock}/faults"): _DOCK,
    ("GET", "/api/v1/alerts"): _FORCE,
    ("GET", "/api/v1/alerts/{number}"): _FORCE,
    ("POST", "/api/v1/alerts/{number}/acknowledge"): _RUN,
    ("GET", "/api/v1/silences"): _FORCE,
    ("POST", "/api/v1/silences"): _RUN,
    ("POST", "/api/v1/silences/{number}/end"): _RUN,
    ("GET", "/api/v1/custody/recordings"): _CUSTODY,
    ("GET", "/api/v1/custody/sessions"): _CUSTODY,
    ("GET", "/api/v1/custody/holders"): _CUSTODY,
    ("GET", "/api/v1/custody/conflicts"): _CUSTODY,
    ("GET", "/api/v1/custody/export/{name}"): _CUSTODY,
    ("GET", "/api/v1/custody/bundle.tar"): _CUSTODY,
    ("GET", "/api/v1/retention"): _DECIDE,
    ("GET", "/api/v1/retention/policies"): _DECIDE,
    ("PUT", "/api/v1/retention/policies/{category}"): _POLICY,
    ("POST", "/api/v1/retention/classifications"): _DECIDE,
    ("GET", "/api/v1/retention/recordings/{digest}"): _DECIDE,
    ("GET", "/api/v1/retention/holds"): _DECIDE,
    ("POST", "/api/v1/retention/holds"): _DECIDE,
    ("POST", "/api/v1/retention/holds/{hold}/release"): _DECIDE,
    ("GET", "/api/v1/retention/tonight"): _DECIDE,
    ("POST", "/api/v1/retention/stops/{list_digest}/answer"): _POLICY,
    # --- pages ----------------------------------------------------------------------------------
    ("GET", "/static/{name}"): _ANYONE,
    ("GET", "/"): Permit(Permission.SEE_DOCKS, Reach.OWN),
    ("GET", "/docks/{dock}"): _DOCK,
    ("GET", "/docks/{dock}/recordings/{recording}"): Permit(Permission.SEE_CUSTODY, look=Look.CUSTODY),
    ("GET", "/sessions/{dock}/{session}"): _DOCK,
    ("GET", "/recordings"): Permit(Permission.SEE_RECORDINGS, Reach.OWN),
    ("GET", "/recordings/{digest}"): Permit(Permission.SEE_CUSTODY, look=Look.CUSTODY),
    ("GET", "/recordings/{digest}/receipt.json"): Permit(Permission.SEE_CUSTODY, look=Look.RECEIPT),
    ("GET", "/store"): _FORCE,
    ("GET", "/rollout"): _FORCE,
    ("GET", "/rollout/sites"): _FORCE,
    ("GET", "/custody"): _CUSTODY,
    ("GET", "/retention"): _DECIDE,
    ("GET", "/retention/tonight.csv"): _DECIDE,
    ("GET", "/retention/holds"): _DECIDE,
    ("POST", "/retention/holds"): _DECIDE,
    ("POST", "/retention/holds/{hold}/release"): _DECIDE,
    ("GET", "/retention/policies"): _DECIDE,
    ("POST", "/retention/policies"): _POLICY,
    ("POST", "/retention/recordings/{digest}"): _DECIDE,
    ("POST", "/retention/stops/{list_digest}"): _POLICY,
    ("GET", "/fleet"): _FORCE,
    ("GET", "/fleet/sites"): _FORCE,
    ("GET", "/fleet/search"): _FORCE,
    ("GET", "/alerts"): _FORCE,
    ("GET", "/alerts/{number}"): _FORCE,
    ("POST", "/alerts/{number}/acknowledge"): _RUN,
    ("POST", "/silences"): _RUN,
    ("POST", "/silences/{number}/end"): _RUN,
    # --- signing in, one's own account, people ----------------------------------------------------
    ("GET", "/sign-in"): _ANYONE,
    ("POST", "/sign-in"): _ANYONE,
    ("GET", "/sign-in/oidc"): _ANYONE,
    ("GET", "/sign-in/oidc/back"): _ANYONE,
    ("POST", "/sign-out"): _SIGNED_IN,
    ("GET", "/account"): _SIGNED_IN,
    ("POST", "/account/password"): _SIGNED_IN,
    ("POST", "/account/sessions/{session}/end"): _SIGNED_IN,
    ("POST", "/account/sessions/end-others"): _SIGNED_IN,
    ("POST", "/account/tokens"): _SIGNED_IN,
    ("POST", "/account/tokens/{token}/revoke"): _SIGNED_IN,
    ("GET", "/people"): _PEOPLE,
    ("POST", "/people"): _PEOPLE,
    ("GET", "/people/{person}"): _PEOPLE,
    ("POST", "/people/{person}/role"): _PEOPLE,
    ("POST", "/people/{person}/disable"): _PEOPLE,
    ("POST", "/people/{person}/enable"): _PEOPLE,
    ("POST", "/people/{person}/unlock"): _PEOPLE,
    ("POST", "/people/{person}/end-sessions"): _PEOPLE,
    ("POST", "/people/{person}/reset-password"): _PEOPLE,
    ("POST", "/people/{person}/tokens/{token}/revoke"): _PEOPLE,
}
"""By method and path as it is registered. HEAD is as GET."""

BEFORE_NEW_PASSWORD: Final = frozenset({("GET", "/account"), ("POST", "/account/password"), ("POST", "/sign-out")})
"""All that somebody may do whose password was set by another person."""


def permit_for(method: str, path: str) -> Permit | None:
    """The entry of an address; None where there is none."""
    return PERMITS.get(("GET" if method == "HEAD" else method, path))
