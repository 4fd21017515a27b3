"""ASC MHL v2.0 generations and their chain file: written for, and read back from, a session's folder.

C4 is the hash element; SHA-256 and what custody knows stand in `<metadata>` under our own namespace,
because a `<sha256>` hash element is not valid there. Only the first generation is ever made here: the
footage of a session does not change.

What is read is untrusted: a document type declaration is refused, so that no entity is ever expanded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from dockd.custody_out.content import c4_of_bytes, c4_of_folder
from dockd.custody_out.lines import ManifestLine, SessionHeading, digest_of
from dockd.model.moment import format_utc
from dockd.rules.custody import LedgerEntry

MHL_FOLDER = "ascmhl"
MHL_CHAIN_NAME = "ascmhl_chain.xml"
CUSTODY_NAMESPACE = "urn:dockd:custody:v1"

_MHL = "urn:ASC:MHL:v2.0"
_DIRECTORY = "urn:ASC:MHL:DIRECTORY:v2.0"


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file as a generation lists it; `sha256` is empty when the metadata does not give it."""

    name: str
    c4: str
    sha256: str


def mhl_name(heading: SessionHeading) -> str:
    """The file name of a session's one generation."""
    return f"0001_{heading.session[:24]}_{heading.made_at.astimezone(UTC):%Y-%m-%d_%H%M%SZ}.mhl"


def write_mhl(
    heading: SessionHeading, lines: list[ManifestLine], not_copied: list[LedgerEntry], ignored: tuple[str, ...]
) -> bytes:
    """One generation over `lines`, in their order. `ignored` are other files that lie in the folder."""
    made_at = format_utc(heading.made_at)
    content, structure = c4_of_folder([(line.name, line.c4) for line in lines])
    comment = f"Footage of session {heading.session} in bay {heading.bay} of dock {heading.dock}."
    text = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<hashlist version="2.0" xmlns="urn:ASC:MHL:v2.0" xmlns:custody="{CUSTODY_NAMESPACE}">',
        "  <creatorinfo>",
        f"    <creationdate>{made_at}</creationdate>",
        f"    <hostname>{escape(heading.dock)}</hostname>",
        f"    <tool version={quoteattr(heading.version)}>dockd</tool>",
        f"    <comment>{escape(comment)}</comment>",
        "  </creatorinfo>",
        "  <processinfo>",
        "    <process>transfer</process>",
        "    <roothash>",
        f"      <content><c4>{content}</c4></content>",
        f"      <structure><c4>{structure}</c4></structure>",
        "    </roothash>",
        "    <ignore>",
        *(f"      <pattern>{name}</pattern>" for name in (".DS_Store", "ascmhl", "ascmhl/", *ignored)),
        "    </ignore>",
        "  </processinfo>",
    ]
    if lines:
        text += ["  <hashes>", *(_hash_text(line, made_at) for line in lines), "  </hashes>"]
    if not_copied:
        text.append("  <metadata>")
        text += [f"    <custody:notCopied>\n{_custody_text(entry)}\n    </custody:notCopied>" for entry in not_copied]
        text.append("  </metadata>")
    return "\n".join([*text, "</hashlist>", ""]).encode("utf-8")


def _hash_text(line: ManifestLine, made_at: str) -> str:
    entry = line.entry
    unreadable = [
        f'        <custody:unreadable start="{one.start_byte}" end="{one.end_byte}"/>' for one in entry.unreadable
    ]
    size = f' size="{entry.size_bytes}"'
    modified = ""
    if entry.modified_ns is not None and 0 <= entry.modified_ns < 253_402_300_800 * 10**9:
        at = datetime.fromtimestamp(entry.modified_ns // 10**9, UTC)
        modified = f' lastmodificationdate="{at:%Y-%m-%dT%H:%M:%SZ}"'
    return "\n".join(
        (
            "    <hash>",
            f"      <path{size}{modified}>{escape(line.name)}</path>",
            f'      <c4 action="original" hashdate="{made_at}">{line.c4}</c4>',
            "      <metadata>",
            f"        <custody:sha256>{digest_of(entry)}</custody:sha256>",
            _custody_text(entry),
            f"        <custody:container>{escape(entry.container or 'unknown')}</custody:container>",
            *unreadable,
            "      </metadata>",
            "    </hash>",
        )
    )


def _custody_text(entry: LedgerEntry) -> str:
    recorded_at = format_utc(entry.recorded_at) if entry.recorded_at else "unknown"
    return "\n".join(
        (
            f"        <custody:recording>{escape(entry.recording)}</custody:recording>",
            f"        <custody:camera>{escape(entry.camera)}</custody:camera>",
            f"        <custody:cardPath>{escape(entry.path.text)}</custody:cardPath>",
            f"        <custody:recordedAt>{recorded_at}</custody:recordedAt>",
            f"        <custody:officer>{escape(entry.officer or 'unknown')}</custody:officer>",
        )
    )


def write_chain(name: str, mhl: bytes) -> bytes:
    """The chain file of a folder whose one generation is `mhl`."""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<ascmhldirectory xmlns="{_DIRECTORY}">',
        '  <hashlist sequencenr="1">',
        f"    <path>{escape(name)}</path>",
        f"    <c4>{c4_of_bytes(mhl)}</c4>",
        "  </hashlist>",
        "</ascmhldirectory>",
        "",
    )
    return "\n".join(text).encode("utf-8")


def read_mhl(untrusted: bytes) -> tuple[HashedFile, ...]:
    """The files of a generation. Raises ValueError when it is not one."""
    found: list[HashedFile] = []
    current: dict[str, str] = {}
    for path, text in _texts(untrusted, f"{_MHL} hashlist"):
        match path:
            case (_, "hashes", "hash", "path"):
                current = {"name": text}
            case (_, "hashes", "hash", "c4"):
                current["c4"] = text
            case (_, "hashes", "hash", "metadata", "sha256"):
                current["sha256"] = text
            case (_, "hashes", "hash"):
                found.append(HashedFile(current.get("name", ""), current.get("c4", ""), current.get("sha256", "")))
                current = {}
    return tuple(found)


def read_chain(untrusted: bytes) -> tuple[tuple[str, str], ...]:
    """(generation's file name, its C4) of a chain file. Raises ValueError when it is not one."""
    texts = _texts(untrusted, f"{_DIRECTORY} ascmhldirectory")
    names = [text for path, text in texts if path[1:] == ("hashlist", "path")]
    hashes = [text for path, text in texts if path[1:] == ("hashlist", "c4")]
    if len(names) != len(hashes):
        raise ValueError("a generation without a name or a hash")
    return tuple(zip(names, hashes, strict=True))


def _texts(untrusted: bytes, root: str) -> list[tuple[tuple[str, ...], str]]:
    """Every element's path of local names and its own text, in the order in which the elements end."""
    parser = expat.ParserCreate(namespace_separator=" ")
    open_elements: list[tuple[str, list[str]]] = []
    ended: list[tuple[tuple[str, ...], str]] = []

    def refuse(*_: object) -> None:
        raise ValueError("a document type declaration has no place in a manifest")

    def start(name: str, _: dict[str, str]) -> None:
        if not open_elements and name != root:
            raise ValueError(f"the document is a {name!r}, not a {root!r}")
        open_elements.append((name.rpartition(" ")[2], []))

    def end(_: str) -> None:
        path = tuple(name for name, _ in open_elements)
        ended.append((path, "".join(open_elements.pop()[1])))

    def text(piece: str) -> None:
        open_elements[-1][1].append(piece)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    try:
        parser.Parse(untrusted, True)
    except expat.ExpatError as error:
        raise ValueError(f"not well-formed XML: {error}") from error
    return ended
