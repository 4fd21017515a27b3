"""Which footage goes first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.model.ids import CameraId, CardPath
from dockd.rules.upload_order import Waiting, is_marked, upload_order
from tests.support.clock import START
from tests.support.custody import Footage

SMALL, LARGE, AWAY = CameraId("simulated:small"), CameraId("simulated:large"), CameraId("simulated:away")


def waiting(camera: CameraId, size: int, *, minute: int = 0, path: tuple[bytes, ...] = (b"DCIM",)) -> Waiting:
    one = Footage(b"x" * size, CardPath((*path, b"%d-%d.MP4" % (size, minute))), camera)
    return Waiting(one.recording, camera, one.path, size, START + timedelta(minutes=minute))


def order(*entries: Waiting) -> list[tuple[str, int]]:
    return [(entry.camera, entry.size_bytes) for entry in upload_order(entries, {SMALL, LARGE})]


def test_marked_footage_goes_before_everything() -> None:
    marked = waiting(AWAY, 900, path=(b"P_VIDEO",))
    assert order(waiting(SMALL, 1), marked, waiting(LARGE, 500))[0] == (AWAY, 900)


def test_camera_with_least_left_is_freed_first_and_whole() -> None:
    entries = [waiting(LARGE, 10), waiting(SMALL, 40), waiting(LARGE, 500), waiting(SMALL, 30)]
    assert [camera for camera, _ in order(*entries)] == [SMALL, SMALL, LARGE, LARGE]


def test_what_is_docked_goes_before_what_has_left() -> None:
    assert order(waiting(AWAY, 1), waiting(LARGE, 500)) == [(LARGE, 500), (AWAY, 1)]


def test_what_has_left_goes_oldest_first_whatever_its_size() -> None:
    assert order(waiting(AWAY, 1, minute=9), waiting(AWAY, 500, minute=3)) == [(AWAY, 500), (AWAY, 1)]


@pytest.mark.parametrize(
    ("names", "marked"),
    [
        ((b"P_VIDEO", b"1.MP4"), True),
        ((b"DCIM", b"Locked", b"1.MP4"), True),
        ((b"N_VIDEO", b"1.MP4"), False),
        ((b"DCIM", b"SOS"), False),
        ((b"\xff\xfe", b"1.MP4"), False),
    ],
)
def test_folder_tells_what_is_marked(names: tuple[bytes, ...], marked: bool) -> None:
    assert is_marked(CardPath(names)) is marked


@given(st.lists(st.tuples(st.sampled_from([SMALL, LARGE, AWAY]), st.integers(0, 50), st.integers(0, 9)), unique=True))
def test_order_loses_nothing_and_does_not_depend_on_the_order_of_asking(
    given_ones: list[tuple[CameraId, int, int]],
) -> None:
    entries = [waiting(camera, size, minute=minute) for camera, size, minute in given_ones]
    ordered = upload_order(entries, {SMALL, LARGE})
    assert sorted(one.recording for one in ordered) == sorted(one.recording for one in entries)
    assert upload_order(reversed(entries), {SMALL, LARGE}) == ordered
