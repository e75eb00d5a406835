"""Observation operators of other kinds: adjoints, what they see, what members make of it; networks, spoilt values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.assimilate import ETKF, FieldAssimilator, OptimalInterpolation, Var3D
from physlab.assimilate.instruments import Instrument, Sums, adjoint_gap, operator, with_seen
from physlab.constants import GRAVITY
from physlab.data import networks
from physlab.errors import FieldError, PhysLabError
from physlab.fields import to_tensor

LEVELS = np.array([300.0, 500.0, 850.0])
LAT, LON = np.linspace(30, 60, 13), np.linspace(0, 40, 17)


def state(members: int = 1, seed: int = 0) -> xr.Dataset:
    """q and t on levels, smooth, with more water below."""
    rng = np.random.default_rng(seed)
    wave = np.sin(LAT / 8)[:, None] * np.cos(LON / 9)[None]
    z = rng.standard_normal((members, 2, 1, 1, 1)) * wave + 0.1 * rng.standard_normal((members, 2, 3, 13, 17))
    dims = ("member", "level", "latitude", "longitude")
    q = np.array([1e-4, 1e-3, 6e-3])[:, None, None] * (1 + 0.2 * z[:, 0])
    ds = xr.Dataset({"q": (dims, q, {"units": "kg kg-1"}), "t": (dims, 260 + 3 * z[:, 1], {"units": "K"})},
                    {"level": LEVELS, "latitude": LAT, "longitude": LON})  # fmt: skip
    return ds if members > 1 else ds.isel(member=0)


def vector(ds: xr.Dataset) -> torch.Tensor:
    return to_tensor(ds, dtype=torch.float64)[..., 0, :, :, :].flatten(-3)


PLACES = torch.tensor([[42.0, 11.0], [55.0, 31.0], [33.3, 2.2]], dtype=torch.float64)
INSTRUMENTS = ["point:t:500", "column:q", "layer:t:850-400", "layer:t:500-300:300km", "column:q:250km"]


@pytest.mark.parametrize("text", INSTRUMENTS)
def test_adjoints_by_the_dot_product(text):
    see = operator(Instrument.named(text), PLACES, state())
    n = 6 * 13 * 17
    for H in (see, lambda x: see(x)):
        assert adjoint_gap(H, n) < 1e-10
        assert adjoint_gap(H, n, torch.float32) < 1e-5
    both = see + operator(Instrument.named("point:q:850"), PLACES[:1], state())
    x = vector(state())
    assert adjoint_gap(both, n) < 1e-10 and torch.equal(both(x)[:3], see(x)) and both(x).shape == (4,)


def test_what_they_see():
    flat = state()
    flat["t"] = flat["t"] * 0 + xr.DataArray(np.log(LEVELS), dims="level")  # T = ln p: means are known
    mean = operator(Instrument("layer", "t", low=850, high=300), PLACES, flat)(vector(flat))
    assert torch.allclose(mean, torch.full((3,), 0.5 * np.log(850 * 300)).double(), atol=1e-6)
    wide = operator(Instrument.named("layer:t:850-300:300km"), PLACES, flat)(vector(flat))
    assert torch.allclose(wide, mean, atol=1e-6)
    even = state()
    even["q"] = even["q"] * 0 + 2e-3
    column = operator(Instrument.named("column:q"), PLACES, even)(vector(even))
    assert torch.allclose(column, torch.full((3,), 2e-3 * (1013.25 - 200) * 100 / GRAVITY).double())
    seen = with_seen(state(3), {"tcw": Instrument.named("column:q:250km")})
    at = torch.tensor([[LAT[4], LON[6]]])
    direct = operator(Instrument.named("column:q:250km"), at, state())
    for k in range(3):
        one = state(3).isel(member=k)
        assert float(direct(vector(one))) == pytest.approx(float(seen["tcw"][k, 4, 6]), rel=1e-9)


def test_all_classical_methods_take_them():
    ds = state()
    x, n = vector(ds), 6 * 13 * 17
    see = operator(Instrument.named("layer:t:500-300:300km"), PLACES, ds)
    B = torch.diag(torch.cat([torch.full((n // 2,), 1e-6), torch.full((n // 2,), 4.0)]).double())
    y = see(x) + torch.tensor([1.0, -1.0, 0.5])
    found = OptimalInterpolation(B).analyse(x, y, see, 0.25)
    assert (Var3D(B).analyse(x, y, see, 0.25) - found).abs().max() < 1e-6
    assert 0 < float((see(found) - see(x))[0]) < 1
    members = vector(state(30))
    moved = ETKF().analyse(members, y, see, 0.25)
    assert (see(moved).mean(0) - y).abs().sum() < (see(members).mean(0) - y).abs().sum()


def test_members_carry_what_a_satellite_sees_to_the_state():
    background, truth = state(40, seed=1), state(1, seed=2)
    places = networks.scattered(40, lambda a, b: (a > 31) & (a < 59) & (b > 1) & (b < 39), seed=3)
    see = {"tcw": "column:q", "sounder": "layer:t:500-300"}
    tables = []
    for name, one in see.items():
        value = operator(Instrument.named(one), torch.from_numpy(places), truth)(vector(truth))
        tables.append(networks.taken(name, places, value, 0.3))
    found = xr.concat(tables, "observation")
    method = FieldAssimilator("etkf").with_instruments(**see)
    made = method.analyse(background, found)
    assert set(made.data_vars) == {"q", "t"} and made.sizes["member"] == 40

    def error(ds: xr.Dataset, name: str) -> float:
        return float(((ds[name].mean("member") - truth[name]) ** 2).mean()) ** 0.5

    assert error(made, "q") < 0.8 * error(background, "q") and error(made, "t") < 0.8 * error(background, "t")
    bad = networks.spoilt(found, wrong=0.1, size=80.0, seed=1)
    checked, believed = method.analyse(background, bad), method.with_checks(sigmas=0).analyse(background, bad)
    assert "rejected" in checked.attrs["observations_account"]
    assert error(checked, "t") < 0.8 * error(background, "t") < error(believed, "t")
    with pytest.raises(PhysLabError, match="use letkf"):
        FieldAssimilator("oi", error={"t": 1.0}).with_instruments(**see)
    with pytest.raises(FieldError, match="has t already"):
        FieldAssimilator("etkf").with_instruments(t="column:q").analyse(background, found)


def test_networks():
    seen = networks.swath(hours=12, spacing=500)
    assert np.abs(seen[:, 0]).max() > 85 and seen[:, 1].min() >= 0 and seen[:, 1].max() < 360
    day = networks.swath(hours=1.6, width=0, spacing=100)
    assert len(day) == pytest.approx(2 * np.pi * 6371 / 100 * 96 / 101, rel=0.01)  # once around, at equal distances
    land = networks.scattered(300, networks.on_land)
    assert networks.on_land(land[:, 0], land[:, 1]).all()
    some = networks.scattered(500, networks.uneven, seed=1)
    assert (some[:, 0] > 20).mean() > 0.6
    exact = networks.taken("t2m", land[:5], np.arange(5.0), 2.0, None)
    assert np.allclose(networks.spoilt(exact, 0.0, bias=0.5)["value"], np.arange(5.0) + 1.0)


@pytest.mark.parametrize(
    "text, says",
    [("layer:t:300", "write column:q"), ("layer:t:300-300", "larger pressure as low"), ("cone:t", "write column:q")],
)
def test_refusals(text, says):
    with pytest.raises(PhysLabError, match=says):
        Instrument.named(text)
    with pytest.raises(FieldError, match="no u in the state"):
        operator(Instrument.named("column:u"), PLACES, state())
    with pytest.raises(FieldError, match="reaches from 850 to 300"):
        operator(Instrument.named("layer:t:1000-200"), PLACES, state())
    assert isinstance(operator(Instrument.named("point:t:500:1km"), PLACES, state()), Sums)
