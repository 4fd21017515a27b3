"""The bucket put together for one process: the store, and what goes on beside it.

Beside the answering of docks a centre tries the store (the canary), aborts orphaned uploads and reads back
what waits for proof; `dockd central verifier` does only the last. Each part lives through trouble of store and
database; anything else that one of them raises is a bug and ends them all.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from dockd.central.canary import CanaryRecords
from dockd.central.canary_trials import Canary
from dockd.central.database import Database
from dockd.central.store_checks import BucketRecords
from dockd.central.stores.s3.bucket import Bucket
from dockd.central.stores.s3.config import StoreConfig
from dockd.central.stores.s3.store import S3Store
from dockd.central.verifier import Verifier
from dockd.central.verifier_queue import VerifierQueue
from dockd.clock import Clock
from dockd.web.problems import Refusal

_log = structlog.get_logger(__name__)
_SWEEP_SECONDS = 6 * 3600.0
_AGAIN_AFTER_FAILURE_SECONDS = 600.0


class BucketService:
    """One bucket in one process. `store` implements `ObjectStore`; opening it opens the bucket."""

    def __init__(self, config: StoreConfig, database: Database, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._work_to_do = asyncio.Event()
        self._queue = VerifierQueue(database, clock, config.place.bucket)
        self.records = BucketRecords(CanaryRecords(database, config.place, clock), self._queue)
        self._bucket = Bucket(config)
        self.store = S3Store(self._bucket, database=database, clock=clock, work_to_do=self._work_to_do)
        self.canary = Canary(self._bucket, self.records.canaries, clock)

    async def run(self, orphans_after: timedelta) -> None:
        """All that a centre does beside answering, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.canary.run(), name="store canary")
            group.create_task(self._sweep(orphans_after), name="store sweep")
            if self._config.verifiers:
                group.create_task(self.verify(self._config.verifiers), name="verifiers")

    async def verify(self, workers: int) -> None:
        """Read back what waits, `workers` at a time, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(1, workers + 1):
                one = Verifier(self._bucket, self._queue, self._work_to_do, number)
                group.create_task(one.run(), name=f"verifier {number}")

    async def _sweep(self, orphans_after: timedelta) -> None:
        while True:
            seconds = _SWEEP_SECONDS
            try:
                await self.store.give_up_orphans(orphans_after)
            except Refusal as refusal:
                _log.warning("store_sweep_failed", reason=refusal.what)
                seconds = _AGAIN_AFTER_FAILURE_SECONDS
            await self._clock.sleep(seconds)
