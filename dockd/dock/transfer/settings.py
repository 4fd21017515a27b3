"""How recordings are moved from a camera to the staging disk: sizes and time limits."""

from __future__ import annotations

from pydantic import Field, field_validator

from dockd.dock.disk import DIRECT_ALIGNMENT_BYTES
from dockd.section import Section


class CopySettings(Section):
    """The `[copying]` section."""

    buffer_size_bytes: int = Field(
        default=384 * 1024,
        ge=DIRECT_ALIGNMENT_BYTES,
        le=4 * 1024 * 1024,
        description="Bytes read, hashed and written at a time; a multiple of 4096.",
    )
    buffer_count: int = Field(
        default=8,
        ge=2,
        le=16,
        description="Buffers in use per camera while it is copied or verified; memory is this times the size.",
    )
    checkpoint_interval_seconds: float = Field(
        default=5.0,
        gt=0,
        le=300,
        description="How often an unfinished copy is made durable, so that the next docking goes on from there.",
    )
    stall_timeout_seconds: float = Field(
        default=30.0,
        gt=0,
        description="A camera that gives no byte for so long is taken as not answering.",
    )
    damage_limit_seconds: float = Field(
        default=120.0,
        ge=0,
        description="Time spent per recording on reads that fail; after it the rest is labelled unreadable.",
    )
    disk_timeout_seconds: float = Field(
        default=120.0,
        gt=0,
        description="A staging disk that does not finish one call or take one buffer for so long is suspect.",
    )

    @field_validator("buffer_size_bytes")
    @classmethod
    def _aligned(cls, size_bytes: int) -> int:
        if size_bytes % DIRECT_ALIGNMENT_BYTES:
            raise ValueError(f"must be a multiple of {DIRECT_ALIGNMENT_BYTES}")
        return size_bytes

    def disk_allowance_seconds(self, size_bytes: int) -> float:
        """Time limit for one piece of disk work over `size_bytes`: a slow disk still does 8 MiB a second."""
        return self.disk_timeout_seconds + size_bytes / (8 * 1024 * 1024)
