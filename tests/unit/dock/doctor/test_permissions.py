"""Threats: someone who may name another centre, read the key, or a service that cannot reach its own files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockd.dock.doctor import Severity
from dockd.dock.keys import KEY_FILE_NAME, load_or_create_key
from tests.support.dock_host import NOBODY, UNIT, DockHost


@pytest.fixture(autouse=True)
def started_before(host: DockHost) -> None:
    """The key is there, as after a first start."""
    load_or_create_key(host.state)


def test_files_that_only_their_owner_may_touch_are_well(host: DockHost) -> None:
    assert host.codes("permissions") == ["permissions-right"]


@pytest.mark.parametrize("name", ["config_file", "bays_file"])
def test_settings_that_anyone_may_write_are_a_problem_with_the_command(host: DockHost, name: str) -> None:
    host.write_config()
    path: Path = getattr(host, name)
    path.chmod(0o666)
    found = host.only("permissions")
    assert (found.code, found.severity) == ("permissions-writable-by-others", Severity.PROBLEM)
    assert str(path) in found.action
    assert "receipts" in found.footage


def test_a_folder_above_that_anyone_may_write_is_a_problem_unless_it_is_sticky(host: DockHost) -> None:
    host.write_config()
    host.folder.chmod(0o777)
    assert set(host.codes("permissions")) == {"permissions-writable-by-others"}
    host.folder.chmod(0o1777)
    assert host.codes("permissions") == ["permissions-right"]


def test_settings_that_a_group_may_write_are_a_warning(host: DockHost) -> None:
    host.write_config()
    os.chown(host.config_file, -1, NOBODY)
    host.config_file.chmod(0o664)
    assert host.codes("permissions") == ["permissions-writable-by-group"]


@pytest.mark.parametrize("name", ["state", "journal", "staging"])
def test_a_folder_that_others_may_enter_is_a_warning(host: DockHost, name: str) -> None:
    folder: Path = getattr(host, name)
    folder.chmod(0o755)
    found = host.only("permissions")
    assert found.code == "permissions-open-folder"
    assert found.action == f"Run: chmod 700 {folder}"


def test_a_key_that_others_may_read_is_a_problem(host: DockHost) -> None:
    (host.state / KEY_FILE_NAME).chmod(0o640)
    found = host.only("permissions")
    assert found.code == "permissions-key-open"
    assert "mode 0640" in found.found


def test_a_key_that_is_no_key_is_a_problem_and_stays(host: DockHost) -> None:
    (host.state / KEY_FILE_NAME).write_text("not a key")
    assert host.codes("permissions") == ["permissions-key-open"]
    assert (host.state / KEY_FILE_NAME).read_text() == "not a key"


def test_a_missing_key_is_noted_and_none_is_made(host: DockHost) -> None:
    (host.state / KEY_FILE_NAME).unlink()
    assert "permissions-key-absent" in host.codes("permissions")
    assert not (host.state / KEY_FILE_NAME).exists()


def test_a_key_from_outside_that_is_not_to_be_seen_here_is_unknown(host: DockHost) -> None:
    host.write_config()
    named = host.folder / "credentials" / "dock-key.pem"
    host.config_file.write_text(host.config_file.read_text().replace("[dock]\n", f'[dock]\nkey_file = "{named}"\n'))
    found = host.only("permissions")
    assert (found.code, found.severity) == ("permissions-not-looked-at", Severity.UNKNOWN)
    assert str(named) in found.found


def test_a_folder_of_another_user_than_the_services_is_a_problem_with_the_command(host: DockHost) -> None:
    host.put("lib/systemd/system/dockd.service", UNIT.replace("User=root", f"User={NOBODY}"))
    report = host.look("permissions")
    assert {one.code for one in report.findings} == {"permissions-wrong-owner"}
    assert len(report.findings) == 3
    assert any(f"chown -R nobody {host.staging}" in one.action for one in report.findings)


def test_settings_that_the_service_may_not_read_are_a_problem(host: DockHost) -> None:
    host.put("lib/systemd/system/dockd.service", UNIT.replace("User=root", f"User={NOBODY}"))
    for folder in (host.state, host.journal, host.staging):
        os.chown(folder, NOBODY, -1)
    host.write_config()
    assert host.codes("permissions") == ["permissions-right"]
    host.config_file.chmod(0o600)
    assert host.codes("permissions") == ["permissions-unreadable-for-service"]
    os.chown(host.config_file, NOBODY, -1)
    assert host.codes("permissions") == ["permissions-right"]
