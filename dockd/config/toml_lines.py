"""Where each key of a TOML text stands: `tomllib` gives values without lines, staff need lines.

Reads TOML 1.0 that `tomllib` has already accepted, so it only has to find its way, not to judge. Knows
bare, quoted and dotted keys, tables, arrays of tables, inline tables, arrays over many lines, and every
kind of string. It keeps no values.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""`("bays", 0, "port")`: names of tables and keys, and places in arrays from 0."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r"""
      \"{3} (?: \\. | [^\\] )*? \"{3} "{0,2}   # up to two quotation marks may stand before the closing three
    | '{3} .*? '{3} '{0,2}
    | " (?: \\. | [^"\\\n] )* "
    | ' [^'\n]* '
    """,
    re.DOTALL | re.VERBOSE,
)
_SKIPPED = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_SCALAR = re.compile(r"[^,\]}\n#]*")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of every key, table and array element of `text`, which must be valid TOML."""
    return _Scan(text.replace("\r\n", "\n")).lines()


def line_of(lines: dict[KeyPath, int], path: Sequence[str | int]) -> int | None:
    """Return the line of `path`, or of the nearest table around it that the file has, or None."""
    for length in range(len(path), 0, -1):
        found = lines.get(tuple(path[:length]))
        if found is not None:
            return found
    return None


class _Scan:
    """One walk over the text; `_at` is the place reached."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[KeyPath, int] = {}
        self._elements: dict[KeyPath, int] = {}
        """How many tables each array of tables has so far."""

    def lines(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip()
        while self._at < len(self._text):
            table = self._header() if self._text[self._at] == "[" else self._pair(table)
            self._skip()
        return self._lines

    def _header(self) -> KeyPath:
        line = self._line()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        names = self._key()
        self._at += 2 if is_array else 1
        path: KeyPath = ()
        for name in names[:-1]:
            path = self._inside((*path, name))
            self._lines.setdefault(path, line)
        path = (*path, names[-1])
        self._lines.setdefault(path, line)
        if is_array:
            count = self._elements.get(path, 0)
            self._elements[path] = count + 1
            path = (*path, count)
        self._lines[path] = line
        return path

    def _inside(self, path: KeyPath) -> KeyPath:
        """A name that is an array of tables means its last table."""
        return (*path, self._elements[path] - 1) if path in self._elements else path

    def _pair(self, table: KeyPath) -> KeyPath:
        line = self._line()
        path = table
        for name in self._key():
            path = (*path, name)
            self._lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._blank()
        self._value(path)
        return table

    def _value(self, path: KeyPath) -> None:
        self._lines.setdefault(path, self._line())
        match self._text[self._at]:
            case "{":
                self._at += 1
                self._skip()
                while self._text[self._at] != "}":
                    self._pair(path)
                    self._comma()
                self._at += 1
            case "[":
                self._at += 1
                self._skip()
                place = 0
                while self._text[self._at] != "]":
                    self._value((*path, place))
                    place += 1
                    self._comma()
                self._at += 1
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_SCALAR)

    def _key(self) -> list[str]:
        names: list[str] = []
        while True:
            self._blank()
            names.append(self._name())
            self._blank()
            if self._text[self._at] != ".":
                return names
            self._at += 1

    def _name(self) -> str:
        if self._text[self._at] not in "\"'":
            return self._take(_BARE_KEY)
        quoted = self._take(_STRING)
        name: str = tomllib.loads(f"name = {quoted}")["name"]
        return name

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"not TOML at line {self._line()}")
        self._at = match.end()
        return match.group()

    def _comma(self) -> None:
        self._skip()
        if self._text[self._at] == ",":
            self._at += 1
            self._skip()

    def _skip(self) -> None:
        self._take(_SKIPPED)

    def _blank(self) -> None:
        self._take(_BLANK)

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1
