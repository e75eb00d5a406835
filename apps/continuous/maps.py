"""Maps and spectra of the Continuous view, and the small map that says where one looks. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import panel as pn
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure

from apps import theme
from apps.continuous.store import Moment
from apps.linked import ASPECT, LinkedMaps, coloured, digits
from apps.options import FIELDS, NUMBERS, VARIABLES
from apps.spectrum import Spectrum
from physlab.data.coastline import load_coastline

ROWS = (("given", "interpolation", "continuous"), ("truth", "error", "spectrum"), ("law", "bare", "force"))
QUANTITY = {"given": "field", "interpolation": "field", "continuous": "field", "truth": "field", "error": "error",
            "law": "residual", "bare": "residual", "force": "force"}  # fmt: skip
DOTTED = ("given", "continuous")  # maps that show where data were given
CURVES = {"truth": "truth", "interpolation": "interpolation", "equations": "with equations", "no-equations": "without"}
NO_TRUTH = "Between two hours\nnobody has data:\nno truth to compare with."
NO_LAW = "No equation of Φ itself:\nit acts on the others\nas the force of pressure."


class MomentMaps(LinkedMaps):
    """`update` draws a moment, `reset_view` undoes pan and wheel."""

    def __init__(self) -> None:
        palettes = {
            "field": theme.VARIABLE_PALETTES["q"],
            "error": theme.ERROR_PALETTE,
            "residual": theme.RESIDUAL_PALETTE,
            "force": theme.FORCE_PALETTE,
        }
        super().__init__(QUANTITY, coloured(palettes))
        self.dots = ColumnDataSource({"x": [], "y": []})
        for name in DOTTED:
            style = {"fill_color": "white", "line_color": theme.INK, "fill_alpha": 0.9, "line_alpha": 0.7}
            self.figures[name].scatter("x", "y", source=self.dots, size=4.5, **style)
        self.spectrum = Spectrum(CURVES, theme.MOMENT_CURVES, "waves per window", ASPECT)
        self.figures["spectrum"] = self.spectrum.figure
        self._frame()

    def update(self, moment: Moment) -> None:
        """Draw a moment."""
        look, units = moment.look, moment.units
        self.mappers["field"].palette = theme.VARIABLE_PALETTES[look.variable]
        self.set_limits(moment.limits)
        for name in self.images:
            if name in moment.maps:
                self.paint(name, *moment.maps[name])
            else:
                self.blank(name, NO_TRUTH if QUANTITY[name] in ("field", "error") else NO_LAW, moment.box)
        self.move_to(moment.box)
        x, y = moment.points
        if len(self.dots.data["x"]) != len(x):
            self.dots.data = {"x": x, "y": y}
        away, law = _away(moment), "law" in moment.maps
        relative = {
            n: f"rms {row['residual']:.2f} · relative" for n, row in moment.numbers.items() if "residual" in row
        }
        captions = {
            "given": ("Given", f"{away} · {units}"),
            "interpolation": ("Best interpolation", f"{moment.best} · {units}"),
            "continuous": (
                "Continuous field",
                f"{FIELDS[look.field].lower()}{' equations' * (look.field[0] == 'n')} · {units}",
            ),
            "truth": ("Truth", f"{VARIABLES[look.variable][1]} · {units}" if moment.whole else "there is none"),
            "error": ("Error", f"field − truth · {units}" if moment.whole else "unknown"),
            "law": ("Residual, with equations", relative.get("equations", "")),
            "bare": ("Residual, without", relative.get("no-equations", "")),
            "force": ("Latent force", f"{units} h⁻¹" if law else ""),
            "spectrum": ("Power spectra", f"whole window · {'(' + units + ')' if ' ' in units else units}²"),
        }
        self.say(captions)
        for name in self.hovers:
            key = QUANTITY[name]
            unit = {"residual": "of the typical tendency", "force": f"{units} h⁻¹"}.get(key, units)
            self.tip(name, digits(moment.limits[key]), unit)
        self.spectrum.update(moment.wavenumber, moment.spectra, moment.cutoff)
        self.describe()


class Locator:
    """The whole window with the box in it: a click moves the box.

    Parameters
    ----------
    move : takes longitude and latitude of a click, degrees, as steps of the controls.
    """

    def __init__(self, move: Callable[[float, float], None]) -> None:
        (west, east, _), (south, north, _) = NUMBERS["east"], NUMBERS["north"]
        x, y = load_coastline((west - 1, east + 1), (south - 1, north + 1))
        fig = figure(
            x_range=Range1d(start=west - 1, end=east + 1), y_range=Range1d(start=south - 1, end=north + 1), height=160,
            tools=[], sizing_mode="stretch_width", min_border_left=0, min_border_right=0,
            outline_line_color=theme.LINE,
        )  # fmt: skip
        fig.axis.visible = fig.grid.visible = False
        fig.line(x, y, line_color=theme.INK, line_alpha=0.7, line_width=0.8)
        self.box = ColumnDataSource({"left": [west], "right": [east], "bottom": [south], "top": [north]})
        fig.quad(source=self.box, fill_color=theme.ACCENT, fill_alpha=0.18, line_color=theme.ACCENT, line_width=1.5)
        fig.on_event("tap", lambda event: move(*(_step(n, event) for n in ("east", "north"))))
        self.figure = fig
        pane = pn.pane.Bokeh(fig, sizing_mode="stretch_width", margin=0)
        self.pane = pn.Column(pane, sizing_mode="stretch_width", margin=(0, 10, 6, 10))

    def update(self, moment: Moment) -> None:
        """Show the box of a moment."""
        west, east, south, north = moment.box
        turn = 360 if west > 180 else 0
        self.box.data = {"left": [west - turn], "right": [east - turn], "bottom": [south], "top": [north]}


def _step(name: str, event) -> float:
    """Where a click was, within the limits and as a multiple of the step."""
    low, high, step = NUMBERS[name]
    return min(max(step * round((event.x if name == "east" else event.y) / step), low), high)


def _away(moment: Moment) -> str:
    """When the nearest given data are."""
    minutes = int((np.datetime64(moment.given_time) - np.datetime64(moment.time)) / np.timedelta64(1, "m"))
    if minutes == 0:
        return "this hour"
    return f"{abs(minutes)} min {'later' if minutes > 0 else 'earlier'}"
