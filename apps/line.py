"""One queue for all sessions: each takes turns, everyone knows the place and about how long it takes.

A session that asks for ten things does not stand before another that asks for one: lanes (one for each session) are
served one after the other. How long work takes is the mean of what the same work took before.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from typing import Any

from apps.problems import Unavailable, never

MOST = 200  # jobs that wait, of all sessions
GUESS = {"panel": 0.4, "redraw": 0.2, "sampling": 15.0, "tests": 10.0}  # s, before anything was measured
_numbers = itertools.count(1)


class Full(Unavailable):
    """Too many requests wait."""


@dataclass(eq=False)
class Job:
    """A call of the store that a worker process makes.

    Attributes
    ----------
    kind : which workers take it.  lane : the session.  method, arguments : what is called.
    cost : what takes as long as this.  cancelled : whether nobody waits for it any more.
    report : told steps done and steps of all.
    """

    kind: str
    lane: Hashable
    method: str
    arguments: tuple
    cost: Hashable = None
    cancelled: Callable[[], bool] = never
    report: Callable[[int, int], None] | None = None
    number: int = field(default_factory=lambda: next(_numbers))
    since: float = 0.0  # when it began, monotonic s; 0 while it waits
    value: Any = None
    done: threading.Event = field(default_factory=threading.Event)

    def finish(self, value: Any) -> None:
        """Its value, or the exception."""
        self.value = value
        self.done.set()


class Line:
    """Jobs that wait; `take` gives the next of some kinds."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[Hashable, deque[Job]] = OrderedDict()
        self._running: set[Job] = set()
        self._took: dict[Hashable, float] = {}
        self._change = threading.Condition()
        self.served, self.seconds, self.refused = 0, 0.0, 0

    def put(self, job: Job) -> None:
        """Wait for a worker.

        Raises
        ------
        Full : more wait already than anybody will stay for.
        """
        with self._change:
            if sum(map(len, self._lanes.values())) >= MOST:
                self.refused += 1
                raise Full(f"{MOST} requests wait on this server: try again in a minute.")
            self._lanes.setdefault(job.lane, deque()).append(job)
            self._change.notify_all()

    def drop(self, job: Job) -> None:
        """Nobody waits for it: leave it out if it has not begun."""
        with self._change:
            lane = self._lanes.get(job.lane, ())
            if job in lane:
                self._leave(job)

    def _leave(self, job: Job) -> None:
        lane = self._lanes[job.lane]
        lane.remove(job)
        if lane:
            self._lanes.move_to_end(job.lane)  # the others are next
        else:
            del self._lanes[job.lane]

    def take(self, kinds: Collection[str], patience: float = 1.0) -> Job | None:
        """The next job of these kinds, begun; None if there was none for a while."""
        with self._change:
            if not self._change.wait_for(lambda: self._next(kinds) is not None, patience):
                return None
            job = self._next(kinds)
            assert job is not None
            self._leave(job)
            self._running.add(job)
            job.since = time.monotonic()
            return job

    def _next(self, kinds: Collection[str]) -> Job | None:
        return next((job for lane in self._lanes.values() for job in lane if job.kind in kinds), None)

    def ended(self, job: Job, whole: bool = True) -> None:
        """A worker has done with it; how long a `whole` one took is remembered."""
        with self._change:
            self._running.discard(job)
            seconds = time.monotonic() - job.since
            self.served, self.seconds = self.served + 1, self.seconds + seconds
            if whole:
                for key in ((job.kind, job.cost), job.kind):
                    self._took[key] = 0.7 * self._took[key] + 0.3 * seconds if key in self._took else seconds
                if len(self._took) > 500:
                    self._took.pop(next(iter(self._took)))

    def takes(self, job: Job) -> float:
        """Seconds that a job takes, by those before it."""
        return self._took.get((job.kind, job.cost), self._took.get(job.kind, GUESS.get(job.kind, 1.0)))

    def place(self, job: Job) -> tuple[int, float]:
        """How many are served before a job, those that have begun included, and after how many seconds it begins;
        (0, 0) of one that does not wait."""
        with self._change:
            mine = [other for other in self._lanes.get(job.lane, ()) if other.kind == job.kind]
            if job not in mine:
                return 0, 0.0
            at, before, passed = mine.index(job), [], False
            for name, lane in self._lanes.items():
                same = [other for other in lane if other.kind == job.kind]
                passed = passed or name == job.lane
                before += same[: at if passed else at + 1]
            now = time.monotonic()
            begun = [other for other in self._running if other.kind == job.kind]
            left = sum(max(self.takes(other) - (now - other.since), 0.0) for other in begun)
            return len(before) + len(begun), left + sum(map(self.takes, before))

    def counts(self) -> dict[str, float]:
        """What the page of the operator shows."""
        with self._change:
            waiting = sum(map(len, self._lanes.values()))
            kinds = {f"running_{kind}": sum(job.kind == kind for job in self._running) for kind in GUESS}
            return {"waiting": waiting, "running": len(self._running), "lanes": len(self._lanes),
                    "served": self.served, "refused": self.refused, "seconds": self.seconds, **kinds}  # fmt: skip
