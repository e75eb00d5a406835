"""The only door between xarray (names, units, CF attributes) and tensors (time, channel, H, W).

:func:`standardise` gives every data set the same coordinate names, :func:`to_tensor` and :func:`to_dataset` cross the
door, the `check_*` functions refuse what no method could use, each with one line that says what came, what is allowed
and what to do. :class:`Scaling` is the only normalisation of the library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import xarray as xr

from physlab import cf
from physlab.cf import VARIABLES, latitude_name, longitude_name
from physlab.errors import FieldError
from physlab.grid import Grid, ProjectedGrid

__all__ = [
    "Scaling",
    "VARIABLES",
    "check_divisible",
    "check_finite",
    "crop_to_multiple",
    "latitude_name",
    "longitude_name",
    "standardise",
    "to_dataset",
    "to_tensor",
]

X = TypeVar("X", xr.Dataset, xr.DataArray)  # what goes in comes out

_ORDER = ("member", "time", "level", "latitude", "longitude", "y", "x")


def standardise(ds: X, mapping: Mapping[str, str] | None = None) -> X:
    """Give a data set the coordinate names of the library, values and their order kept as stored.

    Renames to `latitude`, `longitude`, and where present `time`, `level`, `member`; decodes a numeric CF time; turns
    levels in Pa into hPa; adds the CF attributes of the coordinates. A projected grid, see :mod:`physlab.data.ingest`,
    keeps its dims y and x.

    Parameters
    ----------
    mapping : own names -> names of the library, for coordinates or variables, applied first, e.g. {"y": "latitude",
        "TCWV": "tcw"}.

    Raises
    ------
    FieldError : no or curvilinear latitude or longitude; a name in the mapping that the data set lacks.
    """
    if mapping:
        known = set(ds.dims) | set(ds.coords) | set(getattr(ds, "data_vars", {}))
        absent = sorted(str(name) for name in mapping if name not in known)
        if absent:
            raise FieldError(
                f"mapping names {', '.join(absent)}, but the data set has "
                f"{', '.join(sorted(map(str, known)))}: correct it"
            )
        ds = ds.rename(dict(mapping))
        for name in set(mapping.values()) & set(ds.dims) & set(ds.coords):
            if name not in ds.indexes:
                ds = ds.set_xindex(name)
    on_map = cf.is_projected(ds)
    found = {} if on_map else {"latitude": latitude_name(ds), "longitude": longitude_name(ds)}
    for kind in ("time", "level", "member"):
        if (other := cf.find_coordinate(ds, kind)) is not None:
            found[kind] = other
    # a coordinate that is not its own dimension (lat(y)) takes its dimension along; a clashing scalar is dropped
    for kind, name in list(found.items()):
        if kind != name and kind in ds.dims and ds[name].dims == (kind,):  # valid_time(time) of a forecast
            ds = ds.assign_coords({kind: (kind, ds[name].values, ds[name].attrs)}).drop_vars(name)
            found[kind] = name = kind
        if kind != name and kind in ds.coords and kind not in ds.dims:
            ds = ds.drop_vars(kind)
        if name in ds.coords and name not in ds.dims and ds[name].ndim == 1:
            ds = ds.swap_dims({ds[name].dims[0]: name})
    ds = ds.rename({name: kind for kind, name in found.items() if kind != name})
    if (
        "time" in ds.coords
        and np.issubdtype(ds["time"].dtype, np.number)
        and " since " in str(ds["time"].attrs.get("units", ""))
    ):
        ds = ds.assign_coords(time=xr.decode_cf(ds["time"].reset_coords(drop=True).to_dataset(name="_"))["time"])
    if "level" in ds.coords and str(ds["level"].attrs.get("units", "")).lower() in ("pa", "pascal"):
        ds = ds.assign_coords(level=ds["level"] / 100.0)
        ds["level"].attrs = {"units": "hPa"}
    attributes = {
        "latitude": {"standard_name": "latitude", "units": "degrees_north"},
        "longitude": {"standard_name": "longitude", "units": "degrees_east"},
        "level": {"standard_name": "air_pressure", "units": "hPa"},
    }
    for name, attrs in attributes.items():
        if name in ds.coords:
            ds[name].attrs = {**ds[name].attrs, **attrs} if name != "level" else {**attrs, **ds[name].attrs}
    return ds


def _select(ds: xr.Dataset | xr.DataArray, variables: Sequence[str] | str | None) -> list[xr.DataArray]:
    if isinstance(ds, xr.DataArray):
        return [ds]
    names = [variables] if isinstance(variables, str) else list(variables if variables is not None else ds.data_vars)
    absent = [str(name) for name in names if name not in ds]
    if absent or not names:
        raise FieldError(
            f"no variable {', '.join(absent) or 'at all'}: the data set has "
            f"{', '.join(map(str, ds.data_vars))}; pass one of them"
        )
    return [ds[name] for name in names]


def to_tensor(
    ds: xr.Dataset | xr.DataArray,
    variables: Sequence[str] | str | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    """Fields as a tensor (time, channel, H, W) in their own units; with members (member, time, channel, H, W).

    Channels are the variables in the order asked for, and within a variable its levels in the order stored. A field
    without time gets a time axis of length one. Latitude and longitude keep their order.

    Raises
    ------
    FieldError : a variable that is not there, dimensions other than member, time, level, latitude, longitude, or NaNs.
    """
    channels = []
    for da in _select(ds, variables):
        da = standardise(da)
        extra = [str(d) for d in da.dims if d not in _ORDER]
        if extra:
            raise FieldError(
                f"'{da.name}' has dims ({', '.join(map(str, da.dims))}): select or stack "
                f"{', '.join(extra)} first, e.g. with .isel"
            )
        check_finite(da)
        for name in ("time", "level"):
            if name not in da.dims:
                da = da.expand_dims(name) if name not in da.coords else da.drop_vars(name).expand_dims(name)
        da = da.transpose(*[d for d in _ORDER if d in da.dims])
        channels.append(
            torch.as_tensor(np.array(da.values, dtype=np.float64 if dtype == torch.float64 else np.float32))
        )
    shapes = {tuple(c.shape[:-3] + c.shape[-2:]) for c in channels}
    if len(shapes) > 1:
        raise FieldError(
            f"variables have different shapes {sorted(shapes)}: pass those that share member, time and grid"
        )
    return torch.cat(channels, dim=-3).to(dtype=dtype, device=device)


def to_dataset(
    tensor: torch.Tensor, like: xr.Dataset | xr.DataArray, variables: Sequence[str] | str, grid: Grid | None = None
) -> xr.Dataset:
    """A tensor (time, channel, H, W) or (member, time, channel, H, W) as a Dataset with the coordinates of `like`.

    Parameters
    ----------
    like : gives time, level, and (unless `grid` is given) latitude and longitude, and the attributes of variables it
        holds.
    variables : one name per channel, or per group of channels if the variable has levels in `like`.
    grid : the grid of the tensor if it differs from that of `like` (a downscaled field).
    """
    names = [variables] if isinstance(variables, str) else list(variables)
    like = standardise(like.to_dataset(name=like.name or names[0]) if isinstance(like, xr.DataArray) else like)
    values = tensor.detach().to("cpu")
    array = (values if values.dtype == torch.float64 else values.float()).numpy()
    if array.ndim not in (4, 5):
        raise FieldError(f"tensor has shape {array.shape}: pass (time, channel, H, W) or (member, time, channel, H, W)")
    on_map = cf.is_projected(like) if grid is None else isinstance(grid, ProjectedGrid)
    rows, columns = ("y", "x") if on_map else ("latitude", "longitude")
    latitude = like[rows].values if grid is None else grid.latitude
    longitude = like[columns].values if grid is None else grid.longitude
    if array.shape[-2:] != (latitude.size, longitude.size):
        raise FieldError(
            f"tensor of {array.shape[-2:]} does not fit the grid {(latitude.size, longitude.size)}: "
            "pass grid= for another grid"
        )
    levels = [like["level"].size if n in like and "level" in like[n].dims else 1 for n in names]
    if sum(levels) != array.shape[-3]:
        raise FieldError(
            f"tensor has {array.shape[-3]} channels, but {', '.join(names)} have {sum(levels)}: name "
            "one variable per channel"
        )
    coords: dict
    if on_map:
        coords = (grid if isinstance(grid, ProjectedGrid) else ProjectedGrid.from_dataset(like)).coordinates()
    else:
        coords = {"latitude": ("latitude", latitude, dict(like["latitude"].attrs))}
        coords["longitude"] = ("longitude", longitude, dict(like["longitude"].attrs))
    times = like["time"].size if "time" in like.dims else 1
    if array.shape[-4] != times:
        raise FieldError(f"tensor has {array.shape[-4]} times, `like` has {times}: select the same times in `like`")
    lead = ("member", "time")[-(array.ndim - 3) :]
    if "time" in like.coords:
        coords["time"] = like["time"] if "time" in like.dims else like["time"].expand_dims("time")
    data = {}
    for name, start, count in zip(names, np.cumsum([0, *levels[:-1]]), levels, strict=True):
        part = array[..., start : start + count, :, :]
        leveled = name in like and "level" in like[name].dims
        if leveled:
            coords["level"] = like["level"]
        attrs = dict(VARIABLES.get(name, {}))
        if name in like:  # a name alone gives no units
            known = {} if like[name].attrs.get("units", attrs.get("units")) != attrs.get("units") else attrs
            attrs = {k: v for k, v in known.items() if k != "units"} | cf.inherited(like[name].attrs)
        dims = (*lead, *(("level",) if leveled else ()), rows, columns)
        data[name] = xr.Variable(dims, part if leveled else part[..., 0, :, :], attrs)
    return xr.Dataset(data, coords=coords)


def check_finite(da: xr.DataArray) -> None:
    """Raise a FieldError with count and first position if the field holds NaN or infinite values."""
    bad = ~np.isfinite(da.values)
    count = int(bad.sum())
    if count:
        first = np.unravel_index(int(bad.argmax()), bad.shape)
        where = ", ".join(f"{dim}={int(i)}" for dim, i in zip(da.dims, first, strict=True))
        raise FieldError(
            f"'{da.name}' holds {count} NaN or infinite values of {da.size}, the first at index "
            f"{where}: fill them, e.g. "
            "da.interpolate_na('longitude'), or select a part without them"
        )


def check_divisible(shape: Sequence[int], factor: int) -> None:
    """Raise a FieldError that names the largest divisible crop if (..., H, W) is not divisible by `factor`."""
    height, width = int(shape[-2]), int(shape[-1])
    if height % factor or width % factor:
        raise FieldError(
            f"grid of {height} x {width} is not divisible by factor {factor}: use the largest divisible part, "
            f"{height // factor * factor} x {width // factor * factor}, with "
            f"physlab.fields.crop_to_multiple(ds, {factor})"
        )


def crop_to_multiple(ds: xr.Dataset | xr.DataArray, factor: int) -> xr.Dataset | xr.DataArray:
    """The first rows and columns of a data set such that both counts are multiples of `factor`."""
    lat, lon = ("y", "x") if cf.is_projected(ds) else (latitude_name(ds), longitude_name(ds))
    height, width = ds[lat].size // factor * factor, ds[lon].size // factor * factor
    if not height or not width:
        raise FieldError(
            f"grid of {ds[lat].size} x {ds[lon].size} is smaller than factor {factor}: use a smaller "
            "factor or a larger field"
        )
    return ds.isel({ds[lat].dims[0]: slice(height), ds[lon].dims[0]: slice(width)})


@dataclass(frozen=True)
class Scaling:
    """Normalisation y = (x - offset) / scale per channel; statistics of the training block only, kept with the weights.

    Attributes
    ----------
    offset, scale : one number per channel, in the unit of the field; offset 0 means that constraint layers may act on
        y directly.
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", tuple(float(v) for v in np.atleast_1d(self.offset)))
        object.__setattr__(self, "scale", tuple(float(v) for v in np.atleast_1d(self.scale)))
        if len(self.offset) != len(self.scale) or not all(np.isfinite(s) and s > 0 for s in self.scale):
            raise FieldError(
                f"scaling has offset {self.offset} and scale {self.scale}: pass one finite offset and "
                "one positive scale per channel"
            )

    @classmethod
    def fit(cls, x: torch.Tensor, non_negative: bool, reduce: str = "max") -> Scaling:
        """Statistics of training data (..., channel, H, W), per channel.

        Parameters
        ----------
        non_negative : offset 0 and scale max |x| (or the standard deviation if reduce="std"): no offset, so that zero
            stays zero. Otherwise offset is the mean and scale the standard deviation.
        """
        flat = torch.as_tensor(x).double().movedim(-3, 0).flatten(1)
        std = flat.std(1, correction=0)
        if non_negative:
            scale = flat.abs().amax(1) if reduce == "max" else std
            offset = torch.zeros_like(scale)
        else:
            offset, scale = flat.mean(1), std
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        return cls(tuple(offset.tolist()), tuple(scale.tolist()))

    def _view(self, values: tuple[float, ...], x: torch.Tensor) -> torch.Tensor:
        if len(values) not in (1, x.shape[-3]):
            raise FieldError(
                f"scaling has {len(values)} channels, the field {x.shape[-3]}: pass (..., channel, H, "
                "W) with as many channels"
            )
        return torch.tensor(values, dtype=x.dtype, device=x.device)[:, None, None]

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """(..., channel, H, W) in physical units -> normalised."""
        return (x - self._view(self.offset, x)) / self._view(self.scale, x)

    def invert(self, y: torch.Tensor) -> torch.Tensor:
        """(..., channel, H, W) normalised -> physical units."""
        return y * self._view(self.scale, y) + self._view(self.offset, y)

    def to_dict(self) -> dict[str, list[float]]:
        """For a checkpoint card."""
        return {"offset": list(self.offset), "scale": list(self.scale)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Sequence[float]]) -> Scaling:
        """From a checkpoint card."""
        return cls(tuple(values["offset"]), tuple(values["scale"]))
