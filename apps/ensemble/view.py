"""The Ensemble view of one session: input and truth at once, the members when they are drawn, a bar until then."""

from __future__ import annotations

import panel as pn

from apps.ensemble import tables, words
from apps.ensemble.maps import ROWS, EnsembleMaps
from apps.ensemble.store import Picture
from apps.frame import Frame
from apps.slow import MISSING, Slow
from apps.state import Choice, Draw
from apps.views import code_html, text_pane


class Ensemble(Slow):
    """Maps, tables and words around an ensemble; parameters as of its base, the store is of ensembles."""

    making, queued = "The members\nare being drawn.", "waiting for their turn …"
    nothing = "There are no members of this selection."

    def __init__(self, *parts) -> None:
        super().__init__(*parts)
        self.maps = EnsembleMaps()
        tabs = {"scores": self.numbers, "card": self.card, "code": self.code, "help": text_pane(words.HELP)}
        top = pn.Column(self.strip.view, self.prompt, margin=0)
        frame = Frame.of(self.maps, ROWS, top, tabs, self.state.hide, 350)
        self.cells, self.tabs, self.view = frame.cells, frame.tabs, frame.view

    def wanted(self, choice: Choice) -> Draw:
        return choice.part(Draw)

    def title(self, choice: Choice) -> str:
        return f"{choice.draws} members"

    def _show(self, picture: Picture, choice: Choice) -> None:
        """Draw a picture everywhere; one without members is not the last word unless it says why."""
        last = bool(picture.members or picture.note)
        if not last and self.store.cached(choice.part(Draw)) is not None:
            return  # the sampler was faster
        self.shown = picture
        self.maps.update(picture, MISSING if picture.note else self._waiting)
        self.prompt.object = words.prompt_html(picture)
        self.numbers.object = tables.scores_html(picture, choice.key())
        self.moment.object = f'<span class="quiet">{picture.time} UTC</span>'
        if not last:
            return
        self.say([picture.note] if picture.note else [], "error" if picture.note else "note")
        self.arrange()
        self.card.object = tables.card_html(self.store.card())
        self.code.object = code_html(tables.script(picture), "This script prints the scores of this ensemble")
        self.strip.say(self.nothing if picture.note else summary(picture))
        self.status(choice, "failed" if picture.note else "ready", "")


def summary(picture: Picture) -> str:
    """What was drawn or stored, and how long it took."""
    draw = picture.draw
    tied = " · hard consistency" if draw.consistency != "none" else ""
    if draw.weight != "live":
        return f"{picture.members} stored members of the time {picture.time} · weight of the law {draw.weight}{tied}"
    return f"{picture.members} members · seed {draw.seed}{tied} · drawn in {picture.seconds:.1f} s"
