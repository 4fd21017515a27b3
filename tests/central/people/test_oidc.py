"""Signing in at a real identity provider over HTTP, and every way in which one, or somebody between, may lie."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest
import pytest_asyncio

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.central.people.config import OidcConfig
from dockd.central.people.lockout import ANY_NAME
from dockd.rules.roles import Role
from tests.support.clock import ManualClock
from tests.support.launchers import PlainLauncher, launching
from tests.support.oidc_provider import (
    Claims,
    Provider,
    SigningKey,
    serving_provider,
    signed_with_public_key,
    unsigned,
)
from tests.support.processes import quiet_port, until
from tests.support.sign_in import Browser, add_person, sign_in_config

CALLBACK = "/sign-in/oidc/back"
OLGA: Claims = {"sub": "42", "preferred_username": "olga", "name": "Olga O.", "groups": ["staff", "bwv-it"]}
ROLES = {"bwv-admins": Role.ADMINISTRATOR, "bwv-auditors": Role.AUDITOR, "bwv-it": Role.IT, "bwv-st": Role.STATION}
SITES = "site,name,unit,state,live_on,docks\ncam-1,Kentish Town,Camden,live,2026-10-01,dock-7\n"

RSA, ELLIPTIC, OTHER = SigningKey("RS256"), SigningKey("ES256"), SigningKey("RS256")


@pytest_asyncio.fixture
async def provider(clock: ManualClock) -> AsyncIterator[Provider]:
    one = Provider("dockd centre", set(), client_secret="s:e/c ret", now=lambda: clock.now().timestamp(), key=RSA)
    one.accounts.append(dict(OLGA))
    async with serving_provider(one):
        yield one


@pytest_asyncio.fixture
async def centre(
    config: CentreConfig, clock: ManualClock, provider: Provider, tmp_path: Path
) -> AsyncIterator[ServedCentre]:
    secret = tmp_path / "client-secret"
    secret.write_text("s:e/c ret\n")
    secret.chmod(0o600)
    oidc = OidcConfig(issuer=provider.issuer, client_id="dockd centre", client_secret_file=str(secret), roles=ROLES)
    async with serving_centre(config, clock=clock, sign_in=sign_in_config(oidc)) as served:
        provider.redirect_uris.add(served.url + CALLBACK)
        sites = tmp_path / "sites.csv"
        sites.write_text(SITES)
        await served.services.lists.bring_in("sites", sites)
        yield served


async def to_provider(browser: Browser, path: str = "/sign-in/oidc?next=/store") -> str:
    """Where the provider sends the browser back to, with its code."""
    there = await browser.led_to(path)
    async with browser.session.get(there, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
        return answer.headers["Location"]


async def refused(browser: Browser, address: str) -> str:
    text = await browser.get(address, 401)
    assert browser.cookie("dockd-session") is None
    assert "Nobody was signed in" in text or "Ask an administrator" in text
    return text


async def kinds(centre: ServedCentre) -> list[str]:
    return [one.kind for one in await centre.services.centre_facts.read(limit=1000)]


async def test_the_provider_signs_people_in_with_the_role_it_gives_them(
    browser: Browser, centre: ServedCentre, provider: Provider
) -> None:
    assert await browser.led_to(await to_provider(browser)) == "/store"
    assert "Olga O." in await browser.get("/store")
    await browser.get("/people", 403)
    people = centre.services.people
    assert people is not None
    account = await people.accounts.one("olga")
    assert (account.role, account.issuer, account.has_password) == (Role.IT, provider.issuer, False)
    assert (await kinds(centre))[-2:] == ["PersonAdded", "SignedIn"]


async def test_role_and_site_follow_the_provider_at_each_sign_in(
    browser: Browser, centre: ServedCentre, provider: Provider
) -> None:
    await browser.get(await to_provider(browser), 303)
    provider.accounts[0].update(groups="bwv-st", site="cam-1")
    await browser.get(await to_provider(browser), 303)
    await browser.get("/store", 403)
    people = centre.services.people
    assert people is not None
    account = await people.accounts.one("olga")
    assert (account.role, account.site) == (Role.STATION, "cam-1")
    assert "PersonRoleChanged" in await kinds(centre)


async def test_elliptic_signatures_are_believed_too(browser: Browser, provider: Provider) -> None:
    provider.key = ELLIPTIC
    await browser.get(await to_provider(browser), 303)


async def test_new_keys_of_the_provider_are_found_at_once(
    browser: Browser, provider: Provider, clock: ManualClock
) -> None:
    await browser.get(await to_provider(browser), 303)
    provider.key = ELLIPTIC
    clock.advance(31)
    await browser.get(await to_provider(browser), 303)


async def test_a_key_that_the_provider_withdrew_is_no_longer_believed_after_an_hour(
    browser: Browser, provider: Provider, clock: ManualClock
) -> None:
    await browser.get(await to_provider(browser), 303)
    provider.published = [OTHER]
    clock.advance(3601)
    await browser.get("/account", 303)  # that session was idle for too long
    await browser.get(await to_provider(browser), 401)
    await browser.get("/account", 303)


async def test_forged_tokens_do_not_make_the_centre_ask_for_keys_each_time(
    browser: Browser, provider: Provider
) -> None:
    provider.lies.make_token = lambda _key, claims: OTHER.sign(claims)
    for _ in range(5):
        await refused(browser, await to_provider(browser))
    assert provider.asked.count("/keys") == 1


LIES: dict[str, Callable[[Claims], Claims]] = {
    "another nonce": lambda claims: {**claims, "nonce": "x" * 43},
    "no nonce": lambda claims: {name: value for name, value in claims.items() if name != "nonce"},
    "another audience": lambda claims: {**claims, "aud": "another program"},
    "another audience among ours": lambda claims: {**claims, "aud": ["dockd centre", "x"], "azp": "x"},
    "several audiences, no azp": lambda claims: {**claims, "aud": ["dockd centre", "x"]},
    "no audience": lambda claims: {**claims, "aud": []},
    "expired": lambda claims: {**claims, "exp": claims["iat"] - 61},
    "no expiry": lambda claims: {**claims, "exp": None},
    "expiry that is true": lambda claims: {**claims, "exp": True},
    "old": lambda claims: {**claims, "iat": claims["iat"] - 700},
    "of tomorrow": lambda claims: {**claims, "iat": claims["iat"] + 90_000},
    "not yet": lambda claims: {**claims, "nbf": claims["iat"] + 3600},
    "another issuer": lambda claims: {**claims, "iss": "https://evil.example"},
    "issuer with a slash more": lambda claims: {**claims, "iss": claims["iss"] + "/"},
    "no subject": lambda claims: {**claims, "sub": ""},
    "subject that is no text": lambda claims: {**claims, "sub": ["42"]},
    "subject with NUL": lambda claims: {**claims, "sub": "42\0"},
    "no role": lambda claims: {**claims, "groups": ["staff"]},
    "role that is an object": lambda claims: {**claims, "groups": {"bwv-admins": True}},
    "station staff without site": lambda claims: {**claims, "groups": ["bwv-st"]},
    "station staff of a site that is not there": lambda claims: {**claims, "groups": ["bwv-st"], "site": "x\0"[:1]},
    "name that is HTML": lambda claims: {**claims, "preferred_username": "<script>alert(1)</script>"},
    "no name": lambda claims: {**claims, "preferred_username": 7},
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_token_that_says_something_else_signs_nobody_in(
    browser: Browser, centre: ServedCentre, provider: Provider, lie: str
) -> None:
    provider.lies.change_claims = LIES[lie]
    text = await refused(browser, await to_provider(browser))
    assert "<script" not in text
    assert (await kinds(centre))[-1] == "SignInFailed"


TOKENS: dict[str, Callable[[SigningKey, Claims], str]] = {
    "another key": lambda _key, claims: OTHER.sign(claims),
    "another key under our key's name": lambda key, claims: OTHER.sign(claims, {"kid": key.kid}),
    "a key that the token brings itself": lambda _key, claims: OTHER.sign(claims, {"jwk": OTHER.jwk()}),
    "alg none": lambda _key, claims: unsigned(claims),
    "alg None in capitals": lambda key, claims: key.sign(claims, {"alg": "NONE"}),
    "HMAC with the public key": signed_with_public_key,
    "an algorithm of another key type": lambda key, claims: key.sign(claims, {"alg": "ES256"}),
    "a signature cut off": lambda key, claims: key.sign(claims).rpartition(".")[0] + ".",
    "another's claims under our signature": lambda key, claims: ".".join(
        (key.sign(claims).split(".")[0], key.sign({**claims, "sub": "1"}).split(".")[1], key.sign(claims).split(".")[2])
    ),
    "unknown critical header": lambda key, claims: key.sign(claims, {"crit": ["x"], "x": 1}),
    "no token": lambda _key, _claims: "x",
    "deep JSON": lambda _key, _claims: ("eyJhIjo" + "W1tb" * 20_000) + ".e30.x",
}


@pytest.mark.parametrize("lie", TOKENS)
async def test_a_token_that_the_provider_did_not_sign_signs_nobody_in(
    browser: Browser, provider: Provider, lie: str
) -> None:
    provider.lies.make_token = TOKENS[lie]
    await refused(browser, await to_provider(browser))


async def test_an_answer_cannot_be_used_twice(browser: Browser, provider: Provider) -> None:
    provider.lies.takes_codes_again = True
    back = await to_provider(browser)
    await browser.get(back, 303)
    await browser.post("/sign-out", {}, on="/account")
    await refused(browser, back)


async def test_a_code_that_was_stolen_is_of_no_use_to_another_browser(
    browser: Browser, open_browser: Callable[[], Browser], provider: Provider
) -> None:
    thief = open_browser()
    await refused(thief, await to_provider(browser))


async def test_a_stolen_code_does_not_pass_with_the_thiefs_own_state(
    browser: Browser, open_browser: Callable[[], Browser]
) -> None:
    thief = open_browser()
    mine = urlsplit(await to_provider(thief))
    stolen = parse_qs(urlsplit(await to_provider(browser)).query)
    query = {name: values[0] for name, values in parse_qs(mine.query).items()} | {"code": stolen["code"][0]}
    await refused(thief, urlunsplit(mine._replace(query=urlencode(query))))  # PKCE: the verifier is another's


async def test_nobody_is_signed_in_as_somebody_else_by_a_link(
    browser: Browser, open_browser: Callable[[], Browser]
) -> None:
    attacker = open_browser()
    link = await to_provider(attacker)
    await browser.get("/sign-in")
    await refused(browser, link)


@pytest.mark.parametrize("query", ["", "state=x", "code=x", "state=" + "A" * 43 + "&code=x", "error=access_denied"])
async def test_answers_that_belong_to_no_attempt_are_refused(browser: Browser, query: str) -> None:
    await browser.get("/sign-in")
    await refused(browser, f"{CALLBACK}?{query}")


async def test_an_attempt_ends_after_ten_minutes(browser: Browser, clock: ManualClock) -> None:
    back = await to_provider(browser)
    clock.advance(601)
    await refused(browser, back)


async def test_an_answer_of_another_provider_is_refused(browser: Browser, provider: Provider) -> None:
    provider.lies.answer_iss = "https://evil.example"
    await refused(browser, await to_provider(browser))


async def test_whom_the_provider_does_not_let_in_is_told_so(browser: Browser, provider: Provider) -> None:
    provider.accounts.clear()
    assert "did not let this account in" in await refused(browser, await to_provider(browser))


async def test_an_account_with_a_password_is_not_taken_over_by_its_name(browser: Browser, centre: ServedCentre) -> None:
    await add_person(centre.services, "olga", Role.ADMINISTRATOR)
    assert "names are never given twice" in await refused(browser, await to_provider(browser))


async def test_who_is_disabled_here_stays_out(browser: Browser, centre: ServedCentre) -> None:
    await browser.get(await to_provider(browser), 303)
    people = centre.services.people
    assert people is not None
    await people.accounts.disable("olga", by="console")
    await browser.get("/store", 303)
    assert "disabled" in await browser.get(await to_provider(browser), 401)


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example"])
async def test_after_the_provider_nobody_is_led_elsewhere(browser: Browser, target: str) -> None:
    back = await to_provider(browser, f"/sign-in/oidc?{urlencode({'next': target})}")
    assert await browser.led_to(back) == "/"


DISCOVERIES: dict[str, Callable[[dict[str, object]], dict[str, object]]] = {
    "another issuer": lambda document: {**document, "issuer": "https://evil.example"},
    "keys over plain HTTP elsewhere": lambda document: {**document, "jwks_uri": "http://evil.example/keys"},
    "tokens from a file": lambda document: {**document, "token_endpoint": "file:///etc/passwd"},
    "no endpoint": lambda document: {**document, "authorization_endpoint": None},
}


@pytest.mark.parametrize("lie", DISCOVERIES)
async def test_a_discovery_document_that_leads_elsewhere_is_not_followed(
    browser: Browser, provider: Provider, lie: str
) -> None:
    provider.lies.change_discovery = DISCOVERIES[lie]
    assert "try again soon" in await browser.get("/sign-in/oidc", 503)


async def test_a_provider_that_is_away_is_later_and_passwords_go_on(
    browser: Browser, centre: ServedCentre, provider: Provider
) -> None:
    provider.lies.is_broken = True
    await add_person(centre.services, "ada", Role.ADMINISTRATOR)
    assert "The identity provider answered with HTTP 503" in await browser.get("/sign-in/oidc", 503)
    await browser.sign_in("ada")


@pytest.mark.slow
async def test_a_provider_in_a_process_of_its_own_signs_people_in(tmp_path: Path) -> None:
    port, folder = quiet_port(), tmp_path / "centre"
    await initialise_centre(folder)
    here = quiet_port()
    config = CentreConfig(folder=str(folder), port=here, free_space_floor_bytes=0, sign_in="required")
    oidc = OidcConfig(issuer=f"http://127.0.0.1:{port}", client_id="dockd", roles=ROLES)
    async with launching(PlainLauncher()) as launcher:
        log = tmp_path / "provider.log"
        await launcher.launch(
            "tests.support.oidc_provider", str(port), "dockd", f"http://127.0.0.1:{here}{CALLBACK}", log=log
        )
        await until(lambda: log.exists() and "serving" in log.read_text(), lambda: "the provider to serve")
        async with serving_centre(config, sign_in=sign_in_config(oidc)) as served, Browser(served.url) as browser:
            async with browser.session.get(f"{served.url}/sign-in/oidc?next=/account") as answer:
                assert (answer.status, answer.url.path) == (200, "/account")
                assert "Olga O." in await answer.text()


async def test_without_a_secret_file_that_is_private_nobody_is_let_in(
    browser: Browser, centre: ServedCentre, provider: Provider, tmp_path: Path
) -> None:
    (tmp_path / "client-secret").chmod(0o644)
    text = await browser.get(await to_provider(browser), 503)
    assert "can be read by others" in text
    assert str(tmp_path) not in text
    assert browser.cookie("dockd-session") is None


async def test_coming_back_with_rubbish_is_slowed_like_guessing(browser: Browser, centre: ServedCentre) -> None:
    await browser.get("/sign-in")
    for _ in range(ANY_NAME.failures):
        await browser.get(f"{CALLBACK}?state={'A' * 43}&code=x", 401)
    await browser.get(f"{CALLBACK}?state={'A' * 43}&code=x", 429)
    assert (await kinds(centre)).count("SignInFailed") == ANY_NAME.failures
