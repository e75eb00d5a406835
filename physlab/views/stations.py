"""Stations on the map of any method: values of the truth in some cells, and the field that listens to them.

What the method gets wrong elsewhere at the same time is told by its errors on frames of the validation split, of which
the truth is known: they say how far a station speaks. The step is that of :mod:`physlab.downscale.listening`. Where the
field has the block means of the coarse one before, its errors have none, and it has them afterwards too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from physlab.data.observe import Interpolation, table
from physlab.data.patches import SRData
from physlab.downscale.base import FieldDownscaler
from physlab.downscale.listening import Errors, tuned, update
from physlab.downscale.listening.measure import blank
from physlab.downscale.listening.method import kept, same_sign
from physlab.errors import PhysLabError
from physlab.grid import Grid
from physlab.train.evaluate import predict_members
from physlab.train.own.compare import drawn
from physlab.train.own.data import OwnData

FRAMES = 100
"""Frames on which the errors of a method are measured."""
DRAWN = 24
"""The same where each frame is drawn several times."""
LEAST = 4
SPLIT = "val"
BELIEF = 0.1
"""Standard deviation of a station's error, in units of the method's."""


def can_listen(data: SRData, split: str = SPLIT) -> str:
    """Why nothing can listen to stations in these data; empty if it can."""
    frames = len(data.fine.get(split, ()))
    if frames and data.fine[split].shape[1] > 1:
        return "Stations are for single frames, these data are sequences"
    if frames < LEAST:
        return f"Stations take at least {LEAST} frames of the {split} split, which measure errors: there are {frames}"
    return ""


def errors_of(method: FieldDownscaler, data: SRData, split: str = SPLIT, members: int = 8) -> Errors:
    """The covariance of a method's errors on frames of a split.

    Parameters
    ----------
    method : of the task of `data`.
    data : pairs with that split.
    members : drawn of a method that draws; the errors are those of their mean.

    Raises
    ------
    PhysLabError : sequences, too few frames, or fields with missing values.
    """
    if problem := can_listen(data, split):
        raise PhysLabError(f"{problem}: choose other data")
    frames = len(data.fine[split])
    at = slice(None, None, -(-frames // (DRAWN if method.spec.ensemble else FRAMES)))
    if isinstance(data, OwnData):
        made = drawn(method, data, split, np.arange(frames)[at], members)
    else:
        made = predict_members(method, data, split, at, members)
    errors = data.fine[split][at] - made.mean(0)
    if not torch.isfinite(errors).all():
        raise PhysLabError(
            f"fields of the {split} split have missing values: fill or cut them before stations are placed"
        )
    return tuned(errors[:, 0], data.grid(split, 0), data.factor, BELIEF)


def heard(
    result: Tensor, truth: Tensor, coarse: Tensor, cells: Sequence[int], errors: Errors, data: SRData, seed: int = 0
) -> Tensor:
    """Fields after the stations.

    Parameters
    ----------
    result : (M, 1, 1, H, W) members of one frame, M = 1 for a method without noise.
    truth, coarse : (1, 1, H, W), which the stations see without an error, and (1, 1, h, w), of that frame.
    cells : with a station, numbered row by row of the arrays; where the truth has no value a station says nothing.
    errors : see :func:`errors_of`.
    seed : of the perturbations that members take.

    Returns
    -------
    (M, 1, 1, H, W), with the block means and the sign that the result had.

    Raises
    ------
    PhysLabError : a cell that the field does not have.
    """
    shape = truth.shape[-2:]
    index = np.asarray(cells, dtype=int)
    wrong = index[(index < 0) | (index >= truth.numel())]
    if len(wrong):
        raise PhysLabError(f"a station is in cell {wrong[0]}: pass 0 to {truth.numel() - 1}, row by row")
    index = index[np.isfinite(truth.flatten().numpy()[index])]
    if not len(index):
        return result
    grid, n = Grid(data.latitude, next(iter(data.longitude.values()))[0]), len(index)
    rows, columns = index // shape[1], index % shape[1]
    unknown = np.full(n, np.nan)
    places = table(["field"] * n, unknown, grid.latitude[rows], grid.longitude[columns], unknown, np.ones(n))
    see, y = Interpolation(places, blank(grid)), truth.flatten().double()[index]
    error = torch.full((n,), BELIEF * float(errors.variance().mean().sqrt()), dtype=torch.float64)
    x = result.flatten(-2)[:, 0, 0].double()
    draw = torch.Generator().manual_seed(seed)
    new, _ = update(x if len(x) > 1 else x[0], y, error, see, errors, draw)
    new, old = new.reshape(-1, *shape), x.unflatten(-1, shape)
    low = coarse[:, 0].double()
    keeps = kept(old[None], low, grid, data.factor)
    return same_sign(new, old, low[0], grid, data.factor, keeps)[:, None, None].to(result.dtype)
