r"""MBCn: adjust several variables of a place together, so that their dependence is that of the observations too.

Cannon (2018): standardise, then again and again rotate by a random orthogonal matrix, adjust each rotated variable by
quantile delta mapping, and rotate back; linear combinations in all directions are adjusted in this way, and the joint
distribution converges to that of the observations. The result gives the order alone: each variable, adjusted on its
own by quantile delta mapping, is reordered as the rotated series are (the Schaake shuffle), so that its distribution
and its changes stay those of quantile delta mapping.
"""

from __future__ import annotations

import numpy as np

from physlab.downscale.mapping import between, nodes, quantiles, ranks

ROTATIONS = 20


def rotations(count: int, variables: int, rng: np.random.Generator) -> np.ndarray:
    """(count, V, V) orthogonal matrices, evenly spread over all of them (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.standard_normal((count, variables, variables)))
    sign = np.sign(np.diagonal(r, axis1=-2, axis2=-1))
    return q * sign[:, None, :]


def standardised(x: np.ndarray) -> np.ndarray:
    """(T, V) with mean 0 and standard deviation 1 in time."""
    spread = np.nanstd(x, 0)
    return (x - np.nanmean(x, 0)) / np.where(spread > 0, spread, 1.0)


def transform(
    observed: np.ndarray, modelled: np.ndarray, series: np.ndarray, turns: np.ndarray, count: int = 100
) -> np.ndarray:
    """The N-dimensional probability density transform: `series` (T, V) with the dependence of `observed`.

    Parameters
    ----------
    observed, modelled : (To, V) and (Th, V), the calibration.
    series : (T, V), the period that is adjusted.
    turns : (I, V, V), orthogonal.
    count : of nodes.

    Returns
    -------
    (T, V), standardised; its ranks are what is of use.
    """
    q = nodes(count)
    o, h, x = (standardised(part) for part in (observed, modelled, series))
    grid = np.broadcast_to(q[:, None], (count, o.shape[1]))
    for turn in turns:
        o, h, x = (part @ turn.T for part in (o, h, x))
        correction = quantiles(o, q) - quantiles(h, q)
        h, x = (part + between(ranks(part), grid, correction) for part in (h, x))
        o, h, x = (part @ turn for part in (o, h, x))
    return x


def reordered(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Each column of x (T, V) in the order of the same column of `like`."""
    return np.take_along_axis(np.sort(x, 0), np.argsort(np.argsort(like, 0, kind="stable"), 0), 0)
