"""The base of every configuration section.

A section class lives in the module that uses it; `dockd/config.py` composes them. Names carry their
unit (`_bytes`, `_seconds`, `_percent`); every field has a description, from which the reference in
`docs/configuration.md` is generated. Secrets are never values here, only paths.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Immutable; unknown keys are refused; a number is not a text and a text is not a number."""

    # A section is checked as a part of its whole configuration, seldom by itself.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
