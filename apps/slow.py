"""What views share whose pictures take seconds: workers of two kinds, progress, stop, and what is too late.

What was made before is drawn by the workers of all views; what is new is made by workers of its own, so that sampling
holds nobody else up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

import panel as pn

from apps.beside import Beside, Side
from apps.brush import Brush, Hand, Of
from apps.latest import Latest
from apps.panes import Panes
from apps.progress import Strip, now_and_then
from apps.second import Second
from apps.state import Choice, State
from apps.views import prompt_html

STOPPED, MISSING = "Stopped.", "Not installed."


class Slow(Panes):
    """Base of such views.

    A view says what a choice asks of its store (:meth:`wanted`, :meth:`title`), whether to draw what is there first
    (:meth:`has_to_wait`), whether a picture is whole (:meth:`is_whole`), and what is told of it (:meth:`tell`,
    :meth:`summary`).
    `maps` draws pictures, `words` and `tables` put them into sentences.

    Parameters
    ----------
    store : with `pool`, `known(wanted)`, `cached(wanted)`, `started(wanted)` and `picture(wanted, cancelled, report)`.
    pool, schedule : workers of all views, and what runs a function on the session's event loop.
    state, say, status : as of its base.
    arrange : called when a picture came: only then one knows whether it has members.

    Attributes
    ----------
    making, queued, nothing : words on a map that waits, of work that waits for a worker, of a selection without result.
    """

    making, queued, nothing = "", "waiting for its turn …", ""
    maps: Any
    words: Any
    tables: Any

    def __init__(
        self, store, pool: Executor, schedule: Callable, state: State, say: Callable[[list[str], str], None],
        status: Callable[[Choice, str, str], None], arrange: Callable[[], None],
    ) -> None:  # fmt: skip
        super().__init__(state, say, status)
        self.store, self.schedule, self.arrange = store, schedule, arrange
        self.quick = Latest(pool, self._draw, self._deliver, schedule)
        self.slow = Latest(store.pool or pool, self._make, self._deliver, schedule)
        self.second = Second(
            lambda: Beside(self.maps, self.frame, self.maps.spectrum), lambda choice: store.cached(self.wanted(choice)),
            lambda choice, over: store.picture(self.wanted(choice), over), self.side, store.pool or pool, schedule,
            state,
        )  # fmt: skip
        self.strip = Strip(self.pause, lambda: self.request(self.state.choice()))
        self._asked: Choice | None = None
        self._going: Any = None  # what is being made now
        self._waiting = self.making
        self.brush: Brush | None = None

    def take_brush(self, hand: Hand) -> None:
        """Let a band of the spectrum and a region of the maps be chosen."""
        self.brush = Brush(hand, self.maps, self.maps.spectrum, self.frame, lambda: self.state.hide)

    @property
    def panels(self) -> Mapping[str, pn.viewable.Viewable]:
        return {**super().panels, **(self.brush.cells if self.brush else {})}

    def parts(self, picture) -> Of:
        """What a brush takes parts of."""
        raise NotImplementedError

    def wanted(self, choice: Choice):
        """What a choice asks of the store."""
        raise NotImplementedError

    def title(self, choice: Choice) -> str:
        """What is being made, in front of how far it is."""
        raise NotImplementedError

    def has_to_wait(self, choice: Choice) -> bool:
        """Whether what is there is drawn before the rest; else all comes at once."""
        return True

    def is_whole(self, picture) -> bool:
        """Whether it holds what takes long, and not only what is there at once."""
        raise NotImplementedError

    def tell(self, picture, choice: Choice) -> None:
        """Show the card and the script of a whole picture."""
        raise NotImplementedError

    def summary(self, picture) -> str:
        """What was made, of what, and how long it took."""
        raise NotImplementedError

    def _show(self, picture, choice: Choice) -> None:
        """Draw a picture everywhere; one that is not whole is not the last word unless it says why."""
        last = bool(self.is_whole(picture) or picture.note)
        if not last and self.store.cached(self.wanted(choice)) is not None:
            return  # the whole one was faster
        self.shown = picture
        words = MISSING if picture.note else self._waiting
        self.maps.update(picture, words)
        if self.brush is not None:
            self.brush.follow(self.parts(picture), choice, words)
        self.prompt.object = prompt_html(self.words.question(picture), self.words.answer(picture))
        self.numbers.object = self.tables.scores_html(picture, choice.key())
        self.moment.object = f'<span class="quiet">{picture.time} UTC</span>'
        if not last:
            return
        self._going = None
        self.say([picture.note] if picture.note else [], "error" if picture.note else "note")
        self.arrange()
        self.tell(picture, choice)
        self.strip.say(self.nothing if picture.note else self.summary(picture))
        self.status(choice, "failed" if picture.note else "ready", "")
        self.second.follow(choice, picture)

    def side(self, picture, choice: Choice) -> Side | None:
        """What is shown of a picture that stands beside another; None if it is not whole."""
        raise NotImplementedError

    # -- the round trip ------------------------------------------------------------------------------------------

    def request(self, choice: Choice) -> None:
        wanted = self.wanted(choice)
        if self._going is not None and self._going == wanted:  # only what is looked at of it is another
            self._asked = choice
            self.status(choice, "computing", "computing …")
            if self.shown is not None and self.brush is not None:
                self.brush.follow(self.parts(self.shown), choice, self.making)
            return
        self.cancel()
        self._asked, self._waiting = choice, self.making
        made = self.store.cached(wanted)
        if made is not None:
            self._deliver(choice, made)
            return
        self.status(choice, "computing", "computing …")
        self._going = wanted
        if self.store.known(wanted):
            self.quick.request(choice)
            return
        self.strip.say(f"{self.title(choice)}: {self.queued}", busy=True)
        if self.has_to_wait(choice):
            self.quick.request(choice)
        self.slow.request(choice)

    def _deliver(self, choice: Choice, value) -> None:
        if self._asked is not None and self.wanted(choice) == self._going:
            choice = self._asked  # a band may have been chosen meanwhile
        if isinstance(value, Exception):
            self._going = None
        super()._deliver(choice, value)

    def _draw(self, choice: Choice, cancelled: Callable[[], bool]):
        """On a worker: whole if it was made before."""
        wanted = self.wanted(choice)
        return (self.store.picture if self.store.known(wanted) else self.store.started)(wanted)

    def _make(self, choice: Choice, cancelled: Callable[[], bool]):
        """On a worker: something new, telling the page how far it is."""

        def tell(done: int, steps: int) -> None:
            self.schedule(lambda: None if cancelled() else self._progress(choice, done, steps))

        def waits(before: int, seconds: float) -> None:
            self.schedule(lambda: None if cancelled() else self._wait(choice, before, seconds))

        tell(0, 0)
        report: Any = now_and_then(tell, cancelled)
        report.waits = waits
        return self.store.picture(self.wanted(choice), cancelled, report)

    def _wait(self, choice: Choice, before: int, seconds: float) -> None:
        """How many are served before, and about how long that takes; none once it has begun."""
        if self.wanted(choice) == self._going and self.strip.stop.visible:
            place = f"place {before + 1} in the queue, begins in about {seconds:.0f} s" if before else "computing …"
            self.strip.say(f"{self.title(choice)}: {place}", busy=True)

    def _progress(self, choice: Choice, done: int, steps: int) -> None:
        if self.wanted(choice) == self._going and self.strip.stop.visible:
            far = f"step {done} of {steps}" if steps else "computing …"
            self.strip.say(f"{self.title(choice)}: {far}", 100 * done / max(steps, 1), True)

    def pause(self) -> None:
        """The button, or a tab that was closed: nobody waits for this any more."""
        self.cancel()
        self.strip.say(f"Stopped. {self.nothing}", stopped=True)
        self._waiting = STOPPED
        self.quick.request(self.state.choice())  # what is shown may still be older
        self.status(self.state.choice(), "stopped", "stopped")

    def cancel(self) -> None:
        self._going = None
        self.second.cancel()
        self.quick.cancel()
        self.slow.cancel()

    def _failed(self) -> None:
        self.slow.cancel()
        self.strip.say("")
