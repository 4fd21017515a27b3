"""Loopback unless someone means otherwise and says so; docks elsewhere come over TLS."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dockd.central.config import CentreConfig


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_loopback_needs_no_permission(host: str) -> None:
    assert CentreConfig(folder="/x", host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "centre.example"])
def test_other_addresses_are_refused_unless_meant(host: str) -> None:
    with pytest.raises(ValidationError, match="in plain HTTP; docks have docks_host"):
        CentreConfig(folder="/x", host=host)
    assert CentreConfig(folder="/x", host=host, allow_other_hosts=True).host == host


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


@pytest.mark.parametrize("url", ["centre.example", "ftp://x", "https://x/path", "https://x?y", "https://u@x"])
def test_public_url_is_an_origin(url: str) -> None:
    with pytest.raises(ValidationError):
        CentreConfig(folder="/x", public_url=url)
