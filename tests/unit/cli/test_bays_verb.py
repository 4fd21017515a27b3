"""Claims about `dockd bays`; learning with events is in tests/hotplug."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dockd.cli import exit_status_of

CONFIG = """\
[dock]
id = "dock-1"
site = "Blackfriars"
[centre]
url = "http://127.0.0.1:8490"
store = "store-1"
key = "key-1"
public_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
[usb]
bays_file = "{bays_file}"
"""
MAP = '[[bay]]\nname = "01"\nport = "1-1.1"\ncompanion_port = "2-1.1"\n[[bay]]\nname = "02"\nport = "1-1.2"\n'


@pytest.fixture
def bays_file(tmp_path: Path) -> Path:
    return tmp_path / "bays.toml"


@pytest.fixture
def config(tmp_path: Path, bays_file: Path) -> str:
    path = tmp_path / "dockd.toml"
    path.write_text(CONFIG.format(bays_file=bays_file), encoding="utf-8")
    return str(path)


def test_map_is_shown_for_people_and_for_programs(
    config: str, bays_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bays_file.write_text(MAP, encoding="utf-8")
    assert exit_status_of(["bays", "show", "--config", config]) == 0
    assert capsys.readouterr().out == "bay 01: USB port 1-1.1 and 2-1.1\nbay 02: USB port 1-1.2\n"
    assert exit_status_of(["bays", "show", "--config", config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"bay": "01", "port": "1-1.1", "companion_port": "2-1.1"},
        {"bay": "02", "port": "1-1.2", "companion_port": None},
    ]


def test_empty_map_says_how_to_fill_it(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status_of(["bays", "show", "--config", config]) == 0
    assert "dockd bays learn" in capsys.readouterr().out


def test_damaged_map_is_told_and_not_learned_over(
    config: str, bays_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bays_file.write_text(MAP.replace('"02"', '"01"'), encoding="utf-8")
    before = bays_file.read_bytes()
    for arguments in (["bays", "show"], ["bays", "learn", "03"]):
        assert exit_status_of([*arguments, "--config", config]) == 78
        assert "'01' is used already at line 1" in capsys.readouterr().err
    assert bays_file.read_bytes() == before


@pytest.mark.parametrize(
    ("names", "words"),
    [([], "NAMES"), (["a", "b", "a"], "Named twice: a"), (["no good"], "cannot be the name of a bay")],
)
def test_names_that_cannot_be_meant_are_refused_before_anything_is_written(
    config: str, bays_file: Path, capsys: pytest.CaptureFixture[str], names: list[str], words: str
) -> None:
    assert exit_status_of(["bays", "learn", "--config", config, *names]) != 0
    assert words in capsys.readouterr().err
    assert not bays_file.exists()


def test_rules_are_printed_for_the_ports_of_the_map(
    config: str, bays_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bays_file.write_text(MAP, encoding="utf-8")
    assert exit_status_of(["bays", "rules", "--config", config]) == 0
    assert 'KERNEL=="1-1|2-1", ENV{DOCKD_PLACE}="hub"' in capsys.readouterr().out


def test_rules_are_written_whole_and_readable(
    config: str, bays_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bays_file.write_text(MAP, encoding="utf-8")
    rules = tmp_path / "rules.d" / "60-dockd-bays.rules"
    monkeypatch.setattr("dockd.cli.bays.RULES_FILE", rules)
    assert exit_status_of(["bays", "rules", "--config", config, "--write"]) == 1
    assert "cannot be written" in capsys.readouterr().err
    rules.parent.mkdir()
    assert exit_status_of(["bays", "rules", "--config", config, "--write"]) == 0
    assert "udevadm control --reload" in capsys.readouterr().out
    assert [path.name for path in rules.parent.iterdir()] == ["60-dockd-bays.rules"]
    assert rules.stat().st_mode & 0o777 == 0o644


def test_rules_without_any_bay_are_refused(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status_of(["bays", "rules", "--config", config]) != 0
    assert "dockd bays learn" in capsys.readouterr().err
