"""Charts as numbers: where each bar of a drawing lies, and the same as a table. Pure; the templates draw.

A chart is never the only way to a figure: beside each stands the table it was made from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 120
_GAP = 3


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar in units of the drawing. `is_known` False: nobody looked, which is not nought."""

    x: int
    y: int
    width: int
    height: int
    is_known: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A word under the bars."""

    x: int
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars beside each other. `summary` says in a sentence what a look at it says; `rows` are its table."""

    name: str
    title: str
    summary: str
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    top: str
    """What the highest bar stands for."""
    heads: tuple[str, str]
    rows: tuple[tuple[str, str], ...]


def bar_chart(
    name: str,
    title: str,
    heads: tuple[str, str],
    labels: Sequence[str],
    values: Sequence[int | None],
    words: Callable[[int], str],
    *,
    every: int = 3,
    when: str = "at",
) -> Chart:
    """One bar for each of `labels`, against the highest; every `every`th label is printed under its bar."""
    known = [(value, label) for value, label in zip(values, labels, strict=True) if value is not None]
    highest = max((value for value, _label in known), default=0)
    step = WIDTH // max(1, len(labels))
    bars = []
    for place, value in enumerate(values):
        height = 0 if value is None or not highest else max(1 if value else 0, value * HEIGHT // highest)
        bars.append(Bar(place * step, HEIGHT - height, max(1, step - _GAP), height, value is not None))
    if not known:
        summary = "Nothing is known of this time."
    elif not highest:
        summary = "Nothing in all of this time."
    else:
        at = next(label for value, label in known if value == highest)
        summary = f"Most: {words(highest)} {when} {at}. Last: {words(known[-1][0])} {when} {known[-1][1]}."
    return Chart(
        name=name,
        title=title,
        summary=summary,
        bars=tuple(bars),
        ticks=tuple(Tick(place * step + step // 2, label) for place, label in enumerate(labels) if place % every == 0),
        top=words(highest) if highest else "",
        heads=heads,
        rows=tuple(
            (label, "not known" if value is None else words(value)) for label, value in zip(labels, values, strict=True)
        ),
    )


def share(value: int, of: int) -> int:
    """Length of a bar in a table, 0 to 100; what is there at all is to be seen."""
    return max(1, value * 100 // of) if value and of else 0
