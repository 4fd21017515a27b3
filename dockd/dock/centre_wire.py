"""One request to the centre and its answer, over a network that may be slow, broken or hostile.

Knows HTTP: finite time-outs, limits on what is read, no redirections, no decompression, a few quick
tries with jitter (tenacity). Knows nothing of recordings. Longer waits belong to the callers, who are
told by `CentreUnavailable`; nothing here ever turns a network fault into a refusal.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from pydantic import ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential
from yarl import URL

from dockd.clock import Clock
from dockd.dock.centre_answers import Answer, check_answer
from dockd.dock.centre_tls import tls_words
from dockd.errors import CentreRefused, CentreUnavailable
from dockd.model.value import Value

MEBIBYTE = 1024 * 1024
SMALL_ANSWER_BYTES = MEBIBYTE
LARGE_ANSWER_BYTES = 64 * MEBIBYTE
"""Facts with many part digests, and uploads with 10,000 addresses."""

_QUICK_ATTEMPTS = 3
_LONGEST_QUICK_WAIT_SECONDS = 4.0
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 60.0
_NETWORK_FAULTS = (aiohttp.ClientError, TimeoutError, OSError, EOFError)

M = TypeVar("M", bound=Value)
R = TypeVar("R")


class Reachability:
    """Whether the centre answers, since when, and in words for the page."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lost_monotonic: float | None = clock.monotonic()
        self.words = "The centre has not been asked yet."

    @property
    def is_reachable(self) -> bool:
        return self._lost_monotonic is None

    def unreachable_seconds(self) -> float:
        """How long the centre has been out of reach; 0.0 while it answers."""
        return 0.0 if self._lost_monotonic is None else self._clock.monotonic() - self._lost_monotonic

    def answered(self) -> None:
        """The centre took or answered something."""
        self._lost_monotonic = None
        self.words = "The centre answers."

    def failed(self, words: str) -> None:
        """It did not."""
        if self._lost_monotonic is None:
            self._lost_monotonic = self._clock.monotonic()
        self.words = words


def open_http_session() -> aiohttp.ClientSession:
    """A session as dockd wants it: no cookies, no proxy from the environment, bodies as they are on the wire."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "dockd"},
        timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=_ANSWER_SECONDS),
        connector=aiohttp.TCPConnector(limit=64, enable_cleanup_closed=False),
        read_bufsize=256 * 1024,
    )


@dataclass(frozen=True, slots=True)
class _Question:
    method: str
    url: URL
    body: bytes | None
    headers: Mapping[str, str]
    limit_bytes: int = SMALL_ANSWER_BYTES
    seconds: float = _ANSWER_SECONDS


class CentreWire:
    """Sends requests to one centre. `base_url` is its address without `/api/v1`, `tls` how it is spoken to."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, clock: Clock, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._session = session
        self._tls = tls
        self._base = URL(base_url.rstrip("/") + "/")
        self._clock = clock
        self._quick_wait = wait_random_exponential(multiplier=0.2, max=_LONGEST_QUICK_WAIT_SECONDS)
        self.reachability = Reachability(clock)

    async def ask(
        self,
        method: str,
        path: str,
        answer_type: type[M],
        *,
        body: Value | None = None,
        query: Mapping[str, str] | None = None,
        limit_bytes: int = SMALL_ANSWER_BYTES,
        seconds: float = _ANSWER_SECONDS,
    ) -> M:
        """Send `body` as JSON and return the parsed answer.

        Raises CentreUnavailable (after a few quick tries) and CentreRefused.
        """
        payload = None if body is None else body.model_dump_json().encode("utf-8")
        headers = {} if payload is None else {"Content-Type": "application/json"}
        question = _Question(method, self.url(path, query), payload, headers, limit_bytes, seconds)

        async def once() -> M:
            return _parse(await self._exchange(question), answer_type)

        return await self._tried(once)

    async def send(self, method: str, path: str, content: bytes, headers: Mapping[str, str]) -> bytes:
        """Send `content` as it is and return the answer's body. Raises as `ask`."""
        question = _Question(method, self.url(path), content, headers)
        return await self._tried(lambda: self._exchange(question))

    async def fetch(self, path: str, limit_bytes: int) -> bytes:
        """Return the body at `path`. Raises as `ask`; CentreUnavailable when it is larger than `limit_bytes`."""
        question = _Question("GET", self.url(path), None, {}, limit_bytes)
        return await self._tried(lambda: self._exchange(question))

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        offset_bytes: int = 0,
        chunk_bytes: int = MEBIBYTE,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the body at `path` from `offset_bytes` on, piece by piece, of any length, as long as it keeps coming.

        Raises as `ask`, without tries of its own: the caller begins again.
        """
        headers = {"Range": f"bytes={offset_bytes}-"} if offset_bytes else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_ANSWER_SECONDS)
        try:
            async with self._session.get(
                self.url(path, query),
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
                ssl=self._tls_for(self._base),
            ) as response:
                if response.status != (206 if offset_bytes else 200):
                    check_answer(await _read(response, SMALL_ANSWER_BYTES), self._clock.now())
                    raise CentreUnavailable(f"The centre answered HTTP {response.status} to a request for content.")
                yield response.content.iter_chunked(chunk_bytes)
        except _NETWORK_FAULTS as error:
            raise self._lost(error) from error

    async def put_stream(
        self, url: str, headers: Mapping[str, str], chunks: AsyncIterator[bytes], *, seconds: float
    ) -> Answer:
        """PUT a stream to a part address (absolute, or relative to the centre), once.

        `headers` must hold the Content-Length. `seconds` bounds only the wait for the answer after the
        last byte; the caller watches over the sending. Raises CentreUnavailable for a broken connection.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=seconds)
        try:
            target = URL(url, encoded=True)  # a signed address must not be written differently
            target = target if target.is_absolute() else self._base.join(target)
            if target.scheme not in ("http", "https"):
                raise CentreUnavailable("The centre gives an address for a part that is not HTTP.")
            async with self._session.put(
                target,
                data=chunks,
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
                ssl=self._tls_for(target),
            ) as response:
                return await _read(response, SMALL_ANSWER_BYTES)
        except ValueError as error:
            raise CentreUnavailable(f"The centre gives an unusable address for a part: {error}") from error
        except _NETWORK_FAULTS as error:
            raise self._lost(error) from error

    def url(self, path: str, query: Mapping[str, str] | None = None) -> URL:
        """The address of `path` (already encoded, beginning with `/`) at this centre."""
        url = self._base.join(URL(path.lstrip("/"), encoded=True))
        return url.update_query(dict(query)) if query else url

    async def _exchange(self, question: _Question) -> bytes:
        timeout = aiohttp.ClientTimeout(total=question.seconds, sock_connect=_CONNECT_SECONDS)
        try:
            async with self._session.request(
                question.method,
                question.url,
                data=question.body,
                headers=question.headers,
                allow_redirects=False,
                timeout=timeout,
                ssl=self._tls_for(question.url),
            ) as response:
                answer = await _read(response, question.limit_bytes)
        except _NETWORK_FAULTS as error:
            raise self._lost(error) from error
        return check_answer(answer, self._clock.now())

    async def _tried(self, once: Callable[[], Awaitable[R]]) -> R:
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(_QUICK_ATTEMPTS),
                wait=self._wait,
                retry=retry_if_exception(_is_quick),
                sleep=self._clock.sleep,
                reraise=True,
            ):
                with attempt:
                    answer = await once()
        except CentreUnavailable as error:
            self.reachability.failed(error.what)
            raise
        except CentreRefused:
            self.reachability.answered()
            raise
        self.reachability.answered()
        return answer

    def _tls_for(self, url: URL) -> ssl.SSLContext | bool:
        """The centre's own context for the centre alone; an object store elsewhere is judged by the host's CAs."""
        return self._tls if self._tls is not None and url.origin() == self._base.origin() else True

    def _lost(self, error: BaseException) -> CentreUnavailable:
        if isinstance(error, TimeoutError):
            return CentreUnavailable("The centre does not answer in time.")
        words = tls_words(error) if self._tls is not None else None
        return CentreUnavailable(words or f"The centre cannot be reached ({type(error).__name__}).")

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after_seconds if isinstance(error, CentreUnavailable) else None
        return max(self._quick_wait(state), asked or 0.0)


def _is_quick(error: BaseException) -> bool:
    """Worth another try at once: a fault of the moment that does not ask for a longer wait."""
    return isinstance(error, CentreUnavailable) and (error.retry_after_seconds or 0.0) <= _LONGEST_QUICK_WAIT_SECONDS


def _parse(raw: bytes, answer_type: type[M]) -> M:
    try:
        return answer_type.model_validate_json(raw)
    except ValidationError as error:
        raise CentreUnavailable(
            f"The centre's answer is not a {answer_type.__name__} ({error.error_count()} mistakes)."
        ) from error


async def _read(response: aiohttp.ClientResponse, limit_bytes: int) -> Answer:
    body = bytearray()
    async for chunk in response.content.iter_chunked(256 * 1024):
        body += chunk
        if len(body) > limit_bytes:
            response.close()
            raise CentreUnavailable(f"The centre's answer is longer than {limit_bytes} bytes.")
    return Answer(
        response.status, response.headers.get("Content-Type", ""), response.headers.get("Retry-After"), bytes(body)
    )
