r"""Background error covariances as roots, :math:`B = U U^T`: what a variational method needs of B.

B of a weather model has 10^18 entries; nobody writes it down. U is a chain of simple operators (the control-variable
transform, Derber and Bouttier 1999, Tellus 51A, 195-221; Bannister 2008, Q. J. R. Meteorol. Soc. 134, 1971-1996) that
turns white noise into errors as they look: smooth over some distance, of the right size, in balance. With
:math:`x = x_b + U v` the background term becomes :math:`|v|^2 / 2`.

:class:`Dense` is any matrix; :class:`~physlab.assimilate.balance.BalancedCovariance` is such a chain.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from physlab.errors import PhysLabError


class Covariance:
    """Base: U, its transpose, and B. A kind of covariance implements :meth:`root` and :meth:`transpose`.

    Attributes
    ----------
    n, controls : numbers of a state, and of a control variable.
    """

    n: int
    controls: int

    def root(self, v: Tensor) -> Tensor:
        """U v, (..., controls) -> (..., n)."""
        raise NotImplementedError

    def transpose(self, x: Tensor) -> Tensor:
        """U^T x, (..., n) -> (..., controls)."""
        raise NotImplementedError

    def multiply(self, x: Tensor) -> Tensor:
        """B x, (..., n) -> (..., n)."""
        return self.root(self.transpose(x))

    def sample(self, *batch: int, generator: torch.Generator | None = None, dtype=torch.float64) -> Tensor:
        """(*batch, n) draws of N(0, B)."""
        return self.root(torch.randn(*batch, self.controls, generator=generator, dtype=dtype))

    def matrix(self, like: Tensor) -> Tensor:
        """B as (n, n), for small n."""
        return self.multiply(torch.eye(self.n, dtype=like.dtype, device=like.device))


class Dense(Covariance):
    """A covariance that is written down.

    Parameters
    ----------
    B : (n, n), symmetric and positive semi-definite.

    Raises
    ------
    PhysLabError : not square, not finite, not symmetric, or with an eigenvalue below zero.
    """

    def __init__(self, B: Tensor) -> None:
        if B.ndim != 2 or B.shape[0] != B.shape[1]:
            raise PhysLabError(f"B has shape {tuple(B.shape)}: pass a covariance (n, n)")
        B = B.detach().double()
        scale = float(B.diagonal().abs().max())
        if not bool(torch.isfinite(B).all()) or not bool((B - B.mT).abs().max() <= 1e-5 * scale):
            raise PhysLabError("B is not symmetric, or not finite: pass B with B = B^T, as 0.5 * (B + B.T)")
        self.B = 0.5 * (B + B.mT)
        self.n = self.controls = len(B)
        _ = self.U  # raises now, not at the first analysis

    @cached_property
    def U(self) -> Tensor:
        """A root of B: the one of Cholesky, or, if B is only semi-definite, that of the eigenvectors."""
        root, failed = torch.linalg.cholesky_ex(self.B)
        if not bool(failed):
            return root
        values, vectors = torch.linalg.eigh(self.B)
        if values[0] < -1e-8 * values[-1].abs() or values[-1] <= 0:
            raise PhysLabError(f"B has the eigenvalue {float(values[0]):.3g}: pass a covariance, without negative ones")
        return vectors * values.clamp(min=0).sqrt()

    def root(self, v: Tensor) -> Tensor:
        return v @ self.U.to(v).mT

    def transpose(self, x: Tensor) -> Tensor:
        return x @ self.U.to(x)

    def multiply(self, x: Tensor) -> Tensor:
        return x @ self.B.to(x)


def as_covariance(B: Covariance | Tensor) -> Covariance:
    """A matrix as a :class:`Dense` covariance; a covariance as it is."""
    if isinstance(B, Covariance):
        return B
    if isinstance(B, Tensor):
        return Dense(B)
    raise PhysLabError(f"B is a {type(B).__name__}: pass a matrix (n, n) or an object of physlab.assimilate.covariance")


def nmc_differences(model, analyses: Tensor, short: int, long: int) -> Tensor:
    r"""Differences of two forecasts for the same time, which stand in for errors that nobody knows.

    The method of the National Meteorological Center (Parrish and Derber 1992, Mon. Weather Rev. 120, 1747-1763): B is
    proportional to their covariance. The factor is a tuning parameter, for the differences are those of a longer lead.

    Parameters
    ----------
    model : (..., n) -> (..., n), from one analysis time to the next.
    analyses : (T, ..., n) successive analyses.
    short, long : lengths of the forecasts in times, such as 1 and 2: T > long.

    Returns
    -------
    (T - long, ..., n), long minus short.
    """
    if not 0 <= short < long < len(analyses):
        raise PhysLabError(
            f"forecasts of {short} and {long} times do not fit {len(analyses)} analyses: pass 0 <= short < long < T"
        )
    early, late = analyses[:-long], analyses[long - short : len(analyses) - short]
    for _ in range(long):
        early = model(early)
    for _ in range(short):
        late = model(late)
    return early - late


def sample_covariance(x: Tensor, factor: float = 1.0) -> Dense:
    """Covariance of samples (..., n), all leading dimensions taken together, times a factor; the mean is removed."""
    x = x.reshape(-1, x.shape[-1])
    if len(x) < 2:
        raise PhysLabError(f"a covariance came with {len(x)} sample: pass at least 2, better several times n")
    anomalies = x - x.mean(0)
    return Dense(factor * anomalies.mT @ anomalies / (len(x) - 1))
