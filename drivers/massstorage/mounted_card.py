"""A card's files under one mount point, read and erased by the rules of its profile.

Knows listing, identity, reading, erasing, room and the camera's own small files; works on any plain
directory. Must not know how the mount came about, nor the event loop: every method blocks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from dockd.driver_api import Clearance, Listing, SourceReader
from dockd.errors import AssignmentNotWritten, CardUnreadable, ClockNotSettable
from dockd.model.camera import SpaceReading
from dockd.model.ids import CameraId, CardPath, OfficerNumber
from dockd.model.recording import SourceFile
from drivers.card_tree import CardTree, CheckPresent, Entry
from drivers.massstorage.profile import USUAL_CLUTTER, AssignmentFile, ClockFile, Names, Profile, fits

MeasureRoom = Callable[[int], SpaceReading]

_SMALL_FILE_BYTES = 1024
_MOST_IGNORED_NAMED = 1000


def room_of(descriptor: int) -> SpaceReading:
    """What the file system says of its room (statvfs(3))."""
    told = os.fstatvfs(descriptor)
    return SpaceReading(total_bytes=told.f_blocks * told.f_frsize, free_bytes=told.f_bavail * told.f_frsize)


def look_at(root: Path, check_present: CheckPresent, *, deepest_folder: int) -> tuple[frozenset[Names], bool]:
    """The card's folders down to `deepest_folder`, and whether there is nothing on it but clutter.

    Raises CardUnreadable, CameraGone.
    """
    tree = CardTree(root, check_present)
    folders: set[Names] = set()
    is_empty = True
    try:
        for entry in tree.walk(lambda names: len(names) >= deepest_folder or _is_usual_clutter(names)):
            if not _is_usual_clutter(entry.path.names):
                is_empty = False
                if entry.is_folder:
                    folders.add(entry.path.names)
    finally:
        tree.close()
    return frozenset(folders), is_empty


class MountedCard:
    """One card with a known profile, held open until `close`."""

    def __init__(
        self,
        root: Path,
        profile: Profile,
        *,
        check_present: CheckPresent = lambda: None,
        check_answers: CheckPresent | None = None,
        measure_room: MeasureRoom = room_of,
    ) -> None:
        """Open the directory `root`. Raises CardUnreadable, CameraGone."""
        self.profile = profile
        self._measure_room = measure_room
        self._tree = CardTree(root, check_present, check_answers=check_answers)

    def close(self) -> None:
        """Give the card back; never raises, may be repeated."""
        self._tree.close()

    # --- recordings ---------------------------------------------------------------------------

    def list(self) -> Listing:
        """As `Storage.list`. Raises CardUnreadable, CameraGone."""
        footage: list[SourceFile] = []
        ignored: list[str] = []
        for entry in self._tree.walk(self.profile.is_clutter):
            if entry.is_file and self.profile.is_footage(entry.path.names):
                footage.append(self._as_source(entry))
            elif (self.profile.is_clutter(entry.path.names) or not entry.is_folder) and len(
                ignored
            ) < _MOST_IGNORED_NAMED:
                ignored.append(entry.path.text)
        return Listing(footage=tuple(footage), ignored=tuple(ignored))

    def open_reader(self, source: SourceFile) -> SourceReader:
        """As `Storage.open_reader`. Raises SourceChanged, CardUnreadable, CameraGone."""
        return self._tree.open_file(source)

    def erase(self, clearance: Clearance, camera: CameraId) -> None:
        """As `Eraser.erase`, for the card of `camera`. Raises EraseFailed, SourceChanged, CameraGone."""
        self._tree.erase(clearance, camera)

    def sync(self) -> None:
        """Make what was written durable on the card. Raises CardUnreadable, CameraGone."""
        self._tree.sync()

    def measure(self) -> SpaceReading:
        """Room now. Raises CardUnreadable, CameraGone."""
        try:
            with self._tree.root() as root:
                return self._measure_room(root)
        except OSError as failure:
            raise self._tree.explained(failure, "The card's room cannot be measured") from failure

    def _as_source(self, entry: Entry) -> SourceFile:
        at = self.profile.recorded_at(entry.path) or _as_time(entry.modified_ns)
        return replace(entry.as_source(), untrusted_recorded_at=at)

    # --- the camera's own files ---------------------------------------------------------------

    def untrusted_serial(self, untrusted_label: str | None, usb_serial: str | None) -> str:
        """What the profile's source gives, else the USB serial number, else an empty text."""
        identity = self.profile.identity
        given: str | None = None
        if identity.source == "volume-label":
            given = untrusted_label
        elif identity.source == "file" and identity.path is not None:
            content = self._tree.read_small(_card_path(identity.path), _SMALL_FILE_BYTES)
            given = content.decode("utf-8", "replace") if content is not None else None
        found = re.search(identity.pattern, given) if given else None
        return (found["serial"] if found else None) or usb_serial or ""

    def read_officer(self, file: AssignmentFile) -> str | None:
        """The officer's number on the card. Raises CardUnreadable, CameraGone."""
        content = self._tree.read_small(_card_path(file.path), _SMALL_FILE_BYTES)
        return file.parse(content) if content is not None else None

    def write_officer(self, file: AssignmentFile, officer: OfficerNumber | None) -> None:
        """Write or clear the number. Raises BadRequest (too long), AssignmentNotWritten, CameraGone."""
        content = file.render(officer)
        try:
            self._tree.write_small(_card_path(file.path), content)
        except CardUnreadable as failure:
            raise AssignmentNotWritten(failure.what) from failure

    def write_clock(self, file: ClockFile, at: datetime) -> None:
        """Leave the time for the camera to take. Raises ClockNotSettable, CameraGone."""
        try:
            self._tree.write_small(_card_path(file.path), at.astimezone(UTC).strftime(file.format).encode())
        except CardUnreadable as failure:
            raise ClockNotSettable(failure.what) from failure


def _is_usual_clutter(names: Names) -> bool:
    return any(fits(names[-1], pattern) for pattern in USUAL_CLUTTER)


def _card_path(text: str) -> CardPath:
    return CardPath(tuple(text.encode().split(b"/")))


def _as_time(modified_ns: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(modified_ns / 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
