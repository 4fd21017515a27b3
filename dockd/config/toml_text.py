"""Write a configuration as TOML: for `dockd show-config` and for the reference in the manual."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_value(value: object) -> str:
    """One value on one line."""
    match value:
        case Enum():
            return toml_value(value.value)
        case bool():
            return "true" if value else "false"
        case str():
            # JSON's escapes are TOML's, but for DEL, which TOML wants escaped.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return str(value)
        case Mapping():
            inner = ", ".join(f"{toml_key(str(name))} = {toml_value(one)}" for name, one in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case Sequence():
            return f"[{', '.join(toml_value(one) for one in value)}]"
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a configuration")


def toml_key(name: str) -> str:
    """A key, quoted where TOML wants it."""
    return name if _BARE.fullmatch(name) else toml_value(name)


def config_text(config: BaseModel, *, changed_only: bool = False) -> str:
    """Return `config` as TOML, all of it or only what differs from the defaults.

    With `changed_only` each key that has a default shows it in a comment.
    """
    blocks: list[str] = []
    for section in type(config).model_fields:
        value = getattr(config, section)
        if isinstance(value, BaseModel):
            body = list(_keys(value, changed_only=changed_only))
            if body:
                blocks.append("\n".join([f"[{section}]", *body]))
        else:
            blocks += [_table(f"{section}.{toml_key(name)}", table) for name, table in value.items()]
    return "\n\n".join(blocks) + "\n" if blocks else ""


def default_of(field: FieldInfo) -> Any:
    """The default of a field; None where it has none."""
    return None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})


def _keys(section: BaseModel, *, changed_only: bool) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        default = default_of(field)
        if changed_only and not field.is_required() and value == default:
            continue
        if value is None:
            yield f"# {name} is not set"
            continue
        comment = ""
        if changed_only and not field.is_required():
            comment = f"  # default: {toml_value(default)}" if default is not None else "  # default: not set"
        yield f"{toml_key(name)} = {toml_value(value)}{comment}"


def _table(name: str, table: Mapping[str, Any]) -> str:
    return "\n".join([f"[{name}]", *(f"{toml_key(key)} = {toml_value(value)}" for key, value in table.items())])
