"""From a TOML file and the environment to a checked configuration, or to the list of everything wrong with it.

Why not pydantic-settings: it reports TOML errors raw, ignores mistyped variables and knows no lines;
what it would save is shorter than what it would need around it (docs/decisions/0004).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dockd.config.environment import Override, overrides
from dockd.config.mistakes import Mistake, dotted, meant, words_of
from dockd.config.toml_lines import KeyPath, key_lines, line_of
from dockd.errors import ConfigInvalid

Config = TypeVar("Config", bound=BaseModel)

_SYNTAX = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)


def read_config(
    path: Path,
    model: type[Config],
    environ: Mapping[str, str],
    *,
    driver_names: Sequence[str] = (),
) -> Config:
    """Return the checked configuration in `path`, overridden by `environ`.

    `driver_names` are those that may have a table under `[drivers]`. Raises ConfigInvalid listing all
    mistakes at once, each with its line.
    """
    text = _text_of(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid(path, [_syntax_mistake(str(error), text)]) from None
    lines = key_lines(text)
    given, mistakes = overrides(environ, model)
    for override in given:
        _put(table, override.path, override.value)
    by_path = {override.path: override for override in given}
    mistakes += _unknown_drivers(table, lines, driver_names)
    try:
        # JSON mode: strict about numbers and texts, yet a list may fill a tuple and a text an enumeration.
        config = model.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        mistakes += [_mistake(one, model, lines, by_path) for one in error.errors(include_url=False)]
        raise _invalid(path, mistakes) from None
    if mistakes:
        raise _invalid(path, mistakes)
    return config


def mistakes_text(path: Path, mistakes: Sequence[Mistake]) -> str:
    """All mistakes, in the order of the file, one on each line."""
    ordered = sorted(mistakes, key=lambda one: (one.line is None, one.line or 0, one.place))
    count = "a mistake" if len(ordered) == 1 else f"{len(ordered)} mistakes"
    return "\n".join([f"{path} has {count}:", *(f"  {one}" for one in ordered)])


def _invalid(path: Path, mistakes: Sequence[Mistake]) -> ConfigInvalid:
    return ConfigInvalid(mistakes_text(path, mistakes))


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigInvalid(
            f"There is no configuration file {path}.", action="Name the file with --config, or write it."
        ) from None
    except OSError as error:
        raise ConfigInvalid(
            f"The configuration file {path} cannot be read: {error.strerror}.",
            action="Let the user that runs dockd read it.",
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _invalid(path, [Mistake(line, f"line {line}", "this is not UTF-8 text")]) from None


def _syntax_mistake(said: str, text: str) -> Mistake:
    match = _SYNTAX.fullmatch(said)
    last_line = max(1, len(text.splitlines()))
    line = int(match["line"]) if match and match["line"] else last_line
    where = f"line {line}, column {match['column']}" if match and match["column"] else f"line {line}"
    what = match["what"] if match else said
    return Mistake(line, where, f"this is not TOML: {what[:1].lower()}{what[1:]}")


def _mistake(
    error: ErrorDetails,
    model: type[BaseModel],
    lines: dict[KeyPath, int],
    by_path: Mapping[KeyPath, Override],
) -> Mistake:
    path = tuple(error["loc"])
    for length in range(len(path), 0, -1):
        if override := by_path.get(path[:length]):
            return Mistake(None, f"environment variable {override.name}", words_of(error, model))
    line = line_of(lines, path)
    where = f"line {line}, {dotted(path)}" if line else dotted(path) or "the file"
    return Mistake(line, where, words_of(error, model))


def _unknown_drivers(table: Mapping[str, Any], lines: dict[KeyPath, int], driver_names: Sequence[str]) -> list[Mistake]:
    given = table.get("drivers", {})
    if not isinstance(given, dict):
        return []  # said by the model
    known = ", ".join(driver_names) or "none"
    return [
        Mistake(
            line_of(lines, ("drivers", name)),
            f"line {line_of(lines, ('drivers', name))}, drivers.{name}",
            f"no driver of this name is installed{meant(name, driver_names) or f'; installed: {known}'}",
        )
        for name in given
        if name not in driver_names
    ]


def _put(table: dict[str, Any], path: KeyPath, value: Any) -> None:
    section = table.setdefault(str(path[0]), {})
    if isinstance(section, dict):  # else the model says that it must be a table
        section[str(path[1])] = value
