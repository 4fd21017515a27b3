"""Single settings from the environment: `DOCKD_STAGING__FLOOR_BYTES=1000` means `floor_bytes` under `[staging]`.

A name beginning with `DOCKD_` that is no setting is refused, never ignored: a mistyped override that
silently does nothing is found only when it was needed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from dockd.config.mistakes import Mistake, meant, models_in
from dockd.config.toml_lines import KeyPath

PREFIX = "DOCKD_"
NOT_SETTINGS = frozenset({"DOCKD_CONFIG", "DOCKD_URL"})
"""Read by the command line itself: which file, and which dock to ask."""


@dataclass(frozen=True, slots=True)
class Override:
    """One environment variable that stands for one key."""

    name: str
    path: KeyPath
    value: Any


def overrides(environ: Mapping[str, str], model: type[BaseModel]) -> tuple[list[Override], list[Mistake]]:
    """Return what `environ` sets of `model`, and a mistake for each `DOCKD_` name that sets nothing."""
    settable = settable_names(model)
    found: list[Override] = []
    mistakes: list[Mistake] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        if name in settable:
            path, is_text = settable[name]
            found.append(Override(name, path, environ[name] if is_text else _value(environ[name])))
        else:
            words = f"there is no such setting{meant(name, sorted(settable))}"
            mistakes.append(Mistake(None, f"environment variable {name}", words))
    return found, mistakes


def settable_names(model: type[BaseModel]) -> dict[str, tuple[KeyPath, bool]]:
    """Every variable name that sets a key of `model`: its key path, and whether its value is a text."""
    names: dict[str, tuple[KeyPath, bool]] = {}
    for section, field in model.model_fields.items():
        inner = field.annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            continue
        schema = inner.model_json_schema()
        for key, key_field in inner.model_fields.items():
            if next(models_in(key_field.annotation), None) is None:
                name = f"{PREFIX}{section}__{key}".upper()
                names[name] = ((section, key), _is_text(schema, schema["properties"][key]))
    return names


def _is_text(schema: Mapping[str, Any], of_key: Mapping[str, Any]) -> bool:
    if "$ref" in of_key:
        of_key = schema["$defs"][of_key["$ref"].rpartition("/")[2]]
    choices = of_key.get("anyOf") or of_key.get("allOf") or [of_key]
    return any(choice.get("type") == "string" or "$ref" in choice for choice in choices)


def _value(text: str) -> Any:
    """A value as TOML writes it; what is not TOML stays a text, and the validation says what is wanted."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
