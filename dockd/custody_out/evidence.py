"""What an export holds, gathered once: every file measured, every chain replayed. Everything read is untrusted.

Names in lists are compared with names found; none is ever opened that the walk over the folder did not find.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from dockd.custody_out import bundle
from dockd.custody_out.content import Content, measure_file
from dockd.custody_out.replay import ChainReplay
from dockd.errors import ProofFailed
from dockd.model.facts import RecordedFact

_LONGEST_LINE_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class DockProof:
    """A dock's chain as the export has it; `form_faults` are lines that are not facts in canonical form."""

    replay: ChainReplay
    form_faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Evidence:
    """What the export holds: every regular file by its relative path, measured once."""

    root: Path
    files: dict[str, Content]
    strange: tuple[str, ...]
    """Links, sockets and the like, and names that are not text."""
    index: bundle.ExportIndex
    store_key: str
    docks: dict[str, DockProof] = field(default_factory=dict)

    def read(self, relative: str) -> bytes | None:
        """A small file of the export, if the walk over it found one of that name."""
        return (self.root / relative).read_bytes() if relative in self.files else None


def gather(root: Path) -> Evidence:
    """Read everything in `root` once; blocking.

    Raises ProofFailed when there is nothing that could be checked: no folder, no index, no key.
    """
    if not root.is_dir():
        raise ProofFailed(f"{root} is not a folder, so it cannot be an export.")
    try:
        files, strange = measure_all(root)
        index = bundle.ExportIndex.model_validate_json((root / bundle.EXPORT_NAME).read_bytes())
        store_key = bundle.read_public_pem((root / bundle.store_key_path(index.store)).read_bytes())
    except FileNotFoundError as error:
        raise ProofFailed(f"{error.filename} is missing; this is not a whole export of dockd.") from error
    except OSError as error:
        raise ProofFailed(f"The export cannot be read: {error}.") from error
    except ValidationError as error:
        raise ProofFailed(f"{bundle.EXPORT_NAME} is damaged ({error.error_count()} mistakes).") from error
    chains = {dock: read_chain(root, dock) for dock in index.docks}
    return Evidence(root, files, strange, index, store_key, chains)


def measure_all(root: Path) -> tuple[dict[str, Content], tuple[str, ...]]:
    """Every plain file below `root` by its relative path, and what is none; blocking. Lets OSError through."""
    strange: list[str] = []
    files: dict[str, Content] = {}
    for relative, is_regular in _walk(root):
        if is_regular:
            files[relative] = measure_file(root / relative)
        else:
            strange.append(relative)
    return files, tuple(strange)


def _walk(root: Path) -> Iterator[tuple[str, bool]]:
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = Path(folder) / name
            yield path.relative_to(root).as_posix(), path.is_file() and not path.is_symlink()
        for inner in sorted(Path(folder).iterdir()):
            if inner.is_symlink() and inner.is_dir():
                yield inner.relative_to(root).as_posix(), False


def read_chain(root: Path, dock: str, also: Callable[[RecordedFact], None] = lambda _: None) -> DockProof:
    """Read and replay `facts.jsonl` of a dock, every fact to `also` too; blocking. Faults are kept, not raised."""
    proof = DockProof(ChainReplay(dock))
    try:
        with (root / bundle.facts_path(dock)).open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE_BYTES):
                number += 1
                try:
                    recorded = RecordedFact.model_validate_json(line)
                except ValidationError:
                    proof.form_faults.append(f"line {number} is not a fact")
                    continue
                if bundle.fact_line(recorded) != line:
                    proof.form_faults.append(f"line {number} (fact {recorded.number}) is not in canonical form")
                proof.replay.add(recorded)
                also(recorded)
    except OSError as error:
        proof.form_faults.append(f"{bundle.facts_path(dock)} cannot be read: {error.strerror}")
    return proof
