"""Only the newest request counts: work on threads whose result is dropped once it has been overtaken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial


class Latest:
    """Runs the newest request on an executor and delivers only its result.

    Parameters
    ----------
    pool : executor of the workers, shared by all sessions.
    work : key, cancelled -> value; called on a worker; `cancelled()` turns true once a newer request came.
    deliver : key, value or exception; called through `schedule`.
    schedule : runs a function without arguments on the session's event loop.
    """

    def __init__(
        self, pool: Executor, work: Callable, deliver: Callable, schedule: Callable[[Callable[[], None]], None]
    ) -> None:
        self.pool, self.work, self.deliver, self.schedule = pool, work, deliver, schedule
        self._newest, self._running = 0, False
        self._pending: Future | None = None
        self._next: list = []
        self._guard = threading.RLock()  # a delivery may ask again

    def request(self, key, patient: bool = False) -> Future:
        """Ask for a value; overtakes all earlier requests.

        A patient request, as of a film, lets the one that is under way arrive first and overtakes only those that wait:
        a page that is slower than its film skips pictures, but shows some.
        """
        with self._guard:
            if patient and self._running and self._pending is not None:
                self._next = [key]
                return self._pending
            self.cancel()
            self._running = True
            self._pending = self.pool.submit(self._run, self._newest, key)
            return self._pending

    def cancel(self) -> None:
        """Forget all requests."""
        with self._guard:
            self._newest += 1
            self._running, self._next = False, []
            if self._pending is not None:
                self._pending.cancel()

    def _run(self, ticket: int, key) -> None:
        overtaken = lambda: ticket != self._newest  # noqa: E731
        if overtaken():
            return
        try:
            value = self.work(key, overtaken)
        except Exception as error:  # delivered to the page, which says so in one line
            value = error
        if not overtaken():
            self.schedule(partial(self._arrive, ticket, key, value))

    def _arrive(self, ticket: int, key, value) -> None:
        with self._guard:
            if ticket != self._newest:
                return
            self._running, waiting = False, self._next
            self._next = []
        self.deliver(key, value)
        if waiting and ticket == self._newest:  # the delivery may have asked for something else
            self.request(*waiting)
