"""Worlds so small that every matrix can be looked at: a number, two towns, a line of towns, a walk, a thermometer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from physlab.data.patches import sr_pairs

# ---- one number -----------------------------------------------------------------------------------------------------


def bayes_by_hand(xb: float, sb: float, y: float, so: float, points: int = 20_001) -> tuple[float, float]:
    """Mean and standard deviation of the product of two Gaussians, summed up on a line: no formula of the gain."""
    x = np.linspace(min(xb - 8 * sb, y - 8 * so), max(xb + 8 * sb, y + 8 * so), points)
    p = np.exp(-0.5 * ((x - xb) / sb) ** 2 - 0.5 * ((y - x) / so) ** 2)
    mean = (x * p).sum() / p.sum()
    return float(mean), float(np.sqrt(((x - mean) ** 2 * p).sum() / p.sum()))


# ---- two towns ------------------------------------------------------------------------------------------------------


def plane(correlation: float, observed: float = 1.5, error: float = 0.5) -> dict[str, Tensor]:
    """Two towns with forecast errors of spread one: B, and analysis and A after the first one was observed."""
    B = torch.tensor([[1.0, correlation], [correlation, 1.0]], dtype=torch.float64)
    K = B[:, 0] / (B[0, 0] + error**2)
    return {"B": B, "analysis": K * observed, "A": B - torch.outer(K, B[0])}


# ---- a line of towns ------------------------------------------------------------------------------------------------

PLACES = torch.linspace(0, 1, 121, dtype=torch.float64)
HERE = torch.tensor([24, 60, 78])
"""Towns with a station."""
LENGTH = 0.1
"""Length over which the errors of the forecast are really alike."""


def bell(distance: Tensor, length: float) -> Tensor:
    """Correlation of a bell of distance."""
    return (-0.5 * (distance / length) ** 2).exp()


def along(length: float, error: float = 0.3, draws: int = 400, seed: int = 0) -> dict[str, Tensor]:
    """Analyses of `draws` worlds by someone who believes in `length`, the truth having :data:`LENGTH`.

    Returns
    -------
    dict
        truth, analysis (draws, 121); spread (121,), what is believed of the error; y (draws, 3).
    """
    dice, apart = torch.Generator().manual_seed(seed), (PLACES[:, None] - PLACES).abs()
    root = torch.linalg.cholesky(bell(apart, LENGTH) + 1e-8 * torch.eye(len(PLACES), dtype=torch.float64))
    truth = torch.randn(draws, len(PLACES), generator=dice, dtype=torch.float64) @ root.mT
    y = truth[:, HERE] + error * torch.randn(draws, len(HERE), generator=dice, dtype=torch.float64)
    B = bell(apart, length)
    K = torch.linalg.solve(B[HERE][:, HERE] + error**2 * torch.eye(len(HERE), dtype=torch.float64), B[HERE]).mT
    spread = (B - K @ B[HERE]).diagonal().clamp(min=0).sqrt()
    return {"truth": truth, "analysis": y @ K.mT, "spread": spread, "y": y}


def by_length(lengths: Sequence[float] = (0.01, 0.03, 0.06, 0.1, 0.15, 0.25)) -> pd.DataFrame:
    """Error of the analysis over the line, and what was believed of it, by the length that is believed in."""
    rows = {}
    for length in lengths:
        made = along(length)
        off = (made["analysis"] - made["truth"]).square().mean().sqrt()
        rows[length] = {"error": float(off), "believed": float(made["spread"].square().mean().sqrt())}
    return pd.DataFrame(rows).T


# ---- a walk ---------------------------------------------------------------------------------------------------------


def walk(a: float, q: float, r: float, steps: int = 60, seed: int = 3) -> tuple[Tensor, Tensor]:
    """A truth that forgets by the factor `a` and is pushed with variance q, and observations of variance r."""
    dice = torch.Generator().manual_seed(seed)
    push, noise = torch.randn(2, steps, generator=dice, dtype=torch.float64)
    truth, x = [], torch.zeros((), dtype=torch.float64)
    for k in range(steps):
        x = a * x + q**0.5 * push[k]
        truth.append(x)
    return torch.stack(truth), torch.stack(truth) + r**0.5 * noise


def cycle(m: float, p: float, ys: Tensor, a: float, q: float, r: float) -> tuple[Tensor, Tensor]:
    """The Kalman filter for one number: means and variances after each observation."""
    means, variances = [], []
    for y in ys:
        m, p = a * m, a * a * p + q
        k = p / (p + r)
        m, p = m + k * (y - m), (1 - k) * p
        means.append(torch.as_tensor(m, dtype=torch.float64))
        variances.append(torch.as_tensor(p, dtype=torch.float64))
    return torch.stack(means), torch.stack(variances)


def steady(a: float, q: float, r: float) -> float:
    """The gain that the filter arrives at, from the fixed point of the variance."""
    half = 0.5 * (q + (a * a - 1) * r)
    forecast = half + (half**2 + q * r) ** 0.5
    return forecast / (forecast + r)


# ---- a thermometer --------------------------------------------------------------------------------------------------


def thermometer(noise: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """A bad thermometer in real weather: hours of ERA5 over Britain, two poor models, a Kalman filter.

    The variance of what a model does not know in an hour is measured on the validation hours, the filter runs on the
    test hours. Persistence says that nothing changes; the mean of the hour adds what that hour of the day changed on
    average on the validation days.

    Returns
    -------
    pandas.DataFrame
        RMSE (K) over 64 places of the thermometer, of the last reading and of the filter, and what the filter says of
        its own error; one row for each model and for each factor of q that is believed in.
    """
    data = sr_pairs("era5-uk-t2m", 4, splits=("val", "test"))
    past, now = (data.fine[name][:, 0, ::8, ::8].double().flatten(1) for name in ("val", "test"))
    hour = {
        name: torch.from_numpy(pd.DatetimeIndex(data.time[name]).hour.to_numpy().copy()) for name in ("val", "test")
    }
    change, dice = past.diff(dim=0), torch.Generator().manual_seed(seed)
    typical = torch.stack([change[hour["val"][1:] == h].mean() for h in range(24)])
    unknown = {"persistence": change, "mean of the hour": change - typical[hour["val"][1:]][:, None]}
    drift = {"persistence": torch.zeros(len(now)), "mean of the hour": typical[hour["test"]]}
    y, rows = now + noise * torch.randn(now.shape, generator=dice, dtype=torch.float64), {}
    for model, factors in (("persistence", (1.0, 1 / 30, 30.0)), ("mean of the hour", (1.0,))):
        q = float(unknown[model].square().mean())
        path = torch.cat([torch.zeros(1), drift[model][1:]]).double().cumsum(0)[:, None]  # what the model knows
        for factor in factors:
            made, p = cycle((y - path)[0], noise**2, (y - path)[1:], 1.0, factor * q, noise**2)  # type: ignore[arg-type]
            name = {1.0: "q as measured", 1 / 30: "q / 30", 30.0: "30 q"}[factor]
            rows[f"{model}, {name}"] = {
                "thermometer": float((y - now)[1:].square().mean().sqrt()),
                "last reading": float((y[:-1] - now[1:]).square().mean().sqrt()),
                "filter": float((made + path[1:] - now[1:]).square().mean().sqrt()),
                "filter believes": float(p[-1] ** 0.5),
            }
    return pd.DataFrame(rows).T
