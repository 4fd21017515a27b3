"""Checks of who may read and write the dock's files: configuration, bay map, state, journal, key, staging.

Looks at owners and modes, and at the key's content so far as to say that it is a key. Whoever may write the
configuration may name another centre; whoever may read the key may sign in the dock's name.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from dockd.dock.doctor.check import Check
from dockd.dock.doctor.finding import Finding, Kind, Severity, note, ok, problem, warning
from dockd.dock.doctor.host import Examination
from dockd.dock.doctor.service_unit import find_unit
from dockd.dock.keys import KEY_FILE_NAME, load_key
from dockd.errors import ConfigInvalid

FILES_KEPT = ok("permissions-right", "Only those who should may read and write the dock's files.")
WRITABLE_BY_OTHERS = problem(
    "permissions-writable-by-others",
    "The configuration, the bay map or a folder above them may be changed by any user of this host.",
    "Someone may name another centre and key; with their receipts the dock would erase footage that no store has.",
    "Find out who could have changed it, compare it with its copy, then run: chown root PATH; chmod go-w PATH",
)
WRITABLE_BY_GROUP = warning(
    "permissions-writable-by-group",
    "The configuration, the bay map or a folder above them may be changed by its group.",
    "Whoever is in that group may name another centre and key.",
    "If that is not meant, run: chmod g-w PATH",
)
SERVICE_MAY_NOT_READ = problem(
    "permissions-unreadable-for-service",
    "The user that the service runs as may not read the configuration or the bay map.",
    "The dock does not start; cameras keep their footage.",
    "There are no secrets in these files. Run: chmod 644 PATH",
)
OPEN_FOLDER = warning(
    "permissions-open-folder",
    "A folder of the dock's own may be entered by other users of this host.",
    "Footage and the record of what was copied may be read by others. The dock closes some of them at its start.",
    "Run: chmod 700 PATH",
)
OPEN_KEY = problem(
    "permissions-key-open",
    "The dock's key may be read by other users, or is not a key.",
    "The dock does not start: others could sign in its name. Cameras keep their footage.",
    "Find out who could have read it, then run: chmod 600 PATH. A key that is not a key is restored from its copy.",
)
KEY_ABSENT = note(
    "permissions-key-absent",
    "The dock has no key yet; it makes one at its first start.",
    "None at a first start. A dock that lost its key goes on taking footage, but the centre refuses its facts.",
    "At a first start nothing. Else restore the key from its copy.",
)
WRONG_OWNER = problem(
    "permissions-wrong-owner",
    "A folder of the dock's own belongs to another user than the service runs as.",
    "The dock cannot write there and does not start, or takes no footage; cameras keep it.",
    "Run: chown -R USER PATH, with the user that the service runs as.",
)
NOT_LOOKED_AT = Kind(
    "permissions-not-looked-at",
    Severity.UNKNOWN,
    "A file or folder may not be looked at by the user who runs the doctor, or is shown to the service alone.",
    "It is not known who may read or change it.",
    "Run the doctor as root. A key that the service manager hands over shows only in the running service.",
)


def check_permissions(examination: Examination) -> Iterator[Finding]:
    """Each file and folder by itself, so that one that may not be looked at does not hide the others."""
    settings = examination.settings
    state, staging = Path(settings.dock.state_folder), Path(settings.staging.folder)
    bays_file = Path(settings.usb.bays_file)
    named_key = settings.dock.key_file
    account = _service_account(examination)
    service_uid = account.pw_uid if account is not None else _owner(state)
    tasks: list[tuple[Path, Callable[[Path], Iterator[Finding]]]] = [
        (examination.config_file, lambda path: _settings_file(path, account)),
        *([(bays_file, lambda path: _settings_file(path, account))] if settings.usb.is_enabled else []),
        *((folder, lambda path: _own_folder(path, service_uid)) for folder in (state, state / "journal", staging)),
        (Path(named_key), _named_key) if named_key is not None else (state / KEY_FILE_NAME, _key),
    ]
    found: list[Finding] = []
    for path, look in tasks:
        try:
            found += look(path)
        except OSError as error:
            found.append(NOT_LOOKED_AT.found(f"{path}: {error.strerror or error}."))
    yield from found
    if not [one for one in found if one.severity in (Severity.PROBLEM, Severity.WARNING, Severity.UNKNOWN)]:
        names = ", ".join(str(path) for path, _ in tasks)
        yield FILES_KEPT.found(f"Looked at: {names}.")


def _settings_file(path: Path, account: pwd.struct_passwd | None) -> Iterator[Finding]:
    """The file and every folder above it: whoever may write a folder may exchange what is in it."""
    real = Path(os.path.realpath(path))
    if account is not None and (status := _status(real)) is not None and not _may_read(account, status):
        user, action = account.pw_name, _for(SERVICE_MAY_NOT_READ, path)
        yield SERVICE_MAY_NOT_READ.found(
            f"{path} has mode {stat.S_IMODE(status.st_mode):04o}, not for {user}.", action=action
        )
    for place in (real, *real.parents):
        status = _status(place)
        if status is None:
            continue
        mode = stat.S_IMODE(status.st_mode)
        is_sticky_folder = stat.S_ISDIR(status.st_mode) and bool(mode & stat.S_ISVTX)
        if mode & stat.S_IWOTH and not is_sticky_folder:
            yield WRITABLE_BY_OTHERS.found(f"{place} has mode {mode:04o}.", action=_for(WRITABLE_BY_OTHERS, place))
        elif mode & stat.S_IWGRP and status.st_gid != 0 and not is_sticky_folder:
            yield WRITABLE_BY_GROUP.found(f"{place} has mode {mode:04o}.", action=_for(WRITABLE_BY_GROUP, place))


def _own_folder(path: Path, service_uid: int | None) -> Iterator[Finding]:
    status = _status(path)
    if status is None:
        return
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        yield OPEN_FOLDER.found(f"{path} has mode {mode:04o}.", action=_for(OPEN_FOLDER, path))
    if service_uid is not None and status.st_uid != service_uid:
        owner, service = _user_name(status.st_uid), _user_name(service_uid)
        action = WRONG_OWNER.action.partition(",")[0].replace("USER", service).replace("PATH", str(path))
        yield WRONG_OWNER.found(f"{path} belongs to {owner}; the service runs as {service}.", action=action)


def _key(path: Path) -> Iterator[Finding]:
    if _status(path) is None:
        yield KEY_ABSENT.found(f"{path} is not there.")
        return
    try:
        load_key(path)
    except ConfigInvalid as error:
        yield OPEN_KEY.found(error.what, action=_for(OPEN_KEY, path))


def _named_key(path: Path) -> Iterator[Finding]:
    """A key that comes from outside: where the service manager hands it over, only the service may see it."""
    if _status(path) is None:
        yield NOT_LOOKED_AT.found(f"{path} (key_file in [dock]) is not to be seen from here.")
    else:
        yield from _key(path)


def _for(kind: Kind, path: Path) -> str:
    return kind.action.replace("PATH", str(path))


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _may_read(account: pwd.struct_passwd, status: os.stat_result) -> bool:
    """Whether the account may read a file of these owners and modes, by its own group only."""
    if account.pw_uid in (0, status.st_uid):
        return account.pw_uid == 0 or bool(status.st_mode & stat.S_IRUSR)
    return bool(status.st_mode & (stat.S_IRGRP if account.pw_gid == status.st_gid else stat.S_IROTH))


def _service_account(examination: Examination) -> pwd.struct_passwd | None:
    """Who the service runs as, by its unit; None without a unit or where systemd makes the user at each start."""
    unit = find_unit(examination.host)
    return unit.account() if unit is not None else None


def _owner(folder: Path) -> int | None:
    status = _status(folder)
    return status.st_uid if status is not None else None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


CHECKS = (
    Check(
        "permissions",
        "Who may read and write the dock's files?",
        check_permissions,
        (
            FILES_KEPT,
            WRITABLE_BY_OTHERS,
            WRITABLE_BY_GROUP,
            SERVICE_MAY_NOT_READ,
            OPEN_FOLDER,
            OPEN_KEY,
            KEY_ABSENT,
            WRONG_OWNER,
            NOT_LOOKED_AT,
        ),
        "It is not known who may read or change the dock's files.",
        "Run the doctor as root.",
    ),
)
