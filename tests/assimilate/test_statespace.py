"""States as tensors, and observed columns: moments, units, draws by area, tables of stations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.assimilate.statespace import Columns, StateSpace, columns_from, observe_columns
from physlab.data.observe import observe, table
from physlab.errors import FieldError, PhysLabError


@pytest.fixture(scope="module")
def state(pairs) -> tuple[xr.Dataset, xr.Dataset]:
    """Truth and background of one time, in double precision."""
    return tuple(ds.isel(time=2, drop=True).astype(float) for ds in pairs)


def stations(ds: xr.Dataset, space: StateSpace, latitude, longitude, values=None, error=None) -> xr.Dataset:
    """Whole columns; values (C, n), None for those of the grid points; error (C,), None for that of the background."""
    latitude, longitude = np.atleast_1d(latitude).astype(float), np.atleast_1d(longitude).astype(float)
    rows = []
    for k, (name, level) in enumerate(space.channels):
        field = ds[name] if np.isnan(level) else ds[name].sel(level=level)
        at = {"latitude": xr.DataArray(latitude, dims="n"), "longitude": xr.DataArray(longitude, dims="n")}
        value = field.sel(at, method="nearest").values if values is None else np.asarray(values)[k]
        std = float(space.error[k]) if error is None else error[k]
        n = len(latitude)
        rows.append(table([name] * n, [level] * n, latitude, longitude, value, [std] * n))
    return xr.concat(rows, "observation")


# --- spaces -----------------------------------------------------------------------------------------------------------
def test_moments_are_those_of_numpy(pairs, space) -> None:
    edges = np.concatenate([[-90], (pairs[0].latitude.values[1:] + pairs[0].latitude.values[:-1]) / 2, [90]])
    w = np.diff(np.sin(np.deg2rad(edges)))[:, None] * np.ones(32)
    k = 0
    for name in ("u", "v", "t", "q", "z", "t_low", "u_low", "v_low", "sp", "tcw"):
        x, b = (ds[name].values.astype(float) for ds in pairs)
        x, b = (a if a.ndim == 4 else a[:, None] for a in (x, b))
        for level in range(x.shape[1]):
            mean, square = (np.average(a.mean(0), weights=w) for a in (x[:, level], (x[:, level] - b[:, level]) ** 2))
            std = np.sqrt(np.average(((x[:, level] - mean) ** 2).mean(0), weights=w))
            found = [float(m[k, 0, 0]) for m in (space.mean, space.std, space.error)]
            assert np.allclose(found, [mean, std, np.sqrt(square)], rtol=1e-4, atol=1e-4 * std), name
            k += 1
    assert space.shape == (k, 16, 32) == (20, 16, 32) and float(space.area.mean()) == pytest.approx(1)
    assert torch.allclose(space.area[:, 0], torch.tensor(w[:, 0] / w[:, 0].mean()).float(), atol=1e-4)


def test_names_parts_and_what_is_not_there(space) -> None:
    assert space.variables == ("u", "v", "t", "q", "z", "t_low", "u_low", "v_low", "sp", "tcw")
    assert space.levels == (500.0, 700.0, 850.0) and space.names[6:9] == ("t500", "t700", "t850")
    assert space.part("t") == slice(6, 9) and space.part("tcw") == slice(19, 20) and space.index("z850") == 14
    with pytest.raises(PhysLabError, match="no variable 'w': the states have u, v, t"):
        space.part("w")
    with pytest.raises(PhysLabError, match="no field 'z400': the states have u500"):
        space.index("z400")


def test_the_card_gives_the_space_back(space) -> None:
    again = StateSpace.from_card(json.loads(json.dumps(space.card(), allow_nan=False)))
    assert again.names == space.names and again.levels == space.levels
    assert [np.isnan(p) for _, p in again.channels] == [np.isnan(p) for _, p in space.channels]
    assert np.array_equal(again.latitude, space.latitude) and np.array_equal(again.longitude, space.longitude)
    for name in ("mean", "std", "error"):
        assert torch.allclose(getattr(again, name), getattr(space, name), rtol=1e-6) and again.mean.shape == (20, 1, 1)


def test_tensors_come_in_the_order_of_the_channels(pairs, space) -> None:
    truth = pairs[0]
    other = truth[["tcw", "sp", "v_low", "u_low", "t_low", "z", "q", "t", "v", "u"]].isel(level=[2, 0, 1])
    x = space.tensor(other.assign(precipitation=truth["sp"]))
    assert x.shape == (6, 20, 16, 32) and torch.equal(x, space.tensor(truth))
    assert np.array_equal(x[:, space.index("t850")], truth.t.sel(level=850).values)
    s = space.standardise(x)
    assert torch.allclose((s * space.area).mean((0, 2, 3)), torch.zeros(20), atol=2e-3)
    assert torch.allclose((s.square() * space.area).mean((0, 2, 3)), torch.ones(20), atol=2e-3)


@pytest.mark.parametrize(("change", "words"), [
    (lambda ds: ds.drop_vars(["tcw", "v"]), "has no v, tcw: this method takes u, v, t"),
    (lambda ds: ds.sel(level=[500, 850]), "has no level 700 hPa: this method takes 500, 700, 850"),
    (lambda ds: ds.sel(level=700), r"u comes on 1 level\(s\): this method takes u500, u700, u850"),
    (lambda ds: ds.assign(sp=ds.sp.expand_dims(level=ds.level)), r"sp comes on 3 level\(s\): this method takes sp"),
    (lambda ds: ds.assign(t=ds.t.sel(level=500, drop=True)), r"t comes on 1 level\(s\): .* t500, t700, t850"),
    (lambda ds: ds.isel(latitude=slice(2, 14)), "12 x 32 points from .* trained on 16 x 32 from -8"),
    (lambda ds: ds.isel(latitude=slice(None, None, -1)), "16 x 32 points from 8.* trained on 16 x 32 from -8"),
    (lambda ds: ds.assign_coords(longitude=ds.longitude - 180), "N, -180.00 E: .* N, 0.00 E"),
    (lambda ds: ds.expand_dims(member=[0, 1]), r"has members: this method takes one state, pass .mean\('member'\)"),
    (lambda ds: ds.where(ds.latitude < 80), "NaN|not finite|missing"),
])  # fmt: skip
def test_states_of_another_kind_are_refused(pairs, space, change, words) -> None:
    with pytest.raises(FieldError, match=words):
        space.tensor(change(pairs[0].isel(time=[0])))


# --- columns ----------------------------------------------------------------------------------------------------------
def test_observed_columns_are_as_many_and_as_wrong_as_asked(space) -> None:
    e = torch.randn(4, 20, 16, 32, generator=torch.Generator().manual_seed(0))
    share, noise = torch.tensor([0.1, 0.5, 1.0, 1e-9]), torch.tensor([0.0, 0.5, 2.0, 1.0])
    seen = observe_columns(e, share, noise, space.area, torch.Generator().manual_seed(1))
    assert seen.mask.sum((1, 2, 3)).tolist() == [51, 256, 512, 1] and seen.mask.shape == (4, 1, 16, 32)
    hidden = 1 - seen.mask
    assert not (seen.innovation * hidden).any() and set(seen.mask.unique().tolist()) == {0.0, 1.0}
    error = [(seen.innovation[k] - e[k])[:, seen.mask[k, 0] > 0] for k in range(4)]
    assert not error[0].any()
    for k in (1, 2):
        assert float(error[k].square().mean()) == pytest.approx(float(noise[k]) ** 2, rel=0.05)
        assert abs(float(error[k].mean())) < 0.05 * float(noise[k])
    assert not torch.equal(seen.mask[0], observe_columns(e, 0.1, 0.0, space.area, torch.Generator()).mask[0])
    again = observe_columns(e, share, noise, space.area, torch.Generator().manual_seed(1))
    assert torch.equal(again.innovation, seen.innovation)
    planes = seen.planes()
    assert planes.shape == (4, 22, 16, 32) and torch.equal(planes[:, 20:21], seen.mask)
    assert torch.allclose(planes[:, 21], seen.mask[:, 0] / torch.tensor([1.0, 1.25, 5.0, 2.0])[:, None, None])
    part = seen[1:3]
    assert isinstance(part, Columns) and torch.equal(part.noise, noise[1:3]) and len(part.mask) == 2


@pytest.mark.parametrize("count", [1, 10])
def test_columns_are_drawn_by_area(count: int) -> None:
    """One column: with probability in proportion to its area; several: as numpy draws without replacement."""
    area, n, draws = torch.tensor([1.0, 3.0, 8.0, 4.0])[:, None], 24, 6000
    e = torch.zeros(draws, 1, 4, 6)
    seen = observe_columns(e, count / n, 0.0, area, torch.Generator().manual_seed(0)).mask.sum(0).flatten().numpy()
    p = np.repeat([1.0, 3.0, 8.0, 4.0], 6)
    p /= p.sum()
    expected = p
    if count > 1:
        rng = np.random.default_rng(0)
        drawn = np.concatenate([rng.choice(n, count, replace=False, p=p) for _ in range(20000)])
        expected = np.bincount(drawn, minlength=n) / 20000
    deviation = (seen / draws - expected) / np.sqrt(expected * (1 - expected) / draws)
    assert abs(deviation).max() < 4.5 and deviation.std() < 1.6
    assert seen.sum() == count * draws


# --- tables -----------------------------------------------------------------------------------------------------------
def test_a_table_of_columns_is_what_was_observed(space, state) -> None:
    truth, background = state
    x, b = (space.tensor(ds) for ds in state)
    drawn = observe_columns((x - b) / space.error, 0.1, 0.0, space.area, torch.Generator().manual_seed(3))
    row, column = np.nonzero(drawn.mask[0, 0].numpy())
    found, counts = columns_from(
        stations(truth, space, space.latitude[row], space.longitude[column]), background, space
    )
    assert torch.equal(found.mask, drawn.mask) and torch.allclose(found.innovation, drawn.innovation, atol=1e-3)
    assert float(found.noise) == pytest.approx(1)
    assert counts == {"used": 51 * 20, "missing": 0, "merged": 0}


def test_what_observe_makes_is_taken(space, state) -> None:
    truth, background = state
    error = {v: float(space.error[space.part(v)].mean()) for v in space.variables}
    seen = observe(truth, 0.1, error, seed=4, noise=True)
    columns, _ = columns_from(seen, background, space)
    exact, _ = columns_from(observe(truth, 0.1, error, seed=4, noise=False), background, space)
    assert columns.mask.sum() == 51 and torch.equal(columns.mask, exact.mask)
    each = torch.cat([torch.full((len(space.error[space.part(v)]),), error[v]) for v in space.variables])
    ratio = (each / space.error.flatten()).square().mean().sqrt()
    assert torch.allclose(columns.noise, ratio, rtol=1e-5) and torch.allclose(columns.noise, exact.noise)
    difference = (columns.innovation - exact.innovation)[0][:, exact.mask[0, 0] > 0]
    assert float(difference.square().mean().sqrt()) == pytest.approx(float(ratio), rel=0.1)


def test_a_station_between_grid_points_is_compared_there_and_kept_at_the_next(space, state) -> None:
    background = state[1]
    lat, lon = 0.7 * space.latitude[9] + 0.3 * space.latitude[10], 355.0  # between the columns 31 and 0
    value = np.stack([(0.7 * r[9] + 0.3 * r[10]) for r in space.tensor(background)[0].double().numpy()])
    share = (lon - 348.75) / 11.25
    at = (1 - share) * value[:, 31] + share * value[:, 0]  # bilinear, by hand
    error = space.error.flatten().double().numpy()
    found, _ = columns_from(stations(background, space, lat, lon, at[:, None] + 2 * error[:, None]), background, space)
    assert found.mask[0, 0, 9, 0] == 1 and found.mask.sum() == 1  # 355 E is nearer to 0 than to 348.75
    assert torch.allclose(found.innovation[0, :, 9, 0], torch.full((20,), 2.0), atol=1e-3)
    west, _ = columns_from(stations(background, space, lat, -5, at[:, None] + 2 * error[:, None]), background, space)
    assert torch.equal(west.innovation, found.innovation)
    both = stations(background, space, [space.latitude[9]] * 2, [0.0, 1.0])  # two stations, one grid point
    shifted = both.assign(value=both["value"] + np.tile([1.0, 3.0], 20) * np.repeat(error, 2))
    found, counts = columns_from(shifted, background, space)
    each = [columns_from(stations(background, space, space.latitude[9], x,
            shifted["value"].values.reshape(20, 2)[:, k : k + 1]), background, space)[0].innovation
            for k, x in enumerate((0.0, 1.0))]  # fmt: skip
    assert found.mask.sum() == 1 and torch.allclose(found.innovation, (each[0] + each[1]) / 2, atol=1e-4)
    assert counts["used"] == 40 and counts["merged"] == 0


def test_doubles_missing_values_and_no_observation(space, state) -> None:
    truth, background = state
    one = stations(truth, space, space.latitude[[3, 8]], space.longitude[[5, 20]])
    twice, counts = columns_from(xr.concat([one, one], "observation"), background, space)
    once, _ = columns_from(one, background, space)
    assert torch.allclose(twice.innovation, once.innovation, atol=1e-5) and torch.equal(twice.mask, once.mask)
    assert counts == {"used": 40, "missing": 0, "merged": 40}
    assert float(twice.noise) == pytest.approx(0.5**0.5, rel=1e-5)  # two readings: half the variance
    lost = one.assign(value=one["value"].where(abs(one["latitude"] - space.latitude[3]) > 1))
    found, counts = columns_from(lost, background, space)  # a station without any value
    assert found.mask.sum() == 1 and found.mask[0, 0, 8, 20] == 1 and counts["missing"] == 20
    none, counts = columns_from(one.isel(observation=[]), background, space)
    assert not none.mask.any() and not none.innovation.any() and float(none.noise) == 0 and counts["used"] == 0
    assert torch.equal(none.trust, none.mask)


def test_tables_that_no_learned_method_takes(space, state) -> None:
    truth, background = state
    one = stations(truth, space, space.latitude[[3, 8]], space.longitude[[5, 20]])
    gap = one["value"].where(~((one["variable"] == "q") & (one["level"] == 700) & (one["longitude"] > 100)))
    with pytest.raises(FieldError, match=r"1 columns are not whole \(the first lacks q700\): .* all 20 fields"):
        columns_from(one.assign(value=gap), background, space)
    with pytest.raises(FieldError, match=r"2 columns are not whole \(the first lacks v500, .* \.\.\.\)"):
        columns_from(one.isel(observation=one["variable"].values == "u"), background, space)
    with pytest.raises(PhysLabError, match="error that is not above 0"):
        columns_from(one.assign(error=0 * one["error"]), background, space)
    with pytest.raises(FieldError, match="outside the grid"):
        columns_from(one.assign(latitude=one["latitude"] + 100), background, space)
    with pytest.raises(FieldError, match=r"observations of \w+ at 400 hPa"):
        columns_from(one.assign(level=one["level"].where(one["level"] != 500, 400.0)), background, space)
    small = StateSpace.of(*(ds.expand_dims("time") for ds in state), variables=("u", "t_low"))
    with pytest.raises(FieldError, match="observations of v at 500 hPa: this method takes u500, u700, u850, t_low"):
        columns_from(one.isel(observation=one["variable"].isin(["u", "v", "t_low"])), background, small)
