"""Who gets in, as whom, and who does not: real TLS on loopback, every refusal in words."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import select

from dockd.central.app import serving_centre
from dockd.central.authority import CA_FILE, load_authority
from dockd.central.centre_facts import CentreFacts
from dockd.central.config import CentreConfig
from dockd.central.dock_expiries import DockExpiries
from dockd.central.opening import initialise_centre
from dockd.central.schema import METADATA
from dockd.dock.centre_tls import context_trusting
from dockd.dock.enrolment_files import certificate_request, new_key
from dockd.errors import CentreUnusable
from dockd.rules.alerts import Expiry
from tests.support.dock_voice import DockVoice, Reply, refused, sha256
from tests.support.enrolled_site import EnrolledSite, enrolled_site, other_authority

HEAD = "/api/v1/docks/{}/facts/head"


@pytest_asyncio.fixture
async def site(tmp_path: Path, where: dict[str, Any]) -> AsyncIterator[EnrolledSite]:
    async with enrolled_site(tmp_path, **where) as one:
        yield one


async def head(voice: DockVoice, dock: str | None = None) -> Reply:
    return await voice.ask("GET", HEAD.format(dock or voice.dock))


# --- the authority ------------------------------------------------------------------------------


async def test_the_authority_is_made_once_and_its_key_is_for_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "centre"
    await initialise_centre(folder)
    ca, key = (folder / CA_FILE).read_bytes(), folder / "keys" / "ca-key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with pytest.raises(CentreUnusable):
        await initialise_centre(folder)
    assert (folder / CA_FILE).read_bytes() == ca
    key.chmod(0o640)
    with pytest.raises(CentreUnusable, match="can be read by other users"):
        load_authority(folder)


async def test_a_centre_without_an_authority_is_given_one_and_nothing_else_changes(tmp_path: Path) -> None:
    folder = tmp_path / "centre"
    before = await initialise_centre(folder)
    (folder / CA_FILE).unlink()
    key = (folder / "keys" / "ca-key.pem").read_bytes()
    config = CentreConfig(folder=str(folder), port=0, docks_host="127.0.0.1", docks_port=0)
    with pytest.raises(CentreUnusable, match="no certificate authority"):
        async with serving_centre(config):
            pytest.fail("served docks without a CA")
    assert await initialise_centre(folder) == before
    assert (folder / "keys" / "ca-key.pem").read_bytes() == key, "a kill between the two files is mended with the key"
    authority = load_authority(folder)
    assert authority is not None
    assert authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


# --- tokens -------------------------------------------------------------------------------------


async def ask_in(site: EnrolledSite, token: str, dock: str, request: str | None = None) -> Reply:
    voice = await site.voice(dock, context=context_trusting(site.ca_pem))
    body = {"token": token, "dock": dock, "request": request or certificate_request(new_key(), dock)}
    return await voice.ask("POST", "/api/v1/enrolment", json=body)


async def test_a_token_is_kept_only_as_its_hash(site: EnrolledSite) -> None:
    token = await site.invite()
    kept = ""
    async with site.centre.services.enrolment._database.reading() as connection:
        for table in METADATA.sorted_tables:
            kept += str((await connection.execute(select(table))).all())
    assert token.secret not in kept
    assert token.text not in kept
    assert hashlib.sha256(token.text.encode()).hexdigest() in kept


async def test_a_token_is_good_once(site: EnrolledSite) -> None:
    token = (await site.invite()).text
    assert (await ask_in(site, token, "dock-1")).status == 200
    refused(await ask_in(site, token, "dock-1"), "token-used", "enrolled dock dock-1", "new token")
    refused(await ask_in(site, token, "dock-2"), "token-used", "revoke that dock")


async def test_the_same_dock_with_the_same_key_may_ask_again(site: EnrolledSite) -> None:
    """It was killed before it heard the answer."""
    token, request = (await site.invite()).text, certificate_request(new_key(), "dock-1")
    first = await ask_in(site, token, "dock-1", request)
    site.clock.ahead = timedelta(days=2)  # even after the token's time
    second = await ask_in(site, token, "dock-1", request)
    assert first.json == second.json
    await site.centre.services.enrolment.revoke("dock-1", "stolen", actor="it")
    refused(await ask_in(site, token, "dock-1", request), "certificate-revoked", "stolen")


async def test_two_docks_with_one_token_at_the_same_moment_are_one_dock(site: EnrolledSite) -> None:
    token = (await site.invite()).text
    replies = await asyncio.gather(*(ask_in(site, token, f"dock-{number}") for number in range(5)))
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409]


async def test_expired_foreign_and_changed_tokens_are_refused(site: EnrolledSite, tmp_path: Path) -> None:
    token = await site.invite(valid=timedelta(minutes=5))
    changed = token.model_copy(update={"site": "Elsewhere"})
    refused(await ask_in(site, changed.text, "dock-1"), "token-unknown", "changed on its way")
    async with enrolled_site(tmp_path / "other") as other:
        refused(await ask_in(site, (await other.invite()).text, "dock-1"), "token-unknown")
    site.clock.ahead = timedelta(minutes=6)
    refused(await ask_in(site, token.text, "dock-1"), "token-expired", "good until")


async def test_a_token_for_any_dock_takes_no_known_docks_name(site: EnrolledSite) -> None:
    await site.enrol("dock-1")
    refused(await ask_in(site, (await site.invite()).text, "dock-1"), "dock-known", "--dock dock-1")
    refused(await ask_in(site, (await site.invite("dock-1")).text, "dock-2"), "token-of-other-dock", "dock-1")


async def test_a_dock_that_is_enrolled_anew_puts_its_old_self_out(site: EnrolledSite) -> None:
    old = await site.voice("dock-1")
    assert (await head(old)).status == 200
    assert (await ask_in(site, (await site.invite("dock-1")).text, "dock-1")).status == 200
    refused(await head(old), "certificate-revoked", "enrolled anew")


async def test_a_request_that_is_not_signed_by_its_own_key_is_refused(site: EnrolledSite) -> None:
    request = x509.load_pem_x509_csr(certificate_request(new_key(), "dock-1").encode())
    raw = bytearray(request.public_bytes(serialization.Encoding.DER))
    raw[-5] ^= 0xFF
    forged = ssl.DER_cert_to_PEM_cert(bytes(raw)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
    token = (await site.invite()).text
    refused(await ask_in(site, token, "dock-1", forged), "bad-key-request")
    assert (await ask_in(site, token, "dock-1")).status == 200, "a refused request does not use the token up"


# --- certificates -------------------------------------------------------------------------------


async def test_an_expired_certificate_is_refused_in_words(site: EnrolledSite) -> None:
    voice = await site.voice("dock-1")
    assert (await head(voice)).status == 200
    site.clock.ahead = timedelta(days=91)
    refused(await head(voice), "certificate-expired", "expired on", "dockd enrol")


async def test_a_certificate_that_openssl_calls_expired_is_refused_in_words_too(tmp_path: Path) -> None:
    """The handshake lets it through on purpose: TLS could not say why not."""
    async with enrolled_site(tmp_path, certificate_days=1) as site:
        site.clock.ahead = timedelta(days=-3)  # issued three days ago, for one
        await site.enrol("dock-1", (await site.invite("dock-1")).text)
        voice = await site.voice("dock-1")
        site.clock.ahead = timedelta(0)
        refused(await head(voice), "certificate-expired", "expired on")


def connections_of(voice: DockVoice) -> set[int]:
    """Which connections a dock keeps open; aiohttp does not tell."""
    assert voice.session.connector is not None
    return {id(one[0]) for pool in voice.session.connector._conns.values() for one in pool}


async def test_a_revoked_certificate_is_refused_on_the_connection_that_is_open(site: EnrolledSite) -> None:
    voice = await site.voice("dock-1")
    assert (await head(voice)).status == 200
    before = connections_of(voice)
    assert await site.centre.services.enrolment.revoke("dock-1", "the host was stolen", actor="it") == 1
    refused(await head(voice), "certificate-revoked", "the host was stolen")
    assert connections_of(voice) == before, "it was the same connection"


async def test_orders_that_were_waited_for_are_not_given_to_a_dock_that_was_revoked_meanwhile(
    site: EnrolledSite,
) -> None:
    voice = await site.voice("dock-1")
    waiting = asyncio.create_task(voice.ask("GET", "/api/v1/docks/dock-1/orders?wait=3"))
    await asyncio.sleep(0.3)
    await site.centre.services.enrolment.revoke("dock-1", "stolen", actor="it")
    refused(await waiting, "certificate-revoked")


async def test_a_download_that_runs_ends_when_its_dock_is_revoked(site: EnrolledSite) -> None:
    """A stolen dock that reads back all that it ever sent, on one connection."""
    dock, footage = await site.voice("dock-1"), os.urandom(48 * 1024 * 1024)
    await dock.send(footage, part_size_bytes=16 * 1024 * 1024)
    address = f"{site.url}/api/v1/recordings/{sha256(footage)}/content"
    async with dock.session.get(address) as response:
        assert response.status == 200
        got = len(await response.content.readany())
        await site.centre.services.enrolment.revoke("dock-1", "stolen", actor="it")
        await asyncio.sleep(4.5)
        with pytest.raises(aiohttp.ClientError):
            got += len(await response.content.read())
    assert got < len(footage)
    refused(await head(dock), "certificate-revoked", "stolen")


async def test_who_was_invited_let_in_renewed_and_put_out_stands_in_the_centres_facts(site: EnrolledSite) -> None:
    voice = await site.voice("dock-1")
    body = {"request": certificate_request(new_key(), "dock-1")}
    assert (await voice.ask("POST", "/api/v1/docks/dock-1/certificate", json=body)).status == 200
    await site.centre.services.enrolment.revoke("dock-1", "stolen", actor="it")
    refused(await ask_in(site, (await site.invite("dock-1")).text, "dock-2"), "token-of-other-dock")
    every = await CentreFacts(site.centre.services.enrolment._database, site.clock).read(limit=100)
    held = [one for one in every if one.kind.startswith("dock-")]
    assert [(one.kind, one.actor) for one in held] == [
        ("dock-invited", "it"),
        ("dock-enrolled", "dock:dock-1"),
        ("dock-certificate-renewed", "dock:dock-1"),
        ("dock-revoked", "it"),
        ("dock-invited", "it"),
    ]
    assert held[1].about["fingerprint"] != held[2].about["fingerprint"]
    assert (held[3].about["because"], held[3].about["certificates"]) == ("stolen", 2)
    assert held[0].about["token_hash"] == held[1].about["token_hash"]
    assert all(one.is_whole for one in held)


async def test_an_unused_token_of_a_revoked_dock_counts_no_more(site: EnrolledSite) -> None:
    await site.enrol("dock-1")
    token = (await site.invite("dock-1")).text
    await site.centre.services.enrolment.revoke("dock-1", "stolen", actor="it")
    site.clock.ahead = timedelta(seconds=1)
    refused(await ask_in(site, token, "dock-1"), "token-expired")
    assert (await ask_in(site, (await site.invite("dock-1")).text, "dock-1")).status == 200


async def test_certificates_of_others_are_refused_by_tls(site: EnrolledSite, tmp_path: Path) -> None:
    """Foreign: of a CA of the same name. Self-signed: its own CA. The centre's log and books never see them."""
    foreign = other_authority(tmp_path / "foreign")
    await site.enrol("dock-1")
    voice = await site.voice("dock-1", context=site.stranger(foreign, "dock-1"))
    with pytest.raises(aiohttp.ClientError):
        await head(voice)


async def test_a_certificate_of_our_authority_that_is_not_on_record_is_refused(site: EnrolledSite) -> None:
    authority = load_authority(site.folder)
    assert authority is not None
    voice = await site.voice("dock-1", context=site.stranger(authority, "dock-1"))
    refused(await head(voice), "certificate-unknown", "Enrol the dock again")


async def test_a_docks_certificate_does_not_make_a_centre(site: EnrolledSite, tmp_path: Path) -> None:
    """Else every dock could take another dock's footage in the centre's name."""
    folder = await site.enrol("dock-1")
    posing = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    posing.load_cert_chain(folder / "dock.pem")
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=posing)
    async with server:
        port = server.sockets[0].getsockname()[1]
        trusting = context_trusting(site.ca_pem)
        trusting.check_hostname = False
        with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
            await asyncio.open_connection("127.0.0.1", port, ssl=trusting)


async def test_tls_below_1_2_is_refused(site: EnrolledSite) -> None:
    context = context_trusting(site.ca_pem)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]), ssl=context)


# --- renewal ------------------------------------------------------------------------------------


async def test_renewal_gives_the_same_dock_a_later_certificate_and_the_old_one_stays_good(site: EnrolledSite) -> None:
    voice = await site.voice("dock-1")
    site.clock.ahead = timedelta(days=70)
    request = certificate_request(new_key(), "whoever-it-says")
    reply = await voice.ask("POST", "/api/v1/docks/dock-1/certificate", json={"request": request})
    assert reply.json["dock"] == "dock-1", "what the request calls itself does not count"
    certificate = x509.load_pem_x509_certificate(reply.json["certificate"].encode())
    assert certificate.subject.rfc4514_string() == "CN=dock-1"
    assert certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=159)
    again = await voice.ask("POST", "/api/v1/docks/dock-1/certificate", json={"request": request})
    assert again.json == reply.json
    assert (await head(voice)).status == 200
    assert await site.centre.services.enrolment.revoke("dock-1", "stolen", actor="it") == 2, "revoking takes both"


async def test_a_key_that_another_dock_has_certified_is_not_certified_again(site: EnrolledSite) -> None:
    key = new_key()
    await ask_in(site, (await site.invite()).text, "dock-1", certificate_request(key, "dock-1"))
    voice = await site.voice("dock-2")
    body = {"request": certificate_request(key, "dock-2")}
    refused(await voice.ask("POST", "/api/v1/docks/dock-2/certificate", json=body), "bad-key-request")


# --- alerts -------------------------------------------------------------------------------------


async def test_a_certificate_that_ends_is_told_until_its_dock_is_put_out(site: EnrolledSite) -> None:
    await site.enrol("dock-1")
    enrolment = site.centre.services.enrolment
    ending = DockExpiries(enrolment)
    (enrolled,) = await enrolment.enrolled()
    assert await ending.ending_before(enrolled.expires_at) == ()
    after = enrolled.expires_at + timedelta(seconds=1)
    assert await ending.ending_before(after) == (Expiry("dock-1", "dock dock-1", enrolled.site, enrolled.expires_at),)
    await enrolment.revoke("dock-1", because="the host was stolen", actor="it")
    assert await ending.ending_before(after) == ()
