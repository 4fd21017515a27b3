"""The three cookies, and the token that every form carries.

session   who has signed in; ends with the browser, or earlier at the centre
browser   that this person signed in here before: its own count of wrong passwords (see `lockout`)
visit     before signing in: binds the sign-in form, and the way to the identity provider, to this browser

Over https all are `__Host-` (RFC 6265bis): Secure, of this host alone, for every path. Lax and not Strict, because
the identity provider sends people back from another site, and links in alert mails must find who has signed in; what
changes something is guarded by the form's token and by where the request comes from.
"""

from __future__ import annotations

from aiohttp import web

from dockd.central.people.random_tokens import derived, is_equal, is_token, new_token

_SESSION, _BROWSER, _VISIT = "dockd-session", "dockd-browser", "dockd-visit"
_KNOWN_FOR_SECONDS = 366 * 24 * 3600
_FORM = "form"


class Cookies:
    """Reads and writes them. `is_https`: browsers reach the centre over https."""

    def __init__(self, *, is_https: bool) -> None:
        self._is_https = is_https

    def session(self, request: web.Request) -> str | None:
        """The session's token as the browser sent it, when it has the form of one."""
        return self._read(request, _SESSION)

    def browser(self, request: web.Request) -> str | None:
        """The token by which the browser is known."""
        return self._read(request, _BROWSER)

    def visit(self, request: web.Request) -> str | None:
        """The token of somebody who is about to sign in."""
        return self._read(request, _VISIT)

    def begin_visit(self, request: web.Request, response: web.Response) -> str:
        """The visit's token; a new one is set where there is none."""
        held = self.visit(request)
        token = held if held is not None else new_token()
        if held is None:
            self._write(response, _VISIT, token)
        return token

    def begin_session(self, response: web.StreamResponse, session_token: str, browser_token: str) -> None:
        """Signed in: a new session whatever cookie the browser came with, and the visit is over."""
        self._write(response, _SESSION, session_token)
        self._write(response, _BROWSER, browser_token, keep_seconds=_KNOWN_FOR_SECONDS)
        self._drop(response, _VISIT)

    def end_session(self, response: web.StreamResponse) -> None:
        """Signed out."""
        self._drop(response, _SESSION)

    def _read(self, request: web.Request, name: str) -> str | None:
        value = request.cookies.get(self._name(name))
        return value if value is not None and is_token(value) else None

    def _write(self, response: web.StreamResponse, name: str, value: str, *, keep_seconds: int | None = None) -> None:
        response.set_cookie(
            self._name(name),
            value,
            path="/",
            secure=self._is_https,
            httponly=True,
            samesite="Lax",
            max_age=keep_seconds,
        )

    def _drop(self, response: web.StreamResponse, name: str) -> None:
        response.del_cookie(self._name(name), path="/", secure=self._is_https, httponly=True, samesite="Lax")

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self._is_https else name


def form_token(secret: str) -> str:
    """What a form must carry that is sent by the holder of `secret`, a session's or visit's token."""
    return derived(secret, _FORM)


def is_form_token(untrusted: str, secret: str) -> bool:
    """Whether the form was made for the holder of `secret`."""
    return is_equal(untrusted, form_token(secret))
