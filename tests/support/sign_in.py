"""A browser that signs in: cookies, forms with their tokens, and the headers that every browser sends."""

from __future__ import annotations

import re
import ssl
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import aiohttp
from argon2 import PasswordHasher
from yarl import URL

from dockd.central.people.accounts import NewAccount
from dockd.central.people.config import OidcConfig, PeopleConfig, SignInConfig
from dockd.central.services import Services
from dockd.rules.roles import Role

PASSWORD = "correct horse battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""The real argon2id, at a cost that tests can pay."""


def sign_in_config(oidc: OidcConfig | None = None, **people: Any) -> SignInConfig:
    """What a centre is told, with cheap hashing."""
    return SignInConfig(people=PeopleConfig(**people), oidc=oidc or OidcConfig(), hasher=CHEAP)


async def add_person(
    services: Services,
    person: str,
    role: Role,
    *,
    site: str | None = None,
    full_name: str | None = None,
    must_change_password: bool = False,
) -> None:
    """Somebody whose password is PASSWORD."""
    assert services.people is not None
    await services.people.accounts.add(
        NewAccount(
            person=person,
            full_name=full_name or person.title(),
            role=role,
            site=site,
            password_hash=await services.people.signing_in.hash_of(PASSWORD),
            must_change_password=must_change_password,
        ),
        by="console",
    )


class Browser:
    """One browser. `origin` is where it believes to be; a form is sent from there. `tls` is whom it believes."""

    def __init__(self, origin: str, *, tls: ssl.SSLContext | None = None, **headers: str) -> None:
        self.origin = origin
        self.headers = headers
        connector = aiohttp.TCPConnector(ssl=tls if tls is not None else True)
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), connector=connector)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    def cookie(self, name: str) -> str | None:
        """A cookie that this browser holds."""
        return next((one.value for one in self.session.cookie_jar if one.key == name), None)

    def put_cookie(self, name: str, value: str) -> None:
        """Give the browser a cookie, as somebody who wants to fix its session would."""
        self.session.cookie_jar.update_cookies({name: value}, URL(self.origin))

    async def get(self, path: str, status: int | None = 200) -> str:
        """The page at `path`, without following where it leads."""
        async with self.session.get(urljoin(self.origin, path), headers=self.headers, allow_redirects=False) as answer:
            text = await answer.text()
            assert status is None or answer.status == status, (answer.status, text[:600])
            return text

    async def led_to(self, path: str) -> str:
        """Where `path` sends the browser."""
        async with self.session.get(urljoin(self.origin, path), headers=self.headers, allow_redirects=False) as answer:
            assert answer.status == 303, (answer.status, await answer.text())
            return answer.headers["Location"]

    async def token_on(self, path: str) -> str:
        """The form's token on a page."""
        found = re.search(r'name="form_token" value="([0-9a-f]{64})"', await self.get(path))
        assert found
        return found[1]

    async def post(
        self, path: str, fields: dict[str, str], *, on: str, headers: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Send the form of the page `on`; returns status, text and where it leads."""
        sent = {"form_token": await self.token_on(on), **fields}
        return await self.send(path, sent, headers=headers)

    async def send(
        self, path: str, fields: dict[str, str], *, headers: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Send a form as it is."""
        given = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", **self.headers, **(headers or {})}
        async with self.session.post(
            urljoin(self.origin, path),
            data=fields,
            headers={name: value for name, value in given.items() if value},
            allow_redirects=False,
        ) as answer:
            return answer.status, await answer.text(), answer.headers.get("Location", "")

    async def sign_in(self, name: str, password: str = PASSWORD, *, status: int = 303, next_path: str = "/") -> str:
        """Sign in; returns the text of the answer."""
        got, text, _ = await self.post(
            "/sign-in", {"name": name, "password": password, "next": next_path}, on="/sign-in"
        )
        assert got == status, (got, text)
        return text
