"""What the doctor says: a finding, its kind, and how serious it is.

Knows nothing of any check. A kind is declared once, beside the check that tells it, with the words that are
always the same; `docs/doctor.md` is generated from the kinds. Codes are stable: programs may rely on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How serious a finding is; in the order in which people are told."""

    PROBLEM = "problem"
    """The dock does not start, takes no footage, loses its evidence value or never empties a camera."""
    WARNING = "warning"
    """It works, and something will go wrong when one more thing does."""
    UNKNOWN = "unknown"
    """It could not be asked; nothing is said about it, neither good nor bad."""
    NOTE = "note"
    """Good to know; nothing has to be done."""
    OK = "ok"
    """As it should be."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding. `footage` and `action` are empty only where all is well."""

    code: str
    severity: Severity
    case: str
    """When it is told, one sentence for the manual."""
    footage: str = ""
    """What it means for the footage."""
    action: str = ""
    """What to do about it."""

    def found(self, words: str, *, action: str | None = None) -> Finding:
        """A finding of this kind on this host; `words` say what was found, `action` is more exact than the usual."""
        return Finding(self.code, self.severity, words, self.footage, self.action if action is None else action)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, what it means for the footage, and what to do."""

    code: str
    severity: Severity
    found: str
    footage: str
    action: str


def ok(code: str, case: str) -> Kind:
    """A kind that says that all is well."""
    return Kind(code, Severity.OK, case)


def note(code: str, case: str, footage: str, action: str) -> Kind:
    """A kind that is good to know."""
    return Kind(code, Severity.NOTE, case, footage, action)


def warning(code: str, case: str, footage: str, action: str) -> Kind:
    """A kind of which someone should take care."""
    return Kind(code, Severity.WARNING, case, footage, action)


def problem(code: str, case: str, footage: str, action: str) -> Kind:
    """A kind without whose mending the dock does not do its work."""
    return Kind(code, Severity.PROBLEM, case, footage, action)
