"""The fixed table of files: no path of the disk can be asked for."""

from __future__ import annotations

from importlib import resources

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from jinja2 import UndefinedError

from dockd.web.assets import Assets
from dockd.web.pages import Pages, whole_units


async def test_files_are_served_for_ever_under_their_digest_and_nothing_else_is() -> None:
    app, assets = web.Application(), Assets()
    assets.attach(app)
    async with TestClient(TestServer(app)) as client:
        style = await client.get(assets.url("dockd.css"))
        assert style.status == 200
        assert style.content_type == "text/css"
        assert "immutable" in style.headers["Cache-Control"]
        old = await client.get("/static/dockd.css?v=000000000000")
        assert "immutable" not in old.headers["Cache-Control"]
        for path in ("/static/pages.py", "/static/..%2fpages.py", "/static/%2e%2e/pages.py", "/static/"):
            assert (await client.get(path)).status == 404


def test_an_unknown_file_has_no_address() -> None:
    with pytest.raises(KeyError):
        Assets().url("other.js")


def test_a_forgotten_value_is_an_error_and_not_an_empty_place() -> None:
    pages = Pages("dockd.dock.kiosk", Assets())
    with pytest.raises(UndefinedError):
        pages.render("tile.html")


def test_number_and_unit_stay_on_one_line() -> None:
    assert whole_units("at 43 %, 3.0 GB in 12 min") == "at 43\u00a0%, 3.0\u00a0GB in 12\u00a0min"
    assert whole_units("bay 3 has 4 sheets") == "bay 3 has 4 sheets"


def test_the_script_is_ours_alone_and_small() -> None:
    script = (resources.files("dockd.web") / "static" / "live.js").read_text(encoding="utf-8")
    assert "http://" not in script
    assert "https://" not in script
    assert "eval(" not in script
    assert len(script.splitlines()) < 200
