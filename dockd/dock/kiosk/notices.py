"""One short message for the person who has just sent a form, kept for a minute.

The address of the page carries only a random token, never the words: otherwise anyone could make a
link that lets the dock's own page say "take the camera from bay 9".
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_KEPT_SECONDS = 60.0
_KEPT_COUNT = 64


@dataclass(frozen=True, slots=True)
class Notice:
    """`headline` in a few words, `words` for the rest; `is_good` tells a success from a refusal."""

    headline: str
    words: str
    is_good: bool


class Notices:
    """The last messages, by token. Forgets after a minute, and the oldest when there are too many."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._kept: OrderedDict[str, tuple[float, Notice]] = OrderedDict()

    def keep(self, notice: Notice) -> str:
        """Return the token under which `notice` can be read for a minute."""
        token = secrets.token_urlsafe(12)
        self._kept[token] = (self._monotonic() + _KEPT_SECONDS, notice)
        while len(self._kept) > _KEPT_COUNT:
            self._kept.popitem(last=False)
        return token

    def read(self, token: str | None) -> Notice | None:
        """The message, as often as it is asked for within its minute; None when it is not known."""
        if token is None or token not in self._kept:
            return None
        until, notice = self._kept[token]
        if self._monotonic() > until:
            del self._kept[token]
            return None
        return notice
