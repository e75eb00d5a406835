"""Drawing only: each view takes a `Panel` and shows it. No data is loaded and nothing is computed here.

Maps are Bokeh images on one `ColumnDataSource` each. An update replaces the data of the sources in one event batch,
which takes well under a millisecond a map; figures, axes and tools are made once.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np
import panel as pn
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    CrosshairTool,
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

from apps import lessons, theme
from apps.state import Choice
from apps.store import BASELINES, Panel
from physlab.data.coastline import load_coastline

MAPS = ("input", "result", "truth", "residual", "error")  # reading order; the spectrum stands sixth
ASPECT = 0.92  # of a figure with its axes and colour bar, so that the map itself is square
QUANTITY = {"input": "field", "result": "field", "truth": "field", "error": "error", "residual": "residual"}
METRICS = (  # key, label, format, which value is best, and below which two values are equal (rounding of float32)
    ("rmse", "RMSE", "{:.3f}", "low", 0.0),
    ("mae", "MAE", "{:.3f}", "low", 0.0),
    ("bias", "Bias", "{:+.3f}", "zero", 5e-4),
    ("psnr", "PSNR, dB", "{:.1f}", "high", 0.0),
    ("ssim", "SSIM", "{:.3f}", "high", 0.0),
    ("pearson", "Correlation", "{:.4f}", "high", 0.0),
    ("conservation_error", "Conservation", "{:.1e}", "low", 2e-4),
    ("negative_count", "Negatives", "{:.0f}", "low", 0.0),
    ("spectral_divergence", "Spectrum", "{:.1e}", "low", 0.0),
    ("spectral_divergence_top", "… finest tenth", "{:.1e}", "low", 0.0),
)
DEGREES = """
const names = {x: ["E", "W"], y: ["N", "S"]}[axis]
let value = axis == "x" ? ((tick + 180) % 360 + 360) % 360 - 180 : tick
const text = Math.abs(value) < 1e-9 || (axis == "x" && Math.abs(value) == 180) ? "" : names[value > 0 ? 0 : 1]
return `${Math.abs(+value.toFixed(2))}°${text}`
"""


class MapGrid:
    """Five linked maps and the spectra: `update` draws a panel, `reset_view` undoes pan and zoom."""

    def __init__(self) -> None:
        self.x_range, self.y_range = Range1d(-180, 180), Range1d(-90, 90)
        self.mappers = {
            "field": LinearColorMapper(palette=theme.FIELD_PALETTES["tcw"], low=0, high=1, nan_color="#bbbbbb"),
            "error": LinearColorMapper(palette=theme.ERROR_PALETTE, low=-1, high=1, nan_color="#bbbbbb"),
            "residual": LinearColorMapper(palette=theme.RESIDUAL_PALETTE, low=-1, high=1, nan_color="#bbbbbb"),
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
        self.spectra = ColumnDataSource({"k": [], "input": [], "result": [], "truth": []})
        self.cutoff = Span(location=1, dimension="height", line_dash="dashed", line_color=theme.QUIET, line_width=1)
        self.figures["spectrum"] = self._spectrum()
        self.captions = {name: text_pane(margin=0) for name in self.figures}
        self.panes = {
            name: pn.pane.Bokeh(fig, sizing_mode="stretch_width", margin=(0, 4)) for name, fig in self.figures.items()
        }
        self._window: tuple | None = None

    def update(self, panel: Panel, title: str) -> None:
        """Draw a panel."""
        west, east, south, north = panel.window
        place = {"x": [west], "y": [south], "dw": [east - west], "dh": [north - south]}
        for name, source in self.images.items():
            source.data = {"image": [panel.maps[name]], **place}
        for name, mapper in self.mappers.items():
            mapper.update(low=panel.limits[name][0], high=panel.limits[name][1])
        if panel.window != self._window:
            self._window = panel.window
            self._move_to(panel)
        largest = float(np.abs(panel.maps["residual"]).max())
        captions = {
            "input": ("Input", f"{panel.choice.factor} × {panel.choice.factor} block means"),
            "result": ("Result", title),
            "truth": ("Truth", panel.long_name.lower()),
            "error": ("Error", "result − truth"),
            "residual": ("Conservation residual", f"at most {largest:.1e}"),
            "spectrum": ("Power spectra", f"({panel.units})²" if " " in panel.units else f"{panel.units}²"),
        }
        for name, (head, words) in captions.items():
            units = "" if name == "spectrum" else f" · {panel.units}"
            self.captions[
                name
            ].object = f'<div class="caption"><b>{head}</b><span class="quiet">{words}{units}</span></div>'
        for name, hover in self.hovers.items():
            hover.tooltips = [("", f"@image{{{_digits(name)}}} {panel.units}"), ("", "$y{0.0}°, $x{0.0}°")]
        self.spectra.data = {"k": panel.wavenumber, **panel.spectra}
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
        mapper = self.mappers[QUANTITY[name]]
        image = fig.image(source=self.images[name], color_mapper=mapper)
        self.lines.append(fig.line("x", "y", source=self.coast, line_color=theme.INK, line_alpha=0.7, line_width=0.8))
        self.hovers[name] = HoverTool(renderers=[image], attachment="above", point_policy="follow_mouse")
        wheel = WheelZoomTool()
        fig.add_tools(PanTool(), wheel, ResetTool(), self.hovers[name], CrosshairTool(overlay=self.cross))
        fig.toolbar.active_scroll = wheel
        ticker = BasicTicker(desired_num_ticks=4)
        fig.add_layout(ColorBar(color_mapper=mapper, height=7, padding=0, margin=0, ticker=ticker), "below")
        for axis, key in ((fig.xaxis, "x"), (fig.yaxis, "y")):
            axis.formatter = CustomJSTickFormatter(code=DEGREES, args={"axis": key})
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
        legend = {"truth": "truth", "input": "input, bicubic", "result": "result"}
        for name, label in legend.items():
            style = {"line_color": theme.CURVES[name], "line_width": 2.6 if name == "truth" else 1.8}
            line = fig.line("k", name, source=self.spectra, legend_label=label, **style)
        tips = [("k", "@k"), *((label, f"@{name}{{0.0e+0}}") for name, label in legend.items())]
        fig.add_tools(HoverTool(renderers=[line], mode="vline", tooltips=tips))
        fig.add_layout(self.cutoff)
        fig.xaxis.ticker = FixedTicker(ticks=[1, 2, 4, 8, 16, 32, 64])
        fig.xaxis.axis_label = "waves per longer side of the map"
        fig.legend.location = "bottom_left"
        return fig


def _digits(name: str) -> str:
    return "0.0e+0" if name == "residual" else "0.00"


def scores_html(name: str, heading: str, scores: Mapping[str, Mapping[str, float]] | None, units: str) -> str:
    """One row per metric, this result beside the baselines; full numbers in the ``data-value`` attributes."""
    columns = ("this", *BASELINES)
    if scores is None:
        return f'<h3>{heading}</h3><p class="quiet" data-table="{name}" data-state="computing">computing …</p>'
    heading = f'{heading} <span class="quiet">in {html.escape(units)} where it has a unit</span>'
    labels = {"this": "this<br>result", "bicubic+add": "bicubic<br>+ add"}
    head = "".join(f'<th class="{c if c == "this" else ""}">{labels.get(c, c)}</th>' for c in columns)
    rows = []
    for key, label, pattern, better, equal in METRICS:
        values = {c: float(scores[c][key]) for c in columns if key in scores[c]}
        best = _best(values, better, equal)
        cells = []
        for c in columns:
            classes = " ".join(filter(None, ["this" if c == "this" else "", "best" if c in best else ""]))
            number = f'data-metric="{key}" data-column="{c}" data-value="{values.get(c, float("nan"))!r}"'
            text = pattern.format(values[c]) if c in values else "–"
            cells.append(f'<td class="{classes}" {number}>{"0.000" if text in ("-0.000", "+0.000") else text}</td>')
        rows.append(f"<tr><td>{label}</td>{''.join(cells)}</tr>")
    body = f"<tr><th></th>{head}</tr>{''.join(rows)}"
    return f'<h3>{heading}</h3><table data-table="{name}" data-state="ready">{body}</table>'


def _best(values: Mapping[str, float], better: str, equal: float) -> set[str]:
    """Columns that hold the best value, or one as good within `equal`; none if that is all of them."""
    rank = {c: {"low": v, "high": -v, "zero": abs(v)}[better] for c, v in values.items() if np.isfinite(v)}
    best = {c for c, r in rank.items() if r <= max(min(rank.values()), equal if better != "high" else -np.inf)}
    return best if len(best) < len(rank) else set()


def prompt_html(panel: Panel) -> str:
    """The question before looking, and what there is to see."""
    seen = lessons.answer(panel.choice, panel.scores, panel.units)
    details = f"<details><summary>What you see</summary><div>{seen}</div></details>"
    return f'<div class="prompt"><b>Predict first.</b> {lessons.question(panel.choice)} {details}</div>'


def card_html(choice: Choice, card: Mapping | None) -> str:
    """Provenance: the checkpoint's card, or what an interpolation is."""
    if card is None:
        text = {
            "bicubic": "Bicubic interpolation of the coarse cells.",
            "nearest": "Each coarse value is repeated in its block.",
        }
        after = (
            ""
            if choice.constraint == "none"
            else f" The constraint layer <code>{choice.constraint}</code> is applied to its output."
        )
        words = f"{text[choice.method]}{after} Nothing is trained, so there is no checkpoint."
        return f"<h3>{choice.method}</h3><p>{words}</p>"
    rows = "".join(f"<tr><td>{html.escape(str(k))}</td><td>{_value(v)}</td></tr>" for k, v in card.items())
    after = ""
    if choice.mode == "applied" and choice.constraint != "none":
        after = (
            f"<p>The layer <code>{choice.constraint}</code> is applied to the output of this unconstrained network.</p>"
        )
    return f'<h3>{html.escape(str(card.get("name", "checkpoint")))}</h3>{after}<table class="card-table">{rows}</table>'


def _value(value: object) -> str:
    """A card entry as text: nested entries one per line."""
    if isinstance(value, Mapping):
        return "<br>".join(f"<small>{html.escape(str(k))}</small> {_value(v)}" for k, v in value.items()) or "–"
    if isinstance(value, float):
        return f"{value:.5g}"
    return html.escape(str(value))


def code_html(code: str) -> str:
    """The script with its copy button."""
    copy = (
        "navigator.clipboard.writeText(this.getRootNode().querySelector('pre').innerText); this.textContent = 'copied'"
    )
    button = f'<button onclick="{copy}">copy</button>'
    words = f"<p>This script prints the scores of this frame from the library alone. {button}</p>"
    return f'{words}<pre data-code="ready">{html.escape(code)}</pre>'


def text_pane(content: str = "", **layout) -> pn.pane.HTML:
    """A pane of words in the explorer's style."""
    layout.setdefault("margin", (0, 10))
    return pn.pane.HTML(content, stylesheets=[theme.SHEET], sizing_mode="stretch_width", **layout)
