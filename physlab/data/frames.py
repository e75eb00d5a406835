"""Where the fine fields of each downscaling task come from: one loader for each task, one for your own field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import xarray as xr
from xarray.backends import NetCDF4BackendEntrypoint

from physlab.cf import VARIABLES
from physlab.data.assets import asset
from physlab.data.differences import open_shipped
from physlab.data.splits import Split, check_gaps
from physlab.fields import Scaling, crop_to_multiple

NETCDF = NetCDF4BackendEntrypoint
"""How the shipped files are read: with a name instead of the class xarray imports every reader installed (3 s)."""

TCW_GAP = 120.0
"""Least distance between the blocks of the shipped nature-run sample, hours."""

UK_SPLIT = Split(
    blocks={
        "train": ("2019-03-01T00", "2019-03-18T23"),
        "val": ("2019-03-21T00", "2019-03-24T23"),
        "test": ("2019-03-27T00", "2019-03-31T23"),
    },
    gap=48.0,
)
"""The split of `era5-uk-t2m`: March 2019 by days."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Fine fields by split, before pairing.

    Attributes
    ----------
    values : split -> (S, H, W) float32, in `units`; (S, T, H, W) for sequences of T frames.
    time : split -> (S,) datetime64[ns], of the first frame.
    longitude : split -> (S, W) degrees east; the patches of one task may start at different longitudes.
    latitude : (H,) degrees north, as stored.
    non_negative : the quantity cannot be negative; it is scaled without an offset.
    gap, rule : least distance between splits in hours, and how they were chosen, in words.
    statistics : scaling of the training block, needed only when "train" itself is absent.
    given : which frames of a sequence the method gets as coarse fields; None for all.
    step : time between the frames of a sequence.
    budget : name -> (S, T, h, w) coarse block means of the terms of the water budget in the training block: ivt_u,
        ivt_v (kg m-1 s-1), e, tp (kg m-2 since the frame before), at factor 4.
    """

    task: str
    variable: str
    units: str
    non_negative: bool
    values: dict[str, np.ndarray]
    time: dict[str, np.ndarray]
    longitude: dict[str, np.ndarray]
    latitude: np.ndarray
    gap: float
    rule: str
    statistics: Scaling | None = None
    given: tuple[int, ...] | None = None
    step: np.timedelta64 | None = None
    budget: dict[str, np.ndarray] = field(default_factory=dict)


def tcw_frames(splits: tuple[str, ...]) -> Frames:
    """Task `tcw`: patches of the shipped sample; its file says which sample belongs to which split."""
    return _nature_frames("tcw", "nature-tcw.nc", splits)


def tcw_t1_frames(splits: tuple[str, ...]) -> Frames:
    """Task `tcw-t1`: hourly triplets, three coarse frames in, three fine frames out."""
    return _nature_frames("tcw-t1", "nature-sequences.nc", splits, step=np.timedelta64(1, "h"))


def tcw_t2_frames(splits: tuple[str, ...]) -> Frames:
    """Task `tcw-t2`: the same triplets, the first and the last coarse frame in, three fine frames out."""
    return _nature_frames("tcw-t2", "nature-sequences.nc", splits, given=(0, 2), step=np.timedelta64(1, "h"))


def _nature_frames(task: str, file: str, splits: tuple[str, ...], **sequence) -> Frames:
    with open_shipped(asset(f"data/{file}")) as ds:
        label, sample = ds["split"].values.astype(str), ds["split"].dims[0]
        wanted = {name: np.flatnonzero(label == name) for name in dict.fromkeys((*splits, "train"))}
        values = {name: ds["tcw"].isel({sample: index}).values.astype(np.float32) for name, index in wanted.items()}
        stamps = ds["time"].values.reshape(len(label), -1)[:, 0]
        time = {name: stamps[index].astype("datetime64[ns]") for name, index in wanted.items()}
        first = {name: ds["longitude0"].values[index].astype(np.float64) for name, index in wanted.items()}
        step = float(ds["longitude0"].attrs.get("step", 360.0 / 256))
        columns = step * np.arange(ds.sizes["x"])
        latitude = ds["latitude"].values.astype(np.float64)
        budget = {}
        if "train" in splits and "ivt_u_x4" in ds:
            terms = {name: f"{name}_x4" for name in ("ivt_u", "ivt_v", "e", "tp")}
            budget = {k: ds[v].isel({sample: wanted["train"]}).values.astype(np.float32) for k, v in terms.items()}
    check_gaps(time, TCW_GAP)
    return Frames(
        task=task,
        variable="tcw",
        units=VARIABLES["tcw"]["units"],
        non_negative=True,
        values={name: values[name] for name in splits},
        time={name: time[name] for name in splits},
        longitude={name: first[name][:, None] + columns for name in splits},
        latitude=latitude,
        gap=TCW_GAP,
        rule=f"blocks of time, stored in {file}",
        statistics=Scaling.fit(torch.from_numpy(values["train"]).flatten(0, -3)[:, None], non_negative=True),
        budget=budget,
        **sequence,
    )


def uk_frames(splits: tuple[str, ...]) -> Frames:
    """Task `era5-uk-t2m`: training hours from the download, validation and test hours from the shipped sample."""
    with xr.open_dataset(asset("data/era5-uk-t2m-sample.nc"), engine=NETCDF) as ds:
        sample = ds["t2m"].load()
    statistics = Scaling(offset=(sample.attrs["train_mean"],), scale=(sample.attrs["train_std"],))
    parts = {
        name: (uk_field() if name == "train" else sample).sel(time=slice(*UK_SPLIT.blocks[name])) for name in splits
    }
    return field_frames("era5-uk-t2m", parts, UK_SPLIT.gap, "March 2019 by days", False, statistics)


def uk_field() -> xr.DataArray:
    """ERA5 2-m temperature of March 2019 (744, 32, 48) in K: the downloaded file without its last row and column."""
    from physlab.data.catalog import open_dataset

    return crop_to_multiple(open_dataset("era5-uk-t2m"), 16)["t2m"]


def field_frames(
    task: str,
    parts: Mapping[str, xr.DataArray],
    gap: float,
    rule: str,
    non_negative: bool,
    statistics: Scaling | None = None,
) -> Frames:
    """Frames from the parts (time, latitude, longitude) of a field on one grid, by split."""
    field = next(iter(parts.values()))
    longitude = field["longitude"].values.astype(np.float64)
    variable = str(field.name)
    return Frames(
        task=task,
        variable=variable,
        units=str(field.attrs.get("units", VARIABLES.get(variable, {}).get("units", ""))),
        non_negative=non_negative,
        values={name: np.asarray(part.values, dtype=np.float32) for name, part in parts.items()},
        time={name: part["time"].values.astype("datetime64[ns]") for name, part in parts.items()},
        longitude={name: np.tile(longitude, (part.sizes["time"], 1)) for name, part in parts.items()},
        latitude=field["latitude"].values.astype(np.float64),
        gap=gap,
        rule=rule,
        statistics=statistics,
    )


TASKS = {"tcw": tcw_frames, "tcw-t1": tcw_t1_frames, "tcw-t2": tcw_t2_frames, "era5-uk-t2m": uk_frames}
"""Task name -> loader of its frames."""
