"""Every address of the centre has its entry in the table of permits, and every entry its address."""

from __future__ import annotations

from dockd.central.app import build_centre
from dockd.central.config import CentreConfig
from dockd.central.people.permits import BEFORE_NEW_PASSWORD, PERMITS, Gate, Reach, permit_for
from dockd.rules.roles import Permission, Role, is_bound_to_site, may

SAFE = ("GET", "HEAD")


def addresses() -> set[tuple[str, str]]:
    app = build_centre(CentreConfig(folder="/nowhere"))
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


def test_every_call_and_page_says_what_it_asks() -> None:
    assert addresses() - PERMITS.keys() == set()


def test_no_entry_is_of_an_address_that_is_gone() -> None:
    assert PERMITS.keys() - addresses() == set()


def test_a_new_address_without_an_entry_is_in_no_list() -> None:
    assert permit_for("GET", "/brand-new") is None


def test_head_asks_what_get_asks() -> None:
    assert permit_for("HEAD", "/docks/{dock}") is PERMITS["GET", "/docks/{dock}"]


def test_what_anyone_may_call_is_signing_in_and_what_is_public() -> None:
    assert {address for address, permit in PERMITS.items() if permit.asks is Gate.ANYONE} == {
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/api/v1/store"),
        ("GET", "/api/v1/enrolment/authority"),
        ("GET", "/static/{name}"),
        ("GET", "/sign-in"),
        ("POST", "/sign-in"),
        ("GET", "/sign-in/oidc"),
        ("GET", "/sign-in/oidc/back"),
    }


def test_whatever_shows_custody_or_footage_is_written_down_and_nothing_else() -> None:
    looked = {address for address, permit in PERMITS.items() if permit.look is not None or permit.notes_itself}
    asked = {
        address
        for address, permit in PERMITS.items()
        if permit.asks in (Permission.SEE_CUSTODY, Permission.TAKE_FOOTAGE)
    }
    assert looked == asked


def test_what_station_staff_may_ask_keeps_to_their_site() -> None:
    bound = [role for role in Role if is_bound_to_site(role)]
    for (method, path), permit in PERMITS.items():
        if isinstance(permit.asks, Permission) and any(may(role, permit.asks) for role in bound):
            assert method in SAFE
            assert permit.reach is Reach.OWN or (permit.reach is Reach.DOCK and "{dock}" in path), path


def test_only_docks_bring_facts_footage_and_manifests() -> None:
    brought = {
        ("PUT", "/api/v1/docks/{dock}/facts"),
        ("PUT", "/api/v1/docks/{dock}/status"),
        ("POST", "/api/v1/recordings"),
        ("POST", "/api/v1/uploads/{upload}/complete"),
        ("PUT", "/api/v1/uploads/{upload}/parts/{number}"),
        ("PUT", "/api/v1/sessions/{dock}/{session}/manifests/{name}"),
    }
    assert {PERMITS[address].asks for address in brought} == {Gate.DOCKS}


def test_whatever_else_is_changed_through_the_api_asks_a_permission_or_an_invitation() -> None:
    for (method, path), permit in PERMITS.items():
        if method not in SAFE and path.startswith("/api/"):
            assert isinstance(permit.asks, Permission) or permit.asks in (Gate.DOCKS, Gate.INVITED), path


def test_before_choosing_a_password_nobody_does_anything_else() -> None:
    assert {("GET", "/account"), ("POST", "/account/password"), ("POST", "/sign-out")} == BEFORE_NEW_PASSWORD
