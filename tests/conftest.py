"""What all tests share: where the real data and the browser are, and when a test that needs them may skip.

A test marked ``real_data`` runs whenever PHYSLAB_DATA names a folder, and fails if a file is missing there. One marked
``browser`` runs whenever a Chromium is installed. Where either is absent the test skips and says what to do.

``make check`` runs what is neither marked ``slow`` nor ``browser``, ``make test`` all; both side by side. `slow.txt`
marks more by name, as `times.py` finds them: of a test with many parameters often a few take long.
"""

from __future__ import annotations

import gc
import os

from tests.compiled import compiled

if "PYTEST_XDIST_WORKER" in os.environ:  # tests side by side: one thread each, what they start included
    os.environ.setdefault("OMP_NUM_THREADS", "1")
elif "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # what JAX compiles for one test serves all, today and tomorrow
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": compiled(),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }

import physlab  # noqa: F401, I001  (before torch: it says how threads wait)

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import xarray as xr

from apps.screenshot import find_browser


LONG = Path(__file__).with_name("slow.txt")


def group_of(nodeid: str) -> str:
    """Side by side: the tests of a file stay together, those that drive a browser want a machine that answers and take
    turns, and each chapter goes its own way."""
    path, _, name = nodeid.partition("::")
    if "browser" in path:
        return "browser"
    return name if path.endswith("book/test_chapters.py") else path


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is listed as slow is marked so; side by side, groups that take long come first."""
    long = set(LONG.read_text(encoding="utf-8").splitlines())
    for item in items:
        if item.nodeid in long:
            item.add_marker("slow")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group_of(item.nodeid), []).append(item)

    def rank(group: str) -> tuple[bool, int]:
        slow = sum(item.get_closest_marker("slow") is not None for item in groups[group])
        return group != "browser", -slow

    items[:] = [item for group in sorted(groups, key=rank) for item in groups[group]]


def pytest_collection_finish() -> None:
    """What has been imported stays: nobody need look through it for garbage, and a fork need not copy it."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A worker takes a whole group. (`--dist loadgroup` would do, but does not know groups under pytest 9.)"""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Groups(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, what this machine cannot run."""
    if item.get_closest_marker("real_data") and not os.environ.get("PHYSLAB_DATA"):
        pytest.skip("PHYSLAB_DATA is not set: let it name a folder with the real files (NAME/file)")
    if item.get_closest_marker("browser") and find_browser() is None:
        pytest.skip("no Chromium found: install it (apt install chromium), or set PHYSLAB_CHROMIUM to its path")


@pytest.fixture
def one_thread():
    """Tiny tensors: more threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser, for tests that are marked ``browser``."""
    path = find_browser()
    assert path, "mark the test that uses this fixture with @pytest.mark.browser"
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real files, for tests that are marked ``real_data``."""
    folder = os.environ.get("PHYSLAB_DATA")
    assert folder, "mark the test that uses this fixture with @pytest.mark.real_data"
    return Path(folder)


class ToyTwin:
    """A nature run in small: states of 20 channels on a Gaussian grid of 16 x 32 points, with plausible magnitudes."""

    latitude = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(16)[0]))
    longitude = np.arange(32) * 11.25
    levels = np.array([500.0, 700.0, 850.0])
    fields: ClassVar = {  # mean, standard deviation of the truth, of the background errors
        "u": (5.0, 8.0, 2.0), "v": (0.0, 6.0, 2.0), "t": (265.0, 8.0, 1.0), "q": (3e-3, 1e-3, 3e-4),
        "z": (30000.0, 600.0, 80.0), "t_low": (285.0, 8.0, 1.5), "u_low": (1.0, 5.0, 1.5), "v_low": (0.0, 4.0, 1.5),
        "sp": (98000.0, 900.0, 120.0), "tcw": (20.0, 6.0, 2.0),
    }  # fmt: skip

    def smooth(self, rng: np.random.Generator, *lead: int) -> np.ndarray:
        """(*lead, 16, 32) waves of the first four numbers, variance about 1; all levels and times differ."""
        modes = np.fft.fft2(rng.standard_normal((*lead, 16, 32)))
        modes[..., 5:12, :] = modes[..., :, 5:28] = 0
        x = np.fft.ifft2(modes).real
        return x / x.std(axis=(-2, -1), keepdims=True)

    def pairs(self, times: int = 6, seed: int = 0, start: str = "2001-01-01T00") -> tuple[xr.Dataset, xr.Dataset]:
        """Truth and background, every 6 hours."""
        rng = np.random.default_rng(seed)
        time = np.datetime64(start, "ns") + np.arange(times) * np.timedelta64(6, "h")
        coords = {"time": time, "level": ("level", self.levels, {"units": "hPa"}),
                  "latitude": ("latitude", self.latitude, {"units": "degrees_north"}),
                  "longitude": ("longitude", self.longitude, {"units": "degrees_east"})}  # fmt: skip
        made = []
        for mean, spread, error in self.fields.values():
            lead = (times, 3) if len(made) < 5 else (times,)
            truth = mean + spread * self.smooth(rng, *lead)
            if mean == 30000.0:  # heights of the levels
                truth += np.array([26000.0, 0.0, -16000.0])[:, None, None]
            made.append((truth, truth + error * (0.3 + self.smooth(rng, *lead))))
        names = list(self.fields)
        dims = [("time", *(("level",) if k < 5 else ()), "latitude", "longitude") for k in range(len(names))]
        return tuple(
            xr.Dataset({n: (d, x[k].astype(np.float32)) for n, d, x in zip(names, dims, made, strict=True)}, coords)
            for k in range(2)
        )

    def write(self, folder: Path, times: int = 6, seed: int = 0, pieces: int = 1) -> Path:
        """The files of a nature run whose forecasts begin a day after its states."""
        folder.mkdir(parents=True)
        truth, background = self.pairs(times + 4, seed)
        for kind, ds in (("states", truth), ("forecasts", background.isel(time=slice(4, None)))):
            for k, part in enumerate(np.array_split(np.arange(ds.sizes["time"]), pieces)):
                ds.isel(time=part).to_netcdf(folder / f"{kind}-{k:05d}.nc")
        return folder


@pytest.fixture(scope="session")
def twin() -> ToyTwin:
    """A nature run in small, see :class:`ToyTwin`."""
    return ToyTwin()
