r"""Twin experiments: the truth is a run of a model, observed with noise, and a method has to find it again and again.

Forecast, analysis, forecast, ...: each analysis starts from the forecast of the one before. After a spin-up the errors
no longer depend on the start, and

* the RMSE of the analysis says how good a method is: :math:`\overline{\sqrt{\tfrac1n \sum_i (\bar x_i - x_i)^2}}`;
* spread against RMSE says whether an ensemble knows how good it is: they should agree;
* innovations :math:`d = y - H(x_b)` say, without the truth, whether the covariances fit: :math:`\overline{d^2}` should
  be that of :math:`H B H^T + R`, and successive ones should not be correlated (Dee 1995, Mon. Weather Rev. 123,
  1128-1145): what one innovation knows of the next, the method left unused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from physlab.assimilate.base import EnsembleMethod, Method
from physlab.assimilate.observed import Observed, Operator
from physlab.errors import PhysLabError


@dataclass(frozen=True, eq=False)
class Scores:
    """How a cycle went; each a tensor over the experiments that ran side by side, means over time after the spin-up.

    Attributes
    ----------
    rmse, rmse_background : error of the analysis (of the mean of its members), and of the forecast before.
    spread, spread_background : root of the mean variance of the members; NaN without members.
    innovation : mean of y - H(x_b).
    innovation_ratio : mean of its square over what B (of members or as given) and R let expect; 1 if both are right.
    innovation_memory : correlation of successive innovations; 0 if the method is optimal.
    diverged : the RMSE is above half of the truth's own standard deviation: the method has lost the truth.
    history : RMSE of each analysis, spin-up included, (cycles, ...).
    history_spread : the same for the spread.
    last : the last analysis.
    """

    rmse: Tensor
    rmse_background: Tensor
    spread: Tensor
    spread_background: Tensor
    innovation: Tensor
    innovation_ratio: Tensor
    innovation_memory: Tensor
    diverged: Tensor
    history: Tensor
    history_spread: Tensor
    last: Tensor


@dataclass(frozen=True, eq=False)
class TwinExperiment:
    """A truth, how it is observed, and for how long.

    Attributes
    ----------
    model : (..., n) -> (..., n), from one time of observations to the next.
    H, R : observation operator and error covariance, as in :meth:`Method.analyse`.
    cycles : times with observations.
    spin_up : as many of them do not count.
    forecast : what the methods take for the model; None for the model itself.
    window : of :class:`Var4D`: times with observations in a window. The analysis is then judged at the end of it.
    units : (n,) or one number by which errors and spread are divided, so that wind and height can be judged together.
    """

    model: Callable[[Tensor], Tensor]
    H: Operator
    R: Tensor
    cycles: int = 1000
    spin_up: int = 400
    forecast: Callable[[Tensor], Tensor] | None = None
    window: int = 1
    units: Tensor | float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.spin_up < self.cycles:
            raise PhysLabError(f"spin-up of {self.spin_up} in {self.cycles} cycles: pass 0 <= spin_up < cycles")
        if self.window < 1 or (self.cycles - self.spin_up) < self.window:
            raise PhysLabError(f"window is {self.window}: pass at least 1 and at most the cycles after the spin-up")

    def nature(self, start: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Truth (cycles, ..., n) and observations (cycles, ..., m) from a start (..., n)."""
        truth, values = [], []
        for _ in range(self.cycles):
            start = self.model(start)
            truth.append(start)
            seen = start @ self.H.to(start).mT if isinstance(self.H, Tensor) else self.H(start)
            observed = Observed.check(seen, self.H, self.R, start.shape[-1], start)
            values.append(seen + observed.noise(*seen.shape[:-1], generator=generator))
        return torch.stack(truth), torch.stack(values)

    def run(
        self, method: Method, background: Tensor, truth: Tensor, y: Tensor, generator: torch.Generator | None = None
    ) -> Scores:
        """Cycle a method.

        Parameters
        ----------
        background : (..., n), for an ensemble method (..., N, n): state before the first forecast.
        truth, y : from :meth:`nature`, of the same experiments.
        generator : of the method's random numbers.
        """
        members = isinstance(method, EnsembleMethod)
        forecast = self.model if self.forecast is None else self.forecast
        x, rows, innovations = background, [], []
        expected = None if members else _expected(method, self.H, self.R)
        for k in range(self.window - 1, self.cycles, self.window):
            if method.times == 2:  # from the start of the window, with all that was seen in it
                before, after = x, method.analyse(x, y[k - self.window + 1 : k + 1].movedim(0, -2), self.H, self.R)
                for _ in range(self.window):
                    before, after = forecast(before), forecast(after)
            else:
                before = forecast(x)
                after = method.analyse(before, y[k], self.H, self.R, generator)
            (b, sb), (a, sa) = (_moments(s / self.units, members) for s in (before, after))
            true = truth[k] / self.units
            rows.append(torch.stack([_rms(a - true), _rms(b - true), sa, sb]))
            if k >= self.spin_up:
                innovations.append(self._innovation(before, y[k], members, expected))
            x = after
        history = torch.stack(rows)  # (times, 4, ...)
        mean = history[self.spin_up // self.window :].mean(0)
        d, variance = (torch.stack(parts) for parts in zip(*innovations, strict=True))
        limit = 0.5 * _rms((truth - truth.mean(0)) / self.units).mean(0)
        square = d.square().mean((0, -1))
        memory = (d[1:] * d[:-1]).mean((0, -1)) / square if len(d) > 1 else torch.full_like(square, torch.nan)
        error, error_before, spread, spread_before = mean
        return Scores(
            error, error_before, spread, spread_before,
            d.mean((0, -1)), square / variance.mean((0, -1)), memory, ~(error < limit),
            history[:, 0], history[:, 2], x,
        )  # fmt: skip

    def _innovation(self, x: Tensor, y: Tensor, members: bool, expected: Tensor | None) -> tuple[Tensor, Tensor]:
        """y - H(x_b), and the variance that is expected of it, (..., m) each."""
        states = x if members else x[..., None, :]
        observed = Observed.check(y, self.H, self.R, x.shape[-1], x)
        seen = observed.see(states)
        R = observed.covariance.diagonal(dim1=-2, dim2=-1)
        if members:
            variance = seen.var(-2) + R
        else:
            variance = torch.full_like(y, torch.nan) if expected is None else expected.to(y).expand_as(y)
        return y - seen.mean(-2), variance


def _expected(method: Method, H: Operator, R: Tensor) -> Tensor | None:
    """Diagonal of H B H^T + R where B is given and H is a matrix; else None."""
    B = getattr(method, "B", None)
    if B is None or not isinstance(H, Tensor) or method.times == 2:
        return None
    R = torch.as_tensor(R)
    return (H * B.multiply(H)).sum(-1) + (R.diagonal(dim1=-2, dim2=-1) if R.ndim > 1 else R)


def _moments(x: Tensor, members: bool) -> tuple[Tensor, Tensor]:
    """Mean (..., n) and spread (...)."""
    if not members:
        return x, torch.full(x.shape[:-1], torch.nan, dtype=x.dtype, device=x.device)
    return x.mean(-2), x.var(-2).mean(-1).sqrt()


def _rms(x: Tensor) -> Tensor:
    return x.square().mean(-1).sqrt()
