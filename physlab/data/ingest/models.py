"""The map of a file that names it in words of its own: WRF in global attributes, GRIB in those of each field."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from physlab import projection

NCEP_RADII = (6371229.0, 6367470.0, 6371200.0, 6370000.0)
WRF_RADIUS = 6370000.0


def map_of_model(ds: xr.Dataset) -> dict | None:
    """The map that WRF writes into global attributes, and GRIB into those of each field."""
    kind = ds.attrs.get("MAP_PROJ")
    if kind is not None and "STAND_LON" in ds.attrs:
        return _wrf(ds.attrs, int(np.atleast_1d(kind)[0]))
    for da in ds.data_vars.values():
        if "GRIB_gridType" in da.attrs:
            return _grib(da.attrs, ds)
    return None


def _wrf(attrs: Mapping, kind: int) -> dict | None:
    def number(name: str, default: float = 0.0) -> float:
        return float(np.atleast_1d(attrs.get(name, default))[0])

    one, two = number("TRUELAT1"), number("TRUELAT2")
    origin, meridian = number("MOAD_CEN_LAT", number("CEN_LAT")), number("STAND_LON")
    sphere = {"earth_radius": WRF_RADIUS, "false_easting": 0.0, "false_northing": 0.0}
    if kind == 1:
        return {
            "grid_mapping_name": "lambert_conformal_conic",
            "standard_parallel": sorted({one, two if abs(two) <= 90 else one}),
            "latitude_of_projection_origin": origin,
            "longitude_of_central_meridian": meridian,
            **sphere,
        }
    if kind == 2:
        return {
            "grid_mapping_name": "polar_stereographic",
            "straight_vertical_longitude_from_pole": meridian,
            "latitude_of_projection_origin": 90.0 if one >= 0 else -90.0,
            "standard_parallel": one,
            **sphere,
        }
    if kind == 3:
        return {
            "grid_mapping_name": "mercator",
            "standard_parallel": one,
            "longitude_of_projection_origin": meridian,
            **sphere,
        }
    return None


def _grib(attrs: Mapping, ds: xr.Dataset) -> dict | None:
    """The map of a GRIB grid; of the radii of the Earth that centres use, the one that makes its rows and columns
    even."""
    kind = attrs["GRIB_gridType"]

    def value(name: str) -> float:
        return float(attrs[f"GRIB_{name}InDegrees"])

    try:
        if kind == "lambert":
            made = {
                "grid_mapping_name": "lambert_conformal_conic",
                "standard_parallel": sorted({value("Latin1"), value("Latin2")}),
                "latitude_of_projection_origin": value("LaD"),
                "longitude_of_central_meridian": value("LoV"),
            }
        elif kind == "polar_stereographic":
            south = float(attrs.get("GRIB_projectionCentreFlag", 0) or 0) >= 128
            made = {"grid_mapping_name": "polar_stereographic", "standard_parallel": value("LaD"),
                    "straight_vertical_longitude_from_pole": value("orientationOfTheGrid"),
                    "latitude_of_projection_origin": -90.0 if south else 90.0}  # fmt: skip
        elif kind == "rotated_ll":
            turn = float(attrs.get("GRIB_angleOfRotationInDegrees", attrs.get("GRIB_angleOfRotation", 0)) or 0)
            return {"grid_mapping_name": "rotated_latitude_longitude", "north_pole_grid_longitude": turn,
                    "grid_north_pole_latitude": -value("latitudeOfSouthernPole"),
                    "grid_north_pole_longitude": (value("longitudeOfSouthernPole") + 360) % 360 - 180}  # fmt: skip
        elif kind == "lambert_azimuthal_equal_area":
            made = {"grid_mapping_name": "lambert_azimuthal_equal_area", "latitude_of_projection_origin":
                    float(attrs["GRIB_standardParallelInDegrees"]), "longitude_of_projection_origin":
                    float(attrs["GRIB_centralLongitudeInDegrees"])}  # fmt: skip
        else:
            return None
    except KeyError:
        return None
    if "latitude" not in ds.coords or ds["latitude"].ndim != 2:
        return None
    for radius in NCEP_RADII:
        mapping = {**made, "earth_radius": radius, "false_easting": 0.0, "false_northing": 0.0}
        found = projection.axes(projection.crs_of(mapping), ds["latitude"].values, ds["longitude"].values)
        spacing = float(attrs.get("GRIB_DxInMetres") or np.nan)
        if found is not None and (not np.isfinite(spacing) or abs(abs(np.diff(found[1])[0]) / spacing - 1) < 2e-5):
            return mapping
    return {**made, "earth_radius": NCEP_RADII[0], "false_easting": 0.0, "false_northing": 0.0}
