"""Colours of drawn charts: fixed ones for pictures, names of classes for pages, whose style sheet knows the reader's theme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Okabe and Ito's palette without vermilion, which stays the threshold's.
_ON_WHITE = ("#0072B2", "#009E73", "#CC79A7", "#8A6D00", "#56B4E9", "#5B6577", "#33415C", "#E69F00")
_ON_BLACK = ("#56B4E9", "#2BC8A0", "#E39CC6", "#E0C04A", "#9BD1F2", "#A3B0BD", "#8FA3D9", "#F0B440")
MOST_LINES = len(_ON_WHITE)


@dataclass(frozen=True, slots=True)
class Look:
    """What each part is painted with; without `colours` a class says it (`fill-ink`, `stroke-0`)."""

    colours: Mapping[str, str]

    def fill(self, part: str) -> str:
        return f'fill="{self.colours[part]}"' if self.colours else f'class="fill-{part}"'

    def stroke(self, part: str) -> str:
        return f'stroke="{self.colours[part]}"' if self.colours else f'class="stroke-{part}"'


def _look(paper: str, ink: str, grid: str, critical: str, lines: tuple[str, ...]) -> Look:
    numbered = {str(number): colour for number, colour in enumerate(lines)}
    return Look({"paper": paper, "ink": ink, "grid": grid, "critical": critical, **numbered})


LIGHT = _look("#FFFFFF", "#1A1F2B", "#DFE3EA", "#B3261E", _ON_WHITE)
DARK = _look("#11161C", "#E8EDF2", "#2C3640", "#FF4D6A", _ON_BLACK)
PAGE = Look({})
