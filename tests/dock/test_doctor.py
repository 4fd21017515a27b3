"""`dockd doctor` beside real things: a centre on loopback, wrong centres, no centre, and a dock that runs."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dockd.cli.doctor import examination_of
from dockd.dock.doctor import CHECKS, Finding, Host, Severity, examine
from dockd.wire.messages import StoreDescription
from tests.support.clock import ManualClock
from tests.support.custody import Signer
from tests.support.dock_host import DockHost
from tests.support.dock_rig import DockRig
from tests.support.wire_centre import WireCentre, answers, drops, refuses

STORE = "GET /api/v1/store"


@pytest.fixture
async def centre() -> AsyncIterator[WireCentre]:
    async with WireCentre(Signer(store="store-1", key="key-1")).serving() as serving:
        yield serving


@dataclass
class Asked:
    """A dock host that is enrolled with a centre, and asks it."""

    host: DockHost
    centre: WireCentre
    clock: ManualClock = field(default_factory=lambda: ManualClock(datetime.now(UTC)))

    async def codes(self, url: str | None = None) -> list[str]:
        return [one.code for one in await self.findings(url)]

    async def findings(self, url: str | None = None) -> list[Finding]:
        self.host.centre_url = url or self.centre.url
        self.host.public_key = self.centre.signer.pinned.public_key
        self.host.host = Host(root=self.host.root, clock=self.clock)
        self.host.write_config()
        return list((await asyncio.to_thread(self.host.look, "centre")).findings)


@pytest.fixture
def asked(tmp_path: Path, centre: WireCentre) -> Asked:
    return Asked(DockHost(tmp_path), centre)


async def test_the_centre_that_was_pinned_is_known_and_its_clock_agrees(asked: Asked) -> None:
    assert await asked.codes() == ["centre-enrolled", "centre-clock-agrees"]
    assert asked.centre.count(STORE) == 1


async def test_a_real_centre_is_known_and_another_real_centre_is_not(rig: DockRig, tmp_path: Path) -> None:
    host = DockHost(tmp_path / "host", centre_url=rig.centre_url, store=rig.pinned.store, key=rig.pinned.key)
    host.host = Host(root=host.root)
    host.public_key = rig.pinned.public_key
    host.write_config()
    assert await asyncio.to_thread(host.codes, "centre") == ["centre-enrolled", "centre-clock-agrees"]
    host.store = "store-of-another-force"
    host.write_config()
    report = await asyncio.to_thread(host.look, "centre")
    assert report.findings[0].code == "centre-other-store"
    assert rig.pinned.store in report.findings[0].found
    assert "No footage is sent there" in report.findings[0].footage


@pytest.mark.parametrize("change", [{"key": "key-2"}, {"public_key": "BBBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}])
async def test_the_same_store_with_another_key_is_a_problem(asked: Asked, change: dict[str, str]) -> None:
    def lie(described: StoreDescription) -> StoreDescription:
        return described.model_copy(update=change)

    asked.centre.described = lie
    found = (await asked.findings())[0]
    assert (found.code, found.severity) == ("centre-other-key", Severity.PROBLEM)
    assert "clear nothing" in found.footage


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answers(503, retry_after="60"), "centre-later"),
        (answers(500), "centre-later"),
        (answers(507), "centre-later"),
        (answers(403), "centre-later"),
        (answers(302), "centre-is-something-else"),
        (answers(404), "centre-is-something-else"),
        (refuses(404, "not-found"), "centre-is-something-else"),
        (answers(200, body="<html>Please sign in</html>", content_type="text/html"), "centre-is-something-else"),
        (answers(200, body='{"store": 7}', content_type="application/json"), "centre-is-something-else"),
        (answers(200, body="x" * 3_000_000), "centre-is-something-else"),
        (drops, "centre-not-reached"),
    ],
)
async def test_what_answers_wrongly_is_told_apart(asked: Asked, answer: object, code: str) -> None:
    asked.centre.break_next(STORE, answer, times=9)  # type: ignore[arg-type] # one of the answers above
    told = await asked.findings()
    assert told[0].code == code
    assert "None is lost" in told[0].footage
    assert len(told) == (2 if code == "centre-later" else 1)


async def test_a_port_where_nobody_listens_and_a_name_that_nobody_knows_are_told_apart(asked: Asked) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        nobody = await asked.findings(f"http://127.0.0.1:{port}")
    assert nobody[0].code == "centre-not-reached"
    assert nobody[0].found.endswith("connection refused.")
    assert f"curl http://127.0.0.1:{port}/api/v1/store" in nobody[0].action
    unknown = await asked.findings("http://centre.invalid:8490")
    assert unknown[0].code == "centre-name-unknown"
    assert "getent hosts centre.invalid" in unknown[0].action


async def test_one_who_takes_the_connection_and_says_nothing_is_told_so(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockd.dock.doctor.centre_question.ANSWER_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert await asked.codes(f"http://127.0.0.1:{silent.getsockname()[1]}") == ["centre-no-answer"]


async def test_one_who_does_not_speak_tls_is_not_trusted(asked: Asked) -> None:
    assert await asked.codes(asked.centre.url.replace("http:", "https:")) == ["centre-not-trusted"]


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(asked: Asked, tmp_path: Path) -> None:
    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(welcome, "127.0.0.1", 0, ssl=_self_signed(tmp_path))
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found = (await asked.findings(url))[0]
    assert found.code == "centre-not-trusted"
    assert "self-signed" in found.found
    assert "clock first" in found.action


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "centre")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    pem = folder / "centre.pem"
    pem.write_bytes(
        made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


@pytest.mark.parametrize(
    ("seconds", "code", "words"),
    [
        (0, "centre-clock-agrees", ""),
        (-30, "centre-clock-differs", "ahead of this host's"),
        (30, "centre-clock-differs", "behind this host's"),
        (-3 * 365 * 86_400, "centre-clock-far-off", "ahead of this host's"),
        (3600, "centre-clock-far-off", "behind this host's"),
    ],
)
async def test_a_host_clock_that_differs_from_the_centres_is_told_with_by_how_much(
    asked: Asked, seconds: int, code: str, words: str
) -> None:
    asked.clock = ManualClock(datetime.now(UTC) + timedelta(seconds=seconds))
    told = await asked.findings()
    assert [one.code for one in told] == ["centre-enrolled", code]
    assert words in told[1].found
    if seconds:
        shown = float(told[1].found.removeprefix("The centre's clock is ").split(" s ")[0])
        assert abs(shown - abs(seconds)) < 5


@pytest.mark.parametrize(
    ("url", "key", "codes"),
    [
        ("http://127.0.0.1:8490", "", {"pinned-key-readable"}),
        ("https://centre.example", "", {"pinned-key-readable"}),
        ("http://centre.example:8490", "", {"pinned-key-readable", "centre-plain-http"}),
        ("http://127.0.0.1:8490", "c2hvcnQ=", {"pinned-key-malformed"}),
        ("http://127.0.0.1:8490", "not base64!", {"pinned-key-malformed"}),
    ],
)
def test_what_was_pinned_is_looked_at_without_asking_anyone(
    tmp_path: Path, url: str, key: str, codes: set[str]
) -> None:
    host = DockHost(tmp_path, centre_url=url)
    host.public_key = key or host.public_key
    assert set(host.codes("pinned-centre")) == codes


async def test_a_dock_that_runs_is_seen_and_not_disturbed(rig: DockRig, tmp_path: Path) -> None:
    config = tmp_path / "dockd.toml"
    async with rig.run() as running:
        settings = rig.settings()
        config.write_text(
            f'[dock]\nid = "{rig.dock_id}"\nsite = "Test"\nstate_folder = {json.dumps(settings.dock.state_folder)}\n'
            f"[staging]\nfolder = {json.dumps(settings.staging.folder)}\nfloor_bytes = 0\n"
            f'[usb]\nis_enabled = false\n[centre]\nurl = "{rig.centre_url}"\nstore = "{rig.pinned.store}"\n'
            f'key = "{rig.pinned.key}"\npublic_key = "{rig.pinned.public_key}"\n'
        )
        head = running.journal.head
        report = await asyncio.to_thread(examine, CHECKS, examination_of(config, Host()))
        told = {one.code for one in report.findings}
        assert {"journal-in-use", "centre-enrolled", "staging-disk-keeps"} <= told
        assert running.journal.head[0] >= head[0]
        await running.journal.verify_chain()
    assert "journal-sound" in {
        one.code for one in (await asyncio.to_thread(examine, CHECKS, examination_of(config, Host()))).findings
    }
