"""What the pictures of all chapters have in common."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib.pyplot as plt
from matplotlib.axis import Axis
from matplotlib.figure import Figure


def closed(figure: Figure) -> Figure:
    """The figure, closed for pyplot, so that a notebook shows it once."""
    plt.close(figure)
    return figure


def plain_ticks(axis: Axis, values: Iterable[float]) -> None:
    """Ticks at these values of a logarithmic axis and nowhere else, written as plain numbers."""
    values = list(values)
    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.axes.minorticks_off()
