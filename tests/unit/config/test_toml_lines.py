"""Every mistake must be shown with its line, however the table around it is written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dockd.config.toml_lines import key_lines, line_of

EXAMPLE = '''\
# a comment with [brackets] and = signs
title = "x"  # [not.a.table]

[dock]
id = "d1"
site."full name" = 'Blackfriars = "north"'

[[bays]]
id = "1"
[bays.lamp]
pin = 4

[[bays]]
id = "2"
ports = [
    "1-1.3",  # ]
    "1-1.4",
]

[drivers.simulated]
options = { folder = "/x", limits = { a = 1, b = [1, 2, { c = 3 }] } }
text = """
[fake]
key = "\\""" ""\\
"""
after = 1
raw = \'\'\'
[[fake]]
\'\'\'
"quoted \\u0041" = 2
'''


def test_every_way_of_writing_a_key_gives_its_own_line() -> None:
    tomllib.loads(EXAMPLE)
    lines = key_lines(EXAMPLE)
    text = EXAMPLE.splitlines()

    def at(*path: str | int) -> str:
        return text[lines[path] - 1]

    assert at("title").startswith("title")
    assert at("dock", "id") == 'id = "d1"'
    assert at("dock", "site", "full name").startswith("site")
    assert at("bays", 0, "id") == 'id = "1"'
    assert at("bays", 0, "lamp", "pin") == "pin = 4"
    assert at("bays", 1, "id") == 'id = "2"'
    assert at("bays", 1, "ports", 1).strip().startswith('"1-1.4"')
    assert at("drivers", "simulated", "options", "limits", "b", 2, "c").startswith("options")
    assert at("drivers", "simulated", "after") == "after = 1"
    assert at("drivers", "simulated", "quoted A").startswith('"quoted')
    assert not [path for path in lines if "fake" in path]


def test_a_missing_key_gives_the_line_of_the_table_around_it() -> None:
    lines = key_lines(EXAMPLE)
    assert line_of(lines, ("dock", "nothing", "here")) == EXAMPLE.splitlines().index("[dock]") + 1
    assert line_of(lines, ("bays", 1, "port")) == 13
    assert line_of(lines, ("nowhere",)) is None


_names = st.sampled_from(["id", "a.b", 'q"uote', "#", "=", "[x]", "folder", "ä", ""])
_trees = st.recursive(
    st.just(0),
    lambda inner: st.dictionaries(_names, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=12,
)


def _numbered(tree: Any, count: list[int]) -> Any:
    """The same shape with a different number in every leaf, so that a line can be told by its number."""
    if isinstance(tree, dict):
        return {name: _numbered(inner, count) for name, inner in tree.items()}
    if isinstance(tree, list):
        return [_numbered(inner, count) for inner in tree]
    count[0] += 1
    return 10_000 + count[0]


def _inline(tree: Any, breaks: Callable[[], str]) -> str:
    if isinstance(tree, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_inline(v, breaks)}" for k, v in tree.items()) + " }"
    if isinstance(tree, list):
        gap = breaks()
        return "[" + gap + ("," + gap).join(_inline(v, breaks) for v in tree) + gap + "]"
    return str(tree)


def _written(name: str, tree: Any, breaks: Callable[[], str]) -> str:
    """A table, or an array of tables, by headers; anything else inline."""
    if isinstance(tree, dict):
        return _under(f"[{name}]", tree, breaks)
    if isinstance(tree, list) and tree and all(isinstance(one, dict) for one in tree):
        return "".join(_under(f"[[{name}]]", one, breaks) for one in tree)
    return f"{name} = {_inline(tree, breaks)}\n"


def _under(header: str, table: dict[str, Any], breaks: Callable[[], str]) -> str:
    return header + "\n" + "".join(f"{json.dumps(k)} = {_inline(v, breaks)}\n" for k, v in table.items())


def _leaves(tree: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], int]:
    if isinstance(tree, dict):
        return {k: v for name, inner in tree.items() for k, v in _leaves(inner, (*path, name)).items()}
    if isinstance(tree, list):
        return {k: v for place, inner in enumerate(tree) for k, v in _leaves(inner, (*path, place)).items()}
    return {path: tree}


@given(trees=st.lists(_trees, min_size=1, max_size=4), data=st.data())
def test_the_line_found_for_a_value_is_a_line_that_holds_it(trees: list[Any], data: st.DataObject) -> None:
    def breaks() -> str:
        return data.draw(st.sampled_from(["", " ", "\n", " # ] } = [x]\n"]))

    count = [0]
    document = {f"t{place}": _numbered(tree, count) for place, tree in enumerate(trees)}
    # Plain keys must come before the first table header, or they would belong to it.
    parts = [_written(name, tree, breaks) for name, tree in document.items()]
    text = "".join(sorted(parts, key=lambda part: part.startswith("[")))
    assert tomllib.loads(text) == document
    lines = key_lines(text)
    for path, value in _leaves(document).items():
        assert str(value) in text.splitlines()[lines[path] - 1]
