"""A profile: what is known of one camera's card, as data.

Knows the form of `profiles/*.toml` and checks it strictly. Must not know cards, mounts or USB beyond a
pair of numbers. A profile can only say what to read and how; it holds no code and no policy.
"""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from dockd.errors import BadRequest, ConfigInvalid
from dockd.model.ids import CardPath
from dockd.model.value import ShortText, Value

Names = tuple[bytes, ...]

USUAL_CLUTTER = ("._*", "*.log", "System Volume Information", "$RECYCLE.BIN", ".Trash*", ".fseventsd", ".Spotlight-*")
USUAL_FOOTAGE = ("*.mp4", "*.mov", "*.avi", "*.mkv", "*.ts", "*.3gp", "*.wav", "*.mp3", "*.aac", "*.jpg", "*.jpeg")

_TIME_PARTS = ("year", "month", "day", "hour", "minute", "second")


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as mistake:
        raise ValueError(f"not a regular expression: {mistake}") from mistake
    return text


def _plain_path(text: str) -> str:
    if any(name in ("", ".", "..") for name in text.split("/")):
        raise ValueError("a path on the card is written as names joined by '/', without '..'")
    return text


Expression = Annotated[str, Field(max_length=400), AfterValidator(_regular_expression)]
PathOnCard = Annotated[str, Field(max_length=400), AfterValidator(_plain_path)]
FileName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^/]+$")]
UsbId = Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]


class _Part(Value):
    """A table of a profile; TOML arrays become tuples."""

    model_config = ConfigDict(strict=False)


class Recognised(_Part):
    """How a card is known to have this layout; every key that is given must hold."""

    usb_ids: tuple[UsbId, ...] = ()
    """vendor:product in lower-case hexadecimal; one of them is the device's."""
    volume_label: Expression | None = None
    """The whole label fits."""
    folders: tuple[PathOnCard, ...] = ()
    """One of these is on the card; names may hold shell wildcards, capitals do not matter."""
    is_for_empty_cards: bool = False
    """Also a card on which there is nothing but clutter (freshly formatted)."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.usb_ids or self.volume_label or self.folders):
            raise ValueError("give at least one of usb_ids, volume_label and folders")
        return self


class Footage(_Part):
    """Where recordings are. Names may hold shell wildcards; capitals do not matter."""

    roots: Annotated[tuple[PathOnCard, ...], Field(min_length=1)]
    patterns: Annotated[tuple[FileName, ...], Field(min_length=1)] = USUAL_FOOTAGE


class Identity(_Part):
    """Where the camera's serial number is. Where that gives none, the USB serial number is taken."""

    source: Literal["usb-serial", "volume-label", "file"] = "usb-serial"
    path: PathOnCard | None = None
    pattern: Expression = r"(?P<serial>[A-Za-z0-9][A-Za-z0-9._-]*)"
    """The group `serial` in the label or the file's first kilobyte."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.source == "file") != (self.path is not None):
            raise ValueError("path is given for source 'file' and only then")
        if "serial" not in re.compile(self.pattern).groupindex:
            raise ValueError("pattern needs a group named serial")
        return self


class ClockFile(_Part):
    """A file from which the camera takes its time when it starts. Always UTC."""

    path: PathOnCard
    format: Annotated[str, Field(min_length=2, max_length=100)]
    """strftime(3)."""


class AssignmentFile(_Part):
    """A file that holds the officer's number."""

    path: PathOnCard
    format: Annotated[str, Field(max_length=200)] = "{officer}\r\n"
    unassigned: Annotated[str, Field(max_length=200)] = ""
    """The whole content when nobody holds the camera."""
    pattern: Expression = r"^\s*(?P<officer>[A-Za-z0-9-]+)"
    max_characters: Annotated[int, Field(ge=1, le=64)]
    """What the camera keeps of a number; a longer one is refused, never shortened."""
    encoding: Literal["ascii", "utf-8", "gbk"] = "ascii"

    @model_validator(mode="after")
    def _reads_what_it_writes(self) -> Self:
        if "officer" not in re.compile(self.pattern).groupindex:
            raise ValueError("pattern needs a group named officer")
        if self.format.count("{officer}") != 1:
            raise ValueError("format holds {officer} exactly once")
        if self.parse(self.render("A1")) != "A1" or self.parse(self.render(None)) is not None:
            raise ValueError("pattern does not read back what format and unassigned write")
        return self

    def render(self, officer: str | None) -> bytes:
        """The file's content. Raises BadRequest for a number that this camera cannot keep."""
        if officer is None:
            return self.unassigned.encode(self.encoding)
        if len(officer) > self.max_characters:
            raise BadRequest(f"This camera keeps officer numbers of at most {self.max_characters} characters.")
        return self.format.replace("{officer}", officer).encode(self.encoding)

    def parse(self, untrusted: bytes) -> str | None:
        """The number in the file's content; None when there is none."""
        found = re.search(self.pattern, untrusted.decode(self.encoding, "replace"))
        return (found["officer"] or None) if found else None


class RecordingTime(_Part):
    """Where a recording's path tells when it was made, by the camera's own clock."""

    pattern: Expression

    @model_validator(mode="after")
    def _has_all_parts(self) -> Self:
        missing = set(_TIME_PARTS) - set(re.compile(self.pattern).groupindex)
        if missing:
            raise ValueError(f"pattern needs groups named {', '.join(sorted(missing))}")
        return self


class Profile(_Part):
    """One file of `profiles/`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    summary: ShortText
    maker: ShortText = "unknown"
    model: ShortText = "mass storage camera"
    recognised: Recognised
    footage: Footage
    clutter: tuple[FileName, ...] = USUAL_CLUTTER
    identity: Identity = Identity()
    clock: ClockFile | None = None
    assignment: AssignmentFile | None = None
    recording_time: RecordingTime | None = None

    @model_validator(mode="after")
    def _never_writes_over_footage(self) -> Self:
        for part in (self.clock, self.assignment):
            if part is not None and self.is_footage(tuple(part.path.encode().split(b"/"))):
                raise ValueError(f"{part.path} is written to and would be footage by the same profile")
        return self

    def is_clutter(self, names: Names) -> bool:
        """Whether this file or folder is nobody's recording and is left alone."""
        return _fits_any(names[-1], self.clutter)

    def is_footage(self, names: Names) -> bool:
        """Whether a file of this path is a recording."""
        if self.is_clutter(names) or not _fits_any(names[-1], self.footage.patterns):
            return False
        return any(_begins_with(names[:-1], root.split("/")) for root in self.footage.roots)

    def recorded_at(self, path: CardPath) -> datetime | None:
        """The camera's own time in the path, read as UTC; None where there is none or it is no date."""
        if self.recording_time is None:
            return None
        found = re.search(self.recording_time.pattern, "/".join(name.decode("latin-1") for name in path.names))
        if found is None:
            return None
        year, month, day, hour, minute, second = (int(found[part]) for part in _TIME_PARTS)
        try:
            return datetime(year + 2000 if year < 100 else year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            return None


def parse_profile(content: bytes, where: str) -> Profile:
    """Read one profile. Raises ConfigInvalid listing every mistake in the file `where`."""
    try:
        return Profile.model_validate(tomllib.loads(content.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as mistake:
        raise ConfigInvalid(f"{where}: {mistake}.") from mistake
    except ValidationError as mistakes:
        listed = (
            f"{where}: {'.'.join(str(step) for step in one['loc']) or 'profile'}: {one['msg']}."
            for one in mistakes.errors(include_url=False)
        )
        raise ConfigInvalid("\n".join(listed)) from mistakes


def fits(name: bytes, pattern: str) -> bool:
    """Whether a name from the card fits a shell pattern; capitals do not matter, as on FAT."""
    # Latin-1 gives every byte one character, so that names in any or no encoding can be compared.
    return fnmatchcase(name.decode("latin-1").lower(), pattern.encode().decode("latin-1").lower())


def _fits_any(name: bytes, patterns: tuple[str, ...]) -> bool:
    return any(fits(name, pattern) for pattern in patterns)


def _begins_with(names: Names, patterns: list[str]) -> bool:
    return len(names) >= len(patterns) and all(
        fits(name, pattern) for name, pattern in zip(names, patterns, strict=False)
    )
