"""A small task with something to learn: a smooth random wave and its sharp square, on a latitude-longitude grid."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from physlab.data.patches import SRData, make_pairs
from physlab.train import Preset, Recipe, Settings

BLOCKS = {
    "train": ("2001-01-01", "2001-02-09"),
    "val": ("2001-02-15", "2001-02-20"),
    "test": ("2001-02-26", "2001-03-04"),
}


def field(days: int = 70, shape: tuple[int, int] = (16, 24), seed: int = 0) -> xr.DataArray:
    """Daily non-negative fields (time, latitude, longitude) with fronts that interpolation blurs."""
    generator = np.random.default_rng(seed)
    y, x = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    phase, slope, level = (generator.uniform(0, s, (days, 1, 1)) for s in (6.28, 2.0, 0.5))
    wave = np.sin(2 * np.pi * x / 12 + slope * np.sin(y / 3) + phase)
    values = (20 * (1 + np.tanh(4 * (wave - level)))).astype(np.float32)
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D"),
        "latitude": ("latitude", np.linspace(30.0, 60.0, shape[0]), {"units": "degrees_north"}),
        "longitude": ("longitude", 2.0 * np.arange(shape[1]), {"units": "degrees_east"}),
    }
    return xr.DataArray(
        values, dims=("time", "latitude", "longitude"), coords=coords, name="tcw", attrs={"units": "kg m-2"}
    )


@pytest.fixture(scope="session")
def pairs() -> SRData:
    return make_pairs(field(), 2, BLOCKS, gap=72.0, task="toy")


@pytest.fixture(scope="session")
def streamed(tmp_path_factory) -> SRData:
    """The same, read from the disk as it is needed."""
    path = tmp_path_factory.mktemp("streamed") / "a.zarr"
    field().chunk(time=5).to_dataset().to_zarr(path, zarr_format=2)
    return make_pairs(xr.open_zarr(path)["tcw"], 2, BLOCKS, gap=72.0, task="toy", stream=True)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    settings = Settings(steps=24, batch=8, rate=5e-3, flips="xy", crop=8, validate_every=8, precision="fp32")
    return Recipe("toy", 2, {"cpu": Preset("CompactResNet", {"channels": 8, "blocks": 1}, settings)})


@pytest.fixture(autouse=True)
def quick(one_thread):
    """All tests here."""
