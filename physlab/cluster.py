"""Work on many machines by dask: an address of its scheduler, or processes of this machine.

    with cluster("tcp://scheduler:8786"):     # or "local:4"
        ...                                   # whatever dask computes here is computed there

There is no engine of ours. Fields in chunks, statistics and scores are dask arrays; studies give their runs to the
client. A worker that dies takes its chunks with it, and dask makes them again elsewhere.
"""

from __future__ import annotations

import collections
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np

from physlab.errors import PhysLabError

ALONE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""Environment of a worker: many processes share the cores, so each takes one, and waits asleep."""
SECONDS = 20
"""To wait for a scheduler to answer."""


@contextlib.contextmanager
def cluster(address: str = "") -> Iterator[Any]:
    """A client of ``dask.distributed`` that all of dask uses inside; None for "", where nothing changes.

    Parameters
    ----------
    address : "tcp://host:8786" (or tls://, ws://) of a scheduler, the path of its file (``--scheduler-file``), or
        "local:N" for N processes of this machine; "" for none.

    Raises
    ------
    PhysLabError : another form of address, nobody answers, or the extra is not installed.
    """
    if not address:
        yield None
        return
    local = re.fullmatch(r"local(?::(\d+))?", address)
    if not local and not re.match(r"(tcp|tls|ws|wss|ucx)://.+:\d+$", address) and not os.path.isfile(address):
        raise PhysLabError(
            f"'{address}' is no cluster: write tcp://HOST:8786, the path of a scheduler file, or local:N"
        )
    count = int(local[1] or os.cpu_count() or 1) if local else 0
    if local and not 1 <= count <= 1024:
        raise PhysLabError(f"'{address}' asks for {count} processes: pass 1 to 1024")
    with _client(address, count) as client:
        _keep_alone(client)
        yield client


@contextlib.contextmanager
def _client(address: str, count: int) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        if error.name != "distributed":
            raise
        raise PhysLabError("a cluster needs the package distributed: pip install 'physlab[cluster]'") from None
    if count:
        before = {name: os.environ.get(name) for name in ALONE}
        os.environ.update(ALONE)  # which the processes inherit
        try:
            workers = LocalCluster(n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        with workers, Client(workers) as client:
            yield client
        return
    where = {"scheduler_file": address} if os.path.isfile(address) else {"address": address}
    try:
        client = Client(**where, timeout=SECONDS)
    except (OSError, TimeoutError) as error:
        raise PhysLabError(
            f"no scheduler answers at {address} ({type(error).__name__}): start `dask scheduler` there"
        ) from None
    with client:
        if not client.scheduler_info().get("workers"):
            raise PhysLabError(f"the scheduler at {address} has no workers: start `dask worker {address} --nthreads 1`")
        yield client


def _keep_alone(client: Any) -> None:
    """One thread for the networks of each worker, also of one that comes later: it is one of many on its machine."""
    from distributed.diagnostics.plugin import WorkerPlugin

    class Alone(WorkerPlugin):
        name = "physlab-alone"

        def setup(self, worker: Any) -> None:
            import torch

            torch.set_num_threads(1)

    client.register_plugin(Alone())


def present() -> Any:
    """The client of the cluster that dask uses now, or None."""
    if "distributed" not in sys.modules:
        return None
    import distributed

    try:
        return distributed.default_client()
    except ValueError:
        return None


def computed(lazy: Iterable[Any]) -> Iterator[np.ndarray]:
    """The values of arrays in their order; on a cluster some are computed ahead, twice as many as it has workers.

    Parameters
    ----------
    lazy : xarray variables, in dask chunks or not.

    Raises
    ------
    PhysLabError : workers died again and again at one of them.
    """
    client = present()
    if client is None:
        for part in lazy:
            yield part.values
        return
    ahead = 2 * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
    waiting: collections.deque = collections.deque()
    for part in lazy:
        waiting.append(client.compute(part.data) if part.chunks is not None else part.values)
        if len(waiting) >= ahead:
            yield _value(waiting.popleft())
    while waiting:
        yield _value(waiting.popleft())


def _value(found: Any) -> np.ndarray:
    return _result(found) if hasattr(found, "result") else found


def _result(future: Any) -> Any:
    """What a future of dask gives; one line where its workers died of it."""
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise PhysLabError(
            f"workers died at the same piece of work again and again ({str(error).split('.')[0][:120]}): give them "
            "more memory, or cut the input into smaller chunks"
        ) from None


class Runs:
    """A client that studies give their runs to: failures of its workers become errors of the run that they had."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def submit(self, work: Callable, /, *arguments: object) -> Future:
        """A future of :mod:`concurrent.futures`."""
        made: Future = Future()

        def ended(future: Any) -> None:
            try:
                made.set_result(_result(future))
            except BaseException as error:
                made.set_exception(error)

        self.client.submit(work, *arguments, pure=False).add_done_callback(ended)
        return made
