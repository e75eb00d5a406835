"""The maps and the spectra of the Downscale view: a `MapGrid` takes a `Panel` and draws it, `MemberMaps` its ensemble.

Nothing is loaded or computed here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Range1d, Scatter
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from apps import theme
from apps.language import word
from apps.linked import ASPECT, NOTHING, LinkedMaps, coloured
from apps.spectrum import Spectrum
from apps.store import Panel
from physlab.views.keep import Plane

ROWS = (("input", "result", "truth"), ("residual", "error", "spectrum"))  # reading order
CURVES = {"truth": "truth", "input": "input, bicubic", "result": "result", "members": "members", "other": "B"}
ENSEMBLE = ("spread", "ranks")  # there for ensembles only
QUANTITY = {"input": "field", "result": "field", "truth": "field", "residual": "residual", "error": "error"}


class MapGrid(LinkedMaps):
    """Linked maps and the spectra: `update` draws a panel, `reset_view` undoes pan and zoom.

    Parameters
    ----------
    click : takes longitude and latitude of a click on a map, degrees.
    """

    def __init__(self, click: Callable[[float, float], None]) -> None:
        palettes = {"field": theme.FIELD_PALETTES["tcw"], "error": theme.ERROR_PALETTE,
                    "residual": theme.RESIDUAL_PALETTE}  # fmt: skip
        super().__init__(QUANTITY, coloured(palettes, NOTHING))
        self.spectrum = Spectrum(CURVES, theme.CURVES, "waves per longer side of the map", ASPECT)
        self.figures["spectrum"] = self.spectrum.figure
        self.stations = ColumnDataSource({"x": [], "y": []})
        for name in self.images:
            diamond = Scatter(x="x", y="y")
            diamond.update(**theme.STATION)
            self._draw(self.figures[name], self.stations, diamond)
            self.figures[name].on_event("tap", lambda event: click(event.x, event.y))
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
        self.set_limits(panel.limits)
        self.mappers["field"].palette = theme.field_palette(panel.choice.dataset, panel.units, panel.limits["field"][0])
        self.move_to(panel.window)
        shape, cells = panel.maps["result"].shape, np.array(panel.choice.heard, dtype=int)
        plane = Plane.within(panel.window, shape)
        self.stations.data = {"x": plane.longitude[cells % shape[1]], "y": plane.latitude[cells // shape[1]]}
        largest = float(np.abs(panel.maps["residual"]).max())
        given = panel.choice.hour in panel.given
        apart = panel.missed > 0.01 * panel.limits["residual"][1]  # the coarse fields are not those of this truth
        true = f", truth's {panel.missed:.0e}" if apart else ""
        block = f"{panel.choice.factor} × {panel.choice.factor} block means"
        captions = {
            "input": ("Input", block if given else "missing: mean of neighbours"),
            "result": ("Result", title),
            "truth": ("Truth", panel.long_name.lower()),
            "error": ("Error", "result − truth"),
            "residual": (
                "Conservation residual" if given else "Residual, missing hour",
                f"max {largest:.0e}{true}",
            ),
            "spectrum": ("Power spectra", f"({panel.units})²" if " " in panel.units else f"{panel.units}²"),
        }
        for name, (head, words) in captions.items():
            units = "" if name == "spectrum" else f" · {panel.units}"
            self.caption(name, head, f"{words}{units}")
        for name in self.hovers:
            self.tip(name, "0.0e+0" if name == "residual" else "0.00", panel.units)
        self.spectrum.update(panel.wavenumber, panel.spectra, panel.cutoff)
        self.describe()


class MemberMaps(LinkedMaps):
    """Spread of the members and ranks of the truth, which move with the other maps; made for the first ensemble."""

    def __init__(self, maps: LinkedMaps) -> None:
        colours = coloured({"spread": theme.SPREAD_PALETTE}, NOTHING)
        super().__init__({"spread": "spread"}, colours, maps.aspect, maps.wheel, maps)
        self.ranks = ColumnDataSource({"rank": [], "share": []})
        self.figures["ranks"] = self._ranks()
        self._frame()

    def update(self, panel: Panel) -> None:
        """Draw what a panel says of its members."""
        assert panel.ranks is not None  # of an ensemble
        self.set_limits(panel.limits)
        self.paint("spread", panel.maps["spread"], panel.window)
        self.caption("spread", "Spread", f"of {panel.members} members · {panel.units}")
        self.caption("ranks", "Ranks", "of the truth")
        self.tip("spread", "0.00", panel.units)
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
        fig.xaxis.axis_label = word("members below the truth")
        fig.yaxis.axis_label = word("frequency / flat")
        return fig
