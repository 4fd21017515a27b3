"""A dock gets its identity, keeps it fresh, and tells in words why it is not let in: real servers, real TLS."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from sqlalchemy import update

from dockd.central.authority import fingerprint_of, load_authority, pem_of
from dockd.central.enrolment_tables import dock_certificates
from dockd.clock import SystemClock
from dockd.dock.centre_client import CentreClient
from dockd.dock.centre_tls import context_trusting, enrolled_context
from dockd.dock.centre_wire import open_http_session
from dockd.dock.enrolment import enrol
from dockd.dock.enrolment_files import EnrolmentFolder
from dockd.dock.enrolment_renewal import DockCertificateWatch
from dockd.dock.sections import CentreConfig
from dockd.errors import BadRequest, CentreUnavailable, ConfigInvalid, EnrolmentRefused
from dockd.model import facts
from dockd.model.ids import DockId
from dockd.wire.enrolment import DockCertificate
from tests.support.enrolled_rig import enrolled_rig
from tests.support.enrolled_site import EnrolledSite, enrolled_site, impostor, other_authority

DOCK = DockId("dock-1")
MIB = 1024 * 1024


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[EnrolledSite]:
    async with enrolled_site(tmp_path) as one:
        yield one


async def ask(site: EnrolledSite, context: object, url: str | None = None) -> str:
    """What the dock is told when it asks for its own facts: "" when it gets them."""
    async with open_http_session() as http:
        client = CentreClient(http, url or site.url, DOCK, SystemClock(), tls=context)  # type: ignore[arg-type] # any
        try:
            await client.facts_head()
        except CentreUnavailable as error:
            return error.what
    return ""


# --- enrolment ----------------------------------------------------------------------------------


async def test_enrolment_leaves_what_is_pinned_and_a_key_for_the_daemon_alone(site: EnrolledSite) -> None:
    folder = await site.enrol(DOCK)
    assert {one.name for one in folder.iterdir()} == {"ca.pem", "centre.json", "dock.pem"}
    assert stat.S_IMODE((folder / "dock.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    config = CentreConfig.model_validate({"enrolment_folder": str(folder)})
    assert config.pinned == site.centre.services.identity.pinned
    assert config.url == site.url
    assert await ask(site, enrolled_context(folder)) == ""


async def test_the_same_command_again_does_no_harm(site: EnrolledSite) -> None:
    token = (await site.invite()).text
    folder = await site.enrol(DOCK, token)
    before = (folder / "dock.pem").read_bytes()
    await site.enrol(DOCK, f"  {token[:70]}\n{token[70:]} ")  # as a mail program breaks it
    assert (folder / "dock.pem").read_bytes() == before


async def test_a_token_that_is_none_or_not_whole_is_told_before_anyone_is_asked(site: EnrolledSite) -> None:
    token = (await site.invite()).text
    for wrong in ("", "hello", token[:-1], token[:50] + "A" + token[51:], token.replace("dockd1", "dockd9")):
        with pytest.raises(BadRequest, match="token"):
            await enrol(wrong, DOCK, site.dock_folder(DOCK), SystemClock())
    with pytest.raises(EnrolmentRefused, match="for dock dock-2"):
        await site.enrol(DOCK, (await site.invite("dock-2")).text)
    assert not site.dock_folder(DOCK).exists()


@pytest.mark.parametrize("shown", ["his own CA", "the true CA"])
async def test_a_man_in_the_middle_is_told_nothing_secret(site: EnrolledSite, tmp_path: Path, shown: str) -> None:
    his = other_authority(tmp_path / "his")
    token = await site.invite()
    async with impostor(his, shows_ca=pem_of(his.certificate) if shown == "his own CA" else site.ca_pem) as man:
        lured = token.model_copy(update={"url": man.url})
        with pytest.raises(EnrolmentRefused) as refused:
            await enrol(lured.text, DOCK, site.dock_folder(DOCK), SystemClock())
        assert [(method, path, body) for method, path, body in man.asked] == [
            ("GET", "/api/v1/enrolment/authority", b"")
        ], "the one public question"
    assert "nothing" in refused.value.what.lower()
    assert {one.suffix for one in site.dock_folder(DOCK).iterdir()} == {".pem"}
    await site.enrol(DOCK, token.text)  # the token was not spent


async def test_a_refused_token_is_told_in_the_centres_words(site: EnrolledSite) -> None:
    token = (await site.invite(valid=timedelta(minutes=1))).text
    site.clock.ahead = timedelta(minutes=2)
    with pytest.raises(EnrolmentRefused, match="was good until"):
        await site.enrol(DOCK, token)
    site.clock.ahead = timedelta(0)
    await site.enrol(DOCK, token)
    with pytest.raises(EnrolmentRefused, match="enrolled dock dock-1"):
        await site.enrol("dock-2", token)


async def _killed(nth: int, token: str, folder: Path) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.killed_enrolment", str(nth), token, DOCK, str(folder)
    )
    return await process.wait()


async def test_killed_anywhere_the_same_command_again_finishes_it(tmp_path: Path) -> None:
    """Before each file that is written, renamed or removed, and each connection; then once more, undisturbed."""
    async with enrolled_site(tmp_path) as site:
        killed = 0
        for nth in range(1, 60):
            token = (await site.invite(DOCK)).text
            folder = tmp_path / "killed" / str(nth)
            status = await _killed(nth, token, folder)
            if status == 0:
                break
            assert status == -signal.SIGKILL
            killed += 1
            await enrol(token, DOCK, folder, SystemClock())
            assert {one.name for one in folder.iterdir() if not one.name.startswith(".")} == {
                "ca.pem",
                "centre.json",
                "dock.pem",
            }
            assert await ask(site, enrolled_context(folder)) == ""
        assert killed >= 12, "every step was tried"
        assert await ask(site, enrolled_context(folder)) == ""


async def test_a_dock_renamed_in_the_middle_can_be_enrolled_under_its_new_name(site: EnrolledSite) -> None:
    """Killed after the centre had answered; before the next try somebody corrects its id."""
    token, folder = (await site.invite()).text, site.dock_folder("renamed")
    for nth in range(1, 60):
        assert await _killed(nth, token, folder) == -signal.SIGKILL
        if (folder / "ca.pem").exists():
            break
    with pytest.raises(EnrolmentRefused, match="enrolled dock dock-1"):
        await enrol(token, DockId("dock-2"), folder, SystemClock())
    await enrol((await site.invite()).text, DockId("dock-2"), folder, SystemClock())
    assert {one.name for one in folder.iterdir() if not one.name.startswith(".")} == {
        "ca.pem",
        "centre.json",
        "dock.pem",
    }
    assert EnrolmentFolder(folder).pinned().dock == "dock-2"
    with pytest.raises(EnrolmentRefused, match="good only once"):
        await enrol(token, DOCK, folder, SystemClock())
    assert await site.centre.services.enrolment.revoke(DOCK, "never came", actor="it") == 1
    await enrol((await site.invite(DOCK)).text, DOCK, folder, SystemClock())
    assert await ask(site, enrolled_context(folder)) == ""


async def test_a_dock_enrolled_with_another_centre_leaves_the_first(site: EnrolledSite, tmp_path: Path) -> None:
    folder = await site.enrol(DOCK)
    async with enrolled_site(tmp_path / "other") as other:
        await enrol((await other.invite()).text, DOCK, folder, SystemClock())
        assert EnrolmentFolder(folder).pinned().url == other.url
        assert await ask(other, enrolled_context(folder)) == ""
        assert "pinned CA" in await ask(site, enrolled_context(folder))


# --- not let in ---------------------------------------------------------------------------------


async def test_every_way_of_not_being_let_in_has_its_words(site: EnrolledSite, tmp_path: Path) -> None:
    folder = await site.enrol(DOCK)
    good = enrolled_context(folder)
    foreign = site.stranger(other_authority(tmp_path / "foreign"), DOCK)
    assert "does not know this dock's certificate" in await ask(site, foreign)
    assert "showed no certificate" in await ask(site, context_trusting(site.ca_pem))
    other_ca = context_trusting(pem_of(other_authority(tmp_path / "another").certificate))
    assert "pinned CA" in await ask(site, other_ca)
    plain_port = site.centre.url.replace("http:", "https:")
    assert "port for docks" in await ask(site, good, plain_port)
    site.clock.ahead = timedelta(days=100)
    assert "expired on" in await ask(site, good)
    site.clock.ahead = timedelta(0)
    await site.centre.services.enrolment.revoke(DOCK, "the host was stolen", actor="it")
    assert "revoked on" in (words := await ask(site, good))
    assert "the host was stolen" in words
    authority = load_authority(site.folder)
    assert authority is not None
    unknown = site.stranger(authority, DOCK)
    assert "not on record" in await ask(site, unknown)


async def test_the_docks_certificate_is_shown_to_the_centre_and_to_no_other_store(
    site: EnrolledSite, tmp_path: Path
) -> None:
    """Part addresses may lead elsewhere; there the host's own CAs count, and a stranger's server is refused."""
    folder = await site.enrol(DOCK)
    his = other_authority(tmp_path / "his")

    async def piece() -> AsyncIterator[bytes]:
        yield b"x"

    async with impostor(his, shows_ca=site.ca_pem) as man, open_http_session() as http:
        client = CentreClient(http, site.url, DOCK, SystemClock(), tls=enrolled_context(folder))
        with pytest.raises(CentreUnavailable):
            await client.put_part(f"{man.url}/bucket/part", {}, 1, piece())
        assert man.asked == []


@pytest.mark.parametrize("damage", ["open", "missing", "garbage", "other dock"])
async def test_a_damaged_identity_is_told_at_the_start(site: EnrolledSite, damage: str) -> None:
    rig = await enrolled_rig(site)
    file = rig.enrolment / "dock.pem"
    match damage:
        case "open":
            file.chmod(0o644)
        case "missing":
            file.unlink()
        case "garbage":
            file.write_bytes(b"garbage")
        case "other dock":
            rig.dock_id = "dock-2"
    with pytest.raises(ConfigInvalid, match=r"dock\.pem|enrolment of dock dock-1"):
        async with rig.run():
            pytest.fail("it started")


def test_a_configuration_that_contradicts_the_enrolment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not enrolled"):
        CentreConfig.model_validate({"enrolment_folder": str(tmp_path)})


# --- the whole dock -----------------------------------------------------------------------------


async def test_a_cameras_footage_goes_from_the_card_to_the_receipt_over_mutual_tls(site: EnrolledSite) -> None:
    rig = await enrolled_rig(site)
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(3 * MIB), "DCIM/2.MP4": os.urandom(1000)})
    async with rig.run():
        rig.dock("A1", 1)
        bay = await rig.until_state(1, "ready")
        assert (bay.recordings_accepted, bay.recordings_erased) == (2, 2)
        await rig.until(lambda: _manifests(rig) >= 2, "manifests stored")
    rig.oracle.check_finished()
    async with open_http_session() as people, people.get(f"{site.centre.url}/api/v1/docks") as answer:
        (known,) = (await answer.json())["docks"]
    assert (known["dock"], known["facts"] > 20) == (DOCK, True)


def _manifests(rig: object) -> int:
    return sum(isinstance(one.fact, facts.ManifestStored) for one in rig.oracle.facts())  # type: ignore[attr-defined]


async def test_the_certificate_is_renewed_while_footage_is_sent_and_nothing_stops(site: EnrolledSite) -> None:
    rig = await enrolled_rig(site, bytes_per_second=2 * MIB)
    rig.camera("A1", {f"DCIM/{number}.MP4": os.urandom(5 * MIB) for number in range(3)})
    first = EnrolmentFolder(rig.enrolment).certificate()
    async with rig.run():
        rig.dock("A1", 1)
        async with asyncio.timeout(20):
            while not _is_part_on_its_way(site):
                await asyncio.sleep(0.02)
        site.clock.ahead = timedelta(days=61)
        async with asyncio.timeout(10):
            while EnrolmentFolder(rig.enrolment).certificate() == first:
                await asyncio.sleep(0.05)
        assert rig.status(1).recordings_accepted < 3, "it was sending all the time"
        await _revoke_one(site, first)  # so that only the new one can have carried the rest
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()
    renewed = EnrolmentFolder(rig.enrolment).certificate()
    assert renewed.public_key() != first.public_key()
    assert renewed.not_valid_after_utc > first.not_valid_after_utc + timedelta(days=60)
    assert await ask(site, enrolled_context(rig.enrolment)) == ""


class LossyCentre:
    """The real centre, but the answers to the first askings are lost on their way."""

    def __init__(self, client: CentreClient, lost: int) -> None:
        self._client = client
        self.lost = lost
        self.asked = 0

    async def renew_certificate(self, request_pem: str) -> DockCertificate:
        self.asked += 1
        granted = await self._client.renew_certificate(request_pem)
        if self.asked <= self.lost:
            raise CentreUnavailable("cut")
        return granted


@asynccontextmanager
async def renewing(site: EnrolledSite, lost: int) -> AsyncIterator[tuple[DockCertificateWatch, LossyCentre]]:
    """A dock's watch over its certificate, which is due now."""
    files = EnrolmentFolder(await site.enrol(DOCK))
    watch = DockCertificateWatch(files, DOCK, site.clock, check_seconds=0.05)
    site.clock.ahead = timedelta(days=61)
    async with open_http_session() as http:
        centre = LossyCentre(CentreClient(http, site.url, DOCK, site.clock, tls=watch.context), lost)
        task = asyncio.create_task(watch.keep_fresh(centre))
        try:
            yield watch, centre
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_a_renewal_whose_answer_was_lost_gives_one_certificate(site: EnrolledSite) -> None:
    async with renewing(site, lost=3) as (watch, centre):
        before = watch.expires_at
        async with asyncio.timeout(10):
            while watch.expires_at == before:
                await asyncio.sleep(0.02)
    assert centre.asked == 4
    assert await site.centre.services.enrolment.revoke(DOCK, "count", actor="it") == 2, "the first and one more"


async def test_a_daemon_that_still_runs_does_not_overwrite_a_new_enrolment(site: EnrolledSite, tmp_path: Path) -> None:
    async with renewing(site, lost=10_000) as (watch, centre), enrolled_site(tmp_path / "other") as other:
        folder = site.dock_folder(DOCK)
        await enrol((await other.invite()).text, DOCK, folder, SystemClock())
        enrolled, asked = (folder / "dock.pem").read_bytes(), centre.asked
        centre.lost = 0
        await asyncio.sleep(0.5)
        assert (folder / "dock.pem").read_bytes() == enrolled
        assert centre.asked <= asked + 1, "and the centre that it left is not asked again"
        assert await ask(other, enrolled_context(folder)) == ""
        assert watch.expires_at < site.clock.now() + timedelta(days=60)


def _is_part_on_its_way(site: EnrolledSite) -> bool:
    """Whether the centre holds bytes of an upload that is not complete."""
    return any(file.stat().st_blocks for file in (site.folder / "uploads").iterdir())


async def _revoke_one(site: EnrolledSite, certificate: x509.Certificate) -> None:
    is_it = dock_certificates.c.fingerprint == fingerprint_of(certificate)
    database = site.centre.services.enrolment._database
    async with database.writing() as connection:
        await connection.execute(
            update(dock_certificates).where(is_it).values(revoked_at=site.clock.now(), revoked_because="renewed")
        )


async def test_a_revoked_dock_says_so_keeps_everything_and_goes_on_once_it_is_enrolled_again(
    site: EnrolledSite,
) -> None:
    rig = await enrolled_rig(site)
    rig.camera("A1", {"DCIM/1.MP4": os.urandom(MIB)})
    await site.centre.services.enrolment.revoke(DOCK, "moved to another station", actor="it")
    async with rig.run() as dock:
        rig.dock("A1", 1)
        await rig.until(lambda: rig.status(1).recordings_safe_here == 1, "safe here")
        await rig.until(lambda: "moved to another station" in dock.desk.snapshot().centre_words, "the page says why")
        assert rig.status(1).recordings_erased == 0
        rig.oracle.check_all()
    await site.enrol(DOCK)
    async with rig.run():
        await rig.until_state(1, "ready")
    rig.oracle.check_finished()
