"""Names and addresses of hosts, as configurations and requests write them. Pure: no request, no network."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import StringConstraints

HostText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def host_name(host_header: str) -> str | None:
    """The name in a `Host` header, lower case, without port and brackets; None when it is none."""
    try:
        parts = urlsplit(f"//{host_header}")
        _ = parts.port  # raises ValueError when it is not a port
    except ValueError:
        return None
    if parts.hostname is None or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname.lower().rstrip(".")  # urlsplit keeps the case of an IPv6 zone


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
