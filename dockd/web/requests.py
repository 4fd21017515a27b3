"""Which requests are let in at all, and the headers that every answer carries.

Three threats, all from a browser that shows some other site at the same time:
1. DNS rebinding: a foreign name is made to point at this host. Only known names in `Host` are served.
2. Cross-site requests that change something. `Sec-Fetch-Site` decides where the browser sends it (Fetch
   Metadata, W3C), else `Origin` must be our own; programs such as curl send neither and may pass.
3. Content that was injected. The policy lets in scripts, styles and pictures of ours and nothing else,
   nothing inline, no framing.

Knows nothing of who a person is: signing in is another matter.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from dockd.web.hosts import host_name

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: under that policy browsers send "Origin: null" with our own forms (Fetch
    # standard, "append a request Origin header"), and the check below could not tell them from
    # another site's. same-origin sends no more to anyone else than no-referrer does.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def guard_requests(app: web.Application, *, allowed_hosts: Collection[str]) -> None:
    """Make `app` refuse foreign hosts (421) and cross-site changes (403), and set the headers.

    `allowed_hosts` are host names or addresses without a port. Call it before other middlewares are
    added: the refusal must come first.
    """
    app.middlewares.append(_guard(frozenset(name.lower() for name in allowed_hosts)))
    app.on_response_prepare.append(_add_headers)


def is_cross_site(request: web.BaseRequest) -> bool:
    """Whether a browser says that another site caused this request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:
        return True
    # The scheme is not compared: behind a proxy that ends TLS, the daemon sees http.
    return parts.scheme not in ("http", "https") or parts.netloc.lower() != request.headers.get("Host", "").lower()


def _guard(allowed_hosts: frozenset[str]) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = host_name(request.headers.get("Host", ""))
        if name is None or name not in allowed_hosts:
            return web.Response(
                status=421,
                text="This page is not served under that name. IT: add the name to allowed_hosts.\n",
            )
        if request.method not in _SAFE_METHODS and is_cross_site(request):
            return web.Response(
                status=403,
                text="Another site asked for this, so nothing was changed. Open this page itself and try again.\n",
            )
        return await handler(request)

    return guard


async def _add_headers(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
