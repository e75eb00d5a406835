"""Schematics of methods, drawn by code: boxes on a grid, arrows between them, one colour for what is learned."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from physlab.errors import PhysLabError

PLAIN, LEARNED = "#eef2f6", "#fde3c8"
"""Colours of boxes: dark letters on either have a contrast above 12, and the pair differs in lightness too."""


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
    PhysLabError : an arrow or a learned box that has no box.
    """
    named = {key for arrow in arrows for key in arrow[:2]} | set(learned)
    if named - set(boxes):
        raise PhysLabError(f"no box named {', '.join(sorted(named - set(boxes)))}; the boxes are: {', '.join(boxes)}")
    fig, ax = plt.subplots(figsize=(width, height), layout="constrained")
    columns, rows = [column for _, column, _ in boxes.values()], [row for *_, row in boxes.values()]
    ax.set(xlim=(min(columns) - 0.55, max(columns) + 0.55), ylim=(min(rows) - 0.5, max(rows) + 0.5))
    ax.set_axis_off()
    drawn = {}
    for key, (text, column, row) in boxes.items():
        half = 0.4 if len(text) > 2 else 0.14
        own = key in learned
        drawn[key] = FancyBboxPatch(
            (column - half, row - 0.28), 2 * half, 0.56, boxstyle="round,pad=0.02,rounding_size=0.06",
            facecolor=LEARNED if own else PLAIN, edgecolor="#333333", linewidth=1.6 if own else 0.8,
        )  # fmt: skip
        ax.add_patch(drawn[key])
        ax.text(column, row, text, ha="center", va="center", fontsize=8, color="#111111")
    for arrow in arrows:
        start, end = (boxes[key][1:] for key in arrow[:2])
        style = {"arrowstyle": "-|>", "color": "#333333", "lw": 1.0, "shrinkA": 1, "shrinkB": 1}
        bend = float(arrow[3]) if len(arrow) > 3 else 0.0
        style |= {"connectionstyle": f"arc3,rad={bend}"}
        ax.annotate("", end, start, arrowprops=style | {"patchA": drawn[arrow[0]], "patchB": drawn[arrow[1]]})
        if len(arrow) > 2:
            across = (end[1] - start[1], start[0] - end[0])  # the arc passes the middle at half the bend to this side
            x, y = ((start[k] + end[k] + bend * across[k]) / 2 for k in (0, 1))
            ax.annotate(arrow[2], (x, y), (0, 4), textcoords="offset points", ha="center", fontsize=7, color="#333333")
    plt.close(fig)
    return fig
