"""Threats: one check that fails, hangs or is wrong takes the others with it, or ends in a traceback."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from dockd.dock.doctor import CHECKS, Check, Examination, Finding, Host, Severity, examine
from dockd.dock.doctor.finding import ok
from dockd.errors import CardUnreadable
from tests.support.dock_host import DockHost

FINE = ok("fine", "All is well.")


def check(name: str, ask: object) -> Check:
    return Check(name, f"Is {name} well?", ask, (FINE,), "None.", "Look.")  # type: ignore[arg-type] # ask is given


def says_fine(_examination: Examination) -> Iterable[Finding]:
    return [FINE.found("It is fine.")]


@pytest.fixture
def examination(tmp_path: Path) -> Examination:
    return Examination(Host(root=tmp_path), tmp_path / "dockd.toml", None)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied", "/var/lib/dockd"), "has no right to /var/lib/dockd (run it as root)"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (LookupError("the kernel does not say"), "the kernel does not say"),
        (KeyError("MemTotal"), "MemTotal"),
        (ValueError("invalid literal"), "invalid literal"),
        (CardUnreadable("It cannot be read."), "It cannot be read"),
        (UnicodeDecodeError("ascii", b"\xff", 0, 1, "ordinal not in range"), "ordinal not in range"),
    ],
)
def test_a_check_that_cannot_be_asked_is_unknown_with_the_reason_and_the_others_go_on(
    examination: Examination, error: Exception, words: str
) -> None:
    def fails(_examination: Examination) -> Iterator[Finding]:
        yield FINE.found("First part.")
        raise error

    report = examine([check("one", fails), check("two", says_fine)], examination)
    assert [finding.code for finding in report.findings] == ["fine", "one-unknown", "fine"]
    unknown = report.findings[1]
    assert unknown.severity is Severity.UNKNOWN
    assert words in unknown.found
    assert unknown.found.startswith("Is one well? Cannot be found out: ")


@pytest.mark.slow
def test_a_check_that_hangs_is_unknown_after_its_time_and_does_not_hold_up_the_others(
    examination: Examination,
) -> None:
    released = threading.Event()

    def hangs(_examination: Examination) -> Iterator[Finding]:
        released.wait(30)
        yield FINE.found("Too late.")

    try:
        report = examine([check("one", hangs), check("two", says_fine)], examination, limit_seconds=2.0)
        assert [finding.code for finding in report.findings] == ["one-unknown", "fine"]
        assert "No answer in 2 s." in report.findings[0].found
    finally:
        released.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_of_our_own_is_unknown_and_the_others_go_on(examination: Examination) -> None:
    def wrong(_examination: Examination) -> Iterable[Finding]:
        raise TypeError("a bug")

    report = examine([check("one", wrong), check("two", says_fine)], examination)
    assert [finding.code for finding in report.findings] == ["one-unknown", "fine"]
    assert "a mistake of its own" in report.findings[0].found


def test_without_a_configuration_that_is_told_once_and_the_host_is_looked_at_all_the_same(host: DockHost) -> None:
    host.config_file.write_text("[dock]\nid = 7\n")
    report = host.look()
    told = {finding.code: finding.severity for finding in report.findings}
    assert told.pop("configuration-invalid") is Severity.PROBLEM
    assert {"versions-fit", "memory-enough", "automounter-told", "automounter-none"} & told.keys() >= {"versions-fit"}
    assert set(told.values()) == {Severity.OK}
    assert {"staging-disk", "journal", "bays", "permissions"} <= set(report.left_out)


def test_a_sound_host_has_nothing_to_do_but_what_the_first_start_makes(host: DockHost) -> None:
    report = host.look()
    to_do = {one.code for one in report.findings if one.severity is not Severity.OK}
    assert to_do == {"port-power-claimed", "journal-absent", "permissions-key-absent"}
    assert report.left_out == ()


def test_nothing_on_the_host_is_changed_by_looking(host: DockHost, tmp_path: Path) -> None:
    host.write_config()
    before = {path: (path.lstat().st_mtime_ns, path.lstat().st_mode) for path in tmp_path.rglob("*")}
    host.look()
    after = {path: (path.lstat().st_mtime_ns, path.lstat().st_mode) for path in tmp_path.rglob("*")}
    # The probe file came and went: that is all, and it shows in the folder's time.
    assert {path for path in before if before[path] != after.get(path)} <= {host.staging}
    assert after.keys() == before.keys()


LOCAL = [one.name for one in CHECKS if one.name not in ("centre", "drivers", "staging-disk")]


@pytest.mark.parametrize(
    "damage", ["garbage", *(pytest.param(one, marks=pytest.mark.slow) for one in ("gone", "empty", "folder"))]
)
def test_whatever_a_file_of_the_kernel_holds_no_check_breaks_down(host: DockHost, damage: str) -> None:
    files = sorted(path for path in host.root.rglob("*") if path.is_file() and not path.is_symlink())
    assert len(files) > 50
    for path in files:
        content = path.read_bytes()
        path.unlink()
        if damage == "folder":
            path.mkdir()
        elif damage != "gone":
            path.write_bytes(b"" if damage == "empty" else b"\xff\x00 -1 = ~ 0x : ->\n FLOCK \\999\n")
        report = host.look(*LOCAL)
        assert not [one for one in report.findings if "mistake of its own" in one.found], path
        if damage == "folder":
            path.rmdir()
        path.write_bytes(content)
