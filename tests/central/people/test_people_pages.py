"""The administrator's pages: every change takes effect, is a fact under the own name, and cannot lock everybody out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from dockd.central.app import ServedCentre
from dockd.central.people.accounts import Accounts
from dockd.errors import AccountRefused
from dockd.rules.roles import Role
from tests.support.html_check import read_html
from tests.support.sign_in import PASSWORD, Browser, add_person

OpenBrowser = Callable[..., Browser]


def accounts_of(centre: ServedCentre) -> Accounts:
    assert centre.services.people is not None
    return centre.services.people.accounts


def secret_on(text: str) -> str:
    found = re.search(r'<code class="secret">([^<]+)</code>', text)
    assert found
    return found[1]


async def told(centre: ServedCentre, kind: str) -> list[tuple[str, dict[str, object]]]:
    found = await centre.services.centre_facts.read(limit=100, kind=kind)
    return [(one.actor, dict(one.about)) for one in found if one.actor != "console"]


async def test_somebody_is_added_signs_in_and_chooses_a_password(
    browser: Browser, open_browser: OpenBrowser, centre: ServedCentre
) -> None:
    await browser.sign_in("ada")
    fields = {"name": "Nora", "full_name": "Nora N.", "role": "station", "site": "cam-1"}
    status, text, _ = await browser.post("/people", fields, on="/people")
    assert status == 200
    assert read_html(text).mistakes == []
    password = secret_on(text)
    assert password not in await browser.get("/people/nora")  # it was shown once
    nora = open_browser()
    await nora.sign_in("nora", password)
    assert await nora.led_to("/") == "/account"
    assert await told(centre, "PersonAdded") == [
        ("ada", {"person": "nora", "role": "station", "site": "cam-1", "is_of_provider": False})
    ]
    assert password not in repr(await centre.services.centre_facts.read(limit=1000))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "ian"}, "names are never given twice"),
        ({"name": "a b"}, "cannot be a name"),
        ({"full_name": ""}, "The full name must have"),
        ({"role": "root"}, "Choose a role."),
        ({"role": "station", "site": ""}, "belong to a site"),
        ({"role": "station", "site": "nowhere"}, "No list of sites names this site"),
    ],
)
async def test_wrong_fields_are_told_and_what_was_typed_is_kept(
    browser: Browser, changed: dict[str, str], words: str
) -> None:
    await browser.sign_in("ada")
    fields = {"name": "nora", "full_name": "Nora N.", "role": "it", "site": "", **changed}
    status, text, _ = await browser.post("/people", fields, on="/people")
    assert status in (400, 409)
    assert words in text
    assert read_html(text).mistakes == []
    if "name" not in changed:
        assert 'value="nora"' in text


async def test_a_name_is_never_given_again(browser: Browser, centre: ServedCentre) -> None:
    await browser.sign_in("ada")
    await browser.post("/people/ian/disable", {}, on="/people/ian")
    fields = {"name": "IAN", "full_name": "Another Ian", "role": "it"}
    status, _, _ = await browser.post("/people", fields, on="/people")
    assert status == 409
    assert (await accounts_of(centre).one("ian")).full_name == "Ian"


async def test_disabling_ends_sessions_and_tokens_and_enabling_brings_none_back(
    browser: Browser, open_browser: OpenBrowser, centre: ServedCentre
) -> None:
    ian = open_browser()
    await ian.sign_in("ian")
    _, text, _ = await ian.post("/account/tokens", {"purpose": "nightly"}, on="/account")
    bearer = {"Authorization": f"Bearer {secret_on(text)}"}
    async with ian.session.get(f"{centre.url}/api/v1/docks", headers=bearer) as answer:
        assert answer.status == 200
    await browser.sign_in("ada")
    await browser.post("/people/ian/disable", {}, on="/people/ian")
    await ian.get("/account", 303)
    await ian.sign_in("ian", status=401)
    await browser.post("/people/ian/enable", {}, on="/people/ian")
    await ian.get("/account", 303)
    async with ian.session.get(f"{centre.url}/api/v1/docks", headers=bearer) as answer:
        assert answer.status == 401
    await ian.sign_in("ian")
    assert await told(centre, "PersonDisabled") == [("ada", {"person": "ian"})]
    assert await told(centre, "PersonEnabled") == [("ada", {"person": "ian"})]


async def test_a_reset_password_ends_everything_and_must_be_changed(
    browser: Browser, open_browser: OpenBrowser, centre: ServedCentre
) -> None:
    ian = open_browser()
    await ian.sign_in("ian")
    await browser.sign_in("ada")
    _, text, _ = await browser.post("/people/ian/reset-password", {}, on="/people/ian")
    password = secret_on(text)
    await ian.get("/account", 303)
    await ian.sign_in("ian", PASSWORD, status=401)
    await ian.sign_in("ian", password)
    assert await ian.led_to("/") == "/account"
    assert await told(centre, "PasswordReset") == [("ada", {"person": "ian"})]


async def test_sessions_of_somebody_are_ended(
    browser: Browser, open_browser: OpenBrowser, centre: ServedCentre
) -> None:
    ian = open_browser()
    await ian.sign_in("ian")
    await browser.sign_in("ada")
    assert read_html(await browser.get("/people/ian")).mistakes == []
    await browser.post("/people/ian/end-sessions", {}, on="/people/ian")
    await ian.get("/account", 303)
    assert await told(centre, "SessionsEnded") == [("ada", {"person": "ian", "sessions": 1})]


async def test_a_change_of_role_is_a_fact_and_the_same_again_is_none(browser: Browser, centre: ServedCentre) -> None:
    await browser.sign_in("ada")
    for _ in range(2):
        await browser.post("/people/ian/role", {"role": "station", "site": "bar-1"}, on="/people/ian")
    about = {"person": "ian", "role": "station", "site": "bar-1", "role_before": "it"}
    assert await told(centre, "PersonRoleChanged") == [("ada", about)]


@pytest.mark.parametrize(("path", "fields"), [("disable", {}), ("role", {"role": "it"})])
async def test_the_last_administrator_stays_one(
    browser: Browser, centre: ServedCentre, path: str, fields: dict[str, str]
) -> None:
    await browser.sign_in("ada")
    status, text, _ = await browser.post(f"/people/ada/{path}", fields, on="/people/ada")
    assert status == 409
    assert "ada is the last administrator." in text
    await browser.get("/people")


async def test_two_administrators_cannot_remove_each_other_at_the_same_moment(centre: ServedCentre) -> None:
    await add_person(centre.services, "bea", Role.ADMINISTRATOR)
    accounts = accounts_of(centre)
    done = await asyncio.gather(
        accounts.disable("ada", by="bea"), accounts.disable("bea", by="ada"), return_exceptions=True
    )
    assert sorted(type(one) for one in done if one is not None) == [AccountRefused]
    assert await accounts.is_any_administrator()


async def test_the_same_name_is_given_once_when_two_ask_at_the_same_moment(centre: ServedCentre) -> None:
    done = await asyncio.gather(
        *(add_person(centre.services, "nora", Role.IT, full_name=f"Nora {number}") for number in range(4)),
        return_exceptions=True,
    )
    assert [type(one) for one in done if one is not None] == [AccountRefused] * 3
