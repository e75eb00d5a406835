"""Sampling on a cluster of dask: the same queue, the same stop, the same sentences; only the processes are elsewhere.

The server keeps a thread for each piece of work that may go on at once. It gives a job to the cluster, hears how far it
is, and tells the work to stop when nobody waits for it any more: an event of dask's that the work asks between two
steps. A worker keeps what it sampled, and new pictures of it go to where it was made.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from apps.line import Job, Line
from apps.problems import Lost, Overtaken
from apps.process import EVERY, GRACE, LIMITS

VARIABLE = "PHYSLAB_CLUSTER"
TOPIC = "physlab-explorer-"
MOST = 16  # jobs on the cluster at once
ASK = 0.3  # s between two looks whether anybody waits still
KINDS = ("sampling", "redraw")
SHOWN = ("channel", "balance", "which", "threshold")
"""Of the settings of the views: those that choose what is drawn of a sample."""


class Remote:
    """Takes the jobs of some kinds from the line and has them made by a cluster; used like a worker process.

    Parameters
    ----------
    client : of ``dask.distributed``.  line : where its jobs come from.  slots : jobs at once.
    """

    def __init__(self, client: Any, line: Line, slots: int) -> None:
        self.client, self.line, self.lost, self.name = client, line, 0, uuid.uuid4().hex[:12]
        self._closed = False
        self._reports: dict[int, Callable[[int, int], None]] = {}  # number of a job -> where its progress goes
        self._made: dict[tuple, str] = {}  # what was sampled -> address of the worker that keeps it
        client.subscribe_topic(TOPIC + self.name, self._heard)
        for at in range(min(max(slots, 1), MOST)):
            threading.Thread(target=self._serve, name=f"cluster {at}", daemon=True).start()

    pid = None
    """Of no process of this machine."""

    def start(self) -> None:
        """It runs already."""

    def close(self) -> None:
        """Take no more jobs."""
        self._closed = True
        self.client.unsubscribe_topic(TOPIC + self.name)

    def _heard(self, event: tuple[float, Any]) -> None:
        """How far a job is."""
        number, done, steps = event[1]
        if (report := self._reports.get(number)) is not None:
            report(done, steps)

    def _serve(self) -> None:
        while not self._closed:
            job = self.line.take(KINDS)
            if job is None:
                continue
            try:
                value = self._run(job)
            except Exception as error:
                value = self._gone(error)
            self.line.ended(job, not isinstance(value, Exception))
            job.finish(value)

    def _gone(self, error: Exception) -> Exception:
        from distributed.scheduler import KilledWorker

        died = isinstance(error, KilledWorker | OSError | TimeoutError) or "Cancelled" in type(error).__name__
        if not died:
            return error
        self.lost += 1
        return Lost(f"The cluster lost the worker that computed this ({type(error).__name__}): try again.")

    def _run(self, job: Job) -> Any:
        if job.cancelled():
            return Overtaken()
        from distributed import Event

        stop = Event(f"{TOPIC}{self.name}-{job.number}", client=self.client)
        place = (job.method, _subject(job.arguments))
        there = {"workers": [self._made[place]], "allow_other_workers": True} if place in self._made else {}
        if job.report is not None:
            self._reports[job.number] = job.report
        future = self.client.submit(
            work, job.method, job.arguments, job.number, self.name, pure=False, retries=0, **there
        )
        begun, asked = time.monotonic(), 0.0
        try:
            while not future.done():
                time.sleep(0.05)
                now = time.monotonic()
                if not asked and job.cancelled():
                    asked = now
                    stop.set()
                if asked and now - asked > GRACE:
                    future.cancel(force=True)
                    return Overtaken()
                if now - begun > LIMITS[job.kind]:
                    stop.set()
                    future.cancel(force=True)
                    return Lost(
                        f"This took longer than {LIMITS[job.kind]:.0f} s and was stopped: try again, or choose less."
                    )
            value, address = future.result()
            self._made[place] = address
            while len(self._made) > 500:
                self._made.pop(next(iter(self._made)))
            return value
        finally:
            self._reports.pop(job.number, None)


def _subject(arguments: tuple) -> str:
    """What is sampled, whichever field of it is shown: what only chooses that is as it is by default."""
    first: Any = arguments[0] if arguments else ""
    same = {f.name: f.default for f in fields(first) if f.name in SHOWN} if is_dataclass(first) else {}
    return repr(replace(first, **same) if same else first)


# -- on a worker of the cluster ------------------------------------------------------------------------------------

_calls: list[Callable] = []
_guard = threading.Lock()


def work(method: str, arguments: tuple, number: int, name: str) -> tuple[Any, str]:
    """A call of the store that this worker keeps, and the address of the worker."""
    from distributed import Event, get_client, get_worker

    from apps.calls import Calls

    with _guard:
        if not _calls:
            _calls.append(Calls())
    worker, last = get_worker(), {"asked": time.monotonic(), "told": 0.0}
    stop = Event(f"{TOPIC}{name}-{number}", client=get_client())
    stopped: list[bool] = []

    def cancelled() -> bool:
        if not stopped and time.monotonic() - last["asked"] > ASK:
            last["asked"] = time.monotonic()
            if stop.is_set():
                stopped.append(True)
        return bool(stopped)

    def report(done: int, steps: int) -> None:
        if time.monotonic() - last["told"] > EVERY:
            last["told"] = time.monotonic()
            worker.log_event(TOPIC + name, (number, done, steps))

    return _calls[0](method, arguments, cancelled, report), worker.address
