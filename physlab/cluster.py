"""Work on many machines by dask: an address of its scheduler, or processes of this machine.

    with cluster("tcp://scheduler:8786"):     # or "local:4"
        ...                                   # whatever dask computes here is computed there

There is no engine of ours. Fields in chunks, statistics and scores are dask arrays; studies give their runs to the
client. A worker that dies takes its chunks with it, and dask makes them again elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

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
