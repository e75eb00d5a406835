"""The vocabulary of the library: its variables, and how it finds coordinates in a data set (CF conventions 1.11).

Lowest in the import order, so that both :mod:`physlab.grid` and :mod:`physlab.fields` can use it.
"""

from __future__ import annotations

from physlab.errors import FieldError

VARIABLES: dict[str, dict[str, str]] = {
    "tcw": {"standard_name": "atmosphere_mass_content_of_water", "long_name": "total column water", "units": "kg m-2"},
    "t2m": {"standard_name": "air_temperature", "long_name": "2-metre temperature", "units": "K"},
    "sp": {"standard_name": "surface_air_pressure", "long_name": "surface pressure", "units": "Pa"},
    "u": {"standard_name": "eastward_wind", "long_name": "eastward wind", "units": "m s-1"},
    "v": {"standard_name": "northward_wind", "long_name": "northward wind", "units": "m s-1"},
    "t": {"standard_name": "air_temperature", "long_name": "temperature", "units": "K"},
    "q": {"standard_name": "specific_humidity", "long_name": "specific humidity", "units": "kg kg-1"},
    "z": {"standard_name": "geopotential", "long_name": "geopotential", "units": "m2 s-2"},
    "pv": {"standard_name": "ertel_potential_vorticity", "long_name": "potential vorticity", "units": "K m2 kg-1 s-1"},
    "t_low": {"standard_name": "air_temperature", "long_name": "temperature of the lowest layer", "units": "K"},
    "u_low": {"standard_name": "eastward_wind", "long_name": "eastward wind of the lowest layer", "units": "m s-1"},
    "v_low": {"standard_name": "northward_wind", "long_name": "northward wind of the lowest layer", "units": "m s-1"},
    "ivt_u": {
        "standard_name": "eastward_atmosphere_water_transport_across_unit_distance",
        "long_name": "eastward column flux of water vapour",
        "units": "kg m-1 s-1",
    },
    "ivt_v": {
        "standard_name": "northward_atmosphere_water_transport_across_unit_distance",
        "long_name": "northward column flux of water vapour",
        "units": "kg m-1 s-1",
    },
    "tp": {"standard_name": "precipitation_amount", "long_name": "precipitation of the hour before", "units": "kg m-2"},
    "e": {
        "standard_name": "water_evapotranspiration_amount",
        "long_name": "evaporation of the hour before, positive upward",
        "units": "kg m-2",
    },
    "orog": {"standard_name": "surface_altitude", "long_name": "height of the surface", "units": "m"},
    "land": {"standard_name": "land_binary_mask", "long_name": "land mask, 1 over land", "units": "1"},
}
"""Short name -> CF attributes of every variable that PhysLab makes or trains on."""

COORDINATES: dict[str, dict[str, tuple[str, ...]]] = {
    "latitude": {
        "standard_name": ("latitude",),
        "units": ("degrees_north", "degree_north", "degrees_n", "degree_n", "degreesn", "degreen"),
        "names": ("latitude", "lat", "lats", "nav_lat", "xlat"),
    },
    "longitude": {
        "standard_name": ("longitude",),
        "units": ("degrees_east", "degree_east", "degrees_e", "degree_e", "degreese", "degreee"),
        "names": ("longitude", "lon", "lons", "nav_lon", "xlong"),
    },
    "time": {"standard_name": ("time",), "units": (), "names": ("time", "valid_time", "date", "datetime")},
    "level": {
        "standard_name": ("air_pressure",),
        "units": ("hpa", "millibar", "millibars", "mbar", "mb"),
        "names": ("level", "isobaricinhpa", "pressure_level", "pressure", "plev", "lev", "levels"),
    },
    "member": {
        "standard_name": ("realization",),
        "units": (),
        "names": ("member", "number", "realization", "ensemble", "ens"),
    },
}
"""Canonical coordinate -> CF standard names, units and common names (lower case) by which it is recognised."""

AXES = {"latitude": "Y", "longitude": "X", "time": "T"}


def find_coordinate(ds, kind: str) -> str | None:
    """Name of the coordinate of `kind` in an xarray object, or None.

    It is known by its standard_name, else by a common name, its units, or its CF axis, in this order.

    Only coordinates with dimensions count (a scalar `valid_time` beside `time` does not), one-dimensional ones first.
    """
    known = COORDINATES[kind]
    dims_first = list(ds.dims)
    pool = dims_first + [n for n in ds.coords if n not in ds.dims and ds[n].ndim > 0]

    def attribute(name, key):
        return str(ds[name].attrs.get(key, "")).strip().lower()

    for candidates in (dims_first, pool):
        for name in candidates:
            if name in ds.coords and attribute(name, "standard_name") in known["standard_name"]:
                return name
        for name in candidates:
            if str(name).lower() in known["names"]:
                return name
        for name in candidates:
            if name in ds.coords and attribute(name, "units") in known["units"]:
                return name
        for name in candidates:
            if name in ds.coords and kind in AXES and attribute(name, "axis") == AXES[kind].lower():
                return name
    return None


def horizontal_name(ds, kind: str) -> str:
    """Name of the one-dimensional "latitude" or "longitude" coordinate, or a FieldError that says what to do."""
    name = find_coordinate(ds, kind)
    dims = [str(d) for d in ds.dims]
    found = f"no {kind} coordinate: found dims ({', '.join(dims) or 'none'})"
    if name is None:
        guess = dims[-2 if kind == "latitude" else -1] if len(dims) > 1 else "y" if kind == "latitude" else "x"
        raise FieldError(
            f"{found} without standard_name, units or name of a {kind}; rename it or pass "
            f"mapping={{'{guess}': '{kind}'}}"
        )
    if name not in ds.coords:
        raise FieldError(
            f"{found}, but '{name}' has no values; add them in degrees with ds.assign_coords({name}=[...])"
        )
    if ds[name].ndim != 1:
        raise FieldError(
            f"{kind} coordinate '{name}' has dims {tuple(ds[name].dims)}: a curvilinear grid is not supported; "
            "interpolate to a regular latitude-longitude grid first"
        )
    return name


def latitude_name(ds) -> str:
    """Name of the latitude coordinate of a Dataset or DataArray."""
    return horizontal_name(ds, "latitude")


def longitude_name(ds) -> str:
    """Name of the longitude coordinate of a Dataset or DataArray."""
    return horizontal_name(ds, "longitude")
