"""Profiles are data: checked strictly, chosen by what is most specific, never by guessing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dockd.errors import BadRequest, ConfigInvalid, UnknownCamera
from dockd.model.camera import Port
from dockd.model.ids import CardPath
from drivers.massstorage.driver import MassStorageDriver
from drivers.massstorage.profile import AssignmentFile, Profile, parse_profile
from drivers.massstorage.profile_library import CardLook, ProfileLibrary

SHIPPED = ProfileLibrary.load()

MINIMAL = """
name = "own"
summary = "a profile of the force"
[recognised]
folders = ["VIDEO"]
[footage]
roots = ["VIDEO"]
"""


def look(*folders: str, label: str | None = None, usb_id: str | None = None, is_empty: bool = False) -> CardLook:
    names = [tuple(folder.encode().split(b"/")) for folder in folders]
    every = {name[: depth + 1] for name in names for depth in range(len(name))}
    return CardLook(usb_id, label, frozenset(every), is_empty)


def shipped(name: str) -> Profile:
    return next(one for one in SHIPPED.profiles if one.name == name)


@pytest.mark.parametrize(
    ("card", "profile"),
    [
        (look("DCIM"), "dcim"),
        (look("dcim/100MEDIA", "MISC"), "dcim"),
        (look("DCIM/261122"), "dcim-dated"),
        (look("DCIM/261122", "DCIM/100MEDIA"), "dcim-dated"),
        (look("RECORD"), "record"),
        (look("N_VIDEO"), "normal-protected"),
        (look("P_VIDEO", "N_VIDEO"), "normal-protected"),
        (look("files/data"), "files-data"),
        (look("DPB20"), "model-folder"),
        (look("DCIM", label="BWC0012345"), "label-is-id"),
        (look("DCIM/261122", label="BWC0012345"), "label-is-id"),
        (look("DCIM", label="NO NAME"), "dcim"),
        (look(is_empty=True), "dcim"),
    ],
)
def test_the_layouts_of_the_field_are_known(card: CardLook, profile: str) -> None:
    assert SHIPPED.choose(card).name == profile


def test_a_card_that_fits_two_layouts_is_not_guessed_at() -> None:
    with pytest.raises(UnknownCamera, match="dcim and record equally well"):
        SHIPPED.choose(look("DCIM", "RECORD"))


@pytest.mark.parametrize("card", [look("HOLIDAY"), look("files"), look("X/DCIM"), look("DCIM2"), look(is_empty=False)])
def test_a_card_of_no_known_layout_is_no_camera(card: CardLook) -> None:
    with pytest.raises(UnknownCamera, match="No profile knows"):
        SHIPPED.choose(card)


def test_a_models_usb_number_goes_before_any_layout() -> None:
    own = parse_profile(MINIMAL.replace("[recognised]", '[recognised]\nusb_ids = ["4255:0001"]').encode(), "own")
    library = ProfileLibrary([*SHIPPED.profiles, own])
    assert library.choose(look("DCIM/261122", "VIDEO", label="BWC0012345", usb_id="4255:0001")).name == "own"
    assert library.choose(look("DCIM", "VIDEO", usb_id="4255:0002")).name == "dcim"
    port = Port(
        path="1-1", node="/x", usb_vendor_id=0x4255, usb_product_id=0x0001, usb_interfaces=((8, 6, 80), (255, 0, 0))
    )
    assert max(match.specificity for match in library.matches() if match.matches(port)) == 3


def test_a_disk_that_is_not_bulk_only_is_not_claimed() -> None:
    uas_only = Port(path="1-1", node="/x", usb_vendor_id=1, usb_product_id=1, usb_interfaces=((8, 6, 98),))
    assert not any(match.matches(uas_only) for match in SHIPPED.matches())


@pytest.mark.parametrize(
    ("profile", "path", "is_footage"),
    [
        ("dcim", b"DCIM/100MEDIA/MOVI0001.MP4", True),
        ("dcim", b"dcim/x.mov", True),
        ("dcim", b"DCIM/100MEDIA/._MOVI0001.MP4", False),
        ("dcim", b"DCIM/100MEDIA/MOVI0001.THM", False),
        ("dcim", b"MISC/x.mp4", False),
        ("dcim", b"DCIM", False),
        ("dcim", b"x.mp4", False),
        ("record", b"RECORD/2026/x.avi", True),
        ("normal-protected", b"P_VIDEO/x.mp4", True),
        ("normal-protected", b"N_VIDEO/x.mp4", True),
        ("files-data", b"files/data/x.mp4", True),
        ("files-data", b"files/x.mp4", False),
        ("model-folder", b"DPB20/x.mp4", True),
        ("model-folder", b"DPBXX/x.mp4", False),
        ("dcim-dated", b"DCIM/261122/\xff\xfe.MP4", True),
    ],
)
def test_what_is_footage(profile: str, path: bytes, is_footage: bool) -> None:
    assert shipped(profile).is_footage(tuple(path.split(b"/"))) is is_footage


@pytest.mark.parametrize(
    ("profile", "path", "at"),
    [
        ("dcim-dated", b"DCIM/261122/BWC77_20261122060105_0001.MP4", datetime(2026, 11, 22, 6, 1, 5, tzinfo=UTC)),
        ("dcim-dated", b"DCIM/261122/20261122235959.MP4", datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)),
        ("dcim-dated", b"DCIM/261122/20260230060105.MP4", None),
        ("dcim-dated", b"DCIM/261122/REC0001.MP4", None),
        ("dcim-dated", b"DCIM/261122/20261122060105/REC0001.MP4", None),
        ("dcim", b"DCIM/2026-11-22_06-01-05.MP4", datetime(2026, 11, 22, 6, 1, 5, tzinfo=UTC)),
        ("dcim", b"DCIM/20261122T060105.MP4", datetime(2026, 11, 22, 6, 1, 5, tzinfo=UTC)),
        ("dcim", b"DCIM/MOVI0001.MP4", None),
        ("dcim", b"DCIM/\xff20261122_060105\xfe.MP4", datetime(2026, 11, 22, 6, 1, 5, tzinfo=UTC)),
        ("record", b"RECORD/20261122_060105.MP4", datetime(2026, 11, 22, 6, 1, 5, tzinfo=UTC)),
    ],
)
def test_the_recording_time_in_a_name(profile: str, path: bytes, at: datetime | None) -> None:
    assert shipped(profile).recorded_at(CardPath(tuple(path.split(b"/")))) == at


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('summary = "a profile of the force"', 'summry = "x"'), r"summry: Extra inputs"),
        (('name = "own"', "name = 7"), "name"),
        (('folders = ["VIDEO"]', ""), "at least one of usb_ids"),
        (('folders = ["VIDEO"]', 'folders = ["../x"]'), r"without '\.\.'"),
        (('folders = ["VIDEO"]', 'usb_ids = ["4255:1"]'), "usb_ids"),
        (('roots = ["VIDEO"]', "roots = []"), "roots"),
        (('roots = ["VIDEO"]', 'roots = ["VIDEO"]\n[recording_time]\npattern = "("'), "not a regular expression"),
        (('roots = ["VIDEO"]', 'roots = ["VIDEO"]\n[recording_time]\npattern = "(?P<year>.)"'), "day, hour"),
        (('roots = ["VIDEO"]', 'roots = ["VIDEO"]\n[identity]\nsource = "file"'), "path is given"),
        (('roots = ["VIDEO"]', 'roots = ["VIDEO"]\n[identity]\npattern = "x"'), "group named serial"),
        (('roots = ["VIDEO"]', 'roots = ["VIDEO"]\n[clock]\npath = "VIDEO/T.MP4"\nformat = "%Y"'), "would be footage"),
        (
            ('roots = ["VIDEO"]', 'roots = ["VIDEO"]\n[assignment]\npath = "O.TXT"\nmax_characters = 6\nformat = "no"'),
            "exactly once",
        ),
        (
            (
                'roots = ["VIDEO"]',
                'roots = ["VIDEO"]\n[assignment]\npath = "O.TXT"\nmax_characters = 6\nunassigned = "none"',
            ),
            "does not read back",
        ),
        (("[footage]", "[footage"), "own"),
    ],
)
def test_a_wrong_profile_is_refused_with_the_reason(change: tuple[str, str], words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words):
        parse_profile(MINIMAL.replace(*change).encode(), "own")


def test_every_mistake_in_every_own_profile_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(MINIMAL.replace('name = "own"', "name = 7\nextra = 1"), encoding="utf-8")
    (tmp_path / "b.toml").write_text("[", encoding="utf-8")
    with pytest.raises(ConfigInvalid) as told:
        MassStorageDriver().configure({"profiles_folder": str(tmp_path), "without_profiles": ["ghost"]})
    for words in ("a.toml: name", "a.toml: extra", "b.toml", "'ghost'"):
        assert words in told.value.what


def test_an_own_profile_takes_the_place_of_a_shipped_one_and_others_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(MINIMAL.replace('"own"', '"dcim"'), encoding="utf-8")
    library = ProfileLibrary.load(tmp_path, without=["label-is-id"])
    assert library.choose(look("VIDEO")).summary == "a profile of the force"
    assert "label-is-id" not in {one.name for one in library.profiles}


def test_options_are_checked() -> None:
    with pytest.raises(ConfigInvalid) as told:
        MassStorageDriver().configure({"volume_timeout": 3, "volume_timeout_seconds": -1})
    assert "volume_timeout: Extra" in told.value.what
    assert "volume_timeout_seconds: Input should be greater" in told.value.what


def test_an_officers_number_that_does_not_fit_is_refused_never_shortened() -> None:
    file = AssignmentFile(path="O.TXT", max_characters=6)
    assert file.parse(file.render("PC-123")) == "PC-123"
    with pytest.raises(BadRequest, match="at most 6"):
        file.render("PC-1234")


@pytest.mark.parametrize("content", [b"", b"\r\n", b"\x00\x00", b"\xff\xfe\xff", b"***"])
def test_a_number_file_with_rubbish_is_no_officer(content: bytes) -> None:
    assert AssignmentFile(path="O.TXT", max_characters=6).parse(content) is None
