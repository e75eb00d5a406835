"""Land and sea: places find their cell, whichever way they are asked for, and the package's 0.9 GB are not held."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from physlab.data import landmask

CODE = """
import sys
import numpy as np
from physlab.simulate.surface import sea_fraction
grid = np.linspace(-80, 80, 9), np.arange(16) * 22.5
sea, again = sea_fraction(*grid), sea_fraction(*grid)
assert "global_land_mask" not in sys.modules and (sea == again).all() and again is not sea
most = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(round(float(sea[4, 8]), 2), round(float(sea[5, 1]), 2), most)
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A mask of 180 x 360 cells, north first as that of the package, read in parts of seven rows."""
    mask = np.random.default_rng(0).random((180, 360)) < 0.6
    np.savez_compressed(tmp_path / "m.npz", mask=mask, lat=90.0 - np.arange(180), lon=-180.0 + np.arange(360))
    monkeypatch.setattr(landmask, "_file", lambda: tmp_path / "m.npz")
    monkeypatch.setattr(landmask, "TOGETHER", 7)
    for cached in (landmask._axes, landmask._bits):
        cached.cache_clear()
    yield mask
    for cached in (landmask._axes, landmask._bits):
        cached.cache_clear()


def test_places_find_their_cell(small):
    rng = np.random.default_rng(1)
    latitude, longitude = rng.uniform(-90, 90, 40), rng.uniform(-180, 360, 50)
    rows = ((90.0 - latitude).astype(int)).clip(max=179)
    columns = ((longitude + 180.0) % 360.0).astype(int)
    wanted = small[np.ix_(rows, columns)]
    np.testing.assert_array_equal(landmask.sea_at(latitude, longitude), wanted)
    np.testing.assert_array_equal(landmask.is_sea(latitude[:, None], longitude), wanted)
    corners = np.array([90.0, -90.0]), np.array([-180.0, 180.0])
    np.testing.assert_array_equal(landmask.is_sea(*corners), [small[0, 0], small[-1, -1]])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell what a process took")
def test_the_sea_of_a_grid_costs_little_memory():
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout.split()
    assert float(said[0]) == 1.0 and float(said[1]) == 0.0  # in the Pacific, in the Sahara
    assert int(said[2]) < 700_000  # kB, its own and not its parent's; 0.9 GB more with the whole mask
