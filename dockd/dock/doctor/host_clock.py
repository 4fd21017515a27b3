"""Checks of the host's clock by the kernel's word: is it disciplined, and by whom?

A wrong host clock would be copied into evidence. The comparison with the centre's clock is in `centre_reach.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from dockd.dock.doctor.check import Check
from dockd.dock.doctor.finding import Finding, note, ok, problem, warning
from dockd.dock.doctor.host import Examination, Host
from dockd.model.moment import ClockSync

_TIME_SERVICES = frozenset({"chronyd", "systemd-timesyncd", "ntpd", "ptp4l", "phc2sys"})

CLOCK_SYNCHRONISED = ok("clock-synchronised", "The kernel says that a time service disciplines the clock.")
CLOCK_NOT_SYNCHRONISED = problem(
    "clock-unsynchronised",
    "The kernel says that the clock is not synchronised; camera clocks are then not set, and no camera becomes READY.",
    "It is copied and stored, with the clock's state in its record. But no camera can be issued again.",
    "Install and start a time service (apt-get install chrony), let it reach a time server, wait a few minutes.",
)
CLOCK_ALLOWED = warning(
    "clock-unsynchronised-allowed",
    "The clock is not synchronised, and the policy sets camera clocks nevertheless.",
    "A wrong host clock is copied into cameras and so into evidence; the record says that it was not synchronised.",
    "Mend the time service, and take set_clock_from_unsynchronised_host out of [policy].",
)
CLOCK_UNKNOWN_ALLOWED = note(
    "clock-untold-allowed",
    "The kernel cannot be asked about its clock, and the policy sets camera clocks nevertheless.",
    "None if the clock is right. The record says `unknown`.",
    "See that something outside keeps this host's clock right.",
)


def check_clock(examination: Examination) -> Iterator[Finding]:
    """adjtimex(2), and what the policy makes of it. Where the kernel cannot be asked, that is not "wrong"."""
    host, policy = examination.host, examination.settings.policy
    state = host.clock.moment().clock_sync
    may_set = policy.may_set_camera_clock(state)
    now = host.clock.now().isoformat(timespec="seconds")
    words = f"It is {now} here; {_service_words(host)}."
    match state, may_set:
        case ClockSync.SYNCHRONISED, _:
            yield CLOCK_SYNCHRONISED.found(words)
        case ClockSync.UNSYNCHRONISED, True:
            yield CLOCK_ALLOWED.found(words)
        case ClockSync.UNSYNCHRONISED, False:
            yield CLOCK_NOT_SYNCHRONISED.found(words)
        case ClockSync.UNKNOWN, True:
            yield CLOCK_UNKNOWN_ALLOWED.found(words)
        case _:
            raise LookupError("the kernel does not tell the state of its clock (as in some containers)")


def _service_words(host: Host) -> str:
    try:
        running = host.running(_TIME_SERVICES)
    except OSError:
        return "which time service runs is not known"
    return f"{', '.join(running)} runs" if running else "no time service that dockd knows runs"


CHECKS = (
    Check(
        "clock",
        "Is this host's clock synchronised?",
        check_clock,
        (CLOCK_SYNCHRONISED, CLOCK_NOT_SYNCHRONISED, CLOCK_ALLOWED, CLOCK_UNKNOWN_ALLOWED),
        "With this policy camera clocks are not set, and no camera becomes READY. Footage is copied and stored.",
        "Run `timedatectl`. Where the kernel cannot be asked at all and something outside keeps the clock right, set "
        'when_host_cannot_tell = "set" in [policy].',
    ),
)
