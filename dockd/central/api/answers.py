"""The two ways in which the API answers."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel

NO_STORE = {"Cache-Control": "no-store"}


def json_answer(value: BaseModel, *, status: int = 200) -> web.Response:
    """`value` as JSON."""
    return raw_json_answer(value.model_dump_json().encode("utf-8"), status=status)


def raw_json_answer(body: bytes, *, status: int = 200) -> web.Response:
    """Bytes that are JSON already."""
    return web.Response(status=status, body=body, content_type="application/json", headers=NO_STORE)


def download_headers(name: str) -> dict[str, str]:
    """Whatever the bytes are, a browser must save them and never show or run them. `name` is a checked name."""
    return {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Type": "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
