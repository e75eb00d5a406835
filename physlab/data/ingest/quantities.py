"""Which quantity a variable is: by its standard name, or by its name if its units agree, else it is left as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from physlab.data.ingest import units
from physlab.errors import FieldError


@dataclass(frozen=True)
class Quantity:
    """A quantity that the library knows.

    Attributes
    ----------
    standard_name : of the CF conventions.
    units : of the library, into which it is converted; or one of `kept`, which stay.
    low, high : no value on Earth lies outside, in `units`.
    names : by which files call it; matched whole, in small letters.
    water : depths of water may stand for mass per area.
    kept : units that are as good and stay as they are.
    """

    standard_name: str
    units: str
    low: float
    high: float
    names: str = ""
    water: bool = False
    kept: tuple[str, ...] = ()

    def is_called(self, name: str) -> bool:
        """Whether files use this name for it."""
        return bool(self.names) and re.fullmatch(self.names, name.lower()) is not None

    def takes(self, unit: str) -> bool:
        """Whether a unit can be one of this quantity."""
        if unit in self.kept:
            return True
        return units.factors(unit, self.units, self.water) is not None


Q = Quantity
KNOWN = (
    Q("air_temperature", "K", 150, 360,
      r"t2m|2t|tas|tasmax|tasmin|t2|tmax|tmin|mx2t|mn2t|tg|tx|tn|t_low|2m_temperature|"
      r"temp2m|t_?2m.*|temperature_2m|tmp2m|tsa|tair"),
    Q("air_temperature", "K", 90, 2500, r"t|ta|temp|temperature|air_temperature|air|tmp|t\d+|ta\d+"),
    Q("dew_point_temperature", "K", 120, 340, r"d2m|2d|tdps|td2?m?|dewpoint.*|2m_dewpoint_temperature"),
    Q("sea_surface_temperature", "K", 250, 320, r"sst|sstk|analysed_sst"),
    Q("sea_water_temperature", "K", 250, 330, r""),
    Q("surface_temperature", "K", 130, 400, r"skt|ts|tsk|skin_temperature|lst"),
    Q("soil_temperature", "K", 150, 400, r"stl\d|tsoil"),
    Q("air_potential_temperature", "K", 150, 5000, r""),
    Q("surface_air_pressure", "Pa", 3e4, 1.2e5, r"sp|ps|psfc|pres_?sfc|surface_pressure"),
    Q("air_pressure_at_mean_sea_level", "Pa", 8e4, 1.12e5, r"msl|mslp|psl|prmsl|slp|mean_sea_level_pressure"),
    Q("air_pressure", "Pa", 0, 1.2e5, r""),
    Q("eastward_wind", "m s-1", -250, 250,
      r"u|ua|uas|u10m?|10u|u\d+|u_low|uwnd|ugrd.*|10m_u_component_of_wind|u10n|u100"),
    Q("northward_wind", "m s-1", -250, 250,
      r"v|va|vas|v10m?|10v|v\d+|v_low|vwnd|vgrd.*|10m_v_component_of_wind|v10n|v100"),
    Q("x_wind", "m s-1", -250, 250), Q("y_wind", "m s-1", -250, 250), Q("grid_eastward_wind", "m s-1", -250, 250),
    Q("wind_speed", "m s-1", -0.5, 250, r"si10|ws\d*|wspd\d*|sfcwind|wind_?speed.*|ff"),
    Q("wind_speed_of_gust", "m s-1", -0.5, 250, r"fg10|i10fg|gust|wsgsmax"),
    Q("wind_from_direction", "degree", -360, 720, r"wdir|dd|wind_?direction"),
    Q("upward_air_velocity", "m s-1", -150, 150, r"wa|wz"),
    Q("lagrangian_tendency_of_air_pressure", "Pa s-1", -150, 150, r"w|wap|omega"),
    Q("specific_humidity", "kg kg-1", -0.01, 0.08, r"q|hus|huss|qas|q\d+|spfh.*|specific_humidity|q2m?|sh2"),
    Q("humidity_mixing_ratio", "kg kg-1", -0.01, 0.1, r"qvapor|q2|mixr"),
    Q("relative_humidity", "%", -30, 300, r"r|r2|hur|hurs|rh\d*m?|relative_humidity", kept=("1",)),
    Q("geopotential", "m2 s-2", -3e4, 2e6, r"z|geopotential|z\d+|phi"),
    Q("geopotential_height", "m", -3e3, 2e5, r"gh|zg|hgt|zg\d+|z|geopotential_height|height"),
    Q("surface_altitude", "m", -600, 9500, r"orog|hgt|hsurf|topo|elevation|dem|terrain|zsurf|oro"),
    Q("atmosphere_mass_content_of_water", "kg m-2", -2, 200, r"tcw|total_column_water", water=True),
    Q("atmosphere_mass_content_of_water_vapor", "kg m-2", -2, 200,
      r"tcwv|prw|pwat|tqv|total_column_water_vapou?r|iwv|pw", water=True),
    Q("precipitation_amount", "kg m-2", -1, 5e4,
      r"tp|tp_?\d+h?r?|total_precipitation.*|rainnc|rr|rain|precip|precipitation|apcp.*|rainfall|pcp"
      r"|prcp", water=True),
    Q("lwe_precipitation_rate", "mm h-1", -0.1, 3e3, r"rain_?rate|precip_?rate|radar_rain.*"),
    Q("precipitation_flux", "kg m-2 s-1", -1e-3, 1,
      r"tp|pr|prate|tprate|mtpr|precip|precipitation|rain|rainfall|rain_?rate|precip_?rate|rr"
      r"|prcp", water=True),
    Q("rainfall_amount", "kg m-2", -1, 5e4, water=True), Q("rainfall_flux", "kg m-2 s-1", -1e-3, 1, water=True),
    Q("convective_precipitation_amount", "kg m-2", -1, 5e4, r"cp|rainc", water=True),
    Q("convective_precipitation_flux", "kg m-2 s-1", -1e-3, 1, r"prc", water=True),
    Q("snowfall_amount", "kg m-2", -1, 5e4, r"sf", water=True),
    Q("snowfall_flux", "kg m-2 s-1", -1e-3, 1, r"prsn", water=True),
    Q("surface_snow_thickness", "m", -0.1, 100, r"snd|sde|snowh"),
    Q("surface_snow_amount", "kg m-2", -1, 1e5, r"sd|snw|swe", water=True),
    Q("water_evapotranspiration_amount", "kg m-2", -1e3, 1e3, r"e|evap|evaporation", water=True),
    Q("water_evapotranspiration_flux", "kg m-2 s-1", -0.05, 0.05, r"evspsbl|e|evap|evaporation", water=True),
    Q("water_vapor_partial_pressure_in_air", "Pa", -10, 2e4, r"e|vp|vapou?r_pressure"),
    Q("runoff_amount", "kg m-2", -1, 1e5, r"ro|sro", water=True),
    Q("runoff_flux", "kg m-2 s-1", -1e-3, 10, r"mrro", water=True),
    Q("cloud_area_fraction", "1", -0.05, 1.1, r"tcc|clt|cc|lcc|mcc|hcc|cl|cldfra", kept=("%",)),
    Q("land_area_fraction", "1", -0.05, 1.05, r"lsm|sftlf|land_sea_mask|landmask|landfrac", kept=("%",)),
    Q("sea_ice_area_fraction", "1", -0.05, 1.1, r"siconc|ci|sic|seaice", kept=("%",)),
    Q("land_binary_mask", "1", -0.01, 1.01, r"land"),
    Q("ertel_potential_vorticity", "K m2 kg-1 s-1", -0.1, 0.1, r"pv"),
    Q("atmosphere_relative_vorticity", "s-1", -1, 1, r"vo"), Q("divergence_of_wind", "s-1", -1, 1, r"d"),
    Q("equivalent_reflectivity_factor", "dBZ", -150, 150, r"dbz|dbzh|reflectivity|refl.*|zh"),
    Q("eastward_atmosphere_water_transport_across_unit_distance", "kg m-1 s-1", -5e3, 5e3, r"ivt_?u|viwve"),
    Q("northward_atmosphere_water_transport_across_unit_distance", "kg m-1 s-1", -5e3, 5e3, r"ivt_?v|viwvn"),
    *(Q(f"surface_{name}", "W m-2", -3e3, 3e3, names) for name, names in (
        ("downwelling_shortwave_flux_in_air", "rsds|swdown"), ("downwelling_longwave_flux_in_air", "rlds|glw"),
        ("upwelling_shortwave_flux_in_air", "rsus"), ("upwelling_longwave_flux_in_air", "rlus"),
        ("upward_latent_heat_flux", "hfls|lh"), ("upward_sensible_heat_flux", "hfss|hfx"))),
    Q("mass_concentration_of_ozone_in_air", "kg m-3", -1e-6, 1),
    Q("sea_surface_height_above_geoid", "m", -20, 20, "zos|ssh"),
    Q("sea_surface_wave_significant_height", "m", -0.1, 40, "swh|hs"), Q("visibility_in_air", "m", -1, 1e6, "vis"),
    Q("atmosphere_convective_available_potential_energy", "J kg-1", -500, 2e4, "cape"),
    Q("volume_fraction_of_condensed_water_in_soil", "1", -0.1, 1.1, r"swvl\d", kept=("%",)),
)  # fmt: skip
"""Everything known, the special before the general."""

ALIASES = {
    "dew_point_temperature_at_2m": "dew_point_temperature", "air_pressure_at_sea_level":
    "air_pressure_at_mean_sea_level",
    "atmosphere_water_vapor_content": "atmosphere_mass_content_of_water_vapor",
    "atmosphere_mass_content_of_water_vapour": "atmosphere_mass_content_of_water_vapor",
    "surface_pressure": "surface_air_pressure", "vertical_air_velocity_expressed_as_tendency_of_pressure":
    "lagrangian_tendency_of_air_pressure", "omega": "lagrangian_tendency_of_air_pressure", "precipitation_rate":
    "precipitation_flux", "water_evaporation_amount": "water_evapotranspiration_amount", "water_evaporation_flux":
    "water_evapotranspiration_flux", "relative_humidity_at_2m": "relative_humidity",
    "lwe_precipitation_rate": "precipitation_flux", "lwe_thickness_of_precipitation_amount": "precipitation_amount",
    "rainfall_rate": "rainfall_flux", "thickness_of_rainfall_amount": "rainfall_amount", "lwe_snowfall_rate":
    "snowfall_flux",
    "lwe_thickness_of_snowfall_amount": "snowfall_amount", "lwe_thickness_of_surface_snow_amount":
    "surface_snow_amount",
    "lwe_convective_precipitation_rate": "convective_precipitation_flux",
    "lwe_thickness_of_convective_precipitation_amount": "convective_precipitation_amount",
    "lwe_thickness_of_water_evaporation_amount": "water_evapotranspiration_amount",
    "lwe_water_evaporation_rate": "water_evapotranspiration_flux",
    "lwe_thickness_of_atmosphere_mass_content_of_water_vapor":
    "atmosphere_mass_content_of_water_vapor",
}  # fmt: skip
"""Old or free standard names -> those of the table."""

_STATISTIC = re.compile(
    r"anomal|differen|increment|\bbias|\berrors?\b|uncertainty|\bspread|std[_ ]?dev|standard[_ ]deviation|variance|"
    r"tendency|trend|detection_minimum|number_of_observations|gradient|percentile rank",
    re.IGNORECASE,
)
_FREE = frozenset("e z q w r d t u v td".split())
"""Names of one letter, which mean many things: with units that do not fit they are left unnamed, not refused."""


def is_statistic(name: str, attrs: Mapping) -> bool:
    """Whether a variable is an anomaly, an error or a spread of a quantity and not the quantity."""
    text = " ".join(str(attrs.get(key, "")) for key in ("standard_name", "long_name", "cell_methods"))
    lagrangian = "lagrangian_tendency" in text
    return bool(_STATISTIC.search(text.replace("lagrangian_tendency", ""))) or (
        not lagrangian and bool(re.search(r"anom|_std$|_error$|_spread$|_bias$|_diff$", name.lower()))
    )


def identify(name: str, attrs: Mapping, file: str) -> Quantity | None:
    """The quantity that a variable is, or None if nothing certain is known of it.

    Parameters
    ----------
    attrs : standard_name, units, long_name, cell_methods are looked at; units spelled as by :func:`units.plain`.

    Raises
    ------
    FieldError : units that are impossible for what the variable is.
    """
    if is_statistic(name, attrs):
        return None
    standard = str(attrs.get("standard_name") or "").strip().lower()
    as_it_is = [q for q in KNOWN if q.standard_name == standard and q.is_called(name)]
    standard = standard if as_it_is else ALIASES.get(standard, standard.split(" ")[0])
    unit, stated = units.plain(attrs.get("units")), str(attrs.get("units") or "").strip()
    named = [q for q in KNOWN if q.standard_name == standard]
    if named:
        own = sorted(named, key=lambda q: not q.is_called(name))
        fitting = [q for q in own if not unit or q.takes(unit)]
        if not fitting and standard == "geopotential" and units.measures(unit, "m"):
            return next(q for q in KNOWN if q.standard_name == "geopotential_height")
        if not fitting:
            raise _impossible(name, stated, f"its standard name is {standard}", own[0], file)
        return fitting[0]
    if standard and standard != "unknown":
        return None  # a quantity that we do not know
    called = [q for q in KNOWN if q.is_called(name)]
    if not called:
        return None
    if not unit:
        # a rate or an amount, a height or a geopotential: nothing says which
        return called[0] if len({(q.units, q.standard_name) for q in called}) == 1 else None
    fitting = [q for q in called if q.takes(unit)]
    if fitting:
        return fitting[0]
    if name.lower() in _FREE and len(called) > 1:
        return None
    if name.lower() in _FREE and not _is_temperature(unit):
        return None
    raise _impossible(name, stated, f"its name says {called[0].standard_name}", called[0], file)


def _is_temperature(unit: str) -> bool:
    return units.measures(unit, "K")


def _impossible(name: str, unit: str, why: str, quantity: Quantity, file: str) -> FieldError:
    return FieldError(
        f"'{file}': variable '{name}' has units '{unit}', but {why}, which is measured in {quantity.units}: correct "
        f"the "
        f"attribute, or name it otherwise or leave it out with mapping={{'{name}': 'other_name'}} or {{'{name}': ''}}"
    )
