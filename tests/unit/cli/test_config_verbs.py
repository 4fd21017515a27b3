"""Claims about `dockd check-config`, `show-config` and `drivers`."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from dockd.cli import drivers as drivers_verb
from dockd.cli import exit_status_of

SOUND = """\
[dock]
id = "dock-1"
site = "Blackfriars"
[centre]
url = "http://127.0.0.1:8490"
store = "store-1"
key = "key-1"
public_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dockd.toml"
    path.write_text(SOUND)
    return path


def test_a_sound_file_is_in_order(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status_of(["check-config", str(file)]) == 0
    assert "is in order" in capsys.readouterr().out


def test_a_broken_file_is_told_with_lines_and_status_78(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(SOUND + "[policy]\ngrace = 1\nretain = 1\n")
    assert exit_status_of(["check-config", str(file)]) == 78
    err = capsys.readouterr().err
    assert "has 2 mistakes:" in err
    assert "line 10, policy.grace" in err
    assert "line 11, policy.retain" in err
    assert "Nothing was started." in err


def test_a_mistyped_override_is_found_by_check_config(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKD_POLICY__RETIAN", "never")
    assert exit_status_of(["check-config", str(file)]) == 78
    assert "did you mean DOCKD_POLICY__RETAIN?" in capsys.readouterr().err


def test_show_config_prints_the_whole_configuration_as_toml(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status_of(["show-config", "--config", str(file)]) == 0
    shown = tomllib.loads(capsys.readouterr().out)
    assert shown["dock"]["id"] == "dock-1"
    assert shown["policy"]["retain"] == "when_unreachable"


def test_show_config_changed_prints_only_what_differs(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKD_POLICY__GRACE_HOURS", "5")
    assert exit_status_of(["show-config", "--config", str(file), "--changed"]) == 0
    out = capsys.readouterr().out
    assert "grace_hours = 5  # default: 0" in out
    assert set(tomllib.loads(out)) == {"dock", "centre", "policy"}


def test_a_centres_file_is_told_apart_by_its_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "central.toml"
    path.write_text('[central]\nfolder = "/srv/centre"\n')
    assert exit_status_of(["check-config", "--central", str(path)]) == 0
    assert exit_status_of(["check-config", str(path)]) == 78
    assert "line 1, central: unknown key; did you mean centre?" in capsys.readouterr().err


def test_installed_drivers_are_listed_with_what_they_claim(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status_of(["drivers", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"simulated", "massstorage"} <= set(rows)
    assert all(row["summary"] and row["fault"] is None for row in rows.values())


def test_a_driver_that_cannot_be_loaded_is_named_and_the_others_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = EntryPoint("broken", "drivers.no_such_driver:driver", "dockd.drivers")
    sound = EntryPoint("simulated", "drivers.simulated:driver", "dockd.drivers")
    monkeypatch.setattr(drivers_verb, "entry_points", lambda group: [broken, sound])
    assert exit_status_of(["drivers"]) == 1
    out = capsys.readouterr().out
    assert "broken: cannot be loaded" in out
    assert "simulated: " in out


def test_without_any_driver_the_dock_knows_no_camera(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drivers_verb, "entry_points", lambda group: [])
    assert exit_status_of(["drivers"]) == 1
    assert "No camera driver is installed" in capsys.readouterr().out
