"""The command line's way to the dock's daemon: its local API, never its files.

Knows the addresses of `dock/kiosk/api.py`. A refusal becomes words, silence becomes `DockUnreachable`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import click
from pydantic import ValidationError
from yarl import URL

from dockd.dock.kiosk.config import DEFAULT_PORT
from dockd.errors import DockdError, DockRefused, DockUnreachable
from dockd.model.ids import BayId, OfficerNumber
from dockd.wire.problems import Problem
from dockd.wire.status import DockStatus

_ANSWER_SECONDS = 20.0
_SILENCE_SECONDS = 30.0
"""The daemon sends a heartbeat at least every 5 s."""

url_option = click.option(
    "--url",
    default=f"http://127.0.0.1:{DEFAULT_PORT}",
    show_default=True,
    envvar="DOCKD_URL",
    show_envvar=True,
    help="Address of the dock's page.",
)


class DockClient:
    """Asks one dock. Make it with `open_dock`. Every call raises DockUnreachable or DockRefused."""

    def __init__(self, session: aiohttp.ClientSession, url: URL) -> None:
        self._session = session
        self._url = url

    async def status(self) -> DockStatus:
        """The dock now."""
        return self._read_status(await self._ask("GET", "api/v1/status"))

    async def watch(self) -> AsyncIterator[DockStatus]:
        """The dock now and after every change; ends when the daemon does. Raises DockUnreachable on silence."""
        limit = aiohttp.ClientTimeout(total=None, sock_connect=_ANSWER_SECONDS, sock_read=_SILENCE_SECONDS)
        try:
            async with self._session.get(self._url / "api/v1/status/events", timeout=limit) as response:
                if response.status != 200:
                    raise self._refused(response.status, await response.text())
                async for raw in response.content:
                    line = raw.rstrip(b"\r\n")
                    if line.startswith(b"data: "):
                        yield self._read_status(line.removeprefix(b"data: ").decode("utf-8", "replace"))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._unreachable(error) from error

    async def issue(self, officer: OfficerNumber) -> dict[str, Any]:
        """Issue a camera; the answer has `bay`, `camera`, `officer`, `battery_percent`, `headline`, `words`."""
        text = await self._ask("POST", "api/v1/issue", {"officer": officer})
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise self._unreachable(error) from error
        if not isinstance(answer, dict) or not {"headline", "words"} <= answer.keys():
            raise self._unreachable(ValueError("the answer is not a dock's"))
        return answer

    async def release(self, bay: BayId) -> None:
        """Release a HELD bay."""
        await self._ask("POST", f"api/v1/bays/{bay}/release")

    async def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> str:
        limit = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        try:
            async with self._session.request(method, self._url / path, json=body, timeout=limit) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._unreachable(error) from error
        if response.status >= 400:
            raise self._refused(response.status, text)
        return text

    def _read_status(self, text: str) -> DockStatus:
        try:
            return DockStatus.model_validate_json(text)
        except ValidationError as error:
            raise self._unreachable(ValueError("the answer is not a dock's, or of another version")) from error

    def _unreachable(self, error: Exception) -> DockUnreachable:
        return DockUnreachable(f"No dock answers at {self._url}: {error or type(error).__name__}.")

    def _refused(self, status: int, text: str) -> DockdError:
        try:
            problem = Problem.model_validate_json(text)
        except ValidationError:
            return DockUnreachable(f"What answers at {self._url} is no dock (HTTP {status}).")
        return DockRefused(problem.detail)


@asynccontextmanager
async def open_dock(url: str) -> AsyncIterator[DockClient]:
    """A client for the dock at `url`. Raises click.BadParameter when that is no http address."""
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise click.BadParameter(f"{url!r} is not an http address", param_hint="--url")
    async with aiohttp.ClientSession() as session:
        yield DockClient(session, parsed)
