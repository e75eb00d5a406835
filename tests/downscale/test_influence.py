"""Influence against what is known of simple methods: nearest neighbour, interpolation, a network that shifts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import physlab
from physlab import cli
from physlab.downscale import Interpolate, make_downscaler
from physlab.downscale.influence import displacement, explain, untrained
from physlab.errors import FieldError, PhysLabError
from physlab.nn import CompactResNet, Upscaler


def coarse(times: int = 1, size: int = 12) -> xr.Dataset:
    generator = np.random.default_rng(0)
    axes = {"time": np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(1, "h"),
            "latitude": 30.0 + np.arange(size) * 2.0, "longitude": 100.0 + np.arange(size) * 2.0}  # fmt: skip
    field = generator.gamma(4.0, 5.0, (times, size, size)).astype(np.float32)
    return xr.Dataset({"tcw": (("time", "latitude", "longitude"), field, {"units": "kg m-2"})}, axes)


class Shift(Upscaler):
    """Twice the field, from two columns to the west."""

    def __init__(self) -> None:
        super().__init__(2, skip="none")
        self.size = nn.Parameter(torch.tensor(2.0))

    def run(self, x, noise=None, static=None):
        y = self.size * torch.roll(x, 2, -1)
        return y.repeat_interleave(2, -1).repeat_interleave(2, -2), x


@pytest.mark.parametrize("how", ["integrated gradients", "gradients", "occlusion"])
def test_a_shift_looks_to_the_west(how) -> None:
    model = make_downscaler(Shift(), "none", 10.0, "tcw", "shift")
    found = explain(model, coarse(), (40.0, 110.0), how)
    row, column = (int(found[d].values.searchsorted(v)) for d, v in (("latitude", 40.0), ("longitude", 110.0)))
    influence = found["influence"].values[0]
    given = coarse()["tcw"].values[0]
    expected = 2.0 if how == "gradients" else 2.0 * (given[row, column - 2] - given.mean())
    assert influence[row, column - 2] == pytest.approx(expected, rel=1e-5)
    assert np.abs(influence).sum() == pytest.approx(abs(expected), rel=1e-5)
    assert displacement(influence, (row, column)) == pytest.approx((0, -2)) and found.attrs["radius"] == 2
    assert found.attrs["value"] == pytest.approx(2 * given[row, column - 2], rel=1e-6)


def test_parts_add_up_and_random_weights_answer_otherwise() -> None:
    """Completeness of integrated gradients of a curved network with a layer; the original keeps its weights."""
    torch.manual_seed(0)
    model = make_downscaler(
        CompactResNet(2, channels=8, blocks=2, zero_start=False, gain=3.0), "softmax", 20.0, "tcw", "toy"
    )
    model.eval()
    before = [p.clone() for p in model.network.parameters()]
    found = explain(model, coarse(), (41.0, 111.0), steps=200)
    total = float(found["influence"].sum())
    assert total == pytest.approx(found.attrs["value"] - found.attrs["without"], abs=0.02)
    assert abs(found.attrs["left_out"]) < 0.02 < abs(total)
    other = untrained(model, 1)
    assert any(not torch.equal(a, b) for a, b in zip(before, other.network.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, model.network.parameters(), strict=True))
    control = explain(other, coarse(), (41.0, 111.0))
    assert not np.allclose(control["influence"], found["influence"], atol=0.1)
    assert "random weights" in control.attrs["method"]


def test_the_reach_of_interpolation_is_that_of_its_formula() -> None:
    """Bicubic reads four by four cells; nearest neighbour one."""
    at = (41.0, 111.0)
    cells = {kind: np.abs(explain(Interpolate(kind, 2), coarse(), at, "occlusion")["influence"].values) > 1e-6
             for kind in ("nearest", "bicubic")}  # fmt: skip
    assert cells["nearest"].sum() == 1 and 9 <= cells["bicubic"].sum() <= 16
    rows, columns = np.nonzero(cells["bicubic"][0])
    assert np.ptp(rows) <= 3 and np.ptp(columns) <= 3


def test_a_network_for_sequences_names_the_times() -> None:
    model = physlab.load_model("tcw-t1-x4-convgru-none-s0")
    found = explain(model, coarse(3), (41.0, 111.0), "gradients")
    assert found.sizes == {"channel": 3, "latitude": 12, "longitude": 12}
    assert list(found["channel"].values) == ["2001-01-01T00:00", "2001-01-01T01:00", "2001-01-01T02:00"]
    first = explain(model, coarse(3), (41.0, 111.0), "gradients", frame=0)
    size = np.abs(first["influence"].values).sum((1, 2))
    assert size.argmax() == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: explain(m, coarse(2), (41.0, 111.0)), "have 2 times: toy is explained at 1"),
        (lambda m: explain(m, coarse(), (80.0, 111.0)), "lies outside of the data, 29.5 to 52.5 north"),
        (lambda m: explain(m, coarse(), (41.0, 111.0), "lime"), "choose one of integrated gradients"),
        (lambda m: explain(Interpolate("bicubic", 2), coarse(), (41.0, 111.0)), "is no network: pass how='occlusion'"),
        (lambda m: explain(m, coarse(), (41.0, 111.0), steps=0), "steps is 0"),
    ],
)
def test_refusals(call, said) -> None:
    model = make_downscaler(CompactResNet(2, channels=4, blocks=1), "none", 20.0, "tcw", "toy")
    with pytest.raises((FieldError, PhysLabError), match=said):
        call(model)


@pytest.mark.slow
def test_the_command_shows_the_control_beside_it(tmp_path, capsys) -> None:
    coarse(2).to_netcdf(tmp_path / "coarse.nc")
    out = tmp_path / "influence.nc"
    cli.main(["explain", "tcw-x4-add-s0", str(tmp_path / "coarse.nc"), str(out), "--at", "41", "111"])
    text = capsys.readouterr().out
    assert "random weights" in text and "radius" in text and "tcw" in text and str(out) in text
    with xr.open_dataset(out) as kept:
        model = physlab.load_model("tcw-x4-add-s0")
        again = physlab.explain(model, coarse().isel(time=0), (41.0, 111.0))
        np.testing.assert_allclose(kept["influence"].values, again["influence"].values, rtol=1e-4, atol=1e-5)
    with pytest.raises(SystemExit):
        cli.main(["explain", "tcw-x4-add-s0", str(tmp_path / "coarse.nc")])
    assert "pass --at LATITUDE LONGITUDE" in capsys.readouterr().err
