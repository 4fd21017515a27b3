"""A real export, judged by programs that are not ours: sha256sum, openssl, jq and the ASC's own tool.

Dock and centre are the real ones over loopback. The shell blocks of `docs/verifying.md` are run as they
stand in the document, so that the document cannot go stale.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.cli.recordings import recordings
from dockd.cli.verify import verify
from tests.support.played_session import play_session
from tests.support.public_tools import judge, tools_in
from tests.support.upload_site import DOCK, UploadSite, open_site

DOCUMENT = Path(__file__).parents[2] / "docs" / "verifying.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
HEADINGS = re.findall(r"^## (.*?)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
TOOLS = [name for name in ("sha256sum", "openssl", "jq", "bash", "sed") if shutil.which(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(TOOLS), reason=f"not installed: {', '.join(TOOLS)}"),
]


@pytest.fixture
async def centre_url(tmp_path: Path) -> AsyncIterator[tuple[str, UploadSite]]:
    """A centre that has taken one whole session of a dock, facts, manifests and all."""
    folder = tmp_path / "centre"
    pinned = await initialise_centre(folder)
    async with (
        serving_centre(CentreConfig(folder=str(folder), port=0, free_space_floor_bytes=0)) as centre,
        open_site(tmp_path / "dock", centre.url, pinned) as site,
    ):
        await play_session(site, tmp_path / "dock")
        yield centre.url, site


@pytest.fixture
async def export(centre_url: tuple[str, UploadSite], tmp_path: Path) -> Path:
    """What the command writes, in another thread, as another process would."""
    url, site = centre_url
    root = tmp_path / "export"
    result = await asyncio.to_thread(
        CliRunner().invoke,
        recordings,
        ["export", "--centre", url, "--session", f"{DOCK}/{site.session}", "--to", str(root)],
        standalone_mode=False,
    )
    assert result.exception is None, result.output
    assert result.return_value == 0, result.output
    return root


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    return tools_in(tmp_path / "tools")


def files(export: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in export.glob("footage/*/*/*.*") if path.suffix != ".txt"}


async def test_every_check_of_the_document_passes_on_a_real_export(export: Path, tools: Path) -> None:
    assert len(BLOCKS) >= 8
    for script in BLOCKS:
        result = judge(script, export, tools)
        assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
    assert len(files(export)) == 3


@pytest.mark.parametrize(
    ("pattern", "heading"),
    [
        ("footage/*/*/*_VID-0001_*.MP4", "1"),
        ("footage/*/*/*_VID-0001_*.MP4", "2"),
        ("receipts/*/*.signed", "3"),
        ("receipts/*/*.signature", "3"),
        ("docks/*/facts.jsonl", "4"),
        ("docks/*/key-1/*.signature", "5"),
    ],
)
async def test_check_of_the_document_finds_what_it_says_it_finds(
    export: Path, tools: Path, pattern: str, heading: str
) -> None:
    path = sorted(export.glob(pattern))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    text = DOCUMENT.read_text(encoding="utf-8")
    chapter = re.split(r"^## ", text, flags=re.MULTILINE)
    scripts = re.findall(
        r"^```sh\n(.*?)^```", next(one for one in chapter if one.startswith(heading)), re.DOTALL | re.M
    )
    assert any(judge(script, export, tools).returncode != 0 for script in scripts)


async def test_asc_tool_finds_a_changed_and_an_additional_file(export: Path, tools: Path) -> None:
    folder = next(export.glob("footage/*/*"))
    assert judge(f"ascmhl-debug verify -dh {folder}", export, tools).returncode == 0
    (folder / "extra.MP4").write_bytes(b"x")
    assert judge(f"ascmhl-debug verify {folder}", export, tools).returncode != 0


async def test_dockd_verify_says_ok_and_then_fail(export: Path) -> None:
    result = CliRunner().invoke(verify, [str(export)], standalone_mode=False)
    assert result.exception is None, result.output
    assert "FAIL" not in result.output
    path = next(export.glob("footage/*/*/*_VID-0001_*.MP4"))
    path.write_bytes(path.read_bytes()[:-1])
    result = CliRunner().invoke(verify, [str(export)], standalone_mode=False)
    assert type(result.exception).__name__ == "ProofFailed"
    assert path.name in result.output


async def test_list_and_show_tell_what_is_in_the_store(centre_url: tuple[str, UploadSite]) -> None:
    url, site = centre_url
    listed = await asyncio.to_thread(
        CliRunner().invoke, recordings, ["list", "--centre", url, "--camera", site.camera], standalone_mode=False
    )
    assert listed.exception is None, listed.output
    lines = listed.output.splitlines()
    assert len(lines) == 3
    assert all("accepted" in line and "PC1234" in line for line in lines)
    digest = re.search(r"[0-9a-f]{64}", lines[0])
    assert digest is not None
    shown = await asyncio.to_thread(
        CliRunner().invoke, recordings, ["show", "--centre", url, digest.group()], standalone_mode=False
    )
    assert shown.exception is None, shown.output
    assert digest.group() in shown.output
    assert "Custody" in shown.output
