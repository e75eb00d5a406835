"""B of a view: the second result is asked for once the first is drawn, and shown beside it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import cached_property
from typing import Any

import panel as pn

from apps.beside import CELLS, Beside, Side
from apps.latest import Latest
from apps.problems import Overtaken, sentence
from apps.state import Choice, State

MAKING = "B is being made …"


class Second:
    """Keeps what stands beside the result of a view.

    Parameters
    ----------
    beside : makes the panes, when somebody first asks for a second result.
    cached, make : selection -> the result if it was made before; selection, cancelled -> the result, on a worker.
    side : result, selection -> what is shown of it; None if there is nothing to show.
    pool, schedule : workers, and what runs a function on the session's event loop.
    state : the session's selections.
    also : called with the selection once both are shown.
    """

    def __init__(
        self, beside: Callable[[], Beside], cached: Callable[[Choice], Any], make: Callable,
        side: Callable[[Any, Choice], Side | None], pool: Executor, schedule: Callable, state: State,
        also: Callable[[Choice], None] = lambda choice: None,
    ) -> None:  # fmt: skip
        self._make, self.cached, self.side, self.state, self.also = beside, cached, side, state, also
        self.asked = Latest(pool, lambda choice, over: make(choice.other(), over), self._deliver, schedule)
        self._first: Any = None

    @cached_property
    def beside(self) -> Beside:
        """The panes."""
        return self._make()

    def follow(self, choice: Choice, first: Any) -> None:
        """The first result of a selection is drawn: show the second, or end the comparison."""
        self.asked.cancel()
        self._first, other = first, choice.other()
        if other is None or "beside" in self.state.hide:
            if "beside" in vars(self):
                self.beside.hide()
            return
        known = self.cached(other)
        if known is not None:
            self._deliver(choice, known)
            return
        self.beside.say(MAKING)
        self.asked.request(choice)

    def cancel(self) -> None:
        """Nobody waits for it."""
        self.asked.cancel()

    def _deliver(self, choice: Choice, value: Any) -> None:
        if isinstance(value, Overtaken):
            return
        with pn.io.hold():
            if isinstance(value, Exception):
                self.beside.say(f"B: {sentence(value, f'B of {choice}')}")
                return
            other = choice.other()
            assert other is not None  # it was asked for
            a, b = self.side(self._first, choice), self.side(value, other)
            if a is None or b is None:
                self.beside.say(f"There is no {'A' if a is None else 'B'}: its method is not here.")
                return
            self.beside.show(a, b, choice.key(), [name for name in CELLS if name in self.state.hide])
            self.also(choice)
