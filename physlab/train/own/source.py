"""The truth and the coarse fields of a request, time by time, on grids that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from physlab.data.ingest.account import account
from physlab.errors import FieldError
from physlab.grid import Grid, ProjectedGrid, coarsen
from physlab.train.own.request import SMALLEST, Request, chosen, opened, units_of

KEPT = 8
"""Times in a row up to which fields are kept."""


@dataclass(eq=False)
class Source:
    """Fields that are read when they are asked for.

    Attributes
    ----------
    variables, predictors : names.  units : of the variables.
    grid : fine grid, cropped to whole coarse cells.
    time : (T,) datetime64[ns]; years of other calendars are counted on from their first day.
    fine : variable -> (T, H, W).
    coarse : variable and predictor -> (T, h, w) of a coarse file, or predictor of the truth (T, H, W), not coarsened.
    given : the coarse fields are those of a file.
    ground : name -> (H, W) fine fields that do not change.
    notes : what is said of the data.
    """

    variables: tuple[str, ...]
    predictors: tuple[str, ...]
    units: tuple[str, ...]
    grid: Grid
    factor: int
    time: np.ndarray
    fine: dict[str, xr.DataArray]
    coarse: dict[str, xr.DataArray]
    given: bool
    ground: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    kept: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def on_map(self) -> bool:
        """Whether rows and columns are those of a map."""
        return isinstance(self.grid, ProjectedGrid)

    @property
    def place(self) -> tuple[float, float, float, float]:
        """Least and largest latitude and longitude, degrees."""
        grid = self.grid
        lat, lon = grid.places if isinstance(grid, ProjectedGrid) else (grid.latitude, grid.longitude)
        return float(lat.min()), float(lat.max()), float(lon.min()), float(lon.max())

    @property
    def row_weights(self) -> np.ndarray:
        """(H, 1) cell areas by row, divided by their mean."""
        weights = self.grid.area_weights
        return weights.mean(1, keepdims=True) if self.on_map else weights[:, :1]

    def fine_at(self, times: slice) -> np.ndarray:
        """(t, V, H, W) float32 of some times in a row; the last ones are kept, since windows in time overlap."""
        wanted = range(times.start, times.stop)
        if len(wanted) > KEPT:
            return np.stack([np.asarray(self.fine[n][times].values, np.float32) for n in self.variables], 1)
        self.kept = {k: v for k, v in self.kept.items() if k in wanted}
        for k in wanted:
            if k not in self.kept:
                self.kept[k] = np.stack([np.asarray(self.fine[n][k].values, np.float32) for n in self.variables])
        return np.stack([self.kept[k] for k in wanted])

    def coarse_at(self, times: slice, fine: np.ndarray) -> np.ndarray:
        """(t, V + P, h, w) float32; `fine` are the variables at these times, of which block means are taken."""
        if self.given:
            names = (*self.variables, *self.predictors)
            return np.stack([np.asarray(self.coarse[n][times].values, np.float32) for n in names], 1)
        weights = self.grid.area_weights
        parts = [coarsen(fine.astype(np.float64), self.factor, weights)]
        for name in self.predictors:
            more = np.asarray(self.coarse[name][times].values, np.float64)
            parts.append(coarsen(more, self.factor, weights)[:, None])
        return np.concatenate(parts, 1).astype(np.float32)


def source_of(request: Request) -> Source:
    """The data of a request, opened, matched and described, but not yet read.

    Raises
    ------
    FieldError : a variable, times or grids that are not there or do not belong together.
    """
    truth = opened(request, request.truth)
    names = chosen(truth, request.variables, request.truth)
    others = tuple(n for n in request.predictors if n not in names)
    plane = truth.attrs.pop("plane", None)
    if plane is not None:
        check_plane(request, names, others)
    wanted = names if request.coarse else (*names, *chosen(truth, others, request.truth)) if others else names
    truth = with_times(one_level(truth, wanted, request), request.truth)
    if request.coarse:
        coarse = opened(Request(**{**vars(request), "region": None}), request.coarse)
        if coarse.attrs.pop("plane", None) is not None:
            raise FieldError(f"{request.coarse} lies on a map (y, x), and the truth does not: interpolate it to "
                             "latitude and longitude, e.g. with cdo remapcon")  # fmt: skip
        chosen(coarse, (*names, *others), request.coarse)
        coarse = with_times(one_level(coarse, (*names, *others), request), request.coarse)
    n, notes = (
        request.factor,
        [line for ds in ((truth, coarse) if request.coarse else (truth,)) if (line := account(ds))],
    )
    before = (truth.sizes["latitude"], truth.sizes["longitude"])
    if min(before) < max(2 * n, SMALLEST):
        raise FieldError(
            f"{before[0]} x {before[1]} cells are too few: two coarse cells of factor {n} and {SMALLEST} fine ones "
            f"a side "
            "are the least; pass a larger region or a smaller factor"
        )
    truth = truth.isel({d: slice(truth.sizes[d] // n * n) for d in ("latitude", "longitude")})
    rows, columns = (slice(size // n * n) for size in before)
    grid = Grid.from_dataset(truth) if plane is None else plane.crop(rows, columns)
    if plane is not None:
        kind = str(plane.mapping.get("grid_mapping_name", "")).replace("_", " ") or "of a projection that nobody says"
        notes.append(f"The grid is that of a map ({kind}): patches of its rows and columns, areas of its cells.")
    if grid.shape != before:
        notes.append(f"{before[0]} x {before[1]} cells were cropped to {grid.shape[0]} x {grid.shape[1]}, whole "
                     f"blocks of "
                     f"{n}.")  # fmt: skip
    if request.coarse:
        from physlab.train.own.matching import match

        truth, coarse, said = match(truth, coarse, grid.coarsen(n), (*names, *others))
        notes += said
    ground = {} if plane else ground_of_request(request, None if request.statics else truth, grid, names)
    given = {name: coarse[name] for name in (*names, *others)} if request.coarse else {m: truth[m] for m in others}
    return Source(names, others, tuple(units_of(truth[m]) for m in names), grid, n, instants(truth, request.truth),
                  {m: truth[m] for m in names}, given, bool(request.coarse), ground, notes)  # fmt: skip


def check_plane(request: Request, names: Sequence[str], others: Sequence[str]) -> None:
    """Refuse what needs latitude and longitude as axes for a truth on a map.

    Raises
    ------
    FieldError : several variables, predictors, statics, a coarse file or whole fields.
    """
    asked = {
        "one variable at a time": len(names) > 1, "no --predictors": others, "no --statics": request.statics,
        "no --coarse file": request.coarse, "patches (--patch)": request.patch == 0,
    }  # fmt: skip
    wrong = [text for text, found in asked.items() if found]
    if wrong:
        raise FieldError(
            f"{request.truth} lies on a map (y, x), where training takes {wrong[0]}: change that, or interpolate it to "
            "latitude and longitude, e.g. with cdo remapcon"
        )


def one_level(ds: xr.Dataset, names: Sequence[str], request: Request) -> xr.Dataset:
    """The variables on (time, latitude, longitude); members stand one after the other as further times."""
    statics = [m for m in ("orog", "land") if m in ds and m not in names]
    ds = ds[[*names, *statics]]
    for name in names:
        if "level" in ds[name].dims:
            if ds.sizes["level"] > 1:
                levels = ", ".join(f"{v:g}" for v in ds["level"].values)
                raise FieldError(f"{name} has the levels {levels} hPa: name one with --level")
            ds = ds.isel(level=0, drop=True)
        extra = [str(d) for d in ds[name].dims if d not in ("time", "member", "latitude", "longitude")]
        if extra:
            raise FieldError(
                f"{name} has the dimension {extra[0]}: select one of its {ds.sizes[extra[0]]} values first"
            )
    if "member" in ds.dims:
        if "time" not in ds.dims:
            raise FieldError(f"{', '.join(names)} of {request.truth} have no times, which the split is made by")
        if request.frames > 1:
            raise FieldError("sequences of an ensemble: select one member first")
        ds = ds.stack(sample=("time", "member")).reset_index("sample").swap_dims(sample="time").drop_vars("member")
        ds = ds.transpose("time", "latitude", "longitude")
        ds.attrs["members"] = 1
    return ds


def with_times(ds: xr.Dataset, source: str) -> xr.Dataset:
    """Rising times, none of them twice.

    Raises
    ------
    FieldError : no times, or the same one again, which it names.
    """
    if "time" not in ds.dims:
        raise FieldError(
            f"{source} has no time axis: a training needs many times to learn from and others to be scored"
        )
    if not ds.sizes["time"]:
        raise FieldError(f"{source} has no times: choose another period or file")
    values = ds["time"].values
    if (values[1:] < values[:-1]).any():
        ds, values = ds.sortby("time"), np.sort(values)
    same = np.flatnonzero(values[1:] == values[:-1])
    if same.size and not ds.attrs.get("members"):
        raise FieldError(
            f"{source} holds the time {values[same[0]]} twice ({same.size} repeated times): remove one of each, "
            f"e.g. with "
            "ds.drop_duplicates('time')"
        )
    return ds


def instants(ds: xr.Dataset, source: str) -> np.ndarray:
    """(T,) datetime64[ns]; other calendars count on from their first day."""
    values = ds["time"].values
    if np.issubdtype(values.dtype, np.datetime64):
        return values.astype("datetime64[ns]")
    if not hasattr(values[0], "calendar"):
        raise FieldError(
            f"the times of {source} are {values.dtype}, no dates: give them units such as 'days since ...'"
        )
    first = values[0]
    start = np.datetime64(
        f"{first.year:04d}-{first.month:02d}-{min(first.day, 28):02d}T{first.hour:02d}:{first.minute:02d}"
    )
    seconds = np.array([(v - first).total_seconds() for v in values])
    return start.astype("datetime64[ns]") + (seconds * 1e9).astype("timedelta64[ns]")


def ground_of_request(
    request: Request, truth: xr.Dataset | None, grid: Grid, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Fine fields that do not change: elevation in km and land, or whatever else the file of statics holds.

    Raises
    ------
    FieldError : no such field, missing values, or another grid than that of the truth.
    """
    ds = truth
    if request.statics:
        ds = opened(request, request.statics, times=False)
    assert ds is not None
    found: dict[str, np.ndarray] = {}
    for name, da in ds.data_vars.items():
        if name in names or not {"latitude", "longitude"} <= set(da.dims) or da.dtype.kind not in "fiub":
            continue
        if not request.statics and name not in ("orog", "land"):
            continue
        da = da.isel({d: 0 for d in da.dims if d not in ("latitude", "longitude")}, drop=True)
        values = fitted(da.transpose("latitude", "longitude"), grid, request.statics or request.truth)
        new, unit = {"orog": ("elevation", 1e-3)}.get(str(name), (str(name), 1.0))
        if is_classes(da, values):
            kinds = np.unique(values)
            found |= {f"{new} {kind:g}": (values == kind).astype(np.float32) for kind in kinds[:16]}
        else:
            found[new] = (unit * values).astype(np.float32)
    if request.statics and not found:
        raise FieldError(
            f"{request.statics} holds no field on (latitude, longitude): pass orog (m), land (share) or others"
        )
    return found


def is_classes(da: xr.DataArray, values: np.ndarray) -> bool:
    """Whole numbers that stand for kinds of ground: each becomes a field of its own, 1 where the ground is of it."""
    flagged = "flag_values" in da.attrs or "flag_meanings" in da.attrs
    return flagged and np.unique(values).size > 2


def fitted(da: xr.DataArray, grid: Grid, source: str) -> np.ndarray:
    """(H, W) of a fine field on the grid of the truth, which it may go beyond."""
    near = {"latitude": grid.latitude, "longitude": grid.longitude}
    longitude = da["longitude"].values
    shift = 360.0 * np.round((grid.longitude.mean() - longitude.mean()) / 360.0)
    da = da.assign_coords(longitude=longitude + shift)
    try:
        tolerance = 0.3 * min(abs(grid.dlon), float(np.abs(np.diff(grid.latitude)).min()))
        values = da.sel(near, method="nearest", tolerance=tolerance).values
    except (KeyError, ValueError):
        raise FieldError(
            f"{da.name} of {source} is not on the grid of the truth ({grid.shape[0]} x {grid.shape[1]} from latitude "
            f"{grid.latitude[0]:g}, longitude {grid.longitude[0]:g}): interpolate it to that grid first"
        ) from None
    if not np.isfinite(values).all():
        raise FieldError(f"{da.name} of {source} has missing values on the grid of the truth: fill them")
    return np.asarray(values, np.float64)
