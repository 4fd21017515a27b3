"""Lists of sites, officers and cameras on both databases: all or nothing, twice is once, every mistake at once."""

from __future__ import annotations

import asyncio
import csv
import re
import resource
import time
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dockd.central import tables
from dockd.central.config import CentreConfig
from dockd.central.opening import open_services
from dockd.central.places import importing
from dockd.central.places.csv_lines import bounded_lines
from dockd.central.places.importing import MOST_ROWS
from dockd.central.places.rows import FORMS
from dockd.central.services import Services
from dockd.errors import BadRequest, ListRefused
from tests.support.clock import ManualClock

SITES = """site;name;unit;state;planned_on;live_on;closed_on;cameras_planned;docks
cam-1;Kentish Town;Camden;live;2026-09-01;2026-10-01;;400;dock-1 dock-2
cam-2;Holborn;Camden;planned;2026-12-01;;;290;
ofo;Overt Firearms;Specialist Operations;planned;2026-11-01;;;60;dock-9
"""
OFFICERS = """officer,name,site,state
pc1,Ann Ward,cam-1,active
PC2,"Robert'); DROP TABLE officers;--",cam-1,
PC3,<script>alert(1)</script>,,left
"""
CAMERAS = """camera,model,firmware,batch,state,site,delivered_on
simulated:A1,Sim 1,1.0,2026-03,in-use,cam-1,2026-09-10
simulated:A2,Sim 1,1.0,2026-03,in-repair,cam-1,2026-09-10
simulated:A3,Sim 2,,,,,
"""
LISTS = {"sites": SITES, "officers": OFFICERS, "cameras": CAMERAS}
WRITTEN = (tables.sites, tables.site_docks, tables.officers, tables.cameras, tables.list_imports)

Write = Callable[[str, "str | bytes"], Path]


@pytest_asyncio.fixture
async def services(config: CentreConfig, clock: ManualClock) -> AsyncIterator[Services]:
    async with open_services(config, clock) as opened:
        yield opened


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(name: str, content: str | bytes) -> Path:
        file = tmp_path / f"{name}.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return _write


async def everything(services: Services) -> dict[str, list[tuple[object, ...]]]:
    """Every row that an import may write."""
    async with services.lists._database.reading() as connection:
        return {
            table.name: [tuple(row) for row in await connection.execute(select(table).order_by(*table.primary_key))]
            for table in WRITTEN
        }


async def bring_in_all(services: Services, write: Write) -> None:
    for name, content in LISTS.items():
        await services.lists.bring_in(name, write(name, content))


async def refused(services: Services, name: str, file: Path) -> list[str]:
    """The lines of the refusal, after seeing that nothing was changed."""
    before = await everything(services)
    with pytest.raises(ListRefused) as refusal:
        await services.lists.bring_in(name, file)
    assert await everything(services) == before
    return refusal.value.what.splitlines()


async def test_lists_are_in_the_tables_as_they_were_written(services: Services, write: Write) -> None:
    await bring_in_all(services, write)
    found = await everything(services)
    now = services.clock.now()
    assert found["sites"][0] == (
        "cam-1",
        "Kentish Town",
        "Camden",
        "live",
        date(2026, 9, 1),
        date(2026, 10, 1),
        None,
        400,
        now,
    )
    assert found["site_docks"] == [("dock-1", "cam-1"), ("dock-2", "cam-1"), ("dock-9", "ofo")]
    assert found["officers"][0] == ("PC1", "Ann Ward", "cam-1", "active", now)
    assert found["officers"][1][1] == "Robert'); DROP TABLE officers;--"
    assert found["cameras"][2] == ("simulated:A3", "Sim 2", None, None, "in-use", None, None, now)


async def test_the_same_list_again_changes_nothing(services: Services, write: Write, clock: ManualClock) -> None:
    await bring_in_all(services, write)
    before = await everything(services)
    clock.advance(3600)
    for name, content in LISTS.items():
        done = await services.lists.bring_in(name, write(name, content))
        assert (done.rows, done.added, done.changed, done.unchanged) == (3, 0, 0, 3)
    assert await everything(services) == before


async def test_only_what_differs_is_changed(services: Services, write: Write, clock: ManualClock) -> None:
    await bring_in_all(services, write)
    before = await everything(services)
    clock.advance(3600)
    content = CAMERAS.replace("in-repair", "lost") + "simulated:A4,Sim 2,,,,cam-2,\n"
    done = await services.lists.bring_in("cameras", write("cameras", content))
    assert (done.rows, done.added, done.changed) == (4, 1, 1)
    after = await everything(services)
    assert [row[4] for row in after["cameras"]] == ["in-use", "lost", "in-use", "in-use"]
    assert after["cameras"][0] == before["cameras"][0]
    assert after["cameras"][1][-1] == clock.now()
    assert len(after["list_imports"]) == len(before["list_imports"]) + 1


async def test_rows_that_the_file_does_not_name_stay(services: Services, write: Write) -> None:
    await bring_in_all(services, write)
    before = await everything(services)
    await services.lists.bring_in("officers", write("officers", "officer,name,site\nPC1,Ann Ward,cam-1\n"))
    assert await everything(services) == before


async def test_a_dry_run_says_the_same_and_writes_nothing(services: Services, write: Write) -> None:
    empty = await everything(services)
    planned = await services.lists.bring_in("sites", write("sites", SITES), is_dry_run=True)
    assert (planned.rows, planned.added, planned.changed, planned.is_dry_run) == (3, 3, 0, True)
    assert await everything(services) == empty
    await bring_in_all(services, write)
    kept = await everything(services)
    changed = write("sites", SITES.replace("dock-1 dock-2", "dock-2"))
    planned = await services.lists.bring_in("sites", changed, is_dry_run=True)
    assert await everything(services) == kept
    done = await services.lists.bring_in("sites", changed)
    assert (done.added, done.changed) == (planned.added, planned.changed) == (0, 1)
    assert (await everything(services))["site_docks"] == [("dock-2", "cam-1"), ("dock-9", "ofo")]


async def test_one_wrong_line_leaves_nothing_of_two_thousand(services: Services, write: Write) -> None:
    """The wrong one is behind the first lots."""
    await bring_in_all(services, write)
    lines = [f"PN{number},Name {number},cam-1,active" for number in range(2_000)]
    lines[1_990] = "PN1990,Name,nowhere,active"
    file = write("officers", "officer,name,site,state\n" + "\n".join(lines))
    assert await refused(services, "officers", file) == [
        "officers.csv line 1992, site: There is no site 'nowhere'; import the sites first.",
        "officers.csv: 1 line is wrong, in 2,000 rows that were read.",
    ]


async def test_every_wrong_line_is_told_in_one_run_in_order(services: Services, write: Write) -> None:
    await bring_in_all(services, write)
    content = (
        b"\xef\xbb\xbfofficer;name;site;state\r\n"
        b"PC7;Ann;cam-1;active\r\n"
        b"PC 8;Ben;cam-1;active\r\n"
        b"PC7;Cat;cam-1;active\r\n"
        b"PC9;D\x00e;cam-1;active\r\n"
        b"PC10;Eve;nowhere;retired\r\n"
        b"PC11;\xff;cam-1;active\r\n"
        b"PC12;Fay;nowhere;\r\n"
    )
    told = await refused(services, "officers", write("officers", content))
    assert [line.partition(":")[0] for line in told] == [
        "officers.csv line 3, officer",
        "officers.csv line 4, officer",
        "officers.csv line 5, name",
        "officers.csv line 6, state",
        "officers.csv line 7",
        "officers.csv line 8, site",
        "officers.csv",
    ]
    assert "PC7 is in line 2 already." in told[1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cam-1;Other;Camden;planned;;;;;", "cam-1 is in line 2 already"),
        ("x1;Other;CAMDEN;planned;;;;;", "'CAMDEN' is written 'Camden' in line 2"),
        ("x1;Other;Barnet;planned;;;;;dock-1", "The dock dock-1 stands at cam-1 according to line 2"),
    ],
)
async def test_sites_that_contradict_each_other_are_refused(
    services: Services, write: Write, line: str, expected: str
) -> None:
    told = await refused(services, "sites", write("sites", f"{SITES}{line}\n"))
    assert expected in told[0]


async def test_sites_that_contradict_what_is_kept_are_refused(services: Services, write: Write) -> None:
    await bring_in_all(services, write)
    head = SITES.splitlines()[0]
    lines = ["x1;Other;camden;planned;;;;;", "x2;Other;Barnet;planned;;;;;dock-1"]
    told = await refused(services, "sites", write("sites", "\n".join([head, *lines])))
    assert "line 2, unit: 'camden' is written 'Camden' at the site cam-1, which stays." in told[0]
    assert "line 3, docks: The dock dock-1 stands at cam-1, which this file does not name" in told[2]
    assert len(told) == 4


async def test_a_dock_moves_and_a_unit_is_renamed_when_the_file_names_all_of_it(
    services: Services, write: Write
) -> None:
    await bring_in_all(services, write)
    head, first, second, _third = SITES.splitlines()
    moved = [head, f"{second}dock-1", first.replace("dock-1 dock-2", "dock-2")]
    done = await services.lists.bring_in("sites", write("sites", "\n".join(moved).replace("Camden", "CAMDEN")))
    assert (done.added, done.changed) == (0, 2)
    found = await everything(services)
    assert found["site_docks"] == [("dock-1", "cam-2"), ("dock-2", "cam-1"), ("dock-9", "ofo")]
    assert {row[2] for row in found["sites"]} == {"CAMDEN", "Specialist Operations"}


async def test_a_file_that_changes_between_the_two_readings_is_refused(
    services: Services, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bring_in_all(services, write)
    file = write("officers", OFFICERS)
    times = 0

    def changing(opened: Any) -> Any:
        nonlocal times
        times += 1
        if times == 2:
            yield from (line.replace(b"Ann", b"Eve") for line in bounded_lines(opened))
        else:
            yield from bounded_lines(opened)

    monkeypatch.setattr("dockd.central.places.importing.bounded_lines", changing)
    assert "was changed while it was read" in (await refused(services, "officers", file))[0]
    assert times == 2


async def test_imports_at_the_same_time_wait_for_each_other(
    services: Services, config: CentreConfig, clock: ManualClock, tmp_path: Path
) -> None:
    """As two people would do it, each with a process of their own; one names the rows the other way round."""
    numbers = [f"PC{number},{{}}" for number in range(3_000)]
    files = []
    for name, order in (("Ann", 1), ("Ben", -1)):
        file = tmp_path / f"{name}.csv"
        file.write_text("officer,name\n" + "\n".join(numbers[::order]).format(*[name] * 3_000))
        files.append(file)
    async with open_services(config, clock) as other:
        done = await asyncio.gather(
            services.lists.bring_in("officers", files[0]), other.lists.bring_in("officers", files[1])
        )
    assert sorted((one.added, one.changed) for one in done) == [(0, 3_000), (3_000, 0)]
    assert len({row[1] for row in (await everything(services))["officers"]}) == 1


async def test_sites_that_another_import_changed_after_the_check_are_not_written(
    services: Services, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bring_in_all(services, write)
    known = importing._known
    times = 0

    async def one_more_meanwhile(connection: AsyncConnection) -> Any:
        nonlocal times
        times += 1
        found = await known(connection)
        if times == 2:
            found.units["new-1"] = "camden"
        return found

    monkeypatch.setattr(importing, "_known", one_more_meanwhile)
    told = await refused(services, "sites", write("sites", SITES.replace("400", "401")))
    assert told == ["Another import changed the sites meanwhile."]


async def test_files_that_cannot_be_read_are_told(services: Services, tmp_path: Path) -> None:
    for file in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(BadRequest, match="cannot be read"):
            await services.lists.bring_in("sites", file)
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as opened:
        opened.truncate(300 * 1024 * 1024)
    with pytest.raises(BadRequest, match="larger than 256 MiB"):
        await services.lists.bring_in("sites", huge)


async def test_more_rows_than_any_force_has_are_refused(services: Services, write: Write) -> None:
    lines = "".join(f"PC{number},A\n" for number in range(MOST_ROWS + 5))
    told = await refused(services, "officers", write("officers", f"officer,name\n{lines}"))
    assert told[0] == f"officers.csv line {MOST_ROWS + 2}: More than 250,000 rows; divide the file."


async def test_the_examples_of_the_guide_can_be_imported(services: Services, write: Write) -> None:
    guide = (Path(__file__).parents[2] / "docs/places.md").read_text(encoding="utf-8")
    examples = re.findall(r"### (\w+)\n.*?```csv\n(.*?)```", guide, flags=re.DOTALL)
    assert [name for name, _content in examples] == ["Sites", "Officers", "Cameras"]
    for name, content in examples:
        done = await services.lists.bring_in(name.lower(), write(name, content))
        assert done.added == done.rows >= 2
        for column in FORMS[name.lower()].column_names:
            assert f"| `{column}` |" in guide


@pytest.mark.slow
async def test_a_hundred_thousand_cameras_come_in_within_bounded_memory(
    services: Services, write: Write, tmp_path: Path, clock: ManualClock
) -> None:
    """Memory grows by the numbers of the rows, to find doubles, and not by the rows; twice is once."""
    await bring_in_all(services, write)
    file = tmp_path / "cameras.csv"
    with file.open("w", encoding="utf-8-sig", newline="") as opened:
        writer = csv.writer(opened, delimiter=";")
        writer.writerow(["camera", "model", "firmware", "batch", "state", "site", "delivered_on"])
        for number in range(100_000):
            day = date(2026, 1, 1) + timedelta(days=number % 300)
            site = "cam-1" if number % 2 else "cam-2"
            words = "A long name of a model " * 4
            writer.writerow([f"massstorage:B{number:07d}", words.strip(), "2.1", f"b{number % 40}", "", site, day])
    before_kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    done = await services.lists.bring_in("cameras", file)
    print(f"{time.monotonic() - begun:.1f} s for 100,000 rows")
    assert (done.rows, done.added) == (100_000, 100_000)
    grown_kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kibibytes
    print(f"{grown_kibibytes} KiB more at most")
    assert grown_kibibytes < 64 * 1024
    before = (await everything(services))["cameras"]
    clock.advance(60)
    again = await services.lists.bring_in("cameras", file)
    assert again.unchanged == 100_000
    assert (await everything(services))["cameras"] == before
