"""A continuous field of one's own data: any grid, variables and levels, beside interpolation and its control."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import physlab
from physlab.cli import main
from physlab.errors import CheckpointError, FieldError, PhysLabError
from physlab.phydl import FitSettings
from physlab.phydl.own import FieldRequest, own_field, train_phydl

QUICK = FitSettings(steps=20, batch=512, collocation=64, solve_every=10, solve_points=256)
NETWORK = {"width": 16, "depth": 2}


def wind(times: int = 7, names: tuple[str, ...] = ("u", "v", "z", "q"), levels: bool = True) -> xr.Dataset:
    """Waves that move eastward, on two levels."""
    lat, lon = np.linspace(60, 32, 15), np.linspace(-20, 22, 22)
    time = np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(1, "h")
    t, y, x = np.meshgrid(np.arange(times), np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
    phase = 12 * x - 0.05 * t
    every = {"u": (15 + 4 * np.sin(phase), "m s-1"), "v": (6 * np.cos(phase), "m s-1"),
             "z": (3e4 - 400 * y + 300 * np.sin(phase + 4 * y), "m2 s-2"),
             "q": (3e-3 + 1e-3 * np.cos(phase), "kg kg-1"),
             "clouds": (0.5 + 0.1 * np.sin(phase), "1")}  # fmt: skip
    dims = ("time", *(("level",) if levels else ()), "latitude", "longitude")

    def stacked(a: np.ndarray) -> np.ndarray:
        return (np.stack([a, 1.1 * a], 1) if levels else a).astype(np.float32)

    coords = {"time": time, "latitude": lat, "longitude": lon}
    coords |= {"level": ("level", [850.0, 500.0], {"units": "hPa"})} if levels else {}
    return xr.Dataset({n: (dims, stacked(every[n][0]), {"units": every[n][1]}) for n in names}, coords)


def stored(folder, ds: xr.Dataset) -> str:
    ds.to_netcdf(folder / "wind.nc")
    return str(folder / "wind.nc")


def test_data_are_cut_coarsened_and_every_second_time_withheld(tmp_path) -> None:
    data = own_field(FieldRequest(stored(tmp_path, wind()), factor=3, level=850.0))
    assert dict(data.fine.sizes) == {"time": 7, "latitude": 15, "longitude": 21} and data.pressure == 85000
    assert dict(data.coarse.sizes) == {"time": 7, "latitude": 5, "longitude": 7} and data.given.tolist() == [0, 2, 4, 6]
    block = data.fine["u"].isel(time=0, latitude=slice(0, 3), longitude=slice(0, 3))
    weights = np.cos(np.deg2rad(block["latitude"]))
    assert float(data.coarse["u"][0, 0, 0]) == pytest.approx(float(block.weighted(weights).mean()), rel=1e-4)
    middle = own_field(FieldRequest(str(tmp_path / "wind.nc"), factor=3))
    assert middle.pressure == 50000 and any("500 hPa is used" in line for line in middle.lines)


@pytest.mark.slow
def test_a_field_is_fitted_scored_and_loaded(tmp_path) -> None:
    request, said = FieldRequest(stored(tmp_path, wind()), factor=3, level=500.0), []
    result = train_phydl(request, tmp_path / "m", QUICK, network=NETWORK, device="cpu", say=said.append)
    kinds = [r.kind for r in result.rows]
    assert kinds == ["baseline"] * 3 + ["control", "trained"]
    assert all(np.isfinite(pair).all() for r in result.rows for pair in r.rmse.values())
    assert any("∂t u = u ∂x u + v ∂y u + f v" in line and "∂t q" in line for line in said)
    assert any(line == "Data alone for z." for line in said)
    model = physlab.load_model(tmp_path / "m")
    fine = model.downscale(to=result.data.fine)
    there = xr.Dataset({n: result.data.fine[n] for n in ("u",)})
    error = float(np.sqrt(((fine["u"] - there["u"]) ** 2).mean()))
    assert error == pytest.approx(np.sqrt(np.mean(np.square(result.rows[-1].rmse["u"]) * [4, 3]) * 2 / 7), rel=0.05)
    assert model.pressure == 50000 and model.card["data"]["units"]["q"] == "kg kg-1"
    assert [t.name for t in model.equations[2].terms] == ["u ∂x q + v ∂y q"]  # t is missing: no condensation
    report = (tmp_path / "m" / "report.html").read_text()
    assert "Withheld times" in report and report.count("<tr class=trained>") == 2
    with pytest.raises(PhysLabError, match="is there already"):
        train_phydl(request, tmp_path / "m", QUICK)
    again = train_phydl(request, tmp_path / "again", FitSettings(**{**vars(QUICK), "steps": 2}), network=NETWORK,
                        start=tmp_path / "m", device="cpu")  # fmt: skip
    assert again.rows[-1].rmse["u"][0] < 1.5 * result.rows[-1].rmse["u"][0]
    for options, match in (({"network": {"width": 8, "depth": 2}}, "another network"), ({}, "has the variables")):
        other = FieldRequest(request.truth, ("u", "v", "q") if not options else (), 3)
        with pytest.raises(CheckpointError, match=match):
            train_phydl(
                other, tmp_path / "x", QUICK, start=tmp_path / "m", device="cpu", **{"network": NETWORK, **options}
            )


def test_variables_without_equations_are_fitted_all_the_same(tmp_path) -> None:
    said = []
    result = train_phydl(FieldRequest(stored(tmp_path, wind(3, ("clouds",), levels=False)), factor=3), tmp_path / "m",
                         QUICK, network=NETWORK, device="cpu", say=said.append)  # fmt: skip
    assert any(line.startswith("No equation fits") for line in said)
    assert [r.kind for r in result.rows] == ["baseline"] * 3 + ["trained"]
    assert np.isnan(result.rows[-1].rmse["clouds"][1])  # of three times none is withheld
    assert physlab.load_model(tmp_path / "m").variables == ("clouds",)


@pytest.mark.parametrize(("change", "said"), [
    (lambda ds: ds.isel(time=[0]), "at least two"),
    (lambda ds: ds.where(ds["time"] != ds["time"][2]), "NaN or infinite"),
    (lambda ds: ds.isel(latitude=slice(0, 6)), "too few"), (lambda ds: ds.assign(u=ds["u"] * 0), "does not vary"),
])  # fmt: skip
def test_what_cannot_be_fitted_is_said(tmp_path, change, said: str) -> None:
    with pytest.raises(FieldError, match=said):
        own_field(FieldRequest(stored(tmp_path, change(wind())), factor=3))


def test_wrong_names_and_levels_are_said(tmp_path) -> None:
    path = stored(tmp_path, wind())
    with pytest.raises(FieldError, match="no w on"):
        own_field(FieldRequest(path, ("w",), 3))
    with pytest.raises(FieldError, match="no level 300 hPa: found 850, 500"):
        own_field(FieldRequest(path, factor=3, level=300.0))


def test_the_command(tmp_path, capsys) -> None:
    path = stored(tmp_path, wind(3, ("u", "v", "z")))
    main(["train", "phydl", path, str(tmp_path / "m"), "--steps", "2", "--factor", "3", "--level", "500",
          "--device", "cpu"])  # fmt: skip
    said = capsys.readouterr()
    assert "times that were given" in said.out and "Equations" in said.err
    report = (tmp_path / "m" / "report.html").read_text()  # maps and spectra of each variable
    assert report.count("src='data:image/png") == 6 and "z: spectra" in report


@pytest.mark.real_data
def test_era5_upper_air(real_data) -> None:
    data = own_field(FieldRequest("era5-upper-air", level=250.0))
    assert dict(data.fine.sizes) == {"time": 3, "latitude": 44, "longitude": 132} and len(data.names) == 7
