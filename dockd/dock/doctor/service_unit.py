"""What systemd is told about the dock's service: its unit file and drop-ins, as they lie on the disk. Facts only.

Reads systemd.syntax(7) as far as the doctor needs it: sections are not told apart, an empty value resets a list,
continued lines are joined, specifiers are left as they are.
"""

from __future__ import annotations

import pwd
from dataclasses import dataclass
from pathlib import Path

from dockd.dock.doctor.host import Host

UNIT = "dockd.service"
_FOLDERS = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
"""In the order of preference (systemd.unit(5))."""

_OWN_VIEW_OF_MOUNTS = ("PrivateMounts", "PrivateTmp", "PrivateDevices", "ProtectSystem", "ProtectHome")


@dataclass(frozen=True, slots=True)
class ServiceUnit:
    """The settings of the unit, each with all its values in order."""

    path: Path
    values: dict[str, tuple[str, ...]]

    def last(self, name: str) -> str | None:
        """The value that counts, or None."""
        values = self.values.get(name)
        return values[-1] if values else None

    @property
    def user(self) -> str:
        """The user it runs as."""
        return self.last("User") or "root"

    def account(self) -> pwd.struct_passwd | None:
        """The user's account on this host; None where there is none, or systemd makes one at each start."""
        if self.last("DynamicUser") is not None:
            return None
        try:
            return pwd.getpwuid(int(self.user)) if self.user.isdecimal() else pwd.getpwnam(self.user)
        except KeyError:
            return None

    @property
    def has_own_mounts(self) -> bool:
        """Whether the service gets a view of mounts of its own (systemd.exec(5))."""
        return any((self.last(name) or "no").lower() not in ("no", "false", "off", "0") for name in _OWN_VIEW_OF_MOUNTS)

    def lacks(self, capability: str) -> bool:
        """Whether the service is started without `capability`.

        A service of user 0 has what the bounding set leaves it, any other what is also in the ambient set.
        """
        bounding = _in_list(self.values.get("CapabilityBoundingSet"), capability, when_unset=True)
        ambient = _in_list(self.values.get("AmbientCapabilities"), capability, when_unset=False)
        return not bounding or (self.user not in ("root", "0") and not ambient)


def find_unit(host: Host) -> ServiceUnit | None:
    """The unit with its drop-ins; None where the service is not installed. Raises OSError."""
    places = [host.path(folder) / UNIT for folder in _FOLDERS]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        return None
    drop_ins: dict[str, Path] = {}
    for place in reversed(places):  # a name in a preferred folder hides the same name in another
        folder = place.with_name(f"{UNIT}.d")
        drop_ins.update({file.name: file for file in (folder.glob("*.conf") if folder.is_dir() else ())})
    values: dict[str, tuple[str, ...]] = {}
    for file in (found, *(drop_ins[name] for name in sorted(drop_ins))):
        _read_into(values, host.read(file) or "")
    return ServiceUnit(found, values)


def _read_into(values: dict[str, tuple[str, ...]], text: str) -> None:
    for line in text.replace("\\\n", " ").splitlines():
        name, sign, value = line.strip().partition("=")
        if not sign or name.startswith(("#", ";", "[")):
            continue
        name, value = name.strip(), value.strip()
        values[name] = (*values.get(name, ()), value) if value else ("",)


def _in_list(values: tuple[str, ...] | None, capability: str, *, when_unset: bool) -> bool:
    """systemd.exec(5): lines add up, `~` takes away (from everything, when it comes first), empty resets to nothing."""
    if values is None:
        return when_unset
    is_in = values[0].startswith("~")
    for value in values:
        names = value.removeprefix("~").split()
        if value.startswith("~"):
            is_in = is_in and capability not in names
        else:
            is_in = (is_in and value != "") or capability in names
    return is_in
