"""The centre's pages: docks, bays, sessions, and recordings with their custody. Read-only, no scripts.

Knows `Queries` (through `Services`), which answers with plain values; never a table or a store.
"""

from __future__ import annotations

from dockd.central.pages.app import add_pages

__all__ = ["add_pages"]
