"""The store of the server's own process: it remembers what was made for anybody, and has the rest made beside it.

It has the names of `apps.store.Store`. Panels, pictures, moments and scores come from worker processes; the thread that
asks waits, and the event loop goes on. Each session has a front of its own (:meth:`Front.for_session`), which takes its
turn in the queue; the caches belong to all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from apps.assimilate.store import MADE, Analyses
from apps.cache import Cache
from apps.continuous.store import Moments
from apps.ensemble.store import Ensembles, resolve
from apps.ensemble.store import _key as key_of_members
from apps.line import Job, Line
from apps.paint.store import Paintings
from apps.problems import Lost, Overtaken, never, silent
from apps.state import Choice, Draw, Look, Paint, Setup
from apps.store import Panel, Store

LOOK = 0.2  # s between two looks at the queue


class Beside:
    """Has calls made by workers, and remembers what they told on the way.

    Parameters
    ----------
    line : the queue.
    lane : whose turn it is: the session.
    """

    def __init__(self, line: Line, lane: Hashable = None) -> None:
        self.line, self.lane, self.told = line, lane, Cache(1024)

    def ask(
        self, kind: str, method: str, *arguments: Any, cost: Hashable = None,
        cancelled: Callable[[], bool] = never, report: Callable | None = None,
    ) -> Any:  # fmt: skip
        """The value of a call; waits for it, and tells `report.waits` the place in the queue until it begins.

        Raises
        ------
        Overtaken : nobody waits any more.
        Exception : what the call raised, `Lost` if its process is gone, `Full` if too many wait.
        """
        job = Job(kind, self.lane, method, arguments, cost, cancelled, report)
        self.line.put(job)
        waits, last = getattr(report, "waits", None), None
        while not job.done.wait(LOOK):
            if cancelled():
                self.line.drop(job)
                raise Overtaken
            if waits is not None and last != (0, 0.0) and (place := self.line.place(job)) != last:
                last = place
                waits(*place)
        if isinstance(job.value, Exception):
            raise job.value
        value, told = job.value
        for name, args, known in told:
            self.told.get((name, args), partial(tuple, [known]))
        return value

    def known(self, method: str, *arguments: Any) -> Any:
        """What was told, else asked for now: a moment on the event loop, for what is small."""
        kind = "redraw" if method.startswith(("analyses", "ensembles")) else "panel"
        return self.told.get((method, arguments), lambda: (self.ask(kind, method, *arguments),))[0]

    def peek(self, method: str, *arguments: Any, default: Any = None) -> Any:
        """What was told, else a default."""
        found = self.told.peek((method, arguments))
        return default if found is None else found[0]


class FrontMoments(Moments):
    """Moments of the Continuous view."""

    def __init__(self, beside: Beside) -> None:
        super().__init__()
        self.beside = beside

    def moment(self, look: Look, cancelled: Callable[[], bool] = never):
        look = self.resolve(look)
        return self._moments.get(look, lambda: self.beside.ask("panel", "moments.moment", look, cancelled=cancelled))

    def laws(self, *_):
        return self._laws.get("laws", lambda: self.beside.ask("tests", "moments.laws"))

    def card(self, name: str) -> dict[str, Any]:
        return self.beside.known("moments.card", name)


class FrontAnalyses(Analyses):
    """Analyses of the Assimilate view."""

    def __init__(self, beside: Beside, pool=None) -> None:
        super().__init__(pool)
        self.beside, self._made = beside, Cache(MADE)

    def has_members(self, name: str) -> bool:
        return self.beside.peek("analyses.has_members", name, default=True)

    def grid(self):
        return self.beside.known("analyses.grid")

    def card(self, name: str) -> dict[str, Any]:
        return self.beside.known("analyses.card", name)

    def picture(self, setup: Setup, cancelled: Callable[[], bool] = never, progress: Callable = silent):
        def make():
            kind = "redraw" if self.known(setup) else "sampling"
            cost = (setup.assimilator, setup.members)
            try:
                made = self.beside.ask(kind, "analyses.picture", setup, cost=cost, cancelled=cancelled, report=progress)
            except Lost:
                self._made.clear()  # with the process that remembered them
                raise
            if not made.note:
                self._made.get(self._key(setup), lambda: True)
            return made

        made = self._pictures.peek(self.resolve(setup))
        return made if made is not None else self._keep(setup, make())

    def _keep(self, setup: Setup, made):
        return made if made.note else self._pictures.get(self.resolve(setup), lambda: made)

    def started(self, setup: Setup, note: str = ""):
        return self.beside.ask("redraw", "analyses.started", setup, note)


class FrontEnsembles(Ensembles):
    """Ensembles of the Ensemble view."""

    def __init__(self, beside: Beside, pool=None) -> None:
        super().__init__(pool)
        self.beside, self._made = beside, Cache(24)

    def card(self) -> dict[str, Any]:
        return self.beside.known("ensembles.card")

    def picture(self, draw: Draw, cancelled: Callable[[], bool] = never, progress: Callable = silent):
        draw = resolve(draw)
        made = self._pictures.peek(draw)
        if made is None:
            kind = "redraw" if self.known(draw) else "sampling"
            ask: dict[str, Any] = {"cost": ("draw", draw.draws), "cancelled": cancelled, "report": progress}
            try:
                made = self.beside.ask(kind, "ensembles.picture", draw, **ask)
            except Lost:
                self._made.clear()
                raise
            if made.members:
                self._made.get(key_of_members(draw), lambda: True)
                made = self._pictures.get(draw, lambda: made)
        return made

    def started(self, draw: Draw, note: str = ""):
        return self.beside.ask("redraw", "ensembles.started", resolve(draw), note)


class FrontPaintings(Paintings):
    """Answers of the Paint view."""

    def __init__(self, beside: Beside, pool=None) -> None:
        super().__init__(pool)
        self.beside = beside

    def picture(self, paint: Paint, cancelled: Callable[[], bool] = never, progress: Callable | None = None):
        ask: dict[str, Any] = {"cost": ("paint", paint.guide), "cancelled": cancelled, "report": progress}
        make = lambda: self.beside.ask("sampling", "paintings.picture", paint, **ask)  # noqa: E731
        return self._pictures.get(paint, make)

    def started(self, paint: Paint, note: str = ""):
        return self.beside.ask("redraw", "paintings.started", paint, note)


class Front(Store):
    """Everything the views draw, made by worker processes.

    Parameters
    ----------
    line : where workers take their jobs from.
    pool : threads that wait for work that takes long.
    """

    def __init__(self, line: Line, pool=None) -> None:
        super().__init__(threads=None)
        self.beside = Beside(line)
        self.moments = FrontMoments(self.beside)
        self.analyses = FrontAnalyses(self.beside, pool)
        self.ensembles = FrontEnsembles(self.beside, pool)
        self.paintings = FrontPaintings(self.beside, pool)

    def for_session(self, lane: Hashable) -> Front:
        """The same for one session: caches are shared, turns are its own."""
        own = copy.copy(self)
        own.beside = copy.copy(self.beside)
        own.beside.lane = lane
        for name in ("moments", "analyses", "ensembles", "paintings"):
            part = copy.copy(getattr(self, name))
            part.beside = own.beside
            setattr(own, name, part)
        return own

    def panel(self, choice: Choice, cancelled: Callable[[], bool] = never) -> Panel:
        choice = choice.scene()
        cost = (choice.dataset, choice.factor, choice.method, choice.network)
        ask = self.beside.ask
        return self._panels.get(choice, lambda: ask("panel", "panel", choice, cost=cost, cancelled=cancelled))

    def forget(self, part: str) -> None:
        super().forget(part)
        self.beside.told.drop(part)

    def card(self, choice: Choice) -> dict[str, Any] | None:
        return self.beside.known("card", choice)

    def code(self, choice: Choice) -> str:
        return self.beside.known("code", choice)

    def netcdf(self, shown: Any) -> bytes:
        return self.beside.ask("panel", "netcdf", shown)

    def benchmark(self, task: str, factor: int):
        return self.beside.known("benchmark", task, factor)

    def chapter(self, study: str, cancelled: Callable[[], bool] = never) -> str:
        return self._chapters.get(study, lambda: self.beside.ask("panel", "chapter", study, cancelled=cancelled))

    def paired(self, one: Choice, other: Choice, cancelled: Callable[[], bool] = never):
        return self.beside.ask("tests", "paired", _whole(one), _whole(other), cancelled=cancelled)

    def test_scores(self, choice: Choice, cancelled: Callable[[], bool] = never):
        key, ask = _whole(choice), self.beside.ask
        found = self._tests.peek(key)
        if found is None:
            found = ask("tests", "test_scores", key, cancelled=cancelled)
            if found is not None:
                found = self._tests.get(key, lambda: found)
        return found

    def cached_test_scores(self, choice: Choice):
        return self._tests.peek(_whole(choice))


def _whole(choice: Choice) -> Choice:
    """The selection of scores over all frames."""
    return choice.scene().with_(frame=0, hour=0, show="mean")
