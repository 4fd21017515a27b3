"""Alerts from what docks tell to what people receive: real database, real HTTP receiver, real SMTP server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, insert, select

from dockd.central import tables
from dockd.central.centre_facts import CentreFacts
from dockd.central.database import Database, sqlite_url
from dockd.central.fact_intake import FactIntake
from dockd.central.fleet.channels import MESSAGE_HEADER, SIGNATURE_HEADER, webhook_signature
from dockd.central.fleet.config import AlertsConfig
from dockd.central.fleet.outbox import LEASE, Outbox
from dockd.central.fleet.service import FleetServices, open_fleet
from dockd.central.fleet.tables import alert_messages, alerts
from dockd.errors import BadRequest, NotFound
from dockd.model import facts as f
from dockd.model.camera import CameraIdentity
from dockd.model.moment import ClockSync
from dockd.rules.alerting import Told
from dockd.rules.alerts import AlertKind, Expiry
from dockd.wire.alerts import AlertMessage, NewSilence
from tests.support.alert_receivers import HttpReceiver, http_receiver, smtp_receiver
from tests.support.clock import ManualClock
from tests.support.dock_voice import Chain
from tests.support.kiosk_fakes import DockOnPaper, ready_bay

SECRET = "0123456789abcdef0123456789abcdef"
Open = Callable[..., Awaitable[FleetServices]]


@pytest_asyncio.fixture
async def database(folder: Path, where: dict[str, Any]) -> AsyncIterator[Database]:
    one = Database(where.get("database_url") or sqlite_url(folder / "centre.sqlite"))
    await one.open()
    yield one
    await one.close()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as one:
        yield one


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    file = tmp_path / "webhook-secret"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    return str(file)


@pytest.fixture
def fleet_of(database: Database, clock: ManualClock, receiver: HttpReceiver, secret_file: str) -> Open:
    """A process of the centre, as far as alerts go; `changes` are keys of its `[alerts]` section."""

    async def open_one(*, expiries: Any = None, **changes: Any) -> FleetServices:
        given = {"webhook_url": receiver.url, "webhook_secret_file": secret_file, **changes}
        config = AlertsConfig.model_validate(given)
        return await open_fleet(database, clock, config, store="store-test", expiries=expiries, retry_seconds=0.001)

    return open_one


class Force:
    """Docks that tell what tests want."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database = database
        self.clock = clock
        self.intake = FactIntake(database, clock, status_spacing_seconds=0)

    async def place(self, **sites: tuple[str, ...]) -> None:
        now = self.clock.now()
        async with self.database.writing() as connection:
            for site, docks in sites.items():
                row = {"site": site, "name": f"Station {site}", "unit": "U", "state": "live", "changed_at": now}
                await connection.execute(insert(tables.sites).values(row))
                await connection.execute(insert(tables.site_docks), [{"dock": dock, "site": site} for dock in docks])

    async def tell(self, *docks: str, **changes: Any) -> None:
        for dock in docks:
            given = {"dock": dock, "facts": 0, "facts_at_centre": 0, **changes}
            await self.intake.note_status(DockOnPaper(ready_bay("1"), **given).snapshot())

    async def list_camera(self, camera: str, state: str = "in-use") -> None:
        row = {"camera": camera, "model": "m", "state": state, "site": "cx", "changed_at": self.clock.now()}
        async with self.database.writing() as connection:
            await connection.execute(insert(tables.cameras).values(row))


@pytest.fixture
def force(database: Database, clock: ManualClock) -> Force:
    return Force(database, clock)


async def judge(fleet: FleetServices, clock: ManualClock, minutes: float = 1) -> None:
    """Let time pass, judge, deliver."""
    clock.advance(minutes * 60)
    assert await fleet.evaluator.evaluate()
    await fleet.delivery.deliver_due()


def messages(receiver: HttpReceiver) -> list[AlertMessage]:
    return [AlertMessage.model_validate_json(body) for _headers, body in receiver.taken]


async def open_kinds(fleet: FleetServices) -> set[str]:
    return {one.kind.value for one in (await fleet.desk.alerts()).alerts}


# --- from cause to message ----------------------------------------------------------------------


async def test_a_dock_that_falls_silent_is_told_once_signed_and_told_again_when_it_is_heard(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver
) -> None:
    fleet = await fleet_of()
    await force.place(cx=("dock-7",))
    await force.tell("dock-7")
    for _ in range(30):
        await judge(fleet, clock)
    (message,) = messages(receiver)
    assert (message.why, message.kind, message.site, message.new_count) == (Told.NEW, "dock-silent", "cx", 1)
    headers, body = receiver.taken[0]
    second = int(headers[SIGNATURE_HEADER].removeprefix("t=").partition(",")[0])
    at = datetime.fromtimestamp(second, clock.now().tzinfo)
    assert headers[SIGNATURE_HEADER] == webhook_signature(SECRET.encode(), at, body)
    assert headers[MESSAGE_HEADER] == message.id
    await force.tell("dock-7")
    await judge(fleet, clock)
    assert len(messages(receiver)) == 1  # it may fall silent again at once
    for _ in range(15):
        await force.tell("dock-7")
        await judge(fleet, clock)
    last = messages(receiver)[-1]
    assert (last.why, last.resolved_count, len(messages(receiver))) == (Told.RESOLVED, 1, 2)
    assert (await fleet.desk.alerts()).alerts == ()
    assert [one.subject for one in (await fleet.desk.alerts(is_open=False)).alerts] == ["dock-7"]


async def test_a_hundred_docks_of_one_site_are_one_message(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver
) -> None:
    fleet = await fleet_of()
    docks = tuple(f"dock-{number}" for number in range(100))
    await force.place(cx=docks)
    await force.tell(*docks)
    for _ in range(30):
        await judge(fleet, clock)
    (message,) = messages(receiver)
    assert (message.new_count, len(message.new), message.site) == (100, 50, "cx")
    assert message.summary == "Dock silent at site cx: 100 new."


async def test_a_whole_force_that_falls_silent_is_one_message(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver
) -> None:
    fleet = await fleet_of()
    await force.place(**{f"site-{number}": (f"dock-{number}",) for number in range(40)})
    await force.tell(*(f"dock-{number}" for number in range(40)))
    for _ in range(30):
        await judge(fleet, clock)
    (message,) = messages(receiver)
    assert (message.new_count, message.site) == (40, None)


async def test_every_cause_that_docks_tell_opens_its_alert(
    fleet_of: Open, force: Force, clock: ManualClock, database: Database
) -> None:
    fleet = await fleet_of()
    await force.place(cx=("dock-7", "dock-8"))
    chains = [Chain("dock-7", clock=clock), Chain("dock-8", clock=clock)]
    for chain in chains:
        chain.start()
        dock_in(chain, "twice", "9", "simulated:Double")
    for number in range(3):
        dock_in(chains[0], f"b{number}", "3", f"simulated:{'ABC'[number]}", code="driver-timeout")
        dock_in(chains[0], f"c{number}", str(number + 4), "simulated:Z", code="card-unreadable")
    chains[1].add(
        f.AssignmentStarted(assignment="a", camera="simulated:Out", officer="PC1", started_at=clock.now()),
        f.AssignmentStarted(assignment="b", camera="simulated:Lost", officer="PC2", started_at=clock.now()),
    )
    for chain in chains:
        await force.intake.take(chain.dock, tuple(chain.facts))
    await force.list_camera("simulated:Lost", "lost")
    async with database.writing() as connection:
        row = {"object_key": "k", "object_version": "", "bucket": "b", "digest": "d", "size_bytes": 1}
        row |= {"part_size_bytes": 1, "part_digests": "[]", "attempts": 0}
        await connection.execute(insert(tables.read_backs).values(asked_at=clock.now(), not_before=clock.now(), **row))
    waiting = {"waiting_recordings": 3, "oldest_waiting_since": clock.now(), "staging_free_bytes": 10}
    later = {"staging_total_bytes": 100, "clock_sync": ClockSync.UNSYNCHRONISED}
    await force.tell("dock-7", **waiting, **later)
    clock.advance(25 * 3600)
    await force.tell("dock-7", **waiting, **later)
    await force.tell("dock-8")
    await judge(fleet, clock)
    assert await open_kinds(fleet) == {
        "staging-filling",
        "footage-waiting",
        "bay-failing",
        "camera-failing",
        "camera-overdue",
        "clock-unsynchronised",
        "receipts-late",
        "duplicate-identity",
    }
    overdue = await fleet.desk.alerts(kind=AlertKind.CAMERA_OVERDUE)
    assert [one.subject for one in overdue.alerts] == ["simulated:Out"]  # the other's list says that it is lost
    assert "30 hours" not in overdue.alerts[0].words
    assert "29 days of its retention are left" in overdue.alerts[0].words


def dock_in(chain: Chain, session: str, bay: str, camera: str, code: str | None = None) -> None:
    identity = CameraIdentity(camera=camera, maker="m", model="Sim")
    chain.add(
        f.CameraDocked(session=session, bay=bay, port="1-1"),
        f.CameraIdentified(session=session, bay=bay, driver="simulated", identity=identity),
    )
    if code is not None:
        chain.add(f.SessionMoved(session=session, from_state="x", to_state="faulted", code=code))
        chain.add(f.CameraUndocked(session=session, bay=bay, camera=camera))


async def test_a_store_that_became_worse_is_told_until_it_is_good_again(
    fleet_of: Open, clock: ManualClock, database: Database
) -> None:
    fleet = await fleet_of(calm_minutes=0)

    async def tried(is_good: bool, *, worse: list[str]) -> None:
        findings = {"WRONG_MD5": {"is_good": is_good, "said": "x"}, "GOOD_PART": {"is_good": True, "said": "x"}}
        row = {"endpoint": "e", "bucket": "b", "checked_at": clock.now(), "findings": json.dumps(findings)}
        async with database.writing() as connection:
            await connection.execute(
                insert(tables.store_canaries).values(is_trusted=is_good, worse=json.dumps(worse), **row)
            )

    await tried(True, worse=[])
    await judge(fleet, clock)
    assert await open_kinds(fleet) == set()
    await tried(False, worse=["WRONG_MD5"])
    await judge(fleet, clock)
    assert await open_kinds(fleet) == {"store-worse"}
    await tried(False, worse=[])  # not worse than yesterday, but than the day before
    await judge(fleet, clock, minutes=24 * 60)
    (alert,) = (await fleet.desk.alerts()).alerts
    assert "refuses a part whose Content-MD5 is not that of its body" in alert.words
    await tried(True, worse=[])
    await judge(fleet, clock)
    assert await open_kinds(fleet) == set()


async def test_certificates_are_told_by_whoever_issues_them(fleet_of: Open, clock: ManualClock) -> None:
    class Ending:
        async def ending_before(self, at: datetime) -> tuple[Expiry, ...]:
            every = [Expiry(f"serial-{days}", f"dock dock-{days}", "cx", end(days)) for days in (3, 30)]
            return tuple(one for one in every if one.expires_at < at)

    began = clock.now()

    def end(days: int) -> datetime:
        return began + timedelta(days=days)

    fleet = await fleet_of(expiries=Ending())
    await judge(fleet, clock)
    (alert,) = (await fleet.desk.alerts()).alerts
    assert (alert.subject, alert.severity) == ("serial-3", "trouble")
    assert "The certificate of dock dock-3 ends in" in alert.words


# --- what people do -----------------------------------------------------------------------------


async def silent_dock(fleet: FleetServices, force: Force, clock: ManualClock) -> int:
    """A dock that is silent and told of; the alert's number."""
    await force.place(cx=("dock-7",))
    await force.tell("dock-7")
    for _ in range(15):
        await judge(fleet, clock)
    return (await fleet.desk.alerts()).alerts[0].number


async def test_what_nobody_acknowledges_is_told_again_at_a_bounded_pace(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver
) -> None:
    fleet = await fleet_of(reminder_hours=24)
    await silent_dock(fleet, force, clock)
    for _ in range(3 * 4):
        await judge(fleet, clock, minutes=6 * 60)
    assert [one.why for one in messages(receiver)] == [Told.NEW, Told.REMINDER, Told.REMINDER, Told.REMINDER]


async def test_acknowledging_ends_reminders_and_is_a_fact(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver, database: Database
) -> None:
    fleet = await fleet_of()
    number = await silent_dock(fleet, force, clock)
    for _ in range(2):
        view = await fleet.desk.acknowledge(number, actor="ann")
        assert view.acknowledged_by == "ann"
    for _ in range(5):
        await judge(fleet, clock, minutes=24 * 60)
    assert len(messages(receiver)) == 1
    (fact,) = await CentreFacts(database, clock).read(limit=10, kind="AlertAcknowledged")
    assert (fact.actor, fact.about) == ("ann", {"alert": number, "kind": "dock-silent", "subject": "dock-7"})
    with pytest.raises(NotFound):
        await fleet.desk.acknowledge(number + 1, actor="ann")


async def test_a_silence_ends_by_itself_or_by_a_person_and_is_a_fact(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver, database: Database
) -> None:
    fleet = await fleet_of()
    silence = await fleet.desk.silence(NewSilence(site="cx", hours=4, reason="Power is cut today"), actor="ann")
    await silent_dock(fleet, force, clock)
    assert messages(receiver) == []
    assert (await fleet.desk.alerts()).alerts[0].silenced_until == silence.until
    for _ in range(5):
        await judge(fleet, clock, minutes=60)
    assert [one.why for one in messages(receiver)] == [Told.NEW]
    again = await fleet.desk.silence(NewSilence(kind=AlertKind.DOCK_SILENT, hours=700, reason="Move"), actor="ann")
    assert len((await fleet.desk.silences()).silences) == 1
    for _ in range(2):
        assert (await fleet.desk.end_silence(again.number, actor="bob")).ended_at is not None
    assert (await fleet.desk.silences()).silences == ()
    kinds = [one.kind for one in await CentreFacts(database, clock).read(limit=10)]
    assert kinds == ["AlertsSilenced", "AlertsSilenced", "SilenceEnded"]


async def test_what_is_over_cannot_be_acknowledged(fleet_of: Open, force: Force, clock: ManualClock) -> None:
    fleet = await fleet_of(calm_minutes=0)
    number = await silent_dock(fleet, force, clock)
    await force.tell("dock-7")
    await judge(fleet, clock)
    with pytest.raises(BadRequest, match="is over"):
        await fleet.desk.acknowledge(number, actor="ann")


async def test_what_worsens_is_told_again_although_it_was_acknowledged(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver
) -> None:
    fleet = await fleet_of()
    disk = {"staging_total_bytes": 100, "staging_free_bytes": 15}
    await force.tell("dock-7", **disk)
    for _ in range(3):
        await judge(fleet, clock)
    (alert,) = (await fleet.desk.alerts()).alerts
    await fleet.desk.acknowledge(alert.number, actor="ann")
    for free in (14, 9):
        await force.tell("dock-7", **{**disk, "staging_free_bytes": free})
        for _ in range(12):
            await force.tell("dock-7", **{**disk, "staging_free_bytes": free})
            await judge(fleet, clock)
    assert [one.new[0].severity for one in messages(receiver)] == ["attention", "trouble"]
    assert (await fleet.desk.alerts()).alerts[0].acknowledged_by is None


# --- several processes, failures ----------------------------------------------------------------


async def test_several_processes_judge_and_tell_once(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver, database: Database
) -> None:
    fleets = [await fleet_of() for _ in range(4)]
    await force.place(cx=tuple(f"dock-{number}" for number in range(20)))
    await force.tell(*(f"dock-{number}" for number in range(20)))
    judged = 0
    for _ in range(20):
        clock.advance(60)
        judged += sum(await asyncio.gather(*(one.evaluator.evaluate() for one in fleets)))
        await asyncio.gather(*(one.delivery.deliver_due() for one in fleets))
    assert judged == 20
    (message,) = messages(receiver)
    assert message.new_count == 20
    async with database.reading() as connection:
        assert (await connection.execute(select(func.count()).select_from(alerts))).scalar_one() == 20


async def test_a_process_that_died_at_its_turn_is_followed_by_another(
    fleet_of: Open, force: Force, clock: ManualClock
) -> None:
    first, second = await fleet_of(), await fleet_of()
    await force.place(cx=("dock-7",))
    assert await first.evaluator._take_turn()  # and then it is killed
    clock.advance(60)
    assert not await second.evaluator.evaluate()
    clock.advance(61)
    assert await second.evaluator.evaluate()
    assert await open_kinds(second) == {"dock-silent"}


async def test_a_receiver_that_fails_gets_the_message_later_and_once(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver
) -> None:
    fleet = await fleet_of()
    receiver.answers = [503, 302, 404] + [500] * 6
    await silent_dock(fleet, force, clock)
    assert receiver.taken == []
    told = await fleet.desk.alerts()
    assert (told.undelivered, told.undelivered_said) == (1, "The webhook answered 500.")
    for _ in range(10):
        await judge(fleet, clock)
    assert len(messages(receiver)) == 1
    assert (await fleet.desk.alerts()).undelivered == 0


async def test_a_message_that_nobody_took_for_days_is_given_up_and_the_alert_stays(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver, database: Database
) -> None:
    fleet = await fleet_of(undelivered_hours=1, reminder_hours=500)
    receiver.answers = [500] * 1000
    await silent_dock(fleet, force, clock)
    for _ in range(12):
        await judge(fleet, clock, minutes=30)
    receiver.answers = []
    await judge(fleet, clock, minutes=120)
    assert receiver.taken == []
    async with database.reading() as connection:
        (row,) = (await connection.execute(select(alert_messages))).all()
    assert row.given_up_at is not None
    assert await open_kinds(fleet) == {"dock-silent"}


async def test_a_message_taken_by_a_process_that_died_is_sent_by_another(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver, database: Database
) -> None:
    fleet = await fleet_of()
    await force.place(cx=("dock-7",))
    for _ in range(3):
        clock.advance(60)
        await fleet.evaluator.evaluate()
    outbox = Outbox(database, clock)
    taken = await outbox.take("webhook", "dead")
    assert taken is not None
    await fleet.delivery.deliver_due()
    assert receiver.taken == []
    clock.advance(LEASE.total_seconds() + 1)
    await fleet.delivery.deliver_due()
    assert len(receiver.taken) == 1
    await outbox.put_off(taken, "dead", "too late")  # the dead one was only slow: nothing is sent twice for it
    clock.advance(3600)
    await fleet.delivery.deliver_due()
    assert len(receiver.taken) == 1


async def test_mails_are_sent_beside_the_webhook_and_neither_holds_up_the_other(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver
) -> None:
    async with smtp_receiver() as mail:
        fleet = await fleet_of(
            smtp_host="127.0.0.1",
            smtp_port=mail.port,
            smtp_security="none",
            mail_from="dockd@example.org",
            mail_to=["it@example.org", "night@example.org"],
        )
        receiver.answers = [500] * 1000
        mail.refusals = ["451 Later", "452 Later"]
        await silent_dock(fleet, force, clock)
        (one,) = mail.mails
    assert one["Subject"] == "[dockd store-test] Dock silent at cx"
    assert one["To"] == "it@example.org, night@example.org"
    assert [line.split("<")[1].rstrip(">") for line in mail.receivers[-2:]] == ["it@example.org", "night@example.org"]
    text = one.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert "Dock dock-7 has not been heard for more than 10 minutes." in text.decode()
    assert "What to do: Ask the station" in text.decode()
    assert receiver.taken == []


@asynccontextmanager
async def nobody_listens() -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    yield port


async def test_a_mail_server_that_is_away_is_no_failure_of_the_centre(
    fleet_of: Open, force: Force, clock: ManualClock
) -> None:
    async with nobody_listens() as port:
        fleet = await fleet_of(
            smtp_host="127.0.0.1",
            smtp_port=port,
            smtp_security="none",
            mail_from="dockd@example.org",
            mail_to=["it@example.org"],
        )
        await silent_dock(fleet, force, clock)
        told = await fleet.desk.alerts()
    assert told.undelivered == 1
    assert told.undelivered_said is not None
    assert told.undelivered_said.startswith("The mail server did not take it")


async def test_without_a_channel_alerts_are_on_the_page_and_told_once_there_is_one(
    fleet_of: Open, force: Force, clock: ManualClock, receiver: HttpReceiver
) -> None:
    quiet = await fleet_of(webhook_url=None, webhook_secret_file=None)
    await silent_dock(quiet, force, clock)
    assert await open_kinds(quiet) == {"dock-silent"}
    await judge(await fleet_of(), clock)
    assert [one.why for one in messages(receiver)] == [Told.NEW]
