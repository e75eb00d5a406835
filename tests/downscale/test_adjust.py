"""Adjustment of climate models: distributions, wet days, changes and dependence, against xsdba and known answers."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import physlab
from physlab.cli import main
from physlab.downscale.adjusters import DQM, EQM, QDM, MBCn
from physlab.downscale.calibration import adjusted
from physlab.downscale.mapping import adjust_series, quantiles, ranks
from physlab.downscale.multivariate import rotations
from physlab.downscale.seasons import decimal_years, groups, spans
from physlab.errors import FieldError, PhysLabError

DAY = 86_400.0
RULES = {"EQM": EQM, "DQM": DQM, "QDM": QDM}


def days(years: int, calendar: str = "noleap", first: int = 1950) -> xr.DataArray:
    time = xr.date_range(
        f"{first}-01-01", f"{first + years - 1}-12-30", freq="D", calendar=calendar, use_cftime=calendar != "standard"
    )
    return xr.DataArray(time, dims="time", coords={"time": time})


def record(values: np.ndarray, time: xr.DataArray, name: str, units: str) -> xr.DataArray:
    dims = ("time", "location")[: values.ndim]
    coords = {"time": time, **({"location": ["a", "b"]} if values.ndim == 2 else {})}
    standard = {"pr": "precipitation_flux", "tas": "air_temperature"}[name]
    return xr.DataArray(values, coords, dims, name, {"units": units, "standard_name": standard})


def rain(dry: float, scale: float, time: xr.DataArray, seed: int, units: str = "mm day-1") -> xr.DataArray:
    rng = np.random.default_rng(seed)
    shape = (time.size, 2)
    values = np.where(rng.random(shape) < dry, 0.0, rng.gamma(0.8, scale, shape))
    return record(values / (1 if units.startswith("mm") else DAY), time, "pr", units)


def heat(mean: float, spread: float, time: xr.DataArray, seed: int, trend: float = 0.0) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    years = decimal_years(time)
    cycle = -10 * np.cos(2 * np.pi * years) + trend * (years - years[0])
    return record(mean + cycle[:, None] + spread * rng.standard_normal((time.size, 2)), time, "tas", "K")


def wet(da: xr.DataArray, limit: float) -> xr.DataArray:
    return (da > limit).mean("time")


# --- plain arrays -----------------------------------------------------------------------------------------------------
def test_quantiles_and_ranks_with_gaps():
    x = np.random.default_rng(0).normal(size=(50, 3))
    x[::7, 1] = np.nan
    q = np.linspace(0, 1, 9)
    np.testing.assert_allclose(quantiles(x, q), np.nanquantile(x, q, axis=0))
    r = ranks(x)
    assert np.nanmin(r) == 0 and np.nanmax(r) == 1 and (np.isnan(r) == np.isnan(x)).all()
    assert (np.argsort(r[:, 0]) == np.argsort(x[:, 0])).all()


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "standard", "all_leap"])
def test_a_day_has_its_window_in_any_calendar(calendar):
    mine, other = decimal_years(days(4)), decimal_years(days(4, calendar))
    seen = np.zeros(len(mine), int)
    for own, sample, near in groups("day", 31, mine, other):
        seen[own] += 1
        assert set(own) <= set(sample) and 29 * 4 - 3 <= len(near) <= 32 * 4
    assert (seen == 1).all()
    assert sum(len(own) for own, *_ in groups("month", 1, mine, other)) == len(mine)


def test_spans_are_whole_years():
    parts = spans(decimal_years(days(61)), 30)
    assert len(parts) == 2 and sum(map(len, parts)) == 61 * 365 - 1 and len(parts[0]) % 365 == 0


# --- wet days ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seasons", ["all", "month", "day"])
@pytest.mark.parametrize("dry", [(0.6, 0.21), (0.02, 0.55)], ids=["drier", "wetter"])
def test_wet_days_are_as_frequent_as_observed(rule, seasons, dry):
    """The model drier than the observations (wet on 0.40 of the days, observed 0.79) and wetter."""
    time = days(8)
    model, observed = rain(dry[0], 4.0, time, 1), rain(dry[1], 6.0, time, 2)
    made = RULES[rule](seasons=seasons).fit(observed, model).adjust(model)["pr"]
    for limit in (0.0, 0.1, 1.0):
        assert abs(wet(made, limit) - wet(observed, limit)).max() < 0.02
    assert float(made.min()) == 0.0 and abs(made.mean() / observed.mean() - 1) < 0.03


def test_small_amounts_are_drawn_by_the_seed_and_by_the_place():
    time = days(4)
    model, observed = rain(0.6, 4.0, time, 1), rain(0.2, 6.0, time, 2)
    made = [QDM(seed=seed, seasons="all").fit(observed, model).adjust(model)["pr"] for seed in (0, 0, 1)]
    xr.testing.assert_identical(made[0], made[1])
    assert float(abs(made[0] - made[2]).max()) > 0.1
    lazy = QDM(seasons="all").fit(observed, model).adjust(model.chunk(location=1))["pr"]
    assert lazy.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), made[0])


# --- changes and units ------------------------------------------------------------------------------------------------
def test_the_change_of_the_model_is_kept_where_it_is_promised():
    """QDM keeps the change of every quantile, DQM of the mean, EQM neither."""
    time = days(10)
    observed, model, later = heat(285, 3, time, 1), heat(280, 5, time, 2), heat(284, 7, time, 3)
    q = [0.05, 0.5, 0.95]
    wanted = observed.quantile(q, "time") + later.quantile(q, "time") - model.quantile(q, "time")
    made = {name: rule(seasons="all").fit(observed, model).adjust(later)["tas"] for name, rule in RULES.items()}
    assert abs(made["QDM"].quantile(q, "time") - wanted).max() < 0.15
    for name in ("QDM", "DQM"):
        change = made[name].mean("time") - observed.mean("time")
        assert abs(change - (later.mean("time") - model.mean("time"))).max() < 0.15
    assert abs(made["EQM"].quantile(q, "time") - wanted).max() > 0.4


def test_units_calendars_and_names_may_differ():
    observed = rain(0.4, 5.0, days(6, "standard"), 1).rename("rain")
    model = rain(0.3, 3.0, days(6, "360_day"), 2, "kg m-2 s-1")
    made = QDM(seasons="month").fit(observed, model).adjust(model)
    assert made["rain"].attrs["units"] == "mm day-1" and made["time"].dt.calendar == "360_day"
    assert abs(wet(made["rain"], 1.0) - wet(observed, 1.0)).max() < 0.02
    with pytest.raises(FieldError, match="cannot become 'K'"):
        QDM().fit(heat(280, 1, days(6), 1).rename("pr"), model)


def test_gaps_stay_and_teach_nothing():
    time = days(6)
    observed, model = heat(285, 3, time, 1), heat(280, 5, time, 2)
    holes = observed.where(np.arange(time.size)[:, None] % 3 > 0)
    made = EQM(seasons="month").fit(holes, model).adjust(model.where(model["time"].dt.day != 7))["tas"]
    assert bool((made.isnull() == (model["time"].dt.day == 7)).all())
    assert abs(made.mean("time") - observed.mean("time")).max() < 0.3


# --- several variables ------------------------------------------------------------------------------------------------
def test_dependence_is_that_of_the_observations():
    time = days(6)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, time.size, 2))
    observed = xr.Dataset(
        {"tas": record(285 + a, time, "tas", "K"), "pr": record(np.exp(0.8 * a + 0.6 * b), time, "pr", "mm day-1")}
    )
    a, b = rng.standard_normal((2, time.size, 2))
    model = xr.Dataset({"tas": record(283 + 2 * a, time, "tas", "K"), "pr": record(np.exp(b), time, "pr", "mm day-1")})
    both, alone = (kind(seasons="all").fit(observed, model).adjust(model) for kind in (MBCn, QDM))

    def together(ds: xr.Dataset) -> float:
        x, y = ds["tas"].values[:, 0], ds["pr"].values[:, 0]
        return float(np.corrcoef(np.argsort(np.argsort(x)), np.argsort(np.argsort(y)))[0, 1])

    assert together(observed) > 0.7 and abs(together(alone)) < 0.1 and together(both) > 0.6
    np.testing.assert_allclose(np.sort(both["pr"], 0), np.sort(alone["pr"], 0))
    with pytest.raises(PhysLabError, match="variables together"):
        MBCn().fit(observed["pr"], model["pr"]).adjust(model["pr"])


# --- against xsdba ----------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("change", ["add", "ratio"])
@pytest.mark.parametrize("rule", RULES)
def test_the_short_methods_are_those_of_xsdba(rule, change):
    pytest.importorskip("xsdba")
    time, later = days(8), days(8, first=1990)
    observed, model, new = heat(285, 3, time, 1), heat(280, 5, time, 2), heat(284, 7, later, 3, trend=0.1)
    ours, theirs = (
        RULES[rule](seasons="all", change=change, engine=engine, nodes=40, span=0)
        .fit(observed, model)
        .adjust(new)["tas"]
        for engine in ("physlab", "xsdba")
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.slow
def test_the_short_multivariate_method_is_that_of_xsdba():
    pytest.importorskip("xsdba")
    time = days(6)
    sets = [
        xr.Dataset({"tas": heat(280 + k, 2 + k, time, k), "other": heat(290 - k, 1 + k, time, 9 + k).rename("other")})
        for k in range(3)
    ]
    sets = [part.isel(location=0, drop=True) for part in sets]
    ours, theirs = (
        MBCn(seasons="all", engine=engine, nodes=30, span=0, rotations=5).fit(*sets[:2]).adjust(sets[2])
        for engine in ("physlab", "xsdba")
    )
    for name in ("tas", "other"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12)


def test_rotations_are_orthogonal():
    turns = rotations(5, 3, np.random.default_rng(0))
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-12)


# --- fine grids -------------------------------------------------------------------------------------------------------
def grids(years: int = 3, calendar: str = "noleap") -> tuple[xr.Dataset, xr.Dataset]:
    """Observations of 0.5 degrees with hills, and a model of 2.8 degrees, all around the globe and too cold and wet."""
    time, rng = days(years, calendar), np.random.default_rng(0)
    lat, lon = np.arange(50.25, 56, 0.5), np.arange(-4.75, 6, 0.5)
    hill = rng.standard_normal((lat.size, lon.size))
    weather = 4 * rng.standard_normal((time.size, 1, 1))
    season = -8 * np.cos(2 * np.pi * decimal_years(time))[:, None, None]
    fine = 283 + season + weather + 3 * hill
    tas = xr.DataArray(fine, {"time": time, "latitude": lat, "longitude": lon}, ("time", "latitude", "longitude"))
    observed = xr.Dataset({"tas": tas.assign_attrs(units="K", standard_name="air_temperature")})
    observed["pr"] = (
        observed["tas"]
        .copy(data=np.maximum(weather, 0) * (1.5 + np.tanh(hill)))
        .assign_attrs(units="mm day-1", standard_name="precipitation_flux")
    )
    glat, glon = np.arange(-88.6, 90, 2.8), np.arange(0, 360, 2.8125)
    shape = (time.size, glat.size, glon.size)
    coords = {
        "time": time,
        "lat": ("lat", glat, {"units": "degrees_north"}),
        "lon": ("lon", glon, {"units": "degrees_east"}),
    }
    dims = ("time", "lat", "lon")
    tas = np.broadcast_to(278 + 1.5 * season + 1.3 * weather, shape).astype("float32")
    pr = np.broadcast_to(np.maximum(weather + 2, 0) / DAY, shape).astype("float32")
    model = xr.Dataset(
        {"tas": (dims, tas, {"units": "K", "standard_name": "air_temperature"}),
         "pr": (dims, pr, {"units": "kg m-2 s-1", "standard_name": "precipitation_flux"})}, coords,
    )  # fmt: skip
    return observed, model


def test_a_cmip_like_file_comes_onto_a_fine_grid_by_one_command(tmp_path, capsys):
    """A 365-day calendar, longitudes from 0 to 360 over Greenwich, no whole ratio of the grids, chunks."""
    observed, model = grids()
    observed.to_netcdf(tmp_path / "fine.nc")
    model.chunk(time=200).to_zarr(tmp_path / "model.zarr", zarr_format=2)
    main(["adjust", "BCSD", str(tmp_path / "model.zarr"), str(tmp_path / "fine.nc"), str(tmp_path / "out.nc"),
          "--calibrate", "1950", "1952", "--option", "seasons=month"])  # fmt: skip
    made = physlab.open_dataset(tmp_path / "out.nc")
    assert made["tas"].shape == observed["tas"].shape and made["time"].dt.calendar == "noleap"
    np.testing.assert_allclose(made["tas"].mean("time"), observed["tas"].mean("time"), atol=0.1)
    np.testing.assert_allclose(made["tas"].std("time"), observed["tas"].std("time"), rtol=0.1)
    assert made["pr"].attrs["units"] == "kg m-2 s-1" and float(made["pr"].min()) >= 0
    np.testing.assert_allclose(86400 * made["pr"].mean("time"), observed["pr"].mean("time"), rtol=0.1)


@pytest.mark.slow
def test_large_results_are_lazy_and_the_same(monkeypatch):
    from physlab.downscale import disaggregate

    observed, model = grids()
    model = model.rename(lat="latitude", lon="longitude")
    whole = adjusted("BCSD", model, observed, options={"seasons": "month"})
    monkeypatch.setattr(disaggregate, "WHOLE", 1.0)
    monkeypatch.setattr(disaggregate, "PIECE", 4 * 12 * 22 * 200.0)
    lazy = adjusted("BCSD", model.chunk(time=300), observed.chunk(time=100), options={"seasons": "month"})
    assert len(lazy["tas"].chunksizes["time"]) > 3
    xr.testing.assert_allclose(lazy.compute(), whole, rtol=1e-4)


def test_area_means_are_those_of_blocks():
    import torch

    from physlab.downscale.regrid import Regrid
    from physlab.grid import Grid, coarsen

    fine = xr.Dataset(coords={"latitude": 40 + np.arange(8.0), "longitude": np.arange(12.0)})
    grid = Grid(fine["latitude"].values, fine["longitude"].values)
    coarse = xr.Dataset(coords={"latitude": 41.5 + 4 * np.arange(2.0), "longitude": 361.5 + 4 * np.arange(3.0)})
    x = xr.DataArray(np.random.default_rng(0).random((8, 12)), fine.coords, ("latitude", "longitude"))
    blocks = coarsen(torch.from_numpy(x.values), 4, torch.from_numpy(grid.area_weights))
    np.testing.assert_allclose(Regrid.between(fine, coarse).coarsen(x), blocks, rtol=1e-6)


# --- folders ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("calendar", ["noleap", "standard"])
@pytest.mark.parametrize("name", ["EQM", "DQM", "QDM", "MBCn", "BCSD"])
def test_a_fitted_one_is_kept_in_a_folder(name, calendar, tmp_path):
    """With gaps, stations by name, calendars and settings; what comes out is the same to the last bit."""
    if name == "BCSD":
        observed, model = grids(2, calendar)
        model = model.rename(lat="latitude", lon="longitude")
    else:
        time = days(3, calendar)
        observed = xr.merge([heat(285, 3, time, 1), rain(0.3, 2.0, time, 2)])
        observed["tas"][5:9, 1] = np.nan
        model = xr.merge([heat(280, 5, days(4, "360_day"), 3), rain(0.6, 3.0, days(4, "360_day"), 4)])
    method = physlab.load_model(name)
    method.seasons, method.nodes = "month", 20
    with pytest.raises(PhysLabError, match="not fitted"):
        method.save(tmp_path / "none")
    wanted = method.fit(observed, model).adjust(model)
    again = physlab.load_model(method.save(tmp_path / "kept"))
    assert type(again) is type(method) and (again.seasons, again.nodes) == ("month", 20)
    xr.testing.assert_identical(again.adjust(model), wanted)
    (tmp_path / "kept" / "model.safetensors").write_bytes(b"spoiled")
    with pytest.raises(PhysLabError, match="no adjustment in") as caught:
        physlab.load_model(tmp_path / "kept")
    assert "\n" not in str(caught.value)


def test_commands_keep_and_apply_one(tmp_path, capsys):
    time = days(4)
    heat(285, 3, time, 1).to_netcdf(tmp_path / "o.nc")
    heat(280, 5, time, 2).to_netcdf(tmp_path / "m.nc")
    heat(282, 5, days(2, first=1990), 3).to_netcdf(tmp_path / "later.nc")
    paths = {name: str(tmp_path / name) for name in ("o.nc", "m.nc", "later.nc", "a.nc", "b.nc", "c.nc", "one", "two")}
    years = ["--calibrate", "1950", "1952"]
    main(["adjust", "QDM", paths["later.nc"], paths["o.nc"], paths["a.nc"], "--historical", paths["m.nc"], *years,
          "--keep", paths["one"]])  # fmt: skip
    main(["fit", "QDM", paths["o.nc"], "--model", paths["m.nc"], "--output", paths["two"], *years])
    for folder, made in (("one", "b.nc"), ("two", "c.nc")):
        main(["adjust", paths[folder], paths["later.nc"], paths[made]])
        with xr.open_dataset(paths["a.nc"]) as a, xr.open_dataset(paths[made]) as b:
            np.testing.assert_array_equal(a["tas"], b["tas"])
    for words, command in {
        "is fitted: leave out --calibrate": ["adjust", paths["one"], paths["m.nc"], paths["a.nc"], *years],
        "no folder of a fitted adjustment": ["adjust", "QDM", paths["m.nc"], paths["a.nc"]],
        "fitted to two records": ["fit", "QDM", paths["o.nc"]],
    }.items():
        with pytest.raises(SystemExit):
            main(command)
        assert words in " ".join(capsys.readouterr().err.split())


# --- words ------------------------------------------------------------------------------------------------------------
def test_what_cannot_be_is_said_in_one_line(tmp_path):
    time = days(4)
    observed, model = heat(285, 3, time, 1), heat(280, 5, time, 2)
    cases = {
        "choose one of": lambda: QDM(seasons="winter"),
        "odd number": lambda: QDM(window=30),
        "not fitted": lambda: QDM().adjust(model),
        "at least two years": lambda: QDM().fit(observed.isel(time=slice(300)), model),
        "no time from 1900": lambda: adjusted("QDM", model, observed, calibrate=("1900", "1910")),
        "has no option 'windows'": lambda: adjusted("QDM", model, observed, options={"windows": "3"}),
        "did you mean QDM": lambda: adjusted("QDMM", model, observed),
        "rename one by mapping": lambda: QDM().fit(observed, rain(0.3, 2.0, time, 1)),
        "no dates": lambda: QDM().fit(observed, model.assign_coords(time=np.arange(time.size))),
        "no observations around": lambda: (
            QDM().fit(observed.sel(time=observed["time"].dt.month > 3), model).adjust(model)
        ),
        "bring both": lambda: QDM().fit(observed.isel(location=[0]), model.assign_coords(location=["x", "y"])),
        "regular latitude-longitude grid": lambda: adjusted(
            "BCSD", model.to_dataset(), observed.to_dataset(), calibrate=("1950", "1953")
        ),
    }
    for words, call in cases.items():
        with pytest.raises(PhysLabError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_they_are_known_by_name():
    listed = physlab.list_models().set_index("name")["kind"]
    for name in ("EQM", "DQM", "QDM", "MBCn", "BCSD"):
        assert listed[name] == "adjustment"
        assert type(physlab.load_model(name)).__name__ in (name, "Disaggregation")


@pytest.mark.slow
@pytest.mark.real_data
def test_a_model_of_the_world_comes_to_the_stations(real_data, tmp_path):
    """CanESM2 in kg m-2 s-1 and K of 365-day years; stations in mm day-1 and degC, with gaps."""
    folder = real_data / "xclim-stations"
    main(["adjust", "EQM", str(folder / "CanESM2_1950-2100.nc"), str(folder / "ahccd_1950-2013.nc"),
          str(tmp_path / "out.nc"), "--calibrate", "1950", "1980", "--period", "1950", "1980"])  # fmt: skip
    made = xr.open_dataset(tmp_path / "out.nc")
    truth = xr.open_dataset(folder / "ahccd_1950-2013.nc").sel(time=slice("1950", "1980"))
    assert made["pr"].attrs["units"] == "mm day-1" and made["tasmax"].attrs["units"] == "degC"
    there = truth["pr"].notnull()
    for limit in (0.1, 1.0):
        observed = (truth["pr"] > limit).where(there).mean("time")
        np.testing.assert_allclose((made["pr"] > limit).mean("time"), observed, atol=0.02)
    np.testing.assert_allclose(made["tasmax"].mean("time"), truth["tasmax"].mean("time"), atol=0.2)


def test_series_need_no_seasons_of_their_own():
    """A record of one place as plain arrays."""
    rng = np.random.default_rng(0)
    years = 2000 + np.arange(400) / 365.25
    o, h = rng.normal(3, 2, (400, 1)), rng.normal(0, 1, (400, 1))
    made = adjust_series("EQM", o, h, h, (years, years, years))
    assert abs(made.mean() - o.mean()) < 0.05 and abs(made.std() / o.std() - 1) < 0.05
