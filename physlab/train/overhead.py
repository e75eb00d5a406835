"""What a constraint layer costs, as a share of the SR-CNN's forward pass, measured in one run on one machine."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable

import pandas as pd
import torch

from physlab.constrain import LAYERS, make_constraint
from physlab.nn import ResNet


def layer_overhead(
    factor: int = 4,
    size: int = 128,
    batch: int = 2,
    repeats: int = 5,
    device: torch.device | str = "cpu",
    weighted: bool = True,
) -> pd.DataFrame:
    """Time of each layer beside the forward pass of the published SR-CNN (64 channels, 4 blocks).

    The runs of network and layers are interleaved, so that a busy machine slows all of them alike; medians are
    compared.

    Parameters
    ----------
    size : edge of the fine field;  weighted : with area weights.

    Returns
    -------
    DataFrame: layer, seconds, network_seconds, ratio.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 1, size // factor, size // factor, generator=generator).to(device)
    raw = torch.rand(batch, 1, size, size, generator=generator).to(device)
    weights = torch.linspace(0.5, 1.5, size, device=device)[:, None] if weighted else None
    network = ResNet(factor).to(device).eval()
    layers = {name: make_constraint(name, factor, weights=weights).to(device) for name in LAYERS if name != "none"}
    times: dict[str, list[float]] = {name: [] for name in ("network", *layers)}
    with torch.no_grad():
        for repeat in range(repeats + 1):
            times["network"].append(_seconds(lambda: network(coarse), device))
            for name, layer in layers.items():
                times[name].append(_seconds(functools.partial(layer, raw, coarse), device))
            if not repeat:  # the first round warms caches and allocators
                times = {name: [] for name in times}
    median = {name: statistics.median(values) for name, values in times.items()}
    rows = [(name, median[name], median["network"], median[name] / median["network"]) for name in layers]
    return pd.DataFrame(rows, columns=["layer", "seconds", "network_seconds", "ratio"])


def _seconds(call: Callable[[], object], device: torch.device | str) -> float:
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start
