"""Kinds of quantities: what may be interpolated, what cannot be negative."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from physlab import cf

FIELDS = [
    ("t2m", {"units": "K"}, "f4", "state"),
    ("tas", {"standard_name": "air_temperature"}, "f4", "state"),
    ("t2m", {"units": "K"}, "i2", "state"),
    ("u10", {"standard_name": "eastward_wind"}, "f4", "state"),
    ("z", {"standard_name": "geopotential"}, "f4", "state"),
    ("msl", {}, "f4", "state"),
    ("dbz", {"standard_name": "equivalent_reflectivity_factor"}, "f4", "state"),
    ("tp", {"units": "m"}, "f4", "amount"),
    ("pr", {"standard_name": "precipitation_flux"}, "f4", "amount"),
    ("x", {"standard_name": "lwe_precipitation_rate"}, "f4", "amount"),
    ("q", {"units": "kg kg-1"}, "f4", "amount"),
    ("hurs", {"standard_name": "relative_humidity"}, "f4", "amount"),
    ("tcw", {}, "f4", "amount"),
    ("snd", {"standard_name": "surface_snow_thickness"}, "f4", "amount"),
    ("wind", {"standard_name": "wind_speed"}, "f4", "amount"),
    ("hfls", {"standard_name": "surface_upward_latent_heat_flux"}, "f4", "flux"),
    ("rsds", {"standard_name": "surface_downwelling_shortwave_flux_in_air"}, "f4", "flux"),
    ("e", {"standard_name": "water_evapotranspiration_amount"}, "f4", "flux"),
    ("ivt_u", {"standard_name": "eastward_atmosphere_water_transport_across_unit_distance"}, "f4", "flux"),
    ("tcc", {}, "f4", "fraction"),
    ("clt", {"standard_name": "cloud_area_fraction", "units": "%"}, "f4", "fraction"),
    ("lsm", {"units": "(0 - 1)"}, "f4", "fraction"),
    ("siconc", {"standard_name": "sea_ice_area_fraction"}, "f4", "fraction"),
    ("land", {"standard_name": "land_binary_mask", "units": "1"}, "f4", "mask"),
    ("mask", {}, "i1", "mask"),
    ("wet", {}, "?", "mask"),
    ("ice", {"flag_values": [0, 1], "flag_meanings": "no yes"}, "i1", "mask"),
    ("qc", {"flag_masks": [1, 2], "flag_meanings": "low high"}, "i1", "flag"),
    ("cover", {"flag_values": [1, 2, 3], "flag_meanings": "grass wood town"}, "i1", "flag"),
    ("classes", {}, "i2", "flag"),
    ("lu_index", {}, "i4", "flag"),
    ("x", {"standard_name": "precipitation_flux status_flag"}, "i1", "flag"),
]


@pytest.mark.parametrize(("name", "attrs", "dtype", "kind"), FIELDS)
def test_the_kind_of_a_quantity_by_attributes_standard_name_type_and_name(name, attrs, dtype, kind) -> None:
    assert cf.kind(xr.DataArray(np.zeros((2, 2), dtype), name=name, attrs=attrs, dims=("y", "x"))) == kind


def test_every_variable_of_the_library_has_a_kind_of_its_own() -> None:
    kinds = {name: cf.kind(xr.DataArray(0.0, name=name, attrs=attrs)) for name, attrs in cf.VARIABLES.items()}
    assert kinds == {
        "tcw": "amount", "t2m": "state", "sp": "state", "u": "state", "v": "state", "t": "state", "q": "amount",
        "z": "state", "pv": "state", "t_low": "state", "u_low": "state", "v_low": "state", "ivt_u": "flux",
        "ivt_v": "flux", "tp": "amount", "e": "flux", "orog": "state", "land": "mask",
    }  # fmt: skip


def test_radiation_that_goes_one_way_cannot_be_negative_and_net_radiation_can() -> None:
    def field(name: str) -> xr.DataArray:
        return xr.DataArray(0.0, attrs={"standard_name": name})

    assert cf.non_negative(field("surface_downwelling_shortwave_flux_in_air"))
    assert not cf.non_negative(field("surface_net_downward_shortwave_flux"))
    assert cf.non_negative(field("precipitation_flux")) and not cf.non_negative(field("air_temperature"))
