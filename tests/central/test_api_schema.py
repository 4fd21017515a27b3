"""Schemathesis reads the API's description and tries to break what it describes, over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.schemas import BaseSchema

from dockd.central.api.route import Route
from dockd.central.api.routes import ROUTES
from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre

pytestmark = pytest.mark.slow

SEED = 20261122
EXAMPLES = 15
LONGEST_LINE = 8_000

load_all_checks()
LEFT_OUT = {
    # Nobody signs in yet.
    "ignored_auth",
    # A body that fits the schema may still contradict itself (a hash, a part list): that is what 409 and
    # 422 are for, and random data always does.
    "positive_data_acceptance",
    # Waits for a later answer to a deleted or created resource; nothing here is deleted.
    "use_after_free",
    "ensure_resource_availability",
}
USED = [check for check in CHECKS.get_all() if check.__name__ not in LEFT_OUT]
assert {one.__name__ for one in USED} >= {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A centre in a thread of its own: schemathesis asks from this one."""
    folder: Path = tmp_path_factory.mktemp("schema") / "centre"
    where: dict[str, Any] = {}
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        where["database_url"] = server.address(server.new_database())
    asyncio.run(initialise_centre(folder, **where))
    config = CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0, **where)
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()
    address: list[str] = []

    async def serve() -> None:
        async with serving_centre(config) as served:
            address.append(served.url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="asyncio_schema_centre")
    thread.start()
    assert ready.wait(30)
    yield address[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    loop.close()


@pytest.fixture(scope="module")
def described(url: str) -> BaseSchema:
    """The description, as it is served."""
    return schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")


def has_input(route: Route) -> bool:
    """Where nothing is given, nothing wrong can be given."""
    return bool(route.path_values or route.query or route.headers or route.body)


ATTACKS = [(route, GenerationMode.POSITIVE) for route in ROUTES] + [
    (route, GenerationMode.NEGATIVE) for route in ROUTES if has_input(route)
]


@pytest.mark.parametrize(("route", "mode"), ATTACKS, ids=lambda one: getattr(one, "name", str(one)))
def test_call_keeps_to_its_description(described: BaseSchema, route: Route, mode: GenerationMode) -> None:
    print(f"seed {SEED}")
    operation = described[route.path][route.method]
    ran = 0

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def attack(case: schemathesis.Case) -> None:
        nonlocal ran
        ran += 1
        if "wait" in (case.query or {}) and mode is GenerationMode.POSITIVE:
            case.query["wait"] = 0  # the long poll itself is tested elsewhere
        # A longer request line never becomes a call: aiohttp refuses it (test_bad_input shows how).
        asked = case.as_transport_kwargs()
        assume(
            len(requests.Request(asked["method"], asked["url"], params=asked["params"]).prepare().url or "")
            < LONGEST_LINE
        )
        case.call_and_validate(checks=USED)

    attack()
    assert ran
