"""Pairs: truth satisfies the coarsening, statistics know nothing of the test block, bad fields are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.data import make_pairs, sr_pairs
from physlab.data.frames import TCW_GAP, UK_SPLIT, uk_field
from physlab.data.splits import smallest_distance
from physlab.errors import FieldError, PhysLabError
from physlab.grid import Grid, check_coarsening

BLOCKS = {"train": 0.6, "test": 0.4}


def own_field(hours=200, shape=(12, 16), name="t2m", seed=0) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    coords = {
        "time": np.datetime64("2020-01-01", "ns") + np.arange(hours).astype("timedelta64[h]"),
        "lat": ("lat", 60 - 0.25 * np.arange(shape[0]), {"units": "degrees_north"}),
        "lon": ("lon", 0.25 * np.arange(shape[1]), {"units": "degrees_east"}),
    }
    return xr.DataArray(280 + rng.standard_normal((hours, *shape)), coords, ("time", "lat", "lon"), name=name)


# --- the laboratory sample --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_tcw_pairs_are_consistent_and_scale_only(tiny_tcw, factor):
    data = sr_pairs("tcw", factor)
    assert {k: tuple(v.shape) for k, v in data.fine.items()} == {
        "train": (12, 1, 16, 16), "val": (5, 1, 16, 16), "test": (5, 1, 16, 16)
    }  # fmt: skip
    for name, fine in data.fine.items():
        assert fine.dtype == torch.float32
        assert check_coarsening(fine, data.coarse[name], factor, data.weights) < 3e-7
        area = Grid(data.latitude, data.longitude[name][0]).cell_area
        direct = (fine[0, 0].numpy().astype(float) * area)[:factor, :factor].sum() / area[:factor, :factor].sum()
        assert data.coarse[name][0, 0, 0, 0] == pytest.approx(direct, rel=1e-6)
    assert data.non_negative
    assert data.scaling.offset == (0.0,)
    assert data.scaling.scale[0] == pytest.approx(float(data.fine["train"].max()))
    assert smallest_distance(data.time) >= TCW_GAP


def test_area_weights_matter(tiny_tcw):
    data = sr_pairs("tcw", 4)
    plain = data.fine["test"].unflatten(-1, (4, 4)).unflatten(-3, (4, 4)).mean((-3, -1))
    assert (plain - data.coarse["test"]).abs().max() > 1e-3


def test_statistics_come_from_the_training_block_only(tiny_tcw):
    before = sr_pairs("tcw", 4)
    with xr.open_dataset(tiny_tcw, mask_and_scale=False) as ds:
        changed = ds.load()
    held_out = changed["split"].values != "train"
    changed["tcw"][held_out] = 32767 - changed["tcw"][held_out].values
    changed.to_netcdf(tiny_tcw)
    after = sr_pairs("tcw", 4)
    assert after.scaling == before.scaling
    assert after.hashes["train"] == before.hashes["train"]
    assert after.hashes["test"] != before.hashes["test"]
    assert after.data_hash != before.data_hash
    assert float(after.fine["test"].max()) > float(before.fine["train"].max())


def test_a_part_of_the_splits_has_the_same_scaling_and_hash(tiny_tcw):
    whole, part = sr_pairs("tcw", 4), sr_pairs("tcw", 4, splits=("val", "test"))
    assert list(part.fine) == ["val", "test"]
    assert part.scaling == whole.scaling
    assert part.hashes["test"] == whole.hashes["test"]
    assert torch.equal(part.fine["val"], whole.fine["val"])


def test_leaking_samples_in_the_file_are_refused(tiny_tcw):
    with xr.open_dataset(tiny_tcw) as ds:
        leaking = ds.load()
    leaking["time"][-1] = leaking["time"][0]
    leaking.to_netcdf(tiny_tcw)
    with pytest.raises(FieldError, match="splits leak"):
        sr_pairs("tcw", 4)


def test_one_sample_as_a_dataset(tiny_tcw):
    data = sr_pairs("tcw", 4)
    fine, coarse = data.dataset("val", 1), data.dataset("val", 1, coarse=True)
    assert fine["tcw"].dims == ("time", "latitude", "longitude")
    assert fine["tcw"].attrs["units"] == "kg m-2"
    np.testing.assert_array_equal(fine["tcw"][0], data.fine["val"][1, 0])
    np.testing.assert_array_equal(coarse["tcw"][0], data.coarse["val"][1, 0])
    assert coarse["longitude"][0] == pytest.approx(float(fine["longitude"][:4].mean()))
    assert fine["longitude"][0] == data.longitude["val"][1, 0]
    assert data.data_range("val") == pytest.approx(float(data.fine["val"].max() - data.fine["val"].min()))


def test_unknown_task_split_and_factor(tiny_tcw):
    with pytest.raises(FieldError, match="choose one of tcw, tcw-t1, tcw-t2, era5-uk-t2m"):
        sr_pairs("tcww", 4)
    with pytest.raises(FieldError, match="unknown split 'validation'"):
        sr_pairs("tcw", 4, splits=("validation",))
    with pytest.raises(PhysLabError, match="crop_to_multiple"):
        sr_pairs("tcw", 3)


def test_the_shipped_sample_does_not_leak():
    data = sr_pairs("tcw", 4)
    assert {name: len(time) for name, time in data.time.items()} == {"train": 1024, "val": 300, "test": 300}
    assert data.shape == (128, 128)
    assert smallest_distance(data.time) >= 120
    assert min(float(fine.min()) for fine in data.fine.values()) >= 0
    assert data.latitude[0] < 0 < data.latitude[-1]


# --- ERA5 over the British Isles --------------------------------------------------------------------------------------
def test_uk_validation_and_test_need_no_download(monkeypatch, tmp_path):
    from physlab.data import sources

    monkeypatch.delenv("PHYSLAB_DATA", raising=False)
    monkeypatch.setattr(sources, "fetch_files", lambda *_: pytest.fail("no download wanted"))
    data = sr_pairs("era5-uk-t2m", 4, splits=("val", "test"))
    assert {k: tuple(v.shape) for k, v in data.fine.items()} == {"val": (96, 1, 32, 48), "test": (120, 1, 32, 48)}
    assert data.units == "K"
    assert not data.non_negative
    assert 250 < data.scaling.offset[0] < 300
    assert 200 < float(data.fine["val"].min()) < float(data.fine["val"].max()) < 320
    assert smallest_distance(data.time) >= UK_SPLIT.gap


@pytest.mark.real_data
def test_uk_training_block():
    data = sr_pairs("era5-uk-t2m", 4)
    assert tuple(data.fine["train"].shape) == (432, 1, 32, 48)
    assert data.split["smallest_distance_hours"] == 49
    stored = sr_pairs("era5-uk-t2m", 4, splits=("test",)).scaling  # made with another number of threads: other rounding
    assert (*data.scaling.offset, *data.scaling.scale) == pytest.approx((*stored.offset, *stored.scale), rel=1e-12)
    train = data.fine["train"].double()
    assert data.scaling.offset[0] == pytest.approx(float(train.mean()))
    assert data.scaling.scale[0] == pytest.approx(float(train.std()), rel=1e-3)
    assert check_coarsening(data.fine["train"], data.coarse["train"], 4, data.weights) < 3e-7


@pytest.mark.real_data
def test_the_shipped_uk_sample_is_the_download_to_half_a_packing_step():
    data = sr_pairs("era5-uk-t2m", 4, splits=("val", "test"))
    truth = uk_field()
    for name in ("val", "test"):
        original = truth.sel(time=data.time[name]).values
        assert np.abs(data.fine[name][:, 0].numpy() - original).max() < 0.00104
    np.testing.assert_array_equal(data.latitude, truth["latitude"])
    np.testing.assert_array_equal(data.longitude["val"][0], truth["longitude"])


@pytest.mark.real_data
def test_the_sample_can_be_made_again(tmp_path):
    from physlab.data.assets import PACKAGED
    from physlab.data.sample import make_sample

    with xr.open_dataset(make_sample(tmp_path)) as new, xr.open_dataset(PACKAGED / "data/era5-uk-t2m-sample.nc") as old:
        for name in ("train_mean", "train_std"):  # the rounding of a sum depends on the number of threads
            assert new.t2m.attrs.pop(name) == pytest.approx(old.t2m.attrs.pop(name), rel=1e-12)
        xr.testing.assert_identical(new.load(), old.load())
        assert "Copernicus" in old.attrs["attribution"]
    assert [p.name for p in tmp_path.iterdir()] == ["era5-uk-t2m-sample.nc"]


# --- your own data ----------------------------------------------------------------------------------------------------
def test_pairs_of_own_data():
    data = make_pairs(own_field(), 4, BLOCKS, gap=24)
    assert data.task == "own"
    assert tuple(data.coarse["test"].shape[1:]) == (1, 3, 4)
    assert smallest_distance(data.time) >= 24


def test_bad_fields_are_refused_in_one_line():
    field = own_field()
    nan = field.copy()
    nan[3, 2, 1] = np.nan
    cases = [
        (field.rename(lat="row").assign_coords(row=("row", np.arange(12))), 4, BLOCKS, "no latitude coordinate"),
        (field.isel(lat=slice(11)), 4, BLOCKS, "8 x 16"),
        (nan, 4, BLOCKS, "1 NaN"),
        (field.isel(time=0), 4, BLOCKS, "pass a field"),
        (field, 4, {"val": 0.5, "test": 0.5}, "name one of them 'train'"),
        (field, 4, {"train": ("2020-01-01", "2020-01-03"), "test": ("2020-01-03T01", "2020-01-04")}, "leak"),
    ]
    for bad, factor, blocks, message in cases:
        with pytest.raises(FieldError, match=message) as caught:
            make_pairs(bad, factor, blocks, gap=24)
        assert "\n" not in str(caught.value)
