"""The chapter on data assimilation, its small worlds: Lorenz-96 in all its filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import pandas as pd
import torch
from torch import Tensor

from physlab.assimilate import ETKF, LETKF, Scores, Var4D, gaspari_cohn, ring_distance
from physlab.assimilate.experiments import Experiment, setting
from physlab.assimilate.localisation import GAUSSIAN

LORENZ = setting("lorenz96_sakov2008")


SHORT = replace(LORENZ, twin=replace(LORENZ.twin, spin_up=100))  # for curves: 300 analyses after 100


VAR4D = Experiment(
    "4D-Var, 8 times, B = 0.005 climate",
    lambda c: Var4D(0.005 * c.covariance, model=LORENZ.model, lead=1, outer=1, inner=12),
    None, (float("nan"), float("nan")), "", window=8,
)  # fmt: skip


# ---- Lorenz-96 ------------------------------------------------------------------------------------------------------


def taper(radius: float) -> Tensor:
    """Weights on the ring of 40 points, like a Gaussian with a standard deviation of so many points."""
    return gaspari_cohn(ring_distance(40), radius * GAUSSIAN)


def contest(cycles: int = 800, seeds: int = 5) -> pd.DataFrame:
    """Every method of the setting and a 4D-Var: what independent codes and papers found, and what comes here."""
    rows = {}
    for e in [e for e in LORENZ.experiments if e.window == 1] + [VAR4D]:
        s = LORENZ.run(e, seeds, cycles)
        low, high = e.expected
        rows[e.name] = {
            "low": low, "high": high, "RMSE": float(s.rmse.median()), "best seed": float(s.rmse.min()),
            "worst seed": float(s.rmse.max()), "spread": float(s.spread.median()), "lost": int(s.diverged.sum()),
        }  # fmt: skip
    return pd.DataFrame(rows).T.sort_values("RMSE", ascending=False)


def shown(found: pd.DataFrame) -> pd.DataFrame:
    """The table of :func:`contest` for readers: expectation as a range, nothing where there is nothing."""
    expected = [f"{a:.2f} to {b:.2f}" if a == a else "" for a, b in found[["low", "high"]].to_numpy()]
    text = found[["RMSE", "best seed", "worst seed", "spread"]].map(lambda v: f"{v:.2f}" if v == v else "")
    text.insert(0, "expected", expected)
    return text.assign(lost=found["lost"].astype(int))


def run(method: LETKF | ETKF, members: int, seeds: int = 6, cycles: int = 400) -> Scores:
    """A filter on Lorenz-96, shortly."""
    return SHORT.run(Experiment("", method, members, (0.0, 0.0), ""), seeds, cycles)


def by_members(sizes: Sequence[int] = (5, 7, 10, 14, 20), inflation: float = 1.04) -> pd.DataFrame:
    """RMSE and runs that lost the truth, by number of members, without and with localisation."""
    rows = []
    for name, weights in (("global", None), ("localised", taper(4.0))):
        for N in sizes:
            s = run(LETKF(inflation, rotation=True, taper=weights), N)
            rows.append({"filter": name, "members": N, "RMSE": float(s.rmse.median()), "lost": int(s.diverged.sum())})
    return pd.DataFrame(rows)


def by_radius(radii: Sequence[float] = (1, 2, 4, 8, 12), members: int = 7, inflation: float = 1.04) -> pd.DataFrame:
    """RMSE and runs lost, by radius of localisation."""
    rows = []
    for radius in radii:
        s = run(LETKF(inflation, rotation=True, taper=taper(radius)), members)
        rows.append({"radius": radius, "RMSE": float(s.rmse.median()), "lost": int(s.diverged.sum())})
    return pd.DataFrame(rows)


@lru_cache(maxsize=8)
def sampled(members: int, draws: int = 200, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Correlations of point 20 with all points of Lorenz-96: of 12,800 states, and of `draws` small samples."""
    states = LORENZ.model.start(64, generator=torch.Generator().manual_seed(seed))
    states = LORENZ.model.trajectory(states, 2000, 10).flatten(0, -2)
    generator = torch.Generator().manual_seed(seed + 1)
    picked = states[torch.randint(len(states), (draws, members), generator=generator)]
    return _correlation(states[None])[0], _correlation(picked)


def _correlation(x: Tensor) -> Tensor:
    """(..., N, n) -> (..., n): of the point in the middle with every point."""
    x = x - x.mean(-2, keepdim=True)
    x = x / x.square().sum(-2, keepdim=True).sqrt()
    return (x * x[..., x.shape[-1] // 2, None]).sum(-2)


def doubtful(members: int = 7) -> pd.DataFrame:
    """Filters that believe right and wrong things; the first two columns need the truth, the others do not."""
    right = LETKF(1.04, rotation=True, taper=taper(4.0))
    cases = {
        "as tuned": (right, 1.0), "inflation 1.15": (replace(right, inflation=1.15), 1.0),
        "no inflation": (replace(right, inflation=1.0), 1.0), "believes R / 4": (right, 0.25),
        "believes 4 R": (right, 4.0),
    }  # fmt: skip
    rows = {}
    for name, (method, factor) in cases.items():
        generator = torch.Generator().manual_seed(0)
        start = LORENZ.model.start(6, generator=generator)
        truth, y = replace(SHORT.twin, cycles=400).nature(start, generator)
        twin = replace(SHORT.twin, R=factor * SHORT.twin.R, cycles=400)
        first = start[..., None, :] + LORENZ.errors(start.new_zeros(6, members, 40), generator)
        s = twin.run(method, first, truth, y, generator)
        rows[name] = {
            "RMSE": float(s.rmse.median()), "spread": float(s.spread.median()),
            "innovations / expected": float(s.innovation_ratio.median()),
            "memory": float(s.innovation_memory.median()),
        }  # fmt: skip
    return pd.DataFrame(rows).T


# ---- the smoother ---------------------------------------------------------------------------------------------------


def smooth(xb: Tensor, B: Tensor, y: Tensor, M: Tensor, H: Tensor, R: Tensor) -> Tensor:
    """The state at the start of a window, given all of it: Kalman filter forward, Rauch-Tung-Striebel backward.

    Parameters
    ----------
    xb, B : (n,), (n, n) background and its covariance at the first observations.
    y : (T, m).  M : (n, n) linear model without noise.  H, R : (m, n), (m, m).
    """
    x, P, past = xb, B, []
    for k, values in enumerate(y):
        if k:
            x, P = M @ x, M @ P @ M.mT
        forecast = (x, P)
        K = torch.linalg.solve(H @ P @ H.mT + R, H @ P).mT
        x, P = x + K @ (values - H @ x), P - K @ H @ P
        past.append((forecast, (x, P)))
    for (_, (xa, A)), ((xf, Pf), _) in zip(past[-2::-1], past[:0:-1], strict=True):
        gain = torch.linalg.solve(Pf, M @ A).mT
        x = xa + gain @ (x - xf)
    return x


def linear_world(n: int = 12, times: int = 6, seed: int = 0) -> dict[str, Tensor]:
    """A wave that travels, turns and fades on a ring, observed at every third point with noise."""
    generator = torch.Generator().manual_seed(seed)
    M = 0.8 * torch.eye(n).roll(1, 0) + 0.15 * torch.eye(n) + 0.05 * torch.eye(n).roll(3, 1)
    H, M = torch.eye(n)[::3].double(), M.double()
    B = gaspari_cohn(ring_distance(n), 2.5)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    xb = draw(n)
    x, y = xb + torch.linalg.cholesky(B) @ draw(n), []
    for _ in range(times):
        y.append(H @ x + 0.3 * draw(len(H)))
        x = M @ x
    return {"xb": xb, "B": B, "y": torch.stack(y), "M": M, "H": H, "R": 0.09 * torch.eye(len(H)).double()}
