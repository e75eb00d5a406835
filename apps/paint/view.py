"""The Paint view of one session: draw stations or a track, ask a method, and see beside it what is right."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import panel as pn
import panel_material_ui as pmui
from bokeh.models import ColumnDataSource, FreehandDrawTool, MultiLine, Scatter

from apps import theme
from apps.cards import card_table
from apps.language import word
from apps.linked import LinkedMaps, coloured
from apps.options import GUIDES, PAINTED
from apps.paint.store import LIMITS, Picture
from apps.placing import Placing
from apps.slow import Slow
from apps.state import Choice, Paint
from apps.views import code_html
from physlab.views.painter import REACH, STD, Canvas

ROWS = (("truth", "asked", "kalman"), ("apart", "asked_spread", "kalman_spread"))
QUANTITY = {"truth": "field", "asked": "field", "kalman": "field", "apart": "error", "asked_spread": "spread",
            "kalman_spread": "spread"}  # fmt: skip
ASPECT = 1.05  # of a figure with its axes and colour bar, so that a kilometre is about as long both ways
UNITS = dict.fromkeys(QUANTITY, "m") | {"apart": "spreads"}
BOUNDS = {  # of the certificate: words, least and most that pass
    "mean": ("Largest error of the mean, in spreads", 0.0, 0.1),
    "covariance": ("Error of the covariance, relative", 0.0, 0.02),
    "stations": ("Spread at the stations, over the right one", 0.99, 1.01),
    "spread": ("Spread everywhere, over the right one", 0.99, 1.01),
}


class PaintMaps(LinkedMaps):
    """`update` draws a picture.

    Parameters
    ----------
    click : takes longitude and latitude of a click.  drawn : takes those of the corners of a line.
    """

    def __init__(self, click: Callable[[float, float], None], drawn: Callable[[Sequence, Sequence], None]) -> None:
        palettes = {"field": theme.VARIABLE_PALETTES["z"], "error": theme.ERROR_PALETTE,
                    "spread": theme.SPREAD_PALETTE}  # fmt: skip
        super().__init__(QUANTITY, coloured(palettes), ASPECT, wheel="ctrl")
        self.set_limits(LIMITS)
        self.stations, self.path = ColumnDataSource({"x": [], "y": []}), ColumnDataSource({"xs": [], "ys": []})
        self.pens = {}
        for name, fig in self.figures.items():
            mark = Scatter(**{**theme.STATION, "size": 7})
            self._draw(fig, self.stations, mark)
            line = self._draw(fig, self.path, MultiLine(line_color=theme.ACCENT, line_width=3))
            self.pens[name] = FreehandDrawTool(renderers=[line], num_objects=1)
            fig.add_tools(self.pens[name])
            fig.toolbar.active_drag = self.pan
            fig.on_event("tap", lambda event: click(event.x, event.y))
        self.path.on_change("data", lambda attr, old, new: self._line(new, drawn))
        self._frame()

    def _line(self, data: dict[str, Any], drawn: Callable[[Sequence, Sequence], None]) -> None:
        if len(data["xs"]) and len(data["xs"][-1]) > 1:
            xs, ys = list(data["xs"][-1]), list(data["ys"][-1])
            self.path.data = {"xs": [], "ys": []}
            drawn(xs, ys)

    def take(self, pen: bool) -> None:
        """Whether a drag draws a line; else it moves the maps."""
        for name, fig in self.figures.items():
            fig.toolbar.active_drag = self.pens[name] if pen else self.pan

    def update(self, picture: Picture, waiting: str) -> None:
        """Draw a picture; `waiting` are the words in the place of an answer that is not there."""
        method = GUIDES[picture.paint.guide]
        rms = {name: f"RMSE {value:.1f} m" for name, value in picture.scores.items()}
        words = {
            "truth": ("Truth", "height at 500 hPa, anomaly · m"),
            "asked": (method, f"mean · {rms.get('asked', 'm')}"),
            "kalman": ("Kalman filter", f"mean · {rms['kalman']}"),
            "apart": ("Method − Kalman", "in spreads of the Kalman filter"),
            "asked_spread": (method, "spread · m"),
            "kalman_spread": ("Kalman filter", "spread · m"),
        }
        for name in self.images:
            self.show(name, picture.maps, picture.window, waiting)
            self.caption(name, *words[name])
            self.tip(name, "0.00" if name == "apart" else "0.0", UNITS[name])
        self.move_to(picture.window)
        self.stations.data = {"x": picture.longitude, "y": picture.latitude}
        self.describe()


# -- words and tables -------------------------------------------------------------------------------------------------


def question(picture: Picture) -> str:
    """What the student is asked before looking."""
    paint = picture.paint
    if not paint.stations:
        return (
            "Nothing is observed: click a map to place a station, or draw the track of a satellite. What do you expect?"
        )
    if paint.guide == "mmps":
        return (
            "Where will the spread be small: only at the stations, or around them too, and how far? Will the method "
            "and the Kalman filter differ by anything that one can see?"
        )
    if paint.guide == "enkf":
        return "Twenty members have to find the covariance of the field. Where will they be most wrong?"
    return (
        f"{GUIDES[paint.guide]} has the same prior and the same observations as the Kalman filter. Will it be too sure "
        "of itself or not sure enough, and where will its mean be wrong?"
    )


def answer(picture: Picture) -> str:
    """What there is to see, with the numbers of this picture."""
    found = picture.certificate
    if not found:
        return "Without observations the answer is the prior." if not picture.paint.stations else "No answer yet."
    passed = all(low <= found[name] <= high for name, (_, low, high) in BOUNDS.items())
    how = "within the bounds of the certificate" if passed else "beyond the bounds of the certificate"
    return (
        f"The mean is {_short(found['mean'])} spreads from the Kalman filter's at most, the spread at the stations "
        f"{_short(found['stations'])} times the right one: {how}. Observations took the error from "
        f"{picture.scores['prior']:.0f} m to {picture.scores['kalman']:.0f} m with the Kalman filter and to "
        f"{_short(picture.scores['asked'])} m with {GUIDES[picture.paint.guide]}."
    )


def scores_html(picture: Picture, selection: str) -> str:
    """The certificate and the errors; full numbers in the ``data-value`` attributes."""
    if "asked" not in picture.scores:
        return '<h3>Certificate</h3><p class="quiet" data-table="paint" data-state="waiting">No answer yet.</p>'
    rows = []
    for name, (words, low, high) in BOUNDS.items():
        if name in picture.certificate:
            value = picture.certificate[name]
            good = low <= value <= high
            bound = f"≤ {high:g}" if not low else f"{low:g} – {high:g}"
            rows.append(
                f'<tr><td style="white-space: normal">{words}</td><td class="this{" best" if good else ""}" '
                f'data-metric="{name}" data-column="certificate" data-value="{value!r}">{_short(value)}</td>'
                f"<td>{bound}</td></tr>"
            )
    head = '<tr><th></th><th class="this">method</th><th>exact if</th></tr>'
    none = '<p class="quiet">Nothing is observed: both say the prior.</p>' if not rows else ""
    errors = "".join(
        f'<tr><td>{words}</td><td data-metric="rmse" data-column="{name}" data-value="{picture.scores[name]!r}">'
        f"{_short(picture.scores[name])}</td></tr>"
        for name, words in (("prior", "Prior"), ("kalman", "Kalman filter"), ("asked", "Method"))
    )
    return (
        f'<h3>Certificate <span class="quiet">method beside the Kalman filter</span></h3><table data-table="paint" '
        f'data-key="{selection}" data-state="ready">{head if rows else ""}{"".join(rows)}</table>{none}'
        f'<h3>RMSE <span class="quiet">m, against the truth</span></h3><table>{errors}</table>'
        '<p class="quiet">The Kalman filter is right here: the field is Gaussian and its prior is known. Of one truth '
        "another method may have the smaller error by luck; over many it cannot.</p>"
    )


def _short(value: float) -> str:
    return "over 1000" if value > 1000 else f"{value:.3g}"


def script(picture: Picture) -> str:
    """A script that prints the certificate of the selection from the library alone."""
    paint = picture.paint
    if not paint.stations:
        return "from physlab.views.painter import Canvas\n\ncanvas = Canvas.make()  # nothing is observed yet\n"
    return f'''"""PhysLab explorer: {GUIDES[paint.guide]} and the Kalman filter, {len(paint.stations)} observations."""

from physlab.views.painter import Canvas, certificate

canvas = Canvas.make()
seen = canvas.observe({paint.stations!r}, error={paint.sigma:g}, seed={paint.seed})
asked, exact = canvas.ask("{paint.guide}", seen), canvas.kalman(seen)

for name, value in certificate(canvas, seen, asked, exact).items():
    print(f"{{name:12s}} {{value:.9g}}")
print(f"rmse         {{canvas.rmse(asked[0], seed={paint.seed}):.9g}}")
'''


HELP = f"""
<h3>What this view shows</h3>
<p>A small world in which the right answer is known: a Gaussian field of heights at 500 hPa over the Atlantic, with a
standard deviation of {STD:.0f} m, alike over {REACH / 1e3:.0f} km. The <b>Kalman filter</b> gives mean and spread of
the field given the observations in closed form. The <b>method</b> has the same prior, as the denoiser that a perfect
training would give, and the same observations: what it does otherwise is its own mistake.</p>
<h3>Draw</h3>
<p>A click places a station, a click on it takes it away. With <b>A drag draws a track</b> a drag with the mouse or
a finger leaves an observation every two degrees. By keyboard: arrows and Enter on a map, or the list of places, north
and east: <code>50 -20, 55 -10</code>.</p>
<h3>Methods</h3>
<p><i>Moment matching</i> takes from the denoiser how much the noisy field leaves open, and returns the Kalman filter's
answer. <i>SDA</i> and <i>ΠGDM</i> put one number in its place, <i>DPS</i> has no likelihood; with many exact
observations some of them are unstable, and the numbers say so. The <i>EnKF</i> has twenty members and no
localisation.</p>
<h3>Certificate</h3>
<p>Green numbers are within the bounds of what the sampler's finite steps explain. Mean and covariance are those of all
that could be drawn, without the chance of a finite ensemble; DPS is drawn 400 times.</p>
"""


class PaintView(Slow):
    """Maps, tables and words around an answer; parameters as of its base, the store is of paintings."""

    making, nothing = "The method\nis being asked.", "There is no answer to this selection."
    words = SimpleNamespace(question=question, answer=answer)
    tables = SimpleNamespace(scores_html=scores_html)

    def __init__(self, *parts) -> None:
        super().__init__(*parts)
        self.canvas = Canvas.make()
        self.stations = Placing(
            self.state, "painted", self._cell, lambda sentence: self.say([sentence], "note"), PAINTED
        )
        maps = PaintMaps(self.stations.place, self.line)
        self.lay_out(maps, ROWS, self.numbers, HELP, (self.strip.view,))
        small: dict[str, Any] = {"size": "small", "sizing_mode": "stretch_width"}
        self.pen = pmui.Checkbox(
            label=word("A drag draws a track"), value=False, size="small", margin=(0, 10), sx=theme.TICK_SX
        )
        self.pen.param.watch(lambda event: maps.take(event.new), "value")
        self.places = pmui.TextInput(label=word("Places"), placeholder="50 -20, 55 -10", margin=(8, 10), **small)
        self.places.param.watch(lambda event: self.listed(event.new), "value")
        self.own = pn.Column(self.stations.pane, self.pen, self.places, margin=0, sizing_mode="stretch_width")

    def wanted(self, choice: Choice) -> Paint:
        return choice.part(Paint)

    def title(self, choice: Choice) -> str:
        return GUIDES[choice.guide]

    def is_whole(self, picture: Picture) -> bool:
        return "asked" in picture.scores

    def tell(self, picture: Picture, choice: Choice) -> None:
        facts = {
            "Field": "Gaussian, height anomalies at 500 hPa", "Standard deviation": f"{STD:.0f} m",
            "Correlation": f"exp(−½ (distance / {REACH / 1e3:.0f} km)²)", "Waves": picture.waves,
            "Observations": len(picture.paint.stations), "Their errors": f"{picture.paint.sigma:g} m",
            "Seed": str(picture.paint.seed), "Method": GUIDES[picture.paint.guide],
        }  # fmt: skip
        self.card.object = card_table(facts, "A world with a known answer", "paint")
        self.code.object = code_html(script(picture), "This script prints the certificate")

    def _show(self, picture: Picture, choice: Choice) -> None:
        self.stations.follow()
        super()._show(picture, choice)

    def summary(self, picture: Picture) -> str:
        count = len(picture.paint.stations)
        return f"{GUIDES[picture.paint.guide]} · {count} observations · asked in {picture.seconds:.1f} s"

    # -- drawing -------------------------------------------------------------------------------------------------

    def _cell(self, east: float, north: float) -> int | None:
        """The grid point next to a place of this world."""
        return self.canvas.near(east, north) if self.canvas.holds(east, north) else None

    def line(self, east: Sequence[float], north: Sequence[float]) -> None:
        """A line was drawn: observations along it."""
        self.stations.set([*self.stations.cells, *self.canvas.along(east, north)])

    def listed(self, text: str) -> None:
        """Places as a list: north and east, with commas between the places."""
        numbers = [re.findall(r"[-+]?\d+(?:\.\d+)?", place) for place in text.replace(";", ",").split(",")]
        pairs = [(float(two[1]), float(two[0])) for two in numbers if len(two) == 2]
        if not text.strip():
            return
        if len(pairs) != len(numbers) or not all(self.canvas.holds(*pair) for pair in pairs):
            self.say([
                f"The list is {html.unescape(text)[:60]!r}: write degrees north (30 to 70) and east (−50 to 10), as in "
                "50 -20, 55 -10."
            ], "note")  # fmt: skip
            return
        self.stations.set(self.canvas.near(*pair) for pair in pairs)
