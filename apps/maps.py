"""The maps, the spectra and the ranks of the Downscale view: a `MapGrid` takes a `Panel` and draws it.

Nothing is loaded or computed here.
"""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, LinearColorMapper, Range1d
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from apps import theme
from apps.linked import ASPECT, LinkedMaps
from apps.spectrum import Spectrum
from apps.store import Panel

ROWS = (("input", "result", "truth", "spread"), ("residual", "error", "spectrum", "ranks"))  # reading order
CURVES = {"truth": "truth", "input": "input, bicubic", "result": "result", "members": "members", "other": "B"}
ENSEMBLE = ("spread", "ranks")  # there for ensembles only
QUANTITY = {"input": "field", "result": "field", "truth": "field", "spread": "spread", "residual": "residual",
            "error": "error"}  # fmt: skip


class MapGrid(LinkedMaps):
    """Linked maps and the spectra: `update` draws a panel, `reset_view` undoes pan and zoom."""

    def __init__(self) -> None:
        mappers = {
            "field": LinearColorMapper(palette=theme.FIELD_PALETTES["tcw"], low=0, high=1, nan_color="#bbbbbb"),
            "error": LinearColorMapper(palette=theme.ERROR_PALETTE, low=-1, high=1, nan_color="#bbbbbb"),
            "residual": LinearColorMapper(palette=theme.RESIDUAL_PALETTE, low=-1, high=1, nan_color="#bbbbbb"),
            "spread": LinearColorMapper(palette=theme.SPREAD_PALETTE, low=0, high=1, nan_color="#bbbbbb"),
        }
        super().__init__(QUANTITY, mappers)
        self.spectrum = Spectrum(CURVES, theme.CURVES, "waves per longer side of the map", ASPECT)
        self.ranks = ColumnDataSource({"rank": [], "share": []})
        self.figures["spectrum"] = self.spectrum.figure
        self.figures["ranks"] = self._ranks()
        self._frame()
        self._scene: tuple | None = None

    def update(self, panel: Panel, title: str) -> None:
        """Draw a panel."""
        west, east, south, north = panel.window
        place = {"x": [west], "y": [south], "dw": [east - west], "dh": [north - south]}
        scene = (panel.choice.dataset, panel.choice.factor, panel.choice.frame, panel.choice.hour)
        kept = ("input", "truth") if scene == self._scene else ()  # these two do not depend on the method
        for name, source in self.images.items():
            if name in panel.maps and name not in kept:
                source.data = {"image": [panel.maps[name]], **place}
        self._scene = scene
        for name, mapper in self.mappers.items():
            mapper.update(low=panel.limits[name][0], high=panel.limits[name][1])
        self.mappers["field"].palette = theme.field_palette(panel.choice.dataset, panel.units, panel.limits["field"][0])
        self.move_to(panel.window)
        largest = float(np.abs(panel.maps["residual"]).max())
        given = panel.choice.hour in panel.given
        block = f"{panel.choice.factor} × {panel.choice.factor} block means"
        captions = {
            "input": ("Input", block if given else "missing: mean of neighbours"),
            "result": ("Result", title),
            "truth": ("Truth", panel.long_name.lower()),
            "error": ("Error", "result − truth"),
            "residual": ("Conservation residual" if given else "Residual, missing hour", f"max {largest:.0e}"),
            "spread": ("Spread", f"of {panel.members} members"),
            "ranks": ("Ranks", "of the truth"),
            "spectrum": ("Power spectra", f"({panel.units})²" if " " in panel.units else f"{panel.units}²"),
        }
        for name, (head, words) in captions.items():
            units = "" if name in ("spectrum", "ranks") else f" · {panel.units}"
            self.caption(name, head, f"{words}{units}")
        for name in self.hovers:
            self.tip(name, "0.0e+0" if name == "residual" else "0.00", panel.units)
        self.spectrum.update(panel.wavenumber, panel.spectra, panel.cutoff)
        if panel.ranks is not None:
            count = len(panel.ranks)
            self.ranks.data = {"rank": np.arange(count), "share": panel.ranks / panel.ranks.sum() * count}
        self.describe()

    def _ranks(self):
        fig = figure(sizing_mode="scale_width", aspect_ratio=ASPECT, x_range=Range1d(start=-0.6, end=10.6), tools=[],
                     title=None)  # fmt: skip
        fig.y_range.update(start=0)
        bars = fig.vbar("rank", top="share", width=0.8, source=self.ranks, color=theme.CURVES["members"], alpha=0.7)
        bars.update(nonselection_glyph="auto", muted_glyph="auto")
        fig.add_layout(Span(location=1, dimension="width", line_dash="dashed", line_color=theme.QUIET, line_width=1))
        fig.add_tools(
            HoverTool(renderers=[bars], tooltips=[("rank", "@rank"), ("share of a flat one", "@share{0.00}")])
        )
        fig.xaxis.ticker = FixedTicker(ticks=[0, 5, 10])
        fig.xaxis.axis_label = "members below the truth"
        fig.yaxis.axis_label = "frequency / flat"
        return fig
