"""The Ensemble view of one session: input and truth at once, the members when they are drawn, a bar until then."""

from __future__ import annotations

from apps.beside import Side
from apps.brush import Of
from apps.ensemble import tables, words
from apps.ensemble.maps import ROWS, EnsembleMaps
from apps.ensemble.store import Picture
from apps.globe import from_greenwich
from apps.linked import digits
from apps.sides import chosen
from apps.slow import Slow
from apps.state import Choice, Draw
from apps.views import code_html


class Ensemble(Slow):
    """Maps, tables and words around an ensemble; parameters as of its base, the store is of ensembles."""

    making, queued = "The members\nare being drawn.", "waiting for their turn …"
    nothing = "There are no members of this selection."
    words, tables = words, tables

    def __init__(self, *parts) -> None:
        super().__init__(*parts)
        self.lay_out(EnsembleMaps(), ROWS, self.numbers, words.HELP, (self.strip.view,))

    def wanted(self, choice: Choice) -> Draw:
        return choice.part(Draw)

    def title(self, choice: Choice) -> str:
        return f"{choice.draws} members"

    def is_whole(self, picture: Picture) -> bool:
        return bool(picture.members)

    def tell(self, picture: Picture, choice: Choice) -> None:
        self.card.object = tables.card_html(self.store.card())
        self.code.object = code_html(
            tables.script(picture) + self.parts(picture).script(choice),
            "This script prints the scores of this ensemble",
        )

    def parts(self, picture: Picture) -> Of:
        latitude, area = picture.rows
        return Of(
            truth=picture.maps["truth"],
            result=picture.maps.get("mean"),
            window=picture.window,
            units="K",
            name="Ensemble mean",
            error="Error of the mean",
            before=("Bicubic", picture.bicubic),
            waves="globe",  # as in the spectra of this view
            latitude=latitude,
            area=area,
            digits=digits(picture.limits["error"]),
            code=tables.MAPS,
            there=from_greenwich(picture.window),
        )

    def side(self, picture: Picture, choice: Choice) -> Side | None:
        if not self.is_whole(picture):
            return None
        own = picture.scores["ensemble"]
        tied = ", hard consistency" if choice.consistency != "none" else ""
        kind = f"seed {choice.seed}" if choice.weight == "live" else f"λ = {choice.weight}"
        return Side(
            title=f"Mean of {picture.members} members, {kind}{tied}",
            result=picture.maps["mean"],
            error=picture.maps["error"],
            window=picture.window,
            units="K",
            digits=digits(picture.limits["error"]),
            wavenumber=picture.wavenumber,
            power=picture.spectra["members"],
            scores={label: own[key] for key, (label, _) in tables.METRICS.items()},
            facts={"Time": picture.time, **chosen(choice)},
            script=tables.script(picture),
        )

    def summary(self, picture: Picture) -> str:
        draw = picture.draw
        tied = " · hard consistency" if draw.consistency != "none" else ""
        if draw.weight != "live":
            return (
                f"{picture.members} stored members of the time {picture.time} · weight of the law {draw.weight}{tied}"
            )
        return (
            f"{picture.members} members · seed {draw.seed}{tied} · drawn in {picture.seconds:.1f} s · {picture.device}"
        )
