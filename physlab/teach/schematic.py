"""Schematics of methods, drawn by code: boxes on a grid, arrows between them, one colour for what is learned."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from physlab.errors import PhysLabError
from physlab.teach.pictures import closed

PLAIN, LEARNED = "#eef2f6", "#fde3c8"
"""Colours of boxes: dark letters on either have a contrast above 12, and the pair differs in lightness too."""
HEIGHT = 0.56
"""Of a box, in rows."""


def halfwidth(text: str) -> float:
    """Of the box of a text, in columns."""
    return 0.4 if len(text) > 2 else 0.14


def course(ax: Axes, start: Sequence[float], end: Sequence[float], bend: float) -> np.ndarray:
    """(101, 2) points of an arrow between two centres, in columns and rows, bent as "arc3" of matplotlib does."""
    a, b = ax.transData.transform([start, end])
    across = np.array([b[1] - a[1], a[0] - b[0]])
    t = np.linspace(0, 1, 101)[:, None]
    points = a + t * (b - a) + 2 * t * (1 - t) * bend * across
    return ax.transData.inverted().transform(points)


def schematic(
    boxes: Mapping[str, tuple[str, float, float]], arrows: Sequence[tuple[str, ...]], learned: Collection[str] = (),
    width: float = 9.0, height: float = 2.5,
) -> Figure:  # fmt: skip
    """Draw boxes and arrows.

    Parameters
    ----------
    boxes : key -> (text, column, row); rows grow upwards, and any number is allowed.
    arrows : (from, to), (from, to, label) or (from, to, label, bend) with keys of boxes; a bend like "-0.3" leads the
        arrow round what lies between, above for a negative number.
    learned : keys of the boxes whose weights are learned: another colour and a thicker edge.
    width, height : inches.

    Raises
    ------
    PhysLabError : an arrow or a learned box that has no box, or an arrow that runs through the box of another.
    """
    named = {key for arrow in arrows for key in arrow[:2]} | set(learned)
    if named - set(boxes):
        raise PhysLabError(f"no box named {', '.join(sorted(named - set(boxes)))}; the boxes are: {', '.join(boxes)}")
    fig = plt.figure(figsize=(width, height))
    ax = fig.add_axes((0.0, 0.0, 1.0, 1.0))
    columns, rows = [column for _, column, _ in boxes.values()], [row for *_, row in boxes.values()]
    ax.set(xlim=(min(columns) - 0.55, max(columns) + 0.55), ylim=(min(rows) - 0.5, max(rows) + 0.5))
    ax.set_axis_off()
    bends = [float(arrow[3]) if len(arrow) > 3 else 0.0 for arrow in arrows]
    for _ in range(4):  # room for bent arrows: with the room they grow a little
        paths = [course(ax, boxes[a][1:], boxes[b][1:], k) for (a, b, *_), k in zip(arrows, bends, strict=True)]
        heights = np.concatenate([np.array(rows, dtype=float), *(path[:, 1] for path in paths)])
        ax.set_ylim(min(heights.min(), min(rows) - 0.25) - 0.25, max(heights.max(), max(rows) + 0.25) + 0.25)
    drawn = {}
    for key, (text, column, row) in boxes.items():
        half, own = halfwidth(text), key in learned
        drawn[key] = FancyBboxPatch(
            (column - half, row - HEIGHT / 2), 2 * half, HEIGHT, boxstyle="round,pad=0.02,rounding_size=0.06",
            facecolor=LEARNED if own else PLAIN, edgecolor="#333333", linewidth=1.6 if own else 0.8,
        )  # fmt: skip
        ax.add_patch(drawn[key])
        ax.text(column, row, text, ha="center", va="center", fontsize=8, color="#111111")
    for arrow, bend, path in zip(arrows, bends, paths, strict=True):
        start, end = (boxes[key][1:] for key in arrow[:2])
        style = {"arrowstyle": "-|>", "color": "#333333", "lw": 1.0, "shrinkA": 1, "shrinkB": 1}
        style |= {"connectionstyle": f"arc3,rad={bend}"}
        ax.annotate("", end, start, arrowprops=style | {"patchA": drawn[arrow[0]], "patchB": drawn[arrow[1]]})
        for key, (text, *centre) in boxes.items():
            away = np.abs(path - centre) < (halfwidth(text), HEIGHT / 2)
            if key not in arrow[:2] and away.all(1).any():
                raise PhysLabError(f"the arrow {arrow[0]} -> {arrow[1]} runs through {key}: bend it, or move a box")
        if len(arrow) > 2:
            middle = (float(path[50, 0]), float(path[50, 1]))
            ax.annotate(arrow[2], middle, (0, 4), textcoords="offset points", ha="center", fontsize=7, color="#333333")
    return closed(fig)
