"""Where a training runs: the device that was asked for, and the processes that torchrun started.

    torchrun --nproc-per-node 4 -m physlab train tcw-x4 --constraint softmax --preset full

starts four processes that train one model together, each with its share of every batch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import torch
import torch.distributed as dist

from physlab.errors import PhysLabError
from physlab.nn import share

ALLOWED = "cpu, cuda, cuda:N, mps or auto (a CUDA device if there is one)"


def choose_device(wanted: str | torch.device | None = "auto") -> torch.device:
    """The device of this process; "cuda" and "auto" under torchrun: that of its number on the machine.

    Raises
    ------
    PhysLabError : a name that is not known, or a device that is not there.
    """
    if wanted in (None, "auto"):
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except (RuntimeError, TypeError):
        raise PhysLabError(f"unknown device {str(wanted)!r}: choose {ALLOWED}") from None
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if device.index >= count:
            raise PhysLabError(f"device {device} is asked for, but there are {count} CUDA devices: choose {ALLOWED}")
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise PhysLabError(f"device mps is asked for, but it is not here: choose {ALLOWED}")
    elif device.type not in ("cpu", "mps"):
        raise PhysLabError(f"unknown device {str(wanted)!r}: choose {ALLOWED}")
    return device


def under_torchrun() -> bool:
    """Whether torchrun started this process with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextlib.contextmanager
def processes(wanted: str | torch.device | None = "auto") -> Iterator[torch.device]:
    """Join the group that torchrun started, if it did and this process has not; gives the device of this process."""
    device = choose_device(wanted)
    joined = under_torchrun() and not dist.is_initialized()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if joined:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        if joined:
            dist.destroy_process_group()


def rank() -> int:
    """Number of this process among those that train together; 0 writes and speaks."""
    return share.processes()[0]


def speaks() -> bool:
    """Whether this process tells what came out, also after the group has parted: the first that torchrun started."""
    return not under_torchrun() or os.environ.get("RANK", "0") == "0"


def wait() -> None:
    """Until all processes are here."""
    if share.processes()[1] > 1:
        dist.barrier()


def agreed(ask: Callable[[], bool]) -> bool:
    """What process 0 finds, for all: files may lie on its machine alone."""
    return bool(share.told(ask() if rank() == 0 else None))


def by_one(write: Callable[[], object]) -> None:
    """Process 0 writes, and all go on when it has: the next one may build on what is written."""
    if rank() == 0:
        write()
    wait()
