"""Loopback unless someone means otherwise, and never on a network without sign-in; docks elsewhere come over TLS."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dockd.central.config import CentreConfig
from dockd.central.people.config import OidcConfig, PeopleConfig


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_loopback_needs_no_permission(host: str) -> None:
    assert CentreConfig(folder="/x", host=host).host == host
    assert CentreConfig(folder="/x", host=host).sign_in == "off"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "centre.example"])
def test_other_addresses_are_refused_where_nobody_signs_in(host: str) -> None:
    for allowed in (False, True):
        with pytest.raises(ValidationError, match="nobody is asked who they are"):
            CentreConfig(folder="/x", host=host, allow_other_hosts=allowed)


@pytest.mark.parametrize("host", ["0.0.0.0", "centre.example"])
def test_other_addresses_are_refused_unless_meant(host: str) -> None:
    with pytest.raises(ValidationError, match="plain HTTP"):
        CentreConfig(folder="/x", host=host, sign_in="required")
    assert CentreConfig(folder="/x", host=host, sign_in="required", allow_other_hosts=True).host == host


def test_the_certificate_names_what_docks_are_told_and_no_wildcard() -> None:
    config = CentreConfig(
        folder="/x", docks_host="0.0.0.0", docks_url="https://centre.example:8491", docks_names=("10.0.0.7",)
    )
    assert config.certificate_names == {"localhost", "127.0.0.1", "::1", "centre.example", "10.0.0.7"}
    assert config.certificate_names <= config.served_names
    with pytest.raises(ValidationError):
        CentreConfig(folder="/x", docks_url="http://centre.example:8491")


def test_names_it_is_reached_by_are_served() -> None:
    config = CentreConfig(folder="/x", public_url="https://centre.example:8443", allowed_hosts=("other.example",))
    assert {"centre.example", "other.example", "localhost", "127.0.0.1"} <= config.served_names
    assert PeopleConfig(url="https://pages.example").served_names == {"pages.example"}
    assert PeopleConfig().served_names == frozenset()


@pytest.mark.parametrize("url", ["centre.example", "ftp://x", "https://x/path", "https://x?y", "https://u@x"])
def test_public_url_is_an_origin(url: str) -> None:
    with pytest.raises(ValidationError):
        CentreConfig(folder="/x", public_url=url)
    with pytest.raises(ValidationError):
        PeopleConfig(url=url)


SOUND = {"issuer": "https://id.example/realm", "client_id": "dockd", "roles": {"bwv-it": "it"}}


def test_a_provider_is_described_in_whole_or_not_at_all() -> None:
    assert OidcConfig.model_validate(SOUND).issuer
    assert OidcConfig().issuer is None
    for missing in ("client_id", "roles"):
        with pytest.raises(ValidationError):
            OidcConfig.model_validate({name: value for name, value in SOUND.items() if name != missing})


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://id.example"},
        {"issuer": "https://id.example?x=1"},
        {"issuer": "id.example"},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"algorithms": []},
        {"scopes": ["profile"]},
        {"roles": {"x": "root"}},
    ],
)
def test_a_provider_that_cannot_be_believed_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        OidcConfig.model_validate({**SOUND, **wrong})


def test_proxies_are_addresses() -> None:
    assert PeopleConfig(trusted_proxies=("127.0.0.1", "::1")).trusted_proxies
    with pytest.raises(ValidationError):
        PeopleConfig(trusted_proxies=("proxy.example",))
