"""Maps that move together: Bokeh figures with the same ranges, one crosshair and one coastline.

Maps are Bokeh images on one `ColumnDataSource` each. An update replaces the data of the sources in one event batch,
which takes well under a millisecond a map; figures, axes and tools are made once. What the figures of a page can share
(tools, tickers, formatters, scales) is made once for all of them: a page costs as much as it has models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import panel as pn
from bokeh.core.properties import value
from bokeh.models import (
    AllIndices,
    AllLabels,
    BasicTicker,
    CDSView,
    ColumnDataSource,
    CrosshairTool,
    CustomJSHover,
    CustomJSTickFormatter,
    Grid,
    HoverTool,
    Image,
    Line,
    LinearColorMapper,
    LinearScale,
    NoOverlap,
    PanTool,
    Range1d,
    ResetTool,
    Text,
    UnionRenderers,
    WheelZoomTool,
)
from bokeh.models.annotations import ColorBar, Span
from bokeh.plotting import figure

from apps import theme
from apps.globe import Edges
from apps.language import word
from apps.lazily import Lazily
from apps.views import text_pane
from physlab.data.coastline import load_coastline

ASPECT = 0.92  # of a figure with its axes and colour bar, so that the map itself is square
NOTHING = "#bbbbbb"  # the colour of what has no value, on maps of the Downscale view
TIP = """<div style="font: 12px Roboto, sans-serif"><b>@image{{{digits}}}</b> {units}<br>
<span style="opacity: 0.7">$y{{custom}} $x{{custom}}</span></div>"""
DEGREES = """
const names = {x: ["E", "W"], y: ["N", "S"]}[axis]
const angle = axis == "x" ? ((tick + 180) % 360 + 360) % 360 - 180 : tick
const text = Math.abs(angle) < 1e-9 || (axis == "x" && Math.abs(angle) == 180) ? "" : names[angle > 0 ? 0 : 1]
return `${Math.abs(+angle.toFixed(digits))}°${text}`
"""


def coloured(palettes: Mapping[str, Any], nothing: str = theme.GROUND) -> dict[str, LinearColorMapper]:
    """Colours of quantities, between limits that come with what is drawn; `nothing` where there is no value."""
    return {name: LinearColorMapper(palette=p, low=-1, high=1, nan_color=nothing) for name, p in palettes.items()}


def unheard(fig: Any) -> None:
    """Let a browser keep to itself how large a figure is and what its toolbar looks like; what a hand does is heard."""
    fig.syncable = fig.toolbar.syncable = False


class LinkedMaps:
    """Figures by name, with captions.

    Parameters
    ----------
    quantities : name of each map -> key of its colours in `mappers`.
    mappers : colours, shared by the maps of a quantity.
    aspect : width over height of a figure.
    wheel : key that is held while the wheel zooms, where a page is higher than a screen; "" for none.
    like : other maps that these move with: the same region, coastlines and crosshair.
    """

    def __init__(
        self, quantities: Mapping[str, str], mappers: Mapping[str, LinearColorMapper], aspect: float = ASPECT,
        wheel: str = "", like: LinkedMaps | None = None,
    ) -> None:  # fmt: skip
        self.aspect, self.wheel = aspect, wheel
        self.x_range, self.y_range = Range1d(start=-180, end=180), Range1d(start=-90, end=90)
        if like is not None:
            self.x_range, self.y_range = like.x_range, like.y_range
        self.mappers = dict(mappers)
        empty = {"image": [np.zeros((2, 2), dtype=np.float32)], "x": [0.0], "y": [0.0], "dw": [1.0], "dh": [1.0]}
        union, self._all, self._scale = UnionRenderers(), AllIndices(), LinearScale()
        self.images = {name: ColumnDataSource({**empty}, selection_policy=union) for name in quantities}
        self.coast: ColumnDataSource = (
            like.coast if like else ColumnDataSource({"x": [], "y": []}, selection_policy=union)
        )
        look: dict[str, Any] = {"line_color": theme.INK, "line_alpha": 0.35, "line_width": 1}
        spans = (Span(dimension="width", **look), Span(dimension="height", **look))
        self.cross: tuple[Span, Span] = like.cross if like else spans
        self.lines: list = []
        self.hovers: dict[str, HoverTool] = {}
        self._make_shared()
        self.figures = {name: self._map(name, self.mappers[key]) for name, key in quantities.items()}
        self.silence: dict[str, ColumnDataSource] = Lazily(lambda name: self._words(self.figures[name]))
        self._painted: dict[str, np.ndarray] = {}
        self._words_of: dict[str, str] = {}
        self._units: dict[str, str] = {}
        self._window: tuple[float, float, float, float] | None = None

    def _frame(self) -> None:
        """A caption and a pane for each figure, once all are made."""
        for fig in self.figures.values():
            unheard(fig)
        self.captions = {name: text_pane(margin=0) for name in self.figures}
        self.panes = {
            name: pn.pane.Bokeh(fig, sizing_mode="stretch_width", margin=(0, 4)) for name, fig in self.figures.items()
        }

    def caption(self, name: str, head: str, words: str) -> None:
        """Bold and quiet words above a figure."""
        words = words.replace(" m⁻", "\u00a0m⁻").replace(" s⁻", "\u00a0s⁻")  # a unit stays in one line
        self.captions[name].object = f'<div class="caption"><b>{head}</b><span class="quiet">{words}</span></div>'
        self._words_of[name] = f"{word(head)}: {word(words)}" if words else word(head)

    def tip(self, name: str, digits: str, units: str) -> None:
        """What a map says of the cell under the pointer: a number with these digits, in these units."""
        self.hovers[name].tooltips, self._units[name] = TIP.format(digits=digits, units=units), units

    def describe(self) -> None:
        """Say in a sentence what each figure shows, for those who hear the page; the last step of an update."""
        for name, fig in self.figures.items():
            source = self.images.get(name)
            silent = name in self.silence and self.silence[name].data["text"]
            if source is None:
                said = word("curves" if name == "spectrum" else "bars")
            elif silent:
                said = word(" ".join(silent[0].split()))
            else:
                said = word(in_words(source.data, self._units.get(name, "")))
            fig.html_attributes = {
                "role": "img", "tabindex": "0", "aria-label": f"{self._words_of.get(name, name)}. {said}",
                "data-map": fig.id, "data-name": name, "data-units": self._units.get(name, ""),
                "data-caption": self._words_of.get(name, name),
            }  # fmt: skip

    def paint(self, name: str, image: np.ndarray, edges: tuple[float, float, float, float]) -> None:
        """Show an image within its west, east, south and north edge; nothing if it is the one that is shown."""
        if name in self.silence and self.silence[name].data["text"]:
            self.silence[name].data = {"x": [], "y": [], "text": []}
        if self._painted.get(name) is not image:
            west, east, south, north = edges
            place = {"x": [west], "y": [south], "dw": [east - west], "dh": [north - south]}
            self.images[name].data, self._painted[name] = {"image": [image], **place}, image

    def show(self, name: str, maps: Mapping[str, np.ndarray], edges: Edges, waiting: str) -> None:
        """Paint the map of a name, or `waiting` in its place."""
        if name in maps:
            self.paint(name, maps[name], edges)
        else:
            self.blank(name, waiting, edges)

    def set_limits(self, limits: Mapping[str, tuple[float, float]]) -> None:
        """The least and the largest value of the colours of each quantity."""
        for name, mapper in self.mappers.items():
            low, high = limits[name]
            mapper.update(low=low, high=high)

    def say(self, captions: Mapping[str, tuple[str, str]]) -> None:
        """Captions of several figures."""
        for name, (head, words) in captions.items():
            self.caption(name, head, words)

    def blank(self, name: str, text: str, box: tuple[float, float, float, float]) -> None:
        """Words in the middle of a box, in the place of an image."""
        x, y = (0.5 * (a + b) for a, b in (box[:2], box[2:]))
        self.silence[name].data = {"x": [x], "y": [y], "text": [word(text)]}
        source = self.images[name]
        source.data = {**source.data, "image": [np.full((2, 2), np.nan, dtype=np.float32)]}
        self._painted.pop(name, None)

    def reset_view(self) -> None:
        """The whole map again."""
        if self._window:
            west, east, south, north = self._window
            self.x_range.update(start=west, end=east, reset_start=west, reset_end=east)
            self.y_range.update(start=south, end=north, reset_start=south, reset_end=north)

    def move_to(self, window: tuple[float, float, float, float]) -> None:
        """Show another region: ranges and coastlines; nothing if it is the one that is shown."""
        if window == self._window:
            return
        self._window = west, east, south, north = window
        x, y = load_coastline((west, min(east, west + 360.0)), (south, north))
        self.coast.data = {"x": x, "y": y}
        for line in self.lines:
            line.glyph.line_width = 0.8 if east - west > 40 else 1.2
        self.reset_view()

    def _words(self, fig) -> ColumnDataSource:
        """What stands in a figure that has no image."""
        source = ColumnDataSource({"x": [], "y": [], "text": []})
        style: dict[str, Any] = {"text_color": theme.QUIET, "text_font_size": "12px", "text_font": value(theme.FONT)}
        style |= {"padding": 4}
        glyph = Text(
            text_align="center", text_baseline="middle", background_fill_color=theme.PAPER, background_fill_alpha=0.9,
            **style,
        )  # fmt: skip
        self._draw(fig, source, glyph, level="overlay")
        return source

    def _draw(self, fig, source: ColumnDataSource, glyph, **more):
        """A glyph on a figure, without the three copies that `fig.line` and its like make of each."""
        return fig.add_glyph(source, glyph, view=CDSView(filter=self._all), **more)

    def _make_shared(self) -> None:
        """What all figures have in common."""
        self._hover_degrees: dict[str, Any] = {
            f"${axis}": CustomJSHover(code=f"const tick = value, digits = 1, axis = '{axis}'\n{DEGREES}")
            for axis in "xy"
        }
        self._degrees = {axis: CustomJSTickFormatter(code=DEGREES, args={"axis": axis, "digits": 2}) for axis in "xy"}
        self._ticker, self._labels = BasicTicker(desired_num_ticks=4), AllLabels()
        wide = self.aspect > 1.2  # and low, with no room for many numbers
        mantissas = [1, 2, 3, 4, 5] if wide else [1, 2, 5]
        self._colour_ticker = BasicTicker(desired_num_ticks=3 if wide else 4, mantissas=mantissas)
        self._colour_labels = NoOverlap()
        self.pan = PanTool()
        self._tools = (
            self.pan, WheelZoomTool(modifiers=self.wheel or {}), ResetTool(), CrosshairTool(overlay=self.cross)
        )  # fmt: skip

    def _map(self, name: str, mapper: LinearColorMapper):
        fig = figure(
            x_range=self.x_range,
            y_range=self.y_range,
            sizing_mode="scale_width",
            aspect_ratio=self.aspect,
            tools=[],
            title=None,
        )
        fig.update(x_scale=self._scale, y_scale=self._scale)
        fig.center = [part for part in fig.center if not isinstance(part, Grid)]  # the image covers it
        image = self._draw(fig, self.images[name], Image(color_mapper=mapper), level="image")
        coast = Line(line_color=theme.INK, line_alpha=0.7, line_width=0.8)
        self.lines.append(self._draw(fig, self.coast, coast))
        self.hovers[name] = HoverTool(
            renderers=[image], attachment="above", point_policy="follow_mouse", formatters=self._hover_degrees
        )
        fig.add_tools(*self._tools, self.hovers[name])
        fig.toolbar.active_scroll = self._tools[1]
        bar: dict[str, Any] = {"ticker": self._colour_ticker, "major_label_policy": self._colour_labels}
        fig.add_layout(ColorBar(color_mapper=mapper, height=7, padding=0, margin=0, **bar), "below")
        for axis, key in ((fig.xaxis, "x"), (fig.yaxis, "y")):
            axis.formatter, axis.ticker = self._degrees[key], self._ticker
            axis.major_label_policy = self._labels
        return fig


def digits(limits: tuple[float, float]) -> str:
    """Three figures of values within the limits, as a pattern of the tool tips."""
    decimals = max(0, 2 - int(np.floor(np.log10(max(abs(limits[0]), abs(limits[1]), 1e-12)))))
    return f"0.{'0' * decimals}" if decimals else "0"


def in_words(data: Mapping[str, Any], units: str) -> str:
    """What an image shows: its range, and where the largest value lies."""
    image = data["image"][0]
    if not np.isfinite(image).any():
        return "No values."
    row, column = np.unravel_index(np.nanargmax(image), image.shape)
    x = data["x"][0] + (column + 0.5) * data["dw"][0] / image.shape[1]
    y = data["y"][0] + (row + 0.5) * data["dh"][0] / image.shape[0]
    low, high = float(np.nanmin(image)), float(np.nanmax(image))
    x = (x + 180.0) % 360.0 - 180.0
    place = (
        f"{abs(y):.0f} degrees {'north' if y >= 0 else 'south'}, {abs(x):.0f} degrees {'east' if x >= 0 else 'west'}"
    )
    return f"Values from {low:.3g} to {high:.3g} {units}; the largest lies at {place}. Arrow keys read single cells."
