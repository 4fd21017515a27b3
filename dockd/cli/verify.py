"""`dockd verify PATH`: check an export with nothing but what lies in it (and keys that you trust).

Exit status 0 when every claim holds, 1 when one does not, or when there is nothing to check.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from dockd.custody_out.bundle import read_public_pem
from dockd.custody_out.claims import claim_lines
from dockd.custody_out.pinned import PinnedKeys
from dockd.custody_out.proof import prove
from dockd.errors import ProofFailed

_key_file = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("path", type=click.Path(path_type=Path, file_okay=False))
@click.option("--store-key", type=_key_file, help="The published key of the receipts (PEM).")
@click.option("--dock-key", "dock_keys", type=_key_file, multiple=True, help="A published key of a dock (PEM).")
@click.option("--json", "as_json", is_flag=True, help="Print the claims as JSON.")
def verify(path: Path, store_key: Path | None, dock_keys: tuple[Path, ...], as_json: bool) -> None:
    """Check chain, signatures and digests of an export, without any server.

    Without --store-key and --dock-key the export's own keys are used: then compare the fingerprints that
    are printed with those that the force published.
    """
    pinned = PinnedKeys(
        store=read_public_pem(store_key.read_bytes()) if store_key else None,
        docks=frozenset(read_public_pem(file.read_bytes()) for file in dock_keys) if dock_keys else None,
    )
    claims = prove(path, pinned)
    if as_json:
        told = [
            {"claim": one.words, "holds": one.holds, "faults": list(one.faults), "note": one.note} for one in claims
        ]
        click.echo(json.dumps(told, indent=2))
    else:
        for line in claim_lines(claims):
            click.echo(line)
    failed = sum(not one.holds for one in claims)
    if failed:
        raise ProofFailed(f"{failed} of {len(claims)} claims about {path} do not hold.")
    if not as_json:
        click.echo(f"All {len(claims)} claims about {path} hold.")
