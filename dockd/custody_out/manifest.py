"""The two lists that lie beside the footage of a session, in forms that public tools read.

`manifest-sha256.txt` is what `sha256sum -c` reads (GNU coreutils: 64 digits, two spaces, name). The other
is an ASC MHL generation with its chain file (`mhl.py`), which `ascmhl-debug verify` reads. Both list names
relative to the folder they lie in.

The same facts give the same bytes: time and order come from the chain, never from a clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dockd.custody_out.lines import ManifestLine, SessionHeading, digest_of
from dockd.custody_out.mhl import MHL_CHAIN_NAME, MHL_FOLDER, mhl_name, write_chain, write_mhl
from dockd.model.ids import Digest
from dockd.rules.custody import LedgerEntry

SHA256_MANIFEST_NAME = "manifest-sha256.txt"
MANIFESTS_PER_SESSION = 3
"""The SHA-256 list, the MHL, its chain file."""

_LINE = re.compile(r"^(\\?)([0-9a-f]{64}) [ *](.+)$")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


@dataclass(frozen=True, slots=True)
class SessionManifests:
    """The files of one session's manifest by name; the MHL and its chain lie in `ascmhl/` when exported."""

    sha256: bytes
    mhl_name: str
    mhl: bytes
    mhl_chain: bytes

    def by_name(self) -> tuple[tuple[str, bytes], ...]:
        """(name in the store, content), in the order in which they are stored."""
        return (
            (SHA256_MANIFEST_NAME, self.sha256),
            (self.mhl_name, self.mhl),
            (MHL_CHAIN_NAME, self.mhl_chain),
        )


def place_in_folder(name: str) -> str:
    """Where a stored manifest lies relative to a session's folder of footage."""
    return name if name == SHA256_MANIFEST_NAME else f"{MHL_FOLDER}/{name}"


def session_manifests(
    heading: SessionHeading, lines: Iterable[ManifestLine], not_copied: Iterable[LedgerEntry] = ()
) -> SessionManifests:
    """Make a session's manifests. `not_copied` were on the card but have no verified copy (yet)."""
    ordered = sorted(lines, key=lambda line: line.name)
    name = mhl_name(heading)
    mhl = write_mhl(
        heading, ordered, sorted(not_copied, key=lambda entry: entry.recording), ignored=(SHA256_MANIFEST_NAME,)
    )
    return SessionManifests(
        sha256=sha256_list((line.name, digest_of(line.entry)) for line in ordered),
        mhl_name=name,
        mhl=mhl,
        mhl_chain=write_chain(name, mhl),
    )


def sha256_list(files: Iterable[tuple[str, str]]) -> bytes:
    """(name, SHA-256) pairs as `sha256sum` writes them, escaping as coreutils does."""
    lines = []
    for name, digest in files:
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        mark = "\\" if escaped != name else ""
        lines.append(f"{mark}{digest}  {escaped}\n")
    return "".join(lines).encode("utf-8")


def read_sha256_list(content: bytes) -> dict[str, Digest]:
    """The reverse of `sha256_list`. Raises ValueError for another form or a name given twice."""
    found: dict[str, Digest] = {}
    for number, text in enumerate(content.decode("utf-8").split("\n")[:-1], 1):
        match = _LINE.fullmatch(text)
        if match is None:
            raise ValueError(f"line {number} is not a digest and a name")
        mark, digest, name = match.groups()
        if mark:
            name = re.sub(r"\\[\\nr]", lambda one: _ESCAPES[one.group()], name)
        if name in found:
            raise ValueError(f"line {number} names {name!r} again")
        found[name] = Digest(digest)
    if content and not content.endswith(b"\n"):
        raise ValueError("the last line is cut off")
    return found
