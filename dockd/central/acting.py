"""Who is acting: for facts about what people do, and for pages that say who looks. Knows the request only.

The doors write it down (`dockd.central.people.door`, and the docks' door for a dock with a certificate); everybody
else reads it here.
"""

from __future__ import annotations

from aiohttp import web

from dockd.central.people.sessions import SignedIn

LOCAL = "local"
"""Whoever may use this machine: nobody signs in where the centre is reached from itself only."""

_SIGNED_IN: web.RequestKey[SignedIn] = web.RequestKey("dockd_signed_in", SignedIn)
_CALLING_DOCK: web.RequestKey[str] = web.RequestKey("dockd_calling_dock_name", str)
_SEEN_DOCKS: web.RequestKey[frozenset[str]] = web.RequestKey("dockd_seen_docks", frozenset)


def acting_person(request: web.Request) -> str:
    """The name by which whoever is behind `request` is kept in facts: a person's, `dock:` and a dock's, or `local`."""
    person = signed_in(request)
    if person is not None:
        return person.person
    dock = calling_dock(request)
    return f"dock:{dock}" if dock is not None else LOCAL


def signed_in(request: web.Request) -> SignedIn | None:
    """The person who has signed in; None where nobody did or nobody has to."""
    return request.get(_SIGNED_IN)


def calling_dock(request: web.Request) -> str | None:
    """The dock whose certificate was shown and found good; the docks' door sets it with `note_dock`."""
    return request.get(_CALLING_DOCK)


def seen_docks(request: web.Request) -> frozenset[str] | None:
    """The docks of which this request may be told; None: of all.

    A call or page whose entry in `people.permits` says `Reach.OWN` must leave out what is of other docks.
    """
    return request.get(_SEEN_DOCKS)


def note_person(request: web.Request, person: SignedIn) -> None:
    """For the people's door alone."""
    request[_SIGNED_IN] = person


def note_dock(request: web.Request, dock: str) -> None:
    """For the docks' door alone: this request comes from that dock, proved by its certificate."""
    request[_CALLING_DOCK] = dock


def note_seen_docks(request: web.Request, docks: frozenset[str]) -> None:
    """For the people's door alone."""
    request[_SEEN_DOCKS] = docks
