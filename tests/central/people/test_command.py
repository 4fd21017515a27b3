"""`dockd central people`: the first administrator by one command, and the way back in; nothing of it is shown twice."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.central.people.lockout import FROM_ANYWHERE
from dockd.cli import exit_status_of
from dockd.config.central import CentralConfig
from dockd.config.toml_text import config_text
from dockd.web.problems import Refusal
from tests.support.sign_in import Browser, sign_in_config


@pytest.fixture
async def config_file(tmp_path: Path) -> Path:
    folder = tmp_path / "centre"
    await initialise_centre(folder)
    section = CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0, sign_in="required")
    file = tmp_path / "centre.toml"
    file.write_text(config_text(CentralConfig(central=section), changed_only=True))
    return file


def section_of(config_file: Path) -> CentreConfig:
    return CentreConfig(folder=str(config_file.parent / "centre"), port=0, free_space_floor_bytes=0, sign_in="required")


def people(config_file: Path, *arguments: str) -> int:
    return exit_status_of(["central", "people", *arguments, "--config", str(config_file)])


async def in_thread(config_file: Path, *arguments: str) -> int:
    return await asyncio.to_thread(people, config_file, *arguments)


async def test_the_first_administrator_is_one_command_and_signs_in(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await in_thread(config_file, "add-administrator", "Ada", "--full-name", "Ada A.") == 0
    said = capsys.readouterr().out
    password = re.search(r"printed this once: (\S+)", said)
    assert password
    async with serving_centre(section_of(config_file), sign_in=sign_in_config()) as served:
        async with Browser(served.url) as browser:
            await browser.sign_in("ada", password[1])
            assert await browser.led_to("/") == "/account"
        (added,) = await served.services.centre_facts.read(limit=10, kind="PersonAdded")
        assert (added.actor, added.about["role"]) == ("console", "administrator")
    assert await in_thread(config_file, "list") == 0
    said = capsys.readouterr().out
    assert "ada  administrator  all sites  enabled  Ada A." in said
    assert password[1] not in said


async def test_the_password_may_come_from_a_file_and_is_then_not_printed(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "password"
    file.write_text("four quiet dice roll\n")
    assert await in_thread(config_file, "add-administrator", "ada", "--password-file", str(file)) == 0
    assert "four quiet" not in capsys.readouterr().out
    async with serving_centre(section_of(config_file), sign_in=sign_in_config()) as served:
        async with Browser(served.url) as browser:
            await browser.sign_in("ada", "four quiet dice roll")
            await browser.get("/people")


@pytest.mark.parametrize(("name", "password"), [("a b", "four quiet dice roll"), ("ada", "short"), ("ada", "\xff" * 3)])
async def test_bad_names_and_passwords_are_refused(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, password: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(password.encode("latin-1"))
    assert await in_thread(config_file, "add-administrator", name, "--password-file", str(file)) == 1
    assert password not in capsys.readouterr().err
    assert await in_thread(config_file, "list") == 0
    assert capsys.readouterr().out == ""


async def test_a_name_is_not_given_twice(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await in_thread(config_file, "add-administrator", "ada") == 0
    assert await in_thread(config_file, "add-administrator", "ada") == 1
    assert "There is an account ada already" in capsys.readouterr().err


async def test_who_lost_the_password_or_is_locked_out_is_let_in_from_the_console(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await in_thread(config_file, "add-administrator", "ada") == 0
    async with serving_centre(section_of(config_file), sign_in=sign_in_config()) as served:
        assert served.services.people is not None
        lockout = served.services.people.lockout
        for number in range(FROM_ANYWHERE.failures):
            await lockout.failed(await lockout.begin("ada", f"192.0.2.{number}", known_browser=None))
        with pytest.raises(Refusal):
            await lockout.begin("ada", "198.51.100.1", known_browser=None)
        assert await in_thread(config_file, "unlock", "ada") == 0
        await lockout.begin("ada", "198.51.100.1", known_browser=None)
        capsys.readouterr()
        assert await in_thread(config_file, "reset-password", "ada") == 0
        password = re.search(r"Printed this once: (\S+)", capsys.readouterr().out)
        assert password
        async with Browser(served.url) as browser:
            await browser.sign_in("ada", password[1])
    assert await in_thread(config_file, "unlock", "nobody") == 1


async def test_a_centre_at_which_nobody_signs_in_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "centre"
    await initialise_centre(folder)
    async with serving_centre(CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0)) as served:
        async with Browser(served.url) as browser:
            assert "Nobody signs in here" in await browser.get("/")
            assert "Nobody signs in at this centre" in await browser.get("/people", 404)
            assert await browser.led_to("/sign-in?next=/recordings") == "/recordings"
            assert "People" not in await browser.get("/")


def test_a_network_address_without_sign_in_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "centre.toml"
    file.write_text('[central]\nfolder = "/x"\nhost = "0.0.0.0"\nallow_other_hosts = true\n')
    assert exit_status_of(["central", "run", "--config", str(file)]) == 78
    said = capsys.readouterr().err
    assert "nobody is asked who they are" in said
    assert 'sign_in = "required"' in said


@pytest.mark.parametrize("names", ["argon2", "joserfc"])
def test_an_embedded_centre_loads_neither_hashing_nor_oidc(names: str) -> None:
    program = f"import sys, dockd.central.app; sys.exit({names!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
