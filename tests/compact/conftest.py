"""The small task and the single thread of the training tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.data.patches import SRData, make_pairs
from physlab.downscale import CNN
from physlab.nn import NETWORKS


@pytest.fixture(autouse=True)
def quick(one_thread):
    """All tests here."""


@pytest.fixture(scope="session")
def pairs() -> SRData:
    """Fronts (time, latitude, longitude), daily, non-negative, x2."""
    generator = np.random.default_rng(0)
    days, height, width = 50, 16, 24
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    phase, slope = (generator.uniform(0, s, (days, 1, 1)) for s in (6.28, 2.0))
    values = 21 + 20 * np.tanh(4 * np.sin(2 * np.pi * x / 12 + slope * np.sin(y / 3) + phase))
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D"),
        "latitude": ("latitude", np.linspace(30.0, 60.0, height), {"units": "degrees_north"}),
        "longitude": ("longitude", 2.0 * np.arange(width), {"units": "degrees_east"}),
    }
    dims = ("time", "latitude", "longitude")
    da = xr.DataArray(values.astype(np.float32), coords, dims, name="tcw", attrs={"units": "kg m-2"})
    blocks = {"train": ("2001-01-01", "2001-01-31"), "val": ("2001-02-08", "2001-02-18")}
    return make_pairs(da, 2, blocks, gap=72.0, task="toy")


def make(kind: str = "CompactResNet", constraint: str = "add", factor: int = 2, seed: int = 0, **arguments) -> CNN:
    """A model with random weights (the last layer too) for fields of 1 to 40 kg m-2."""
    frame = {"skip": "bicubic", "shift": 1.0, "spread": 0.5, "gain": 0.2}
    if constraint == "softmax":
        frame["skip"] = "log"
    if constraint == "scaled_add":
        arguments["options"] = {"bounds": [0.0, 4.0]}
    options = arguments.pop("options", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[kind](factor, **arguments, **frame)
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
    card = {"units": "kg m-2", "task": "toy", "seed": seed}
    grid = {"latitude": np.linspace(30.0, 60.0, 16).tolist()}
    return CNN(network, constraint, 20.0, "tcw", f"toy-{constraint}", options, grid, card).eval()


@pytest.fixture(scope="session")
def maker():
    return make
