"""Computing beside the server: turns in the queue; workers that are killed, stopped and too slow; a store that asks."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from apps.front import Beside
from apps.line import MOST, Full, Job, Line
from apps.problems import Lost, Overtaken
from apps.process import Slot, Worker


class Toy:
    """A store whose work is to sleep; `main` makes it in the worker process."""

    def __call__(self, method, arguments, cancelled, report):
        if method == "pid":
            return os.getpid(), [("told", (), 7)]
        if method == "fail":
            raise ValueError("there is no such frame")
        for step in range(arguments[0]):
            if method == "sample" and cancelled():
                raise Overtaken
            report(step, arguments[0])
            time.sleep(0.05)
        return "whole", []


@pytest.fixture(scope="module")
def line():
    line = Line()
    worker = Worker((Slot(("sampling",)), Slot(("redraw",))), line, Toy, {"sampling": 60.0, "redraw": 1.0})
    yield line, worker
    worker.close()


def test_sessions_take_turns_and_know_their_place():
    line = Line()
    jobs = {name: Job("sampling", name[0], "m", (), cost="dear") for name in ("a1", "a2", "a3", "b1", "c1")}
    for job in jobs.values():
        line.put(job)
    assert line.place(jobs["b1"]) == (1, 15.0)
    assert line.place(jobs["a2"])[0] == 3  # b1 and c1 come before
    order = []
    while (job := line.take(("sampling",), 0.0)) is not None:
        order.append(next(name for name, other in jobs.items() if other is job))
        line.ended(job)
    assert order == ["a1", "b1", "c1", "a2", "a3"]
    assert line.takes(jobs["a1"]) < 1.0  # as it was measured
    line.put(Job("panel", "x", "m", ()))
    assert line.take(("sampling",), 0.0) is None
    with pytest.raises(Full, match="try again"):
        for _ in range(MOST):
            line.put(Job("panel", "x", "m", ()))


def test_a_killed_worker_is_said_and_replaced(line):
    queue, worker = line
    beside, began = Beside(queue, "one"), threading.Event()
    pid = beside.ask("redraw", "pid")
    assert pid == worker.pid != os.getpid() and beside.peek("told") == 7
    threading.Thread(target=lambda: (began.wait(20), os.kill(pid, signal.SIGKILL)), daemon=True).start()
    with pytest.raises(Lost, match=r"SIGKILL.*try again"):
        beside.ask("sampling", "sample", 400, report=lambda *_: began.set())
    assert beside.ask("sampling", "sample", 1) == "whole"
    assert worker.lost == 1 and beside.ask("redraw", "pid") not in (pid, None)


def test_work_that_nobody_waits_for_ends_within_two_seconds(line):
    queue, worker = line
    for method in ("sample", "deaf"):  # one looks whether it is cancelled, the other has to be ended
        stop, beside = threading.Event(), Beside(queue, "one")
        with pytest.raises(Overtaken):
            beside.ask("sampling", method, 400, cancelled=stop.is_set, report=lambda *_, stop=stop: stop.set())
        start = time.monotonic()
        while queue.counts()["running"]:
            assert time.monotonic() - start < 2.0
            time.sleep(0.02)


def test_work_beyond_its_limit_says_so_and_errors_are_those_of_the_store(line):
    beside = Beside(line[0], "one")
    with pytest.raises(Lost, match=r"longer than 1 s.*try again"):
        beside.ask("redraw", "deaf", 200)
    with pytest.raises(ValueError, match="no such frame"):
        beside.ask("redraw", "fail")
    places = []
    report = lambda *_: None  # noqa: E731
    report.waits = lambda before, seconds: places.append(before)
    busy = threading.Thread(target=lambda: beside.ask("sampling", "sample", 14))
    busy.start()
    time.sleep(0.1)
    assert Beside(line[0], "two").ask("sampling", "sample", 6, report=report) == "whole"
    busy.join()
    assert places[0] == 1 and places[-1] == 0
