r"""Scores of the highest values, and loss weights that make a network care about them.

A threshold u, by default the 99th percentile of the truth, divides the points into events (value > u) and the rest:

=====================  ==============  ================================================================
hit rate               a / (a + c)     events that were predicted (a: hits, c: misses); 1 is perfect
false alarm ratio      b / (a + b)     predicted events that were none (b: false alarms); 0 is perfect
frequency bias         (a + b)/(a + c) predicted events per event; 1 is perfect, below 1: too smooth
=====================  ==============  ================================================================

(Wilks 2019, section 8.2). RMSE and bias over the points where the *truth* is an event are conditioned on the outcome:
they reward whoever exaggerates (the forecaster's dilemma, Lerch et al. 2017, Statistical Science 32), since an error
of the other kind, a high value predicted where there was none, is not counted. Read them beside false alarm ratio and
frequency bias. The fractions skill score (Roberts and Lean 2008, Mon. Wea. Rev. 136, eqs. 5-7) compares the share of
events in a window around each point, so that a front a cell away from its place is not punished twice.

The loss weights of :func:`extreme_weights` do not give better forecasts of the mean, but other forecasts: with
weights w(t) that rise with the truth t the best prediction from x is

.. math:: \hat y(x) = \frac{E[w t \mid x]}{E[w \mid x]} = E[t \mid x] + \frac{\mathrm{Cov}(w, t \mid x)}{E[w \mid x]}
          \;\ge\; E[t \mid x] ,

biased towards high values wherever an event was possible. That is the price of more hits; RMSE over all points gets
worse. A hard constraint keeps the block means, so that the bias can only move amounts within a block.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from physlab.errors import PhysLabError
from physlab.score.weights import as_double, mean, pair

QUANTILE = 0.99


def extreme_threshold(truth, quantile: float = QUANTILE) -> float:
    """The value that a share `quantile` of all points stays below (linear interpolation), unit of the field.

    For a loss or a warning take it from the training block; the scores below take it from the truth they score.
    """
    if not 0.0 < quantile < 1.0:
        raise PhysLabError(f"quantile is {quantile}: pass a number between 0 and 1, for example 0.99")
    return float(np.quantile(as_double(truth).cpu().numpy(), quantile))


def extreme_weights(truth: Tensor, threshold: float, weight: float) -> Tensor:
    """Weights of a squared error, the shape, dtype and device of `truth`: `weight` where it is above the threshold,
    else 1. The minimiser is biased towards high values; see the module docstring.

    Parameters
    ----------
    truth : (...) fine field;  threshold : in its unit, e.g. :func:`extreme_threshold` of the training block.
    weight : >= 1; 1 is the plain mean square error. With the 99th percentile and weight w the weights have the mean
        0.99 + 0.01 w.
    """
    if not weight >= 1.0:
        raise PhysLabError(f"the weight of extremes is {weight}: pass a number >= 1; 1 weighs all points alike")
    return torch.where(truth > threshold, weight, 1.0).to(truth.dtype)


def extreme_table(
    pred, truth, quantile: float = QUANTILE, threshold: float | None = None, weights=None
) -> dict[str, float]:
    """Scores above a threshold, over all points together.

    Parameters
    ----------
    pred, truth : (..., H, W), same unit.
    quantile : of the truth, if no `threshold` in its unit is given.
    weights : (H, W) or (H, 1) cell areas; the threshold counts points alike.

    Returns
    -------
    dict: `threshold`, `rmse_extreme` and `bias_extreme` (over the points where the truth is above it, unit of the
    field), `hit_rate`, `false_alarm_ratio`, `frequency_bias`. NaN where there is nothing to count.
    """
    pred, truth = pair(pred, truth)
    threshold = extreme_threshold(truth, quantile) if threshold is None else float(threshold)
    event, forecast = truth > threshold, pred > threshold

    def share(where: Tensor) -> float:
        return float(mean(where.to(truth.dtype), weights))

    def over(part: float, whole: float) -> float:
        return part / whole if whole > 0 else float("nan")

    error = torch.where(event, pred - truth, 0.0)
    events, forecasts, hits = share(event), share(forecast), share(event & forecast)
    return {
        "threshold": threshold,
        "rmse_extreme": over(float(mean(error.square(), weights)), events) ** 0.5,
        "bias_extreme": over(float(mean(error, weights)), events),
        "hit_rate": over(hits, events),
        "false_alarm_ratio": over(forecasts - hits, forecasts),
        "frequency_bias": over(forecasts, events),
    }


def fractions_skill_score(pred, truth, threshold: float, window: int) -> Tensor:
    """FSS of the events above a threshold in square windows: 1 perfect, 0 none in common; double 0-dim tensor.

    Parameters
    ----------
    pred, truth : (..., H, W), same unit;  threshold : in that unit.
    window : edge of the window in cells, odd; outside of the field there are no events, as in the paper.

    Returns
    -------
    1 - mean (p - o)^2 / mean (p^2 + o^2), both means over all points and fields; NaN without any event.
    """
    pred, truth = pair(pred, truth)
    if window < 1 or window % 2 == 0:
        raise PhysLabError(f"window is {window}: pass an odd number of cells >= 1")
    p, o = (
        functional.avg_pool2d((x > threshold).to(x.dtype).reshape(-1, 1, *x.shape[-2:]), window, 1, window // 2)
        for x in (pred, truth)
    )
    worst = (p.square() + o.square()).mean()
    return 1.0 - (p - o).square().mean() / torch.where(worst > 0, worst, torch.nan)
