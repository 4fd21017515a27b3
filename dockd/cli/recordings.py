"""`dockd recordings`: what the central store holds, and how to take it out so that anyone can check it.

Talks to the centre's API only. Exit status of `export`: 0 when everything asked for is there and the
export proves itself, 1 else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from dockd.cli.script_token import read_token, token_option
from dockd.clock import SystemClock
from dockd.custody_out.bundle import ExportIndex, read_public_pem
from dockd.custody_out.claims import claim_lines
from dockd.custody_out.export import Exporter, Selection
from dockd.custody_out.pinned import PinnedKeys
from dockd.custody_out.proof import prove
from dockd.dock.centre_archive import CentreArchive
from dockd.dock.centre_wire import open_http_session
from dockd.errors import BadRequest, CentreRefused, CentreUnavailable, NotFound
from dockd.model.ids import SessionId, parse_digest, parse_id
from dockd.model.moment import format_utc
from dockd.wire.messages import RecordingDetail, RecordingSummary

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Centre:
    """Which centre is asked, and the file of the token to sign in with; None where nobody signs in."""

    url: str
    token_file: Path | None


_centre_option = click.option(
    "--centre", "url", default="http://127.0.0.1:8490", show_default=True, help="Address of the centre."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def recordings() -> None:
    """List, show and export recordings of the central store."""


@recordings.command("list")
@_centre_option
@click.option("--camera", help="Only of this camera (`driver:serial`).")
@click.option("--session", help="Only of this session.")
@click.option("--dock", help="Only from this dock.")
@click.option("--officer", help="Only recorded while this officer held the camera.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=_PAGE, show_default=True, help="At most so many.")
@token_option
@_json_option
def list_recordings(url: str, token_file: Path | None, limit: int, as_json: bool, **filters: str | None) -> None:
    """List recordings, newest first."""
    wanted = {name: value for name, value in filters.items() if value is not None}
    found = asyncio.run(_listed(Centre(url, token_file), wanted, limit))
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=2))
        return
    for one in found:
        click.echo(summary_line(one))
    if not found:
        click.echo("The central store has no such recordings.", err=True)


@recordings.command("show")
@_centre_option
@click.argument("digest")
@token_option
@_json_option
def show_recording(url: str, digest: str, token_file: Path | None, as_json: bool) -> None:
    """Show one recording by its SHA-256: where it came from, its receipt, what happened to it."""
    detail = asyncio.run(_detail(Centre(url, token_file), digest))
    click.echo(json.dumps(detail.to_json(), indent=2) if as_json else "\n".join(detail_lines(detail)))


@recordings.command("export")
@_centre_option
@click.option("--session", help="All recordings of one session; `DOCK/SESSION` or its name alone.")
@click.option("--camera", help="All recordings of one camera (`driver:serial`).")
@click.option("--digest", help="One recording, by its SHA-256.")
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True, help="A new or empty folder.")
@click.option(
    "--store-key",
    "store_key_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The published key of the receipts (PEM); without it the centre's word for it is taken.",
)
@token_option
@_json_option
def export_recordings(
    url: str,
    session: str | None,
    camera: str | None,
    digest: str | None,
    folder: Path,
    store_key_file: Path | None,
    token_file: Path | None,
    as_json: bool,
) -> int:
    """Write footage, manifests, receipts and the dock's facts to a folder, and check it as `dockd verify` does."""
    selection = selection_of(session, camera, digest)
    key = read_public_pem(store_key_file.read_bytes()) if store_key_file else None

    def tell(words: str) -> None:
        click.echo(words, err=True)

    index = asyncio.run(_export(Centre(url, token_file), folder, selection, key, (lambda _: None) if as_json else tell))
    claims = prove(folder, PinnedKeys(store=key))
    if as_json:
        click.echo(json.dumps(index.to_json(), indent=2))
    else:
        for line in (*export_lines(index, folder), *claim_lines(claims)):
            click.echo(line)
    return 0 if all(one.holds for one in claims) and not index.missing and not index.notes else 1


def selection_of(session: str | None, camera: str | None, digest: str | None) -> Selection:
    """What the options ask for. Raises BadRequest unless exactly one is given, in its form."""
    if sum(one is not None for one in (session, camera, digest)) != 1:
        raise BadRequest("Give exactly one of --session, --camera and --digest.")
    if digest is not None:
        return Selection(digest=parse_digest(digest.lower()))
    if camera is not None:
        return Selection(camera=camera)
    dock, slash, name = (session or "").rpartition("/")
    return Selection(session=SessionId(parse_id(name, "session")), dock=parse_id(dock, "dock") if slash else None)


def summary_line(one: RecordingSummary) -> str:
    """One recording on one line."""
    recorded = f"{one.recorded_at:%Y-%m-%d %H:%M:%SZ}" if one.recorded_at else "time unknown        "
    state = "accepted" if one.accepted_at else "on its way"
    return (
        f"{recorded}  {one.camera}  {one.officer or 'officer unknown'}  {one.size_bytes:>14,} B  {state}  "
        f"{one.dock}/{one.session}  {one.digest}  {one.path}"
    )


def detail_lines(detail: RecordingDetail) -> list[str]:
    """Everything about one recording, for a person."""
    lines: list[str] = []
    for one in detail.sources:
        lines += [
            f"Recording   {one.recording} of camera {one.camera}",
            f"  on card   {one.path}",
            f"  recorded  {format_utc(one.recorded_at) if one.recorded_at else 'unknown'}",
            f"  officer   {one.officer or 'unknown'}",
            f"  came by   dock {one.dock}, session {one.session}",
            f"  content   {one.size_bytes:,} bytes, container {one.container.value}",
        ]
    if detail.receipt is None:
        lines.append("Receipt     none: the store does not hold it yet")
    else:
        lines += [
            f"Receipt     of store {detail.receipt.store}, key {detail.receipt.key}",
            f"  accepted  {format_utc(detail.receipt.accepted_at)}",
            f"  SHA-256   {detail.receipt.digest}",
        ]
    lines.append("Custody")
    lines += [f"  {format_utc(one.at)}  {one.dock} fact {one.fact_number}  {one.words}" for one in detail.custody]
    return lines


def export_lines(index: ExportIndex, folder: Path) -> list[str]:
    """What an export brought, for a person."""
    total = sum(one.size_bytes for one in index.recordings)
    lines = [f"{len(index.recordings)} recordings, {total:,} bytes of {index.asked_for} are in {folder}"]
    lines += [f"MISSING recording {one.recording}: {one.reason}" for one in index.missing]
    return lines + [f"NOTE {note}" for note in index.notes]


@asynccontextmanager
async def open_archive(centre: Centre) -> AsyncIterator[CentreArchive]:
    """The reading side of a centre. Raises BadRequest for what is no address or no token."""
    if not centre.url.startswith(("http://", "https://")):
        raise BadRequest(f"{centre.url!r} is not the address of a centre; it begins with http:// or https://.")
    token = read_token(centre.token_file, centre.url) if centre.token_file is not None else None
    async with open_http_session() as session:
        if token is not None:
            session.headers["Authorization"] = f"Bearer {token}"
        try:
            yield CentreArchive(session, centre.url, SystemClock())
        except CentreUnavailable as error:  # its words are for docks; here it is a person who asks
            error.footage = "The central store keeps what it holds; an export that stopped is not complete."
            error.action = "Do what is said above, or try again later."
            raise


async def _listed(centre: Centre, filters: dict[str, str], limit: int) -> list[RecordingSummary]:
    found: list[RecordingSummary] = []
    after: str | None = None
    async with open_archive(centre) as archive:
        while len(found) < limit:
            page = await archive.recordings(filters, after)
            found += page.recordings
            if page.next_after is None or page.next_after == after:
                break
            after = page.next_after
    return found[:limit]


async def _detail(centre: Centre, digest: str) -> RecordingDetail:
    wanted = parse_digest(digest.lower())
    async with open_archive(centre) as archive:
        try:
            return await archive.recording(wanted)
        except CentreRefused as refused:
            if refused.status == 404:
                raise NotFound(f"The central store has no recording with digest {wanted}.") from refused
            raise


async def _export(
    centre: Centre, folder: Path, selection: Selection, key: str | None, told: Callable[[str], None]
) -> ExportIndex:
    async with open_archive(centre) as archive:
        return await Exporter(archive, folder, SystemClock(), store_key=key, told=told).export(selection)
