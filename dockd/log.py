"""What the running program says of itself: one JSON object on each line, or coloured words on a terminal.

Everything goes through the standard library's logging, so that aiohttp and SQLAlchemy come out in the
same form. The journal is evidence, this is not: nothing here is needed to prove anything, and no contents of
recordings and no credentials are ever logged.
"""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import IO

import structlog
from pydantic import Field
from structlog.typing import Processor

from dockd.section import Section


class LogLevel(StrEnum):
    """How much is said."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """In which form."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogConfig(Section):
    """The `[log]` section."""

    level: LogLevel = Field(
        default=LogLevel.INFO, description="The least important messages that are written: debug, info, warning, error."
    )
    format: LogFormat = Field(
        default=LogFormat.AUTO,
        description="`json`: an object on each line; `console`: for people; `auto`: console on a terminal, else json.",
    )


_TALKATIVE = {
    "aiohttp.access": logging.WARNING,  # every poll of every page
    "aiosqlite": logging.WARNING,  # every statement at debug
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
}


def start_logging(config: LogConfig, *, stream: IO[str] | None = None) -> None:
    """Send all logging of this process to `stream` (standard error) in the form that `config` asks for.

    May be called again; the last call counts.
    """
    out = stream if stream is not None else sys.stderr
    is_console = config.format is LogFormat.CONSOLE or (config.format is LogFormat.AUTO and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if is_console:
        last += [structlog.dev.ConsoleRenderer(colors=out.isatty(), timestamp_key="at")]
    else:
        last += [
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False),
        ]
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = logging.getLevelNamesMapping()[config.level.value.upper()]
    root.setLevel(level)
    for name, least in _TALKATIVE.items():
        logging.getLogger(name).setLevel(max(level, least))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # loggers made at import must obey a later call
    )
