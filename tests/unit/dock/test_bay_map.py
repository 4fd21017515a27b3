"""The map from ports to bays: its file, and how it is learned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockd.dock.bay_map import BayMap, MappedBay, bay_map_text, learn_bays, load_bay_map, save_bay_map
from dockd.driver_api import Occupied, PortEvent, Vacated
from dockd.errors import ConfigInvalid
from dockd.model.camera import Port
from dockd.model.ids import BayId


def mapped(name: str, port: str, companion: str | None = None) -> MappedBay:
    return MappedBay(BayId(name), port, companion)


TWO = BayMap([mapped("01", "1-1.1", "2-1.1"), mapped("02", "1-1.2")])


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "bays.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes_of(path: Path) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load_bay_map(path)
    return caught.value.what


def test_both_paths_of_a_socket_are_its_bay_and_an_unknown_port_is_none() -> None:
    assert [TWO.bay_of(port) for port in ("1-1.1", "2-1.1", "1-1.2", "2-1.2", "")] == ["01", "01", "02", None, None]
    assert TWO.ports == {"1-1.1", "2-1.1", "1-1.2"}


def test_folder_port_is_the_bay_of_its_name() -> None:
    assert TWO.bay_of("folder:bay-7") == "bay-7"
    assert TWO.bay_of("folder:../etc") is None
    assert TWO.bay_of("folder:") is None


def test_folder_may_not_take_the_name_of_a_mapped_bay() -> None:
    assert TWO.bay_of("folder:01") is None


def test_absent_file_is_an_empty_map(tmp_path: Path) -> None:
    assert load_bay_map(tmp_path / "bays.toml").bays == ()


names = st.from_regex(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
ports = st.from_regex(r"^[1-9]\d?-[1-9]\d?(\.[1-9]){0,3}\Z")


@settings(max_examples=20)  # each writes to the disk and waits for it
@given(st.lists(st.tuples(names, ports, ports), unique_by=(lambda row: row[0],), max_size=8))
def test_what_is_saved_is_loaded_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    seen: set[str] = set()
    bays = []
    for name, port, companion in rows:
        if not {port, companion} & seen and port != companion:
            seen |= {port, companion}
            bays.append(mapped(name, port, companion if len(name) % 2 else None))
    path = tmp_path_factory.mktemp("map") / "etc" / "bays.toml"
    save_bay_map(path, BayMap(bays))
    assert load_bay_map(path).bays == tuple(bays)
    assert [one.name for one in path.parent.iterdir()] == ["bays.toml"], "a temporary file was left"
    assert path.stat().st_mode & 0o777 == 0o644


def test_hand_written_file_with_comments_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, '# left row\n[[bay]]\nport = "1-1.1" # top\nname = "A1"\n')
    assert load_bay_map(path).bays == (mapped("A1", "1-1.1"),)


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """\
colour = "red"
[[bay]]
name = "A"
port = "1-1.1"
[[bay]]
name = "A"
port = "1-1.2"
[[bay]]
name = "B"
port = "1-1.1"
[[bay]]
name = "no good"
port = "1-1:1.0"
speed = 3
[[bay]]
port = 7
[[bay]]
name = "C"
port = "1-1.5"
companion_port = "1-1.5"
[[bay]]
name = "D"
port = "1-1.6"
companion_port = "1-1.2"
"""
    told = mistakes_of(written(tmp_path, text))
    for words in (
        "'colour' is not known",
        "line 5: 'A' is used already at line 2",
        "line 8: '1-1.1' is used already at line 2",
        "line 11: 'speed' is not known",
        "'no good' cannot be the name of a bay",
        "'port' must be a kernel port path such as '1-1.3', not '1-1:1.0'",
        "line 15: 'name' is missing",
        "not 7",
        "line 17: 'companion_port' is the same as 'port'",
        "line 21: '1-1.2' is used already at line 5",
    ):
        assert words in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[bay]\nname = "A"', "is not TOML"),
        ('bay = "1-1.1"', "must be written as [[bay]] tables"),
        ('[[bay]]\nname = "A"\nport = "folder:A"\n', "must be a kernel port path"),
    ],
)
def test_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in mistakes_of(written(tmp_path, text))


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bays.toml").write_bytes(b"\xff\xfe")
    assert "cannot be read" in mistakes_of(tmp_path / "bays.toml")


def test_map_that_cannot_be_written_is_told_and_the_old_one_stays(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="cannot be written"):
        save_bay_map(tmp_path / "blocked" / "bays.toml", TWO)


def test_text_begins_with_how_to_read_it() -> None:
    assert bay_map_text(BayMap()).startswith("# Which USB port is which bay.")


# --- learning -------------------------------------------------------------------------------------


def put_in(path: str) -> Occupied:
    return Occupied(Port(path=path, node=f"/sys/{path}"))


async def learn(
    *events: PortEvent,
    bays: str = "A B",
    known: BayMap | None = None,
    present: frozenset[str] = frozenset(),
    peers: dict[str, str] | None = None,
) -> tuple[BayMap, list[str], list[BayMap]]:
    async def stream() -> AsyncIterator[PortEvent]:
        for event in events:
            yield event

    told: list[str] = []
    saved: list[BayMap] = []
    source = stream()
    learned = await learn_bays(
        source,
        [BayId(name) for name in bays.split()],
        told.append,
        known=known or BayMap(),
        present=present,
        save=saved.append,
        companion=lambda port: (peers or {}).get(port.path),
    )
    await source.aclose()
    return learned, told, saved


async def test_each_bay_takes_the_port_that_a_camera_is_put_into() -> None:
    learned, told, saved = await learn(put_in("1-1.4"), Vacated("1-1.4"), put_in("1-1.2"), Vacated("1-1.2"))
    assert learned.bays == (mapped("A", "1-1.4"), mapped("B", "1-1.2"))
    assert [one.bays for one in saved] == [learned.bays[:1], learned.bays]
    assert told[0] == "Put a camera into bay A."
    assert told[-1] == "2 bays are known."


async def test_port_seen_before_is_refused_in_words() -> None:
    learned, told, _ = await learn(
        put_in("1-1.4"), Vacated("1-1.4"), put_in("1-1.4"), Vacated("1-1.4"), put_in("1-1.2"), Vacated("1-1.2")
    )
    assert learned.bays == (mapped("A", "1-1.4"), mapped("B", "1-1.2"))
    assert "This is bay A, which is known already. Put the camera into bay B." in told


async def test_what_was_in_a_port_before_does_not_answer_a_prompt() -> None:
    learned, _, _ = await learn(put_in("1-7"), put_in("1-1.4"), Vacated("1-1.4"), bays="A", present=frozenset({"1-7"}))
    assert learned.bays == (mapped("A", "1-1.4"),)


async def test_port_that_was_full_answers_after_it_has_been_emptied() -> None:
    learned, _, _ = await learn(
        put_in("1-7"), Vacated("1-7"), put_in("1-7"), Vacated("1-7"), bays="A", present=frozenset({"1-7"})
    )
    assert learned.bays == (mapped("A", "1-7"),)


async def test_second_camera_put_in_too_early_is_not_the_next_bay() -> None:
    learned, told, _ = await learn(
        put_in("1-1.1"), put_in("1-1.9"), Vacated("1-1.1"), put_in("1-1.2"), Vacated("1-1.2"), Vacated("1-1.9")
    )
    assert learned.bays == (mapped("A", "1-1.1"), mapped("B", "1-1.2"))
    assert "Something was put into USB port 1-1.9. First take the camera out of bay A." in told


async def test_port_of_a_bay_that_is_not_being_learned_is_refused() -> None:
    learned, told, _ = await learn(
        put_in("2-1.1"), Vacated("2-1.1"), put_in("1-1.5"), Vacated("1-1.5"), bays="A", known=TWO
    )
    assert learned.bays == (*TWO.bays, mapped("A", "1-1.5"))
    assert any("This is bay 01" in line for line in told)


async def test_learning_that_is_broken_off_keeps_what_was_known() -> None:
    learned, _, saved = await learn(put_in("1-1.9"), bays="01 02", known=TWO)
    assert learned.bays == saved[-1].bays == (mapped("01", "1-1.9"), mapped("02", "1-1.2"))


async def test_bays_can_change_places() -> None:
    learned, _, saved = await learn(
        put_in("1-1.2"), Vacated("1-1.2"), put_in("1-1.1"), Vacated("1-1.1"), bays="01 02", known=TWO
    )
    assert {one.bay: one.port for one in learned.bays} == {"01": "1-1.2", "02": "1-1.1"}
    for one in saved:
        assert len(one.ports) == sum(len(bay.ports) for bay in one.bays), "two bays had one port for a while"


async def test_companion_port_is_learned_with_its_socket() -> None:
    learned, told, _ = await learn(put_in("1-1.4"), Vacated("1-1.4"), bays="A", peers={"1-1.4": "2-1.4"})
    assert learned.bays == (mapped("A", "1-1.4", "2-1.4"),)
    assert any("USB port 1-1.4 and 2-1.4" in line for line in told)
