"""Truths larger than memory: read in blocks while the training runs, see :mod:`physlab.data.stream`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from physlab.data.patches import SRData, make_pairs
from physlab.data.stream import SHARE, is_lazy, memory
from physlab.train.own.cutting import LARGE, SPLITS, blocks_of
from physlab.train.own.data import OwnData
from physlab.train.own.request import Request, never_negative
from physlab.train.own.source import Source


def wants_streaming(source: Source, request: Request) -> bool:
    """Whether the fields are lazy, whole, and too many for a quarter of the memory."""
    plain = len(source.variables) == 1 and not source.predictors and not source.given and request.frames == 1
    if not plain or request.patch or source.on_map:
        return False
    field = source.fine[source.variables[0]]
    size = 4.0 * len(source.time) * np.prod(source.grid.shape)
    if not is_lazy(field) or size * (1 - 2 * request.held_out) <= SHARE * memory():
        return False
    return bool(np.isfinite(source.fine_at(slice(0, 1))).all()) and blocks_of(source, request)[0] is not None


def streamed_data(source: Source, request: Request, progress: Callable[[int, int], None] | None) -> OwnData:
    """The pairs of such a truth; those of the validation and test blocks that fit are in memory, evenly spaced."""
    name, gap = source.variables[0], blocks_of(source, request)[1]
    share = {"train": 1.0 - 2 * request.held_out, "val": request.held_out, "test": request.held_out}
    field = source.fine[name].transpose("time", "latitude", "longitude")
    positive = never_negative(field, float(source.fine_at(slice(0, 1)).min()))
    made = make_pairs(field, request.factor, share, gap, positive, "own", True, progress)
    fixed = bool(np.prod(source.grid.shape) <= LARGE)
    ground = {
        n: {k: torch.from_numpy(np.ascontiguousarray(v, np.float32))[None] for k in SPLITS}
        for n, v in source.ground.items()
    }
    lat, lon = source.grid.latitude, source.grid.longitude
    said = (
        f"{name} ({source.units[0] or 'no units'}) of {request.truth}: {source.grid.shape[0]} x {source.grid.shape[1]} "
        f"cells, {len(source.time)} times from {str(source.time[0])[:16]} to {str(source.time[-1])[:16]}, refined by "
        f"{request.factor} from its own block means; larger than a quarter of the memory and so read while it is "
        f"learned."
    )
    kept = {f.name: getattr(made, f.name) for f in dataclasses.fields(SRData)}
    return OwnData(
        **kept, request=request, variables=source.variables, all_units=source.units, positive=(positive,),
        ground=ground, fixed=fixed, place=(float(lat.min()), float(lat.max()), float(lon.min()), float(lon.max())),
        account=(said, *source.notes),
    )  # fmt: skip
