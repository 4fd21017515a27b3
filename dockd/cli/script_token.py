"""The token with which a command signs in at a centre. Read from a file: what is typed is seen by everybody."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import click

from dockd.errors import BadRequest
from dockd.web.hosts import is_loopback

_LONGEST_BYTES = 1_000

token_option = click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="DOCKD_TOKEN_FILE",
    show_envvar=True,
    help="File with a token for scripts, mode 0600, where the centre asks people to sign in.",
)


def read_token(file: Path, url: str) -> str:
    """The token in `file`, for the centre at `url`. Raises BadRequest in words."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise BadRequest(f"The token would cross the network in the clear to {url}: use its https address.")
    try:
        if file.stat().st_mode & 0o077:
            raise BadRequest(f"{file} can be read by other users; run: chmod 600 {file}")
        with file.open("rb") as opened:
            token = opened.read(_LONGEST_BYTES).decode("ascii").strip()
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise BadRequest(f"{file} holds no token.") from None
    if not token or not token.isprintable() or " " in token:
        raise BadRequest(f"{file} holds no token.")
    return token
