"""Two centres over one database and one real bucket complete the same upload at the same moment: one receipt."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import select
from yarl import URL

from dockd.central.app import serving_centre
from dockd.central.config import CentreConfig
from dockd.central.database import Database, sqlite_url
from dockd.central.opening import DATABASE_FILE, initialise_centre
from dockd.central.stores.s3.config import StoreConfig
from dockd.central.tables import receipts
from tests.support.dock_voice import DockVoice
from tests.support.object_store import ObjectStoreServer, make_bucket
from tests.support.store_site import PART_BYTES

CONTENT = os.urandom(2 * PART_BYTES + 4321)


@pytest.mark.parametrize("server", ["ceph", "swift"], indirect=True)
async def test_upload_completed_at_both_at_once_has_one_receipt_that_both_answer_with(
    server: ObjectStoreServer, tmp_path: Path, configured: Callable[..., StoreConfig], bucket_name: str
) -> None:
    await make_bucket(server, bucket_name)
    folder = tmp_path / "centre"
    await initialise_centre(folder)
    config = CentreConfig(folder=str(folder), port=0)
    store = configured(server, bucket_name)
    async with AsyncExitStack() as stack:
        served = [await stack.enter_async_context(serving_centre(config, store_config=store)) for _ in range(2)]
        session = await stack.enter_async_context(aiohttp.ClientSession())
        voices = [DockVoice(session, one.url) for one in served]
        upload = (await voices[0].claim(CONTENT, part_size_bytes=PART_BYTES)).json["upload"]
        there = (await voices[1].ask("GET", f"/api/v1/uploads/{upload['upload']}")).json
        assert [one["digest"] for one in there["parts"]] == [one["digest"] for one in upload["parts"]]
        for part in (*upload["parts"][:1], *there["parts"][1:]):
            body = CONTENT[part["offset_bytes"] :][: part["size_bytes"]]
            headers = {name: one for name, one in part["headers"].items() if name != "Content-Length"}
            async with session.put(URL(part["url"], encoded=True), data=io.BytesIO(body), headers=headers) as answer:
                assert answer.status == 200, await answer.text()
        replies = await asyncio.gather(*(voice.complete(upload["upload"]) for voice in voices * 2))
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body for reply in replies}) == 1
    database = Database(sqlite_url(folder / DATABASE_FILE))
    await database.open()
    async with database.reading() as connection:
        held = (await connection.execute(select(receipts.c.receipt))).scalars().all()
    await database.close()
    assert [one.encode() for one in held] == [replies[0].body]
