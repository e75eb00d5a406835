r"""Fine-tuning a forecast on a grid by learned equations.

Any network that forecasts several hours is asked, beside the data, to obey the equations whose coefficients were
learned from the training data:

.. math:: L = \Big\langle \frac{(\hat y - y)^2}{D^2} \Big\rangle
            + \mu\, \frac1E \sum_e \Big\langle \frac{(R_e(\hat y) - Q_e)^2}{\sigma_e^2} \Big\rangle, \qquad
          R_e(y) = \partial_t c_e - \Theta(y)\, \xi_e ,

with the typical change D of each variable and lead. R is taken by centred differences between consecutive frames (the
last given one included), over the cells that have neighbours on both sides; a whole circle of latitude has no border.
The latent force Q is what the equations leave in the mean at each *place*, and sigma what they leave besides, both from
the training data: one number per place, which the future shares with the past. A force that depends on time, as
published, is of no use to a forecast. Where the pressure surface cuts a mountain the equations fail, sigma is large,
and nothing is asked. The truth itself has a mean square of one; a forecast should not have less.

What the published code does (METHODS A3, 4 and 5): the *signed* mean of R, which is unbounded below; zeros beyond the
border, and with them false slopes; x and y exchanged. `signed` is there to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.equations.operators import Order
from physlab.errors import PhysLabError
from physlab.grid import Grid
from physlab.nn.share import Draws
from physlab.phydl.domain import Domain
from physlab.phydl.forecast import Forecaster
from physlab.phydl.gridded import difference_state, gridded_state
from physlab.phydl.library import Equation, atmosphere
from physlab.train.batches import Drawn
from physlab.train.loop import Report, optimise
from physlab.train.objective import Objective
from physlab.train.settings import Steps

FORCES = ("place", "none")


class GridResidual:
    """Learned equations on a regular grid, and how far the truth obeys them.

    Parameters
    ----------
    equations : whose left-hand sides are variables;  variables : order of the channels.
    coefficients : variable -> (terms,) SI units.
    longitude, latitude : (W,) and (H,) of the region that they were learned in, degrees.
    force, spread : (E, H - 2 border, W) Q and sigma, SI units; W - 2 border columns if the region is no whole circle.
    order, border : of the differences in space; cells left out at a border.
    """

    def __init__(
        self, equations: Sequence[Equation], variables: Sequence[str], coefficients: dict[str, np.ndarray],
        longitude: np.ndarray, latitude: np.ndarray, force: Tensor, spread: Tensor, order: Order = 2, border: int = 1,
    ) -> None:  # fmt: skip
        self.equations, self.variables = tuple(equations), tuple(variables)
        self.coefficients, self.order, self.border = coefficients, order, border
        self.force, self.spread = force, spread
        grid = Grid(latitude, longitude)
        self.longitude = grid.longitude if grid.periodic else grid.longitude[border : len(grid.longitude) - border]

    @classmethod
    def learn(
        cls, ds: xr.Dataset, variables: Sequence[str], hours: int = 2, every: int = 6,
        equations: Sequence[Equation] | None = None, order: Order = 2, border: int = 1,
    ) -> GridResidual:  # fmt: skip
        """Coefficients and force by one least squares, from data (time, latitude, longitude) of every hour.

        With a free force at each place, the coefficients follow from what varies in time there. Cells in which the
        equations fail weigh little: the least squares are repeated with the inverse variance of what is left.

        Parameters
        ----------
        hours : distance of the frames between which the equations will be asked.
        every : hours between the intervals that are used.

        Raises
        ------
        PhysLabError : fewer than three intervals.
        """
        if equations is None:
            equations = atmosphere(tuple(variables), float(ds.attrs.get("pressure", 7e4)))
        starts = range(0, ds.sizes["time"] - hours, every)
        if len(starts) < 3:
            raise PhysLabError(f"{ds.sizes['time']} hours hold {len(starts)} intervals: pass at least three")
        parts = [gridded_state(ds.isel(time=[t, t + hours]), variables, order=order, border=border) for t in starts]
        rows, coefficients, force, spread = ds.sizes["latitude"] - 2 * border, {}, [], []
        for e in equations:
            columns = torch.stack([e.columns(s) for s in parts])  # (intervals, points, terms)
            left = torch.stack([e.tendency(s) for s in parts])
            weight = torch.ones_like(left[0])
            for _ in range(2):
                xi = _least_squares(e, columns - columns.mean(0), left - left.mean(0), weight)
                rest = left - columns @ xi
                weight = 1 / rest.var(0)
            coefficients[e.variable] = xi.numpy()
            force.append(rest.mean(0).reshape(rows, -1))
            spread.append(rest.std(0).reshape(rows, -1))
        return cls(
            equations, variables, coefficients, ds["longitude"].values, ds["latitude"].values,
            torch.stack(force).float(), torch.stack(spread).float(), order, border,
        )  # fmt: skip

    def __call__(self, fields: Tensor, grid: Grid, dt: float) -> Tensor:
        """(B, T, V, H, W), SI units, frames `dt` seconds apart -> (B, T - 1, E, H', W') residuals R, SI units."""
        domain = Domain((float(grid.longitude.min()), float(grid.longitude.max())),
                        (float(grid.latitude.min()), float(grid.latitude.max())), (0.0, dt))  # fmt: skip
        by_name = {v: fields[:, :, at] for at, v in enumerate(self.variables)}
        state = difference_state(by_name, grid, dt, domain, self.order, self.border, bend=False)
        shape = (len(fields), fields.shape[1] - 1, fields.shape[-2] - 2 * self.border, -1)
        xi = [torch.as_tensor(self.coefficients[e.variable]).to(fields) for e in self.equations]
        parts = [e.residual(state, c).reshape(shape) for e, c in zip(self.equations, xi, strict=True)]
        return torch.stack(parts, dim=2)

    def at(self, first: Sequence[float], count: int) -> tuple[Tensor, Tensor]:
        """Q and sigma, (B, 1, E, H', count - 2 border), of windows of `count` columns from each first longitude.

        Raises
        ------
        PhysLabError : a window outside the region.
        """
        step, start = float(self.longitude[1] - self.longitude[0]), float(self.longitude[0])
        size = len(self.longitude)
        begin = torch.tensor([round((x - start) / step) for x in first]) + self.border
        index = begin[:, None] + torch.arange(count - 2 * self.border)
        if abs(size * step - 360) < 1e-3:
            index = index % size
        elif int(index.min()) < 0 or int(index.max()) >= size:
            raise PhysLabError(f"windows from {min(first):g} E: the equations were learned from {start:g} E on only")
        force, spread = (part[:, :, index].permute(2, 0, 1, 3)[:, None] for part in (self.force, self.spread))
        return force, spread


def _least_squares(e: Equation, columns: Tensor, left: Tensor, weight: Tensor) -> Tensor:
    """(terms,) coefficients of an equation; the known ones are kept."""
    known = torch.tensor([e.known.get(name, math.nan) for name in e.names], dtype=left.dtype)
    free = known.isnan()
    xi = known.nan_to_num()
    right = left - columns @ xi
    x = columns[..., free].flatten(0, 1)
    w = weight.expand_as(left).flatten()
    scale = x.square().mean(0).sqrt().clamp_min(1e-300)
    x = x / scale
    gram = (x * w[:, None]).T @ x
    ridge = 1e-12 * gram.trace() * torch.eye(len(gram), dtype=gram.dtype)
    solution = torch.linalg.solve(gram + ridge, x.T @ (w * right.flatten()))
    xi[free] = solution / scale
    return xi


@dataclass(frozen=True)
class ForecastSettings(Steps):
    """The numbers that decide a training or a fine-tuning, beside those of :class:`~physlab.train.settings.Steps`.

    Attributes
    ----------
    physics : mu, 0 for data alone;  force : latent force: that of the "place", or "none";  signed : the published
        penalty, a mean without a square.
    width : columns of the windows that are drawn from the circle of latitude.
    """

    steps: int = 1000
    batch: int = 16
    rate: float = 2e-3
    physics: float = 0.0
    force: str = "place"
    signed: bool = False
    width: int = 33

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.force not in FORCES or not self.physics >= 0 or self.width < 1:
            raise PhysLabError(f"force {self.force!r}, physics {self.physics}, width {self.width}: one of "
                               f"{', '.join(FORCES)}, >= 0, and at least 1")  # fmt: skip


class Windows:
    """Windows of a circle of latitude: history and future of a random hour at a random longitude.

    Parameters
    ----------
    ds : every hour, (time, latitude, longitude), whole circles.
    model : whose variables, hours and leads are wanted.
    """

    def __init__(self, ds: xr.Dataset, model: Forecaster) -> None:
        missing = [v for v in model.variables if v not in ds]
        if missing:
            raise PhysLabError(f"no variable {', '.join(missing)}: the forecast takes {', '.join(model.variables)}")
        if (np.diff(ds["time"].values) != np.timedelta64(1, "h")).any():
            raise PhysLabError("forecasts are trained on every hour: pass data without gaps")
        self.values = torch.from_numpy(np.stack([ds[v].values for v in model.variables], 1).astype(np.float32))
        self.longitude, self.latitude = ds["longitude"].values, ds["latitude"].values
        self.hours, self.leads = torch.tensor(model.hours), torch.tensor(model.leads)
        first, last = -min(model.hours), len(self.values) - 1 - max(model.leads)
        if last < first:
            raise PhysLabError(f"{len(self.values)} hours hold no forecast of {max(model.leads)} hours: pass more")
        self.starts = range(first, last + 1)

    def grid(self, width: int) -> Grid:
        """Of a window; which longitude it has makes no difference to any equation."""
        return Grid(self.latitude, self.longitude[:width])

    def take(self, hours: Sequence[int], columns: Sequence[int], width: int) -> tuple[Tensor, Tensor]:
        """(B, frames, V, H, W) and (B, K, V, H, W) at the given hours and first columns."""
        count, given, asked = self.values.shape[-1], [], []
        for hour, column in zip(hours, columns, strict=True):
            at = (int(column) + torch.arange(width)) % count
            given.append(self.values[int(hour) + self.hours][..., at])
            asked.append(self.values[int(hour) + self.leads][..., at])
        return torch.stack(given), torch.stack(asked)

    def draw(
        self, batch: int, width: int, generator: torch.Generator, mine: slice = slice(None)
    ) -> tuple[Tensor, Tensor, list[float]]:
        """History and future of random windows, and the longitude of the first column of each; `mine` of them."""
        hours = torch.randint(self.starts.start, self.starts.stop, (batch,), generator=generator).tolist()[mine]
        columns = torch.randint(self.values.shape[-1], (batch,), generator=generator).tolist()[mine]
        return *self.take(hours, columns, width), [float(self.longitude[c]) for c in columns]


def finetune(
    model: Forecaster,
    data: Windows,
    settings: ForecastSettings,
    equations: GridResidual | None = None,
    seed: int = 0,
    progress: bool = False,
    watch: Callable[[int, Any], None] | None = None,
    state: str | Path | None = None,
    held_out: Callable[[Any], float] | None = None,
) -> Report:
    """Train `model` in place, from where it is; with `settings.physics` > 0 by data and equations.

    Parameters
    ----------
    watch, state : see :func:`physlab.train.loop.optimise`;  held_out : see :func:`physlab.train.steps.take_steps`.

    Raises
    ------
    PhysLabError : physics without equations, leads that are not equally spaced, or a loss that is not a number.
    """
    objective = Forecasts(model, data, settings, equations, seed)
    objective.held_out = held_out
    report = optimise(objective, state, progress, watch=watch)
    model.card["training"] = [*model.card.get("training", []), {**asdict(settings), "seed": seed}]
    return report


class Forecasts(Objective):
    """Data, and the equations between consecutive frames."""

    first = 0
    advice = " or the weight of the physics"
    model: Forecaster
    settings: ForecastSettings

    def __init__(
        self, model: Forecaster, data: Windows, settings: ForecastSettings, equations: GridResidual | None, seed: int
    ) -> None:
        steps = np.diff((0, *model.leads))
        if settings.physics and equations is None:
            raise PhysLabError("physics > 0 needs equations: pass a GridResidual, learned from the training data")
        if settings.physics and np.ptp(steps):
            raise PhysLabError(
                f"leads {model.leads}: the equations need frames at equal distances from the last given one"
            )
        self.grid, self.dt, self.equations = data.grid(settings.width), 3600.0 * float(steps[0]), equations
        at = model.std.device

        def drawn(generator: Draws, mine: slice) -> tuple[Tensor, Tensor, list[float]]:
            given, asked, first = data.draw(settings.batch, settings.width, generator, mine)
            return given.to(at), asked.to(at), first

        super().__init__(model, settings, Drawn(settings.batch, seed, drawn), model.kind)
        self.fingerprint = {"settings": asdict(settings), "seed": seed, "hours": len(data.values), "kind": model.kind}

    def losses(self, given: Tensor, asked: Tensor, first: list[float], _: torch.Generator) -> Iterator[Tensor]:
        model, settings = self.model, self.settings
        relative, now = model.relative(given), given[:, -1:]
        with torch.autocast(given.device.type, enabled=False):
            misfit = (relative - (asked - now) / model.change).square().mean()
            physics = misfit.new_zeros(())
            if settings.physics and self.equations is not None:
                residual = self.equations(torch.cat([now, now + model.change * relative], 1), self.grid, self.dt)
                force, spread = (x.to(residual) for x in self.equations.at(first, settings.width))
                residual = (residual - (force if settings.force == "place" else 0)) / spread
                physics = residual.mean() if settings.signed else residual.square().mean()
        self.terms = {"data": misfit, "physics": physics}
        yield misfit + settings.physics * physics

    def note(self, entry: Mapping[str, float]) -> str:
        return f"misfit {entry['data']:.3f}, residual {entry['physics']:.2f}"
