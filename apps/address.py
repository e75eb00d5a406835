"""The page address follows the state, and the state follows the address (a pasted link, the back button).

While a film plays or a slider is dragged the address waits until the selections have settled, so that the browser's
history holds what the user stopped at and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from apps.own import Own
from apps.state import CHOICE_NAMES, State, parse_query

SETTLE = 400  # ms


class Address:
    """Keeps ``location.search`` and a `State` equal.

    Parameters
    ----------
    state : the session's selections.
    location : anything with a `search` parameter, normally ``pn.state.location``.
    later : runs a function after a number of milliseconds on the session's event loop.
    say : takes sentences for the user, shown with the next panel.
    own : what the session has brought, which its links may name.
    """

    def __init__(
        self,
        state: State,
        location,
        later: Callable[[Callable[[], None], int], object],
        say: Callable[[list[str]], None],
        own: Own | None = None,
    ) -> None:
        self.state, self.location, self.later, self.say, self.own = state, location, later, say, own
        self._changes = 0
        self._writing = False
        state.param.watch(lambda *_: self._settle(), [*CHOICE_NAMES, "hide"])
        location.param.watch(lambda *_: self._read(), "search")
        self._write()

    def _settle(self) -> None:
        self._changes += 1
        seen = self._changes
        self.later(lambda: self._write() if seen == self._changes else None, SETTLE)

    def _write(self) -> None:
        query = self.state.query()
        if self.location.search != query:
            self._writing = True
            try:
                self.location.search = query
            finally:
                self._writing = False

    def _read(self) -> None:
        if self._writing or self.location.search == self.state.query():
            return
        choice, hide, problems = parse_query(self.location.search or "", self.own)
        self.say(problems)
        self.state.apply(choice, hide)
