"""A permit to delete, made as the product makes it: by the rules, of footage that is due."""

from __future__ import annotations

from datetime import datetime, timedelta

from dockd.central.stores import StoredObject
from dockd.model.ids import Digest
from dockd.rules.retention import (
    ROUTINE,
    Classification,
    DisposalPermit,
    Footage,
    HoldBook,
    Policy,
    Source,
    permit,
)


def permit_for(stored: StoredObject, digest: Digest, size_bytes: int, now: datetime) -> DisposalPermit:
    """Of a routine recording that came 40 days before `now`; the store's own lock is not told to the rules."""
    came_at = now - timedelta(days=40)
    source = Source(1, "dock-7", "r-1", "simulated:CAM-1", "PC1", came_at, came_at, is_time_proved=True)
    footage = Footage(
        digest=digest,
        size_bytes=size_bytes,
        object_key=stored.object_key,
        object_version=stored.object_version,
        accepted_at=came_at,
        retain_until=None,
        sources=(source,),
        classification=Classification(ROUTINE, through=1),
    )
    return permit(footage, {ROUTINE: Policy(ROUTINE, 31)}, HoldBook(()), now)
