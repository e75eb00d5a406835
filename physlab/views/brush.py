r"""A part of a map: the waves of a band, or the cells of a region, each with its own scores.

>>> fine = part(field, 8, 16)                       # waves that fit 8 to 16 times along the longer side
>>> band_scores(result, truth, 8, 16)["power"]      # variance over that of the truth
>>> region_scores(result, truth, window, (-30, 40, -10, 55))["rmse"]

A map ends at its edges and no wave goes round, so that the map is mirrored there (a cosine transform): nothing jumps,
and the parts of all bands add up to the map. A map of the whole globe goes round: say how its waves are counted, so
that a band is what the spectrum beside it shows of it:

>>> part(error, 8, 16, "circles")                   # zonal wavenumbers 8 to 15 of each circle of latitude
>>> part(error, 8, 16, "globe")                     # waves along circles and from pole to pole together
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.fft import dct, dctn, idct, idctn

from physlab import score
from physlab.errors import PhysLabError
from physlab.views.keep import Edges, Plane

WAVES = ("plane", "circles", "globe")
"""How the waves of a map are counted: of a map with edges, in waves per longer side; along each circle of latitude, as
zonal wavenumbers; along circles and from pole to pole together, in waves per longer side."""
NOTHING = 1e-24  # of the variance of a map: what rounding leaves of waves that are not there


def wavenumbers(shape: tuple[int, int], waves: str = "plane") -> np.ndarray:
    """(H, W) wavenumber of each cosine of a map, cells taken as squares; (H, W // 2 + 1) of one that goes round."""
    rows, columns = (0.5 * np.arange(n) * max(shape) / n for n in shape)
    if waves == "plane":
        return np.hypot(rows[:, None], columns)
    around = np.arange(shape[1] // 2 + 1.0)
    if waves == "circles":
        return np.broadcast_to(around, (shape[0], len(around)))
    return np.hypot(rows[:, None], around * max(shape) / shape[1])


def part(field: np.ndarray, low: float, high: float, waves: str = "plane") -> np.ndarray:
    """The waves of a map (H, W) with low <= k < high.

    Parameters
    ----------
    waves : one of :data:`WAVES`. "plane": waves per longer side, the mean has k = 0. "circles": zonal wavenumbers, the
        mean of each circle of latitude has k = 0. "globe": waves per longer side; the means of the circles are in no
        band but that with k = 0, as in the spectra of :func:`physlab.score.analysis.eddies`.

    Raises
    ------
    PhysLabError : not a map, values that are not finite, a band that is not 0 <= low < high, or unknown waves.
    """
    if field.ndim != 2 or not np.isfinite(field).all() or not 0 <= low < high or waves not in WAVES:
        raise PhysLabError(
            f"a band {low:g} to {high:g} of {field.shape}, waves {waves!r}: pass 0 <= low < high, a finite map (H, W) "
            f"and one of {', '.join(WAVES)}"
        )
    k, x = wavenumbers(field.shape, waves), field.astype(float)
    if waves == "plane":
        return idctn(np.where((k >= low) & (k < high), dctn(x, norm="ortho"), 0.0), norm="ortho")
    found, width = np.fft.rfft(x, axis=-1), field.shape[1]
    if waves == "circles":
        return np.fft.irfft(np.where((k >= low) & (k < high), found, 0.0), width, axis=-1)
    taken = (k >= low) & (k < high)
    taken[:, 0] = low == 0
    real, imaginary = (np.where(taken, dct(y, axis=0, norm="ortho"), 0.0) for y in (found.real, found.imag))
    return np.fft.irfft(idct(real, axis=0, norm="ortho") + 1j * idct(imaginary, axis=0, norm="ortho"), width, axis=-1)


def band_scores(
    result: np.ndarray, truth: np.ndarray, low: float, high: float, waves: str = "plane",
    area: np.ndarray | None = None,
) -> dict[str, float]:  # fmt: skip
    """Of the waves of a band: `rmse`, `power` (variance over that of the truth) and `correlation` with the truth.

    The two ratios are NaN where there are no such waves.

    Parameters
    ----------
    waves : as in :func:`part`.  area : (H,) of the cells of each row, in any unit; all alike by default.
    """
    made, wanted = (part(x, low, high, waves) for x in (result, truth))
    weights = None if area is None else torch.from_numpy(np.asarray(area, float))[:, None].expand(*made.shape)
    each = np.ones(len(made)) if area is None else np.asarray(area, float)
    own, right, cross = (float(each @ (a * b).sum(-1)) for a, b in ((made, made), (wanted, wanted), (made, wanted)))
    least = NOTHING * float(each @ (truth.astype(float) ** 2).sum(-1))
    own, right = (x if x > least else 0.0 for x in (own, right))
    return {
        "rmse": float(score.rmse(torch.from_numpy(made), torch.from_numpy(wanted), weights)),
        "power": own / right if right else float("nan"),
        "correlation": cross / math.sqrt(own * right) if own and right else float("nan"),
    }


def inside(plane: Plane, region: Edges) -> tuple[np.ndarray, np.ndarray]:
    """(H,) rows and (W,) columns of a map whose centres lie in a region: west, south, east, north."""
    left, low, right, high = region
    y, x = plane.latitude, plane.longitude
    return (y >= low) & (y <= high), (x - left) % 360.0 <= right - left  # whatever turn the longitudes are of


def region_scores(
    result: np.ndarray, truth: np.ndarray, window: Edges, region: Edges, latitude: np.ndarray | None = None,
    area: np.ndarray | None = None,
) -> dict[str, float]:  # fmt: skip
    """Of the cells (H, W) in a region, weighted by area: `rmse`, `mae`, `bias`, means of `result` and `truth`, `cells`.

    Only `cells` = 0 if none is there.

    Parameters
    ----------
    window : west, east, south, north edge of the map, degrees.  region : west, south, east, north.
    latitude, area : (H,) of the rows, degrees and any unit; rows that are equally high by default, and their cosine.
    """
    plane = Plane.within(window, truth.shape)
    if latitude is not None:
        plane = Plane(np.asarray(latitude, float), plane.longitude)
    size = np.cos(np.deg2rad(plane.latitude)) if area is None else np.asarray(area, float)
    rows, columns = inside(plane, region)
    cells = int(rows.sum() * columns.sum())
    if not cells:
        return {"cells": 0.0}
    weights = torch.from_numpy(size[rows])[:, None].expand(-1, int(columns.sum()))
    made, wanted = (torch.from_numpy(x[np.ix_(rows, columns)].astype(float)) for x in (result, truth))
    nothing = torch.zeros_like(wanted)
    return {
        "rmse": float(score.rmse(made, wanted, weights)),
        "mae": float(score.mae(made, wanted, weights)),
        "bias": float(score.bias(made, wanted, weights)),
        "result": float(score.bias(made, nothing, weights)),
        "truth": float(score.bias(wanted, nothing, weights)),
        "cells": float(cells),
    }
