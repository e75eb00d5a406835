"""Small files of every format, made for the tests, whose values are known by a formula."""

from __future__ import annotations

from pathlib import Path

import eccodes
import numpy as np
import xarray as xr

LATITUDE = np.arange(58.0, 54, -0.5)
COUNTINGS = {
    "from 0": np.arange(0.0, 10),
    "from -180": np.arange(-8.0, 2),
    "over Greenwich": np.arange(-8.0, 2) % 360,
    "over the date line": (np.arange(175.0, 185) + 180) % 360 - 180,
    "single precision": (230 + 0.01 * np.arange(10)).astype("float32"),
    "falling": np.arange(9.0, -1, -1),
}
FORMATS = ("netcdf3", "netcdf4", "zarr2", "zarr3", "zarr.zip", "grib1", "grib2")


def truth(times: int = 3, longitude: np.ndarray = COUNTINGS["from 0"], latitude: np.ndarray = LATITUDE) -> np.ndarray:
    """(time, latitude, longitude), K: each place has its own value, which depends on where it is and not on its
    number."""
    lam, phi = np.deg2rad(longitude.astype(float)), np.deg2rad(latitude)
    base = 280 + 8 * np.sin(phi)[:, None] * np.cos(lam)[None]
    return base[None] + np.arange(times)[:, None, None]


def dataset(
    calendar: str = "standard", longitude: np.ndarray = COUNTINGS["from 0"], times: int = 3, **attrs
) -> xr.Dataset:
    """A temperature, t2m, in K, each 6 hours from 2001-02-27T12."""
    time = xr.date_range(
        "2001-02-27T12", periods=times, freq="6h", calendar=calendar, use_cftime=calendar != "standard"
    )
    coords = {"time": time, "latitude": ("latitude", LATITUDE, {"units": "degrees_north"}),
              "longitude": ("longitude", longitude, {"units": "degrees_east"})}  # fmt: skip
    field = (("time", "latitude", "longitude"), truth(times, longitude), {"units": "K", **attrs})
    return xr.Dataset({"t2m": field}, coords)


def write(ds: xr.Dataset, folder: Path, form: str, encoding: dict | None = None) -> Path:
    """A data set in one of FORMATS; in GRIB its t2m alone, with keys for its encoding."""
    if form.startswith("netcdf"):
        path = folder / "file.nc"
        kind = {"netcdf3": "NETCDF3_64BIT", "netcdf4": "NETCDF4"}[form]
        ds.to_netcdf(path, format=kind, engine="netcdf4", encoding=encoding)
    elif form.startswith("zarr"):
        path = folder / ("file.zarr.zip" if form == "zarr.zip" else "file.zarr")
        if form == "zarr.zip":
            import zarr

            with zarr.storage.ZipStore(path, mode="w") as store:
                ds.to_zarr(store, zarr_format=2, encoding=encoding)
        else:
            ds.to_zarr(path, mode="w", zarr_format=int(form[-1]), encoding=encoding, consolidated=form == "zarr2")
    else:
        path = folder / "file.grib"
        dates = ds["time"].values
        messages = [
            message(
                da.values,
                ds["latitude"].values,
                ds["longitude"].values,
                edition=int(form[-1]),
                shortName="2t",
                date=date,
                **(encoding or {}).get("t2m", {}),
            )
            for da, date in zip(ds["t2m"], dates, strict=True)
        ]
        path.write_bytes(b"".join(messages))
    return path


def message(
    values: np.ndarray, latitude: np.ndarray, longitude: np.ndarray, edition: int = 2,
    date: np.datetime64 | str = "2024-01-01T00", **keys,
) -> bytes:  # fmt: skip
    """One GRIB message on a regular grid."""
    level = "pl" if "level" in keys and keys.get("typeOfLevel", "isobaricInhPa") == "isobaricInhPa" else "sfc"
    handle = eccodes.codes_grib_new_from_samples(f"regular_ll_{level}_grib{edition}")
    try:
        lon = np.asarray(longitude, float) % 360
        day = str(np.datetime_as_string(np.datetime64(date), unit="m"))
        fixed = {
            "Ni": lon.size, "Nj": latitude.size, "latitudeOfFirstGridPointInDegrees": float(latitude[0]),
            "latitudeOfLastGridPointInDegrees": float(latitude[-1]),
            "longitudeOfFirstGridPointInDegrees": float(lon[0]),
            "longitudeOfLastGridPointInDegrees": float(lon[-1]),
            "iDirectionIncrementInDegrees": abs(float((longitude[1] - longitude[0] + 180) % 360 - 180)),
            "jDirectionIncrementInDegrees": abs(float(latitude[1] - latitude[0])),
            "jScansPositively": int(latitude[1] > latitude[0]),
            "iScansNegatively": int((longitude[1] - longitude[0]) % 360 > 180), "bitsPerValue": 24,
            "dataDate": int(day[:10].replace("-", "")), "dataTime": int(day[11:16].replace(":", "")),
        }  # fmt: skip
        for key, value in {**fixed, **keys}.items():
            eccodes.codes_set(handle, key, value)
        eccodes.codes_set(handle, "missingValue", 1e20)
        if np.isnan(values).any():
            eccodes.codes_set(handle, "bitmapPresent", 1)
        eccodes.codes_set_values(handle, np.where(np.isnan(values), 1e20, values).ravel().astype(float))
        return eccodes.codes_get_message(handle)
    finally:
        eccodes.codes_release(handle)
