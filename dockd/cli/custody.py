"""`dockd custody export`: the account of custody as a signed bundle in a folder, checked before it gets its name.

Talks to the centre's API only. Exit status 0 when the bundle is genuine and whole and its facts tell of nothing that
must never happen, 1 else. Differences are told, and are no failure of the export.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import click

from dockd.cli.recordings import Centre, open_archive
from dockd.cli.script_token import token_option
from dockd.clock import SystemClock
from dockd.custody_out.bundle import read_public_pem
from dockd.custody_out.claims import claim_lines
from dockd.custody_out.custody_bundle import KINDS
from dockd.custody_out.custody_fetch import CustodyFetch
from dockd.custody_out.custody_proof import CustodyProof
from dockd.custody_out.pinned import PinnedKeys
from dockd.errors import BadRequest
from dockd.rules.differences import DIFFERENCE_WORDS, Difference, in_order
from dockd.wire.custody import CustodyDifference


@click.group()
def custody() -> None:
    """The account of custody: what was on the cards, where it is, who held the camera, what was erased and why."""


@custody.command("export")
@click.option("--centre", "url", default="http://127.0.0.1:8490", show_default=True, help="Address of the centre.")
@click.option("--camera", help="Only of this camera (`driver:serial`).")
@click.option("--officer", help="Only while this officer held the camera.")
@click.option("--site", help="Only from the docks of this site.")
@click.option("--dock", help="Only from this dock.")
@click.option("--from", "first", metavar="DAY", help="Recorded on this UTC day or later (2026-11-22).")
@click.option("--to", "last", metavar="DAY", help="Recorded on this UTC day or before.")
@click.option("--with-footage", is_flag=True, help="The footage too.")
@click.option(
    "--store-key",
    "store_key_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The published key of the centre (PEM); without it the centre's word for it is taken.",
)
@token_option
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def export_custody(
    url: str,
    camera: str | None,
    officer: str | None,
    site: str | None,
    dock: str | None,
    first: str | None,
    last: str | None,
    with_footage: bool,
    store_key_file: Path | None,
    token_file: Path | None,
    folder: Path,
) -> int:
    """Write a signed bundle to FOLDER (new or empty) and check it as `dockd verify` does.

    Until everything is there and checked it lies in FOLDER.partial; the same command again goes on with the footage
    that was fetched.
    """
    asked = {"camera": camera, "officer": officer, "site": site, "dock": dock, "from": first, "to": last}
    query = {name: value for name, value in asked.items() if value}
    pinned = PinnedKeys(store=read_public_pem(store_key_file.read_bytes()) if store_key_file else None)
    try:
        proof = asyncio.run(_export(Centre(url, token_file), folder, query, with_footage, pinned))
    except OSError as error:
        raise BadRequest(
            f"{folder} cannot be written: {error.strerror}. What was fetched is in {folder}.partial."
        ) from error
    for line in (*difference_lines(folder), *claim_lines((*proof.of_bundle, *proof.of_custody))):
        click.echo(line)
    click.echo(f"The bundle is in {folder}.")
    return 0 if all(one.holds for one in (*proof.of_bundle, *proof.of_custody)) else 1


async def _export(
    centre: Centre, folder: Path, query: dict[str, str], with_footage: bool, pinned: PinnedKeys
) -> CustodyProof:
    async with open_archive(centre) as archive:
        told = CustodyFetch(
            archive, folder, SystemClock(), pinned=pinned, told=lambda words: click.echo(words, err=True)
        )
        return await told.fetch(query, has_footage=with_footage)


def difference_lines(folder: Path) -> list[str]:
    """How many differences of each kind a bundle tells of, the gravest first."""
    counts: Counter[Difference] = Counter()
    for path in sorted((folder / KINDS[CustodyDifference]).glob("*.jsonl")):
        with path.open("rb") as lines:
            counts.update(Difference(json.loads(line)["difference"]) for line in lines)
    if not counts:
        return ["There are no differences."]
    return [f"{counts[one]:>8,}  {one.value}: {DIFFERENCE_WORDS[one]}" for one in in_order(set(counts))]
