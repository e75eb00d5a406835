r"""Coefficients, their intervals, and which terms are there at all.

The equation is linear in its coefficients and in the weights of the smooth force, so both follow from least squares
with a ridge on the force,

.. math:: \min_{\xi, w} \frac1N \sum_n \big(c_t - \Theta\xi - S B w\big)_n^2 / S^2 + \lambda |w|^2 ,

by its normal equations. These are sums over points: kept for blocks of space and time, they give the bootstrap
intervals (blocks are drawn, not points, whose errors are not independent) and the hold-out test at no further cost.
Sparse identification is sequential thresholding: terms whose contribution is small beside the tendency are dropped
until none is (SINDy: Brunton et al. 2016; with ridge: Rudy et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.linalg.blas import dsyrk
from torch import Tensor

from physlab.errors import PhysLabError
from physlab.phydl.domain import Domain
from physlab.phydl.force import SmoothForce
from physlab.phydl.library import Equation, State


@dataclass
class Normal:
    """Normal equations of one equation, summed over the points of each block.

    Attributes
    ----------
    equation : whose terms the first columns are; the columns of the force follow.
    gram, right, square, count : (B, P, P), (B, P), (B,), (B,): sums of products of scaled columns.
    scale : (terms,) root mean square of each term;  tendency : S, that of the tendency.
    force : capacity and price of the force.
    """

    equation: Equation
    gram: np.ndarray
    right: np.ndarray
    square: np.ndarray
    count: np.ndarray
    scale: np.ndarray
    tendency: float
    force: SmoothForce

    @property
    def terms(self) -> int:
        return len(self.equation.terms)

    def total(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, float]:
        """Mean gram, right-hand side and square over the blocks, each counted `weights` times."""
        w = np.ones(len(self.count)) if weights is None else weights
        n = float((w * self.count).sum())
        return np.tensordot(w, self.gram, 1) / n, w @ self.right / n, float(w @ self.square) / n

    def solve(
        self, weights: np.ndarray | None = None, active: np.ndarray | None = None, known: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (terms,) in SI units and force weights (size,) in units of the tendency.

        Parameters
        ----------
        weights : of the blocks.
        active : which terms take part; None for all.
        known : keep the known coefficients of the equation.
        """
        gram, right, _ = self.total(weights)
        total = gram.shape[0]
        fixed = np.zeros(total)
        free = np.ones(total, bool)
        for at, name in enumerate(self.equation.names):
            if known and name in self.equation.known:
                fixed[at] = self.equation.known[name] * self.scale[at] / self.tendency
                free[at] = False
            elif active is not None and not active[at]:
                free[at] = False
        ridge = np.zeros(total)
        ridge[self.terms :] = self.force.penalty
        ridge[: self.terms] = 1e-12
        a = (gram + np.diag(ridge))[np.ix_(free, free)]
        solution = fixed.copy()
        if free.any():
            solution[free] = np.linalg.solve(a, (right - gram @ fixed)[free])
        return solution[: self.terms] * self.tendency / self.scale, solution[self.terms :]

    def unexplained(self, coefficients: np.ndarray, force: np.ndarray, weights: np.ndarray | None = None) -> float:
        """Root mean square residual relative to the tendency: 0 explains all, 1 nothing."""
        gram, right, square = self.total(weights)
        x = np.concatenate([coefficients * self.scale / self.tendency, force])
        return float(np.sqrt(max(square - 2 * right @ x + x @ gram @ x, 0.0)))


def normal_equations(
    equation: Equation, states: list[State], force: SmoothForce, blocks: tuple[int, int, int] = (3, 3, 5)
) -> Normal:
    """Sum the normal equations over batches of points.

    Parameters
    ----------
    states : batches; their derivatives are not followed.
    blocks : of x, y and t, the units of the bootstrap.
    """
    force = force if equation.force else SmoothForce((0, 0, 0), force.penalty)
    columns = torch.cat([equation.columns(s.detach()) for s in states]).double().cpu()
    left = torch.cat([equation.tendency(s.detach()) for s in states]).double().cpu()
    points = torch.cat([s.points for s in states]).cpu()
    domain = states[0].domain
    tendency = float(left.square().mean().sqrt())
    if not tendency > 0 or not bool(torch.isfinite(columns).all()):
        raise PhysLabError(f"equation of {equation.variable}: no tendency, or terms that are not finite")
    scale = columns.square().mean(0).sqrt().clamp_min(1e-300)
    x = torch.cat([columns / scale, force.basis(points, domain).double()], dim=1)
    y = left / tendency
    index = block_index(points, domain, blocks)
    gram, right, square, count = [], [], [], []
    for block in range(int(np.prod(blocks))):
        rows = index == block
        if rows.any():
            part = x[rows]
            gram.append(products(part))
            right.append((part.T @ y[rows]).numpy())
            square.append(float(y[rows].square().sum()))
            count.append(int(rows.sum()))
    return Normal(
        equation, np.stack(gram), np.stack(right), np.array(square), np.array(count, float), scale.numpy(), tendency,
        force,
    )  # fmt: skip


def products(columns: Tensor) -> np.ndarray:
    """(P, P) inner products of (N, P) columns in double precision; the half below the diagonal is that above it."""
    upper = dsyrk(1.0, columns.numpy().T)
    return np.triu(upper) + np.triu(upper, 1).T


def block_index(points: Tensor, domain: Domain, blocks: tuple[int, int, int]) -> Tensor:
    """(N,): which block of space and time each point lies in."""
    place = (0.5 * (domain.scaled(points) + 1)).clamp(0, 1 - 1e-6)
    i, j, k = ((place[:, axis] * count).long() for axis, count in enumerate(blocks))
    return (i * blocks[1] + j) * blocks[2] + k


def bootstrap(normal: Normal, draws: int = 500, seed: int = 0, level: float = 0.95, active=None) -> np.ndarray:
    """(terms, 2): interval of each coefficient from blocks drawn with replacement."""
    rng = np.random.default_rng(seed)
    size = len(normal.count)
    found = []
    for _ in range(draws):
        weights = np.bincount(rng.integers(size, size=size), minlength=size).astype(float)
        found.append(normal.solve(weights, active)[0])
    tail = 0.5 * (1 - level)
    return np.quantile(np.array(found), [tail, 1 - tail], axis=0).T


def threshold(normal: Normal, least: float = 0.03) -> np.ndarray:
    """Which terms are there: those below `least` of the tendency (root mean square) are dropped, weakest first."""
    active = np.ones(normal.terms, bool)
    while active.any():
        coefficients, _ = normal.solve(active=active)
        share = np.abs(coefficients) * normal.scale / normal.tendency
        share[~active] = np.inf
        weakest = int(share.argmin())
        if share[weakest] >= least:
            break
        active[weakest] = False
    return active


def holdout(normal: Normal, seed: int = 0, share: float = 0.5) -> dict[str, float]:
    """Unexplained part of the tendency in the blocks that were used and in those that were not.

    A force that merely absorbs the residual explains the first and not the second.
    """
    rng = np.random.default_rng(seed)
    used = np.zeros(len(normal.count))
    used[rng.permutation(len(used))[: max(1, round(share * len(used)))]] = 1.0
    found = normal.solve(used)
    return {"used": normal.unexplained(*found, used), "held out": normal.unexplained(*found, 1 - used)}


def coefficient_table(normal: Normal, active: np.ndarray | None = None, draws: int = 500, seed: int = 0):
    """One row for each term: coefficient, interval (95 %), unit, share of the tendency, expected value."""
    coefficients, _ = normal.solve(active=active)
    intervals = bootstrap(normal, draws, seed, active=active)
    share = np.abs(coefficients) * normal.scale / normal.tendency
    terms = normal.equation.terms
    table = pd.DataFrame({
        "equation": normal.equation.variable, "term": [t.name for t in terms], "coefficient": coefficients,
        "low": intervals[:, 0], "high": intervals[:, 1], "unit": [t.unit for t in terms], "share": share,
        "expected": [np.nan if t.expected is None else t.expected for t in terms],
    })  # fmt: skip
    return table if active is None else table[active].reset_index(drop=True)
