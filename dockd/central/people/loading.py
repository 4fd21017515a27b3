"""The one place where hashing and the identity provider come in, and only when it is asked.

An embedded centre, at which nobody signs in, needs neither installed nor in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockd.central.centre_facts import CentreFacts
from dockd.central.config import CentreConfig
from dockd.central.database import Database
from dockd.central.people.config import SignInConfig
from dockd.clock import Clock
from dockd.errors import CentreUnusable

if TYPE_CHECKING:
    from dockd.central.people.service import People


def load_people(
    config: CentreConfig, sign_in: SignInConfig, database: Database, facts: CentreFacts, clock: Clock
) -> People:
    """Everything about people; close it. Raises CentreUnusable where the packages for it are not installed."""
    try:
        from dockd.central.people.service import make_people  # noqa: PLC0415 - an embedded centre must not need it
    except ModuleNotFoundError as error:
        raise CentreUnusable(
            f"People are to sign in, and the Python package {error.name} is not installed.",
            action="Install dockd with its extra `central`.",
        ) from error
    address = sign_in.people.url or config.public_url or ""
    return make_people(database, facts, clock, sign_in, is_https=address.startswith("https://"))
