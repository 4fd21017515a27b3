"""`camera.toml`: what a simulated camera is, how it stands now, and which faults it plays.

Knows the file's form, both ways. Must not know folders or descriptors. The file is a person's to edit:
unknown keys and wrong types are refused with the reason in words.
"""

from __future__ import annotations

import json
import tomllib
from typing import Annotated

from pydantic import Field, ValidationError

from dockd.errors import UnknownCamera
from dockd.model.value import ShortText, Value

MOST_BYTES = 64 * 1024

_Count = Annotated[int, Field(ge=0)]
_Percent = Annotated[float, Field(ge=0, le=100)]


class ReadError(Value):
    """The bytes `start_byte` (inclusive) to `end_byte` (exclusive) of the file `path` cannot be read.

    `path` is below `card/`, as the dock prints it (`CardPath.text`).
    """

    path: str
    start_byte: _Count
    end_byte: _Count


class Faults(Value):
    """Faults to play.

    Those that name a byte count everything read from the camera since it was docked; they happen once
    and are then taken out of the file, so that the next docking can show the recovery.
    """

    unplug_after_bytes: _Count | None = None
    """The cable comes out: the folder moves itself to `.pulled` beside the bays."""
    bit_flip_at_byte: _Count | None = None
    """One bit of this byte arrives wrong; the file on the card is right."""
    stall_at_byte: _Count | None = None
    stall_seconds: Annotated[float, Field(ge=0, le=86_400)] = 5.0
    short_reads: bool = False
    """Every read gives fewer bytes than asked."""
    read_error: ReadError | None = None
    list_error: bool = False
    erase_refused: bool = False
    space_not_freed: bool = False
    """Erased files go, the room they took does not come back."""
    assignment_not_kept: bool = False
    """The officer's number is taken without an error and forgotten."""
    clock_not_settable: bool = False
    not_charging: bool = False
    """The camera says that it is not charging, and its battery does not rise."""


class CameraDescription(Value):
    """The whole file. What changes while the camera is docked is written back."""

    serial: str
    maker: ShortText = "dockd"
    model: ShortText = "Simulated camera"
    firmware: ShortText | None = None
    has_battery_gauge: bool = True
    """False: the camera cannot tell how full its battery is, nor whether it charges."""
    battery_percent: _Percent = 100.0
    charge_percent_per_minute: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] = 1.0
    is_charging: bool = True
    clock_offset_milliseconds: int = 0
    """Camera minus host."""
    read_bytes_per_second: Annotated[int, Field(gt=0)] | None = None
    """None: as fast as the disk gives it."""
    officer: ShortText | None = None
    card_size_bytes: Annotated[int, Field(gt=0)] = 64_000_000_000
    unfreed_bytes: _Count = 0
    """Room that erased files still take; see the fault `space_not_freed`."""
    faults: Faults = Faults()


def parse_description(untrusted: bytes) -> CameraDescription:
    """Read `camera.toml`. Raises UnknownCamera with everything that is wrong with it."""
    if len(untrusted) > MOST_BYTES:
        raise UnknownCamera(f"The camera.toml in the bay is larger than {MOST_BYTES} bytes.")
    try:
        return CameraDescription.model_validate(tomllib.loads(untrusted.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as mistake:
        raise UnknownCamera(f"The camera.toml in the bay cannot be read: {mistake}.") from mistake
    except ValidationError as mistakes:
        raise UnknownCamera(f"The camera.toml in the bay is wrong: {explain(mistakes)}.") from mistakes


def render_description(description: CameraDescription) -> bytes:
    """The text that `parse_description` reads back as the same value; keys at their default are left out."""
    faults = description.faults
    lines = [f"serial = {_toml(description.serial)}"]
    lines += _changed_lines(description, without={"serial", "faults"})
    fault_lines = _changed_lines(faults, without={"read_error"})
    if faults.read_error is not None:
        inner = ", ".join(f"{key} = {_toml(value)}" for key, value in faults.read_error.model_dump().items())
        fault_lines.append(f"read_error = {{ {inner} }}")
    if fault_lines:
        lines += ["", "[faults]", *fault_lines]
    return ("\n".join(lines) + "\n").encode()


def explain(mistakes: ValidationError) -> str:
    """Every mistake with its key, in one line."""
    return "; ".join(
        f"{'.'.join(str(step) for step in one['loc']) or 'the table'}: {one['msg']}"
        for one in mistakes.errors(include_url=False)
    )


def _changed_lines(table: Value, *, without: set[str]) -> list[str]:
    defaults = {name: field.default for name, field in type(table).model_fields.items()}
    return [
        f"{key} = {_toml(value)}" for key, value in table.model_dump(exclude=without).items() if value != defaults[key]
    ]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # TOML basic strings are JSON strings, but for DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
