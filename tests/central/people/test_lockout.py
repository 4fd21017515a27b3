"""Guessing: it is slowed for every name alike, and nobody can shut an administrator out by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from dockd.central.app import ServedCentre
from dockd.central.people.lockout import ANY_NAME, FROM_ANYWHERE, FROM_ONE_ADDRESS, LockOut
from dockd.web.problems import Refusal
from tests.support.clock import ManualClock
from tests.support.sign_in import PASSWORD, Browser

OpenBrowser = Callable[..., Browser]


def lockout_of(centre: ServedCentre) -> LockOut:
    assert centre.services.people is not None
    return centre.services.people.lockout


async def guess(centre: ServedCentre, name: str, address: str, *, times: int = 1, known: str | None = None) -> int:
    """Guess wrongly; returns how many guesses were let through before one had to wait."""
    for number in range(times):
        try:
            attempt = await lockout_of(centre).begin(name, address, known_browser=known)
        except Refusal as refusal:
            assert refusal.kind.status == 429
            return number
        await lockout_of(centre).failed(attempt)
    return times


@pytest.mark.parametrize("name", ["ada", "nobody"])
async def test_after_five_wrong_passwords_one_waits_whether_the_account_exists_or_not(
    open_browser: OpenBrowser, centre: ServedCentre, name: str
) -> None:
    browser = open_browser()
    for _ in range(5):
        await browser.sign_in(name, "wrong", status=401)
    text = await browser.sign_in(name, PASSWORD, status=429)
    assert "Wait 2 minutes" in text or "Wait 1 minute" in text
    assert name not in text
    locked = [one.about["person"] for one in await centre.services.centre_facts.read(limit=100, kind="SignInLocked")]
    assert locked == [name if name == "ada" else None]


async def test_while_one_waits_nothing_is_compared_and_the_wait_is_not_made_longer(
    centre: ServedCentre, clock: ManualClock
) -> None:
    assert await guess(centre, "ada", "192.0.2.1", times=5) == 5
    for _ in range(50):
        assert await guess(centre, "ada", "192.0.2.1") == 0
    clock.advance(61)
    assert await guess(centre, "ada", "192.0.2.1") == 1


async def test_each_further_failure_waits_longer_up_to_a_quarter_of_an_hour(
    centre: ServedCentre, clock: ManualClock
) -> None:
    await guess(centre, "ada", "192.0.2.1", times=5)
    waits = []
    for _ in range(6):
        with pytest.raises(Refusal) as refused:
            await lockout_of(centre).begin("ada", "192.0.2.1", known_browser=None)
        assert refused.value.retry_after_seconds
        waits.append(refused.value.retry_after_seconds)
        clock.advance(refused.value.retry_after_seconds)
        await guess(centre, "ada", "192.0.2.1")
    assert waits == [61, 121, 241, 481, 901, 901]


async def test_the_right_password_begins_the_count_anew(browser: Browser) -> None:
    for _ in range(3):
        for _ in range(4):
            await browser.sign_in("ada", "wrong", status=401)
        await browser.sign_in("ada")
        await browser.post("/sign-out", {}, on="/account")


async def test_strangers_cannot_lock_the_administrator_out_of_a_known_browser(
    browser: Browser, centre: ServedCentre, clock: ManualClock
) -> None:
    await browser.sign_in("ada")
    await browser.post("/sign-out", {}, on="/account")
    for _ in range(6):  # a whole night of it, from everywhere
        for number in range(40):
            await guess(centre, "ada", f"192.0.2.{number}")
        clock.advance(16 * 60)
    assert await guess(centre, "ada", "198.51.100.7", times=1) in (0, 1)
    for number in range(40):
        await guess(centre, "ada", f"192.0.2.{number}")
    await browser.sign_in("ada")


async def test_elsewhere_the_administrator_waits_a_quarter_of_an_hour_at_most(
    centre: ServedCentre, clock: ManualClock
) -> None:
    tried = 0
    while await guess(centre, "ada", f"192.0.2.{tried}") and tried < 100:
        tried += 1
    assert tried == FROM_ANYWHERE.failures
    until = await lockout_of(centre).locked_until("ada")
    assert until is not None
    assert until - clock.now() <= timedelta(minutes=15)
    clock.advance(15 * 60 + 1)
    assert await lockout_of(centre).locked_until("ada") is None


async def test_a_known_browser_guesses_no_more_often_than_another(centre: ServedCentre) -> None:
    assert await guess(centre, "ada", "192.0.2.1", times=50, known="a" * 64) == FROM_ONE_ADDRESS.failures


async def test_a_browser_is_known_for_its_own_person_only(browser: Browser, centre: ServedCentre) -> None:
    await browser.sign_in("ian")
    await browser.post("/sign-out", {}, on="/account")
    for number in range(30):
        await guess(centre, "ada", f"192.0.2.{number}")
    await browser.sign_in("ada", status=429)


async def test_one_address_cannot_try_one_password_on_everybody(centre: ServedCentre) -> None:
    through = [await guess(centre, f"name{number}", "192.0.2.1") for number in range(150)]
    assert sum(through) == ANY_NAME.failures
    assert await guess(centre, "ada", "192.0.2.2") == 1


async def test_guesses_at_the_same_moment_count_one_by_one(centre: ServedCentre) -> None:
    through = await asyncio.gather(*(guess(centre, "ada", "192.0.2.1") for _ in range(40)))
    assert sum(through) == FROM_ONE_ADDRESS.failures


async def test_an_administrator_unlocks_and_it_is_a_fact(
    browser: Browser, open_browser: OpenBrowser, centre: ServedCentre
) -> None:
    stuck = open_browser()
    for number in range(30):
        await guess(centre, "ian", f"192.0.2.{number}")
    await stuck.sign_in("ian", status=429)
    await browser.sign_in("ada")
    assert "guessed wrongly too often" in await browser.get("/people/ian")
    await browser.post("/people/ian/unlock", {}, on="/people/ian")
    await stuck.sign_in("ian")
    (told,) = await centre.services.centre_facts.read(limit=10, kind="PersonUnlocked")
    assert (told.actor, told.about) == ("ada", {"person": "ian"})


async def test_counts_that_say_nothing_any_more_are_dropped(centre: ServedCentre, clock: ManualClock) -> None:
    await guess(centre, "ada", "192.0.2.1", times=3)
    clock.advance(3 * 24 * 3600)
    assert centre.services.people is not None
    await centre.services.people.forget_old()
    assert await guess(centre, "ada", "192.0.2.1", times=9) == 5


async def test_behind_a_trusted_proxy_clients_are_told_apart(browser: Browser, centre: ServedCentre) -> None:
    browser.headers["X-Forwarded-For"] = "192.0.2.77"
    await browser.sign_in("ada", "wrong", status=401)
    (told,) = await centre.services.centre_facts.read(limit=10, kind="SignInFailed")
    assert told.about["address"] == "127.0.0.1"  # nobody said that it may be believed
