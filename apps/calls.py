"""What a worker process does for a server: calls of its own store, by name. Preloaded by the server of the processes,
so that a new one is there in a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import physlab  # noqa: F401  (before torch: it says how threads wait)
from apps.cache import Cache
from apps.own import Known
from apps.store import Store

STOPPABLE = (
    *("panel", "chapter", "paired", "test_scores", "moments.moment"),
    *("analyses.picture", "ensembles.picture", "paintings.picture"),
)
KEPT = 4
"""Pictures that a worker keeps of each view: the server keeps all of those that it was given, for everybody."""
TELLING = ("analyses.picture", "ensembles.picture", "paintings.picture")  # how far they are


class Calls:
    """A store that is called by name.

    What the page needs beside a value is fetched with it: card and code.
    """

    def __init__(self) -> None:
        self.store, self.known = Store(threads=1), Known()
        self.store._panels = Cache(KEPT)
        for view in (self.store.analyses, self.store.ensembles, self.store.paintings):
            view._pictures = Cache(KEPT)

    def __call__(self, method: str, arguments: tuple, cancelled: Callable, report: Callable) -> tuple[Any, list]:
        """The value, and (method, arguments, value) of what will be asked for next."""
        for mark in self.known.look([*arguments, *(getattr(a, "choice", None) for a in arguments)]):
            self.store.forget(mark)
        call = self.store
        for name in method.split("."):
            call = getattr(call, name)
        more = (cancelled,) * (method in STOPPABLE) + (report,) * (method in TELLING)
        value = call(*arguments, *more)  # type: ignore[operator]
        return value, [(name, args, self._told(name, args)) for name, args in self._next(method, arguments, value)]

    def _told(self, method: str, arguments: tuple) -> Any:
        call = self.store
        for name in method.split("."):
            call = getattr(call, name)
        return call(*arguments)  # type: ignore[operator]

    def _next(self, method: str, arguments: tuple, value: Any) -> list[tuple[str, tuple]]:
        if method == "panel":
            return [("card", (value.choice,)), ("code", (value.choice,))]
        if method == "moments.moment":
            return [("moments.card", (value.look.field,))]
        if method == "analyses.picture" and not value.note:
            name = arguments[0].assimilator
            return [("analyses.card", (name,)), ("analyses.has_members", (name,)), ("analyses.grid", ())]
        if method == "ensembles.picture" and value.members:
            return [("ensembles.card", ())]
        return []
