"""Sampling on a cluster of dask: what is made, how far it is, a stop, a worker that dies; a stand-in is its store."""

from __future__ import annotations

import os
import time
from pathlib import Path

import dask
import pytest

from apps import remote
from apps.line import Job, Line
from apps.problems import Lost, Overtaken
from apps.state import Setup
from physlab.cli.explore import CLUSTER

ROOT = Path(__file__).resolve().parents[2]


def done(line: Line, job: Job, within: float = 60.0):
    """The value of a job that the cluster makes."""
    line.put(job)
    assert job.done.wait(within)
    return job.value


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), before]))
    once = {"distributed.scheduler.allowed-failures": 0}  # else dask tries three other workers first
    with (
        dask.config.set(once),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as made,
    ):
        os.environ["PYTHONPATH"] = before
        made.run(stand_in)
        yield made


def stand_in() -> None:
    """On the worker: instead of a store, a function that steps, fails or ends its process."""
    import os
    import time

    from apps import remote
    from apps.problems import Overtaken, Unavailable

    def call(method, arguments, cancelled, report):
        if method == "die":
            os._exit(3)
        if method == "fail":
            raise Unavailable("It is not here.")
        for step in range(arguments[1]):
            if cancelled():
                raise Overtaken
            report(step, arguments[1])
            time.sleep(0.05)
        return arguments[1], []

    remote._calls[:] = [call]


@pytest.mark.slow
def test_a_cluster_samples_tells_how_far_it_is_and_stops(client):
    line, heard = Line(), []
    there = remote.Remote(client, line, 1)
    try:
        job = Job("sampling", "me", "step", ("a", 20), report=lambda done, steps: heard.append((done, steps)))
        assert done(line, job) == (20, []) and heard and heard[-1][1] == 20
        assert len(there._made) == 1 and next(iter(there._made.values())).startswith("tcp://")
        error = done(line, Job("redraw", "me", "fail", ("a",)))
        assert str(error) == "It is not here." and there.lost == 0
        left: list[bool] = []
        job = Job("sampling", "me", "step", ("b", 600), cancelled=lambda: bool(left))
        line.put(job)
        time.sleep(1.0)
        start = time.monotonic()
        left.append(True)
        assert job.done.wait(10) and isinstance(job.value, Overtaken) and time.monotonic() - start < 4
        assert done(line, Job("sampling", "me", "step", ("c", 1))) == (1, [])  # the worker is free again
    finally:
        there.close()


@pytest.mark.slow
def test_a_worker_of_the_cluster_that_dies_is_said(client):
    line = Line()
    there = remote.Remote(client, line, 1)
    try:
        error = done(line, Job("sampling", "me", "die", ("a",)), 120.0)
        assert isinstance(error, Lost) and "try again" in str(error) and there.lost == 1
    finally:
        there.close()


def test_pictures_of_the_same_samples_go_to_the_same_worker():
    one = Setup(channel="z500", seed=3)
    assert remote._subject((one,)) == remote._subject((Setup(channel="q700", seed=3),))
    assert remote._subject((one,)) != remote._subject((Setup(channel="z500", seed=4),))
    assert remote.VARIABLE == CLUSTER
