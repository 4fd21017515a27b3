"""Every pair of colours that carries text has a contrast of at least 4.5 : 1 (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

import re
from importlib import resources

import pytest

TONES = ("empty", "busy", "go", "ready", "charging", "take", "held", "fault")
PAIRS = [
    ("ink", "page"),
    ("ink", "card"),
    ("soft", "page"),
    ("soft", "card"),
    ("link", "page"),
    ("link", "card"),
    ("on-tone", "link"),
    ("on-tone", "held"),
    ("on-tone", "take"),
    ("soft", "held-tint"),
    *[(tone, f"{tone}-tint") for tone in TONES],
    *[("ink", f"{tone}-tint") for tone in TONES],
    *[("soft", f"{tone}-tint") for tone in TONES],
    ("link", "card"),
]
SHAPES = [(f"battery-{level}", "card") for level in ("good", "medium", "low")] + [
    ("bar-full", "bar"),
    ("bar-full", "card"),
    ("bar-middle", "card"),
    ("focus", "page"),
]


def schemes() -> dict[str, dict[str, str]]:
    css = (resources.files("dockd.web") / "static" / "dockd.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{([^}]*)\}", css)[:2]
    )
    return {"light": light, "dark": light | dark}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_can_be_read(scheme: str, text: str, ground: str) -> None:
    colours = schemes()[scheme]
    assert contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPES)
def test_shapes_can_be_told_from_their_ground(scheme: str, shape: str, ground: str) -> None:
    colours = schemes()[scheme]
    assert contrast(colours[shape], colours[ground]) >= 2.5


def test_the_measure_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
