r"""Pairs of coarse and fine fields for downscaling: the one entry that training, evaluation, explorer and book use.

The coarse field is made here, by the explicit coarsening operator :func:`physlab.grid.coarsen` with exact cell areas
as weights,

.. math:: x = P y, \qquad P y = \sum_{block} w\,y \Big/ \sum_{block} w ,

and the pair is checked before it is handed out, so that the truth satisfies the law that the constraint layers enforce.
Statistics come from the training block only; non-negative fields get a scale but no offset (an offset would shift the
zero on which multiplicative and softmax constraints rest).

Tasks
-----
`tcw`
    Column water of the laboratory atmosphere, 128 x 128 patches, blocks of time at least 5 days apart (all shipped).
`tcw-t1`, `tcw-t2`
    Hourly triplets of the same: three coarse frames in and three fine frames out (t1), or the first and the last in and
    three out (t2). The frames take the place of the channel.
`era5-uk-t2m`
    ERA5 2-metre temperature over the British Isles, March 2019, hourly, the 33 x 49 grid cropped to its first 32 rows
    and 48 columns. Training 1 to 18 March (432 h), validation 21 to 24 March (96 h), test 27 to 31 March (120 h); the
    hours in the gaps of 49 h are not used. Training needs the download; validation and test are shipped (quantised to
    0.002 K).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import xarray as xr

from physlab.cf import VARIABLES
from physlab.data import splits as splitting
from physlab.data.frames import TASKS, Frames, field_frames
from physlab.data.stream import HELD, SHARE, FieldStream, Statistics, Told, is_lazy, memory
from physlab.errors import FieldError, PhysLabError
from physlab.fields import Scaling, check_divisible, check_finite, standardise
from physlab.grid import Grid, check_coarsening, coarsen

SPLITS = ("train", "val", "test")
NON_NEGATIVE = frozenset({"tcw", "tcwv", "q", "tp"})
"""Variables of your own data that cannot be negative by definition: scaled without an offset."""


@dataclass(frozen=True, eq=False)
class SRData:
    """Pairs for super-resolution, physical units, S samples a split, T frames each (one, but for sequences).

    Attributes
    ----------
    fine, coarse : split -> (S, T, H, W) and (S, T', H/N, W/N) float32, coarse = coarsen(fine[:, given], factor,
        weights).
    weights : (H, W) float32 cell areas divided by their mean; pass them to constraint layers and scores.
    time : split -> (S,) datetime64[ns], of the first frame;  latitude : (H,);  longitude : split -> (S, W), degrees.
    scaling : offset and scale of the training block; offset 0 if `non_negative`.
    data_hash : SHA-256 of the fields, times and weights loaded;  hashes : the same for each split alone.
    split : blocks, gap and rule as plain JSON values, for the model card.
    given : which of the T frames the coarse ones are.
    step : time between the frames of a sequence, or None.
    budget : terms of the water budget at the training frames, coarse; see :class:`physlab.data.frames.Frames`.
    stream : the training block, read as it is needed, where it is larger than memory; `fine` and `coarse` then hold
        evenly spaced samples of each split, and `scaling` is that of the whole block.
    statistics : of the whole training block, where it is streamed.
    """

    task: str
    factor: int
    variable: str
    units: str
    non_negative: bool
    fine: dict[str, torch.Tensor]
    coarse: dict[str, torch.Tensor]
    weights: torch.Tensor
    time: dict[str, np.ndarray]
    latitude: np.ndarray
    longitude: dict[str, np.ndarray]
    scaling: Scaling
    data_hash: str
    hashes: dict[str, str]
    split: dict
    given: tuple[int, ...] = (0,)
    step: np.timedelta64 | None = None
    budget: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)
    stream: FieldStream | None = None
    statistics: Statistics | None = None

    @property
    def extent(self) -> tuple[float, float]:
        """Least and largest value of the training block."""
        if self.statistics is not None:
            return min(self.statistics.low), max(self.statistics.high)
        return float(self.fine["train"].min()), float(self.fine["train"].max())

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the fine fields."""
        height, width = self.weights.shape
        return height, width

    def to(self, device: torch.device | str) -> SRData:
        """The same data with all tensors on `device`."""
        return dataclasses.replace(
            self,
            fine={k: v.to(device) for k, v in self.fine.items()},
            coarse={k: v.to(device) for k, v in self.coarse.items()},
            weights=self.weights.to(device),
        )

    def data_range(self, split: str) -> float:
        """Largest minus smallest value of the truth of a split, in its unit: the declared range of PSNR and SSIM."""
        return float(self.fine[split].max() - self.fine[split].min())

    def all_coarse(self, split: str) -> torch.Tensor:
        """(S, T, H/N, W/N): the coarse field of every frame, those that the method does not get included."""
        return (
            self.coarse[split] if self.step is None else _coarsen_exactly(self.fine[split], self.factor, self.weights)
        )

    def at(self, factor: int) -> Self:
        """The same coarse fields with fine ones that are averaged to a smaller factor, a divisor of this one.

        Raises
        ------
        PhysLabError : not a divisor, or a training block that is streamed.
        """
        ratio, left = divmod(self.factor, factor) if factor > 0 else (0, 1)
        if left or self.stream is not None:
            came = "pairs that are streamed" if self.stream is not None else f"factor {factor}"
            raise PhysLabError(f"{came}: pairs in memory can be averaged to the divisors of {self.factor}")
        if ratio == 1:
            return self
        rows = self.latitude.reshape(-1, ratio).mean(1)
        columns = {split: x.reshape(*x.shape[:-1], -1, ratio).mean(-1) for split, x in self.longitude.items()}
        fine = {split: coarsen(x, ratio, self.weights) for split, x in self.fine.items()}
        digest = hashlib.sha256(f"{self.data_hash} at x{factor}".encode()).hexdigest()
        return dataclasses.replace(
            self, factor=factor, fine=fine, weights=coarsen(self.weights, ratio), latitude=rows, longitude=columns,
            data_hash=digest,
        )  # fmt: skip

    def grid(self, split: str, index: int) -> Grid:
        """Grid of one fine sample."""
        return Grid(self.latitude, self.longitude[split][index])

    def dataset(self, split: str, index: int, coarse: bool = False) -> xr.Dataset:
        """One sample as a Dataset (time=T, latitude, longitude), fine or coarse, for `method.downscale` and for
        plots."""
        grid = self.grid(split, index)
        grid = grid.coarsen(self.factor) if coarse else grid
        field = (self.coarse if coarse else self.fine)[split][index].cpu().numpy()
        step = np.timedelta64(0, "ns") if self.step is None else self.step
        coords = {
            "time": self.time[split][index] + step * np.array(self.given if coarse else range(len(field))),
            "latitude": ("latitude", grid.latitude, {"standard_name": "latitude", "units": "degrees_north"}),
            "longitude": ("longitude", grid.longitude, {"standard_name": "longitude", "units": "degrees_east"}),
        }
        return xr.Dataset(
            {self.variable: (("time", "latitude", "longitude"), field, dict(VARIABLES.get(self.variable, {})))}, coords
        )


def sr_pairs(task: str, factor: int, splits: Sequence[str] = SPLITS) -> SRData:
    """Coarse and fine fields of a task, with statistics, split and hash.

    Parameters
    ----------
    task : "tcw", "tcw-t1", "tcw-t2" or "era5-uk-t2m".
    factor : coarsening factor N; must divide the grid (128 x 128 and 32 x 48).
    splits : which of train, val, test to load; the scaling is that of the training block in any case.

    Raises
    ------
    FieldError : unknown task or split, a factor that does not divide the grid, NaNs, leaking splits.
    DownloadError : the training block of `era5-uk-t2m` is not here and cannot be downloaded.
    """
    if task not in TASKS:
        raise FieldError(
            f"unknown task '{task}': choose one of {', '.join(TASKS)}, or build pairs of your own data with make_pairs"
        )
    return pair(TASKS[task](_checked(splits)), factor)


def make_pairs(
    field: xr.DataArray,
    factor: int,
    blocks: Mapping[str, float | tuple],
    gap: float,
    non_negative: bool | None = None,
    task: str = "own",
    stream: bool | None = None,
    progress: Told | None = None,
) -> SRData:
    """Pairs from your own field (time, latitude, longitude) on a latitude-longitude grid.

    Parameters
    ----------
    blocks, gap : as in :func:`physlab.data.splits.split_by_time`; a block named "train" is required.
    non_negative : scale without an offset; by default for the variables of :data:`NON_NEGATIVE`.
    stream : whether the training block is read as it is needed (:mod:`physlab.data.stream`); None: where a lazy field
        would take more than a quarter of the memory of the machine.
    progress : called with (done, in all) while the statistics of a streamed block are made.

    Raises
    ------
    FieldError : no latitude, longitude or time; NaNs; a grid that the factor does not divide; leaking or empty blocks.
    """
    field = standardise(field)
    missing = [d for d in ("time", "latitude", "longitude") if d not in field.dims]
    if missing or field.ndim != 3:
        raise FieldError(
            f"'{field.name}' has dims {tuple(field.dims)}: pass a field (time, latitude, longitude), "
            "e.g. after .sel(level=850)"
        )
    if "train" not in blocks:
        raise FieldError(f"blocks are {', '.join(blocks)}: name one of them 'train', the statistics come from it")
    check_divisible((field.sizes["latitude"], field.sizes["longitude"]), factor)
    field = field.transpose("time", "latitude", "longitude")
    index = splitting.split_by_time(field["time"].values, blocks, gap)
    parts = {name: field.isel(time=i) for name, i in index.items()}
    non_negative = field.name in NON_NEGATIVE if non_negative is None else non_negative
    rule = "blocks of time with gaps"
    if stream is None:
        wanted = 4 * len(index["train"]) * field.sizes["latitude"] * field.sizes["longitude"]
        stream = is_lazy(field) and wanted > SHARE * memory()
    if stream:
        return streamed(field, index, factor, gap, rule, non_negative, task, progress)
    return pair(field_frames(task, parts, gap, rule, non_negative), factor)


def streamed(
    field: xr.DataArray, index: Mapping[str, np.ndarray], factor: int, gap: float, rule: str, non_negative: bool,
    task: str = "own", progress: Told | None = None,
) -> SRData:  # fmt: skip
    """Pairs of a field (time, latitude, longitude) that stays on the disk.

    Parameters
    ----------
    index : split -> positions in time.
    progress : called with (done, in all) during the one pass over the training block.
    """
    grid = Grid(field["latitude"].values.astype(float), field["longitude"].values.astype(float))
    weights = torch.from_numpy(grid.area_weights).float()
    streams = {name: FieldStream([field], factor, at, weights) for name, at in index.items()}
    found = streams["train"].statistics(progress)
    held = {name: part.some(HELD) for name, part in streams.items()}
    frames = field_frames(
        task, {name: field.isel(time=at).load() for name, at in held.items()}, gap, rule, non_negative
    )
    few = pair(frames, factor)
    scale = (max(map(abs, (*found.low, *found.high))) if non_negative else found.std[0]) or 1.0
    every = splitting.describe({name: field["time"].values[at] for name, at in index.items()}, gap, rule)
    told = {name: f"{len(at)} evenly spaced of {len(streams[name])} samples" for name, at in held.items()}
    hashes = {**few.hashes, "train": found.digest}
    return dataclasses.replace(
        few,
        scaling=Scaling((0.0 if non_negative else found.mean[0],), (scale,)),
        data_hash=hashlib.sha256(" ".join(f"{k}={v}" for k, v in sorted(hashes.items())).encode()).hexdigest(),
        hashes=hashes,
        split={**every, "streamed": "train", "in memory": told, "statistics": found.card()},
        stream=streams["train"],
        statistics=found,
    )


def pair(frames: Frames, factor: int) -> SRData:
    """Coarsen, check and hash: Frames -> SRData."""
    check_divisible((frames.latitude.size, next(iter(frames.longitude.values())).shape[-1]), factor)
    for name, values in frames.values.items():
        dims = ("sample", "frame", "y", "x") if values.ndim == 4 else ("sample", "y", "x")
        check_finite(xr.DataArray(values, dims=dims, name=f"{frames.variable} ({name})"))
    splitting.check_gaps(frames.time, frames.gap)
    weights = torch.from_numpy(Grid(frames.latitude, next(iter(frames.longitude.values()))[0]).area_weights).float()
    fine = {
        name: torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)) for name, values in frames.values.items()
    }
    fine = {name: y if y.ndim == 4 else y[:, None] for name, y in fine.items()}
    given = tuple(range(next(iter(fine.values())).shape[1])) if frames.given is None else frames.given
    coarse = {name: _coarsen_exactly(y[:, given], factor, weights) for name, y in fine.items()}
    for name, y in fine.items():
        check_coarsening(y[:, given], coarse[name], factor, weights)
    scaling = (
        Scaling.fit(fine["train"].flatten(0, 1)[:, None], frames.non_negative) if "train" in fine else frames.statistics
    )
    if scaling is None:
        raise FieldError(
            f"no training block and no stored statistics for '{frames.task}': include 'train' in the splits"
        )
    hashes = {name: _hash(fine[name], frames.time[name], weights) for name in fine}
    return SRData(
        task=frames.task,
        factor=factor,
        variable=frames.variable,
        units=frames.units,
        non_negative=frames.non_negative,
        fine=fine,
        coarse=coarse,
        weights=weights,
        time=frames.time,
        latitude=frames.latitude,
        longitude=frames.longitude,
        scaling=scaling,
        data_hash=hashlib.sha256(" ".join(f"{k}={v}" for k, v in sorted(hashes.items())).encode()).hexdigest(),
        hashes=hashes,
        split=splitting.describe(frames.time, frames.gap, frames.rule),
        given=given,
        step=frames.step,
        budget={name: torch.from_numpy(values) for name, values in frames.budget.items()},
    )


def _coarsen_exactly(fine: torch.Tensor, factor: int, weights: torch.Tensor) -> torch.Tensor:
    """Block means summed in double precision and rounded once, 64 samples at a time."""
    return torch.cat([coarsen(part.double(), factor, weights.double()).float() for part in fine.split(64)])


def _hash(fine: torch.Tensor, time: np.ndarray, weights: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for array in (fine.numpy(), np.asarray(time, dtype="datetime64[s]").astype("int64"), weights.numpy()):
        digest.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def _checked(splits: Sequence[str]) -> tuple[str, ...]:
    splits = (splits,) if isinstance(splits, str) else tuple(splits)
    unknown = [name for name in splits if name not in SPLITS]
    if unknown or not splits:
        raise FieldError(f"unknown split '{', '.join(unknown)}': choose from {', '.join(SPLITS)}")
    return splits
