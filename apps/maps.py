"""The maps, the spectra and the ranks: a `MapGrid` takes a `Panel` and draws it. Nothing is loaded or computed here.

Maps are Bokeh images on one `ColumnDataSource` each. An update replaces the data of the sources in one event batch,
which takes well under a millisecond a map; figures, axes and tools are made once.
"""

from __future__ import annotations

import numpy as np
import panel as pn
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    CrosshairTool,
    CustomJSHover,
    CustomJSTickFormatter,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    PanTool,
    Range1d,
    ResetTool,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from apps import theme
from apps.store import Panel
from apps.views import text_pane
from physlab.data.coastline import load_coastline

MAPS = ("input", "result", "truth", "spread", "residual", "error")
ROWS = (("input", "result", "truth", "spread"), ("residual", "error", "spectrum", "ranks"))  # reading order
ENSEMBLE = ("spread", "ranks")  # there for ensembles only
ASPECT = 0.92  # of a figure with its axes and colour bar, so that the map itself is square
QUANTITY = {"input": "field", "result": "field", "truth": "field"}  # the others have their own
TIP = """<div style="font: 12px Roboto, sans-serif"><b>@image{{{digits}}}</b> {units}<br>
<span style="opacity: 0.7">$y{{custom}} $x{{custom}}</span></div>"""
DEGREES = """
const names = {x: ["E", "W"], y: ["N", "S"]}[axis]
const angle = axis == "x" ? ((tick + 180) % 360 + 360) % 360 - 180 : tick
const text = Math.abs(angle) < 1e-9 || (axis == "x" && Math.abs(angle) == 180) ? "" : names[angle > 0 ? 0 : 1]
return `${Math.abs(+angle.toFixed(digits))}°${text}`
"""


class MapGrid:
    """Linked maps and the spectra: `update` draws a panel, `reset_view` undoes pan and zoom."""

    def __init__(self) -> None:
        self.x_range, self.y_range = Range1d(-180, 180), Range1d(-90, 90)
        self.mappers = {
            "field": LinearColorMapper(palette=theme.FIELD_PALETTES["tcw"], low=0, high=1, nan_color="#bbbbbb"),
            "error": LinearColorMapper(palette=theme.ERROR_PALETTE, low=-1, high=1, nan_color="#bbbbbb"),
            "residual": LinearColorMapper(palette=theme.RESIDUAL_PALETTE, low=-1, high=1, nan_color="#bbbbbb"),
            "spread": LinearColorMapper(palette=theme.SPREAD_PALETTE, low=0, high=1, nan_color="#bbbbbb"),
        }
        empty = {"image": [np.zeros((2, 2), dtype=np.float32)], "x": [0.0], "y": [0.0], "dw": [1.0], "dh": [1.0]}
        self.images = {name: ColumnDataSource({**empty}) for name in MAPS}
        self.coast = ColumnDataSource({"x": [], "y": []})
        self.cross = [
            Span(dimension=d, line_color=theme.INK, line_alpha=0.35, line_width=1) for d in ("width", "height")
        ]
        self.lines: list = []
        self.hovers: dict[str, HoverTool] = {}
        self.figures = {name: self._map(name) for name in MAPS}
        self.spectra = ColumnDataSource({"k": [], "input": [], "result": [], "truth": [], "members": []})
        self.ranks = ColumnDataSource({"rank": [], "share": []})
        self.cutoff = Span(location=1, dimension="height", line_dash="dashed", line_color=theme.QUIET, line_width=1)
        self.figures["spectrum"] = self._spectrum()
        self.figures["ranks"] = self._ranks()
        self.captions = {name: text_pane(margin=0) for name in self.figures}
        self.panes = {
            name: pn.pane.Bokeh(fig, sizing_mode="stretch_width", margin=(0, 4)) for name, fig in self.figures.items()
        }
        self._window: tuple | None = None
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
        if panel.window != self._window:
            self._window = panel.window
            self._move_to(panel)
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
            self.captions[
                name
            ].object = f'<div class="caption"><b>{head}</b><span class="quiet">{words}{units}</span></div>'
        for name, hover in self.hovers.items():
            hover.tooltips = TIP.format(digits="0.0e+0" if name == "residual" else "0.00", units=panel.units)
        nothing = np.full(len(panel.wavenumber), np.nan)
        self.spectra.data = {"k": panel.wavenumber, "members": nothing, **panel.spectra}
        self.of_members.visible = "members" in panel.spectra
        if panel.ranks is not None:
            count = len(panel.ranks)
            self.ranks.data = {"rank": np.arange(count), "share": panel.ranks / panel.ranks.sum() * count}
        self.cutoff.location = panel.cutoff
        shown = np.concatenate(list(panel.spectra.values()))
        figure_ = self.figures["spectrum"]
        figure_.x_range.update(start=1, end=float(panel.wavenumber[-1]))
        figure_.y_range.update(start=max(float(panel.spectra["truth"].min()) / 10, 1e-30), end=float(shown.max()) * 2)

    def reset_view(self) -> None:
        """The whole map again."""
        if self._window:
            west, east, south, north = self._window
            self.x_range.update(start=west, end=east, reset_start=west, reset_end=east)
            self.y_range.update(start=south, end=north, reset_start=south, reset_end=north)

    def _move_to(self, panel: Panel) -> None:
        """New region: coastlines, ranges, palette."""
        west, east, south, north = panel.window
        x, y = load_coastline((west, min(east, west + 360.0)), (south, north))
        self.coast.data = {"x": x, "y": y}
        self.mappers["field"].palette = theme.FIELD_PALETTES[panel.choice.dataset]
        for line in self.lines:
            line.glyph.line_width = 0.8 if east - west > 40 else 1.2
        self.reset_view()

    def _map(self, name: str):
        fig = figure(
            x_range=self.x_range,
            y_range=self.y_range,
            sizing_mode="scale_width",
            aspect_ratio=ASPECT,
            tools=[],
        )
        mapper = self.mappers[QUANTITY.get(name, name)]
        image = fig.image(source=self.images[name], color_mapper=mapper)
        self.lines.append(fig.line("x", "y", source=self.coast, line_color=theme.INK, line_alpha=0.7, line_width=0.8))
        degrees = {
            f"${axis}": CustomJSHover(code=f"const tick = value, digits = 1, axis = '{axis}'\n{DEGREES}")
            for axis in "xy"
        }
        self.hovers[name] = HoverTool(
            renderers=[image], attachment="above", point_policy="follow_mouse", formatters=degrees
        )
        wheel = WheelZoomTool()
        fig.add_tools(PanTool(), wheel, ResetTool(), self.hovers[name], CrosshairTool(overlay=self.cross))
        fig.toolbar.active_scroll = wheel
        ticker = BasicTicker(desired_num_ticks=4)
        fig.add_layout(ColorBar(color_mapper=mapper, height=7, padding=0, margin=0, ticker=ticker), "below")
        for axis, key in ((fig.xaxis, "x"), (fig.yaxis, "y")):
            axis.formatter = CustomJSTickFormatter(code=DEGREES, args={"axis": key, "digits": 2})
            axis.ticker = BasicTicker(desired_num_ticks=4)
        return fig

    def _spectrum(self):
        fig = figure(
            sizing_mode="scale_width",
            aspect_ratio=ASPECT,
            x_axis_type="log",
            y_axis_type="log",
            x_range=Range1d(1, 64),
            y_range=Range1d(1e-8, 1),
            tools=[],
        )
        legend = {"truth": "truth", "input": "input, bicubic", "result": "result", "members": "members"}
        curves = []
        for name, label in legend.items():
            style = {"line_color": theme.CURVES[name], "line_width": 2.6 if name == "truth" else 1.8}
            curves.append(fig.line("k", name, source=self.spectra, legend_label=label, **style))
        self.of_members = fig.legend.items[-1]
        tips = [("k", "@k"), *((label, f"@{name}{{0.0e+0}}") for name, label in legend.items())]
        fig.add_tools(HoverTool(renderers=curves[:1], mode="vline", tooltips=tips))
        fig.add_layout(self.cutoff)
        fig.xaxis.ticker = FixedTicker(ticks=[1, 2, 4, 8, 16, 32, 64])
        fig.xaxis.axis_label = "waves per longer side of the map"
        fig.legend.location = "bottom_left"
        return fig

    def _ranks(self):
        fig = figure(sizing_mode="scale_width", aspect_ratio=ASPECT, x_range=Range1d(-0.6, 10.6), tools=[])
        fig.y_range.start = 0
        bars = fig.vbar("rank", top="share", width=0.8, source=self.ranks, color=theme.CURVES["members"], alpha=0.7)
        fig.add_layout(Span(location=1, dimension="width", line_dash="dashed", line_color=theme.QUIET, line_width=1))
        fig.add_tools(
            HoverTool(renderers=[bars], tooltips=[("rank", "@rank"), ("share of a flat one", "@share{0.00}")])
        )
        fig.xaxis.ticker = FixedTicker(ticks=[0, 5, 10])
        fig.xaxis.axis_label = "members below the truth"
        fig.yaxis.axis_label = "frequency / flat"
        return fig
