"""The vocabulary of the library: its variables, and how it finds coordinates in a data set (CF conventions 1.11).

Lowest in the import order, so that both :mod:`physlab.grid` and :mod:`physlab.fields` can use it.
"""

from __future__ import annotations

import re

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


OTHERS = frozenset({"grid_latitude", "grid_longitude", "projection_x_coordinate", "projection_y_coordinate",
                    "forecast_reference_time", "forecast_period"})  # fmt: skip
"""Standard names of coordinates that are none of :data:`COORDINATES`, whatever they are called."""


def find_coordinate(ds, kind: str) -> str | None:
    """Name of the coordinate of `kind` in an xarray object, or None.

    It is known by its standard_name, else by a common name, its units, or its CF axis, in this order; what has the
    standard name or, of a level, the units of something else is not.

    Only coordinates with dimensions count (a scalar `valid_time` beside `time` does not), one-dimensional ones first.
    """
    known = COORDINATES[kind]
    dims_first = list(ds.dims)
    pool = dims_first + [n for n in ds.coords if n not in ds.dims and ds[n].ndim > 0]

    def attribute(name, key):
        return str(ds[name].attrs.get(key, "")).strip().lower()

    def may_be(name) -> bool:
        if name not in ds.coords:
            return True
        standard, units = attribute(name, "standard_name"), attribute(name, "units")
        if kind == "level":
            return standard in ("", "air_pressure") and units in (
                "",
                "1",
                "pa",
                "pascal",
                "level",
                "levels",
                *known["units"],
            )
        return standard not in OTHERS

    for candidates in ([n for n in dims_first if may_be(n)], [n for n in pool if may_be(n)]):
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


def is_projected(ds) -> bool:
    """Whether an xarray object lies on a projected or curvilinear grid: dims y and x, latitude and longitude (y, x)."""
    placed = all(name in ds.coords and set(ds[name].dims) == {"y", "x"} for name in ("latitude", "longitude"))
    return placed and "y" in ds.coords and "x" in ds.coords


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


# --- what kind of quantity --------------------------------------------------------------------------------------------
KINDS = ("state", "amount", "flux", "fraction", "flag", "mask")
"""What :func:`kind` tells. `state` may have any value and varies smoothly (temperature, pressure, wind, height);
`amount` cannot be negative (rain as amount or rate, humidity, column water, snow, speed); `flux` has a sign (heat,
radiation, evaporation, transport); `fraction` lies within 0 and 1 or 0 and 100 % (cloud, sea ice, share of land);
`flag` is a class or a set of bits and `mask` is yes or no: neither may be averaged or interpolated."""

_STATES = frozenset({"air_temperature", "air_pressure", "surface_air_pressure", "geopotential", "surface_altitude"})
_KIND_BY_STANDARD_NAME = (
    ("mask", r"(^|_)binary_mask$"),
    ("flag", r"(^|_)(status_flag|quality_flag|area_type|soil_type|land_cover|vegetation_type)$|_(flag|test)$|^region$"),
    ("fraction", r"(^|_)(area_fraction|fraction|probability.*|albedo|emissivity)$"),
    ("state", r"potential_vorticity|convective_available_potential|convective_inhibition|tendency_of"),
    (
        "flux",
        r"(heat|radiative|shortwave|longwave|momentum|moisture|carbon).*_flux|_stress$|_transport|_energy_content",
    ),
    ("flux", r"evaporation|evapotranspiration|integral_wrt_time_of_surface"),
    ("amount", r"precipitation|rainfall|snow|humidity|water_content|content_of|runoff|drainage|lwe_thickness"),
    (
        "amount",
        r"_mixing_ratio|mass_concentration|mole_fraction|mass_fraction|(^|_)speed(_|$)|visibility|wave_.*height",
    ),
)
_KIND_BY_NAME = (
    ("mask", r"(^|_)mask(_|$)|^land$"),
    ("flag", r"(^|_)(flags?|qc|quality|class|classes|type|ptype|slt|tvl|tvh)(_|$)"),
    (
        "fraction",
        r"^(lsm|land_sea_mask|sftlf|sftgif|clt|cl|tcc|lcc|mcc|hcc|cc|siconc|sic|ci|fal|cvl|cvh)$|cloud_?(cov|fra)",
    ),
    ("flux", r"^(e|evap|evspsbl|pev|slhf|sshf|hfls|hfss|lh|hfx|ssr|str|tsr|ttr|rsns|rlns|rsut|rlut|swdown|glw)$"),
    ("flux", r"^(rsds|rsus|rlds|rlus|ssrd|strd|tauu|tauv|ewss|nsss|ivt_?[uv]|viwv[en])$"),
    ("amount", r"^(tp(_?\d+h?)?|cp|lsp|pr|prc|prsn|prw|sf|rain.*|precip.*|mtpr|tprate|prate|rr|ro|mrro|mrros)$"),
    ("amount", r"^(snow.*|sd|snd|snw|swe|q\d*|hus|huss|hur|hurs|r\d*|rh\d*|tcwv?|tciw|tclw|tcrw|tcsw|pwat)$"),
    ("amount", r"^(clwc|ciwc|crwc|cswc|q(v|c|r|i|s|g)(apor|loud|ain|ce|now|raup)?|swvl\d|pm\d+.*|o3|tco3|swh)$"),
    ("amount", r"^(si10|ws\d*|wspd|wind_?speed|sfcwind)$"),
)


def kind(da) -> str:
    """What kind of quantity a field is: "state", "amount", "flux", "fraction", "flag" or "mask", see :data:`KINDS`.

    By its attributes (flag_values, flag_masks, flag_meanings), its CF standard name, its type (booleans, and whole
    numbers without a unit), its name, and "state" if nothing speaks.

    Parameters
    ----------
    da : an xarray DataArray; its values are not read.
    """
    attrs = {str(key).lower(): value for key, value in da.attrs.items()}
    standard, name = str(attrs.get("standard_name", "")).strip().lower(), str(da.name or "").strip().lower()
    units = str(attrs.get("units", "")).strip().lower()
    of_standard = _kind_of(standard, _KIND_BY_STANDARD_NAME)
    if of_standard == "mask" or da.dtype.kind == "b":
        return "mask"
    if any(key in attrs for key in ("flag_values", "flag_masks", "flag_meanings")):
        meanings = str(attrs.get("flag_meanings", "")).split()
        return "mask" if len(meanings) == 2 and "flag_masks" not in attrs else "flag"
    if standard in _STATES:
        return "state"
    if of_standard:
        return of_standard
    of_name = _kind_of(name, _KIND_BY_NAME) if standard in ("", "unknown") or name in VARIABLES else ""
    if of_name:
        return of_name
    return "flag" if da.dtype.kind in "iu" and units in ("", "1", "none", "-") and not standard else "state"


def _kind_of(text: str, rules) -> str:
    return next((kind for kind, pattern in rules if text and re.search(pattern, text)), "")


def non_negative(da) -> bool:
    """Whether a field cannot be negative: an amount, a fraction, or a radiation that goes one way."""
    standard = str(da.attrs.get("standard_name", "")).lower()
    return kind(da) in ("amount", "fraction") or bool(
        re.search(r"(downwelling|upwelling|incoming|outgoing)_\w*flux", standard)
    )


# --- what a result may take over --------------------------------------------------------------------------------------
OF_THE_VALUES = (
    "valid_range", "valid_min", "valid_max", "actual_range", "scale_factor", "add_offset", "_FillValue",
    "missing_value", "_Unsigned", "dtype", "_ChunkSizes", "compress", "least_significant_digit", "_ARRAY_DIMENSIONS",
    "_eos_attrs",
)  # fmt: skip
"""Attributes that say how the values of the input were stored or how far they reach."""
LINKS = ("ancillary_variables", "bounds", "cell_measures", "climatology", "coordinates", "formula_terms")
"""Attributes that name other variables of the input."""


def inherited(attrs) -> dict:
    """What of the attributes of an input variable is true of a result on another grid or with other values.

    Links to grid mappings stay: whoever builds the result keeps the mapping or drops the link.
    """
    lost = {*OF_THE_VALUES, *LINKS}
    return {key: value for key, value in attrs.items() if key not in lost and not str(key).startswith("GRIB_")}


def named(name: str, attrs) -> dict:
    """:func:`inherited`, with the names that the library has for a variable where the units say that it is that one."""
    own, known = inherited(attrs), VARIABLES.get(name, {})
    return {**known, **own} if own.get("units") == known.get("units") else own
