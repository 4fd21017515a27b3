"""Everything about people put together. Loaded only where people sign in: an embedded centre needs none of it."""

from __future__ import annotations

from dataclasses import dataclass

from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database
from dockd.central.people.accounts import Accounts
from dockd.central.people.config import PeopleConfig, SignInConfig
from dockd.central.people.cookies import Cookies
from dockd.central.people.lockout import LockOut
from dockd.central.people.oidc.code_flow import CodeFlow
from dockd.central.people.oidc.provider import Provider
from dockd.central.people.passwords import Passwords
from dockd.central.people.places import OwnDocks
from dockd.central.people.script_tokens import ScriptTokens
from dockd.central.people.sessions import Sessions
from dockd.central.people.signing_in import SigningIn
from dockd.clock import Clock


@dataclass(frozen=True, slots=True)
class People:
    """Who may use the centre. `oidc` is None where no identity provider is configured."""

    config: PeopleConfig
    accounts: Accounts
    sessions: Sessions
    scripts: ScriptTokens
    lockout: LockOut
    passwords: Passwords
    signing_in: SigningIn
    own_docks: OwnDocks
    cookies: Cookies
    oidc: CodeFlow | None

    async def forget_old(self) -> None:
        """Drop what says nothing any more: ended sessions, old counts. Raises Refusal (503, 507)."""
        await self.sessions.forget_old()
        await self.lockout.forget_old()
        await self.signing_in.forget_old()

    async def close(self) -> None:
        """End threads and connections."""
        await self.passwords.close()
        if self.oidc is not None:
            await self.oidc.close()


def make_people(
    database: Database, facts: CentreFacts, clock: Clock, sign_in: SignInConfig, *, is_https: bool
) -> People:
    """Put it together; `is_https`: browsers reach the centre over https. Close what is returned."""
    config, oidc = sign_in.people, sign_in.oidc
    accounts = Accounts(database, facts, clock)
    sessions = Sessions(database, facts, clock, config)
    lockout = LockOut(database, facts, clock)
    passwords = Passwords(at_once=config.hashing_at_once, hasher=sign_in.hasher)
    return People(
        config=config,
        accounts=accounts,
        sessions=sessions,
        scripts=ScriptTokens(database, facts, clock, config),
        lockout=lockout,
        passwords=passwords,
        signing_in=SigningIn(
            database, facts, clock, accounts=accounts, passwords=passwords, sessions=sessions, lockout=lockout
        ),
        own_docks=OwnDocks(database),
        cookies=Cookies(is_https=is_https),
        oidc=CodeFlow(database, Provider(oidc, clock), clock) if oidc.issuer is not None else None,
    )
