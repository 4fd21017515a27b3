"""Whatever a store says in trouble is *later*, in words; only "not there" and "there already" are answers."""

from __future__ import annotations

import aiohttp
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from dockd.central.refusals import BUSY, STORE_FULL, STORE_SUSPECT
from dockd.central.stores.s3.bucket import _digest, _told
from dockd.central.stores.s3.failures import AlreadyThere, NotThere, RangeNotThere, store_failures
from dockd.web.problems import Refusal
from tests.support.store_site import digest_of


def answer(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (answer(503, "SlowDown"), BUSY, "busy"),
        (answer(429, "429"), BUSY, "busy"),
        (answer(507, "InsufficientStorage"), STORE_FULL, "no room"),
        (answer(403, "QuotaExceeded"), STORE_FULL, "no room"),
        (answer(403, "AccessDenied"), STORE_SUSPECT, "credentials"),
        (answer(403, "RequestTimeTooSkewed"), STORE_SUSPECT, "clocks"),
        (answer(404, "NoSuchBucket"), STORE_SUSPECT, "fault"),
        (answer(500, "InternalError"), STORE_SUSPECT, "fault"),
        (answer(400, "InvalidDigest"), STORE_SUSPECT, "fault"),
        (TimeoutError(), STORE_SUSPECT, "in time"),
        (EndpointConnectionError(endpoint_url="http://secret.example"), STORE_SUSPECT, "cannot be reached"),
        (aiohttp.ServerDisconnectedError("secret"), STORE_SUSPECT, "cannot be reached"),
        (ConnectionResetError("secret"), STORE_SUSPECT, "cannot be reached"),
    ],
)
def test_trouble_is_later_and_names_no_address(error: Exception, kind: object, words: str) -> None:
    with pytest.raises(Refusal) as refused, store_failures():
        raise error
    assert refused.value.kind is kind
    assert refused.value.kind.status in (503, 507)
    assert refused.value.retry_after_seconds
    assert words in refused.value.what
    assert "secret" not in refused.value.what


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (answer(404, "NoSuchKey"), NotThere),
        (answer(404, "NoSuchUpload"), NotThere),
        (answer(404, "404"), NotThere),
        (answer(412, "PreconditionFailed"), AlreadyThere),
        (answer(416, "InvalidRange"), RangeNotThere),
    ],
)
def test_answers_that_say_what_there_is(error: Exception, meaning: type[Exception]) -> None:
    with pytest.raises(meaning), store_failures():
        raise error


def test_something_that_answers_200_and_is_no_store_is_later() -> None:
    with pytest.raises(Refusal, match="without UploadId"):
        _told({}, "UploadId")


@pytest.mark.parametrize("text", [None, "", "!", "YWJj", "mD5eK1gEv7z6O0o4lJ6pqg==-3"])
def test_checksum_that_is_no_sha256_of_the_part_is_no_digest(text: str | None) -> None:
    assert _digest(text) is None
    assert _digest("ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=") == digest_of(b"a")
