"""The Continuous view of one session: it asks for moments, draws the newest, and drops what was overtaken."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

import panel as pn

from apps.continuous import tables, words
from apps.continuous.maps import ROWS, Locator, MomentMaps
from apps.continuous.store import Moment, Moments
from apps.latest import Latest
from apps.panes import Panes
from apps.problems import sentence
from apps.state import Choice, Look, State
from apps.views import code_html, prompt_html, text_pane


class Continuous(Panes):
    """Maps, tables and words around a moment.

    Parameters
    ----------
    moments, pool, schedule : store, workers, and what runs a function on the session's event loop.
    background : worker for the coefficients, which take seconds, once.
    state, say, status : as of its base.
    """

    def __init__(
        self, moments: Moments, pool: Executor, schedule: Callable, background: Executor, state: State,
        say: Callable[[list[str], str], None], status: Callable[[Choice, str, str], None],
    ) -> None:  # fmt: skip
        super().__init__(state, say, status)
        self.moments = moments
        self.asked = Latest(pool, lambda choice, over: moments.moment(choice.part(Look), over), self._deliver, schedule)
        self.laws = Latest(background, moments.laws, self._deliver_laws, schedule)
        self.locator, self.coefficients = Locator(self._go), text_pane("", margin=(0, 10))
        self._newest: Choice | None = None
        scores = pn.Column(self.numbers, self.coefficients, margin=0, sizing_mode="stretch_width")
        self.lay_out(MomentMaps(), ROWS, scores, words.HELP)

    @property
    def panels(self) -> Mapping[str, pn.viewable.Viewable]:
        """What a lesson may hide."""
        return {**super().panels, "coefficients": self.coefficients}

    def request(self, choice: Choice) -> None:
        film = self._newest is not None and choice == self._newest.with_(moment=choice.moment)
        self._newest, known = choice, self.moments.cached(choice.part(Look))
        if known is not None:
            self.asked.cancel()
            self._deliver(choice, known)
        elif not self.asked.request(choice, patient=film).done():
            self.status(choice, "computing", "computing …")

    def cancel(self) -> None:
        self.asked.cancel()
        self.laws.cancel()

    def _go(self, east: float, north: float) -> None:
        """A click on the small map: look there, and closer if all was shown."""
        closer = {"zoom": 4} if self.state.zoom == 1 else {}
        self.state.param.update(east=east, north=north, **closer)

    def _show(self, moment: Moment, choice: Choice) -> None:
        """Draw a moment everywhere."""
        self.say([], "note")
        self.shown = moment
        self.maps.update(moment)
        self.locator.update(moment)
        self.prompt.object = prompt_html(words.question(moment), words.answer(moment))
        self.numbers.object = tables.numbers_html(moment, choice.key())
        self.card.object = tables.card_html(self.moments.card(moment.look.field), moment.look.field)
        self.code.object = code_html(tables.script(moment), "This script prints the numbers of this moment")
        kind = "whole hour" if moment.whole else "between two hours: nobody has data"
        when = f"hour {moment.look.moment:g} · {moment.time} UTC"
        self.moment.object = f'<span class="quiet">{html.escape(when)}<br>{kind}</span>'
        if choice == self._newest:  # else a film goes on
            self.status(choice, "ready", f"made in {1000 * moment.seconds:.0f} ms")
        laws = self.moments.cached_laws()
        self._show_laws(laws)
        if laws is None:
            self.laws.request(choice, patient=True)

    def _deliver_laws(self, choice: Choice, value) -> None:
        if isinstance(value, Exception):
            said = html.escape(sentence(value, "coefficients"))
            self.coefficients.object = f'<p class="quiet">Coefficients: {said}</p>'
        elif self.shown is not None:
            self._show_laws(value)

    def _show_laws(self, laws) -> None:
        assert self.shown is not None
        self.coefficients.object = tables.laws_html(laws, self.shown.look.variable)
