"""From files to data sets with the names, units and signs of the library: one reader for each real data set.

Your own files go through :mod:`physlab.data.ingest`.

Names and units are those of :mod:`physlab.cf`. ECMWF counts vertical fluxes positive downward and water in metres;
PhysLab counts evaporation positive upward and water in kg m-2, so :func:`ecmwf_conventions` turns `e` and `tp` around
where the units say "m".
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from physlab.cf import VARIABLES
from physlab.constants import GRAVITY, WATER_DENSITY
from physlab.data.ingest.door import open_path as open_path
from physlab.errors import FieldError, one_line
from physlab.fields import standardise

GRIB_SUFFIXES = (".grib", ".grib1", ".grib2", ".grb", ".grb2")
NETCDF_SUFFIXES = (".nc", ".nc4", ".netcdf", ".cdf", ".h5")
STORM_USABLE = ((0, 11), (22, 32), (38, 61))
"""First and last step of the continuous intervals of `storm1996`."""


def merge_files(paths: Sequence[Path]) -> xr.Dataset:
    """NetCDF files with different variables on the same coordinates, or consecutive times of the same ones, as one
    Dataset."""
    parts = [xr.open_dataset(path) for path in paths]
    try:
        merged = xr.combine_by_coords(
            parts,
            join="outer",
            combine_attrs="drop_conflicts",
            data_vars="minimal",
            coords="minimal",
            compat="no_conflicts",
        )
    except ValueError as error:
        reason = one_line(error)
        raise FieldError(
            f"the files in '{paths[0].parent}' do not fit together ({reason}): open them one by one"
        ) from None
    assert isinstance(merged, xr.Dataset)  # of data sets
    return merged


def open_grib(path: Path, **keys: object) -> xr.Dataset:
    """A GRIB file read through cfgrib, without index files beside it; `keys` select messages (typeOfLevel=...,
    shortName=...)."""
    backend: dict[str, object] = {"indexpath": "", "errors": "raise"}
    if keys:
        backend["filter_by_keys"] = keys
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        ds = xr.open_dataset(path, engine="cfgrib", backend_kwargs=backend)
    spare = [
        c
        for c in ("step", "surface", "valid_time", "meanSea", "heightAboveGround", "atmosphereSingleLayer")
        if c in ds.coords
    ]
    spare += [c for c in ("number",) if c in ds.coords and ds[c].ndim == 0]
    return ds.drop_vars(spare)


def tidy(ds: xr.Dataset) -> xr.Dataset:
    """CF attributes of the coordinates and of the variables that the library knows; "m s-1" in place of "m s**-1"."""
    for name in ds.data_vars:
        attrs = {key: value for key, value in ds[name].attrs.items() if not key.startswith("GRIB_")}
        if attrs.get("standard_name") == "unknown":
            del attrs["standard_name"]
        if "units" in attrs:
            attrs["units"] = str(attrs["units"]).replace("**", "")
        known = VARIABLES.get(str(name), {})
        same_units = attrs.get("units", known.get("units")) == known.get("units")
        ds[name].attrs = {**attrs, **known} if known and same_units else attrs
    if "level" in ds.coords:
        ds["level"].attrs = {
            "standard_name": "air_pressure",
            "long_name": "pressure",
            "units": "hPa",
            "positive": "down",
        }
    if "time" in ds.coords:
        ds["time"].attrs = {"standard_name": "time", "long_name": "time"}
    ds.attrs = {key: value for key, value in ds.attrs.items() if not key.startswith("GRIB_")}
    return ds


def ecmwf_conventions(ds: xr.Dataset) -> xr.Dataset:
    """Precipitation `tp` and evaporation `e` in metres (ECMWF: positive downward) -> kg m-2, evaporation positive
    upward."""
    for name, sign in (("tp", 1.0), ("e", -1.0)):
        if name in ds and str(ds[name].attrs.get("units", "")).lower() in (
            "m",
            "m of water equivalent",
            "metre",
            "metres",
        ):
            ds[name] = (sign * WATER_DENSITY * ds[name]).assign_attrs(VARIABLES[name])
    return ds


# --- the real data sets of the catalogue ----------------------------------------
def read_uk_t2m(paths: Sequence[Path]) -> xr.Dataset:
    """`era5-uk-t2m`: t2m (time=744, latitude=33, longitude=49) in K, hourly, March 2019."""
    return tidy(standardise(open_grib(paths[0])))


def read_moisture(paths: Sequence[Path]) -> xr.Dataset:
    """`era5-moisture`: the files of one day merged.

    q (kg kg-1), u, v (m s-1) on 20 levels in hPa, rising; tcw (kg m-2), sp (Pa), d2m (K), u10, v10 (m s-1); tp and e
    in kg m-2 accumulated over the hour before the time stamp, e positive upward. Negative e is dew or frost.
    """
    return tidy(ecmwf_conventions(standardise(merge_files(paths))))


def read_ensemble(paths: Sequence[Path]) -> xr.Dataset:
    """`era5-ensemble`: z (m2 s-2), t (K) of 10 members x 4 times at 850 and 500 hPa, 3 degrees, global."""
    return tidy(standardise(open_grib(paths[0])))


def read_upper_air(paths: Sequence[Path]) -> xr.Dataset:
    """`era5-upper-air`: z, t, u, v, q, r, pv for 3 hours on 9 levels from 100 to 350 hPa."""
    return tidy(standardise(xr.open_dataset(paths[0])))


def read_interim(paths: Sequence[Path]) -> xr.Dataset:
    """`erainterim-uvz`: monthly means of z, u, v at 200, 500, 850 hPa; `month` (1 and 7) stands in for a time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xr.SerializationWarning)
        ds = xr.open_dataset(paths[0])
    ds["month"].attrs = {"long_name": "month of the year", "units": "1"}
    return tidy(standardise(ds))


def read_storm(paths: Sequence[Path]) -> xr.Dataset:
    """`storm1996`: six-hourly u, v (m s-1), t (K), msl (Pa), u500, v500 (m s-1), 33 x 36 over North America.

    The corners outside a trapezoid (narrow in the south, whole from 55 N) are missing at all steps, a few fields are
    missing altogether, and the record jumps between its pieces; `usable` (time) marks the three continuous intervals
    (0-11, 22-32, 38-61).
    """
    names = {"Pstorm": {"p": "msl"}, "U500storm": {"u": "u500"}, "V500storm": {"v": "v500"}}
    parts = []
    for path in paths:
        part = xr.open_dataset(path, decode_times=False).rename(names.get(Path(path).stem, {}))
        reference = np.datetime64(bytes(part["reftime"].values).decode()[:10].replace(" ", "-"), "ns")
        time = reference + part["timestep"].values.astype("timedelta64[h]")
        parts.append(part.drop_vars("reftime").rename(timestep="time").assign_coords(time=time))
    ds = xr.merge(parts, compat="override", join="exact")
    steps = np.arange(ds.sizes["time"])
    usable = np.any([(steps >= first) & (steps <= last) for first, last in STORM_USABLE], axis=0)
    ds = ds.assign_coords(usable=("time", usable, {"long_name": "step belongs to a complete interval"}))
    attrs = {
        "msl": ("air_pressure_at_mean_sea_level", "mean sea level pressure", "Pa"),
        "t": ("air_temperature", "temperature near the surface", "K"),
        "u": ("eastward_wind", "eastward wind near the surface", "m s-1"),
        "v": ("northward_wind", "northward wind near the surface", "m s-1"),
        "u500": ("eastward_wind", "eastward wind at 500 hPa", "m s-1"),
        "v500": ("northward_wind", "northward wind at 500 hPa", "m s-1"),
    }
    for name, (standard, long, units) in attrs.items():
        ds[name].attrs = {"standard_name": standard, "long_name": long, "units": units}
    return tidy(standardise(ds))


def read_nam(paths: Sequence[Path]) -> xr.Dataset:
    """`nam-snapshot`: u, v (m s-1, relative to the grid), t (K), z (m2 s-2), r (%) on 19 levels; tcwv (precipitable
    water, kg m-2), sp, orog (m).

    A Lambert conformal grid of 81.271 km: latitude and longitude have two dimensions (y, x), so it takes the plane
    operators (``Grid.plane(dx, dy, shape, periodic=False)`` with the attributes `dx`, `dy` of the data set).
    """
    levels = open_grib(paths[0], typeOfLevel="isobaricInhPa", shortName=["u", "v", "t", "gh", "r"])
    water = open_grib(paths[0], shortName="pwat")["pwat"]
    surface = open_grib(paths[0], typeOfLevel="surface", shortName=["sp", "orog"])
    ds = levels.rename(isobaricInhPa="level", gh="z").assign(tcwv=water, sp=surface["sp"], orog=surface["orog"])
    spacing = {"dx": float(water.attrs["GRIB_DxInMetres"]), "dy": float(water.attrs["GRIB_DyInMetres"])}
    ds["z"] = (GRAVITY * ds["z"]).assign_attrs(units="m2 s-2")
    ds["tcwv"].attrs = {
        "standard_name": "atmosphere_mass_content_of_water_vapor",
        "long_name": "precipitable water",
        "units": "kg m-2",
    }
    ds["orog"].attrs = dict(VARIABLES["orog"])
    ds.attrs = {"Conventions": "CF-1.7", "grid": "Lambert conformal, standard parallel 25 N, 265 E", **spacing}
    return tidy(ds)
