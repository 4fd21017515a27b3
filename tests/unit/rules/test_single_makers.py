"""The permissions to erase and to delete, and the trust in a receipt, are each made in one place of the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def makers(name: str) -> set[str]:
    """Files of the product that call `name(...)`, in whatever way they imported it, or take its token."""
    found: set[str] = set()
    for folder in ("dockd", "drivers", "migrations"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_bytes())):
                called = node.func if isinstance(node, ast.Call) else None
                is_named = (isinstance(called, ast.Name) and called.id == name) or (
                    isinstance(called, ast.Attribute) and called.attr == name
                )
                if is_named:
                    found.add(path.relative_to(ROOT).as_posix())
    return found


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("Clearance", "dockd/rules/custody.py"),
        ("TrustedReceipt", "dockd/rules/receipts.py"),
        ("DisposalPermit", "dockd/rules/retention.py"),
    ],
)
def test_it_is_constructed_only_at_home(name: str, home: str) -> None:
    assert makers(name) == {home}


def test_nobody_takes_the_token_or_goes_around_the_constructor() -> None:
    taken: set[str] = set()
    for folder in ("dockd", "drivers"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_bytes())):
                names = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom | ast.Import) else set()
                if "_MADE_HERE" in names:
                    taken.add(str(path))
                if isinstance(node, ast.Attribute) and node.attr == "_MADE_HERE":
                    taken.add(str(path))
                is_copy = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "replace"
                if is_copy and isinstance(node.args[0], ast.Name):
                    name = node.args[0].id.lower()
                    if "clearance" in name or "permit" in name:
                        taken.add(str(path))
    assert not taken


def namers(name: str) -> set[str]:
    """Files of the product that use `name` at all, not only to call it."""
    found: set[str] = set()
    for path in (ROOT / "dockd").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if name in text else ():
            if name in (getattr(node, "id", None), getattr(node, "attr", None)):
                found.add(path.relative_to(ROOT).as_posix())
    return found


def test_stored_footage_is_deleted_nowhere_but_by_a_permit() -> None:
    """Who uses a store's way to delete, and S3's, and who asks the rules for a permit: each in one place."""
    assert namers("dispose_file") == {"dockd/central/stores/files.py"}
    assert namers("dispose_object") == {"dockd/central/stores/s3/store.py"}
    assert makers("permit") == {"dockd/central/retention/disposal.py"}
    assert namers("delete_object") == {"dockd/central/stores/s3/bucket.py"}
    assert namers("delete_objects") == set()
    assert not [one for one in namers("rmtree") if one.startswith("dockd/central")]
