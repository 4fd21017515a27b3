"""CSV as spreadsheets write it, one line at a time: cells by column name, or what is wrong with the line.

Knows bytes, quotation marks and headers (RFC 4180, with commas or semicolons); knows no list. Pure: it is given
lines and keeps none. One physical line is one row, so that a quotation mark that somebody forgot spoils its own
line and not the rest of the file.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

LONGEST_LINE_BYTES = 16_384
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UNPRINTABLE = frozenset(["Cc", "Cs", "Zl", "Zp"])
# They turn the order of what is shown around, so that a name reads as another one.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Cells:
    """One row: every column of the header with its text, without outer spaces, in Unicode's composed form."""

    line: int
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with one line, in words. `column` None: the line as a whole. Lines count from 1."""

    line: int
    column: str | None
    words: str

    def __str__(self) -> str:
        place = f"line {self.line}" if self.column is None else f"line {self.line}, {self.column}"
        return f"{place}: {self.words}"


def bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of `file`, line ends and all. Of one longer than LONGEST_LINE_BYTES only its beginning, one byte
    too many, so that `read_cells` can tell; the rest is passed over without being kept."""
    while piece := file.readline(LONGEST_LINE_BYTES + 1):
        yield piece
        while len(piece) > LONGEST_LINE_BYTES and not piece.endswith(b"\n"):
            piece = file.readline(LONGEST_LINE_BYTES + 1)


def read_cells(
    lines: Iterable[bytes], *, columns: Collection[str], required: Collection[str]
) -> Iterator[Cells | Mistake]:
    """Read a header and rows. Empty lines are passed over; a column that the header leaves out reads as empty.

    Every bad line is one Mistake, and reading goes on after it. Only a header that cannot be used ends it.
    """
    header: list[str] | None = None
    delimiter = ","
    for number, line in enumerate(lines, start=1):
        raw = line.removeprefix(_BOM) if number == 1 else line
        if number == 1 and raw.startswith(_UTF_16):
            yield Mistake(1, None, "The file is in UTF-16; save it as CSV in UTF-8.")
            return
        if header is None:
            delimiter = ";" if raw.count(b";") > raw.count(b",") else ","
        cells = _split(number, raw, delimiter)
        if isinstance(cells, Mistake):
            yield cells
            if header is None:
                return
        elif not any(cells):
            continue
        elif header is None:
            header = [cell.casefold() for cell in cells]
            wrong = list(_header_mistakes(number, header, columns, required))
            yield from wrong
            if wrong:
                return
        else:
            yield _row(number, header, cells)
    if header is None:
        yield Mistake(1, None, f"The file is empty; its first line must name the columns: {', '.join(columns)}.")


def _split(number: int, raw: bytes, delimiter: str) -> list[str] | Mistake:
    if len(raw) > LONGEST_LINE_BYTES:
        return Mistake(number, None, f"The line is longer than {LONGEST_LINE_BYTES:,} bytes.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return Mistake(number, None, "The line is not UTF-8; save the file as CSV in UTF-8.")
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return Mistake(
            number,
            None,
            "The quotation marks or line ends are not those of CSV: every mark that opens must close on its own line.",
        )
    return [unicodedata.normalize("NFC", cell.strip()) for cell in (rows[0] if rows else [])]


def _header_mistakes(
    number: int, header: Sequence[str], columns: Collection[str], required: Collection[str]
) -> Iterator[Mistake]:
    known = f"The columns are: {', '.join(columns)}."
    for name in dict.fromkeys(header):
        if name not in columns:
            yield Mistake(number, None, f"There is no column {name[:60]!r}. {known}")
        elif header.count(name) > 1:
            yield Mistake(number, None, f"The column {name!r} is there {header.count(name)} times.")
    for name in required:
        if name not in header:
            yield Mistake(number, None, f"The column {name!r} is missing. {known}")


def _row(number: int, header: Sequence[str], cells: Sequence[str]) -> Cells | Mistake:
    # A spreadsheet that once had more columns goes on writing them, empty.
    while len(cells) > len(header) and not cells[-1]:
        cells = cells[:-1]
    if len(cells) != len(header):
        return Mistake(number, None, f"The line has {len(cells)} cells where the header has {len(header)}.")
    for name, cell in zip(header, cells, strict=True):
        if cell.isprintable():
            continue  # nearly all are, and asking for each character takes ten times as long
        bad = next((one for one in cell if unicodedata.category(one) in _UNPRINTABLE or one in _TURNING), None)
        if bad is not None:
            return Mistake(number, name, f"The cell holds the character U+{ord(bad):04X}, which cannot be printed.")
    return Cells(number, dict(zip(header, cells, strict=True)))
