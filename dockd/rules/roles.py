"""Which person may do what at the centre: four roles, what each holds, and whether it reaches beyond the own site.

Pure, so that whoever answers for data protection can read it in one place. Nobody holds a permission that is not in
`HELD` below, and no role is exempt from the log: what is written down does not depend on who looks.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Role(Enum):
    """What a person is at the centre. One each; it counts from the next request on."""

    STATION = "station"
    IT = "it"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Permission(Enum):
    """What an address of the centre asks of whoever calls it."""

    SEE_DOCKS = "see-docks"
    """Docks, bays, sessions: how things stand. Of the own site only, where the role is bound to one."""
    SEE_RECORDINGS = "see-recordings"
    """That a recording exists, of which camera, officer and time, how large: never its content or custody."""
    SEE_FORCE = "see-force"
    """What is told of all places together: rollout, fleet, charts, the store's condition."""
    SEE_CUSTODY = "see-custody"
    """Custody, receipts, manifests and docks' facts."""
    TAKE_FOOTAGE = "take-footage"
    """The content of recordings: to look at it and to export it."""
    RUN_DOCKS = "run-docks"
    """Enrol and revoke docks, acknowledge and silence alerts."""
    DECIDE_RETENTION = "decide-retention"
    """Categories, holds and their release; what goes tonight and why."""
    SET_POLICY = "set-policy"
    """Retention policies and whatever else holds for the whole force."""
    MANAGE_PEOPLE = "manage-people"
    """Accounts, roles, sessions of others."""


HELD: Final[dict[Role, frozenset[Permission]]] = {
    Role.STATION: frozenset({Permission.SEE_DOCKS, Permission.SEE_RECORDINGS}),
    Role.IT: frozenset(
        {Permission.SEE_DOCKS, Permission.SEE_RECORDINGS, Permission.SEE_FORCE, Permission.RUN_DOCKS},
    ),
    Role.AUDITOR: frozenset(
        {
            Permission.SEE_DOCKS,
            Permission.SEE_RECORDINGS,
            Permission.SEE_FORCE,
            Permission.SEE_CUSTODY,
            Permission.TAKE_FOOTAGE,
            Permission.DECIDE_RETENTION,
        }
    ),
    Role.ADMINISTRATOR: frozenset(Permission),
}

ROLE_WORDS: Final[dict[Role, str]] = {
    Role.STATION: "Station staff: docks and recordings of the own site, no footage",
    Role.IT: "IT: all docks, no footage",
    Role.AUDITOR: "Auditor: custody, footage and exports",
    Role.ADMINISTRATOR: "Administrator: everything, and people",
}
"""For pages: the role and what it means."""


def may(role: Role, permission: Permission) -> bool:
    """Whether `role` holds `permission`."""
    return permission in HELD[role]


def is_bound_to_site(role: Role) -> bool:
    """Whether a person of this role sees one site only and must therefore have one."""
    return role is Role.STATION


def role_of_claims(values: frozenset[str], mapping: dict[str, Role]) -> Role | None:
    """The role that an identity provider's claim gives: the first of `mapping`, in its order, that is among `values`.

    None where none is: such a person has no business here.
    """
    return next((role for value, role in mapping.items() if value in values), None)
