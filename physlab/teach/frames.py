"""A slider that moves without a kernel: every position is drawn when the book is built, and the page changes pictures.

The HTML holds one small picture for each position, a range input and one line of script, nothing else: no file beside
the page, no library. Without scripts all pictures are shown below each other, with their values.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from physlab.errors import PhysLabError

LIMIT = 700_000
"""Bytes of a whole slider in the page."""
SHARPNESS = (96, 80, 64, 50)
"""Dots per inch, tried in this order until the slider fits the limit."""
ALT = 'alt="'
"""What the build of the book fills: each picture is described by the text of its cell, and the value in it."""

MOVE = (
    "const box=this.closest('.physlab-slider'),at=+this.value;"
    "box.querySelectorAll('img').forEach((img,k)=>{img.hidden=k!==at});"
    "const said=box.querySelectorAll('img')[at].dataset.value;"
    "box.querySelector('output').textContent=said;this.setAttribute('aria-valuetext',said)"
)
WITHOUT = (
    "<noscript><style>.physlab-slider img[hidden]{display:block!important}"
    ".physlab-slider label{display:none!important}</style>"
    "<p>All positions, since scripts are off:</p></noscript>"
)


def picture(figure: Figure, dots: int) -> bytes:
    """A figure as a PNG of at most 256 colours."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=dots, bbox_inches="tight", facecolor="white")
    small = io.BytesIO()
    Image.open(raw).convert("RGB").quantize(256).save(small, format="png", optimize=True)
    return small.getvalue()


class Frames:
    """All positions of a slider.

    Parameters
    ----------
    draw : callable
        `draw(value)` returns a figure.
    values : sequence
        The positions.
    start : object
        The value shown first.
    label : str
        Name of the quantity.

    Attributes
    ----------
    figure : Figure
        The picture at `start`, for print.

    Raises
    ------
    PhysLabError
        If `start` is none of the values, or if the pictures are larger than `LIMIT` at the lowest sharpness.
    """

    def __init__(self, draw: Callable[[Any], Figure], values: Sequence[Any], start: Any, label: str) -> None:
        self.values, self.label = list(values), label
        if start not in self.values:
            raise PhysLabError(f"the slider starts at {start!r}, which is none of its values: {self.values}")
        self.first = self.values.index(start)
        figures = [draw(value) for value in self.values]
        self.figure = figures[self.first]
        for dots in SHARPNESS:
            self.pictures = [picture(figure, dots) for figure in figures]
            size = 4 * sum(map(len, self.pictures)) // 3
            if size <= LIMIT:
                return
        raise PhysLabError(
            f"the slider {label!r} takes {size:,} bytes at {SHARPNESS[-1]} dots per inch, {LIMIT:,} are allowed: "
            f"draw smaller pictures, or fewer than {len(self.values)} values"
        )

    def _repr_png_(self) -> bytes:
        raw = io.BytesIO()
        self.figure.savefig(raw, format="png", dpi=120, bbox_inches="tight")
        return raw.getvalue()

    def _repr_html_(self) -> str:
        shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in self.values]
        name = escape(self.label)
        images = "".join(
            f'<img src="data:image/png;base64,{base64.b64encode(data).decode()}" {ALT}{name}: {escape(value)}" '
            f'data-value="{escape(value)}"{"" if k == self.first else " hidden"}>'
            for k, (data, value) in enumerate(zip(self.pictures, shown, strict=True))
        )
        now = escape(shown[self.first])
        return (
            f'<div class="physlab-slider"><label>{name} <input type="range" min="0" max="{len(shown) - 1}" step="1" '
            f'value="{self.first}" aria-valuetext="{now}" autocomplete="off" oninput="{escape(MOVE)}"> '
            f'<output aria-live="polite">{now}</output></label>{WITHOUT}{images}</div>'
        )
