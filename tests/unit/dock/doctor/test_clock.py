"""Claims about the host's clock: unsynchronised is not unknown, and the policy decides what either means."""

from __future__ import annotations

import pytest

from dockd.dock.doctor import Severity
from dockd.model.moment import ClockSync
from tests.support.clock import ManualClock
from tests.support.dock_host import DockHost

SET_ANYWAY = '[policy]\nset_clock_from_unsynchronised_host = true\nwhen_host_cannot_tell = "set"\n'


@pytest.mark.parametrize(
    ("state", "policy", "code", "severity"),
    [
        (ClockSync.SYNCHRONISED, "", "clock-synchronised", Severity.OK),
        (ClockSync.UNSYNCHRONISED, "", "clock-unsynchronised", Severity.PROBLEM),
        (ClockSync.UNSYNCHRONISED, SET_ANYWAY, "clock-unsynchronised-allowed", Severity.WARNING),
        (ClockSync.UNKNOWN, "", "clock-unknown", Severity.UNKNOWN),
        (ClockSync.UNKNOWN, SET_ANYWAY, "clock-untold-allowed", Severity.NOTE),
    ],
)
def test_the_kernels_word_and_the_policy_are_told_together(
    host: DockHost, state: ClockSync, policy: str, code: str, severity: Severity
) -> None:
    host.sections = policy
    assert isinstance(host.clock, ManualClock)
    host.clock.clock_sync = state
    found = host.only("clock")
    assert (found.code, found.severity) == (code, severity)


def test_the_time_service_that_runs_is_named(host: DockHost) -> None:
    assert "chronyd runs" in host.only("clock").found
    host.put("proc/400/comm", "bash\n")
    assert "no time service that dockd knows runs" in host.only("clock").found
    host.put("proc/400/comm", "systemd-timesyn\n")  # as the kernel cuts it
    assert "systemd-timesyncd runs" in host.only("clock").found
