"""The cycled twin: it goes on where it was, its errors stay small, and it refuses what it cannot do."""

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("dinosaur")

from physlab import load_model
from physlab.assimilate import Learned, global_cycle
from physlab.assimilate.ahead import Ahead
from physlab.assimilate.global_cycle import GlobalCycle, open_truth, run_cycle
from physlab.benchmark.cycles import Nothing
from physlab.data.pairs import open_pairs
from physlab.data.pieces import open_pieces
from physlab.errors import Cancelled, PhysLabError
from physlab.simulate.run import NatureRun, simulate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Two days of T42, whose own forecasts are perfect: what is left is the error of the analyses."""
    folder = tmp_path_factory.mktemp("truth") / "run"
    simulate(NatureRun("t42", days=2, spinup_t42=4, spinup=0, hourly=(0, 0), piece=1, forecasts=False), folder, False)
    return folder


class Believe(Learned):
    """What was observed is true, and says nothing of its surroundings."""

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
        return columns.innovation[:, None]


@pytest.fixture(scope="module")
def method():
    return Believe(load_model("3d-var").space)


def opened(folder, kind) -> xr.Dataset:
    return open_pieces(sorted(folder.glob(f"{kind}-*.nc"))).load()


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


def test_a_forecast_goes_on_past_the_next_analysis_and_sees_none_of_it(truth, method, tmp_path, monkeypatch):
    monkeypatch.setattr(global_cycle, "PIECE", 2)
    plan = GlobalCycle(share=(0.05, 0.1), noise=0.0, days=1)
    begun = run_cycle(plan, truth, tmp_path / "seen", method, "3d-var", ahead=Ahead(1, 1))
    ahead, analysis = opened(begun, "ahead"), opened(begun, "analyses")
    assert (ahead["time"] == analysis["time"]).all()
    assert ahead["lead"].values.tolist() == [24.0] and ahead["lead"].attrs["units"] == "h"
    assert set(ahead.data_vars) - {"latitude_bnds", "longitude_bnds"} == {"z", "t", "u", "v"}
    assert ahead["level"].values.tolist() == [500.0, 850.0]
    made = ahead["z"].isel(time=0, lead=0, drop=True).sel(level=500.0)
    with open_truth(truth) as states:
        z = states["z"].sel(level=500.0)
        later, now = (z.sel(time=ahead["time"][0] + np.timedelta64(h, "h")).load() for h in (24, 0))
    error, change = (float(((x - later) ** 2).mean() ** 0.5) for x in (made, now))
    assert error < 0.4 * change  # the model is the truth's: half a day of cycle and a day of forecast stay near it
    with pytest.raises(PhysLabError, match="2 analyses with forecasts of 1 days, asked for are 2 days"):
        run_cycle(plan, truth, tmp_path / "seen", method, "3d-var", ahead=Ahead(2, 1))
    assert run_cycle(plan, truth, tmp_path / "seen", method, "3d-var", ahead=Ahead(1, 1)) == begun
    for file in begun.glob("ahead-*.nc"):
        file.unlink()
    with pytest.raises(PhysLabError, match="2 analyses with no forecasts"):
        run_cycle(plan, truth, tmp_path / "seen", method, "3d-var", ahead=Ahead(1, 1))
    quiet = run_cycle(plan, truth, tmp_path / "quiet", Nothing(method.space), "nothing", ahead=Ahead(1, 2))
    assert opened(quiet, "ahead").sizes["time"] == 1  # the second analysis alone
    for wrong in ((-1, 1), (1, 0)):
        with pytest.raises(PhysLabError, match="forecasts of"):
            Ahead(*wrong)


def test_refusals_say_what_to_do(truth, method, tmp_path):
    with pytest.raises(PhysLabError, match="make it longer, or pass fewer days"):
        run_cycle(GlobalCycle(days=9), truth, tmp_path / "long", method, "3d-var")
    with pytest.raises(PhysLabError, match="make a truth by"):
        open_truth(tmp_path)
    for wrong in ({"share": (0.2, 0.1)}, {"every": 7}, {"window": 30.0}, {"noise": -1.0}, {"days": 0}):
        with pytest.raises(PhysLabError):
            GlobalCycle(**wrong)
