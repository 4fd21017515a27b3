"""The few files that pages need: one style sheet, one script, one icon.

Read once into memory and served from a fixed table, so that no request names a path on disk. The
address carries the content's digest: a browser may keep a file for ever and never shows an old one.
"""

from __future__ import annotations

import hashlib
from importlib import resources

from aiohttp import web

_TYPES = {"dockd.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}


class Assets:
    """The static files, by name. Served at `/static/<name>` once `attach` was called."""

    def __init__(self) -> None:
        folder = resources.files("dockd.web") / "static"
        self._contents = {name: (folder / name).read_bytes() for name in _TYPES}
        self.version = hashlib.sha256(b"\0".join(self._contents.values())).hexdigest()[:12]

    def url(self, name: str) -> str:
        """The address of a file. Raises KeyError for a name that is not in the table."""
        if name not in self._contents:
            raise KeyError(name)
        return f"/static/{name}?v={self.version}"

    def attach(self, app: web.Application) -> None:
        """Serve the files from `app`."""
        app.router.add_get("/static/{name}", self._serve)

    async def _serve(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        content = self._contents.get(name)
        if content is None:
            raise web.HTTPNotFound(text="There is no such file.")
        is_this_version = request.query.get("v") == self.version
        keep = "public, max-age=31536000, immutable" if is_this_version else "no-cache"
        return web.Response(body=content, content_type=_TYPES[name], charset="utf-8", headers={"Cache-Control": keep})
