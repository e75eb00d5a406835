"""What all sessions of a server share: the store, the queue, and the processes that work for them.

In a module of its own, because Panel runs `apps/explorer.py` anew for each session and empties its names when that
session ends: a thread that starts later would not find them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing as mp
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from apps.calls import Calls
from apps.front import Front
from apps.line import Line
from apps.memory import few_heaps, give_back
from apps.own import root, takes_files
from apps.process import SAMPLING_NICE, TESTS_NICE, Slot, Worker
from apps.remote import VARIABLE, Remote
from physlab.cluster import cluster

log = logging.getLogger("physlab.explorer")
WAITING = 128  # threads that wait for a worker: they do nothing else
SPARE = 4  # cores from which on panels have two processes
TIDY = 8.0  # s after a page was closed
YOUNG = (20_000, 10, 1_000)
"""How many new objects are looked through, and how seldom all: with thirty pages that takes half a second, in which
nobody is answered. What closed pages leave behind is collected once they are closed."""


class Workers:
    """The processes of a server.

    Panels, sampling, and scores of whole test sets have processes of their own; new pictures of what was sampled come
    from the one that remembers it. What nobody looks at steps back.
    """

    def __init__(self, make=Calls, cores: int | None = None, address: str = "") -> None:
        self.line, self._kept = Line(), ExitStack()
        panels = 2 if (cores or os.cpu_count() or 1) >= SPARE else 1
        self.all: list[Any] = [Worker([Slot(("panel",))], self.line, make) for _ in range(panels)]
        if address:
            client = self._kept.enter_context(cluster(address))
            self.all.append(Remote(client, self.line, len(client.scheduler_info(n_workers=-1)["workers"])))
        else:
            self.all.append(Worker([Slot(("sampling",)), Slot(("redraw",))], self.line, make, nice=SAMPLING_NICE))
        self.all.append(Worker([Slot(("tests",))], self.line, make, nice=TESTS_NICE))

    def start(self) -> None:
        """All of them, so that nobody waits for it."""
        for worker in self.all:
            with contextlib.suppress(OSError, EOFError):  # said to whoever asks for something
                worker.start()

    def close(self) -> None:
        """End all of them."""
        for worker in self.all:
            worker.close()
        self._kept.close()


@cache
def working() -> Workers:
    """The processes of this server."""
    mp.get_context("forkserver").set_forkserver_preload(["apps.forked"])
    return Workers(address=os.environ.get(VARIABLE, ""))


def shared() -> tuple[Front, ThreadPoolExecutor, ThreadPoolExecutor]:
    """The store and the threads that wait for its workers, for panels and for what is less urgent."""
    if takes_files():
        root()  # before the workers, which look there too
    workers, pool = working(), ThreadPoolExecutor(WAITING, "waits")
    threading.Thread(target=workers.start, daemon=True).start()
    few_heaps()
    front = Front(workers.line, pool)
    gc.collect()
    gc.freeze()  # what is here stays: looking it through again at each closed page takes half a second
    gc.set_threshold(*YOUNG)
    return front, pool, ThreadPoolExecutor(WAITING, "waits-long")


def unheard(loop: asyncio.AbstractEventLoop, context: dict) -> None:
    """Errors of the event loop that nobody waits for: a closed tab cannot be written to, and that is all."""
    error = context.get("exception")
    if isinstance(error, StreamClosedError | WebSocketClosedError):
        log.debug("a tab was closed while it was written to")
    else:
        loop.default_exception_handler(context)


class Tidy:
    """Gives memory back once pages were closed, a moment later and all at once."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self._guard = threading.Lock()

    def soon(self) -> None:
        """A page was closed."""
        with self._guard:
            if self._timer is None:
                self._timer = threading.Timer(TIDY, self.now)
                self._timer.daemon = True
                self._timer.start()

    def now(self) -> None:
        """Collect, and hand free memory to the system where its library can."""
        with self._guard:
            self._timer = None
        give_back()


tidy = Tidy()
