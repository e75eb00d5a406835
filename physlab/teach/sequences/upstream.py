"""Does a network for sequences look upstream? Where the hour before counts, against the wind that it was never told.

Water that is here now was upstream an hour ago. A network that uses motion should take from the frame before what lies
upstream of the cell, and from the frame behind what lies downstream. For a fine cell in the middle frame of each
sequence the gradient towards each coarse frame is taken (:mod:`physlab.downscale.influence`), and the mean place of its
absolute value; the difference between the frames is compared with the way of the water-weighted wind.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from physlab.constants import EARTH_RADIUS
from physlab.data.patches import SRData
from physlab.downscale import CNN
from physlab.downscale.influence import displacement, radius_of, untrained
from physlab.score.paired import block_bootstrap
from physlab.zoo import load_model

EDGE = 8  # coarse cells from the border of a patch
TOGETHER = 16
BLOCK = np.timedelta64(1, "D")


def looks(model: CNN, data: SRData, count: int = 96, seed: int = 0) -> pd.DataFrame:
    """Where the frames count for one fine cell in the middle frame of `count` sequences of the training block.

    Parameters
    ----------
    model : a network from three frames to three.
    data : of the task tcw-t1, with the fluxes of its training block (the network does not get them).

    Returns
    -------
    DataFrame: wind and moved along rows and columns (coarse cells; the way of the wind between two frames, and the
    place of the frame before less that of the frame behind, or of the middle where the network does not read what
    comes), before, now, behind (shares of the influence), radius (coarse cells), block.
    """
    assert data.step is not None
    generator = np.random.default_rng(seed)
    at = np.linspace(0, len(data.coarse["train"]) - 1, min(count, len(data.coarse["train"]))).astype(int)
    rows, columns = generator.integers(EDGE, data.shape[0] // data.factor - EDGE, (2, len(at)))
    n, step = data.factor, float(data.step / np.timedelta64(1, "s"))
    cell = EARTH_RADIUS * np.deg2rad(np.diff(data.latitude).mean()) * n
    found = []
    model.eval()
    for part in np.array_split(np.arange(len(at)), -(-len(at) // TOGETHER)):
        x = (data.coarse["train"][at[part]] / model.scale).requires_grad_()
        y = model(x, data.weights)[:, 1]
        one = y[torch.arange(len(part)), rows[part] * n + n // 2, columns[part] * n + n // 2]
        slopes = torch.autograd.grad(one.sum(), x)[0]
        for k, own in zip(part, slopes, strict=True):
            place = (int(rows[k]), int(columns[k]))
            size = own.abs().sum((1, 2)).double()
            frames = [displacement(frame, place) for frame in own]
            other, span = (2, 2) if float(size[2]) > 0 else (1, 1)
            water = float(data.all_coarse("train")[at[k], 1][place].clamp_min(1.0))
            flux = [float(data.budget[f"ivt_{c}"][at[k], 1][place]) for c in "vu"]
            north = flux[0] / water * span * step / cell  # rows run with the latitude
            parallel = abs(cell) * np.cos(np.deg2rad(data.latitude[place[0] * n + n // 2]))
            east = flux[1] / water * span * step / parallel
            found.append({
                "wind rows": north, "wind columns": east,
                "moved rows": frames[0][0] - frames[other][0], "moved columns": frames[0][1] - frames[other][1],
                **dict(zip(("before", "now", "behind"), (size / size.sum()).tolist(), strict=True)),
                "radius": radius_of(own, place),
                "block": int((data.time["train"][at[k]] - data.time["train"].min()) // BLOCK),
            })  # fmt: skip
    return pd.DataFrame(found)


def slope(table: pd.DataFrame) -> tuple[float, float, float]:
    """By how much what counts is displaced for each cell of wind, with the interval of a bootstrap over days.

    It is -1 for a network that looks as far upstream as the water came from, 0 for one that does not know the wind.
    """
    moved = np.concatenate([table["moved rows"], table["moved columns"]])
    wind = np.concatenate([table["wind rows"], table["wind columns"]])
    moved = moved - np.repeat([table["moved rows"].mean(), table["moved columns"].mean()], len(table))
    columns, blocks = np.stack([moved * wind, wind**2], 1), np.tile(table["block"], 2)
    value, low, high = block_bootstrap(columns, blocks, lambda m: m[..., :1] / m[..., 1:])
    return float(value[0]), float(low[0]), float(high[0])


def upstream_table(labels: tuple[str, ...], data: SRData, count: int = 64) -> pd.DataFrame:
    """Shares, radius and slope of networks tcw-t1-x4-LABEL-none-s0, and of the same with random weights."""
    rows = {}
    for label in labels:
        trained = load_model(f"tcw-t1-x4-{label}-none-s0")
        for name, model in ((label, trained), (f"{label}, random weights", untrained(trained))):
            found = looks(model, data, count)
            value, low, high = slope(found)
            rows[name] = {**found[["before", "now", "behind", "radius"]].mean(), "slope": value, "slope from": low,
                          "slope to": high}  # fmt: skip
    return pd.DataFrame(rows).T
