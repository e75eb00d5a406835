"""Samples of the laboratory atmosphere, which come with the installation."""

from __future__ import annotations

import xarray as xr

from physlab.data.assets import asset
from physlab.data.differences import open_shipped
from physlab.registry import register


@register("nature-tcw", kind="shipped", order=1, variables="tcw", terms="MIT", path="data/nature-tcw.nc")
def nature_tcw() -> xr.Dataset:
    """Laboratory atmosphere: column water, 128 x 128 patches, train/val/test."""
    return open_shipped(asset("data/nature-tcw.nc"))


@register("nature-sequences", kind="shipped", order=2, variables="tcw", terms="MIT", path="data/nature-sequences.nc")
def nature_sequences() -> xr.Dataset:
    """Laboratory atmosphere: column water, three hourly frames."""
    return open_shipped(asset("data/nature-sequences.nc"))


@register(
    "nature-window",
    kind="shipped",
    order=3,
    variables="u v t z q tcw ivt_u ivt_v e tp",
    terms="MIT",
    path="data/nature-window.nc",
)
def nature_window() -> xr.Dataset:
    """Laboratory atmosphere: 33 x 33 points of the North Atlantic at 700 hPa, every hour of ten days."""
    return xr.open_dataset(asset("data/nature-window.nc"))


@register(
    "nature-rain", kind="shipped", order=4, variables="tp tcw ivt_u ivt_v sp", terms="MIT", path="data/nature-rain.nc"
)
def nature_rain() -> xr.Dataset:
    """Laboratory atmosphere: six-hourly rain of a storm track."""
    return xr.open_dataset(asset("data/nature-rain.nc"))


@register(
    "nature-states",
    kind="shipped",
    order=5,
    variables="u v t q z sp tcw t_low u_low v_low",
    terms="MIT",
    path="data/nature-states.nc",
)
def nature_states() -> xr.Dataset:
    """Laboratory atmosphere: full 64 x 128 states and 24-hour forecasts."""
    return xr.open_dataset(asset("data/nature-states.nc"))


@register(
    "nature-twin",
    kind="shipped",
    order=6,
    variables="u v t q z sp tcw t_low u_low v_low",
    terms="MIT",
    path="data/nature-twin.nc",
)
def nature_twin() -> xr.Dataset:
    """Laboratory atmosphere: three 64 x 128 states on seven levels and 24-hour forecasts, for assimilation."""
    return xr.open_dataset(asset("data/nature-twin.nc"))


@register(
    "nature-terrain", kind="shipped", order=7, variables="t_low u_low v_low", terms="MIT", path="data/nature-terrain.nc"
)
def nature_terrain() -> xr.Dataset:
    """Laboratory atmosphere: temperature and wind of the lowest layer over terrain, 128 x 256, some test times."""
    return xr.open_dataset(asset("data/nature-terrain.nc"))


@register(
    "nature-terrain-members",
    title="Members of latent diffusion for one of these times, trained with different weights of a law in the loss",
    kind="shipped",
    order=8,
    variables="t_low",
    terms="MIT",
    path="data/nature-terrain-members.nc",
)
def nature_terrain_members() -> xr.Dataset:
    """The truth and the members' small differences from it, which are what is stored."""
    with xr.open_dataset(asset("data/nature-terrain-members.nc")) as stored:
        ds = stored.load()
    with xr.open_dataset(asset("data/nature-terrain.nc")) as terrain:
        truth = terrain["t_low"].sel(time=ds["time"]).load()
    made = (ds["t_low_error"] + truth).astype("float32").transpose(*ds["t_low_error"].dims)
    return ds.drop_vars("t_low_error").assign(t_low=made.assign_attrs(truth.attrs))


@register(
    "nature-budget",
    kind="shipped",
    order=9,
    variables="tcw ivt_u ivt_v tp e",
    terms="MIT",
    path="data/nature-budget.nc",
)
def nature_budget() -> xr.Dataset:
    """Laboratory atmosphere: some hours in a row with the terms of the column water budget, global."""
    return xr.open_dataset(asset("data/nature-budget.nc"))
