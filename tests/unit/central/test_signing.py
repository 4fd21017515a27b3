"""Signed addresses: AWS's own worked example, and what must not go into one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dockd.central.stores.s3.signing import Credentials, Place, presigned

CREDENTIALS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
AT = datetime(2013, 5, 24, tzinfo=UTC)


def test_signature_is_the_one_of_the_published_example() -> None:
    """AWS, "Authenticating Requests: Using Query Parameters", example GET of test.txt."""
    place = Place("https://s3.amazonaws.com", "us-east-1", "examplebucket", path_style=False)
    url = presigned(CREDENTIALS, place, "GET", "test.txt", query={}, headers={}, now=AT, lifetime_seconds=86400)
    assert url.startswith("https://examplebucket.s3.amazonaws.com/test.txt?")
    assert url.endswith("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def test_secret_is_in_no_address_and_no_representation() -> None:
    place = Place("https://store.example", "us-east-1", "footage", path_style=True)
    url = presigned(CREDENTIALS, place, "PUT", "a b", query={}, headers={"X-A": "1"}, now=AT, lifetime_seconds=60)
    assert url.startswith("https://store.example/footage/a%20b?")
    assert CREDENTIALS.secret_key not in url
    assert CREDENTIALS.secret_key not in repr(CREDENTIALS)


@pytest.mark.parametrize("seconds", [0, -1, 7 * 24 * 3600 + 1])
def test_lifetime_that_s3_does_not_take_is_refused(seconds: int) -> None:
    place = Place("https://store.example", "us-east-1", "footage", path_style=True)
    with pytest.raises(ValueError, match="good for 1 to"):
        presigned(CREDENTIALS, place, "PUT", "a", query={}, headers={}, now=AT, lifetime_seconds=seconds)
