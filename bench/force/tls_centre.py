"""`python -m bench.force.tls_centre CONFIG CERTIFICATE KEY`: the centre's application behind its own TLS socket.

What `dockd central run` serves, put onto a socket with TLS.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from aiohttp import web

from dockd.central.app import build_centre
from dockd.config import load_central_config
from dockd.log import start_logging
from tests.support.certificates import TlsFiles


async def _serve(config_file: Path, tls: TlsFiles) -> None:
    config = load_central_config(config_file)
    start_logging(config.log)
    app = build_centre(config.central, store_config=config.store)
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    runner = web.AppRunner(app, access_log=None, lingering_time=0.0, shutdown_timeout=15.0)
    await runner.setup()
    try:
        await web.TCPSite(
            runner, config.central.host, config.central.port, ssl_context=tls.server_context(), backlog=1024
        ).start()
        await asked_to_stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    _config, _certificate, _key = map(Path, sys.argv[1:])
    asyncio.run(_serve(_config, TlsFiles(_certificate, _key)))
