"""Who types a command on the centre's machine, for the facts that it leaves."""

from __future__ import annotations

import os
import pwd

from dockd.central.acting import LOCAL


def operator() -> str:
    """The account behind this command: whoever called sudo, else the owner of the process.

    It is what the machine says, no proof: whoever may read the centre's keys can also type as somebody else.
    """
    uid = os.getuid()
    called_by = os.environ.get("SUDO_UID", "")
    if uid == 0 and called_by.isdigit():
        uid = int(called_by)
    try:
        return f"{LOCAL}:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"{LOCAL}:{uid}"
