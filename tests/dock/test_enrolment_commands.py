"""The commands as people type them: invite, enrol, list, revoke, and what `dockd doctor` then says."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from dockd.cli import exit_status_of
from dockd.config.dock import load_dock_config
from dockd.dock.doctor import Finding
from tests.support.dock_host import DockHost
from tests.support.enrolled_site import EnrolledSite, enrolled_site


@dataclass
class Desk:
    """A centre that runs, its configuration file, and a dock's that is not complete yet."""

    site: EnrolledSite
    centre_toml: Path
    dock_toml: Path
    screen: pytest.CaptureFixture[str]

    async def type(self, *words: object) -> tuple[int, str, str]:
        """One command: its exit status, what it printed, and what it said beside."""
        self.screen.readouterr()
        status = await asyncio.to_thread(exit_status_of, [str(word) for word in words])
        told = self.screen.readouterr()
        return status, told.out, told.err

    async def central(self, *words: object) -> tuple[int, str, str]:
        verb, *rest = words
        more = [rest.pop(0)] if verb == "docks" else []
        return await self.type("central", verb, *more, "--config", self.centre_toml, *rest)


@pytest_asyncio.fixture
async def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Desk]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with enrolled_site(tmp_path, docks_port=port) as site:
        centre_toml = tmp_path / "centre.toml"
        centre_toml.write_text(
            f'[central]\nfolder = "{site.folder}"\ndocks_host = "127.0.0.1"\ndocks_port = {port}\n'
            f'docks_url = "{site.url}"\nfree_space_floor_bytes = 0\n'
        )
        dock_toml = tmp_path / "dock.toml"
        folder = tmp_path / "identity"
        dock_toml.write_text(
            f'[dock]\nid = "dock-1"\nsite = "Blackfriars"\nstate_folder = "{tmp_path / "state"}"\n'
            f'[centre]\nenrolment_folder = "{folder}"\n[usb]\nis_enabled = false\n'
        )
        yield Desk(site, centre_toml, dock_toml, capsys)


async def test_from_an_invitation_to_a_configuration_that_is_whole(desk: Desk) -> None:
    status, out, _ = await desk.type("check-config", desk.dock_toml)
    assert status != 0
    status, token, beside = await desk.central("invite", "--site", "Blackfriars", "--dock", "dock-1", "--valid", "30m")
    assert (status, "dock dock-1 at Blackfriars" in beside) == (0, True)
    assert re.fullmatch(r"dockd1\.[A-Za-z0-9_-]+\.[0-9a-f]{8}\n", token), "the token alone, for a pipe"
    status, out, beside = await desk.type("enrol", "--config", desk.dock_toml, token.strip())
    assert status == 0, beside
    assert "Dock dock-1 is enrolled with the centre store-test" in out
    config = load_dock_config(desk.dock_toml, {})
    assert (config.centre.url, config.centre.store) == (desk.site.url, "store-test")
    status, out, _ = await desk.central("docks", "list")
    assert re.fullmatch(r"dock-1\tBlackfriars\tgood until [0-9-]+ [0-9:]+ UTC\n", out)


async def test_without_a_named_folder_the_command_says_what_to_write(desk: Desk, tmp_path: Path) -> None:
    text = desk.dock_toml.read_text()
    desk.dock_toml.write_text(re.sub(r"enrolment_folder.*\n", 'url = "http://127.0.0.1:8490"\n', text))
    _, token, _ = await desk.central("invite", "--site", "Blackfriars")
    status, out, beside = await desk.type("enrol", "--config", desk.dock_toml, token.strip())
    assert status == 0, beside
    assert f'enrolment_folder = "{tmp_path / "state" / "centre"}"' in out


async def test_a_token_is_refused_in_words_with_a_status(desk: Desk) -> None:
    _, token, _ = await desk.central("invite", "--site", "Blackfriars")
    for wrong in ("nonsense", token.strip()[:-2]):
        status, _, beside = await desk.type("enrol", "--config", desk.dock_toml, wrong)
        assert (status, "oken" in beside, "Traceback" in beside) == (1, True, False)
    other = desk.dock_toml.with_name("other.toml")
    other.write_text(desk.dock_toml.read_text().replace("dock-1", "dock-2").replace("identity", "identity-2"))
    assert (await desk.type("enrol", "--config", other, token.strip()))[0] == 0
    status, _, beside = await desk.type("enrol", "--config", desk.dock_toml, token.strip())
    assert status == 1
    assert "This token enrolled dock dock-2 on" in beside
    assert "good only once" in beside


async def test_revoking_counts_at_once_and_says_how_many(desk: Desk) -> None:
    await desk.site.enrol("dock-1")
    voice = await desk.site.voice("dock-1")
    assert (await voice.ask("GET", "/api/v1/docks/dock-1/facts/head")).status == 200
    status, out, _ = await desk.central("docks", "revoke", "dock-1", "--because", "the host was stolen")
    assert (status, "1 certificates revoked" in out) == (0, True)
    assert (await voice.ask("GET", "/api/v1/docks/dock-1/facts/head")).code == "certificate-revoked"
    _, out, _ = await desk.central("docks", "list")
    assert "the host was stolen" in out
    status, _, beside = await desk.central("docks", "revoke", "dock-9", "--because", "x")
    assert (status, "No dock dock-9 was ever enrolled" in beside) == (1, True)


@pytest.mark.parametrize(
    "words",
    [["--site", ""], ["--site", "x" * 300], ["--site", "x", "--dock", "../x"], ["--site", "x", "--valid", "9y"]],
)
async def test_an_invitation_that_makes_no_sense_is_refused(desk: Desk, words: list[str]) -> None:
    status, out, _ = await desk.central("invite", *words)
    assert (status in (1, 2), out) == (True, "")


async def test_an_invitation_agrees_with_the_list_of_sites(desk: Desk, tmp_path: Path) -> None:
    listed = tmp_path / "sites.csv"
    listed.write_text(
        "site,name,unit,state,docks\nbf,Blackfriars,Central,planned,dock-1\nlx,Lexington,Central,planned,dock-2\n"
    )
    status, _, beside = await desk.central("import", "sites", listed)
    assert status == 0, beside
    for site in ("bf", "Blackfriars"):
        assert (await desk.central("invite", "--site", site, "--dock", "dock-1"))[0] == 0
    status, out, beside = await desk.central("invite", "--site", "Blackfrairs")
    assert (status, out, "No site of the list is called 'Blackfrairs'" in beside) == (1, "", True)
    status, out, beside = await desk.central("invite", "--site", "lx", "--dock", "dock-1")
    assert (status, out, "dock dock-1 stands at bf" in beside) == (1, "", True)


async def test_an_invitation_needs_to_know_how_docks_reach_the_centre(desk: Desk) -> None:
    desk.centre_toml.write_text(f'[central]\nfolder = "{desk.site.folder}"\n')
    status, _, beside = await desk.central("invite", "--site", "Blackfriars")
    assert (status, "docks_url" in beside) == (1, True)


# --- dockd doctor -------------------------------------------------------------------------------


async def findings(site: EnrolledSite, folder: Path) -> dict[str, Finding]:
    """What the doctor says of an enrolled dock's centre and certificate."""
    host = DockHost(folder, clock=site.clock)
    host.config_file.write_text(
        f'[dock]\nid = "dock-1"\nsite = "Blackfriars"\nstate_folder = "{host.state}"\n[usb]\nis_enabled = false\n'
        f'[centre]\nenrolment_folder = "{site.dock_folder("dock-1")}"\n'
    )
    report = await asyncio.to_thread(host.look, "centre", "dock-certificate", "dock-let-in")
    return {one.code: one for one in report.findings}


async def test_the_doctor_says_until_when_the_certificate_is_good(desk: Desk, tmp_path: Path) -> None:
    site = desk.site
    await site.enrol("dock-1")
    found = await findings(site, tmp_path / "a")
    assert {"centre-enrolled", "dock-certificate-good", "dock-let-in"} <= set(found)
    assert "89 days from now" in found["dock-certificate-good"].found
    site.clock.ahead = timedelta(days=80)
    assert "dock-certificate-not-renewed" in await findings(site, tmp_path / "b")
    site.clock.ahead = timedelta(days=91)
    found = await findings(site, tmp_path / "c")
    assert {"dock-certificate-expired", "dock-not-let-in"} <= set(found)
    assert "expired on" in found["dock-not-let-in"].found


async def test_the_doctor_passes_on_why_a_dock_is_not_let_in(desk: Desk, tmp_path: Path) -> None:
    await desk.site.enrol("dock-1")
    await desk.site.centre.services.enrolment.revoke("dock-1", "the host was stolen", actor="it")
    found = await findings(desk.site, tmp_path / "a")
    assert "the host was stolen" in found["dock-not-let-in"].found
    (desk.site.dock_folder("dock-1") / "dock.pem").chmod(0o644)
    found = await findings(desk.site, tmp_path / "b")
    assert "can be read by other users" in found["dock-certificate-unusable"].found
