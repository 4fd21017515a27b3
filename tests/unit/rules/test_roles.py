"""Claims about roles: who holds what, and that nobody holds more by mistake."""

from __future__ import annotations

import pytest

from dockd.rules.roles import HELD, ROLE_WORDS, Permission, Role, is_bound_to_site, may, role_of_claims


def test_only_auditors_and_administrators_see_custody_or_take_footage() -> None:
    for permission in (Permission.SEE_CUSTODY, Permission.TAKE_FOOTAGE):
        assert {role for role in Role if may(role, permission)} == {Role.AUDITOR, Role.ADMINISTRATOR}


def test_only_administrators_manage_people_and_set_policy() -> None:
    for permission in (Permission.MANAGE_PEOPLE, Permission.SET_POLICY):
        assert {role for role in Role if may(role, permission)} == {Role.ADMINISTRATOR}


def test_station_staff_hold_what_every_role_holds_and_nothing_else() -> None:
    assert HELD[Role.STATION] == frozenset.intersection(*HELD.values())
    assert {role for role in Role if is_bound_to_site(role)} == {Role.STATION}


@pytest.mark.parametrize("role", Role)
def test_every_role_has_its_permissions_and_its_words(role: Role) -> None:
    assert role in HELD
    assert ROLE_WORDS[role]


def test_the_first_role_of_the_mapping_that_a_person_has_counts() -> None:
    mapping = {"bwv-admins": Role.ADMINISTRATOR, "bwv-it": Role.IT}
    assert role_of_claims(frozenset({"bwv-it", "bwv-admins"}), mapping) is Role.ADMINISTRATOR
    assert role_of_claims(frozenset({"bwv-it", "else"}), mapping) is Role.IT
    assert role_of_claims(frozenset({"BWV-IT", ""}), mapping) is None
    assert role_of_claims(frozenset(), mapping) is None
