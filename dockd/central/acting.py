"""Who is acting, for facts about what people do. Knows the request only."""

from __future__ import annotations

from aiohttp import web

LOCAL = "local"
"""Whoever may use this machine: nobody signs in where the centre is reached from itself only."""


def acting_person(request: web.Request) -> str:  # noqa: ARG001 - sign-in reads the person from it
    """The name by which the person behind `request` is kept in facts."""
    return LOCAL
