"""The retention pages: what would go tonight, the question that waits, policies and holds. Forms need no script."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from aiohttp import web

from dockd.central.acting import acting_person
from dockd.central.api.answers import NO_STORE, download_headers
from dockd.central.api.route import CAMERA
from dockd.central.retention import entries
from dockd.central.retention.holds import HoldScope
from dockd.central.retention.listing import COLUMNS, csv_line, listed
from dockd.central.retention.service import Retention
from dockd.central.services import SERVICES
from dockd.errors import BadRequest
from dockd.model.ids import parse_digest, parse_id, parse_officer_number
from dockd.rules.retention import ALWAYS_KEPT
from dockd.web.forms import read_form
from dockd.web.pages import Pages

_HOLDS_SHOWN = 200
_FIRST_YEAR, _LAST_YEAR = 1970, 2999


class RetentionPages:
    """One method for each page and each form."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def attach(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/retention", self.front)
        app.router.add_get("/retention/tonight.csv", self.tonight_csv)
        app.router.add_get("/retention/holds", self.holds)
        app.router.add_post("/retention/holds", self.set_hold)
        app.router.add_post("/retention/holds/{hold:[0-9]{1,18}}/release", self.release_hold)
        app.router.add_get("/retention/policies", self.policies)
        app.router.add_post("/retention/policies", self.set_policy)
        app.router.add_post("/retention/recordings/{digest}", self.classify)
        app.router.add_post("/retention/stops/{list_digest}", self.answer_stop)

    async def front(self, request: web.Request) -> web.Response:
        """Whether this centre deletes, what would go tonight and why, what waits for a person, the last runs."""
        services = request.app[SERVICES]
        overview = await entries.overview(services.retention)
        tonight = await entries.tonight(services.retention)
        now = services.clock.now()
        stop = overview.stop
        waits = stop is not None and stop.is_confirmed is None and stop.expires_at > now
        return self._pages.respond("retention.html", overview=overview, tonight=tonight, waits=waits, at=now)

    async def tonight_csv(self, request: web.Request) -> web.StreamResponse:
        """Everything that would go tonight, a line for each."""
        retention = _retention(request)
        at = retention.next_run_at
        headers = {**NO_STORE, **download_headers(f"retention-{at:%Y-%m-%d}.csv"), "Content-Type": "text/csv"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(csv_line(COLUMNS))
        async for row in listed(retention, at):
            await response.write(csv_line(row))
        await response.write_eof()
        return response

    async def holds(self, request: web.Request) -> web.Response:
        """Every hold, those that stand first, and the form for another."""
        found = _retention(request).holds
        standing = await found.lines(only_standing=True, limit=_HOLDS_SHOWN)
        ended = [one for one in await found.lines(limit=_HOLDS_SHOWN) if one.released_at is not None]
        return self._pages.respond("holds.html", standing=standing, ended=ended, most=_HOLDS_SHOWN)

    async def set_hold(self, request: web.Request) -> web.Response:
        """Hold what the form names; then the holds, or a page that says what came too late."""
        form = await _form(request)
        begin, end = _day(form, "from"), _day(form, "to")
        officer = form.get("officer", "")
        scope = HoldScope(
            digest=parse_digest(form["recording"].lower()) if form.get("recording") else None,
            camera=_camera(form.get("camera", "")),
            officer=parse_officer_number(officer) if officer else None,
            site=parse_id(form["site"], "site") if form.get("site") else None,
            recorded_from=begin,
            recorded_before=end + timedelta(days=1) if end else None,
        )
        done = await _retention(request).holds.set_hold(scope, by=acting_person(request), reason=form.get("reason", ""))
        if done.too_late:
            return self._pages.respond("hold_late.html", hold=done.number, too_late=done.too_late)
        raise _to(f"/recordings/{scope.digest}#retention" if form.get("back") == "recording" else "/retention/holds")

    async def release_hold(self, request: web.Request) -> web.Response:
        """End a hold."""
        form = await _form(request)
        number = int(request.match_info["hold"])
        await _retention(request).holds.release(number, by=acting_person(request), reason=form.get("reason", ""))
        raise _to("/retention/holds")

    async def policies(self, request: web.Request) -> web.Response:
        """Every policy that ever was, and the form for another."""
        history = await _retention(request).decisions.policy_history()
        return self._pages.respond(
            "policies.html", in_force=entries.in_force(history), history=history, always_kept=sorted(ALWAYS_KEPT)
        )

    async def set_policy(self, request: web.Request) -> web.Response:
        """Set how long a category is kept from now on."""
        form = await _form(request)
        text = form.get("days", "").strip()
        if text and not (text.isascii() and text.isdigit() and len(text) < 7):
            raise BadRequest("The number of days is a whole number, or empty: kept until somebody decides otherwise.")
        await _retention(request).decisions.set_policy(
            form.get("category", "").strip(),
            int(text) if text else None,
            by=acting_person(request),
            reason=form.get("reason", ""),
        )
        raise _to("/retention/policies")

    async def classify(self, request: web.Request) -> web.Response:
        """Decide what one recording is."""
        form = await _form(request)
        digest = parse_digest(request.match_info["digest"])
        await _retention(request).decisions.classify(
            [digest], form.get("category", ""), by=acting_person(request), reason=form.get("reason", "")
        )
        raise _to(f"/recordings/{digest}#retention")

    async def answer_stop(self, request: web.Request) -> web.Response:
        """Confirm or decline the list that stopped a run; whoever confirms types how many recordings it has."""
        form = await _form(request)
        text = form.get("recordings", "").replace(",", "").strip()
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise BadRequest("Type how many recordings would be deleted, as a number.")
        await _retention(request).brake.answer(
            parse_digest(request.match_info["list_digest"]),
            int(text),
            is_confirmed=form.get("answer") == "confirm",
            by=acting_person(request),
            reason=form.get("reason", ""),
        )
        raise _to("/retention")


def _retention(request: web.Request) -> Retention:
    return request.app[SERVICES].retention


async def _form(request: web.Request) -> dict[str, str]:
    """The fields of the form, without white space around them. Raises Refusal (408, 413, 415), BadRequest."""
    return {name: value.strip() for name, value in (await read_form(request)).items()}


def _camera(text: str) -> str | None:
    """Raises BadRequest."""
    if text and not re.fullmatch(CAMERA.pattern, text):
        raise BadRequest("A camera is named by its driver and serial number, like massstorage:A1234.")
    return text or None


def _day(form: dict[str, str], name: str) -> datetime | None:
    """The beginning of a day, UTC. Raises BadRequest."""
    text = form.get(name, "")
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadRequest("A day is written like 2026-11-22.") from None
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise BadRequest(f"A day lies between the years {_FIRST_YEAR} and {_LAST_YEAR}.")
    return datetime.combine(day, time(), tzinfo=UTC)


def _to(address: str) -> web.HTTPSeeOther:
    """After a form: a page that may be loaded again without sending it twice."""
    return web.HTTPSeeOther(address)
