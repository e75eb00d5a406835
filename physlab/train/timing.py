"""How long something takes: in turns, so that a busy machine slows all alike, and on one thread.

A time belongs to one machine and one moment; a ratio of times that were taken in turns much less so. The shortest of
some runs is what the machine can do: the others have waited for another process.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import pandas as pd
import torch
from torch import Tensor

from physlab.constrain import LAYERS, make_constraint
from physlab.errors import PhysLabError
from physlab.nn import ResNet


def alternate(
    calls: Sequence[Callable[[], object]], repeats: int, device: torch.device | str = "cpu"
) -> list[list[float]]:
    """Seconds of each call in each of `repeats` rounds, in which the calls take turns, after one round to warm up.

    Raises
    ------
    PhysLabError : fewer than one round.
    """
    if repeats < 1:
        raise PhysLabError(f"repeats is {repeats}: pass at least 1")
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else (lambda: None)
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats + 1):
        for call, seconds in zip(calls, times, strict=True):
            wait()
            start = time.perf_counter()
            call()
            wait()
            seconds.append(time.perf_counter() - start)
    return [seconds[1:] for seconds in times]


def seconds_per_megapixel(call: Callable[[], Tensor], repeats: int = 3) -> float:
    """Seconds of one thread for a million points of what a call returns, the shortest of some runs."""
    sizes: list[int] = []
    with one_thread():
        (seconds,) = alternate([lambda: sizes.append(call().numel())], repeats)
    return min(seconds) / (sizes[0] / 1e6)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread for the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def layer_overhead(
    factor: int = 4,
    size: int = 128,
    batch: int = 2,
    repeats: int = 5,
    device: torch.device | str = "cpu",
    weighted: bool = True,
) -> pd.DataFrame:
    """Time of each constraint layer as a share of the forward pass of the published SR-CNN (64 channels, 4 blocks).

    Parameters
    ----------
    size : edge of the fine field;  weighted : with area weights.

    Returns
    -------
    DataFrame: layer, seconds, network_seconds, ratio; medians.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 1, size // factor, size // factor, generator=generator).to(device)
    raw = torch.rand(batch, 1, size, size, generator=generator).to(device)
    weights = torch.linspace(0.5, 1.5, size, device=device)[:, None] if weighted else None
    network = ResNet(factor).to(device).eval()
    layers = {name: make_constraint(name, factor, weights=weights).to(device) for name in LAYERS if name != "none"}
    calls = [lambda: network(coarse), *(lambda layer=layer: layer(raw, coarse) for layer in layers.values())]
    with torch.no_grad():
        first, *rest = (statistics.median(seconds) for seconds in alternate(calls, repeats, device))
    rows = [(name, seconds, first, seconds / first) for name, seconds in zip(layers, rest, strict=True)]
    return pd.DataFrame(rows, columns=["layer", "seconds", "network_seconds", "ratio"])
