"""For people, a refusal is a page; for programs it stays problem+json.

Knows only the difference between an address under `/api/` and any other. What is refused, and how a bug
is told, was decided in `dockd.web.problems`.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dockd.web.pages import Pages
from dockd.wire.problems import CONTENT_TYPE, Problem


def page_errors(pages: Pages) -> Middleware:
    """Make the middleware; it belongs directly outside `problem_middleware`."""

    @web.middleware
    async def show(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if request.path.startswith("/api/") or response.content_type != CONTENT_TYPE:
            return response
        if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
            return response
        kept = {
            name: response.headers[name]
            for name in ("Allow", "Retry-After", "WWW-Authenticate")
            if name in response.headers
        }
        problem = Problem.model_validate_json(response.body)
        return pages.respond("problem.html", status=problem.status, headers=kept, problem=problem)

    return show
