"""The Assimilate view of one session: background and truth at once, the analysis when it is made, a bar until then.

What was made before is drawn directly; another field of a known analysis is drawn by the workers of all views. A new
analysis is made by workers of its own, so that sampling holds nobody else up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor

import numpy as np
import panel as pn
import panel_material_ui as pmui

from apps.assimilate import tables, words
from apps.assimilate.maps import ROWS, TwinMaps
from apps.assimilate.store import Analyses, Picture
from apps.frame import Frame
from apps.latest import Latest
from apps.options import ASSIMILATORS, GRID, OWN
from apps.problems import Overtaken, Unavailable
from apps.progress import Strip, now_and_then
from apps.state import Choice, State
from apps.views import code_html, text_pane

log = logging.getLogger("physlab.explorer")
MAKING, STOPPED, MISSING = "The analysis\nis being made.", "Stopped.", "Not installed."


class Assimilate:
    """Maps, tables and words around an analysis.

    Parameters
    ----------
    analyses, pool, schedule : store, workers, and what runs a function on the session's event loop.
    state : the session's selections.
    say : shows sentences above the maps, by kind: note or error.
    status : tells how far a selection is.
    arrange : called when a method was opened: only then one knows whether it has members.
    """

    def __init__(
        self, analyses: Analyses, pool: Executor, schedule: Callable, state: State,
        say: Callable[[list[str], str], None], status: Callable[[Choice, str, str], None], arrange: Callable[[], None],
    ) -> None:  # fmt: skip
        self.analyses, self.state, self.schedule = analyses, state, schedule
        self.say, self.status, self.arrange = say, status, arrange
        self.quick = Latest(pool, self._draw, self._deliver, schedule)
        self.slow = Latest(analyses.pool or pool, self._make, self._deliver, schedule)
        self.maps = TwinMaps(self.place)
        self.shown: Picture | None = None
        self._asked: Choice | None = None
        self._waiting = MAKING
        self.prompt = text_pane("", margin=(0, 4))
        self.numbers, self.card, self.code = (text_pane("", margin=(0, 10)) for _ in range(3))
        self.strip = Strip(self._stop, lambda: self.request(self.state.choice()))
        tabs = {"scores": self.numbers, "card": self.card, "code": self.code, "help": text_pane(words.HELP)}
        frame = Frame.of(self.maps, ROWS, pn.Column(self.strip.view, self.prompt, margin=0), tabs, state.hide, 350)
        self.cells, self.tabs, self.view = frame.cells, frame.tabs, frame.view
        self.moment, self.stations = text_pane(""), text_pane("", margin=(0, 10))
        small = {"size": "small", "variant": "text", "margin": (0, 6)}
        self.clear = pmui.Button(label="Clear", icon="clear", on_click=lambda _: self._set_own(()), **small)
        self.own = pn.Row(self.stations, self.clear, margin=0, align="center")

    # -- the round trip ------------------------------------------------------------------------------------------

    def request(self, choice: Choice) -> None:
        """Draw what is known, or ask for it."""
        self.cancel()
        self._asked, self._waiting, setup = choice, MAKING, choice.setup()
        known = self.analyses.cached(setup)
        if known is not None:
            self._deliver(choice, known)
            return
        self.status(choice, "computing", "computing …")
        if self.analyses.known(setup):
            self.quick.request(choice)
            return
        self.strip.say(f"{ASSIMILATORS[setup.assimilator]}: waiting for its turn …", busy=True)
        if self._has_to_wait(choice):
            self.quick.request(choice)
        self.slow.request(choice)

    def _has_to_wait(self, choice: Choice) -> bool:
        """Whether truth and background are drawn before the analysis is there; else all comes at once."""
        last, setup = self.shown and self.shown.setup, choice.setup()
        same = last is not None and (last.when, last.channel) == (setup.when, setup.channel)
        return not same or self.analyses.has_members(setup.assimilator)

    def _draw(self, choice: Choice, cancelled: Callable[[], bool]) -> Picture:
        """On a worker: with the analysis if it was made before."""
        setup = choice.setup()
        return (self.analyses.picture if self.analyses.known(setup) else self.analyses.started)(setup)

    def _make(self, choice: Choice, cancelled: Callable[[], bool]) -> Picture:
        """On a worker: an analysis, telling the page how far it is."""

        def tell(done: int, steps: int) -> None:
            self.schedule(lambda: None if cancelled() else self._progress(choice, done, steps))

        tell(0, 0)
        return self.analyses.picture(choice.setup(), cancelled, now_and_then(tell, cancelled))

    def _progress(self, choice: Choice, done: int, steps: int) -> None:
        if choice == self._asked and self.strip.stop.visible:
            far = f"step {done} of {steps}" if steps else "computing …"
            self.strip.say(f"{ASSIMILATORS[choice.assimilator]}: {far}", 100 * done / max(steps, 1), True)

    def _stop(self) -> None:
        """The button: nobody waits for this analysis any more."""
        self.cancel()
        self.strip.say("Stopped. There is no analysis of this selection.", stopped=True)
        self._waiting = STOPPED
        self.quick.request(self.state.choice())  # what is shown may still be an older analysis
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
                    log.error("analysis %s failed", choice, exc_info=value)
                self.say([str(value) or type(value).__name__], "error")
                self.strip.say("")
                self.status(choice, "failed", "")
                return
            self._show(value, choice)

    def _show(self, picture: Picture, choice: Choice) -> None:
        """Draw a picture everywhere; one without an analysis is not the last word unless it says why."""
        if not picture.scores and not picture.note and self._is_there(choice):
            return  # the analysis was faster
        self.shown = picture
        self.maps.update(picture, MISSING if picture.note else self._waiting)
        self.prompt.object = words.prompt_html(picture)
        self.numbers.object = tables.scores_html(picture, choice.key())
        self.moment.object = f'<span class="quiet">{picture.time} UTC</span>'
        self.stations.object = f'<span class="quiet">{len(choice.setup().points)} of at most {OWN}</span>'
        if not (picture.scores or picture.note):
            return
        name = choice.assimilator
        self.say([picture.note] if picture.note else [], "error" if picture.note else "note")
        self.arrange()
        self.card.object = tables.card_html(self.analyses.card(name), name)
        zoo = self.analyses.offers().get(name, name)
        self.code.object = code_html(tables.script(picture, zoo), "This script prints the scores of this analysis")
        self.strip.say("There is no analysis of this selection." if picture.note else self._summary(picture))
        self.status(choice, "failed" if picture.note else "ready", "")

    def _is_there(self, choice: Choice) -> bool:
        return self.analyses.cached(choice.setup()) is not None

    def _summary(self, picture: Picture) -> str:
        """What was made, of what, and how long it took."""
        count = f"{picture.members} members" if picture.members > 1 else "one analysis"
        made = (
            f"made in {picture.seconds:.1f} s" if picture.seconds >= 1 else f"made in {1000 * picture.seconds:.0f} ms"
        )
        own = int(picture.own.sum())
        columns = f"{len(picture.own)} columns observed" + (f", {own} of them yours" if own else "")
        return f"{ASSIMILATORS[picture.setup.assimilator]} · {count} · {columns} · {made}"

    # -- stations ------------------------------------------------------------------------------------------------

    def place(self, east: float, north: float) -> None:
        """A click on a map: a station at the grid point next to it, or none there any more."""
        space = self.analyses.twin().space
        if not abs(north) <= 90:
            return
        row = int(np.abs(space.latitude - north).argmin())
        apart = np.abs((space.longitude - east + 180.0) % 360.0 - 180.0)
        point, points = row * GRID[1] + int(apart.argmin()), self.state.choice().setup().points
        if point not in points and len(points) >= OWN:
            self.say([f"There are {OWN} stations: take one away first."], "note")
            return
        self._set_own(tuple(p for p in points if p != point) if point in points else (*points, point))

    def _set_own(self, points: tuple[int, ...]) -> None:
        self.state.own = ".".join(map(str, points))
