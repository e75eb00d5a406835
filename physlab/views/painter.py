r"""Observations that anybody can draw, and a certificate of what a method makes of them.

A window of the Atlantic holds a Gaussian field, height anomalies at 500 hPa, as a sum of K waves. Its prior is known,
so that two answers to the same observations can be compared without a doubt left:

* the Kalman filter's, in closed form, which is right;
* that of a guided diffusion model whose denoiser is exact (:class:`physlab.diffusion.GaussianDenoiser`), as a perfect
  training would give it. Whatever is wrong is the guide's.

>>> canvas = Canvas.make()
>>> seen = canvas.observe(canvas.along([-40, 0], [60, 40]), error=6.0, seed=1)   # a track across the window
>>> asked, exact = canvas.ask("mmps", seen), canvas.kalman(seen)
>>> certificate(canvas, seen, asked, exact)["mean"]                             # largest error, in spreads

All is Gaussian and a deterministic sampler is affine in where it starts: K + 1 draws tell the mean and the covariance
of all that could be drawn, without the chance of a finite ensemble. Two methods are not affine, and are drawn: DPS, and
the ensemble Kalman filter, whose error is that of its few members.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from physlab import diffusion
from physlab.assimilate import EnKF
from physlab.diffusion import DDPM, GaussianDenoiser, Heun
from physlab.errors import PhysLabError
from physlab.score import rmse

LATITUDE, LONGITUDE = np.arange(30.0, 71.0), np.arange(-50.0, 11.0)  # degrees
STD = 60.0  # m
REACH = 700e3  # m: the correlation is exp(-1/2) there
DEGREE = 111.2e3  # m
KEPT = 1e-4  # a wave with less of the largest variance is left out
STEPS = 64  # of the sampler
MEMBERS = 20  # of the ensemble Kalman filter
DRAWS = 400  # of DPS
GUIDES: dict[str, str] = {
    "mmps": "Moment matching",
    "sda": "SDA, γ = 0.01",
    "sda-1": "SDA, γ = 1",
    "pigdm": "ΠGDM",
    "dps": "DPS",
    "enkf": f"EnKF, {MEMBERS} members",
}


@dataclass(frozen=True, eq=False)
class Seen:
    """What was observed.

    Attributes
    ----------
    points : (m,) numbers of grid points, row by row from the south.  y : (m,) values, m.
    A : (m, K) what they see of the waves.  error : standard deviation of their errors, m.
    """

    points: np.ndarray
    y: Tensor
    A: Tensor
    error: float

    @property
    def R(self) -> Tensor:
        """(m, m) covariance of the errors."""
        return self.error**2 * torch.eye(len(self.y), dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Canvas:
    """The window with its prior N(0, C).

    Attributes
    ----------
    latitude, longitude : (rows,), (columns,) degrees.
    waves : (rows * columns, K) orthonormal.  variances : (K,) of their amplitudes, m2.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    waves: Tensor = field(repr=False)
    variances: Tensor = field(repr=False)

    @classmethod
    @functools.cache
    def make(cls) -> Canvas:
        """The window of the explorer. The correlation is a product, and so are its waves, of those along each side."""
        east = math.cos(math.radians(float(LATITUDE.mean())))
        south_north, west_east = _side(LATITUDE), _side(LONGITUDE, east)
        values = torch.outer(south_north[0], west_east[0]).flatten()
        order = values.argsort(descending=True)
        kept = order[values[order] > KEPT * values[order[0]]]
        i, j = kept // len(LONGITUDE), kept % len(LONGITUDE)
        waves = (south_north[1][:, None, i] * west_east[1][None, :, j]).flatten(0, 1)
        return cls(LATITUDE, LONGITUDE, waves, STD**2 * values[kept])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.latitude), len(self.longitude)

    @property
    def unit(self) -> float:
        """Of the amplitudes that a denoiser sees, m: their mean variance is 1, as if the data were standardised."""
        return float(self.variances.mean().sqrt())

    @property
    def prior(self) -> GaussianDenoiser:
        """The denoiser that a perfect training would give, in units of `unit`; it has seen no observation."""
        return GaussianDenoiser(torch.zeros_like(self.variances), (self.variances / self.unit**2).diag())

    @property
    def before(self) -> tuple[Tensor, Tensor]:
        """(K,) mean and (K, K) covariance of the prior: the answer to no observation."""
        return torch.zeros_like(self.variances), self.variances.diag()

    def map(self, amplitudes: Tensor) -> np.ndarray:
        """(rows, columns) field of amplitudes (K,), m."""
        return (self.waves @ amplitudes).reshape(self.shape).numpy()

    def spread(self, P: Tensor) -> np.ndarray:
        """(rows, columns) standard deviation of fields whose amplitudes have the covariance (K, K), m."""
        return ((self.waves @ P) * self.waves).sum(1).clamp(min=0).sqrt().reshape(self.shape).numpy()

    def truth(self, seed: int = 0) -> Tensor:
        """(K,) amplitudes of a draw of the prior."""
        white = torch.randn(len(self.variances), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return self.variances.sqrt() * white

    def near(self, longitude: float, latitude: float) -> int:
        """The grid point next to a place."""
        row, column = (int(np.abs(a - b).argmin()) for a, b in
                       ((self.latitude, latitude), (self.longitude, longitude)))  # fmt: skip
        return row * len(self.longitude) + column

    def along(self, longitude: Sequence[float], latitude: Sequence[float], apart: float = 2.0) -> tuple[int, ...]:
        """Grid points along a path of corners, about so many degrees of latitude `apart`: the track of a satellite."""
        if len(longitude) != len(latitude) or not len(longitude):
            raise PhysLabError(f"a path has {len(longitude)} longitudes and {len(latitude)} latitudes: pass as many")
        x, y = np.asarray(longitude, dtype=float), np.asarray(latitude, dtype=float)
        length = np.hypot(np.diff(x) * math.cos(math.radians(float(self.latitude.mean()))), np.diff(y))
        gone = np.concatenate([[0.0], np.cumsum(length)])
        at = np.arange(0.0, gone[-1] + 1e-9, apart)
        places = zip(np.interp(at, gone, x), np.interp(at, gone, y), strict=True)
        inside = ((a, b) for a, b in places if self.holds(a, b))
        return tuple(dict.fromkeys(self.near(a, b) for a, b in inside))

    def holds(self, longitude: float, latitude: float) -> bool:
        """Whether a place is in the window, within half a degree."""
        return bool(abs(longitude - self.longitude.mean()) <= np.ptp(self.longitude) / 2 + 0.5
                    and abs(latitude - self.latitude.mean()) <= np.ptp(self.latitude) / 2 + 0.5)  # fmt: skip

    def observe(self, points: Iterable[int], error: float = 6.0, seed: int = 0) -> Seen:
        """The truth of a seed at grid points, with errors; a point keeps its error whatever else is observed.

        Raises
        ------
        PhysLabError : a point outside of the window, twice the same, none, or an error that is not above zero.
        """
        at = np.array(list(points), dtype=int)
        size = self.shape[0] * self.shape[1]
        if not at.size or at.min() < 0 or at.max() >= size or len(set(at.tolist())) < at.size or not error > 0:
            raise PhysLabError(
                f"{at.size} points with errors of {error} m: pass different points from 0 to {size - 1}, at least one, "
                "and an error above 0"
            )
        A = self.waves[at]
        noise = np.random.default_rng((seed, 1)).standard_normal(size)[at]
        return Seen(at, A @ self.truth(seed) + error * torch.from_numpy(noise), A, float(error))

    def rmse(self, mean: Tensor, seed: int = 0) -> float:
        """Error of a mean (K,) against the truth of a seed, weighted by area, m."""
        area = torch.from_numpy(np.cos(np.deg2rad(self.latitude)))[:, None]
        made, truth = (torch.from_numpy(self.map(x)) for x in (mean, self.truth(seed)))
        return float(rmse(made, truth, area))

    def kalman(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """(K,) mean and (K, K) covariance of the amplitudes given the observations."""
        after = self.prior.given(seen.y, self.unit * seen.A, seen.R)
        return self.unit * after.mean, self.unit**2 * after.covariance()

    def ask(
        self, name: str, seen: Seen, steps: int = STEPS, progress: Callable[[int, int], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """(K,) mean and (K, K) covariance of what a method of :data:`GUIDES` draws.

        Parameters
        ----------
        progress : called with steps done and steps of all.  cancel : asked between two steps.

        Raises
        ------
        PhysLabError : unknown name.  Cancelled : `cancel` said so.
        """
        if name not in GUIDES:
            raise PhysLabError(f"no method {name!r}: choose one of {', '.join(GUIDES)}")
        K, generator = len(self.variances), torch.Generator().manual_seed(0)
        if name == "enkf":
            before = self.variances.sqrt() * torch.randn(MEMBERS, K, generator=generator, dtype=torch.float64)
            after = EnKF().analyse(before, seen.y, seen.A, seen.R, generator=generator)
            return after.mean(0), torch.cov(after.mT)
        tell = None if progress is None else lambda done, of, _: progress(done, of)
        options = {} if name == "dps" else {"iterations": len(seen.y)}
        guided = diffusion.GUIDES[name](self.prior, seen.y, self.unit * seen.A, seen.R, **options)
        if name == "dps":
            shape = (DRAWS, K)
            x = DDPM(guided, 250, "log")(shape, generator, dtype=torch.float64, progress=tell, cancel=cancel)
            return self.unit * x.mean(0), self.unit**2 * torch.cov(x.mT)
        mean, P = Heun(guided, steps).moments(K, tell, cancel)
        return self.unit * mean, self.unit**2 * P


def certificate(
    canvas: Canvas, seen: Seen, asked: tuple[Tensor, Tensor], exact: tuple[Tensor, Tensor]
) -> dict[str, float]:
    """How far an answer is from the Kalman filter's.

    Returns
    -------
    `mean` : largest error of the mean over the window, in spreads of the right answer.
    `covariance` : relative error of the covariance.
    `spread` : mean spread over the right one, all points.  `stations` : the same where there are observations.
    """
    (mean, P), (wanted, right) = asked, exact
    made, spread = canvas.spread(P), canvas.spread(right)
    at = np.unravel_index(seen.points, canvas.shape)
    return {
        "mean": float(np.abs(canvas.map(mean - wanted) / spread).max()),
        "covariance": float((P - right).norm() / right.norm()),
        "spread": float(made.mean() / spread.mean()),
        "stations": float(np.sqrt(np.mean((made[at] / spread[at]) ** 2))),
    }


def _side(degrees: np.ndarray, shrunk: float = 1.0) -> tuple[Tensor, Tensor]:
    """(n,) variances and (n, n) waves of a Gaussian correlation along one side."""
    x = torch.from_numpy(degrees) * DEGREE * shrunk
    values, waves = torch.linalg.eigh(torch.exp(-0.5 * ((x[:, None] - x) / REACH).square()))
    return values.clamp(min=0), waves
