"""The `[retention]` section: whether the centre deletes at all, when, and how much at once looks like a mistake."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from dockd.section import Section


class RetentionConfig(Section):
    """The `[retention]` section. Without it nothing is ever deleted; reports tell what would be."""

    delete: bool = Field(
        default=False,
        description="Delete what is due by policy, every night. No upgrade ever turns this on; somebody must.",
    )
    hour_utc: int = Field(default=2, ge=0, le=23, description="The hour, UTC, from which the night's run may begin.")
    most_recordings: int = Field(
        default=200_000,
        ge=0,
        description="More than so many in one night look like a policy changed by mistake: a person is asked first.",
    )
    most_percent: int = Field(
        default=10, ge=0, le=100, description="The same for more than this share of all recordings in the store."
    )
    confirmation_hours: int = Field(
        default=48, ge=1, le=720, description="How long such a question, and its answer, hold good."
    )

    @property
    def confirmation_lifetime(self) -> timedelta:
        """How long a stopped list may be confirmed and carried out."""
        return timedelta(hours=self.confirmation_hours)


KEEP_EVERYTHING = RetentionConfig()
"""What holds where nothing is configured."""
