"""The description and the server are the same list."""

from __future__ import annotations

import json
import re
from typing import Any

from aiohttp import web

from dockd.central.api import routes
from dockd.central.api.openapi import describe
from dockd.central.api.routes import ROUTES, add_api
from dockd.central.refusals import CENTRE_KINDS, OF_PAGES
from dockd.web.problems import GENERAL_KINDS
from dockd.wire import messages

DOCUMENT: dict[str, Any] = describe(ROUTES, title="t", version="1")


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }


def test_every_registered_route_is_described_and_every_described_one_registered() -> None:
    app = web.Application()
    add_api(app)
    registered = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource}
    assert registered == set(operations())


def test_wire_table_and_description_name_the_same_calls() -> None:
    """`wire/messages.py` is what docks are written against."""
    text = messages.__doc__ or ""
    named = re.findall(r"^\| `(GET|PUT|POST)\s+(/\S+)`?", text, flags=re.MULTILINE)
    described = {(method, path) for method, path in operations()}
    assert len(named) > 10
    for method, path in named:
        bare = path.strip("`").split("?")[0].replace("/…", "/api/v1/docks")
        assert (method, bare) in described, (method, bare)


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        place: Any = DOCUMENT
        for step in reference.split("/"):
            place = place[step]


def test_path_values_are_those_in_the_path() -> None:
    for (_, path), operation in operations().items():
        named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path))


def test_operation_names_and_problem_codes_are_unique() -> None:
    names = [operation["operationId"] for operation in operations().values()]
    assert len(set(names)) == len(names)
    codes = [kind.code for kind in (*GENERAL_KINDS, *CENTRE_KINDS, *OF_PAGES)]
    assert len(set(codes)) == len(codes)


def test_every_problem_of_the_centre_is_described_somewhere() -> None:
    described = {kind for route in ROUTES for kind in route.problems}
    # A bad manifest name is refused by the address already; the code guards the inner door.
    assert {kind.code for kind in set(CENTRE_KINDS) - described} == {"bad-name"}


def test_times_have_their_one_form() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    claim = schemas["Claim"] if "Claim" in schemas else schemas["Claim-Input"]
    assert "pattern" in claim["properties"]["recorded_at"]["anyOf"][0]


def test_served_document_is_json_of_this() -> None:
    assert json.loads(routes._DOCUMENT)["paths"] == DOCUMENT["paths"]
