"""Rows of the account as CSV that a spreadsheet may open: RFC 4180, and no cell is ever a formula.

A cell whose text begins with one of `= + - @`, a tab, a line break or their full-width forms would be run as a formula
by spreadsheets (CWE-1236). It gets an apostrophe in front, which makes it text. Whole numbers stay numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dockd.model.moment import format_utc
from dockd.model.value import Value
from dockd.wire.custody import CustodyDifference, CustodyHolder, CustodyRecording, CustodySession, Step

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")

Columns = Mapping[str, Callable[[Any], Any]]


def csv_line(cells: Iterable[object]) -> str:
    """One line with its end. None is an empty cell."""
    return ",".join(_cell(one) for one in cells) + "\r\n"


def csv_head(kind: type[Value]) -> str:
    """The first line of a file of these rows."""
    return csv_line(COLUMNS[kind])


def csv_row(row: Value) -> str:
    """A row's line."""
    return csv_line(read(row) for read in COLUMNS[type(row)].values())


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    if text.startswith(_FORMULA) and not _WHOLE_NUMBER.fullmatch(text):
        text = f"'{text}"
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _at(name: str) -> Callable[[Any], str | None]:
    def read(row: Any) -> str | None:
        value = getattr(row, name)
        if isinstance(value, Step):
            value = value.at
        return None if value is None else format_utc(value)

    return read


def _of(name: str, inner: str) -> Callable[[Any], Any]:
    return lambda row: getattr(getattr(row, name), inner, None)


def _own(name: str) -> Callable[[Any], Any]:
    return lambda row: getattr(row, name)


def _joined(name: str) -> Callable[[Any], str]:
    return lambda row: " | ".join(getattr(row, name))


def _step(name: str, word: str) -> dict[str, Callable[[Any], Any]]:
    return {f"{word}_at": _at(name), f"{word}_fact": _of(name, "fact")}


def _receipt_at(row: CustodyRecording) -> str | None:
    return format_utc(row.receipt.accepted_at) if row.receipt else None


def _retain_until(row: CustodyRecording) -> str | None:
    return format_utc(row.receipt.retain_until) if row.receipt and row.receipt.retain_until else None


def _ranges(row: CustodyRecording) -> str:
    return " ".join(f"{one.start_byte}-{one.end_byte}" for one in row.unreadable)


def _tally(name: str) -> dict[str, Callable[[Any], Any]]:
    return {name: _of(name, "count"), f"{name}_bytes": _of(name, "size_bytes")}


COLUMNS: dict[type[Value], Columns] = {
    CustodyRecording: {
        "differences": _joined("differences"),
        "dock": _own("dock"),
        "recording": _own("recording"),
        "camera": _own("camera"),
        "officer": _own("officer"),
        "recorded_at": _at("recorded_at"),
        "card_path": _own("path"),
        "size_bytes": _own("size_bytes"),
        "sha256": _own("digest"),
        "state": _own("state"),
        "container": _own("container"),
        "unreadable_bytes": _ranges,
        "dock_clock": _own("clock_sync"),
        "session": _of("listed", "session"),
        **_step("listed", "listed"),
        "listed_again": _own("seen_again"),
        **_step("staged", "copied"),
        "copied_session": _of("staged", "session"),
        **_step("verified", "verified"),
        **_step("stored", "stored"),
        **_step("accepted", "accepted"),
        "store": _of("receipt", "store"),
        "receipt_key": _of("receipt", "key"),
        "receipt_at": _receipt_at,
        "object_key": _of("receipt", "object_key"),
        "object_version": _of("receipt", "object_version"),
        "retain_until": _retain_until,
        **_step("confirmed", "card_read_again"),
        **_step("wipe_intended", "erase_cleared"),
        **_step("erased", "erased"),
        "erased_session": _of("erased", "session"),
        **_step("rejected", "rejected"),
        **_step("replaced", "replaced"),
        **_step("evicted", "dock_copy_removed"),
        "reason": _own("reason"),
        "stored_by_docks": _joined("stored_by"),
        "erased_by_docks": _joined("erased_by"),
        "contradictions": _joined("contradictions"),
    },
    CustodySession: {
        "differences": _joined("differences"),
        "dock": _own("dock"),
        "session": _own("session"),
        "bay": _own("bay"),
        "camera": _own("camera"),
        "model": _own("model"),
        **_step("started", "docked"),
        **_step("ended", "taken_out"),
        **_step("succeeded", "next_in_bay"),
        "dock_clock": _own("clock_sync"),
        "camera_clock_offset_milliseconds": _own("clock_offset_milliseconds"),
        "camera_clock_uncertainty_milliseconds": _own("clock_uncertainty_milliseconds"),
        **_step("reconciled", "reconciled"),
        **_tally("listed"),
        **_tally("staged"),
        **_tally("stored"),
        **_tally("erased"),
        **_tally("retained"),
        "said": _joined("said"),
        "codes": _joined("codes"),
    },
    CustodyHolder: {
        "dock": _own("dock"),
        "assignment": _own("assignment"),
        "camera": _own("camera"),
        "officer": _own("officer"),
        "held_from": _at("started_at"),
        "held_from_fact": _of("started", "fact"),
        "held_until": _at("ended_at"),
        "held_until_fact": _of("ended", "fact"),
    },
    CustodyDifference: {
        "difference": _own("difference"),
        "dock": _own("dock"),
        "at": _at("at"),
        "camera": _own("camera"),
        "officer": _own("officer"),
        "session": _own("session"),
        "recording": _own("recording"),
        "card_path": _own("path"),
        "sha256": _own("digest"),
        "words": _own("words"),
    },
}
"""The columns of each kind of row, in order."""
