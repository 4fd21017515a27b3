"""Proves an upload's file and gives it its final name, and takes that name away again on a permit of the rules.

Blocking; knows files and digests only.

Order, each step durable before the next: bytes fsynced → read back past the cache and hashed (what was read
while the rest arrived is not read again: `read_along`) → second
name at `objects/ab/cd/<sha256>` (link, never over an existing one) → folder fsynced → first name removed →
read-only.
A kill between any two leaves either the upload to be completed again, or an object that `prove_placed`
proves afresh.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from dockd.central.refusals import BUSY
from dockd.central.stores import KeptByStore, UploadPlan
from dockd.central.stores.durable import make_folders, sync_folder
from dockd.central.stores.read_along import Prefix
from dockd.central.stores.read_back import digest_on_disk, part_digests_on_disk
from dockd.clock import Clock
from dockd.model.ids import Digest
from dockd.rules.retention import DisposalPermit
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)

OBJECTS = "objects"


class PartsDamaged(Exception):
    """The disk gives back other bytes than arrived; `numbers` must be sent again."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        super().__init__(f"parts {numbers} read back differently")
        self.numbers = numbers


class WholeDiffers(Exception):
    """Every part is as claimed, yet together they have another digest: the claim contradicts itself."""


def object_key(digest: Digest) -> str:
    """Where an object lies below the store's folder."""
    return f"{OBJECTS}/{digest[:2]}/{digest[2:4]}/{digest}"


def prove_and_place(root: Path, upload_file: Path, plan: UploadPlan, prefix: Prefix | None = None) -> str:
    """Return the object's key once it is proved and durable. Raises PartsDamaged, WholeDiffers, OSError.

    What `prefix` says was read back already is not read again.
    """
    with upload_file.open("rb") as file:
        os.fsync(file.fileno())
    is_proved = _goes_on_to_digest(upload_file, plan, prefix)
    if not is_proved and digest_on_disk(upload_file) != (plan.digest, plan.size_bytes):
        raise _blame(upload_file, plan)
    key = object_key(plan.digest)
    folder = make_folders(root, OBJECTS, plan.digest[:2], plan.digest[2:4])
    final = folder / plan.digest
    try:
        os.link(upload_file, final)
    except FileExistsError:
        if not final.samefile(upload_file) and digest_on_disk(final) != (plan.digest, plan.size_bytes):
            _set_aside(final)
            os.link(upload_file, final)
    sync_folder(folder)
    upload_file.unlink()
    sync_folder(upload_file.parent)
    final.chmod(0o400)  # not before: until its first name is gone, others must be able to open and lock it
    return key


def prove_placed(root: Path, plan: UploadPlan) -> str | None:
    """Return the key of an object that lies in its place already, proved afresh; None when it does not.

    One that is there but damaged is set aside. Raises OSError.
    """
    key = object_key(plan.digest)
    final = root / key
    if not final.exists():
        return None
    if digest_on_disk(final) != (plan.digest, plan.size_bytes):
        _set_aside(final)
        return None
    final.chmod(0o400)
    sync_folder(final.parent)
    return key


def _goes_on_to_digest(upload_file: Path, plan: UploadPlan, prefix: Prefix | None) -> bool:
    if prefix is None or not prefix.is_of(upload_file):
        return False
    return digest_on_disk(upload_file, whole=prefix.whole, start=prefix.end_bytes) == (plan.digest, plan.size_bytes)


def dispose_file(root: Path, permit: DisposalPermit, clock: Clock) -> None:
    """Remove the permitted object durably. Raises KeptByStore, Refusal, OSError."""
    if permit.object_key != object_key(permit.digest) or permit.object_version is not None:
        raise KeptByStore("Its receipt names an object that is not of this folder.")
    final = root / permit.object_key
    try:
        size_bytes = final.lstat().st_size
    except FileNotFoundError:
        raise KeptByStore("The folder does not hold it, so nothing was deleted; IT must look into it.") from None
    if size_bytes != permit.size_bytes:
        words = f"The file has {size_bytes} bytes instead of {permit.size_bytes}; a specialist must look at it."
        raise KeptByStore(words)
    if clock.now() >= permit.good_until:
        raise Refusal(BUSY, "The permit to delete came too late to be used.", retry_after_seconds=60)
    final.unlink()
    sync_folder(final.parent)
    if os.path.lexists(final):
        raise Refusal(BUSY, "The file was deleted and is there again.", retry_after_seconds=60)


def _blame(upload_file: Path, plan: UploadPlan) -> Exception:
    found = part_digests_on_disk(upload_file, plan.part_size_bytes)
    damaged = tuple(n for n in plan.part_numbers if n > len(found) or found[n - 1] != plan.part_digests[n - 1])
    return PartsDamaged(damaged) if damaged else WholeDiffers()


def _set_aside(final: Path) -> None:
    """A damaged object keeps its bytes, for a specialist, under another name."""
    for turn in range(1, 1000):
        aside = final.with_name(f"{final.name}.damaged-{turn}")
        try:
            os.link(final, aside)
        except FileExistsError:
            continue
        final.unlink()
        sync_folder(final.parent)
        _log.error("stored_object_damaged", object=final.name, kept_as=aside.name)
        return
    raise OSError(f"{final.name} was found damaged too often")
