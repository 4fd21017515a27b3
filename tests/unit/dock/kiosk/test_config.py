"""The page has no sign-in: where it is served must be meant."""

from __future__ import annotations

import tomllib

import pytest
from pydantic import ValidationError

from dockd.dock.kiosk.config import KioskConfig


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "dock-7.example"])
def test_other_addresses_are_refused_unless_meant(host: str) -> None:
    with pytest.raises(ValidationError, match="allow_other_hosts"):
        KioskConfig(host=host)
    assert KioskConfig(host=host, allow_other_hosts=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.9"])
def test_loopback_needs_no_leave(host: str) -> None:
    assert host in KioskConfig(host=host).served_names


def test_names_come_from_toml_as_a_list() -> None:
    given = tomllib.loads('allowed_hosts = ["dock-7.example"]')
    assert "dock-7.example" in KioskConfig.model_validate(given).served_names


@pytest.mark.parametrize("wrong", ["port = '80'", "port = 70000", "hosts = []", "host = 'a/b'", "allowed_hosts = [1]"])
def test_mistakes_are_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        KioskConfig.model_validate(tomllib.loads(wrong))


def test_every_field_is_described() -> None:
    assert all(field.description for field in KioskConfig.model_fields.values())
