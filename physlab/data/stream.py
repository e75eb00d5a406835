r"""Fields larger than memory: read in blocks of (time, y, x) while a training runs, in an order that mixes them.

A lazy field (Zarr or NetCDF, opened in chunks) never lies in memory as a whole. The order of an epoch follows from
(seed, epoch) alone, so that an interrupted training goes on where it was, and so does a training by several processes:

1. the times are cut into blocks that follow the chunks of the file, and the blocks are dealt in random order to G
   *lanes*; sample k of a batch of B always comes from lane k G // B, so that each process reads its own lanes and
   nothing else;
2. a *window* of n times of each lane is in memory, its samples in random order; the next window is read by a thread
   meanwhile;
3. for a crop each time gives as many tiles as stand side by side, from somewhere, and as many bands of them as one
   chunk holds. The samples of a batch lie in one band: they share their cell areas.

Every time is read once an epoch. The moments of the whole training block are those of one pass, chunk by chunk in
double precision, joined as by Chan, Golub and LeVeque (1983, Am. Stat. 37, 242-247).
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.errors import FieldError
from physlab.grid import coarsen
from physlab.registry import watched

SHARE = 0.25
"""Of the memory of the machine: a training block that needs more is read as it is needed."""
BUFFER = 64 << 20
"""Bytes of a window of samples; the next one is read meanwhile, so that two of them are in memory."""
HELD = 64 << 20
"""Bytes of the validation fields, and of the sample of the training block, that are kept in memory."""
READERS, TOGETHER = 2, 32 << 20
"""Threads that decode the chunks of a window, and bytes that they are given at once."""

Told = Callable[[int, int], None]


def memory() -> int:
    """Bytes of memory that this process may use: of the machine, or of its control group."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else [8 << 30]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            sizes.append(int((Path("/sys/fs/cgroup") / name).read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return min(sizes)


def is_lazy(field: xr.DataArray) -> bool:
    """Whether the values are still on the disk."""
    return field.chunks is not None or not field.variable._in_memory


@dataclass(frozen=True)
class Statistics:
    """Moments of each channel over all times and points, double precision.

    Attributes
    ----------
    count : numbers of a channel.
    mean, std, low, high : of each channel, in the unit of the field; the deviation divides by the count.
    digest : SHA-256 of the values, single precision, in the order of time.
    """

    count: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    digest: str

    def card(self) -> dict:
        """As JSON."""
        return {"count": self.count, "mean": list(self.mean), "std": list(self.std), "min": list(self.low),
                "max": list(self.high)}  # fmt: skip


class Moments:
    """Count, mean, sum of squared deviations and range of (N, C, ...) parts that come one after the other."""

    def __init__(self) -> None:
        self.count, self.hash = 0, hashlib.sha256()
        self.mean = self.square = self.low = self.high = np.zeros(0)

    def add(self, part: np.ndarray) -> None:
        """(N, C, H, W) values."""
        self.hash.update(np.ascontiguousarray(part, dtype="<f4").data)
        flat = np.moveaxis(part, 1, 0).reshape(part.shape[1], -1)
        count, mean = flat.shape[1], flat.mean(1, dtype=np.float64)
        square = np.array([np.square(row - m, dtype=np.float64).sum() for row, m in zip(flat, mean, strict=True)])
        low, high = flat.min(1).astype(float), flat.max(1).astype(float)
        if not self.count:
            self.count, self.mean, self.square, self.low, self.high = count, mean, square, low, high
            return
        apart, both = mean - self.mean, self.count + count
        self.square = self.square + square + apart**2 * self.count * count / both
        self.mean = self.mean + apart * count / both
        self.count, self.low, self.high = both, np.minimum(self.low, low), np.maximum(self.high, high)

    def result(self) -> Statistics:
        """Of all parts."""
        std = np.sqrt(self.square / self.count)
        mean, spread, low, high = (tuple(map(float, row)) for row in (self.mean, std, self.low, self.high))
        return Statistics(self.count, mean, spread, low, high, self.hash.hexdigest())


class FieldStream:
    """Samples of lazy fields: frames or channels of a time, and what they are coarsened to.

    Parameters
    ----------
    fields : (time, y, x) each, on one grid and with the same times; one channel each.
    factor : N of the coarse fields.
    index : (S,) positions in time of the samples, rising: those of the training block.
    weights : (H, W) cell areas.
    coarse : (time, y / N, x / N) each, where the coarse fields are files of their own; None coarsens by block means.
    frames : times of a sample that follow each other (with a single field); all of them lie within the block.
    step : of the times of a sample in `index`, for frames.

    Attributes
    ----------
    shape : (H, W).  channels : of a fine sample.
    chunk, height : times and rows that are stored together.
    """

    def __init__(
        self, fields: Sequence[xr.DataArray], factor: int, index: np.ndarray, weights: Tensor,
        coarse: Sequence[xr.DataArray] | None = None, frames: int = 1,
    ) -> None:  # fmt: skip
        self.fields, self.factor, self.coarse, self.frames = list(fields), factor, list(coarse or ()), frames
        self.index, self.weights = np.sort(np.asarray(index)), weights
        height, width = (self.fields[0].sizes[d] for d in self.fields[0].dims[-2:])
        self.shape = (height, width)
        if frames > 1 and len(self.fields) > 1:
            raise FieldError(f"{frames} frames of {len(self.fields)} fields: pass one field, or single frames")
        if len(self.index) < frames:
            raise FieldError(f"{len(self.index)} times for samples of {frames} frames: pass a longer training block")
        whole = np.flatnonzero(self.index[frames - 1 :] - self.index[: len(self.index) - frames + 1] == frames - 1)
        self.starts = self.index[whole]  # whose frames are all there, without a gap
        self.channels = max(frames, len(self.fields))
        self.chunk, self.height = (self._stored(k) for k in (0, 1))

    def _stored(self, axis: int) -> int:
        """Length of the chunks along an axis."""
        field = self.fields[0]
        if field.chunks is not None:
            return max(1, int(np.median(field.chunks[axis])))
        known = field.encoding.get("preferred_chunks", {})
        return int(known.get(field.dims[axis], (1, self.shape[0])[axis]))

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def zonal(self) -> bool:
        """Whether the areas of a row are all alike, as on latitudes and longitudes."""
        return bool(torch.allclose(self.weights, self.weights[:, :1], rtol=1e-6))

    @property
    def nbytes(self) -> int:
        """Of the samples, single precision."""
        return 4 * len(self.index) * len(self.fields) * self.shape[0] * self.shape[1]

    def read(
        self, times: np.ndarray, rows: slice = slice(None), columns: slice = slice(None)
    ) -> tuple[Tensor, Tensor | None]:
        """Fine (n, C, H', W') and coarse (n, C, h', w') values at positions in time, float32; no coarse ones where
        they are block means. Neighbouring times are read together.

        Raises
        ------
        FieldError : values that are missing or infinite, with their time.
        """
        fine = self._values(self.fields, times, rows, columns)
        if not self.coarse:
            return torch.from_numpy(fine), None
        n = self.factor
        rows, columns = (slice(s.start and s.start // n, s.stop and s.stop // n) for s in (rows, columns))
        return torch.from_numpy(fine), torch.from_numpy(self._values(self.coarse, times, rows, columns))

    def _values(self, fields: Sequence[xr.DataArray], times: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        times = np.asarray(times)
        wanted, back = np.unique(times, return_inverse=True)
        cuts = np.flatnonzero(np.diff(wanted) != 1) + 1
        runs = [(slice(int(run[0]), int(run[-1]) + 1), rows, columns) for run in np.split(wanted, cuts)]
        height, width = (len(range(*cut.indices(size))) for cut, size in
                         zip((rows, columns), fields[0].shape[1:], strict=True))  # fmt: skip
        made = np.empty((len(wanted), len(fields), height, width), np.float32)
        for channel, field in enumerate(fields):
            done = 0
            for part in _computed(field, runs):
                made[done : done + len(part), channel] = part
                done += len(part)
        if not np.isfinite(made).all():
            at = np.argwhere(~np.isfinite(made))[0]
            field, time = fields[at[1]], wanted[at[0]]
            stamp = str(field["time"].values[time])[:19] if "time" in field.coords else str(time)
            raise FieldError(
                f"'{field.name}' has missing or infinite values (the first at {stamp}, row {at[2]}, column {at[3]}): "
                "fill them, or choose a region and a period without"
            )
        return made if len(wanted) == len(times) and (np.diff(times) > 0).all() else made[back]

    def pair(self, times: np.ndarray) -> tuple[Tensor, Tensor]:
        """Fine (n, C, H, W) and coarse (n, C, h, w) whole samples that start at these positions in time."""
        at = (np.asarray(times)[:, None] + np.arange(self.frames)).ravel()
        fine, coarse = self.read(at)
        coarse = exactly(fine, self.factor, self.weights) if coarse is None else coarse
        if self.frames == 1:
            return fine, coarse
        return (x.reshape(len(times), self.frames, *x.shape[-2:]) for x in (fine, coarse))  # type: ignore[return-value]

    def blocks(self, budget: int = BUFFER) -> Iterator[np.ndarray]:
        """Positions in time, rising, in parts that follow the chunks and take at most about `budget` bytes."""
        size = 4 * len(self.fields) * self.shape[0] * self.shape[1]
        each = max(1, int(budget // (2 * size)))
        each = max(self.chunk, each // self.chunk * self.chunk) if each >= self.chunk else each
        cuts = np.flatnonzero(np.diff(self.index // each)) + 1
        yield from np.split(self.index, cuts)

    def statistics(self, progress: Told | None = None) -> Statistics:
        """Of the training block, in one pass."""
        moments, parts = Moments(), list(self.blocks())
        for part in watched(parts, progress):
            fine, coarse = self.read(part)
            moments.add(fine.numpy())
            if coarse is not None:
                moments.hash.update(coarse.numpy().tobytes())
        return moments.result()

    def some(self, size: int = HELD, most: int = 256) -> np.ndarray:
        """Positions in time of evenly spaced samples that take at most `size` bytes."""
        each = 4 * self.channels * self.shape[0] * self.shape[1]
        count = int(min(len(self), most, max(1, size // each)))
        return self.starts[np.linspace(0, len(self) - 1, count).round().astype(int)]


@dataclass(frozen=True)
class Plan:
    """How an epoch is read; the same for any number of processes.

    Attributes
    ----------
    size : samples of a batch.  lanes : G.  rows : samples of a lane in a batch.
    crop : edge in fine cells, None for the whole field.  tiles, bands : side by side, and above each other, of a time.
    times : of a lane in an epoch.  window : of them in a window.
    steps : batches of a window;  last : of the last one.
    """

    size: int
    lanes: int
    rows: int
    crop: int | None
    tiles: int
    bands: int
    times: int
    window: int
    steps: int
    last: int

    @classmethod
    def of(cls, stream: FieldStream, batch: int, crop: int | None, budget: int = BUFFER) -> Plan:
        """For batches of a size (fewer where there are fewer samples), and a crop."""
        height, width = stream.shape
        tiles = width // crop if crop is not None and stream.zonal else 1
        bands = 1 if crop is None else max(1, min(height, stream.height) // crop)
        each = 4 * stream.channels * bands * (height if crop is None else crop) * width
        size = min(batch, len(stream) * tiles)
        fits = min(max(1, budget // (each * stream.chunk)), len(stream))
        lanes = max(g for g in range(1, size + 1) if size % g == 0 and (g <= fits or g == 1))
        rows, times = size // lanes, len(stream) // lanes
        unit = rows // math.gcd(rows, tiles)  # times that make whole batches
        if times < unit:  # fewer times than a batch wants: all that there is
            lanes, rows, times, unit = 1, size, len(stream), len(stream)
        window = min(times, max(1, budget // (each * lanes)))
        for whole in (unit * stream.chunk // math.gcd(unit, stream.chunk), unit):  # whole chunks, if they are not long
            if window >= whole:
                window = window // whole * whole
                break
        window = max(unit, window)
        steps, last = (bands * (t * tiles // rows) for t in (window, times % window // unit * unit))
        return cls(size, lanes, rows, crop, tiles, bands, times, window, steps, last)

    @property
    def whole(self) -> int:
        """Windows of an epoch that are full."""
        return self.times // self.window

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch."""
        return self.whole * self.steps + self.last

    def at(self, step: int) -> tuple[int, int, int]:
        """Epoch, window, and batch within the window, of a step."""
        epoch, position = divmod(step, self.per_epoch)
        window = min(position // self.steps, self.whole)
        return epoch, window, position - window * self.steps


@dataclass(frozen=True)
class Window:
    """Samples of the lanes of a process; those of a batch lie in one band.

    Attributes
    ----------
    fine, coarse : (bands, lanes, n, C, H', W') and (bands, lanes, n, C, h', w').  weights : (bands, H', W') areas.
    rows : (bands,) the first of each;  columns : (bands, lanes, n) the first of each sample.
    """

    fine: Tensor
    coarse: Tensor
    weights: Tensor
    rows: np.ndarray
    columns: np.ndarray


class Windows:
    """The windows of a training in turn, the next one read while this one is used.

    Parameters
    ----------
    plan : see :class:`Plan`.  seed : of all that is random.
    lanes : those that this process reads, a range.
    """

    def __init__(self, stream: FieldStream, plan: Plan, seed: int, lanes: range) -> None:
        self.stream, self.plan, self.seed, self.lanes = stream, plan, seed, lanes
        self._thread = ThreadPoolExecutor(1, "physlab-stream")
        self._ready: dict[tuple[int, int], Future] = {}
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, int))

    def get(self, epoch: int, window: int) -> Window:
        """The samples of a window, mixed; the next one is read from now on."""
        plan, key = self.plan, (epoch, window)
        following = (epoch, window + 1) if window + 1 < plan.whole + (plan.last > 0) else (epoch + 1, 0)
        for wanted in (key, following):
            if wanted not in self._ready:
                self._ready[wanted] = self._thread.submit(self._load, *wanted)
        self._ready = {wanted: self._ready[wanted] for wanted in (key, following)}
        return self._ready[key].result()

    def order(self, epoch: int) -> np.ndarray:
        """(lanes, times) starts of the samples of an epoch: whole blocks in random order, then what makes none."""
        if self._order[0] != epoch:
            starts, length, lanes = self.stream.starts, self.stream.chunk, self.plan.lanes
            parts = np.split(starts, np.flatnonzero(np.diff(starts // length)) + 1)
            random = self.random(epoch, 0)
            mixed = [parts[k] for k in random.permutation(len(parts))]
            whole = [part for part in mixed if len(part) == length]
            dealt = whole[: len(whole) // lanes * lanes]
            rest = [part for part in mixed if len(part) < length] + whole[len(dealt) :]
            tail = np.concatenate([starts[:0], *rest])
            tail = tail[: len(tail) // lanes * lanes].reshape(lanes, -1)
            body = np.concatenate([starts[:0], *dealt]).reshape(lanes, -1)
            self._order = epoch, np.concatenate([body, tail], axis=1)
        return self._order[1]

    def random(self, epoch: int, window: int, lane: int = 0) -> np.random.Generator:
        """Random numbers of an epoch (window 0), of a window, or of a lane of it."""
        return np.random.default_rng([self.seed, epoch, window, lane])

    def shuffled(self, epoch: int, window: int, band: int, count: int) -> np.ndarray:
        """(lanes, count * tiles) samples of a band in random order."""
        plan = self.plan
        return np.stack([self.random(epoch, window + 1, 1 + lane * plan.bands + band).permutation(count * plan.tiles)
                         for lane in self.lanes])  # fmt: skip

    def _load(self, epoch: int, window: int) -> Window:
        plan, stream, n = self.plan, self.stream, self.stream.factor
        height, width = stream.shape
        count = plan.window if window < plan.whole else plan.last * plan.rows // (plan.tiles * plan.bands)
        first = window * plan.window
        starts = np.sort(self.order(epoch)[self.lanes.start : self.lanes.stop, first : first + count])
        edge, choice = plan.crop, self.random(epoch, window + 1)
        rows = columns = slice(None)
        offset = corner = 0
        if edge is not None:
            corner = int(choice.integers((height - plan.bands * edge) // n + 1)) * n
            offset = int(choice.integers((width - plan.tiles * edge) // n + 1)) * n
            rows, columns = slice(corner, corner + plan.bands * edge), slice(offset, offset + plan.tiles * edge)
        at = np.unique((starts[..., None] + np.arange(stream.frames)).ravel())
        y, x = stream.read(at, rows, columns)
        areas = stream.weights[rows, columns]
        if x is None:
            x = exactly(y, n, areas)
        mixed = np.stack([self.shuffled(epoch, window, band, count) for band in range(plan.bands)])
        lane = np.arange(len(self.lanes))[:, None]
        place, tile = np.searchsorted(at, starts)[lane, mixed // plan.tiles], mixed % plan.tiles
        fine, coarse = (_tiles(part, place, tile, plan, stream.frames) for part in (y, x))
        areas = areas.unflatten(0, (plan.bands, -1))[..., : fine.shape[-1]]
        band = np.arange(plan.bands) * (edge or 0)
        return Window(fine, coarse, areas, corner + band, offset + tile * (edge or 0))


def exactly(fine: Tensor, factor: int, weights: Tensor) -> Tensor:
    """Block means summed in double precision and rounded once, a few samples at a time."""
    return torch.cat([coarsen(part.double(), factor, weights.double()).float() for part in fine.split(4)])


def _tiles(x: Tensor, place: np.ndarray, tile: np.ndarray, plan: Plan, frames: int) -> Tensor:
    """(bands, lanes, n, C, h, w) of samples that start at places of (t, C, bands * h, tiles * w), one tile of each."""
    x = x.unflatten(-1, (plan.tiles, -1)).unflatten(2, (plan.bands, -1))
    t, k = torch.from_numpy(place), torch.from_numpy(tile)
    band = torch.arange(plan.bands)[:, None, None]
    if frames > 1:
        return x[:, 0][t[..., None] + torch.arange(frames), band[..., None], :, k[..., None]]
    return x[t, :, band, :, k]


def _computed(field: xr.DataArray, runs: Sequence[tuple]) -> Iterator[np.ndarray]:
    """Values of parts of a field, a few at a time; chunks are decoded by a few threads."""
    if field.chunks is None:
        yield from (field[run].values for run in runs)
        return
    import dask

    parts: list = []
    for run in runs:
        parts.append(field.data[run])
        if run is runs[-1] or sum(part.nbytes for part in parts) >= TOGETHER:
            yield from dask.compute(*parts, scheduler="threads", num_workers=READERS)
            parts = []
