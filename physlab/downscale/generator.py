r"""A weather generator for a variable that is often exactly zero (rain), after SDSM (Wilby et al. 2002).

Occurrence and amount are modelled apart. At each site the chance of a wet step depends on large-scale predictors
:math:`x_t` and on whether the step before was wet (the memory of a Markov chain),

.. math:: p_t = \sigma(a + b \cdot x_t + c\, o_{t-1}),

and the amount above a threshold is log-normal or gamma distributed about a mean that depends on the predictors,
:math:`\log \mu_t = \alpha + \beta \cdot x_t`. The log-normal mean is corrected so that the mean amount of the training
block is kept (the mean of an exponential is not the exponential of the mean; Duan 1983). `inflation` multiplies the
variance of the residuals, as SDSM's variance inflation.

Sites that are drawn one by one scatter like salt and pepper. Here one Gaussian field, correlated as the randomised
quantile residuals of the training block are (Dunn and Smyth 1996), decides both occurrence and amount. The random
ranks of dry steps weaken that correlation somewhat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from physlab.data.patches import SRData
from physlab.downscale.layout import PER
from physlab.downscale.statistical import Statistical, Stochastic
from physlab.errors import PhysLabError
from physlab.grid import refine
from physlab.nn import bicubic
from physlab.registry import register

AMOUNTS = ("lognormal", "gamma")
ROOT = 0.25  # predictors made of the coarse field are its fourth root, as rain is skewed
NODES = np.linspace(-6.0, 6.0, 121)  # normal scores of the tables of gamma quantiles


@register(
    "weather generator",
    title="Weather generator",
    kind="statistical",
    order=21,
    ensemble=True,
    table=False,
    reference="Wilby et al. (2002)",
)
@dataclass(eq=False)
class WeatherGenerator(Stochastic, Statistical):
    """Occurrence and amount at each site, given predictors; `generate` for series, `sample` for fields.

    Attributes
    ----------
    amount : "lognormal" or "gamma".
    threshold : a step is wet above it, unit of the variable.
    memory : whether the step before matters. Needs frames of one place in order of time; `sample` then reads the
        first axis of its input as time, and `predict` takes the stationary chain of each frame's predictors.
    inflation : factor on the variance of the residuals of the amount.
    coherent : correlate the sites; otherwise each is drawn on its own.
    per : for pairs of fields: "cell" fits each fine cell, "child" pools the cells of a row of latitude.
    penalty : ridge penalty of both regressions, on standardised predictors.
    """

    amount: str = "gamma"
    threshold: float = 0.1
    memory: bool = True
    inflation: float = 1.0
    coherent: bool = True
    per: str = "child"
    penalty: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, allowed in (("amount", self.amount, AMOUNTS), ("per", self.per, PER)):
            if value not in allowed:
                raise PhysLabError(f"{name}={value!r} is unknown: choose one of {', '.join(allowed)}")
        if self.threshold <= 0 or self.inflation < 0:
            raise PhysLabError(f"threshold {self.threshold}, inflation {self.inflation}: pass positive numbers")

    # --- series -------------------------------------------------------------------------------------------------------
    def fit_series(
        self,
        predictors: np.ndarray,
        series: np.ndarray,
        pool: np.ndarray | None = None,
        seed: int = 0,
        follows: np.ndarray | None = None,
    ) -> WeatherGenerator:
        """Learn from simultaneous series.

        Parameters
        ----------
        predictors : (T, C, p), or (T, p) for all sites alike.
        series : (T, C) non-negative, evenly spaced in time if `memory`.
        pool : (C,) whole numbers; sites with the same number share their coefficients. By default each has its own.
        seed : of the randomised residuals.
        follows : (T - 1,) whether a step follows the one before it; by default all do. Others teach no memory.

        Returns
        -------
        self, fitted.
        """
        series = np.asarray(series, dtype=np.float64)
        if series.ndim != 2 or series.min() < 0:
            raise PhysLabError(f"series of shape {series.shape}: pass (time, site), non-negative and at least 3 times")
        self.arrays = {}
        x = self._predictors(predictors, series.shape[1])
        if len(x) != len(series) or len(series) < 3:
            raise PhysLabError(f"predictors hold {len(x)} times, the series {len(series)}: pass the same 3 or more")
        pool = np.arange(series.shape[1]) if pool is None else np.asarray(pool)
        names, index = np.unique(pool, return_inverse=True)
        self.arrays |= {"pool": index.astype(np.int64), "x_mean": x.mean((0, 1))}
        self.arrays["x_scale"] = np.maximum(x.std((0, 1)), 1e-12)
        z, wet = (x - self.arrays["x_mean"]) / self.arrays["x_scale"], series > self.threshold
        p = z.shape[-1]
        self.arrays |= {key: np.zeros((len(names), p)) for key in ("occur", "amount")}
        self.arrays |= {key: np.zeros(len(names)) for key in ("occur_0", "memory", "amount_0", "spread")}
        times = np.flatnonzero(np.ones(len(x) - 1, bool) if follows is None else follows) + 1
        times = times if self.memory else np.arange(len(x))
        for group in range(len(names)):
            sites = np.flatnonzero(index == group)
            state, event = z[np.ix_(times, sites)].reshape(-1, p), wet[np.ix_(times, sites)].ravel()
            before = wet[np.ix_(times - 1, sites)].ravel()
            self._learn_occurrence(group, state, before, event)
            self._learn_amount(group, z[:, sites][wet[:, sites]], series[:, sites][wet[:, sites]] - self.threshold)
        if self.amount == "gamma":
            self.arrays["log_gamma"] = np.log(gamma_quantiles(self.arrays["spread"] * self.inflation, NODES))
        if not self.card:
            self.card = {"factor": 1, "variable": None, "sites": int(series.shape[1]), "seed": int(seed)}
        self.arrays["factors"], self.arrays["nugget"] = self._correlation(z, series, wet, np.random.default_rng(seed))
        return self

    def _learn_occurrence(self, group: int, x: np.ndarray, before: np.ndarray, event: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression

        arrays, share = self.arrays, float(event.mean())
        if not 0 < event.sum() < len(event):  # always or never wet
            arrays["occur_0"][group] = np.log((share * len(event) + 0.5) / ((1 - share) * len(event) + 0.5))
            return
        both = np.column_stack([x, before.astype(float)]) if self.memory else x
        model = LogisticRegression(C=1 / max(self.penalty, 1e-9), max_iter=500).fit(both, event)
        arrays["occur"][group], arrays["occur_0"][group] = model.coef_[0, : x.shape[1]], model.intercept_[0]
        arrays["memory"][group] = model.coef_[0, -1] if self.memory else 0.0

    def _learn_amount(self, group: int, x: np.ndarray, excess: np.ndarray) -> None:
        """`amount` and `amount_0` give the logarithm of the mean; `spread` is sigma, or 1 / shape."""
        from sklearn.linear_model import GammaRegressor, LinearRegression

        arrays = self.arrays
        if len(excess) < x.shape[1] + 3:  # too few wet steps: one distribution for all
            arrays["amount_0"][group] = np.log(max(excess.mean() if len(excess) else self.threshold, 1e-9))
            arrays["spread"][group] = 1.0
        elif self.amount == "gamma":
            model = GammaRegressor(alpha=self.penalty, max_iter=500).fit(x, excess)
            mean = model.predict(x)
            arrays["amount"][group] = model.coef_
            arrays["amount_0"][group] = model.intercept_ + np.log(excess.mean() / mean.mean())
            arrays["spread"][group] = ((excess / mean - 1) ** 2).mean()  # 1 / shape, by the method of moments
        else:
            model = LinearRegression().fit(x, np.log(excess))
            residual = np.log(excess) - model.predict(x)
            arrays["amount"][group] = model.coef_
            arrays["amount_0"][group] = model.intercept_ + np.log(excess.mean() / np.exp(model.predict(x)).mean())
            arrays["spread"][group] = residual.std(ddof=min(x.shape[1] + 1, len(excess) - 1))

    def chance(self, z: np.ndarray, before: np.ndarray | float) -> np.ndarray:
        """Probability of a wet step from standardised predictors (..., C, p) and the step before (..., C)."""
        a = {key: self.arrays[key][self.arrays["pool"]] for key in ("occur", "occur_0", "memory")}
        return 1 / (1 + np.exp(-((z * a["occur"]).sum(-1) + a["occur_0"] + a["memory"] * before)))

    def mean_amount(self, z: np.ndarray) -> np.ndarray:
        """Mean of a wet step, (..., C), from standardised predictors (..., C, p)."""
        pool = self.arrays["pool"]
        log = (z * self.arrays["amount"][pool]).sum(-1) + self.arrays["amount_0"][pool]
        return self.threshold + np.exp(log)

    def _quantile(self, z: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Amount of a wet step whose normal score among wet steps is `score`."""
        excess, spread = self.mean_amount(z) - self.threshold, self.arrays["spread"][self.arrays["pool"]]
        if self.amount == "lognormal":
            sigma = spread * np.sqrt(self.inflation)
            return self.threshold + excess * np.exp(sigma * score - 0.5 * sigma**2)
        place = np.clip((score - NODES[0]) / (NODES[1] - NODES[0]), 0.0, len(NODES) - 1 - 1e-9)
        low, pool = place.astype(np.int64), np.broadcast_to(self.arrays["pool"], score.shape)
        table = self.arrays["log_gamma"]
        log = table[pool, low] + (place - low) * (table[pool, low + 1] - table[pool, low])
        return self.threshold + excess * np.exp(log)

    def _correlation(
        self, z: np.ndarray, series: np.ndarray, wet: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Factors (r, C) and the sites' own noise (C,) of the Gaussian field: factors^T factors + nugget^2 = 1."""
        sites = series.shape[1]
        if not self.coherent or sites == 1:
            return np.zeros((0, sites)), np.ones(sites)
        before = np.concatenate([wet[:1], wet[:-1]]) if self.memory else np.zeros_like(wet)
        p = self.chance(z, before.astype(float))
        u = rng.uniform(size=series.shape) * (1 - p)  # a dry step: anywhere below 1 - p
        ratio = (series - self.threshold) / np.maximum(self.mean_amount(z) - self.threshold, 1e-9)
        rank = ratio[wet].argsort().argsort()
        u[wet] = 1 - p[wet] * (1 - (rank + 0.5) / len(rank))
        score = torch.special.ndtri(torch.from_numpy(u).clamp(1e-6, 1 - 1e-6)).numpy()
        score = (score - score.mean(0)) / np.maximum(score.std(0), 1e-9)
        left, strength, right = np.linalg.svd(score / np.sqrt(len(score)), full_matrices=False)
        kept = max(1, int(np.searchsorted(np.cumsum(strength**2) / (strength**2).sum(), 0.95)) + 1)
        factors = strength[:kept, None] * right[:kept]
        return factors, np.sqrt(np.maximum(1 - (factors**2).sum(0), 0.0))

    def _predictors(self, predictors: np.ndarray, sites: int) -> np.ndarray:
        x = np.asarray(predictors, dtype=np.float64)
        x = np.broadcast_to(x[:, None], (len(x), sites, x.shape[-1])) if x.ndim == 2 else x
        if x.ndim != 3 or x.shape[1] != sites:
            raise PhysLabError(f"predictors have shape {x.shape}: pass (time, {sites} sites, predictor)")
        if "x_mean" in self.arrays and x.shape[2] != len(self.arrays["x_mean"]):
            raise PhysLabError(f"{x.shape[2]} predictors, {len(self.arrays['x_mean'])} were learned: pass the same")
        return x

    def generate(
        self, predictors: np.ndarray, members: int = 10, generator: torch.Generator | None = None
    ) -> np.ndarray:
        """Series drawn from the model.

        Parameters
        ----------
        predictors : (T, C, p) or (T, p), as in `fit_series`.
        members : M.
        generator : of the random numbers, on the CPU.

        Returns
        -------
        (M, T, C), zero at dry steps.
        """
        if "x_mean" not in self.arrays:
            raise PhysLabError(f"{self.kind} is not fitted: call fit or fit_series first")
        sites = len(self.arrays["pool"])
        z = (self._predictors(predictors, sites) - self.arrays["x_mean"]) / self.arrays["x_scale"]
        out = np.zeros((members, *z.shape[:2]))
        factors, nugget = self.arrays["factors"], self.arrays["nugget"]
        before = self._noise((members, sites), generator, uniform=True) < self._stationary(z[0])
        for t in range(len(z)):
            common = self._noise((members, len(factors)), generator) @ factors
            u = _normal_cdf(common + nugget * self._noise((members, sites), generator))
            p = self.chance(z[t], before if self.memory else 0.0)
            wet = u > 1 - p
            rest = np.clip((u - 1 + p) / p, 1e-9, 1 - 1e-9)
            score = torch.special.ndtri(torch.from_numpy(rest)).numpy()
            out[:, t] = np.where(wet, self._quantile(z[t], score), 0.0)
            before = wet
        return out

    @staticmethod
    def _noise(shape: tuple[int, ...], generator: torch.Generator | None, uniform: bool = False) -> np.ndarray:
        draw = torch.rand if uniform else torch.randn
        return draw(shape, generator=generator, dtype=torch.float64).numpy()

    def _stationary(self, z: np.ndarray) -> np.ndarray:
        """Chance of a wet step where the step before is not known: p0 / (1 - p1 + p0)."""
        dry, wet = self.chance(z, 0.0), self.chance(z, 1.0)
        return dry / (1 - wet + dry) if self.memory else dry

    # --- fields -------------------------------------------------------------------------------------------------------
    def _prepare(self, data: SRData, split: str, frames: np.ndarray) -> None:
        if not data.non_negative:
            raise PhysLabError(
                f"{data.variable} can be negative: use StochasticRegression, this is for rain and the like"
            )
        steps = np.diff(data.time[split][frames].astype("datetime64[s]").astype(np.int64))
        if self.memory and (self.card["longitude"] is None or len(steps) < 2 or steps.min() <= 0):
            raise PhysLabError("memory needs frames of one place in order of time: pass memory=False for patches")
        self._follows = steps == steps.min()

    def _bind(self) -> None:
        super()._bind()
        self.domain = tuple(self.card["shape"]) if "shape" in self.card else None

    def field_predictors(self, coarse: np.ndarray) -> np.ndarray:
        """(S, h, w) -> (S, H*W, 3): interpolated value, own coarse value, mean of 3 x 3 coarse cells, fourth roots."""
        padded = np.pad(coarse, ((0, 0), (1, 1), (1, 1)), mode="edge")
        around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2)).mean((-2, -1))
        smooth = bicubic(torch.from_numpy(coarse)[:, None], self.factor)[:, 0].numpy()
        fields = [smooth, refine(coarse, self.factor), refine(around, self.factor)]
        return np.stack([np.maximum(f, 0.0).reshape(len(coarse), -1) ** ROOT for f in fields], -1)

    def _learn(self, coarse: np.ndarray, fine: np.ndarray, rng: np.random.Generator) -> None:
        rows, columns = fine.shape[-2:]
        pool = np.repeat(np.arange(rows), columns) if self.per == "child" else None
        self.fit_series(
            self.field_predictors(coarse), fine.reshape(len(fine), -1), pool, int(rng.integers(2**31)), self._follows
        )

    def _fields(self, coarse: np.ndarray) -> np.ndarray:
        z = (self.field_predictors(coarse) - self.arrays["x_mean"]) / self.arrays["x_scale"]
        mean = self._stationary(z) * self.mean_amount(z)
        return mean.reshape(len(coarse), coarse.shape[1] * self.factor, -1)

    def _members(self, coarse: np.ndarray, members: int, generator: torch.Generator | None) -> np.ndarray:
        series = self.generate(self.field_predictors(coarse), members, generator)
        return series.reshape(members, len(coarse), coarse.shape[1] * self.factor, -1)


def _normal_cdf(score: np.ndarray) -> np.ndarray:
    return torch.special.ndtr(torch.from_numpy(score)).numpy()


def gamma_quantiles(dispersion: np.ndarray | float, score: np.ndarray) -> np.ndarray:
    """Quantiles of gamma variables of mean one and variance `dispersion` (...) at normal scores (Q,), by bisection.

    Returns
    -------
    (..., Q); ones where the dispersion is zero.
    """
    variance = torch.as_tensor(np.asarray(dispersion, dtype=np.float64))[..., None]
    shape = 1.0 / variance.clamp_min(1e-6)
    wanted = torch.special.ndtr(torch.as_tensor(np.asarray(score, dtype=np.float64)))
    shape, wanted = torch.broadcast_tensors(shape, wanted)
    low, high = torch.full_like(wanted, -400.0), torch.full_like(wanted, 10.0)  # of the logarithm
    for _ in range(50):
        middle = 0.5 * (low + high)
        below = torch.special.gammainc(shape, shape * middle.exp()) < wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return torch.where(variance > 1e-6, (0.5 * (low + high)).exp(), torch.ones_like(low)).numpy()
