"""What is understood of files of one's own, what is cut out of them, and what is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.errors import PhysLabError
from physlab.grid import Grid, coarsen
from physlab.train.own.compare import gain
from physlab.train.own.fit import check_constraint
from physlab.train.own.matching import explained, is_mean
from physlab.train.own.methods import method_of
from physlab.train.own.reading import own_data
from physlab.train.own.request import Request
from tests.train.own.conftest import weather


def data_of(path: str, **options):
    given = {"variables": ("t2m",), "factor": 2, "gap": 24.0, **options}
    return own_data(Request(path, **given))


def test_the_truth_satisfies_the_law_and_blocks_are_apart(file) -> None:
    data = data_of(file)
    for split, y in data.fine.items():
        assert torch.allclose(coarsen(y.double(), 2, data.weights.double()).float(), data.coarse[split])
    edges = [(data.time[s].min(), data.time[s].max()) for s in ("train", "val", "test")]
    assert all(b[0] - a[1] >= np.timedelta64(24, "h") for a, b in zip(edges, edges[1:], strict=False))
    assert data.scaling.scale[0] == pytest.approx(float(data.fine["train"].std()), rel=1e-3)
    assert not data.non_negative and data_of(file, variables=("tp",)).non_negative
    assert data.ground.keys() == {"elevation"} and float(data.ground["elevation"]["test"].max()) == pytest.approx(
        0.3, 0.1
    )


def test_several_variables_and_predictors_are_channels(file, truth) -> None:
    data = data_of(file, variables=("t2m", "u10"), predictors=("sp",))
    assert data.fine["test"].shape[1:] == (2, 16, 24) and data.coarse["test"].shape[1:] == (3, 8, 12)
    area = Grid.from_dataset(truth).area_weights
    at = int(np.flatnonzero(truth["time"].values == data.time["test"][3])[0])
    for channel, name in enumerate(("t2m", "u10", "sp")):
        wanted = coarsen(truth[name].values[at].astype(np.float64), 2, area)
        assert np.allclose(data.coarse["test"][3, channel].numpy(), wanted, rtol=1e-6)


def test_a_short_event_is_split_by_space_and_gaps_are_cut_around(written) -> None:
    event = weather(12, (40, 200), hours=1)
    event = event.assign_coords(time=event["time"].values[0] + np.arange(12) * np.timedelta64(2, "m"))
    event["tp"][:, :16, :32] = np.nan
    data = data_of(written(event.drop_vars("orog")), variables=("tp",), factor=4, gap=None)
    assert "split by space" in " ".join(data.account) and data.split["gap_hours"] == 0.0
    columns = {k: (x.min(), x.max()) for k, x in data.longitude.items()}
    step = float(np.diff(event["longitude"])[0])
    edge = data.shape[1] * step
    assert columns["val"][0] - columns["train"][1] >= edge and columns["test"][0] - columns["val"][1] >= edge
    assert all(torch.isfinite(y).all() for y in data.fine.values())
    assert "tiles with missing values were left out" in " ".join(data.account)
    with pytest.raises(PhysLabError, match="three blocks and two gaps of 24 h do not fit"):
        data_of(written(event.drop_vars("orog"), "b.nc"), variables=("tp",), factor=4, patch=0)


def test_sequences_are_frames_in_a_row(written, truth) -> None:
    broken = truth.isel(time=[i for i in range(60) if i not in (10, 11, 30)])
    data = data_of(written(broken), frames=3)
    assert data.fine["train"].shape[1:] == (3, 16, 24) and data.step == np.timedelta64(1, "D")
    starts = {int(np.flatnonzero(truth["time"].values == t)[0]) for t in data.time["train"]}
    assert not starts & {8, 9, 10, 11, 28, 29, 30} and {0, 7, 12} <= starts


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_a_coarse_file_is_matched_by_dates_and_fitted(written, truth, calendar) -> None:
    block = truth[["t2m"]].coarsen(latitude=2, longitude=2).mean()
    biased = (block + 1.5 + 0.3 * np.sin(np.arange(12))).assign_coords(longitude=block["longitude"] % 360)
    biased = biased.isel(time=slice(5, None)).astype("float32")
    if calendar != "standard":
        biased = biased.convert_calendar(calendar, align_on="date")
    biased["t2m"].attrs["units"] = "K"
    data = data_of(written(truth), coarse=written(biased, "gcm.nc"))
    assert not data.consistent and data.fit["b"] == pytest.approx(1.0, abs=0.02) and data.fit["r2"] > 0.95
    said = " ".join(data.account)
    assert f"{biased.sizes['time']} times are in both files" in said and "It is no block mean of the truth" in said
    with pytest.raises(PhysLabError, match="use --constraint none or soft"):
        check_constraint(method_of("edsr"), "mult", data)
    assert check_constraint(method_of("edsr"), None, data) == "none"
    at = list(biased["time"].dt.strftime("%Y-%m-%d").values).index(str(data.time["test"][0])[:10])
    assert biased["longitude"].values.max() > 350  # the file counts otherwise than the truth
    assert np.array_equal(data.coarse["test"][0, 0].numpy(), biased["t2m"].values[at])


def test_a_true_coarsening_is_known_as_one(written, truth) -> None:
    weights = Grid.from_dataset(truth).area_weights
    values = coarsen(truth["t2m"].values.astype(np.float64), 2, weights)
    grid = Grid.from_dataset(truth).coarsen(2)
    coarse = xr.Dataset({"t2m": (("time", "latitude", "longitude"), values.astype("float32"), {"units": "K"})},
                        {"time": truth["time"], "latitude": grid.latitude, "longitude": grid.longitude})  # fmt: skip
    data = data_of(written(truth), coarse=written(coarse, "means.nc"))
    assert data.consistent and check_constraint(method_of("edsr"), "mult", data) == "mult"
    other = explained(truth["t2m"].values, np.random.default_rng(0).permuted(values, axis=0), 2, weights)
    assert other["r2"] < 0.5 and not is_mean(other)


def spoilt(truth: xr.Dataset, kind: str) -> xr.Dataset:
    """The truth with a fault."""
    if kind == "all missing":
        return truth.assign(t2m=truth["t2m"] * np.nan)
    if kind == "twice":
        again = truth.isel(time=sorted([*range(60), 7])).copy(deep=True)
        again["t2m"][8] += 1.0
        return again
    if kind == "constant":
        return truth.assign(t2m=0 * truth["t2m"] + 280)
    if kind == "no time":
        return truth.isel(time=0, drop=True)
    if kind == "one time":
        return truth.isel(time=[0])
    return truth


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("", {"variables": ("t2n",)}, "unknown variable of .* 't2n': did you mean t2m"),
        ("", {"variables": ()}, "has t2m, u10, sp, tp: name one with --variable"),
        ("", {"predictors": ("q",)}, "unknown variable"),
        ("", {"factor": 17}, "factor is 17: pass a whole number from 2 to 16"),
        ("", {"factor": 12}, "16 x 24 cells are too few: two coarse cells of factor 12"),
        ("", {"held_out": 0.7}, "held_out is 0.7: pass a share"),
        ("", {"patch": 18, "factor": 4}, "patch is 18: pass a multiple of the factor 4"),
        ("", {"patch": 0, "gap": 2000.0}, "three blocks and two gaps of 2000 h do not fit"),
        ("", {"region": (0.0, 10.0, 0.0, 5.0)}, "no grid point in region"),
        ("", {"period": ("1990-01-01", "1990-02-01")}, "no time from 1990-01-01"),
        ("all missing", {}, "(has no value at all|no patch of)"),
        ("twice", {}, "2001-01-08.* twice"),
        ("constant", {}, "t2m has the value 280 everywhere in training"),
        ("no time", {}, "has no time axis"),
        ("one time", {"patch": 0}, "1 times over 0 h"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_line(kind, options, said, truth, written) -> None:
    path = written(spoilt(truth, kind).drop_vars("orog"))
    with pytest.raises(PhysLabError, match=said) as caught:
        data_of(path, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ds: ds.assign_coords(time=ds["time"] + np.timedelta64(9000, "D")), "none in common"),
        (lambda ds: ds.assign_coords(longitude=ds["longitude"] + 60), "do not overlap as a whole"),
        (lambda ds: ds.isel(latitude=slice(0, 3)), "do not overlap as a whole"),
        (lambda ds: ds.rename(t2m="tas2"), "unknown variable of"),
    ],
)
def test_coarse_files_that_do_not_belong_to_the_truth(change, said, truth, written) -> None:
    coarse = truth[["t2m"]].coarsen(latitude=2, longitude=2).mean()
    with pytest.raises(PhysLabError, match=said):
        data_of(written(truth), coarse=written(change(coarse), "coarse.nc"))


def test_a_grid_that_is_not_divisible_is_cropped_and_said(written, truth) -> None:
    data = data_of(written(truth.isel(latitude=slice(0, 15))), factor=4)
    assert data.shape == (12, 24) and any("15 x 24 cells were cropped to 12 x 24" in line for line in data.account)


def test_gains_and_their_intervals_are_of_pairs() -> None:
    rng = np.random.default_rng(0)
    other = rng.uniform(0.5, 1.5, 200)
    whole, low, high = gain(0.81 * other, other)
    assert whole == pytest.approx(0.1) and low == pytest.approx(0.1) and high == pytest.approx(0.1)
    whole, low, high = gain(rng.permutation(other), other)
    assert low < 0 < high and abs(whole) < 1e-9
    assert np.isnan(gain(other[:3], other[:3])[1])
