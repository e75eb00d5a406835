"""The cycled twin: it goes on where it was, its errors stay small, and it refuses what it cannot do."""

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("dinosaur")

from physlab import load_model
from physlab.assimilate import Learned, global_cycle
from physlab.assimilate.global_cycle import GlobalCycle, open_truth, run_cycle
from physlab.data.pairs import open_pairs
from physlab.errors import Cancelled, PhysLabError
from physlab.simulate.run import NatureRun, simulate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Two days of T42, whose own forecasts are perfect: what is left is the error of the analyses."""
    folder = tmp_path_factory.mktemp("truth") / "run"
    simulate(NatureRun("t42", days=2, spinup_t42=6, spinup=0, hourly=(0, 0), piece=1, forecasts=False), folder, False)
    return folder


class Believe(Learned):
    """What was observed is true, and says nothing of its surroundings."""

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
        return columns.innovation[:, None]


@pytest.fixture(scope="module")
def method():
    return Believe(load_model("3d-var").space)


def opened(folder, kind) -> xr.Dataset:
    return xr.open_mfdataset(
        sorted(folder.glob(f"{kind}-*.nc")), combine="nested", concat_dim="time", data_vars="minimal"
    ).load()


def test_a_cycle_goes_on_where_it_was(truth, method, tmp_path, monkeypatch):
    monkeypatch.setattr(global_cycle, "PIECE", 1)
    plan = GlobalCycle(share=(0.05, 0.1), noise=0.0, days=1)
    whole = run_cycle(plan, truth, tmp_path / "whole", method, "3d-var")
    calls = []
    with pytest.raises(Cancelled, match="after 1 of 2"):
        run_cycle(plan, truth, tmp_path / "half", method, "3d-var", cancel=lambda: bool(calls) or calls.append(1))
    half = run_cycle(plan, truth, tmp_path / "half", method, "3d-var")
    for kind in ("forecasts", "analyses"):
        xr.testing.assert_identical(opened(whole, kind).drop_attrs(), opened(half, kind).drop_attrs())
    background, analysis = opened(whole, "forecasts"), opened(whole, "analyses")
    with open_truth(truth) as states:
        x = states.sel(time=background["time"]).load()
    share = background["observed"].mean(("latitude", "longitude"))
    assert ((share >= 0.05) & (share <= 0.1)).all() and len(set(share.values)) == 2
    seen = background["observed"].astype(bool)
    for name in ("u", "t", "sp"):
        assert np.allclose(analysis[name].where(~seen), background[name].where(~seen), equal_nan=True), name
        error = np.abs(analysis[name] - x[name]).where(seen)
        assert float(error.max()) < 2e-4 * float(np.abs(x[name]).max()), name
    pairs = open_pairs(whole)
    for one, other in zip(pairs, (x, background.drop_vars("observed")), strict=True):
        xr.testing.assert_equal(one.load(), other)
    longer = run_cycle(plan, truth, tmp_path / "half", method, "3d-var")
    assert longer == tmp_path / "half", "a finished cycle is left alone"
    with pytest.raises(PhysLabError, match="another configuration"):
        run_cycle(GlobalCycle(days=1, seed=5), truth, tmp_path / "half", method, "3d-var")


def test_refusals_say_what_to_do(truth, method, tmp_path):
    with pytest.raises(PhysLabError, match="make it longer, or pass fewer days"):
        run_cycle(GlobalCycle(days=9), truth, tmp_path / "long", method, "3d-var")
    with pytest.raises(PhysLabError, match="make a truth by"):
        open_truth(tmp_path)
    for wrong in ({"share": (0.2, 0.1)}, {"every": 7}, {"window": 30.0}, {"noise": -1.0}, {"days": 0}):
        with pytest.raises(PhysLabError):
            GlobalCycle(**wrong)
