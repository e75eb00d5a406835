r"""Adjustment of a model's series to observations, on plain arrays (time, place): what is learned and applied once.

With distributions :math:`F_o` of the observations and :math:`F_h` of the model in the calibration, at the ranks
:math:`\tau_i = (i - 1/2) / n` (xsdba's nodes), a correction is a difference or a ratio of quantiles,
:math:`c_i = F_o^{-1}(\tau_i) \ominus F_h^{-1}(\tau_i)`, linear between the nodes and constant beyond them:

* **EQM**: :math:`y = x \oplus c(x)`, the correction of the value;
* **QDM** (Cannon et al. 2015): :math:`y = x \oplus c(F_p(x))`, the correction of the rank in the period that is
  adjusted, so that the change of every quantile is kept;
* **DQM** (Cannon et al. 2015): EQM of the anomalies from the means, without their linear trend, which is put back: the
  change of the mean is kept.

**Wet days** (Cannon et al. 2015, sec. 2; Themessl et al. 2012). Zeros have no ranks. Every value below a threshold, in
all series, is replaced by a random amount below it; what comes out below it is zero. A model that is wetter than the
observations then gets a higher threshold of its own, and of one that is drier some dry days become wet: the frequency
is that of the observations to within a node. Where a ratio is taken of such small amounts it is at most `LIMIT`, as in
Cannon's package MBC.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from physlab.downscale.seasons import groups, spans
from physlab.errors import PhysLabError

LIMIT, SMALL = 2.0, 10.0
"""Changes of the model's quantiles are at most `LIMIT`-fold where these are below `SMALL` thresholds."""
FLOOR = 0.01  # of the mean: the least trend that is divided by

Rule = Callable[..., np.ndarray]


def nodes(count: int) -> np.ndarray:
    """Ranks of the middle of `count` equal bins of [0, 1]."""
    return (np.arange(count) + 0.5) / count


def quantiles(x: np.ndarray, q: np.ndarray) -> np.ndarray:
    """(T, S) with gaps (NaN) -> (Q, S): as numpy.nanquantile along time, but of all places at once."""
    order = np.sort(x, axis=0)
    count = np.isfinite(x).sum(0)
    place = q[:, None] * np.maximum(count - 1, 0)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    below, above = np.take_along_axis(order, low, 0), np.take_along_axis(order, high, 0)
    return below + (place - low) * (above - below)


def ranks(x: np.ndarray) -> np.ndarray:
    """(T, S) -> in [0, 1], the mean rank of equal values; gaps stay gaps."""
    from scipy.stats import rankdata

    rank = rankdata(x, axis=0, nan_policy="omit") / np.maximum(np.isfinite(x).sum(0), 1)
    low, high = np.fmin.reduce(rank, 0), np.fmax.reduce(rank, 0)
    return high * (rank - low) / np.where(high > low, high - low, 1.0)


def between(x: np.ndarray, at: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Linear interpolation for each place, constant beyond: x (T, S), at and values (Q, S)."""
    return np.stack([np.interp(x[:, s], at[:, s], values[:, s]) for s in range(x.shape[1])], 1)


def less(a: np.ndarray, b: np.ndarray, ratio: bool) -> np.ndarray:
    """a - b, or a / b (1 where both are zero)."""
    if not ratio:
        return a - b
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((a == 0) & (b == 0), 1.0, a / b)


def plus(a: np.ndarray, b: np.ndarray, ratio: bool) -> np.ndarray:
    """a + b, or a b."""
    return a * b if ratio else a + b


def eqm(observed, modelled, sample, x, q, ratio, threshold=0.0, times=None):
    """Empirical quantile mapping of x (m, S); `sample` is not needed."""
    at = quantiles(modelled, q)
    return plus(x, between(x, at, less(quantiles(observed, q), at, ratio)), ratio)


def qdm(observed, modelled, sample, x, q, ratio, threshold=0.0, times=None):
    """Quantile delta mapping of x (m, S), which is sample[times[0]]; ranks are those in `sample` (n, S)."""
    tau = ranks(sample)[times[0]]
    at, grid = quantiles(modelled, q), np.broadcast_to(q[:, None], (len(q), x.shape[1]))
    if ratio and threshold:
        own = between(tau, grid, at)
        x = np.where((own < SMALL * threshold) & (x > LIMIT * own), LIMIT * own, x)
    return plus(x, between(tau, grid, less(quantiles(observed, q), at, ratio)), ratio)


def dqm(observed, modelled, sample, x, q, ratio, threshold=0.0, times=None):
    """Detrended quantile mapping of x (m, S), which is sample[times[0]]; times[1] are the years of `sample`."""
    means = [np.nanmean(part, 0) for part in (observed, modelled)]
    scale = less(means[0], means[1], ratio)
    trend = line(plus(sample, scale, ratio), times[1])[times[0]]
    if ratio:
        trend = np.maximum(trend, FLOOR * means[0])
    anomaly = less(plus(x, scale, ratio), trend, ratio)
    made = eqm(less(observed, means[0], ratio), less(modelled, means[1], ratio), None, anomaly, q, ratio)
    return plus(made, trend, ratio)


RULES: dict[str, Rule] = {"EQM": eqm, "DQM": dqm, "QDM": qdm}


def line(x: np.ndarray, years: np.ndarray) -> np.ndarray:
    """(T, S) -> (T, S): the least-squares line in time of each place, without its gaps."""
    there = np.isfinite(x)
    count = np.maximum(there.sum(0), 1)
    t = np.where(there, years[:, None], 0.0)
    t = np.where(there, t - t.sum(0) / count, 0.0)
    mean = np.where(there, x, 0.0).sum(0) / count
    slope = (t * np.where(there, x, 0.0)).sum(0) / np.maximum((t**2).sum(0), 1e-30)
    middle = np.where(there, years[:, None], 0.0).sum(0) / count
    return mean + slope * (years[:, None] - middle)


def drizzle(x: np.ndarray, threshold: float, chance: np.ndarray) -> np.ndarray:
    """Values below the threshold replaced by amounts above zero and below it; `chance` in [0, 1) says which."""
    return np.where(x < threshold, threshold * (1.0 - chance), x)


def chances(years: np.ndarray, places: np.ndarray, seed: int) -> np.ndarray:
    """(T, S) numbers in [0, 1) that depend on time, place and seed alone (splitmix64, Steele et al. 2014).

    So a day of a place gets the same amount in every period that it is part of, and in every chunk.
    """
    with np.errstate(over="ignore"):
        z = np.round(years * 1e6).astype(np.uint64)[:, None] * np.uint64(0xD1B54A32D192ED03)
        z = z + (places.astype(np.uint64) * np.uint64(4) + np.uint64(seed % 2**31) * np.uint64(0xABCD1234567))[None]
        for step, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = z + np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(step))) * np.uint64(factor)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def adjust_series(
    rule: str,
    observed: np.ndarray,
    modelled: np.ndarray,
    series: np.ndarray,
    years: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    count: int = 100,
    ratio: bool = False,
    threshold: float = 0.0,
    seasons: str = "all",
    window: int = 31,
    span: int = 0,
    places: np.ndarray | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Adjust `series` by what the other two say of each other.

    Parameters
    ----------
    rule : of :data:`RULES`.
    observed, modelled : (To, S) and (Th, S), the calibration; gaps are NaN.
    series : (T, S) of the same model, of any period.
    years : decimal years of the three.
    count : of nodes.
    ratio : corrections are ratios and not differences.
    threshold : below it there is no rain; 0 for variables without wet days.
    seasons, window : see :mod:`physlab.downscale.seasons`.
    span : years that are ranked, and whose trend is taken, together; 0 for all.
    places, seed : whole numbers (S,) and one more, which decide the random amounts below the threshold.

    Returns
    -------
    (T, S), NaN where `series` is.
    """
    q = nodes(count)
    if threshold:
        number = np.arange(series.shape[1]) if places is None else places
        observed, modelled, series = (
            drizzle(part, threshold, chances(time, number, 2 * seed + own))
            for part, time, own in zip((observed, modelled, series), years, (1, 0, 0), strict=True)
        )
    out = np.full(series.shape, np.nan)
    for run in spans(years[2], span):
        part, own = series[run], years[2][run]
        for target, sample, near, far in groups(seasons, window, own, years[0], years[1]):
            if not len(near) or not len(far):
                raise PhysLabError(
                    f"the calibration has no {'observations' if not len(near) else 'times of the model'} around "
                    f"{own[target[0]] % 1 * 365.25:.0f} days into the year: pass whole years, or seasons='all'"
                )
            times = (np.searchsorted(sample, target), own[sample])
            out[run[target]] = RULES[rule](
                observed[near], modelled[far], part[sample], part[target], q, ratio, threshold, times
            )
    if threshold:
        out = np.where(out < threshold, 0.0, out)
    return np.where(np.isfinite(series), out, np.nan)
