"""All profiles that this dock knows, and which of them a card has.

Knows the shipped profiles and a folder of the force's own. Must not know mounts. The rule of choice is
that of drivers: the most specific profile wins, two equal ones are refused, because a wrong guess would
leave footage on a card that looks empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from dockd.driver_api import Match
from dockd.errors import ConfigInvalid, UnknownCamera
from dockd.model.camera import Port
from drivers.massstorage.profile import Names, Profile, fits, parse_profile

BULK_ONLY_DISK = (8, 6, 80)
"""Mass storage, SCSI transparent command set, bulk-only transport (USB Mass Storage Overview 1.4, §2 and §3)."""


@dataclass(frozen=True, slots=True)
class CardLook:
    """What a card looks like before its layout is known."""

    usb_id: str | None
    untrusted_label: str | None
    folders: frozenset[Names]
    """Every folder down to the depth that any profile asks about."""
    is_empty: bool
    """Nothing but clutter."""


class ProfileLibrary:
    """A fixed set of profiles with different names."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self.profiles = tuple(sorted(profiles, key=lambda one: one.name))
        self.deepest_folder = max(
            (path.count("/") + 1 for one in self.profiles for path in one.recognised.folders), default=1
        )

    @classmethod
    def load(cls, own_folder: Path | None = None, *, without: Iterable[str] = ()) -> ProfileLibrary:
        """The shipped profiles and those in `own_folder`, where one of the same name takes a shipped one's place.

        Profiles named in `without` are left out. Raises ConfigInvalid listing every mistake in every file.
        """
        profiles: dict[str, Profile] = {}
        mistakes: list[str] = []
        for where, content in _files(own_folder):
            try:
                profile = parse_profile(content, where)
            except ConfigInvalid as mistake:
                mistakes.append(mistake.what)
            else:
                profiles[profile.name] = profile
        mistakes += [f"There is no profile named {name!r} to leave out." for name in without if name not in profiles]
        if mistakes:
            raise ConfigInvalid("\n".join(mistakes))
        return cls(profile for name, profile in profiles.items() if name not in set(without))

    def matches(self) -> tuple[Match, ...]:
        """Every USB disk, and more specifically every model that a profile names."""
        ids = sorted({usb_id for one in self.profiles for usb_id in one.recognised.usb_ids})
        named = tuple(
            Match(vendor_id=int(one[:4], 16), product_id=int(one[5:], 16), interface=BULK_ONLY_DISK) for one in ids
        )
        return (Match(interface=BULK_ONLY_DISK), *named)

    def choose(self, look: CardLook) -> Profile:
        """The one profile that the card has. Raises UnknownCamera: none, or two with equal right."""
        ranked = [(rank, one) for one in self.profiles if (rank := _rank(one, look)) is not None]
        if not ranked:
            top = sorted(names[0].decode("latin-1") for names in look.folders if len(names) == 1)
            raise UnknownCamera(f"No profile knows a card with the folders {', '.join(top[:10])[:200] or '(none)'}.")
        best = max(rank for rank, _ in ranked)
        winners = [one for rank, one in ranked if rank == best]
        if len(winners) > 1:
            names = " and ".join(one.name for one in winners)
            raise UnknownCamera(
                f"The card fits the profiles {names} equally well.",
                action="Tell IT: a profile of your own must say which folders of this camera hold footage.",
            )
        return winners[0]


def usb_id_of(port: Port) -> str | None:
    """vendor:product as profiles write it."""
    if port.usb_vendor_id is None or port.usb_product_id is None:
        return None
    return f"{port.usb_vendor_id:04x}:{port.usb_product_id:04x}"


def _files(own_folder: Path | None) -> Iterator[tuple[str, bytes]]:
    for shipped in sorted(resources.files(__package__).joinpath("profiles").iterdir(), key=lambda one: one.name):
        if shipped.name.endswith(".toml"):
            yield f"profiles/{shipped.name}", shipped.read_bytes()
    if own_folder is None:
        return
    try:
        for own in sorted(own_folder.glob("*.toml")):
            yield str(own), own.read_bytes()
    except OSError as failure:
        raise ConfigInvalid(f"The profiles in {own_folder} cannot be read: {failure.strerror}.") from failure


def _rank(profile: Profile, look: CardLook) -> tuple[int, int, int] | None:
    """How well the card fits: the model's USB id, then its label, then how deep a known folder lies."""
    known = profile.recognised
    if known.usb_ids and look.usb_id not in known.usb_ids:
        return None
    if known.volume_label and not re.fullmatch(known.volume_label, look.untrusted_label or ""):
        return None
    depth = 0
    if known.folders:
        depth = max((folder.count("/") + 1 for folder in known.folders if _has_folder(look, folder)), default=0)
        if depth == 0 and not (known.is_for_empty_cards and look.is_empty):
            return None
    return (bool(known.usb_ids), bool(known.volume_label), depth)


def _has_folder(look: CardLook, wanted: str) -> bool:
    patterns = wanted.split("/")
    return any(
        len(names) == len(patterns) and all(fits(name, pattern) for name, pattern in zip(names, patterns, strict=True))
        for names in look.folders
    )
