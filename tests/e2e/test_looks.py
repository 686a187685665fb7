"""Three themes and three kinds of colour blindness: what the browser really paints keeps the states apart."""

from __future__ import annotations

import itertools
import re
from typing import Any

STATES = ("up", "warn", "crit", "maint")
# Machado, Oliveira and Fernandes 2009, severity 1.0, applied to linear RGB.
SEEN_BY = {
    "everybody": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
WHITE = (0.95047, 1.0, 1.08883)
Colour = tuple[float, float, float]


def times(matrix: Any, colour: Colour) -> Colour:
    red, green, blue = (sum(weight * part for weight, part in zip(row, colour, strict=True)) for row in matrix)
    return red, green, blue


def linear(colour: Colour) -> Colour:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return red, green, blue


def lab(colour: Colour) -> Colour:
    """CIELAB of linear RGB."""
    x, y, z = (
        ratio ** (1 / 3) if ratio > 216 / 24389 else (24389 / 27 * ratio + 16) / 116
        for ratio in (part / white for part, white in zip(times(XYZ, colour), WHITE, strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(one: Colour, other: Colour) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5)


def contrast(one: Colour, other: Colour) -> float:
    light = sorted(times(XYZ, linear(colour))[1] for colour in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


def painted(page: Any, name: str) -> Colour:
    """What the browser makes of `var(--name)`, 0 to 1 each."""
    text: str = page.evaluate(
        """name => {
            const probe = document.body.appendChild(document.createElement('i'))
            probe.style.color = `var(--${name})`
            const colour = getComputedStyle(probe).color
            probe.remove()
            return colour
        }""",
        name,
    )
    red, green, blue = (float(part) for part in re.findall(r"[\d.]+", text)[:3])
    return red / 255, green / 255, blue / 255


def test_states_differ_for_every_eye_in_every_theme(calm_tocsin: Any, open_browser: Any) -> None:
    page = open_browser(calm_tocsin)
    problems = []
    for theme in ("light", "dark", "contrast"):
        page.goto(f"{calm_tocsin.url}/?theme={theme}")
        page.locator("main h1").first.wait_for()
        colours = {name: painted(page, name) for name in STATES}
        surface = painted(page, "surface")
        problems += [
            f"{theme}: {one} and {other} for {eye}: {apart:.0f}"
            for eye, matrix in SEEN_BY.items()
            for one, other in itertools.combinations(STATES, 2)
            if (apart := distance(*(lab(clip(times(matrix, linear(colours[name])))) for name in (one, other)))) < 30
        ]
        ratios = {name: contrast(colours[name], surface) for name in STATES}
        problems += [f"{theme}: {name} is pale: {ratio:.1f}" for name, ratio in ratios.items() if ratio < 3]
    assert not problems, problems


def clip(colour: Colour) -> Colour:
    red, green, blue = (min(max(part, 0.0), 1.0) for part in colour)
    return red, green, blue
