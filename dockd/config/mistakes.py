"""What is wrong in a configuration, in words that a person with an editor can act on.

Turns pydantic's findings into mistakes. Never repeats the value of a key it does not know: somebody may have
pasted a password there.
"""

from __future__ import annotations

import difflib
import json
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from dockd.config.toml_lines import KeyPath

_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%/]*)\s*")
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}
_SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "seconds": 1, "m": 60, "min": 60, "minutes": 60, "h": 3600, "d": 86_400}
_WANTED_SECONDS = {"milliseconds": 0.001, "seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to correct. `place` says where: a line of the file, or an environment variable."""

    line: int | None
    place: str
    words: str

    def __str__(self) -> str:
        return f"{self.place}: {self.words}"


def dotted(path: Sequence[str | int]) -> str:
    """Write a key path as the file would: `bays[1].port`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def words_of(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Say in words what `error`, found by validating `model`, wants to have corrected."""
    path = tuple(error["loc"])
    context: Mapping[str, Any] = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return f"is missing{_purpose(model, path)}"
        case "extra_forbidden":
            return f"unknown key{_meant(model, path)}"
        case "enum" | "literal_error":
            return f"must be one of {context['expected'].replace(' or ', ', ')}, not {_shown(error['input'])}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {_shown(error['input'])}"
        case "less_than_equal":
            return f"must be at most {context['le']}, not {_shown(error['input'])}"
        case "greater_than":
            return f"must be more than {context['gt']}, not {_shown(error['input'])}"
        case "string_pattern_mismatch":
            return f"{_shown(error['input'])} has the wrong form; it must match {context['pattern']}"
        case "int_type" | "int_parsing" | "int_from_float" | "float_type" | "float_parsing":
            return _number_wanted(path, error["input"])
        case "bool_type" | "bool_parsing":
            return f"must be true or false, without quotation marks, not {_shown(error['input'])}"
        case "string_type":
            return f"must be a text in quotation marks, not {_shown(error['input'])}"
        case "tuple_type" | "list_type":
            return f"must be a list in square brackets, not {_shown(error['input'])}"
        case "model_type" | "dict_type" | "model_attributes_type":
            return "must be a table of keys"
        case "value_error":
            return str(context["error"])
        case _:
            return f"{error['msg'][:1].lower()}{error['msg'][1:]}, not {_shown(error['input'])}"


def meant(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean …?` for the nearest of `known`, or nothing."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def section_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the section class that `path` leads to, or None where it is not a section."""
    here = model
    for part in path:
        if isinstance(part, int):
            continue
        field = here.model_fields.get(part)
        inner = next(models_in(field.annotation), None) if field else None
        if inner is None:
            return None
        here = inner
    return here


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Every model class named inside a field's type: itself, or the elements of a tuple of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _purpose(model: type[BaseModel], path: KeyPath) -> str:
    around = section_at(model, path[:-1])
    field = around.model_fields.get(str(path[-1])) if around else None
    return f"; it is needed: {field.description}" if field and field.description else ""


def _meant(model: type[BaseModel], path: KeyPath) -> str:
    around, name = section_at(model, path[:-1]), str(path[-1])
    if near := meant(name, list(around.model_fields) if around else []):
        return near
    for section, field in model.model_fields.items():
        inner = next(models_in(field.annotation), None)
        if inner and name in inner.model_fields:
            return f"; {name} belongs under [{section}]"
    return f"; known here: {', '.join(around.model_fields)}" if around and around is not model else ""


def _number_wanted(path: KeyPath, value: object) -> str:
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    said = f"must be a number without quotation marks and unit, not {_shown(value)}"
    quantity = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if quantity is None:
        return said if isinstance(value, str) else f"must be a whole number, not {_shown(value)}"
    hint = _hint(name, float(quantity[1]), quantity[2])
    return f"{said}{hint}"


def _hint(name: str, amount: float, unit: str) -> str:
    if name.endswith(("bytes", "bytes_per_second")):
        power = _POWERS.get(unit[:1].lower(), 0)
        if unit.lower().startswith(("kbit", "mbit", "gbit")):
            return f": write {amount * 1000**power / 8:.0f} (bytes; {amount:g} {unit} are that many)"
        if power == 0 and unit.lower() not in ("", "b", "bytes"):
            return " (bytes)"
        decimal, binary = amount * 1000**power, amount * 1024**power
        if decimal == binary:
            return f": write {decimal:.0f} (bytes)"
        letter = unit[:1].upper()
        return f": write {decimal:.0f} ({amount:g} {letter}B) or {binary:.0f} ({amount:g} {letter}iB), in bytes"
    wanted = name.rpartition("_")[2]
    if wanted in _WANTED_SECONDS and unit.lower() in _SECONDS:
        return f": write {amount * _SECONDS[unit.lower()] / _WANTED_SECONDS[wanted]:g} ({wanted})"
    if name.endswith("_percent") and unit == "%":
        return f": write {amount:g} (percent)"
    return ""
