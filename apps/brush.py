"""Brushes of the views with a truth: part of a spectrum has its map, part of a map its scores.

A drag over the spectrum chooses a band, a drag over a map a region (while the box in the sidebar is ticked); both can
be set by sliders and numbers, and are in the link. A page has one :class:`Hand`, and each view a :class:`Brush` that
follows it.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.events import SelectionGeometry
from bokeh.models import BoxSelectTool
from bokeh.models.annotations import BoxAnnotation

from apps import theme
from apps.frame import Frame
from apps.language import word
from apps.linked import NOTHING, Edges, LinkedMaps, coloured
from apps.spectrum import Spectrum
from apps.state import MAX_WAVE, Choice, _read
from apps.views import text_pane
from physlab.views.brush import band_scores, part, region_scores

QUANTITY = {"band_truth": "band", "band_result": "band", "band_error": "band_error"}
LOOK: dict[str, Any] = {"fill_color": theme.ACCENT, "fill_alpha": 0.12, "line_color": theme.ACCENT, "line_width": 1.2}


@dataclass(frozen=True, eq=False)
class Of:
    """What a brush takes parts of: a result beside its truth.

    Attributes
    ----------
    truth, result : (rows, columns), row 0 southernmost, in `units`; no result while it is being made.
    name, error : heads of the result and of its error.
    waves : how they are counted, see :data:`physlab.views.brush.WAVES`.
    before : what the result began from, and its name: it has numbers of its own, and its errors the colours.
    latitude, area : of the rows, degrees and any unit; None for rows that are equally high.
    code : lines of the copied script that make maps `result` and `truth` of what it has, and `latitude` and `area` if
        they are given here.
    there : edges of the maps of the script, whose first column may be another.
    """

    truth: np.ndarray
    result: np.ndarray | None
    window: Edges
    units: str
    name: str = "Result"
    error: str = "Error"
    waves: str = "plane"
    before: tuple[str, np.ndarray] | None = None
    latitude: np.ndarray | None = None
    area: np.ndarray | None = None
    digits: str = "0.00"
    code: str = ""
    there: Edges | None = None

    def band(self, result: np.ndarray, low: int, high: int) -> dict[str, float]:
        """Scores of the waves low <= k < high."""
        return band_scores(result, self.truth, low, high, self.waves, self.area)

    def region(self, result: np.ndarray, edges: tuple[float, float, float, float]) -> dict[str, float]:
        """Scores of the cells between edges: west, south, east, north."""
        return region_scores(result, self.truth, self.window, edges, self.latitude, self.area)

    def script(self, choice: Choice) -> str:
        """Lines for the end of a copied script that print the scores of band and region; none if none is chosen."""
        area, both = (", area=area", ", latitude=latitude, area=area") if self.area is not None else ("", "")
        asked = {}
        if choice.waves is not None:
            low, high = choice.waves
            asked["band_scores"] = f'result, truth, {low}, {high}, "{self.waves}"{area}'
        if choice.edges is not None:
            asked["region_scores"] = f"result, truth, {self.there or self.window}, {choice.edges}{both}"
        if not asked or self.result is None:
            return ""
        calls = "".join(f"print({name}({arguments}))\n" for name, arguments in asked.items())
        return f"\nfrom physlab.views.brush import {', '.join(asked)}\n\n{self.code}{calls}"


class BandMaps(LinkedMaps):
    """Truth, result and error of the waves of a band; colours about zero, the same for truth and result."""

    def __init__(self, maps: LinkedMaps) -> None:
        palettes = dict.fromkeys(QUANTITY.values(), theme.ERROR_PALETTE)
        super().__init__(QUANTITY, coloured(palettes, NOTHING), maps.aspect, maps.wheel, maps)
        self._frame()

    def update(self, of: Of, low: int, high: int, waiting: str) -> None:
        """Draw the band low <= k < high; `waiting` are the words in the place of a result that is not there."""
        images = {"band_truth": self._part(of, of.truth, low, high)}
        reach = size = _reach(images["band_truth"])
        if of.before is not None:
            size = _reach(self._part(of, of.before[1], low, high) - images["band_truth"])
        self.set_limits({"band": (-reach, reach), "band_error": (-size, size)})
        if of.result is not None:
            images["band_result"] = self._part(of, of.result, low, high)
            images["band_error"] = images["band_result"] - images["band_truth"]
        for name, head in (("band_truth", "Truth"), ("band_result", of.name), ("band_error", of.error)):
            self.show(name, images, of.window, waiting)
            self.caption(name, head, f"waves {low} to {high} · {of.units}")
            self.tip(name, of.digits, of.units)
        self.describe()

    def _part(self, of: Of, field: np.ndarray, low: int, high: int) -> np.ndarray:
        return part(field, low, high, of.waves).astype(np.float32)


def _reach(image: np.ndarray) -> float:
    return max(float(np.quantile(np.abs(image), 0.995)), 1e-9)


class Hand:
    """The controls of a page: whether a drag takes a region, and its edges as numbers.

    Parameters
    ----------
    choose : called with the name of a selection and its new value.
    say : shows a sentence above the maps.
    """

    def __init__(self, choose: Callable[[str, str], None], say: Callable[[str], None]) -> None:
        self.choose, self.say = choose, say
        small: dict[str, Any] = {"size": "small"}
        self.drag = pmui.Checkbox(
            label=word("A drag takes a region"), value=False, margin=(0, 10), sx=theme.TICK_SX, **small
        )
        self.numbers = pmui.TextInput(label=word("Edges"), placeholder=word("west, south, east, north"), margin=(8, 10),
                                      sizing_mode="stretch_width", **small)  # fmt: skip
        self.numbers.param.watch(lambda event: self.listed(event.new), "value")
        self.pane = pn.Column(self.drag, self.numbers, margin=0, sizing_mode="stretch_width")

    def listed(self, text: str) -> None:
        """Edges as numbers; none for the whole map."""
        value, problem = _read("region", text.replace(" ", ""))
        if problem:
            self.say(problem)
        else:
            self.choose("region", str(value))


class Brush:
    """Band and region of one view.

    Parameters
    ----------
    hand : of the page.
    maps, spectrum, frame : of the view.
    hidden : names of what the lesson does not need.
    """

    def __init__(
        self, hand: Hand, maps: LinkedMaps, spectrum: Spectrum, frame: Frame, hidden: Callable[[], tuple[str, ...]]
    ) -> None:
        self.hand, self.maps, self.spectrum, self.frame, self.hidden = hand, maps, spectrum, frame, hidden
        self.bands: BandMaps | None = None
        self.cells: dict[str, pn.Column] = {}
        self.scores = text_pane("", margin=(0, 10))
        self._tool = BoxSelectTool(renderers=[])  # of all maps
        self._arm()
        hand.drag.param.watch(lambda event: self.take(event.new), "value")
        self.take(hand.drag.value)

    # -- by hand -------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Let a drag over the spectrum choose a band, and one over a map a region when it is wanted."""
        maps, spectrum = self.maps, self.spectrum
        self._box = BoxAnnotation(level="annotation", visible=False, handles=self._tool.overlay.handles, **LOOK)
        for name in maps.images:  # with the figures, because a browser takes up neither tools nor boxes that come later
            maps.figures[name].add_tools(self._tool)
            maps.figures[name].add_layout(self._box)
            maps.figures[name].on_event(SelectionGeometry, lambda event: self.dragged(event.geometry))
        tool = BoxSelectTool(dimensions="width", renderers=[])
        spectrum.band.handles = tool.overlay.handles = self._tool.overlay.handles  # one for all: nobody drags them
        spectrum.figure.add_tools(tool)
        spectrum.figure.toolbar.active_drag = tool
        spectrum.figure.on_event(SelectionGeometry, lambda event: self.brushed(event.geometry))
        spectrum.figure.add_layout(spectrum.band)
        self.frame.tops["scores"].append(self.scores)

    def brushed(self, geometry: Mapping[str, Any]) -> None:
        """A part of the spectrum was taken: at least one wavenumber; less than a tenth of one ends it."""
        ends = sorted(float(geometry[name]) for name in ("x0", "x1"))
        if ends[1] - ends[0] < 0.1:
            self.hand.choose("band", "")
            return
        low = min(max(int(np.floor(ends[0])), 1), MAX_WAVE - 1)
        self.hand.choose("band", f"{low}-{min(max(int(np.ceil(ends[1])), low + 1), MAX_WAVE)}")

    def take(self, region: bool) -> None:
        """Whether a drag on a map takes a region; else it moves the maps."""
        for name in self.maps.images:
            self.maps.figures[name].toolbar.active_drag = self._tool if region else self.maps.pan

    def dragged(self, geometry: Mapping[str, Any]) -> None:
        """A box was drawn on a map."""
        (west, east), (south, north) = (sorted(float(geometry[f"{axis}{n}"]) for n in "01") for axis in "xy")
        self.hand.listed(",".join(f"{x:.1f}" for x in (west, max(south, -90.0), east, min(north, 90.0))))

    # -- what is shown -------------------------------------------------------------------------------------------

    def follow(self, of: Of, choice: Choice, waiting: str = "") -> None:
        """Maps and scores of what is chosen of it."""
        self.scores.object = _band_html(of, choice) + _region_html(of, choice)
        waves = choice.waves
        self.spectrum.band.update(
            visible=waves is not None, left=waves[0] if waves else 1, right=waves[1] if waves else 2
        )
        if waves is not None:
            if self.bands is None:
                self.bands = BandMaps(self.maps)
                self.cells = self.frame.add(self.bands, 1 + list(self.frame.grid).index(self.frame.cells["spectrum"]))
                for name, cell in self.cells.items():
                    cell.visible = name not in self.hidden()
            self.bands.update(of, *waves, waiting)
        self._outline(choice.edges)
        if self.hand.numbers.value != choice.region:
            self.hand.numbers.value = choice.region

    def _outline(self, edges: tuple[float, float, float, float] | None) -> None:
        """The region on every map."""
        west, south, east, north = edges or (0.0, 0.0, 1.0, 1.0)
        self._box.update(left=west, right=east, bottom=south, top=north, visible=edges is not None)


def _band_html(of: Of, choice: Choice) -> str:
    if (waves := choice.waves) is None or of.result is None:
        return ""
    found = {"this": of.band(of.result, *waves)} | ({"before": of.band(of.before[1], *waves)} if of.before else {})
    rows = {"rmse": f"RMSE, {of.units}", "power": "Power / truth's", "correlation": "Correlation with the truth"}
    return _table("band", f"Waves {waves[0]} to {waves[1]}", found, rows, of)


def _region_html(of: Of, choice: Choice) -> str:
    if (edges := choice.edges) is None or of.result is None:
        return ""
    found = {"this": of.region(of.result, edges)} | ({"before": of.region(of.before[1], edges)} if of.before else {})
    cells = found["this"]["cells"]
    if not cells:
        return '<h3>Region</h3><p class="quiet" data-table="region">No cell of this map lies in the region.</p>'
    units = of.units
    rows = {"rmse": f"RMSE, {units}", "mae": f"MAE, {units}", "bias": f"Bias, {units}",
            "result": f"Mean of the result, {units}", "truth": f"Mean of the truth, {units}"}  # fmt: skip
    west, south, east, north = edges
    place = f"{west:g} to {east:g}° E, {south:g} to {north:g}° N"
    return _table("region", f"{cells:.0f} cells, {place}", found, rows, of)


def _table(
    name: str, title: str, found: Mapping[str, Mapping[str, float]], rows: Mapping[str, str], of: Of
) -> str:  # fmt: skip
    """One row per score; columns of the result and, where there is one, of what it began from."""

    def cell(key: str, column: str) -> str:
        value = found[column][key]
        text = f"{value:.4g}" if np.isfinite(value) else "–"
        look = 'class="this" ' if column == "this" else ""
        return f'<td {look}data-metric="{key}" data-column="{column}" data-value="{value!r}">{text}</td>'

    body = "".join(
        f"<tr><td>{html.escape(label)}</td>{''.join(cell(key, column) for column in found)}</tr>"
        for key, label in rows.items()
    )
    head = ""
    if of.before is not None:
        gain = 1.0 - found["this"]["rmse"] / found["before"]["rmse"] if found["before"]["rmse"] else float("nan")
        text = f"{round(100 * gain) + 0:+d} %" if np.isfinite(gain) else "–"
        head = f'<tr><th></th><th class="this">{html.escape(of.name)}</th><th>{html.escape(of.before[0])}</th></tr>'
        body += (
            f'<tr><td>Gain</td><td class="this" data-metric="gain" data-column="this" data-value="{gain!r}">{text}</td>'
            "<td></td></tr>"
        )
    return f'<h3>{html.escape(title)}</h3><table data-table="{name}" data-state="ready">{head}{body}</table>'
