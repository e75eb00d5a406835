"""The Assimilate view of one session: background and truth at once, the analysis when it is made, a bar until then."""

from __future__ import annotations

from apps.assimilate import tables, words
from apps.assimilate.maps import ROWS, TwinMaps
from apps.assimilate.store import Picture
from apps.beside import Side
from apps.brush import Of
from apps.globe import from_greenwich, nearest
from apps.linked import digits
from apps.options import ASSIMILATORS
from apps.placing import Placing
from apps.sides import chosen
from apps.slow import Slow
from apps.state import Choice, Setup
from apps.views import code_html


class Assimilate(Slow):
    """Maps, tables and words around an analysis; parameters as of its base, the store is of analyses."""

    making, nothing = "The analysis\nis being made.", "There is no analysis of this selection."
    words, tables = words, tables

    def __init__(self, *parts) -> None:
        super().__init__(*parts)
        self.stations = Placing(self.state, "own", self._cell, lambda sentence: self.say([sentence], "note"))
        self.lay_out(TwinMaps(self.stations.place), ROWS, self.numbers, words.HELP, (self.strip.view,))

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
        more = self.parts(picture).script(choice)
        self.code.object = code_html(
            tables.script(picture, zoo) + more, "This script prints the scores of this analysis"
        )

    def _show(self, picture: Picture, choice: Choice) -> None:
        self.stations.follow()
        super()._show(picture, choice)

    def summary(self, picture: Picture) -> str:
        count = f"{picture.members} members" if picture.members > 1 else "one analysis"
        made = (
            f"made in {picture.seconds:.1f} s" if picture.seconds >= 1 else f"made in {1000 * picture.seconds:.0f} ms"
        )
        own = int(picture.own.sum())
        columns = f"{len(picture.own)} columns observed" + (f", {own} of them yours" if own else "")
        return f"{ASSIMILATORS[picture.setup.assimilator]} · {count} · {columns} · {made} · {picture.device}"

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

    def parts(self, picture: Picture) -> Of:
        latitude, area = picture.rows
        return Of(
            truth=picture.maps["truth"],
            result=picture.maps.get("analysis"),
            window=picture.window,
            units=picture.units,
            name="Analysis",
            error="Analysis error",
            waves="circles",  # as in the spectra of this view
            before=("Background", picture.maps["background"]),
            latitude=latitude,
            area=area,
            digits=digits(picture.limits["error"]),
            code=tables.maps_of_script(picture),
            there=from_greenwich(picture.window),
        )

    # -- stations ------------------------------------------------------------------------------------------------

    def _cell(self, east: float, north: float) -> int | None:
        """The grid point next to a place."""
        return nearest(east, north, *self.store.grid()) if abs(north) <= 90 else None
