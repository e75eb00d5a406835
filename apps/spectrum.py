"""Power spectra by wavenumber, logarithmic both ways: one curve for each field, a dashed line where the input ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.models import (
    AllIndices,
    CDSView,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    Line,
    Range1d,
)
from bokeh.models.annotations import BoxAnnotation, Legend, LegendItem, Span
from bokeh.plotting import figure

from apps import theme
from apps.language import word


class Spectrum:
    """A figure; `update` draws curves.

    Parameters
    ----------
    labels : name of each curve -> its words in the legend.
    colours : name -> colour.
    axis : words below the axis of wavenumbers.
    aspect : width over height of the figure.
    below : how far the axis of power goes below the least of the truth, as a factor.
    """

    def __init__(
        self, labels: Mapping[str, str], colours: Mapping[str, str], axis: str, aspect: float, below: float = 10.0
    ) -> None:
        labels, axis = {name: word(label) for name, label in labels.items()}, word(axis)
        self.source = ColumnDataSource({"k": [], **{name: [] for name in labels}})
        self.below = below
        self._drawn: tuple | None = None
        self.figure = fig = figure(
            sizing_mode="scale_width", aspect_ratio=aspect, x_axis_type="log", y_axis_type="log",
            x_range=Range1d(start=1, end=64), y_range=Range1d(start=1e-8, end=1), tools=[], title=None,
        )  # fmt: skip
        curves: dict[str, Any] = {}
        every = AllIndices()
        for name in labels:
            style: dict[str, Any] = {"line_color": colours[name], "line_width": 2.6 if name == "truth" else 1.8}
            glyph = Line(x="k", y=name, **style)  # without the copies that `fig.line` makes of each
            glyph.tags = ["ink"] if colours[name] == theme.INK else []  # dark on light, light on dark
            curves[name] = fig.add_glyph(self.source, glyph, view=CDSView(filter=every))
        self.items: dict[str, Any] = {
            name: LegendItem(label=value(label), renderers=[curves[name]]) for name, label in labels.items()
        }
        fig.add_layout(Legend(items=list(self.items.values()), location="bottom_left"))
        tips = [("k", "@k"), *((label, f"@{{{name}}}{{0.0e+0}}") for name, label in labels.items())]
        self.hover = HoverTool(renderers=[curves["truth"]], mode="vline", tooltips=tips)
        self.curves = curves
        fig.add_tools(self.hover)
        self.cutoff = Span(location=1, dimension="height", line_dash="dashed", line_color=theme.QUIET, line_width=1)
        self.cutoff.visible = False
        fig.add_layout(self.cutoff)
        self.band = BoxAnnotation(visible=False, fill_color=theme.ACCENT, fill_alpha=0.12, line_color=theme.ACCENT)
        fig.xaxis.ticker = FixedTicker(ticks=[1, 2, 4, 8, 16, 32, 64])
        fig.xaxis.axis_label = axis

    def update(self, k: np.ndarray, spectra: Mapping[str, np.ndarray], cutoff: float | None = None) -> None:
        """Draw spectra (n,) of some of the curves at wavenumbers (n,); `cutoff` is where the input ends."""
        nothing = np.full(len(k), np.nan)
        self.source.data = {"k": k, **{name: spectra.get(name, nothing) for name in self.curves}}
        for name, item in self.items.items():
            item.visible = name in spectra
        self.hover.renderers = [self.curves[next(name for name in self.curves if name in spectra)]]
        self.cutoff.update(location=cutoff or 1, visible=cutoff is not None)
        shown = {name: x[np.isfinite(x) & (x > 0)] for name, x in spectra.items() if name in self.curves}
        least = (shown["truth"] if "truth" in shown else np.concatenate(list(shown.values()))).min()
        self.figure.x_range.update(start=1, end=float(k[-1]))
        most = max(float(x.max()) for x in shown.values())
        self.figure.y_range.update(start=max(float(least) / self.below, 1e-30), end=2 * most)
        self._drawn = k, dict(spectra), cutoff

    def beside(self, power: np.ndarray | None) -> None:
        """The curve of another result among those that are drawn, or no longer."""
        if self._drawn is None:
            return
        k, spectra, cutoff = self._drawn
        others = {} if power is None else {"other": power}
        if others or "other" in spectra:
            self.update(k, {name: x for name, x in spectra.items() if name != "other"} | others, cutoff)
