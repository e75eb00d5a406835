"""The shipped sample: split, patches, packing, on a synthetic run of the right layout."""

import numpy as np
import pytest
import xarray as xr

from physlab.cf import VARIABLES
from physlab.data import sr_pairs
from physlab.data.differences import open_shipped
from physlab.errors import FieldError, PhysLabError
from physlab.simulate import pack as pack_module
from physlab.simulate.differences import store_differences
from physlab.simulate.pack import blocks, pack
from physlab.store import read_card
from physlab.zoo import checkpoint_folders

DAYS = 60


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A travelling wave of water, 128 x 256, with the frames of a nature run."""
    folder = tmp_path_factory.mktemp("run")
    latitude, longitude = np.linspace(-89, 89, 128), np.arange(256) * 360 / 256
    start = np.datetime64("2001-01-01", "ns")
    hours = np.array([24 * d + h for d in range(DAYS) for h in (range(24) if d == 0 else (0, 1, 2, 6, 12, 18))])
    times = start + hours * np.timedelta64(1, "h")
    wave = np.cos(np.deg2rad(4 * longitude)[None] - 0.1 * hours[:, None])
    tcw = (30 + 20 * wave[:, None, :]) * np.cos(np.deg2rad(latitude))[None, :, None]
    names = ("tcw", "ivt_u", "ivt_v", "tp", "e", "sp")
    fields = {n: (("time", "latitude", "longitude"), tcw.astype(np.float32), VARIABLES[n]) for n in names}
    coordinates = {"time": times, "latitude": latitude, "longitude": longitude}
    xr.Dataset(fields, coordinates).to_netcdf(folder / "surface-00000.nc")
    midnight = start + np.arange(DAYS) * np.timedelta64(1, "D")
    q = np.random.default_rng(0).uniform(0, 0.02, (DAYS, 2, 8, 16)).astype(np.float32)
    small = {
        "time": midnight,
        "level": [500, 850],
        "latitude": np.linspace(-80, 80, 8),
        "longitude": np.arange(16) * 22.5,
    }
    states = xr.Dataset({"q": (("time", "level", "latitude", "longitude"), q, VARIABLES["q"])}, small)
    states.to_netcdf(folder / "states-00000.nc")
    ahead = states.assign_coords(time=states.time + np.timedelta64(1, "D"))
    ahead.to_netcdf(folder / "forecasts-00000.nc")
    return folder, dict(zip(times, tcw, strict=True)), states


@pytest.fixture(scope="module")
def packed(run, tmp_path_factory):
    output = tmp_path_factory.mktemp("assets")
    counts = {"train": 8, "val": 4, "test": 4}
    pack(
        [run[0]],
        output,
        frames=counts,
        states={"train": 3, "val": 1, "test": 2},
    )
    return {path.stem: open_shipped(path) for path in output.glob("*.nc")}


def test_blocks_keep_the_gap():
    day, gap = np.timedelta64(1, "D"), pack_module.GAP
    start = np.datetime64("2001-01-01", "ns")
    one = blocks([(start, 300)])
    assert one["val"][0] - one["train"][1] >= gap * day
    assert one["test"][0] - one["val"][1] >= gap * day
    two = blocks([(start, 180), (start + 366 * day, 120)])
    assert two["train"] == (start, start + 180 * day)
    assert two["val"][0] == start + 366 * day
    assert two["test"][0] - two["val"][1] >= gap * day
    with pytest.raises(PhysLabError, match="too short"):
        blocks([(start, 20)])
    with pytest.raises(PhysLabError, match="3 runs"):
        blocks([(start, 100)] * 3)


def test_frames_are_the_truth_within_the_step(run, packed):
    sample = packed["nature-tcw"]
    assert sample.tcw.shape == (16, 128, 128)
    assert dict(zip(*np.unique(sample.split, return_counts=True), strict=True)) == {"train": 8, "val": 4, "test": 4}
    for i in range(sample.sizes["sample"]):
        columns = (round(float(sample.longitude0[i]) / 360 * 256) + np.arange(128)) % 256
        truth = run[1][sample.time.values[i]][:, columns]
        assert np.abs(sample.tcw[i].values - truth).max() <= pack_module.STEPS["tcw"] / 2 + 1e-5


def test_smooth_fields_are_packed_small_and_read_by_both_readers(packed, repository):
    """Deflate leaves 52 % of total column water, differences of neighbours 43 %, those along both axes 35 %."""
    assert packed["nature-tcw"].tcw.encoding["szip"] and packed["nature-budget"].tcw.encoding["szip"]
    assert packed["nature-budget"].ivt_u.encoding["zlib"] and not packed["nature-budget"].ivt_u.encoding["szip"]
    shipped = repository / "physlab" / "assets" / "data" / "nature-tcw.nc"
    with xr.open_dataset(shipped, engine="netcdf4") as one, xr.open_dataset(shipped, engine="h5netcdf") as other:
        part, same = (ds.isel(sample=[0, 1000]).load() for ds in (one, other))
        xr.testing.assert_identical(part, same)
        assert shipped.stat().st_size < 0.36 * 2 * one.tcw_differences.size
    d = part.tcw_differences.astype("int32") - part.tcw_differences.differences_around  # as the file says it
    tcw = part.tcw_differences.sum_scale_factor * d.cumsum("y").cumsum("x")
    np.testing.assert_allclose(open_shipped(shipped).tcw[[0, 1000]], tcw, rtol=1e-6)


def test_differences_are_undone_to_the_bit(tmp_path):
    """Whatever the values, missing ones and overflows included, and whatever is asked for."""
    rng = np.random.default_rng(0)
    noise = rng.integers(-32768, 32768, (3, 5, 4), np.int16)
    noise[0, 0, :2] = -32768, 32767
    attrs = {"scale_factor": 0.1, "add_offset": 3.0, "_FillValue": np.int16(-32768), "units": "m", "coordinates": "z"}
    stored = {"p": (("t", "y", "x"), noise, attrs), "z": ("y", np.arange(5.0)), "other": ("x", np.arange(4))}
    path = tmp_path / "plain.nc"
    xr.Dataset(stored, attrs={"title": "noise"}).to_netcdf(path)
    for along in (["x"], ["y", "x"], ["t", "y"], ["t", "y", "x"]):
        made = store_differences(path, {"p": along}, tmp_path / "differences.nc")
        with xr.open_dataset(path) as plain, open_shipped(made) as back:
            assert np.isnan(plain.p.values).any() and back.p.dtype == plain.p.dtype
            xr.testing.assert_identical(back.isel(t=-1, y=slice(3, 0, -1)), plain.isel(t=-1, y=slice(3, 0, -1)))
            xr.testing.assert_identical(back.isel(t=[2, 0], x=[1, 3]), plain.isel(t=[2, 0], x=[1, 3]))
            xr.testing.assert_identical(back.load(), plain.load())
    with pytest.raises(FieldError, match="other is int64 with dims x: differences are stored of int16"):
        store_differences(path, {"other": ["x"]})


@pytest.mark.parametrize(
    ("task", "checkpoint"), [("tcw", "tcw-x4-add-s0"), ("tcw-t1", "tcw-t1-x4-convgru-plain-softmax-s0")]
)
def test_shipped_fields_are_those_of_the_cards(task, checkpoint):
    """The cards have the digest of the values that the networks were trained on; the files were stored anew since."""
    card = read_card(checkpoint_folders()[checkpoint])
    assert sr_pairs(task, 4).data_hash == card["data_hash"]


def test_splits_do_not_touch(packed):
    for name in ("nature-tcw", "nature-states"):
        sample = packed[name]
        times = {s: sample.time.values[sample.split.values == s].ravel() for s in ("train", "val", "test")}
        for a, b in (("train", "val"), ("val", "test"), ("train", "test")):
            nearest = np.abs(times[a][:, None] - times[b][None]).min()
            assert nearest >= np.timedelta64(pack_module.GAP, "D"), (name, a, b)


def test_forecasts_stand_beside_the_truth_of_their_time(run, packed):
    sample, states = packed["nature-states"], run[2]
    for time in sample.time.values:
        truth = states.q.sel(time=time).values
        start = states.q.sel(time=time - np.timedelta64(1, "D")).values
        np.testing.assert_allclose(sample.q.sel(time=time), truth, atol=1e-6)
        np.testing.assert_allclose(sample.q_fc.sel(time=time), start, atol=1e-6)


def test_missing_run_is_named(tmp_path):
    with pytest.raises(PhysLabError, match="no complete nature run"):
        pack([tmp_path], tmp_path / "out")
