"""Which pages the browser tests open, and where they are in a town."""

from __future__ import annotations

from tests.support.pages_town import HERE, Town

CENTRE = {
    "docks": "/",
    "dock": "/docks/{dock}",
    "dock-with-history": "/docks/dock-2",
    "session": "/sessions/{dock}/{session}",
    "reported": "/docks/{dock}/recordings/{reported}",
    "recordings": "/recordings",
    "recording": "/recordings/{recording}",
    "store": "/store",
    "rollout": "/rollout",
    "unit": "/rollout/sites?unit=Camden",
    "fleet": "/fleet",
    "fleet-unit": "/fleet/sites?unit=Camden",
    "search": "/fleet/search?q=o",
    "alerts": "/alerts",
    "alert": "/alerts/{alert}",
    "custody": "/custody",
    "custody-account": "/custody?dock={dock}",
    "custody-differences": "/custody?view=sessions&from=2020-01-01",
    "custody-holders": "/custody?view=holders&from=2020-01-01",
    "retention": "/retention",
    "holds": "/retention/holds",
    "policies": "/retention/policies",
    "account": "/account",
    "people": "/people",
    "person": "/people/stan",
    "problem": "/docks/nowhere",
}
OPEN = {"sign-in": "/sign-in"}
DOCK = {"kiosk": "", "issue": "issue", "release": "bays/bay-1/release"}
PAPER = {"kiosk-of-every-tile": ""}
PAGES = [*CENTRE, *OPEN, *DOCK, *PAPER]


def address(town: Town, name: str) -> str:
    """Where the page is."""
    if name in DOCK:
        return town.dock_page + DOCK[name]
    if name in PAPER:
        return town.paper_page + PAPER[name]
    named = {
        "dock": HERE,
        "session": town.session,
        "recording": town.recording,
        "reported": town.reported,
        "alert": town.alert,
    }
    return town.centre.url + (CENTRE | OPEN)[name].format(**named)
