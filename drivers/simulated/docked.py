"""A camera folder while it lies in its bay: the proof that it is still there, and its `camera.toml`.

Knows descriptors, inodes and how a file is replaced in one step. Must not know recordings, nor what any
key means. Moving the folder out of the bay is the cable being pulled: the
descriptor would go on working wherever the folder went, so every access first asks whether the folder
of that name in that bay is still this one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dockd.errors import CameraGone, CardUnreadable, UnknownCamera
from drivers.card_tree import CardTree
from drivers.simulated.description import MOST_BYTES, CameraDescription, parse_description, render_description

DESCRIPTION_NAME = "camera.toml"
CARD_NAME = "card"
PULLED_NAME = ".pulled"
"""Beside the bays: where a camera goes that pulls its own cable (fault `unplug_after_bytes`)."""

_TEMPORARY_NAME = ".camera.toml.new"
_NOTHING_READ = CameraDescription(serial="")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class DockedFolder:
    """One docking of one camera folder. Thread-safe; blocking."""

    def __init__(self, place: Path) -> None:
        """Name the folder `place` (bays folder / bay / name); `open` opens it."""
        self._place = place
        self._lock = threading.Lock()
        self._is_closed = False
        self._descriptor = -1
        self._identity = (0, 0)
        self._version: tuple[int, int, int] | None = None
        self._description = _NOTHING_READ
        self._tree: CardTree | None = None

    def open(self) -> None:
        """Open the folder, read its `camera.toml` and open its card. Once.

        Raises CameraGone when there is no such folder (or `close` came first), UnknownCamera with the
        reason when it is not a camera's, CardUnreadable when it has no card.
        """
        try:
            descriptor = os.open(self._place, _FOLDER)
        except OSError as failure:
            raise CameraGone("The camera is not in its bay any more.") from failure
        with self._lock:
            if self._is_closed:  # the dock stopped waiting; nobody else would give it back
                os.close(descriptor)
                raise CameraGone("The camera is no longer open.")
            self._descriptor = descriptor
            status = os.fstat(descriptor)
            self._identity = (status.st_dev, status.st_ino)
            self._version = self._version_on_disk()
            self._description = self._read()
            self._tree = CardTree(CARD_NAME, self.check_present, below=descriptor)

    @property
    def tree(self) -> CardTree:
        """The card's files. Raises CameraGone when it is not open."""
        if self._tree is None:
            raise CameraGone("The camera is no longer open.")
        return self._tree

    @property
    def description(self) -> CameraDescription:
        """As it stands now. A person's edit of the file counts at once; one that is wrong does not count."""
        with self._lock:
            self._take_edits()
            return self._description

    def check_present(self) -> None:
        """Raise CameraGone unless this very folder is still in its bay and still open here."""
        try:
            status = self._place.stat(follow_symlinks=False)
        except OSError as failure:
            raise CameraGone("The camera was taken out of its bay.") from failure
        if self._descriptor < 0 or (status.st_dev, status.st_ino) != self._identity:
            raise CameraGone("The camera was taken out of its bay.")

    def update(self, change: Callable[[CameraDescription], dict[str, Any]]) -> None:
        """Replace the fields that `change` returns for the present description, in the file as well.

        Raises CameraGone, CardUnreadable.
        """
        with self._lock:
            self.check_present()
            self._take_edits()
            changed = self._description.model_copy(update=change(self._description))
            try:
                self._write(changed)
            except OSError as failure:
                self.check_present()
                raise CardUnreadable(f"The camera did not take its new settings: {failure.strerror}.") from failure
            self._description, self._version = changed, self._version_on_disk()

    def pull(self) -> None:
        """Move the folder out of its bay, to `.pulled` beside the bays. Raises CameraGone when it has left."""
        outside = self._place.parent.parent / PULLED_NAME
        outside.mkdir(exist_ok=True)
        target = outside / self._place.name
        number = 1
        while target.exists():
            number += 1
            target = outside / f"{self._place.name}-{number}"
        with self._lock:
            self.check_present()
            self._place.rename(target)

    def close(self) -> None:
        """Give everything back; never raises, may be repeated."""
        with self._lock:
            self._is_closed = True
            descriptor, self._descriptor = self._descriptor, -1
        if self._tree is not None:
            self._tree.close()
        if descriptor >= 0:
            os.close(descriptor)

    def _take_edits(self) -> None:
        version = self._version_on_disk()
        if version is None or version == self._version:
            return
        with suppress(UnknownCamera):
            self._description = self._read()
        self._version = version

    def _version_on_disk(self) -> tuple[int, int, int] | None:
        """Changes whenever the file does; None when it cannot be asked."""
        if self._descriptor < 0:
            return None
        try:
            status = os.stat(DESCRIPTION_NAME, dir_fd=self._descriptor, follow_symlinks=False)
        except OSError:
            return None
        return (status.st_ino, status.st_mtime_ns, status.st_size)

    def _read(self) -> CameraDescription:
        try:
            opened = os.open(DESCRIPTION_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._descriptor)
        except OSError as failure:
            raise UnknownCamera(f"The folder in the bay has no readable camera.toml: {failure.strerror}.") from failure
        with os.fdopen(opened, "rb") as file:
            try:
                return parse_description(file.read(MOST_BYTES + 1))
            except OSError as failure:
                raise UnknownCamera(f"The camera.toml in the bay cannot be read: {failure.strerror}.") from failure

    def _write(self, description: CameraDescription) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = os.open(_TEMPORARY_NAME, flags, 0o644, dir_fd=self._descriptor)
        with os.fdopen(opened, "wb") as file:
            file.write(render_description(description))
        os.rename(_TEMPORARY_NAME, DESCRIPTION_NAME, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
