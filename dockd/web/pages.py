"""The one way in which HTML is made here: Jinja2 with autoescape on and undefined names refused.

Knows where templates lie (`dockd/web/templates` and the folder of the package that asks) and the
words of `dockd.web.text`; knows nothing of docks, bays or recordings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from dockd.web import text
from dockd.web.assets import Assets

_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
_AMOUNT = re.compile(r"(?<=\d) (?=%|[kMGTP]?B\b|min\b|h\b|s\b)")


class Pages:
    """Renders the templates of one package on top of the shared ones; `words` are functions that all may call."""

    def __init__(
        self, package: str, assets: Assets, *, words: Mapping[str, Callable[..., object]] | None = None
    ) -> None:
        self._environment = Environment(
            loader=ChoiceLoader([PackageLoader(package), PackageLoader("dockd.web")]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            {
                "size": text.size_in_words,
                "rate": text.rate_in_words,
                "duration": text.duration_in_words,
                "utc": text.utc_time,
                "local": text.local_time,
                "clock_offset": text.clock_offset_in_words,
                "counted": text.count_in_words,
                "unbroken": unbroken,
                "whole_units": whole_units,
            }
        )
        self._environment.globals.update({"asset": assets.url, "assets_version": assets.version, **(words or {})})

    def render(self, template: str, **values: Any) -> str:
        """HTML of `template`. Every value is escaped unless the template itself is markup."""
        return self._environment.get_template(template).render(**values)

    def respond(
        self, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> web.Response:
        """A whole page, never kept by a cache: it is the picture of one moment."""
        return web.Response(
            text=self.render(template, **values),
            content_type="text/html",
            charset="utf-8",
            status=status,
            headers={"Cache-Control": "no-store", **(headers or {})},
        )


def unbroken(words: str) -> str:
    """Keep all of `words` on one line."""
    return words.replace(" ", _NO_BREAK_SPACE)


def whole_units(words: str) -> str:
    """Keep a number and its unit on one line: `43 %`, `3.0 GB`, `12 min`."""
    return _AMOUNT.sub(_NO_BREAK_SPACE, words)
