"""Checks and how they are carried out: each apart from the others, each with a time limit, none with a traceback.

Knows nothing of what is checked. A check that cannot be asked gives one UNKNOWN finding with the reason; one that
needs a configuration that cannot be read is left out, for that is told once. A check runs in a thread of its own,
because a disk or mount that hangs may hold a thread for ever; the doctor then goes on without it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from dockd.dock.doctor.finding import Finding, Kind, Severity
from dockd.dock.doctor.host import Examination, SettingsMissing
from dockd.errors import DockdError

LIMIT_SECONDS = 30.0
"""How long a check may take; longer than the centre is given to answer."""

_CANNOT_BE_ASKED = (OSError, ValueError, LookupError, ArithmeticError, SQLAlchemyError, DockdError)
"""How a host, a file or the network says that it does not tell. Anything else is a mistake of ours."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the host. `ask` yields findings of `kinds` and changes nothing on the host."""

    name: str
    question: str
    ask: Callable[[Examination], Iterable[Finding]]
    kinds: tuple[Kind, ...]
    unknown_footage: str
    unknown_action: str

    @property
    def unknown(self) -> Kind:
        """What is said when it cannot be asked."""
        return Kind(
            f"{self.name}-unknown",
            Severity.UNKNOWN,
            "This could not be found out; the reason is given.",
            self.unknown_footage,
            self.unknown_action,
        )


@dataclass(frozen=True, slots=True)
class Report:
    """All findings in the order of the checks, and the names of the checks that were left out for want of settings."""

    findings: tuple[Finding, ...]
    left_out: tuple[str, ...] = ()

    def count(self, severity: Severity) -> int:
        """How many findings are that serious."""
        return sum(finding.severity is severity for finding in self.findings)


@dataclass(slots=True)
class _Asking:
    check: Check
    findings: list[Finding] = field(default_factory=list)
    trouble: str | None = None
    is_left_out: bool = False
    is_done: bool = False

    def run(self, examination: Examination) -> None:
        try:
            for finding in self.check.ask(examination):
                self.findings.append(finding)
        except SettingsMissing:
            self.is_left_out = True
        except _CANNOT_BE_ASKED as error:
            self.trouble = _reason(error)
        self.is_done = True


def examine(checks: Sequence[Check], examination: Examination, *, limit_seconds: float = LIMIT_SECONDS) -> Report:
    """Ask every check, side by side, and wait at most `limit_seconds` for all. Blocking; no check's error gets out."""
    askings = [_Asking(check) for check in checks]
    threads = [
        # Daemon threads: one that hangs in the kernel must not keep the program from ending.
        threading.Thread(target=asking.run, args=(examination,), name=f"doctor-{asking.check.name}", daemon=True)
        for asking in askings
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + limit_seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    findings: list[Finding] = []
    for asking, thread in zip(askings, threads, strict=True):
        findings += asking.findings
        if thread.is_alive():
            findings.append(asking.check.unknown.found(f"{asking.check.question} No answer in {limit_seconds:g} s."))
        elif asking.trouble is not None or not asking.is_done:
            trouble = asking.trouble or "dockd doctor made a mistake of its own; its traceback is above"
            findings.append(asking.check.unknown.found(f"{asking.check.question} Cannot be found out: {trouble}."))
    left_out = tuple(asking.check.name for asking in askings if asking.is_left_out)
    return Report(tuple(findings), left_out)


def _reason(error: BaseException) -> str:
    if isinstance(error, PermissionError):
        place = f" {error.filename}" if error.filename else ""
        return f"this user has no right to{place or ' it'} (run it as root)"
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error or type(error).__name__}"
    if isinstance(error, DockdError):
        return error.what.rstrip(".")
    words = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    return words.rstrip(".") or type(error).__name__
