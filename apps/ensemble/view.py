"""The Ensemble view of one session: input and truth at once, the members when they are drawn, a bar until then.

What was made before is drawn directly; another look at known members is drawn by the workers of all views. New members
are drawn by workers of their own, so that sampling holds nobody else up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor

import panel as pn

from apps.ensemble import tables, words
from apps.ensemble.maps import ROWS, EnsembleMaps
from apps.ensemble.store import Ensembles, Picture
from apps.frame import Frame
from apps.latest import Latest
from apps.problems import Overtaken, Unavailable
from apps.progress import Strip, now_and_then
from apps.state import Choice, State
from apps.views import code_html, text_pane

log = logging.getLogger("physlab.explorer")
MAKING, STOPPED, MISSING = "The members\nare being drawn.", "Stopped.", "Not installed."


class Ensemble:
    """Maps, tables and words around an ensemble.

    Parameters
    ----------
    ensembles, pool, schedule : store, workers, and what runs a function on the session's event loop.
    state : the session's selections.
    say : shows sentences above the maps, by kind: note or error.
    status : tells how far a selection is.
    arrange : called when members are shown: only then one knows how many of them there are.
    """

    def __init__(
        self, ensembles: Ensembles, pool: Executor, schedule: Callable, state: State,
        say: Callable[[list[str], str], None], status: Callable[[Choice, str, str], None], arrange: Callable[[], None],
    ) -> None:  # fmt: skip
        self.ensembles, self.state, self.schedule = ensembles, state, schedule
        self.say, self.status, self.arrange = say, status, arrange
        self.quick = Latest(pool, self._draw, self._deliver, schedule)
        self.slow = Latest(ensembles.pool or pool, self._make, self._deliver, schedule)
        self.maps = EnsembleMaps()
        self.strip = Strip(self._stop, lambda: self.request(self.state.choice()))
        self.shown: Picture | None = None
        self._asked: Choice | None = None
        self._waiting = MAKING
        self.moment = text_pane("")
        self.prompt = text_pane("", margin=(0, 4))
        self.numbers, self.card, self.code = (text_pane("", margin=(0, 10)) for _ in range(3))
        tabs = {"scores": self.numbers, "card": self.card, "code": self.code, "help": text_pane(words.HELP)}
        top = pn.Column(self.strip.view, self.prompt, margin=0)
        frame = Frame.of(self.maps, ROWS, top, tabs, state.hide, 350)
        self.cells, self.tabs, self.view = frame.cells, frame.tabs, frame.view

    # -- the round trip ------------------------------------------------------------------------------------------

    def request(self, choice: Choice) -> None:
        """Draw what is known, or ask for it."""
        self.cancel()
        self._asked, self._waiting, draw = choice, MAKING, choice.draw()
        known = self.ensembles.cached(draw)
        if known is not None:
            self._deliver(choice, known)
            return
        self.status(choice, "computing", "computing …")
        if not self.ensembles.known(draw):
            self.strip.say(f"{draw.draws} members: waiting for their turn …", busy=True)
            self.slow.request(choice)
        self.quick.request(choice)

    def _draw(self, choice: Choice, cancelled: Callable[[], bool]) -> Picture:
        """On a worker: with members if they are stored or were drawn before."""
        draw = choice.draw()
        return (self.ensembles.picture if self.ensembles.known(draw) else self.ensembles.started)(draw)

    def _make(self, choice: Choice, cancelled: Callable[[], bool]) -> Picture:
        """On a worker: new members, telling the page how far they are."""

        def tell(done: int, steps: int) -> None:
            self.schedule(lambda: None if cancelled() else self._progress(choice, done, steps))

        tell(0, 0)
        return self.ensembles.picture(choice.draw(), cancelled, now_and_then(tell, cancelled))

    def _progress(self, choice: Choice, done: int, steps: int) -> None:
        if choice == self._asked and self.strip.stop.visible:
            far = f"step {done} of {steps}" if steps else "computing …"
            self.strip.say(f"{choice.draws} members: {far}", 100 * done / max(steps, 1), True)

    def _stop(self) -> None:
        """The button: nobody waits for these members any more."""
        self.cancel()
        self.strip.say("Stopped. There are no members of this selection.", stopped=True)
        self._waiting = STOPPED
        self.quick.request(self.state.choice())  # what is shown may still be an older ensemble
        self.status(self.state.choice(), "stopped", "stopped")

    def cancel(self) -> None:
        """Another selection or view, or the browser tab is gone."""
        self.quick.cancel()
        self.slow.cancel()

    def hide(self, hidden: set[str]) -> None:
        """Leave out the panels that a lesson does not need."""
        for name, part in {**self.cells, "prompt": self.prompt}.items():
            part.visible = name not in hidden

    def _deliver(self, choice: Choice, value: Picture | Exception) -> None:
        with pn.io.hold():
            if isinstance(value, Overtaken):
                return
            if isinstance(value, Exception):
                if not isinstance(value, Unavailable):
                    log.error("ensemble %s failed", choice, exc_info=value)
                self.slow.cancel()
                self.say([str(value) or type(value).__name__], "error")
                self.strip.say("")
                self.status(choice, "failed", "")
                return
            self._show(value, choice)

    def _show(self, picture: Picture, choice: Choice) -> None:
        """Draw a picture everywhere; one without members is not the last word unless it says why."""
        last = bool(picture.members or picture.note)
        if not last and self.ensembles.cached(choice.draw()) is not None:
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
        self.card.object = tables.card_html(self.ensembles.card())
        self.code.object = code_html(tables.script(picture), "This script prints the scores of this ensemble")
        self.strip.say("There are no members of this selection." if picture.note else summary(picture))
        self.status(choice, "failed" if picture.note else "ready", "")


def summary(picture: Picture) -> str:
    """What was drawn or stored, and how long it took."""
    draw = picture.draw
    tied = " · hard consistency" if draw.consistency != "none" else ""
    if draw.weight != "live":
        return f"{picture.members} stored members of the time {picture.time} · weight of the law {draw.weight}{tied}"
    return f"{picture.members} members · seed {draw.seed}{tied} · drawn in {picture.seconds:.1f} s"
