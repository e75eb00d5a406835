"""Fields with gaps, flags, other dims: what has no value has none afterwards, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.constrain import LAYERS, make_constraint
from physlab.downscale import BicubicConstrained, Constrained, Interpolate, Nearest, refine_grid
from physlab.downscale.masks import filled
from physlab.errors import FieldError
from physlab.grid import Grid, coarsen, coarsen_valid, refine, valid_weights

from .test_downscale import GLOBE, METHODS, REGION


def sea(ds: xr.Dataset, seed: int = 3) -> xr.Dataset:
    """The fields with a coast, a lake and a row without values, at all times."""
    gone = np.zeros((ds.sizes["lat"], ds.sizes["lon"]), bool)
    gone[2:5, -4:], gone[-1], gone[6, 2] = True, True, True
    return ds.where(~xr.DataArray(gone, dims=("lat", "lon")))


@pytest.mark.parametrize("coarse", [REGION, GLOBE], ids=["region", "globe"])
@pytest.mark.parametrize("name", [*METHODS, "bicubic+softmax"])
def test_gaps_stay_gaps_and_spread_nowhere(name: str, coarse: xr.Dataset) -> None:
    method = METHODS.get(name) or Interpolate("bicubic", 2, "softmax")
    holes = sea(coarse)
    fine = method.downscale(holes)["tcw"]
    np.testing.assert_array_equal(np.isnan(fine), refine(np.isnan(holes["tcw"].values), 2))
    weights = refine_grid(Grid.from_dataset(coarse), 2).area_weights
    known = holes["tcw"].notnull().values
    if method.name != "bicubic-x2":
        mean = coarsen_valid(fine.values.astype(float), 2, weights)
        np.testing.assert_allclose(mean[known], holes["tcw"].values[known], rtol=3e-6)
    low, high = float(holes["tcw"].min()), float(holes["tcw"].max())
    assert fine.min() > low - (high - low) and fine.max() < high + (high - low)  # no code has leaked in
    assert "without a value stay without one" in method.downscale(holes).attrs["history"]
    assert "history" not in method.downscale(coarse).attrs


def test_far_from_gaps_nothing_changes() -> None:
    whole, holes = (METHODS["bicubic+add"].downscale(ds)["tcw"] for ds in (REGION, sea(REGION)))
    np.testing.assert_array_equal(holes[:, :4, :8], whole[:, :4, :8])


def test_constant_fields_stay_constant_beside_the_coast() -> None:
    fine = BicubicConstrained(4).downscale(sea(REGION * 0 + 5.0))["tcw"].values
    np.testing.assert_allclose(fine[np.isfinite(fine)], 5.0, rtol=1e-6)


def test_filled_takes_the_nearest_value_across_the_date_line() -> None:
    x = torch.tensor([[[np.nan, np.nan, 3.0, 4.0, 5.0]]])
    assert filled(x)[0, 0].tolist() == [3.0, 3.0, 3.0, 4.0, 5.0]
    assert filled(x, periodic=True)[0, 0].tolist() == [5.0, 3.0, 3.0, 4.0, 5.0]
    assert not filled(x * np.nan).isnan().any()


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_means_over_valid_cells(kind) -> None:
    x = kind(np.array([[1.0, np.nan, np.nan, np.nan], [3.0, 5.0, np.nan, np.nan]]))
    weights = kind(np.array([[1.0], [3.0]]))
    mean = np.asarray(coarsen_valid(x, 2, weights))
    np.testing.assert_allclose(mean, [[(1 + 3 * 3 + 3 * 5) / 7, np.nan]])
    assert np.isnan(np.asarray(coarsen_valid(x, 2, weights, share=0.9))).all()
    full = kind(np.random.default_rng(0).normal(size=(3, 4, 6)))
    np.testing.assert_array_equal(np.asarray(coarsen_valid(full, 2)), np.asarray(coarsen(full, 2)))


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_closes_the_valid_part_of_a_block(layer: str) -> None:
    """What the documentation says of each layer where the truth has a coast inside a coarse cell."""
    rng = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 8, 12, generator=rng, dtype=torch.float64) + 0.1
    valid = torch.rand(8, 12, generator=rng) > 0.4
    valid[:4, :4] = False  # a block without any
    areas = torch.linspace(1, 2, 8, dtype=torch.float64)[:, None]
    coarse = coarsen_valid(truth.masked_fill(~valid, float("nan")), 4, areas)
    made = make_constraint(layer, 4)(
        torch.rand(2, 8, 12, generator=rng, dtype=torch.float64), coarse.nan_to_num(), valid_weights(valid, 4, areas)
    )
    assert made.isfinite().all()
    mean = coarsen_valid(made.masked_fill(~valid, float("nan")), 4, areas)
    assert mean[:, 0, 0].isnan().all() and coarse[:, 0, 0].isnan().all()
    if LAYERS[layer].hard:
        torch.testing.assert_close(mean, coarse, equal_nan=True)


def test_flags_and_masks_take_the_value_of_their_cell() -> None:
    space = ("lat", "lon")
    soil = np.arange(120, dtype="int16").reshape(10, 12) % 7
    ds = REGION.assign(
        soil=(space, soil, {"flag_values": np.arange(7, dtype="int16"), "flag_meanings": "a b c d e f g"}),
        land=(space, (soil > 3).astype(float), {"standard_name": "land_binary_mask"}),
        dry=(space, soil > 2),
        when=(space, np.full((10, 12), np.datetime64("2020-01-01", "ns"))),
        code=(space, np.full((10, 12), "ok")),
    )
    fine = METHODS["bicubic+add"].downscale(ds)
    assert set(fine.data_vars) == {"tcw", "soil", "land", "dry"}
    assert fine["soil"].dtype == "int16" and fine["dry"].dtype == bool
    for name in ("soil", "land", "dry"):
        np.testing.assert_array_equal(fine[name], refine(ds[name].values, 2))
    with pytest.raises(FieldError, match="when, code are no numbers"):
        METHODS["nearest"].downscale(ds[["when", "code"]])


@pytest.mark.parametrize("dim", ["time", "level", "member", "quantile", "depth"])
def test_any_leading_dim_may_be_lazy(dim: str) -> None:
    coarse = REGION.rename(time=dim).assign_coords({dim: [0, 1]})
    eager = METHODS["bicubic+add"].downscale(coarse)
    lazy = METHODS["bicubic+add"].downscale(coarse.chunk({dim: 1}))
    assert lazy["tcw"].chunks is not None and lazy["tcw"].dims == eager["tcw"].dims
    np.testing.assert_allclose(lazy["tcw"], eager["tcw"], rtol=1e-6)
    np.testing.assert_array_equal(eager[dim], [0, 1])
    bad = coarse.copy(deep=True)
    bad["tcw"][1, 0, 0] = np.inf
    with pytest.raises(FieldError, match="infinite"):
        METHODS["bicubic+add"].downscale(bad.chunk({dim: 1})).load()
    with pytest.raises(FieldError, match="no value at all"):
        METHODS["bicubic+add"].downscale((coarse * np.nan).chunk({dim: 1}))


def test_coordinates_that_still_hold_are_kept() -> None:
    coarse = REGION.assign_coords(
        height=((), 2.0, {"units": "m"}), expver=("time", ["1", "5"]), area=(("lat", "lon"), np.ones((10, 12))),
        time_bnds=(("time", "bnds"), np.stack([REGION["time"].values] * 2, 1)),
    )  # fmt: skip
    coarse["tcw"].attrs |= {"valid_range": [0, 9], "grid_mapping": "crs", "cell_measures": "area: a", "long_name": "w"}
    fine = METHODS["bicubic"].downscale(coarse)
    assert {"height", "expver", "time_bnds"} <= set(fine.coords) and "area" not in fine.coords
    assert fine["tcw"].attrs["long_name"] == "w" and not {"valid_range", "grid_mapping", "cell_measures"} & set(
        fine["tcw"].attrs
    )
    one = METHODS["bicubic"].downscale(coarse.isel(time=0))
    assert one["tcw"].dims == ("time", "latitude", "longitude") and one["time"].values == REGION["time"].values[:1]
    mixed = METHODS["bicubic"].downscale(REGION.assign(static=REGION["tcw"][0].drop_vars("time")))
    assert mixed["static"].dims == ("latitude", "longitude")


def test_lazy_members_do_not_depend_on_the_order(monkeypatch) -> None:
    from physlab.downscale.members import downscale_members

    class Draws(type(Nearest(2))):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("nearest", 2)

        def sample(self, coarse, weights=None, members=1, generator=None):
            fine = refine(coarse, 2)
            return torch.stack([fine + torch.randn(fine.shape, generator=generator) for _ in range(members)])

    made = downscale_members(Draws(), REGION.chunk(time=1), 3, 7)["tcw"]
    assert made.sizes["member"] == 3 and made.chunks is not None
    first, last = made[0].values, made[2, 1].values
    np.testing.assert_array_equal(made[2, 1].values, last)
    np.testing.assert_array_equal(made.values[0], first)
    noise = made.values - refine(REGION["tcw"].values, 2)
    assert abs(np.corrcoef(noise.reshape(6, -1)) - np.eye(6)).max() < 0.3


def test_constrained_methods_take_gaps_too() -> None:
    fine = Constrained(Nearest(2), "mult").downscale(sea(REGION))["tcw"]
    assert np.isnan(fine).any() and np.isfinite(fine).any()
