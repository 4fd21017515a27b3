"""Who looks at a page, for what every page shows: the name at the top, which links lead somewhere, a form's token.

Templates ask `viewer()`. It is of the request that is being answered, so that no page has to hand it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from dockd.rules.roles import Permission, Role, may


@dataclass(frozen=True, slots=True)
class Viewer:
    """`role` is None for whoever has not signed in; `is_asked` says whether people sign in at this centre at all."""

    is_asked: bool = False
    person: str | None = None
    full_name: str = ""
    role: Role | None = None
    form_token: str = ""

    def may(self, permission: str) -> bool:
        """Whether a link that needs this permission leads anywhere. The door decides, not this."""
        if not self.is_asked:
            return True
        return self.role is not None and may(self.role, Permission(permission))


_NOBODY = Viewer()
_current: ContextVar[Viewer] = ContextVar("dockd_viewer", default=_NOBODY)


def viewer() -> Viewer:
    """Who looks at the page that is being made."""
    return _current.get()


@contextmanager
def viewed_by(one: Viewer) -> Iterator[None]:
    """Pages made inside the block are for `one`."""
    token = _current.set(one)
    try:
        yield
    finally:
        _current.reset(token)
