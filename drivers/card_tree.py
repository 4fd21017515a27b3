"""The files of a hostile card, reached only through directory descriptors.

Shared by drivers whose card is a mounted file system. Knows POSIX: what a regular file is, that a
symbolic link is never followed, that a device which left answers ENODEV. Must not know cameras, mounts,
layouts or policy. A name from the card is bytes and never becomes part of a path string of ours; a
file's place is walked name by name below one descriptor, so that no name can lead out of the card.

`check_present` is the driver's proof that the camera is still there; it raises `CameraGone`, and is
asked before every access, so that nothing is read, written or erased after the cable was pulled. After an access
that failed, `check_answers` is asked instead: a card whose cable was just pulled fails like a damaged one, a moment
before the kernel says that the device has left, and must not be taken for damaged.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dockd.driver_api import Clearance, SourceUnreadable
from dockd.errors import CameraGone, CardUnreadable, DockdError, EraseFailed, SourceChanged
from dockd.model.ids import CameraId, CardPath
from dockd.model.recording import SourceFile
from drivers.card_file import UncachedReading

CheckPresent = Callable[[], None]
Names = tuple[bytes, ...]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LEFT = (errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM, errno.ESHUTDOWN)
_NOT_THAT_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG)

DEEPEST_FOLDERS = 24
MOST_ENTRIES = 250_000
"""Bounds for a damaged or hostile file system (a folder that contains itself, endless names)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something on the card."""

    path: CardPath
    is_file: bool
    is_folder: bool
    size_bytes: int
    modified_ns: int

    def as_source(self) -> SourceFile:
        """The entry as a file of footage."""
        return SourceFile(path=self.path, size_bytes=self.size_bytes, modified_ns=self.modified_ns)


class CardTree:
    """One card's folder tree, held open by one descriptor. Thread-safe; blocking."""

    def __init__(
        self,
        folder: Path | str,
        check_present: CheckPresent,
        *,
        below: int | None = None,
        check_answers: CheckPresent | None = None,
    ) -> None:
        """Open `folder` (below the descriptor `below`). Raises CardUnreadable, CameraGone."""
        self._check_answers = check_answers or check_present
        check_present()
        try:
            self._root = os.open(folder, _FOLDER, dir_fd=below)
        except OSError as failure:
            raise self.explained(failure, "The card cannot be opened") from failure
        self.check_present = check_present
        self._lock = threading.Lock()
        self._users = 0
        self._is_closed = False

    # --- the descriptor -----------------------------------------------------------------------

    @contextmanager
    def root(self) -> Iterator[int]:
        """The card's own descriptor; kept open while it is used, even when `close` comes in between."""
        with self._lock:
            if self._is_closed:
                raise CameraGone("The camera is no longer open.")
            self._users += 1
        try:
            self.check_present()
            yield self._root
        finally:
            with self._lock:
                self._users -= 1
                self._close_when_unused()

    def close(self) -> None:
        """Refuse further use and give the descriptor back; never raises, may be repeated."""
        with self._lock:
            self._is_closed = True
            self._close_when_unused()

    def _close_when_unused(self) -> None:
        # An abandoned thread may still be inside: its number must not be given to another file meanwhile.
        if self._is_closed and self._users == 0 and self._root >= 0:
            os.close(self._root)
            self._root = -1

    # --- listing ------------------------------------------------------------------------------

    def walk(self, is_left_alone: Callable[[Names], bool]) -> Iterator[Entry]:
        """Every entry, in the order of its path; a folder comes before what is in it.

        A folder for which `is_left_alone` is true is not looked into. Raises CardUnreadable (also for a
        tree too deep or too full to be a camera's), CameraGone.
        """
        counted = 0
        with self.root() as root:
            try:
                top = os.open(b".", _FOLDER, dir_fd=root)
                with _closing(top):
                    for entry in self._walk(top, (), is_left_alone):
                        counted += 1
                        if counted > MOST_ENTRIES:
                            raise CardUnreadable(f"The card lists more than {MOST_ENTRIES} files.")
                        yield entry
            except OSError as failure:
                raise self.explained(failure, "The card cannot be listed") from failure

    def _walk(self, folder: int, above: Names, is_left_alone: Callable[[Names], bool]) -> Iterator[Entry]:
        if len(above) > DEEPEST_FOLDERS:
            raise CardUnreadable(f"The card's folders are nested more than {DEEPEST_FOLDERS} deep.")
        self.check_present()
        for name in _names_in(folder):
            path = (*above, name)
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue  # vanished since it was named
            is_folder = stat.S_ISDIR(status.st_mode)
            is_file = stat.S_ISREG(status.st_mode)
            yield Entry(CardPath(path), is_file, is_folder, status.st_size, status.st_mtime_ns)
            if not is_folder or is_left_alone(path):
                continue
            with _closing(os.open(name, _FOLDER, dir_fd=folder)) as inner:
                yield from self._walk(inner, path, is_left_alone)

    # --- reading ------------------------------------------------------------------------------

    def look_up(self, path: CardPath) -> os.stat_result | None:
        """The regular file at `path` as it is now; None when there is none. Raises CameraGone, OSError."""
        try:
            with self._folder_of(path) as folder:
                status = os.stat(path.file_name, dir_fd=folder, follow_symlinks=False)
        except OSError as failure:
            if failure.errno in _NOT_THAT_FILE:
                return None
            raise
        return status if stat.S_ISREG(status.st_mode) else None

    def open_file(self, source: SourceFile) -> CardFile:
        """Open one listed file. Raises SourceChanged, CardUnreadable, CameraGone."""
        try:
            with self._folder_of(source.path) as folder:
                reading = UncachedReading(source.path.file_name, folder, _FILE)
        except OSError as failure:
            if failure.errno in _NOT_THAT_FILE:
                raise SourceChanged(f"The recording {source.path.text!r} is not on the card any more.") from failure
            raise self.explained(failure, f"The recording {source.path.text!r} cannot be opened") from failure
        opened = CardFile(self, source.path, reading)
        try:
            now = opened.stat()
        except (DockdError, SourceUnreadable):
            opened.close()
            raise
        if now != source:
            opened.close()
            raise SourceChanged(f"The recording {source.path.text!r} was changed since the card was listed.")
        return opened

    @contextmanager
    def _folder_of(self, path: CardPath) -> Iterator[int]:
        _refuse_impossible(path)
        with self.root() as root, ExitStack() as opened:
            folder = root
            for name in path.names[:-1]:
                folder = opened.enter_context(_closing(os.open(name, _FOLDER, dir_fd=folder)))
            yield folder

    # --- erasing ------------------------------------------------------------------------------

    def erase(self, clearance: Clearance, camera: CameraId) -> None:
        """Remove the file that `clearance` names from the card of `camera`; absent already is fine.

        Raises EraseFailed, SourceChanged (not the size and time of the clearance), CameraGone.
        """
        path = clearance.path
        if clearance.camera != camera:
            raise EraseFailed(f"The permission to erase is for {clearance.camera}, this is {camera}.")
        try:
            status = self.look_up(path)
            if status is None:
                if self._is_occupied(path):
                    raise SourceChanged(f"{path.text!r} on the card is not a file any more.")
                return
            is_same_time = clearance.modified_ns in (None, status.st_mtime_ns)
            if status.st_size != clearance.size_bytes or not is_same_time:
                raise SourceChanged(f"The recording {path.text!r} was changed since it was copied.")
            with self._folder_of(path) as folder:
                os.unlink(path.file_name, dir_fd=folder)
                os.fsync(folder)
            is_still_there = self.look_up(path) is not None
        except OSError as failure:
            gone = self.explained(failure, f"The recording {path.text!r} cannot be erased")
            raise gone if isinstance(gone, CameraGone) else EraseFailed(gone.what) from failure
        if is_still_there:
            raise EraseFailed(f"The card still has {path.text!r} after it was erased.")

    def _is_occupied(self, path: CardPath) -> bool:
        try:
            with self._folder_of(path) as folder:
                os.stat(path.file_name, dir_fd=folder, follow_symlinks=False)
        except OSError as failure:
            if failure.errno in _NOT_THAT_FILE:
                return False
            raise
        return True

    # --- the card's own small files -----------------------------------------------------------

    def read_small(self, path: CardPath, most_bytes: int) -> bytes | None:
        """The first `most_bytes` of a file; None when there is no such file. Raises CardUnreadable, CameraGone."""
        try:
            with self._folder_of(path) as folder, _closing(os.open(path.file_name, _FILE, dir_fd=folder)) as opened:
                return os.read(opened, most_bytes) if stat.S_ISREG(os.fstat(opened).st_mode) else None
        except OSError as failure:
            if failure.errno in _NOT_THAT_FILE:
                return None
            raise self.explained(failure, f"The card's file {path.text!r} cannot be read") from failure

    def write_small(self, path: CardPath, content: bytes) -> None:
        """Replace a settings file's content, durably. Raises CardUnreadable, CameraGone."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with (
                self._folder_of(path) as folder,
                _closing(os.open(path.file_name, flags, 0o600, dir_fd=folder)) as opened,
            ):
                if not stat.S_ISREG(os.fstat(opened).st_mode):
                    raise CardUnreadable(f"The card's file {path.text!r} is not a plain file.")
                os.truncate(opened, 0)
                os.write(opened, content)
                os.fsync(opened)
        except OSError as failure:
            raise self.explained(failure, f"The card's file {path.text!r} cannot be written") from failure

    def sync(self) -> None:
        """Make everything written to the card durable on it (syncfs(2)). Raises CardUnreadable, CameraGone."""
        with self.root() as root:
            if ctypes.CDLL(None, use_errno=True).syncfs(root) != 0:
                failure = OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
                raise self.explained(failure, "The card did not keep what was written") from failure

    def explained(self, failure: OSError, what: str) -> CameraGone | CardUnreadable:
        """Our error for `failure`: CameraGone where the camera left, else CardUnreadable with `what`."""
        try:
            self._check_answers()
        except CameraGone as gone:
            return gone
        if failure.errno in _LEFT:
            return CameraGone("The camera stopped answering.")
        return CardUnreadable(f"{what}: {failure.strerror}.")


class CardFile:
    """One open file on the card: a `SourceReader`."""

    def __init__(self, tree: CardTree, path: CardPath, reading: UncachedReading) -> None:
        self._tree = tree
        self._path = path
        self._reading = reading

    def stat(self) -> SourceFile:
        """The file that is under this name now, while it is still the opened one.

        Raises SourceChanged when another or none is, CameraGone, SourceUnreadable.
        """
        try:
            opened = os.fstat(self._reading.descriptor)
            named = self._tree.look_up(self._path)
        except OSError as failure:
            raise self._explained(failure) from failure
        if named is None or (named.st_dev, named.st_ino) != (opened.st_dev, opened.st_ino):
            raise SourceChanged(f"The recording {self._path.text!r} was replaced or removed on the card.")
        return SourceFile(path=self._path, size_bytes=opened.st_size, modified_ns=opened.st_mtime_ns)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        self._tree.check_present()
        try:
            return self._reading.read_into(offset, buffer)
        except OSError as failure:
            raise self._explained(failure) from failure

    def close(self) -> None:
        self._reading.close()

    def _explained(self, failure: OSError) -> CameraGone | SourceUnreadable:
        explained = self._tree.explained(failure, "unreadable")
        if isinstance(explained, CameraGone):
            return explained
        return SourceUnreadable(f"{self._path.text!r}: {failure.strerror}")


def _names_in(folder: int) -> list[bytes]:
    with os.scandir(folder) as entries:
        names = []
        for entry in entries:
            names.append(os.fsencode(entry.name))
            if len(names) > MOST_ENTRIES:
                raise CardUnreadable(f"A folder of the card lists more than {MOST_ENTRIES} names.")
    return sorted(names)


def _refuse_impossible(path: CardPath) -> None:
    """No file system lists such names; one in a clearance or listing is an attempt to leave the card."""
    for name in path.names:
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            raise SourceChanged(f"{path.text!r} cannot be a recording's name.")


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
