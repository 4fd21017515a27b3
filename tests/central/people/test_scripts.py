"""Tokens for scripts, and the command that exports with one, over real HTTP against a centre that asks who it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from dockd.central.app import ServedCentre, serving_centre
from dockd.central.config import CentreConfig
from dockd.central.queries import RecordingFilter
from dockd.cli import exit_status_of
from dockd.rules.receipts import PinnedStore
from dockd.rules.roles import Role
from tests.support.clock import ManualClock
from tests.support.custody import SESSION
from tests.support.played_session import play_session
from tests.support.sign_in import Browser, add_person, sign_in_config
from tests.support.upload_site import DOCK, open_site

OpenBrowser = Callable[..., Browser]


async def token_for(browser: Browser, name: str, purpose: str = "nightly export") -> str:
    await browser.sign_in(name)
    status, text, _ = await browser.post("/account/tokens", {"purpose": purpose}, on="/account")
    assert status == 200
    found = re.search(r'<code class="secret">(dockd_[A-Za-z0-9_-]{43})</code>', text)
    assert found
    return found[1]


async def asked(centre: ServedCentre, token: str, path: str = "/api/v1/recordings") -> int:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        async with session.get(f"{centre.url}{path}", allow_redirects=False) as answer:
            return answer.status


async def test_a_token_does_what_its_person_may_and_only_in_the_api(
    open_browser: OpenBrowser, centre: ServedCentre
) -> None:
    of_it, of_auditor = await token_for(open_browser(), "ian"), await token_for(open_browser(), "aud")
    assert await asked(centre, of_it) == 200
    assert await asked(centre, of_it, f"/api/v1/recordings/{'0' * 64}/content") == 403
    assert await asked(centre, of_auditor, f"/api/v1/recordings/{'0' * 64}/content") == 404
    assert await asked(centre, of_auditor, "/recordings") == 303
    assert await asked(centre, of_auditor, "/account") == 303


async def test_a_token_is_shown_once_revoked_and_expires(
    browser: Browser, centre: ServedCentre, clock: ManualClock
) -> None:
    token = await token_for(browser, "aud")
    assert token not in await browser.get("/account")
    assert centre.services.people is not None
    (held,) = await centre.services.people.scripts.of("aud")
    await browser.post(f"/account/tokens/{held.token}/revoke", {}, on="/account")
    assert await asked(centre, token) == 401
    _, text, _ = await browser.post("/account/tokens", {"purpose": "again"}, on="/account")
    second = re.search(r"dockd_[A-Za-z0-9_-]{43}", text)
    assert second
    assert await asked(centre, second[0]) == 200
    clock.advance(91 * 24 * 3600)
    assert await asked(centre, second[0]) == 401
    kinds = [one.kind for one in await centre.services.centre_facts.read(limit=100)]
    assert kinds.count("TokenMade") == 2
    assert kinds.count("TokenRevoked") == 1


async def test_an_administrator_revokes_the_tokens_of_others(
    browser: Browser, open_browser: OpenBrowser, centre: ServedCentre
) -> None:
    token = await token_for(open_browser(), "aud")
    await browser.sign_in("ada")
    assert centre.services.people is not None
    (held,) = await centre.services.people.scripts.of("aud")
    await browser.post(f"/people/aud/tokens/{held.token}/revoke", {}, on="/people/aud")
    assert await asked(centre, token) == 401


async def test_nobody_has_endlessly_many_tokens(browser: Browser) -> None:
    await browser.sign_in("aud")
    for _ in range(20):
        status, _, _ = await browser.post("/account/tokens", {"purpose": "x"}, on="/account")
        assert status == 200
    status, text, _ = await browser.post("/account/tokens", {"purpose": "x"}, on="/account")
    assert status == 400
    assert "revoke one" in text


# --- the command that exports ---------------------------------------------------------------------


@pytest_asyncio.fixture
async def played(config: CentreConfig, tmp_path: Path) -> AsyncIterator[ServedCentre]:
    """A centre that took a session of a dock before people had to sign in; now they have to."""
    pinned = PinnedStore.model_validate_json((Path(config.folder) / "pinned-store.json").read_bytes())
    before = config.model_copy(update={"sign_in": "off"})
    async with serving_centre(before) as served, open_site(tmp_path / "dock", served.url, pinned) as site:
        await play_session(site, tmp_path / "dock")
    async with serving_centre(config, sign_in=sign_in_config()) as served:
        await add_person(served.services, "aud", Role.AUDITOR)
        await add_person(served.services, "ian", Role.IT)
        yield served


async def run(*arguments: str) -> int:
    """The command, in another thread, as another process would."""
    return await asyncio.to_thread(exit_status_of, ["recordings", *arguments])


def token_file(folder: Path, token: str) -> Path:
    file = folder / "token"
    file.write_text(f"{token}\n")
    file.chmod(0o600)
    return file


async def test_an_auditors_script_exports_everything_and_each_look_is_a_fact(
    played: ServedCentre, tmp_path: Path
) -> None:
    async with Browser(played.url) as browser:
        file = token_file(tmp_path, await token_for(browser, "aud"))
    to = tmp_path / "export"
    asked_for = ("export", "--centre", played.url, "--session", f"{DOCK}/{SESSION}", "--to", str(to))
    assert await run(*asked_for, "--token-file", str(file)) == 0
    looked = [dict(one.about) for one in await played.services.centre_facts.read(limit=1000, kind="Looked")]
    assert {one["what"] for one in looked} == {"content", "facts", "manifest"}
    listed = await played.services.queries.recordings(RecordingFilter())
    taken = {one["digest"] for one in looked if one["what"] == "content"}
    assert taken == {one.digest for one in listed.recordings}


async def test_without_a_token_and_with_that_of_it_nothing_is_exported(
    played: ServedCentre, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--centre", played.url, "--session", f"{DOCK}/{SESSION}", "--to")
    assert await run("export", *where, str(tmp_path / "one")) == 1
    assert "Sign in" in capsys.readouterr().err
    async with Browser(played.url) as browser:
        file = token_file(tmp_path, await token_for(browser, "ian"))
    assert await run("export", *where, str(tmp_path / "two"), "--token-file", str(file)) == 1
    assert "Your role at this centre does not hold this" in capsys.readouterr().err
    assert await run("list", "--centre", played.url, "--token-file", str(file)) == 0
    assert str(DOCK) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "mode", "content", "words"),
    [
        ("http://centre.example", 0o600, "dockd_x", "in the clear"),
        ("https://centre.example", 0o644, "dockd_x", "chmod 600"),
        ("https://centre.example", 0o600, "", "holds no token"),
        ("https://centre.example", 0o600, "a b", "holds no token"),
        ("https://centre.example", 0o600, "\x00", "holds no token"),
        ("https://centre.example", 0o600, "ä", "holds no token"),
    ],
)
async def test_a_token_is_not_sent_where_others_may_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, mode: int, content: str, words: str
) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    file.chmod(mode)
    assert await run("list", "--centre", url, "--token-file", str(file)) == 1
    assert words in capsys.readouterr().err
