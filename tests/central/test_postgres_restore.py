"""A centre restored from yesterday's backup: docks tell again what it lost, and its receipts come back proved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.opening import initialise_centre
from dockd.model import facts as f
from tests.support.dock_voice import Chain, DockVoice, sha256
from tests.support.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]


@pytest.fixture
def databases(postgres: PostgresServer) -> Iterator[tuple[str, str]]:
    """One, and an empty one to restore it into."""
    names = postgres.new_database(), postgres.new_database()
    yield names
    for name in names:
        postgres.drop_database(name)


async def test_restored_centre_and_its_docks_come_together_again(
    tmp_path: Path, postgres: PostgresServer, databases: tuple[str, str], session: aiohttp.ClientSession
) -> None:
    folder = tmp_path / "centre"
    before, after = os.urandom(3000), os.urandom(3000)
    await initialise_centre(folder, database_url=postgres.address(databases[0]))
    config = CentreConfig(
        folder=str(folder), port=0, free_space_floor_bytes=0, database_url=postgres.address(databases[0])
    )
    chain = Chain()
    chain.start()
    async with serving_centre(config) as served:
        dock = DockVoice(session, served.url)
        assert (await dock.put_facts(chain.facts)).status == 200
        old_receipt = await dock.send(before)
        backup = postgres.dump(databases[0])
        chain.add(*(f.CameraDocked(session=f"s{n}", bay="b", port="p") for n in range(5)))
        assert (await dock.put_facts(chain.facts[1:])).status == 200
        await dock.send(after)

    postgres.restore(databases[1], backup)
    restored = config.model_copy(update={"database_url": postgres.address(databases[1])})
    async with serving_centre(restored) as served:
        dock = DockVoice(session, served.url)
        chain.add(f.CameraDocked(session="s9", bay="b", port="p"))
        refused = await dock.put_facts(chain.facts[6:])
        assert (refused.status, refused.code) == (409, "gap")
        assert refused.json["expected_number"] == 2
        assert (await dock.put_facts(chain.facts[1:])).json == {"number": 7, "head": chain.head}
        assert (await dock.claim(before)).json["receipt"] == old_receipt
        # Its row is lost, its bytes are not: nothing is sent again, everything is proved again.
        offered = (await dock.claim(after)).json
        assert offered["receipt"] is None
        assert offered["upload"]["parts"] == []
        receipt = await dock.complete(offered["upload"]["upload"])
        assert (receipt.status, receipt.json["digest"]) == (200, sha256(after))
        assert (folder / receipt.json["object_key"]).read_bytes() == after
