"""Maps and spectra of the Ensemble view: an `EnsembleMaps` takes a `Picture` and draws it. Nothing is computed here."""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, LinearColorMapper, Range1d, Span
from bokeh.plotting import figure

from apps import theme
from apps.assimilate.maps import ASPECT, digits
from apps.ensemble.store import Picture
from apps.linked import TIP, LinkedMaps

ROWS = (("input", "truth", "mean"), ("member", "error", "spread"), ("probability", "law", "spectrum"))
QUANTITY = {
    **dict.fromkeys(("input", "truth", "mean", "member"), "field"),
    **{name: name for name in ("error", "spread", "probability", "law")},
}
UNITS = {"field": "K", "error": "K", "spread": "K", "probability": "", "law": "K day⁻¹"}
CURVES = {"truth": "truth", "bicubic": "bicubic", "mean": "mean", "members": "members"}


class EnsembleMaps(LinkedMaps):
    """`update` draws a picture, `reset_view` undoes pan and wheel."""

    def __init__(self) -> None:
        palettes = {
            "field": theme.VARIABLE_PALETTES["t"], "error": theme.ERROR_PALETTE, "spread": theme.SPREAD_PALETTE,
            "probability": theme.PROBABILITY_PALETTE, "law": theme.RESIDUAL_PALETTE,
        }  # fmt: skip
        blank = {"low": -1, "high": 1, "nan_color": theme.GROUND}
        mappers = {name: LinearColorMapper(palette=p, **blank) for name, p in palettes.items()}
        super().__init__(QUANTITY, mappers, ASPECT)
        self.spectra = ColumnDataSource({"k": [], **{name: [] for name in CURVES}})
        self.cutoff = Span(location=1, dimension="height", line_dash="dashed", line_color=theme.QUIET, line_width=1)
        self.isotherm = ColumnDataSource({"x": [], "y": []})
        self.figures["probability"].multi_line("x", "y", source=self.isotherm, line_color=theme.ACCENT, line_width=1.2)
        self.figures["spectrum"] = self._spectrum()
        self._frame()

    def update(self, picture: Picture, waiting: str) -> None:
        """Draw a picture; `waiting` are the words in the place of an ensemble that is not there."""
        for name, mapper in self.mappers.items():
            mapper.update(low=picture.limits[name][0], high=picture.limits[name][1])
        for name, key in QUANTITY.items():
            if name in picture.maps:
                self.paint(name, picture.maps[name], picture.window)
            else:
                self.blank(name, waiting, picture.window)
            self.hovers[name].tooltips = TIP.format(digits=digits(picture.limits[key]), units=UNITS[key])
        x, y = picture.isotherm
        self.isotherm.data = {"x": x, "y": y}
        self.move_to(picture.window)
        self._say(picture)
        self._draw_spectra(picture)

    def _say(self, picture: Picture) -> None:
        draw, there = picture.draw, picture.members > 0
        own = picture.scores.get("ensemble")
        count = f"of {picture.members} members · " if there else ""
        one = f"{picture.which} of {picture.members} · " if there else ""
        captions = {
            "input": ("Input", "block means of 4 × 4 cells · K"),
            "truth": ("Truth", "temperature, lowest layer · K"),
            "mean": ("Ensemble mean", f"{count}K"),
            "member": ("One member", f"{one}K"),
            "error": ("Error of the mean", f"RMSE {own['rmse']:.3f} K" if own else "K"),
            "spread": ("Spread", f"{count}K"),
            "probability": ("Exceedance", f"of {draw.threshold:g} K · line: truth"),
            "law": ("PDE residual", f"{picture.ratio:.2f} × truth's · {UNITS['law']}" if there else UNITS["law"]),
            "spectrum": ("Power spectra", "K² · dashed: input's end"),
        }
        for key, (head, words) in captions.items():
            self.caption(key, head, words)

    def _spectrum(self):
        fig = figure(
            sizing_mode="scale_width", aspect_ratio=ASPECT, x_axis_type="log", y_axis_type="log",
            x_range=Range1d(1, 85), y_range=Range1d(1e-8, 1), tools=[],
        )  # fmt: skip
        curves = []
        for name, label in CURVES.items():
            style = {"line_color": theme.DRAW_CURVES[name], "line_width": 2.6 if name == "truth" else 1.6}
            curves.append(fig.line("k", name, source=self.spectra, legend_label=label, **style))
        self.of_members = fig.legend.items[-2:]
        tips = [("k", "@k"), *((label, f"@{name}{{0.0e+0}}") for name, label in CURVES.items())]
        fig.add_tools(HoverTool(renderers=curves[:1], mode="vline", tooltips=tips))
        fig.add_layout(self.cutoff)
        fig.xaxis.ticker = FixedTicker(ticks=[1, 2, 4, 8, 16, 32, 64])
        fig.xaxis.axis_label = "waves per longer side of the map"
        fig.legend.location = "bottom_left"
        return fig

    def _draw_spectra(self, picture: Picture) -> None:
        nothing = np.full(len(picture.wavenumber), np.nan)
        self.spectra.data = {"k": picture.wavenumber, **{n: picture.spectra.get(n, nothing) for n in CURVES}}
        for item in self.of_members:
            item.visible = picture.members > 0
        self.cutoff.location = picture.cutoff
        truth, fig = picture.spectra["truth"], self.figures["spectrum"]
        fig.x_range.update(start=1, end=float(picture.wavenumber[-1]))
        fig.y_range.update(start=max(float(truth.min()) / 100, 1e-30), end=float(truth.max()) * 2)
