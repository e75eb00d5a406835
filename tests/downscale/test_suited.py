"""``physlab downscale`` on what cannot be negative, on shares, on gaps, and on files larger than a step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from physlab import cli
from physlab.downscale import BicubicConstrained, Interpolate, steps
from physlab.downscale.steps import in_steps
from physlab.downscale.suited import suited
from physlab.grid import coarsen


def rain(scale: float = 1.0, name: str = "tp", **attrs: str) -> xr.Dataset:
    """Three hours, six of ten cells dry."""
    rng = np.random.default_rng(0)
    values = np.where(rng.random((3, 16, 20)) < 0.6, 0, rng.gamma(0.7, 4 * scale, (3, 16, 20))).astype("float32")
    coords = {"time": np.arange("2024-01-01", "2024-01-04", dtype="M8[D]").astype("M8[ns]"),
              "latitude": 58 - 0.25 * np.arange(16), "longitude": 0.25 * np.arange(20)}  # fmt: skip
    return xr.Dataset({name: (("time", "latitude", "longitude"), values, attrs)}, coords)


def means(path: Path, name: str, factor: int) -> np.ndarray:
    with xr.open_dataset(path) as ds:
        edges = np.sin(np.deg2rad(ds["latitude_bnds"].values))
        return coarsen(ds[name].values.astype(float), factor, np.abs(np.diff(edges, axis=1)))


@pytest.mark.parametrize(
    "ds",
    [rain(units="kg m-2"), rain(1 / 3600 / 4, "pr", units="kg m-2 s-1"), rain(2e-4, "q", units="kg kg-1")],
    ids=["tp", "pr", "q"],
)
def test_rain_is_conserved_and_never_negative(ds: xr.Dataset, tmp_path: Path, capsys) -> None:
    """Whatever its unit; the additive layer alone makes more than a tenth of the cells negative."""
    (name,) = ds.data_vars
    assert (BicubicConstrained(4).downscale(ds)[name] < 0).mean() > 0.1
    ds.to_netcdf(tmp_path / "rain.nc")
    for layer in ("add", "mult"):
        cli.main(["downscale", str(tmp_path / "rain.nc"), f"bicubic+{layer}-x4", str(tmp_path / "fine.nc")])
        assert ("bicubic+mult-x4 was used" in capsys.readouterr().err) == (layer == "add")
        with xr.open_dataset(tmp_path / "fine.nc") as fine:
            assert fine[name].min() == 0 and ("was used" in fine.attrs["history"]) == (layer == "add")
            assert fine[name].std() > 1.03 * ds[name].std(), "there is detail, in any unit"
        np.testing.assert_allclose(
            means(tmp_path / "fine.nc", name, 4), ds[name], rtol=1e-6, atol=1e-6 * float(ds[name].max())
        )


def test_a_share_stays_within_its_bounds(tmp_path: Path, capsys) -> None:
    for whole, units in ((1.0, "1"), (100.0, "%")):
        values = whole * (np.random.default_rng(1).random((1, 16, 20)) > 0.5)
        ds = (
            rain()
            .isel(time=[0])
            .assign(lsm=(("time", "latitude", "longitude"), values, {"units": units}))
            .drop_vars("tp")
        )
        chosen, notes = suited(BicubicConstrained(2), ds)
        fine = chosen.downscale(ds)["lsm"]
        assert fine.min() >= 0 and fine.max() <= whole and "is a share" in notes[0]
        np.testing.assert_allclose(coarsen(fine.values.astype(float), 2), values, atol=2e-3 * whole)


def test_relative_humidity_is_not_made_wetter_than_it_is() -> None:
    wave = 0.5 + 0.5 * np.sin(np.arange(960.0).reshape(3, 16, 20))
    for whole, units in ((1.0, "1"), (100.0, "%")):
        ds = rain(name="r", units=units, standard_name="relative_humidity").copy(data={"r": wave * whole})
        chosen, notes = suited(BicubicConstrained(2), ds)
        assert (
            "within 0 and" in notes[0] and float(chosen.downscale(ds)["r"].max()) <= float(ds["r"].max()) + 1e-5 * whole
        )


def test_names_alone_give_no_units() -> None:
    bare = rain()
    assert "units" not in BicubicConstrained(2).downscale(bare)["tp"].attrs
    known = BicubicConstrained(2).downscale(rain(units="kg m-2"))["tp"].attrs
    assert known["standard_name"] == "precipitation_amount"


def test_what_is_far_from_zero_keeps_the_named_method() -> None:
    warm = rain() + 280
    for ds in (warm.rename(tp="t2m"), warm):
        method = BicubicConstrained(4)
        assert suited(method, ds) == (method, [])
    nearest = Interpolate("nearest", 4)
    assert suited(nearest, rain()) == (nearest, [])


def test_negative_values_are_told(tmp_path: Path, capsys) -> None:
    rain(units="kg m-2").to_netcdf(tmp_path / "rain.nc")
    cli.main(["downscale", str(tmp_path / "rain.nc"), "bicubic-x4", str(tmp_path / "fine.nc")])
    told = capsys.readouterr().err
    assert "% of the cells of 'tp' are negative, which it cannot be: bicubic+mult-x4" in told


def test_sea_surface_temperature(tmp_path: Path, capsys) -> None:
    ds = rain(name="sst", units="K", standard_name="sea_surface_temperature") + 285
    ds["sst"].attrs = {"units": "K", "standard_name": "sea_surface_temperature"}
    land = (ds["latitude"] > 56) & (ds["longitude"] > 2)
    ds.where(~land).to_netcdf(tmp_path / "sst.nc")
    cli.main(["downscale", str(tmp_path / "sst.nc"), "bicubic+add-x4", str(tmp_path / "fine.nc")])
    output = capsys.readouterr()
    assert "of the cells of 'sst' have no value, as in the input" in output.err
    with xr.open_dataset(tmp_path / "fine.nc") as fine:
        assert "without a value stay without one" in fine.attrs["history"]
        gone = np.isnan(fine["sst"].values)
        np.testing.assert_array_equal(gone, np.broadcast_to(land.values, (3, 16, 20)).repeat(4, 1).repeat(4, 2))
    kept = ~land.values
    got = means(tmp_path / "fine.nc", "sst", 4)
    np.testing.assert_allclose(got[:, kept], ds["sst"].values[:, kept], rtol=1e-6)


def test_steps_follow_the_size_of_the_fine_field() -> None:
    small = rain()
    assert in_steps(small, 4) is small
    many = xr.concat([small] * 500, "member")
    cut = in_steps(many, 4)["tp"]
    block = 16 * 4 * np.prod([c[0] for c in cut.chunks])
    assert steps.STEP / 8 < block <= steps.STEP and len(cut.chunks[-1]) == 1
    own = in_steps(many.chunk(member=50), 4)["tp"]
    assert own.chunks[0] == (50,) * 10, "chunks of a lazy input stay"


@pytest.mark.slow
def test_a_killed_command_goes_on(tmp_path: Path) -> None:
    """The same command again; the result is the one of a run that was not killed."""
    values = np.random.default_rng(0).normal(280, 3, (40, 96, 192)).astype("float32")
    coords = {"time": np.arange(40), "latitude": np.linspace(-80, 80, 96), "longitude": np.arange(192) * 0.5}
    xr.Dataset({"t2m": (("time", "latitude", "longitude"), values, {"units": "K"})}, coords).to_netcdf(
        tmp_path / "c.nc"
    )
    target = tmp_path / "fine.nc"
    command = [sys.executable, "-m", "physlab", "downscale", "c.nc", "bicubic+add-x4", target.name]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        journal = next(tmp_path.glob(".physlab-*.part/journal"), None)
        if journal is not None and journal.read_bytes().count(b"\n") > 1:
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not target.exists()
    (part,) = tmp_path.glob(".physlab-*.part")
    before = {p: p.stat().st_mtime_ns for p in part.rglob("*") if p.is_file() and p.name != "journal"}
    last = (part / "journal").read_text().split()[-1]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert before and last
    expected = BicubicConstrained(4).downscale(xr.open_dataset(tmp_path / "c.nc"))["t2m"]
    with xr.open_dataset(target) as fine:
        np.testing.assert_array_equal(fine["t2m"], expected)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []
