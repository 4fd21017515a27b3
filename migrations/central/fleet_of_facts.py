"""What the facts held so far amount to for the fleet's tables: used by the migration that makes these tables.

Their meaning is that of the day of that migration, so it is written down here and not taken from the program, which
goes on; `tests/migrations/central/test_fleet_filled.py` compares both. Memory: one dock at a time, and the
last failures of each camera.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

_LOT = 1_000
_KINDS = (
    "DockStarted",
    "CameraDocked",
    "CameraIdentified",
    "SessionMoved",
    "CameraUndocked",
    "RecordingStaged",
    "RecordingAccepted",
)
_COUNT_OF_CODE = {
    "camera-gone": "connection_losses",
    "driver-timeout": "connection_losses",
    "not-charging": "failed_charges",
    "card-unreadable": "card_faults",
    "card-write-protected": "card_faults",
    "card-damaged": "card_faults",
    "erase-failed": "card_faults",
    "space-not-freed": "card_faults",
    "unusable-identity": None,
    "duplicate-identity": None,
}
_WEEK = (
    "sessions",
    "faulted",
    "held",
    "connection_losses",
    "failed_charges",
    "card_faults",
    "copied_bytes",
    "copy_milliseconds",
)
_MOST_VISITS, _MOST_PAIR_VISITS = 12, 6
_LARGEST_RECORDING_BYTES = 2**42
_LONGEST_COPY_MILLISECONDS = 10 * 86_400_000
_LARGEST_FIGURE = 2**50

_Row = dict[str, Any]
_Recent = list[list[Any]]


def fill_from_statuses() -> None:
    """Take the figures out of what every dock said last of itself."""
    connection = op.get_bind()
    question = sa.text("SELECT dock, status, status_at FROM docks WHERE status IS NOT NULL")
    rows = []
    for dock, status, status_at in connection.execute(question).all():
        try:
            rows.append(_gauge(dock, json.loads(status), status_at))
        except (KeyError, TypeError, ValueError):
            continue  # another version wrote it; the dock says it again within seconds
    _insert("dock_gauges", rows)


def _gauge(dock: str, told: _Row, at: str) -> _Row:
    def kept(number: int) -> int:
        return max(0, min(number, _LARGEST_FIGURE))

    return {
        "dock": dock,
        "told_at": at,
        "site_words": told["site"].replace("\0", " "),
        "version": told["version"].replace("\0", " "),
        "bays": len(told["bays"]),
        "ready": max(0, min(told["ready_count"], len(told["bays"]))),
        "needing_person": sum(bay["headline"] in ("HELD", "FAULT") for bay in told["bays"]),
        "waiting_recordings": kept(told["waiting_recordings"]),
        "waiting_bytes": kept(told["waiting_bytes"]),
        "oldest_waiting_since": told["oldest_waiting_since"],
        "staging_free_bytes": kept(told["staging_free_bytes"]),
        "staging_total_bytes": kept(told["staging_total_bytes"]),
        "clock_sync": told["clock_sync"],
        "clock_unsynchronised_since": at if told["clock_sync"] == "unsynchronised" else None,
        "facts_waiting": kept(told["facts"] - told["facts_at_centre"]),
    }


def _insert(table: str, rows: list[_Row]) -> None:
    if not rows:
        return
    names = list(rows[0])
    columns, values = ", ".join(names), ", ".join(f":{name}" for name in names)
    statement = sa.text(f"INSERT INTO {table} ({columns}) VALUES ({values})")  # noqa: S608 - names of our own tables
    for begin in range(0, len(rows), _LOT):
        op.get_bind().execute(statement, rows[begin : begin + _LOT])


def _facts() -> Iterator[tuple[str, _Row]]:
    kinds = ", ".join(f"'{kind}'" for kind in _KINDS)
    question = sa.text(
        f"SELECT dock, number, body FROM facts WHERE kind IN ({kinds}) "  # noqa: S608 - the names above
        "AND (dock, number) > (:dock, :number) ORDER BY dock, number LIMIT :lot"
    )
    after: _Row = {"dock": "", "number": 0, "lot": _LOT}
    while rows := op.get_bind().execute(question, after).all():
        for row in rows:
            yield row.dock, json.loads(row.body)
        after = {"dock": rows[-1].dock, "number": rows[-1].number, "lot": _LOT}


def fill_from_facts() -> None:
    """Fold every fact that is held."""
    _Filling().run()


class _Filling:
    """Folds every fact once, dock after dock; writes a dock's rows when its last fact was read."""

    def __init__(self) -> None:
        self._cameras: dict[str, _Recent] = {}
        self._begin("")

    def run(self) -> None:
        for dock, recorded in _facts():
            if dock != self._dock:
                self._write()
                self._begin(dock)
            getattr(self, f"_{recorded['fact']['kind']}")(recorded["fact"], recorded["moment"])
        self._write()
        _insert(
            "camera_faults",
            [{"camera": name, **_remembered(recent)} for name, recent in sorted(self._cameras.items()) if recent],
        )

    def _begin(self, dock: str) -> None:
        self._dock = dock
        self._bays: dict[str, _Row] = {}
        self._sessions: dict[str, _Row] = {}
        self._recent: dict[str, _Recent] = {}
        self._pairs: dict[tuple[str, str], _Recent] = {}
        self._weeks: defaultdict[tuple[str, str], _Row] = defaultdict(lambda: dict.fromkeys(_WEEK, 0))
        self._days: defaultdict[str, _Row] = defaultdict(lambda: {"copied_bytes": 0, "accepted_bytes": 0})
        self._hours: defaultdict[str, _Row] = defaultdict(lambda: {"dockings": 0, "made_ready": 0})

    def _DockStarted(self, _fact: _Row, moment: _Row) -> None:  # noqa: N802 - called by the fact's kind
        for row in self._bays.values():
            row["left_at"] = row["left_at"] or moment["at"]

    def _CameraDocked(self, fact: _Row, moment: _Row) -> None:  # noqa: N802
        at, before = moment["at"], self._bays.get(fact["bay"])
        row = dict.fromkeys(
            ("camera", "left_at", "may_be_reset_of", "outcome", "code", "boot_id", "copy_began_milliseconds")
        )
        row |= {"dock": self._dock, "bay": fact["bay"], "session": fact["session"], "docked_at": at}
        row |= {"was_undocked": False, "is_made_ready": False, "copied_bytes": 0}
        if before is not None:
            self._sessions.pop(before["session"], None)
            if before["was_undocked"] and timedelta() <= _time(at) - _time(before["left_at"]) <= timedelta(seconds=3):
                row["may_be_reset_of"] = before["camera"]
        self._bays[fact["bay"]] = self._sessions[fact["session"]] = row
        self._week(fact["bay"], at)["sessions"] += 1
        self._hours[_hour(at)]["dockings"] += 1

    def _CameraIdentified(self, fact: _Row, moment: _Row) -> None:  # noqa: N802
        row = self._sessions.get(fact["session"])
        if row is None:
            return
        if row["may_be_reset_of"] == fact["identity"]["camera"]:
            self._week(row["bay"], moment["at"])["connection_losses"] += 1
        row["camera"], row["may_be_reset_of"] = fact["identity"]["camera"], None
        self._tell(row)

    def _SessionMoved(self, fact: _Row, moment: _Row) -> None:  # noqa: N802
        row, state = self._sessions.get(fact["session"]), fact["to_state"]
        if row is None:
            return
        if state in ("faulted", "held"):
            week = self._week(row["bay"], moment["at"])
            week[state] += 1
            if fact["code"] in _COUNT_OF_CODE:
                count = _COUNT_OF_CODE[fact["code"]]
                if count is not None:
                    week[count] += 1
                row["outcome"], row["code"] = "failed", fact["code"]
                self._tell(row)
        elif state == "offloading":
            row |= {"boot_id": moment["boot_id"].replace("\0", " "), "copied_bytes": 0}
            row["copy_began_milliseconds"] = moment["monotonic_milliseconds"]
        elif state == "verifying":
            self._copied(row, moment)
        elif state in ("securing", "ready"):
            if state == "ready" and not row["is_made_ready"]:
                row["is_made_ready"] = True
                self._hours[_hour(moment["at"])]["made_ready"] += 1
            row["outcome"] = {None: "good", "failed": "recovered"}.get(row["outcome"], row["outcome"])
            self._tell(row)

    def _copied(self, row: _Row, moment: _Row) -> None:
        began, row["copy_began_milliseconds"] = row["copy_began_milliseconds"], None
        took = moment["monotonic_milliseconds"] - began if began is not None else -1
        if row["boot_id"] == moment["boot_id"] and row["copied_bytes"] and 0 <= took <= _LONGEST_COPY_MILLISECONDS:
            week = self._week(row["bay"], moment["at"])
            week["copied_bytes"] += row["copied_bytes"]
            week["copy_milliseconds"] += took

    def _RecordingStaged(self, fact: _Row, moment: _Row) -> None:  # noqa: N802
        size_bytes = _counted(fact["staged"]["size_bytes"])
        self._days[moment["at"][:10]]["copied_bytes"] += size_bytes
        row = self._sessions.get(fact["staged"]["session"])
        if row is not None and row["copy_began_milliseconds"] is not None:
            row["copied_bytes"] += size_bytes

    def _RecordingAccepted(self, fact: _Row, moment: _Row) -> None:  # noqa: N802
        self._days[moment["at"][:10]]["accepted_bytes"] += _counted(fact["receipt"]["size_bytes"])

    def _CameraUndocked(self, fact: _Row, moment: _Row) -> None:  # noqa: N802
        row = self._sessions.get(fact["session"])
        if row is not None:
            row["left_at"], row["was_undocked"] = moment["at"], True

    def _tell(self, row: _Row) -> None:
        if row["outcome"] is None:
            return
        names = ("docked_at", "dock", "session", "bay", "camera", "outcome", "code")
        visit = [row[name] for name in names]
        self._recent[row["bay"]] = _remember(self._recent.get(row["bay"], []), visit, _MOST_VISITS)
        camera = row["camera"]
        if camera is None:
            return
        pair = (row["bay"], camera)
        if pair in self._pairs or row["outcome"] == "failed":
            self._pairs[pair] = _from_failure(_remember(self._pairs.get(pair, []), visit, _MOST_PAIR_VISITS))
        if camera in self._cameras or row["outcome"] == "failed":
            self._cameras[camera] = _from_failure(_remember(self._cameras.get(camera, []), visit, _MOST_VISITS))

    def _week(self, bay: str, at: str) -> _Row:
        day = date.fromisoformat(at[:10])
        return self._weeks[(bay, (day - timedelta(days=day.weekday())).isoformat())]

    def _write(self) -> None:
        dock = {"dock": self._dock}
        _insert("bay_visits", [{**row, **_remembered(self._recent.get(bay, []))} for bay, row in self._bays.items()])
        _insert(
            "bay_cameras",
            [{**dock, "bay": bay, "camera": camera, **_remembered(r)} for (bay, camera), r in self._pairs.items() if r],
        )
        _insert("bay_weeks", [{**dock, "bay": bay, "week": week, **row} for (bay, week), row in self._weeks.items()])
        _insert("dock_days", [{**dock, "day": day, **row} for day, row in self._days.items()])
        _insert("dock_hours", [{**dock, "hour": hour, **row} for hour, row in self._hours.items()])


def _remember(recent: _Recent, visit: list[Any], most: int) -> _Recent:
    kept = {(one[1], one[2]): one for one in [*recent, visit]}
    return sorted(kept.values(), key=lambda one: (one[0], one[1], one[2]))[-most:]


def _from_failure(recent: _Recent) -> _Recent:
    first = next((place for place, one in enumerate(recent) if one[5] == "failed"), len(recent))
    return recent[first:]


def _remembered(recent: _Recent) -> _Row:
    count = 0
    for visit in reversed(recent):
        if visit[5] != "failed":
            break
        count += 1
    return {"recent": json.dumps(recent, separators=(",", ":")), "failures_in_row": count}


def _counted(size_bytes: int) -> int:
    return max(0, min(size_bytes, _LARGEST_RECORDING_BYTES))


def _hour(at: str) -> str:
    return f"{at[:13]}:00:00.000000Z"


def _time(at: str) -> datetime:
    return datetime.fromisoformat(at)
