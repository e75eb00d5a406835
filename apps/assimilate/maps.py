"""Maps and spectra of the Assimilate view: a `TwinMaps` takes a `Picture` and draws it. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable

from bokeh.models import ColumnDataSource

from apps import theme
from apps.assimilate.store import LAW_UNITS, Picture
from apps.linked import LinkedMaps, coloured, digits
from apps.options import ASSIMILATORS, CHANNELS, LAWS
from apps.spectrum import Spectrum
from physlab.views.twin import variable_of

ROWS = (
    ("background", "truth", "analysis"),
    ("before", "error", "increment"),
    ("spread", "member", "spectrum"),
    ("of_background", "of_truth", "of_analysis"),
)
QUANTITY = {
    **dict.fromkeys(("background", "truth", "analysis", "member"), "field"),
    **dict.fromkeys(("before", "error", "increment"), "error"),
    "spread": "spread",
    **dict.fromkeys(("of_background", "of_truth", "of_analysis"), "balance"),
}
ASPECT = 1.38  # of a figure with its axes and colour bar, so that a degree is as long both ways near 40 degrees
STATIONS = ("background", "analysis", "increment")  # maps that show all columns; your own are on all
CURVES = {"truth": "truth", "background": "background", "analysis": "analysis", "members": "members", "other": "B"}
NO_MEMBERS = "One analysis:\nno members, no spread."


class TwinMaps(LinkedMaps):
    """`update` draws a picture, `reset_view` undoes pan and wheel.

    Parameters
    ----------
    click : takes longitude and latitude of a click on a map, degrees.
    """

    def __init__(self, click: Callable[[float, float], None]) -> None:
        palettes = {
            "field": theme.VARIABLE_PALETTES["z"], "error": theme.ERROR_PALETTE, "spread": theme.SPREAD_PALETTE,
            "balance": theme.RESIDUAL_PALETTE,
        }  # fmt: skip
        super().__init__(QUANTITY, coloured(palettes), ASPECT, wheel="ctrl")
        self.columns, self.own = (ColumnDataSource({"x": [], "y": []}) for _ in range(2))
        self.dots = []
        for name, fig in self.figures.items():
            if name in STATIONS:
                style = {"fill_color": "white", "line_color": theme.INK, "line_width": 0.7, "alpha": 0.9}
                self.dots.append(fig.scatter("x", "y", source=self.columns, size=4, **style))
            fig.scatter("x", "y", source=self.own, **theme.STATION)
            fig.on_event("tap", lambda event: click(event.x, event.y))
        self.spectrum = Spectrum(CURVES, theme.STATE_CURVES, "waves per latitude circle", ASPECT)
        self.figures["spectrum"] = self.spectrum.figure
        self._frame()

    def update(self, picture: Picture, waiting: str) -> None:
        """Draw a picture; `waiting` are the words in the place of an analysis that is not there."""
        setup, units = picture.setup, picture.units
        palette = theme.VARIABLE_PALETTES[variable_of(setup.channel)]
        balance = theme.RESIDUAL_PALETTE if picture.limits["balance"][0] < 0 else theme.SPREAD_PALETTE
        self.mappers["field"].palette, self.mappers["balance"].palette = palette, balance
        self.set_limits(picture.limits)
        for name in self.images:
            alone = name in ("spread", "member") and picture.members == 1
            self.show(name, picture.maps, picture.window, NO_MEMBERS if alone else waiting)
        self.move_to(picture.window)
        x, y, own = picture.longitude, picture.latitude, picture.own
        self.columns.data, self.own.data = {"x": x[~own], "y": y[~own]}, {"x": x[own], "y": y[own]}
        for dots in self.dots:
            dots.glyph.size = 4.5 if len(x) < 100 else 3.5 if len(x) < 300 else 2.2
        self._say(picture)
        for name in self.hovers:
            key = QUANTITY[name]
            unit = LAW_UNITS[setup.balance][1] if key == "balance" else units
            self.tip(name, digits(picture.limits[key]), unit)
        self.spectrum.update(picture.wavenumber, picture.spectra)
        self.describe()

    def _say(self, picture: Picture) -> None:
        setup, units = picture.setup, picture.units
        name, method = CHANNELS[setup.channel][1], ASSIMILATORS[setup.assimilator]
        scale, score = picture.scale, picture.scores.get(setup.channel, {})
        rms = {key: f"RMS {number(scale * score[key], picture)} {units}" for key in ("background", "analysis") if score}
        count = f"mean of {picture.members} · " if picture.members > 1 else ""
        law = "Imbalance" if setup.balance == "geostrophic" else LAWS[setup.balance]
        place = f"{picture.layer} · {LAW_UNITS[setup.balance][1]}"
        ratio = {n: f"{r:.2f} × truth's" for n, r in picture.ratios.items()}
        self.say(
            {
                "background": ("Background", f"24-hour forecast · {units}"),
                "truth": ("Truth", f"{name} · {units}"),
                "analysis": ("Analysis", f"{count}{method} · {units}"),
                "before": ("Background error", rms.get("background", units)),
                "error": ("Analysis error", rms.get("analysis", units)),
                "increment": ("Increment", f"of the background · {units}"),
                "spread": ("Spread", f"of {picture.members} members · {units}" if picture.members > 1 else ""),
                "member": ("One member", f"the first of {picture.members} · {units}" if picture.members > 1 else ""),
                "spectrum": ("Power spectra", f"{'(' + units + ')' if ' ' in units else units}²"),
                "of_truth": (law, f"truth · {place}"),
                "of_background": (law, f"background · {ratio['of_background']}"),
                "of_analysis": (law, " · ".join(filter(None, ("analysis", ratio.get("of_analysis"))))),
            }
        )


def number(value: float, picture: Picture) -> str:
    """With three figures of the colour limits of the errors."""
    return f"{value:.{max(0, len(digits(picture.limits['error'])) - 2)}f}"
