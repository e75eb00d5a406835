"""The Assimilate view of one session: background and truth at once, the analysis when it is made, a bar until then."""

from __future__ import annotations

import numpy as np
import panel as pn
import panel_material_ui as pmui

from apps.assimilate import tables, words
from apps.assimilate.maps import ROWS, TwinMaps, digits
from apps.assimilate.store import Picture
from apps.beside import Side
from apps.options import ASSIMILATORS, GRID, OWN
from apps.sides import chosen
from apps.slow import Slow
from apps.state import Choice, Setup
from apps.views import code_html, text_pane


class Assimilate(Slow):
    """Maps, tables and words around an analysis; parameters as of its base, the store is of analyses."""

    making, nothing = "The analysis\nis being made.", "There is no analysis of this selection."
    words, tables = words, tables

    def __init__(self, *parts) -> None:
        super().__init__(*parts)
        self.lay_out(TwinMaps(self.place), ROWS, self.numbers, words.HELP, (self.strip.view,))
        self.stations = text_pane("", margin=(0, 10))
        small = {"size": "small", "variant": "text", "margin": (0, 6)}
        self.clear = pmui.Button(label="Clear", icon="clear", on_click=lambda _: self._set_own(()), **small)
        self.own = pn.Row(self.stations, self.clear, margin=0, align="center")

    def wanted(self, choice: Choice) -> Setup:
        return choice.part(Setup)

    def title(self, choice: Choice) -> str:
        return ASSIMILATORS[choice.assimilator]

    def has_to_wait(self, choice: Choice) -> bool:
        """Whether truth and background are drawn before the analysis is there; else all comes at once."""
        last, setup = self.shown and self.shown.setup, choice.part(Setup)
        same = last is not None and (last.when, last.channel) == (setup.when, setup.channel)
        return not same or self.store.has_members(setup.assimilator)

    def is_whole(self, picture: Picture) -> bool:
        return bool(picture.scores)

    def tell(self, picture: Picture, choice: Choice) -> None:
        name = choice.assimilator
        self.card.object = tables.card_html(self.store.card(name), name)
        zoo = self.store.offers().get(name, name)
        self.code.object = code_html(tables.script(picture, zoo), "This script prints the scores of this analysis")

    def _show(self, picture: Picture, choice: Choice) -> None:
        self.stations.object = f'<span class="quiet">{len(choice.points)} of at most {OWN}</span>'
        super()._show(picture, choice)

    def summary(self, picture: Picture) -> str:
        count = f"{picture.members} members" if picture.members > 1 else "one analysis"
        made = (
            f"made in {picture.seconds:.1f} s" if picture.seconds >= 1 else f"made in {1000 * picture.seconds:.0f} ms"
        )
        own = int(picture.own.sum())
        columns = f"{len(picture.own)} columns observed" + (f", {own} of them yours" if own else "")
        return f"{ASSIMILATORS[picture.setup.assimilator]} · {count} · {columns} · {made}"

    def side(self, picture: Picture, choice: Choice) -> Side | None:
        if not self.is_whole(picture):
            return None
        setup, name = choice.part(Setup), choice.assimilator
        zoo = self.store.offers().get(name, name)
        count = f"{max(picture.members, 1)} members, seed {setup.seed}"
        return Side(
            title=f"{ASSIMILATORS[name]}, {setup.share:g} % observed, {count}",
            result=picture.maps["analysis"],
            error=picture.maps["error"],
            window=picture.window,
            units=picture.units,
            digits=digits(picture.limits["error"]),
            wavenumber=picture.wavenumber,
            power=picture.spectra["analysis"],
            scores=tables.comparable(picture),
            facts={**chosen(choice), **tables.card_facts(self.store.card(name))},
            script=tables.script(picture, zoo),
        )

    # -- stations ------------------------------------------------------------------------------------------------

    def place(self, east: float, north: float) -> None:
        """A click on a map: a station at the grid point next to it, or none there any more."""
        latitudes, longitudes = self.store.grid()
        if not abs(north) <= 90:
            return
        row = int(np.abs(latitudes - north).argmin())
        apart = np.abs((longitudes - east + 180.0) % 360.0 - 180.0)
        point, points = row * GRID[1] + int(apart.argmin()), self.state.choice().points
        if point not in points and len(points) >= OWN:
            self.say([f"There are {OWN} stations: take one away first."], "note")
            return
        self._set_own(tuple(p for p in points if p != point) if point in points else (*points, point))

    def _set_own(self, points: tuple[int, ...]) -> None:
        self.state.own = ".".join(map(str, points))
