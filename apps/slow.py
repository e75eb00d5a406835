"""What views share whose pictures take seconds: workers of two kinds, progress, stop, and what is too late.

What was made before is drawn by the workers of all views; what is new is made by workers of its own, so that sampling
holds nobody else up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor

import panel as pn

from apps.latest import Latest
from apps.problems import Overtaken, Unavailable
from apps.progress import Strip, now_and_then
from apps.state import Choice, State
from apps.views import text_pane

log = logging.getLogger("physlab.explorer")
STOPPED, MISSING = "Stopped.", "Not installed."


class Slow:
    """Base of such views.

    A view says what a choice asks of its store (:meth:`wanted`, :meth:`title`), whether to draw what is there first
    (:meth:`has_to_wait`), and shows a picture (:meth:`_show`). `cells` are the panels of its frame.

    Parameters
    ----------
    store : with `pool`, `known(wanted)`, `cached(wanted)`, `started(wanted)` and `picture(wanted, cancelled, report)`.
    pool, schedule : workers of all views, and what runs a function on the session's event loop.
    state : the session's selections.
    say : shows sentences above the maps, by kind: note or error.
    status : tells how far a selection is.
    arrange : called when a picture came: only then one knows whether it has members.

    Attributes
    ----------
    making, queued, nothing : words on a map that waits, of work that waits for a worker, of a selection without result.
    """

    making, queued, nothing = "", "waiting for its turn …", ""

    def __init__(
        self, store, pool: Executor, schedule: Callable, state: State, say: Callable[[list[str], str], None],
        status: Callable[[Choice, str, str], None], arrange: Callable[[], None],
    ) -> None:  # fmt: skip
        self.store, self.state, self.schedule = store, state, schedule
        self.say, self.status, self.arrange = say, status, arrange
        self.quick = Latest(pool, self._draw, self._deliver, schedule)
        self.slow = Latest(store.pool or pool, self._make, self._deliver, schedule)
        self.strip = Strip(self._stop, lambda: self.request(self.state.choice()))
        self.shown = None
        self._asked: Choice | None = None
        self._waiting = self.making
        self.cells: dict = {}
        self.moment, self.prompt = text_pane(""), text_pane("", margin=(0, 4))
        self.numbers, self.card, self.code = (text_pane("", margin=(0, 10)) for _ in range(3))

    def wanted(self, choice: Choice):
        """What a choice asks of the store."""
        raise NotImplementedError

    def title(self, choice: Choice) -> str:
        """What is being made, in front of how far it is."""
        raise NotImplementedError

    def has_to_wait(self, choice: Choice) -> bool:
        """Whether what is there is drawn before the rest; else all comes at once."""
        return True

    def _show(self, picture, choice: Choice) -> None:
        raise NotImplementedError

    # -- the round trip ------------------------------------------------------------------------------------------

    def request(self, choice: Choice) -> None:
        """Draw what is known, or ask for it."""
        self.cancel()
        self._asked, self._waiting, wanted = choice, self.making, self.wanted(choice)
        made = self.store.cached(wanted)
        if made is not None:
            self._deliver(choice, made)
            return
        self.status(choice, "computing", "computing …")
        if self.store.known(wanted):
            self.quick.request(choice)
            return
        self.strip.say(f"{self.title(choice)}: {self.queued}", busy=True)
        if self.has_to_wait(choice):
            self.quick.request(choice)
        self.slow.request(choice)

    def _draw(self, choice: Choice, cancelled: Callable[[], bool]):
        """On a worker: whole if it was made before."""
        wanted = self.wanted(choice)
        return (self.store.picture if self.store.known(wanted) else self.store.started)(wanted)

    def _make(self, choice: Choice, cancelled: Callable[[], bool]):
        """On a worker: something new, telling the page how far it is."""

        def tell(done: int, steps: int) -> None:
            self.schedule(lambda: None if cancelled() else self._progress(choice, done, steps))

        tell(0, 0)
        return self.store.picture(self.wanted(choice), cancelled, now_and_then(tell, cancelled))

    def _progress(self, choice: Choice, done: int, steps: int) -> None:
        if choice == self._asked and self.strip.stop.visible:
            far = f"step {done} of {steps}" if steps else "computing …"
            self.strip.say(f"{self.title(choice)}: {far}", 100 * done / max(steps, 1), True)

    def _stop(self) -> None:
        """The button: nobody waits for this any more."""
        self.cancel()
        self.strip.say(f"Stopped. {self.nothing}", stopped=True)
        self._waiting = STOPPED
        self.quick.request(self.state.choice())  # what is shown may still be older
        self.status(self.state.choice(), "stopped", "stopped")

    def cancel(self) -> None:
        """Another selection or view, or the browser tab is gone."""
        self.quick.cancel()
        self.slow.cancel()

    def hide(self, hidden: set[str]) -> None:
        """Leave out the panels that a lesson does not need."""
        for name, part in {**self.cells, "prompt": self.prompt}.items():
            part.visible = name not in hidden

    def _deliver(self, choice: Choice, value) -> None:
        with pn.io.hold():
            if isinstance(value, Overtaken):
                return
            if isinstance(value, Exception):
                if not isinstance(value, Unavailable):
                    log.error("%s failed: %s", type(self).__name__, choice, exc_info=value)
                self.slow.cancel()
                self.say([str(value) or type(value).__name__], "error")
                self.strip.say("")
                self.status(choice, "failed", "")
                return
            self._show(value, choice)
