"""Claims: every mistake is told at once, with its line, in words; nothing mistyped is silently ignored."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dockd.config.central import load_central_config
from dockd.config.dock import DockConfig, load_dock_config
from dockd.config.environment import NOT_SETTINGS, settable_names
from dockd.config.toml_text import config_text
from dockd.dock.policy import Retain
from dockd.errors import ConfigInvalid

NO_ENVIRONMENT: dict[str, str] = {}


def mistakes(path: Path, environ: dict[str, str] = NO_ENVIRONMENT) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        load_dock_config(path, environ)
    assert caught.value.exit_status == 78
    return [line.strip() for line in caught.value.what.splitlines()[1:]]


def broken(sound: Path, *changes: tuple[str, str], more: str = "") -> list[str]:
    text = sound.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    sound.write_text(text + more)
    return mistakes(sound)


def test_a_sound_file_is_read_with_the_defaults_for_the_rest(sound: Path) -> None:
    config = load_dock_config(sound, NO_ENVIRONMENT)
    assert config.dock.id == "dock-1"
    assert config.policy.grace_hours == 24
    assert config.policy.retain is Retain.WHEN_UNREACHABLE
    assert config.policy.set_clock_from_unsynchronised_host is False


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(sound: Path) -> None:
    found = broken(
        sound,
        ('site = "Blackfriars"', 'sight = "Blackfriars"'),
        ('folder = "/srv/staging"', "folder = 5"),
        ("grace_hours = 24", "grace_hours = 1000\nretane = 1"),
        more="[polcy]\n",
    )
    assert [line.split(":")[0] for line in found] == [
        "line 1, dock.site",
        "line 3, dock.sight",
        "line 12, staging.folder",
        "line 15, policy.grace_hours",
        "line 16, policy.retane",
        "line 17, polcy",
    ]
    assert "is missing" in found[0]
    assert "did you mean site?" in found[1]
    assert "text in quotation marks" in found[2]
    assert "at most 744, not 1000" in found[3]
    assert "did you mean retain?" in found[4]
    assert "did you mean policy?" in found[5]


def test_a_key_in_the_wrong_section_is_shown_its_place(sound: Path) -> None:
    (line,) = broken(sound, ('id = "dock-1"', 'id = "dock-1"\nnot_charging_after_seconds = 600'))
    assert (
        line
        == "line 3, dock.not_charging_after_seconds: unknown key; not_charging_after_seconds belongs under [policy]"
    )


def test_a_whole_section_that_is_missing_is_named(sound: Path) -> None:
    text = sound.read_text()
    sound.write_text(text[: text.index("[centre]")])
    assert [line.split(":")[0] for line in mistakes(sound)] == ["centre"]


@pytest.mark.parametrize(
    ("section", "written", "hint"),
    [
        ("staging", 'floor_bytes = "10GB"', "write 10000000000 (10 GB) or 10737418240 (10 GiB), in bytes"),
        ("staging", 'floor_bytes = "10 GiB"', "10737418240"),
        ("staging", 'floor_bytes = "4096"', "write 4096"),
        ("staging", "floor_bytes = 1.5", "whole number"),
        ("staging", "floor_bytes = true", "whole number"),
        ("uploader", 'bytes_per_second = "25Mbit/s"', "write 3125000"),
        ("policy", 'not_charging_after_seconds = "5m"', "write 300 (seconds)"),
        ("policy", 'not_charging_after_seconds = "a while"', "number without quotation marks"),
        ("policy", 'minimum_battery_percent = "80%"', "write 80 (percent)"),
        ("policy", "minimum_battery_percent = 101", "at most 100"),
        ("policy", 'grace_hours = "90 min"', "write 1.5 (hours)"),
        ("policy", 'grace_hours = "2d"', "write 48 (hours)"),
        ("policy", 'retain = "sometimes"', "must be one of 'never', 'when_unreachable', 'always'"),
        ("policy", "retry_seconds = 5", "list in square brackets"),
        ("policy", 'set_clock_from_unsynchronised_host = "no"', "true or false"),
        ("dock", 'id = "dock 1"', "wrong form"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_what_to_write(sound: Path, section: str, written: str, hint: str) -> None:
    key = written.partition(" ")[0]
    kept = [line for line in sound.read_text().splitlines() if not line.startswith(f"{key} =")]
    if f"[{section}]" not in kept:
        kept.append(f"[{section}]")
    kept.insert(kept.index(f"[{section}]") + 1, written)
    sound.write_text("\n".join(kept))
    (line,) = mistakes(sound)
    assert line.startswith(f"line {kept.index(written) + 1}, {section}.{key}: ")
    assert hint in line


def test_a_mistake_inside_a_list_has_the_line_of_its_element(sound: Path) -> None:
    (line,) = broken(sound, ("grace_hours = 24", 'retry_seconds = [\n  5,\n  "1m",\n]'))
    assert line == (
        'line 17, policy.retry_seconds[1]: must be a number without quotation marks and unit, not "1m": '
        "write 60 (seconds)"
    )


def test_an_unknown_value_may_be_a_password_and_is_not_repeated(sound: Path) -> None:
    (line,) = broken(sound, more='password = "hunter2"\n')
    assert "policy.password" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[dock\n", "line 1"),
        ("[dock]\nid = 1\nid = 2\n", "line 3"),
        ("[dock]\nid = dock-1\n", "line 2"),
        ('[dock]\nid = "dock', "line 2"),
        ("[dock]\n\n\nid", "line 4"),
    ],
    ids=repr,
)
def test_what_is_not_toml_is_told_in_the_same_form(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "dockd.toml"
    path.write_text(text)
    (line,) = mistakes(path)
    assert line.startswith(place)
    assert "this is not TOML" in line


def test_a_file_that_is_not_text_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "dockd.toml"
    path.write_bytes(b"[dock]\nid = '\xff'\n")
    assert mistakes(path) == ["line 2: this is not UTF-8 text"]


def test_a_missing_file_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="There is no configuration file"):
        load_dock_config(tmp_path / "nothing.toml", NO_ENVIRONMENT)
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        load_dock_config(tmp_path, NO_ENVIRONMENT)


def test_options_of_a_driver_that_is_not_installed_are_not_ignored(sound: Path) -> None:
    (line,) = broken(sound, more="[drivers.simulatd]\nfolder = '/x'\n")
    assert line.startswith("line 16, drivers.simulatd: no driver of this name is installed; did you mean simulated?")


def test_a_drivers_options_are_handed_on_as_they_are(sound: Path) -> None:
    sound.write_text(sound.read_text() + "[drivers.simulated]\nfolder = '/x'\nlimits = [1, 2.5]\n")
    config = load_dock_config(sound, NO_ENVIRONMENT)
    assert config.drivers == {"simulated": {"folder": "/x", "limits": [1, 2.5]}}


# --- environment ----------------------------------------------------------------------------------


def test_the_environment_overrides_the_file(sound: Path) -> None:
    environ = {
        "DOCKD_DOCK__SITE": "Bow",
        "DOCKD_POLICY__GRACE_HOURS": "5",
        "DOCKD_POLICY__RETAIN": "never",
        "DOCKD_POLICY__RETRY_SECONDS": "[1, 2]",
        "DOCKD_KIOSK__ALLOW_OTHER_HOSTS": "true",
        "PATH": "/bin",
    }
    config = load_dock_config(sound, environ)
    assert (config.dock.site, config.policy.grace_hours, config.policy.retain) == ("Bow", 5, Retain.NEVER)
    assert config.policy.retry_seconds == (1, 2)
    assert config.kiosk.allow_other_hosts


def test_a_site_called_by_a_number_stays_a_text(sound: Path) -> None:
    assert load_dock_config(sound, {"DOCKD_DOCK__SITE": "42"}).dock.site == "42"


def test_a_mistyped_variable_is_refused_not_ignored(sound: Path) -> None:
    (line,) = mistakes(sound, {"DOCKD_POLICY__GRACE_HOUR": "5"})
    assert line.startswith("environment variable DOCKD_POLICY__GRACE_HOUR: there is no such setting; ")
    assert line.endswith("did you mean DOCKD_POLICY__GRACE_HOURS?")


def test_a_wrong_value_in_a_variable_names_the_variable(sound: Path) -> None:
    (line,) = mistakes(sound, {"DOCKD_POLICY__GRACE_HOURS": "2d"})
    assert line.startswith("environment variable DOCKD_POLICY__GRACE_HOURS: ")
    assert "write 48 (hours)" in line


def test_a_variable_may_set_what_the_file_does_not_have(sound: Path) -> None:
    sound.write_text(sound.read_text().replace('site = "Blackfriars"\n', ""))
    assert load_dock_config(sound, {"DOCKD_DOCK__SITE": "Bow"}).dock.site == "Bow"


def test_variables_of_the_command_line_are_no_settings(sound: Path) -> None:
    assert load_dock_config(sound, dict.fromkeys(NOT_SETTINGS, "x")).dock.id == "dock-1"


def test_mistakes_of_file_and_environment_are_told_together(sound: Path) -> None:
    sound.write_text(sound.read_text().replace("grace_hours", "grace_ours"))
    assert len(mistakes(sound, {"DOCKD_X": "1"})) == 2


def test_every_single_setting_has_a_variable() -> None:
    names = settable_names(DockConfig)
    for section, field in DockConfig.model_fields.items():
        for key in getattr(field.annotation, "model_fields", {}):
            assert f"DOCKD_{section.upper()}__{key.upper()}" in names


# --- showing --------------------------------------------------------------------------------------


def test_what_is_shown_is_a_configuration_that_means_the_same(sound: Path, tmp_path: Path) -> None:
    sound.write_text(sound.read_text() + '[drivers.simulated]\nfolder = "/a\\"b\\n"\n')
    config = load_dock_config(sound, {"DOCKD_DOCK__SITE": 'A "quoted" \u007f site'})
    again = tmp_path / "again.toml"
    again.write_text(config_text(config))
    assert load_dock_config(again, NO_ENVIRONMENT) == config


def test_only_what_was_changed_is_shown_with_its_default(sound: Path) -> None:
    text = config_text(load_dock_config(sound, NO_ENVIRONMENT), changed_only=True)
    assert "grace_hours = 24  # default: 0" in text
    assert "minimum_battery_percent" not in text
    assert "[kiosk]" not in text
    assert tomllib.loads(text)["dock"] == {"id": "dock-1", "site": "Blackfriars"}


def test_a_centres_file_is_read_by_the_same_rules(tmp_path: Path) -> None:
    path = tmp_path / "central.toml"
    path.write_text('[central]\nfolder = "/srv/centre"\nprot = 1\n')
    with pytest.raises(ConfigInvalid, match=r"line 3, central\.prot: unknown key; did you mean port"):
        load_central_config(path, NO_ENVIRONMENT)
    path.write_text('[central]\nfolder = "/srv/centre"\nport = 1\n')
    assert load_central_config(path, NO_ENVIRONMENT).central.port == 1
