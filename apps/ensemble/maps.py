"""Maps and spectra of the Ensemble view: an `EnsembleMaps` takes a `Picture` and draws it. Nothing is computed here."""

from __future__ import annotations

from bokeh.models import ColumnDataSource

from apps import theme
from apps.assimilate.maps import ASPECT
from apps.ensemble.store import Picture
from apps.linked import LinkedMaps, coloured, digits
from apps.options import DRAWS
from apps.spectrum import Spectrum

ROWS = (("input", "truth", "mean"), ("member", "error", "spread"), ("probability", "law", "spectrum"))
QUANTITY = {
    **dict.fromkeys(("input", "truth", "mean", "member"), "field"),
    **{name: name for name in ("error", "spread", "probability", "law")},
}
UNITS = {"field": "K", "error": "K", "spread": "K", "probability": "", "law": "K day⁻¹"}
CURVES = {"truth": "truth", "bicubic": "bicubic", "mean": "mean", "members": "members", "other": "B"}


def shares(members: int) -> list[str]:
    """A colour for each share of members that there can be: 0, 1/M ... 1; all colours where there are many or none."""
    steps = members + 1
    if not 1 < steps <= max(DRAWS) + 1:
        return theme.PROBABILITY_PALETTE
    last = len(theme.PROBABILITY_PALETTE) - 1
    return [theme.PROBABILITY_PALETTE[round(step * last / members)] for step in range(steps)]


class EnsembleMaps(LinkedMaps):
    """`update` draws a picture, `reset_view` undoes pan and wheel."""

    def __init__(self) -> None:
        palettes = {
            "field": theme.VARIABLE_PALETTES["t"], "error": theme.ERROR_PALETTE, "spread": theme.SPREAD_PALETTE,
            "probability": theme.PROBABILITY_PALETTE, "law": theme.RESIDUAL_PALETTE,
        }  # fmt: skip
        super().__init__(QUANTITY, coloured(palettes), ASPECT)
        self.spectrum = Spectrum(CURVES, theme.DRAW_CURVES, "waves per longer side of the map", ASPECT, below=100)
        self.isotherm = ColumnDataSource({"x": [], "y": []})
        self.figures["probability"].multi_line("x", "y", source=self.isotherm, line_color=theme.ACCENT, line_width=1.2)
        self.figures["spectrum"] = self.spectrum.figure
        self._frame()

    def update(self, picture: Picture, waiting: str) -> None:
        """Draw a picture; `waiting` are the words in the place of an ensemble that is not there."""
        self.set_limits(picture.limits)
        self.mappers["probability"].palette = shares(picture.members)
        for name, key in QUANTITY.items():
            self.show(name, picture.maps, picture.window, waiting)
            self.tip(name, digits(picture.limits[key]), UNITS[key])
        x, y = picture.isotherm
        self.isotherm.data = {"x": x, "y": y}
        self.move_to(picture.window)
        self._say(picture)
        self.spectrum.update(picture.wavenumber, picture.spectra, picture.cutoff)
        self.describe()

    def _say(self, picture: Picture) -> None:
        draw, there = picture.draw, picture.members > 0
        own = picture.scores.get("ensemble")
        count = f"of {picture.members} members · " if there else ""
        one = f"{picture.which} of {picture.members} · " if there else ""
        own_law = f"member {picture.which}: {picture.ratio:.2f} × truth's · " if there else ""
        self.say(
            {
                "input": ("Input", "block means of 4 × 4 cells · K"),
                "truth": ("Truth", "temperature, lowest layer · K"),
                "mean": ("Ensemble mean", f"{count}K"),
                "member": ("One member", f"{one}K"),
                "error": ("Error of the mean", f"RMSE {own['rmse']:.3f} K" if own else "K"),
                "spread": ("Spread", f"{count}K"),
                "probability": ("Exceedance", f"of {draw.threshold:g} K · line: truth"),
                "law": ("PDE residual", f"{own_law}{UNITS['law']}"),
                "spectrum": ("Power spectra", "K² · dashed: input's end"),
            }
        )
