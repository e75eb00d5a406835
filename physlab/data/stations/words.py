"""What people call the columns of a station table, and what unit a name implies.

>>> heading("Temperatur [°C]")
Heading(name='temperatur', role='', variable='t', units='°C')
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

ROLES: dict[str, tuple[str, ...]] = {
    "latitude": ("lat", "latitude", "lats", "breite", "breitengrad", "geogr_breite", "geobreite",
                 "geographische_breite", "latitud", "nav_lat", "decimallatitude", "station_lat",
    "station_latitude", "y_lat", "latitude_deg"), "longitude": ("lon", "longitude", "lons", "long", "lng",
                  "laenge", "laengengrad", "geogr_laenge", "geolaenge", "geographische_laenge", "longitud",
                  "nav_lon", "decimallongitude", "station_lon", "station_longitude", "x_lon", "longitude_deg"),
    "elevation": ("elev", "elevation", "alt", "altitude", "height", "hoehe", "stationshoehe", "station_height",
                  "station_elevation", "station_altitude", "height_above_sea_level", "surface_altitude",
                  "hgt_station", "hoehe_nn", "height_asl", "elevation_of_station", "station_elev", "asl", "amsl"),
    "station": ("station", "station_id", "stationid", "stations_id", "id", "stid", "station_name", "stationname",
                "name", "wmo", "wmo_id", "wigos_id", "icao", "call_sign", "site", "site_id", "ort", "stationsname",
                "usaf", "stn", "station_code", "platform", "platform_id", "ident", "identifier", "metar_id"),
    "variable": ("variable", "var", "parameter", "param", "element", "quantity", "observable", "varname", "groesse",
                 "parameter_name", "variable_name"),
    "level": ("level", "lev", "plev", "pressure_level", "p_level", "isobaricinhpa", "levels", "druckniveau",
              "druckflaeche"),
    "value": ("value", "val", "obs", "observation", "obsvalue", "obs_value", "observed", "measurement", "wert",
              "messwert", "data_value", "observed_value", "observation_value"),
    "error": ("error", "err", "std", "sigma", "stddev", "std_dev", "uncertainty", "obs_error", "obserr", "obs_err",
              "fehler", "unsicherheit", "standard_deviation", "sd", "observation_error", "obs_std", "stdev"),
    "units": ("units", "unit", "einheit", "uom", "einheiten"),
    "time": ("time", "datetime", "date_time", "timestamp", "valid", "valid_time", "obstime", "obs_time", "date",
             "datum", "zeit", "zeitpunkt", "utc", "time_utc", "date_utc", "dateutc", "mess_datum", "report_time",
             "reporttime", "observation_time", "zeitstempel", "datetime_utc", "utc_time", "observed_at",
             "obs_datetime", "valid_utc", "beobachtungszeit"),
    "clock": ("clock", "hhmm", "time_of_day", "uhrzeit", "hour_minute"),
    "year": ("year", "jahr", "yyyy"), "month": ("month", "monat", "mon"), "day": ("day", "tag"),
    "hour": ("hour", "stunde", "hh", "hr"), "minute": ("minute",),
    "zone": ("timezone", "time_zone", "tz", "utc_offset", "zeitzone"),
}  # fmt: skip
"""Role of a column -> names, as :func:`key` spells them."""

QUALITY = (
    "qc",
    "qf",
    "flag",
    "quality",
    "qc_flag",
    "quality_flag",
    "flags",
    "qn",
    "qflag",
    "qual",
    "quality_code",
    "qcflag",
    "quality_control_flag",
    "quality_level",
    "qualitaet",
    "qualitaetsniveau",
    "qn_9",
    "qn_3",
    "qn_8",
    "qcc",
)  # fmt: skip """Names of columns that say how good a row is; NAME_qc and qc_NAME say it of one variable."""

VARIABLES: dict[str, tuple[str, ...]] = {
    "t2m": ("t2m", "2t", "tas", "t_2m", "temp_2m", "temp2m", "air_temperature_2m", "temperature_2m",
            "2_metre_temperature", "2m_temperature", "tmpc", "tmpf", "tmpk", "tt_tu", "lufttemperatur",
    "screen_temperature"), "t": ("t", "ta", "temp", "temperature", "air_temperature", "airtemp", "air_temp", "tt",
    "tmp", "temperatur", "tair"), "d2m": ("d2m", "2d", "td_2m", "dewpoint_2m", "2m_dewpoint_temperature",
    "2_metre_dewpoint_temperature", "dwpc", "dwpf"), "td": ("td", "dewpoint", "dew_point", "dew", "dewp", "dpt",
           "taupunkt", "dewpoint_temperature", "dew_point_temperature", "tdew", "taupunkttemperatur"),
    "rh": ("rh", "r", "relh", "rhum", "relative_humidity", "hurs", "hur", "r2", "rh_2m", "rf_tu", "feuchte",
           "relfeuchte", "relative_feuchte", "humidity", "rf"),
    "q": ("q", "hus", "specific_humidity", "spfh"),
    "q2m": ("q2m", "huss", "q2", "2m_specific_humidity", "sh2"),
    "sp": ("sp", "ps", "surface_pressure", "surface_air_pressure", "station_pressure", "stationsdruck",
           "p_station", "stp", "stnp", "pres_station", "pressure_station_level"),
    "msl": ("msl", "mslp", "slp", "psl", "prmsl", "sea_level_pressure", "mean_sea_level_pressure",
            "air_pressure_at_mean_sea_level", "air_pressure_at_sea_level", "pmsl", "p0", "qff"),
    "wind_speed": ("ws", "wspd", "wind_speed", "windspeed", "ff", "sknt", "sfcwind", "ff10", "si10", "wind_spd",
                   "windgeschwindigkeit", "ws10", "10si", "wsp"),
    "wind_direction": ("wd", "wdir", "drct", "wind_direction", "wind_dir", "winddir", "dd", "wind_from_direction",
                       "winddirection", "windrichtung", "wd10", "wdir10", "dd10"),
    "u10": ("u10", "uas", "10u", "u_10m", "u10m", "10m_u_component_of_wind"),
    "v10": ("v10", "vas", "10v", "v_10m", "v10m", "10m_v_component_of_wind"),
    "u": ("u", "ua", "eastward_wind", "u_wind", "ugrd", "uwnd", "u_component_of_wind"),
    "v": ("v", "va", "northward_wind", "v_wind", "vgrd", "vwnd", "v_component_of_wind"),
    "z": ("z", "geopotential", "gh", "zg", "geopotential_height", "hgt", "geopot"),
    "tcw": ("tcw", "total_column_water", "atmosphere_mass_content_of_water"),
    "tcwv": ("tcwv", "pwv", "iwv", "pwat", "precipitable_water", "total_column_water_vapour", "prw",
             "atmosphere_mass_content_of_water_vapor", "integrated_water_vapour"),
    "tp": ("tp", "pr", "precip", "precipitation", "rain", "rainfall", "niederschlag", "precipitation_amount",
           "total_precipitation", "prcp", "rr"),
}  # fmt: skip
"""Quantity -> its names. `t`, `td`, `u`, `v`, `q` and `rh` are those of any height: near the ground without a level."""

PRESSURE = ("pressure", "pres", "p", "air_pressure", "druck", "luftdruck", "press")
"""A pressure that may be a level (of a sounding) or a surface pressure (of a station)."""

UNITS: dict[str, str] = {
    "t2m": "K", "t": "K", "d2m": "K", "td": "K", "rh": "1", "q": "kg kg-1", "q2m": "kg kg-1", "sp": "Pa", "msl": "Pa",
    "wind_speed": "m s-1", "wind_direction": "degree", "u10": "m s-1", "v10": "m s-1", "u": "m s-1", "v": "m s-1",
    "z": "m2 s-2", "tcw": "kg m-2", "tcwv": "kg m-2", "tp": "kg m-2",
}  # fmt: skip
"""Quantity -> the unit of the library."""

RANGES: dict[str, tuple[float, float]] = {
    "t2m": (170.0, 340.0), "t": (130.0, 340.0), "d2m": (140.0, 320.0), "td": (120.0, 320.0), "rh": (0.0, 1.5),
    "q": (-1e-3, 0.06), "q2m": (-1e-3, 0.06), "sp": (3e4, 1.15e5), "msl": (8.5e4, 1.12e5),
    "wind_speed": (0.0, 200.0), "wind_direction": (0.0, 360.0), "u10": (-150.0, 150.0), "v10": (-150.0, 150.0),
    "u": (-250.0, 250.0), "v": (-250.0, 250.0), "z": (-1.5e4, 7e5), "tcw": (-1.0, 150.0), "tcwv": (-1.0, 150.0),
    "tp": (0.0, 3000.0),
}  # fmt: skip
"""Quantity -> what can be on Earth, in the unit of the library; wider than any record."""

IMPLIED = {"tmpc": "degC", "tmpf": "degF", "tmpk": "K", "dwpc": "degC", "dwpf": "degF", "sknt": "knot", "relh": "%",
           "rhum": "%", "tt_tu": "degC", "rf_tu": "%"}  # fmt: skip
"""Names that say their unit (columns of METAR archives and of the German weather service)."""

SUFFIXES = {"c": "degC", "degc": "degC", "celsius": "degC", "f": "degF", "degf": "degF", "k": "K", "kelvin": "K",
            "hpa": "hPa", "pa": "Pa", "mb": "hPa", "mbar": "hPa", "kt": "knot", "kts": "knot", "kn": "knot",
            "knots": "knot", "ms": "m s-1", "mps": "m s-1", "kmh": "km/h", "mph": "mph", "m": "m", "ft": "ft",
            "pct": "%", "percent": "%", "gkg": "g/kg", "deg": "degree", "inhg": "inHg", "mm": "mm"}  # fmt: skip
"""What stands behind the last underscore of names such as temp_c."""

_ROLE = {name: role for role, names in ROLES.items() for name in names}
_VARIABLE = {name: variable for variable, names in VARIABLES.items() for name in names}


@dataclass(frozen=True)
class Heading:
    """What a column is.

    Attributes
    ----------
    name : as :func:`key` spells it, without its unit.
    role : of :data:`ROLES`, "quality", "pressure", or "" for a variable or what nobody knows.
    variable : of :data:`VARIABLES`, for a column of values, or of "quality" of one variable; "" otherwise.
    units : that the heading says, or "".
    """

    name: str
    role: str = ""
    variable: str = ""
    units: str = ""


def key(text: object) -> str:
    """A name without capitals, accents, spaces, hyphens and dots: "Stations-Höhe" is stations_hoehe."""
    text = str(text).strip().lower().lstrip("\ufeff#").strip()
    for a, b in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        text = text.replace(a, b)
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_")


def quantity(name: object) -> str:
    """The quantity that a variable's name means, "" if nobody knows."""
    return _VARIABLE.get(key(name), "")


def heading(text: object) -> Heading:
    """What the heading of a column says."""
    text = str(text).strip()
    units = ""
    if found := re.fullmatch(r"(.+?)\s*[\[(]\s*([^\[\]()]*?)\s*[\])]\s*", text) or re.fullmatch(
        r"(.+?)\s+/\s*(\S.*)", text
    ):
        text, units = found.groups()
    elif found := re.fullmatch(r"(.+?)\s+in\s+(\S+)", text):
        text, units = found.groups()
    name = key(text)
    stem, _, suffix = name.rpartition("_")
    known = name in _ROLE or name in _VARIABLE or name in PRESSURE
    if (
        not known
        and suffix in SUFFIXES
        and (
            stem in _VARIABLE
            or stem in PRESSURE
            or _ROLE.get(stem) in ("elevation", "level", "latitude", "longitude", "value")
        )
    ):
        name, units = stem, units or SUFFIXES[suffix]
    units = units or IMPLIED.get(name, "")
    if name in _ROLE:
        return Heading(name, _ROLE[name], units=units)
    if name in QUALITY or (about := _about(name)) is not None:
        return Heading(name, "quality", "" if name in QUALITY else str(about))
    if name in PRESSURE:
        return Heading(name, "pressure", units=units)
    return Heading(name, "", _VARIABLE.get(name, ""), units)


def _about(name: str) -> str | None:
    """The variable of which a column t2m_qc or qc_t2m speaks; None for another column."""
    for part in ("qc", "qf", "flag", "quality", "qc_flag", "quality_flag", "qflag", "quality_control"):
        for stem in (name.removesuffix(f"_{part}"), name.removeprefix(f"{part}_")):
            if stem != name and stem in _VARIABLE:
                return _VARIABLE[stem]
    return None
