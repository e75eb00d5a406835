r"""4D-Var and the LETKF with forecast members in a table of single analyses: both need the weather before a background.

The states of the table come from a cycle, which keeps the analysis 12 hours before each of them. That analysis is put
into the model; 4D-Var linearises about the trajectory from there, and the members of the LETKF are its forecasts from
draws about it:

.. math:: e = F(s U v) - F(0) + q U w \qquad\text{and}\qquad X_i = F(s U v_i) - F(0) + q U w_i ,

with F the model and its diagnostics over those hours and U the root of 3D-Var's covariance, as in a cycle of each
(:mod:`physlab.assimilate.model_cycle`). Both take the background of the table as it is. What the members leave of the
innovations goes on to 3D-Var.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from physlab.assimilate import GlobalVar3D
from physlab.assimilate.learned import about
from physlab.assimilate.localisation import grid_points
from physlab.assimilate.model_cycle import LETKFSettings, Var4DSettings, minimise_window, mix, weigh_members
from physlab.assimilate.statespace import Columns
from physlab.data.pieces import open_pieces
from physlab.errors import PhysLabError

Weather = tuple[Path, np.datetime64]
"""A cycle and the time of a background in it."""
HOURS = 12  # from the analysis before to the background


@functools.lru_cache(maxsize=4)
def _model(preset: str) -> tuple[Any, Any]:
    """The model and the weather that layers without any analysis are taken from."""
    from physlab.simulate import nature

    model = nature.atmosphere(preset)
    return model, model.advance(model.rest(1), 24 * 10)


@functools.lru_cache(maxsize=4)
def window_of(cycle: Path, time: np.datetime64, prior: GlobalVar3D, preset: str = "t42") -> Any:
    """The model from the analysis before a background to its time, see :class:`physlab.simulate.window.Window`.

    Raises
    ------
    PhysLabError : no analysis 12 hours before.
    """
    files, before = sorted(cycle.glob("analyses-*.nc")), time - np.timedelta64(HOURS, "h")
    analysis = None
    if files:
        with open_pieces(files) as ds:
            analysis = ds.sel(time=before).load() if before in ds["time"].values else None
    if analysis is None:
        raise PhysLabError(f"{cycle} holds no analysis at {before}, from which the background at {time} came")
    from physlab.simulate.insert import insert
    from physlab.simulate.window import Window

    model, other = _model(preset)
    start = insert(model, other, analysis, above=True)
    return Window(model, start, HOURS, prior.space.channels, prior.space.error.flatten().double().numpy())


@functools.lru_cache(maxsize=64)
def members_of(cycle: Path, time: np.datetime64, prior: GlobalVar3D, settings: tuple, preset: str = "t42") -> Tensor:
    """(N, C, H, W) forecasts from draws about the analysis before a background, of mean zero, in background errors and
    half precision; the same whenever asked for.

    Parameters
    ----------
    settings : how many, the size of the draws, and of those that are added at the end.
    """
    (count, size, additive), B = settings, prior.covariance
    window = window_of(cycle, time, prior, preset)
    draw = torch.Generator().manual_seed(int(time.astype("datetime64[h]").astype(int)))
    v, w = torch.randn(2, count, B.controls, generator=draw).double()
    ends = [torch.from_numpy(window.predict(size * B.root(x).reshape(window.shape).numpy())) for x in v]
    made = torch.stack(ends) + additive * torch.stack([B.root(x).reshape(window.shape) for x in w])
    return (made - made.mean(0)).half()


class InWeather:
    """A method that lives with the model, for the backgrounds of a block: called like any other.

    Parameters
    ----------
    prior : 3D-Var, whose covariance and units it takes.
    weather : of each background by :func:`mark`, as the table gives a method nothing but the fields.
    preset : of the model.
    """

    ensemble = centred = False
    settings: Any

    def __init__(self, prior: Any, weather: dict[bytes, Weather], preset: str = "t42") -> None:
        self.prior, self.weather, self.preset = prior, weather, preset
        self.space, self.bounded, self.card = prior.space, prior.bounded, dict[str, Any]()

    def parameters(self) -> tuple:
        """Nothing is trained."""
        return ()

    @torch.no_grad()
    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None
    ) -> Tensor:
        """See :meth:`physlab.assimilate.learned.Learned.increments`.

        Raises
        ------
        PhysLabError : a background of unknown weather.
        """
        made = []
        for k in range(len(background)):
            key = mark(background[k])
            if key not in self.weather:
                raise PhysLabError("the background is none of the block's: the weather before it is not known")
            made.append(self.one(key, columns[k : k + 1], members))
        return torch.stack(made)

    def one(self, key: bytes, columns: Columns, members: int) -> Tensor:
        """(members, C, H, W) of one background."""
        raise NotImplementedError

    def window(self, key: bytes) -> Any:
        """See :func:`window_of`."""
        return window_of(*self.weather[key], self.prior, self.preset)


class Var4DInWeather(InWeather):
    """4D-Var: one analysis, without members."""

    def __init__(self, prior: Any, weather: dict[bytes, Weather], settings: Var4DSettings, preset: str = "t42"):
        super().__init__(prior, weather, preset)
        self.settings = settings

    def one(self, key: bytes, columns: Columns, members: int) -> Tensor:
        if not bool(columns.mask.any()):
            return torch.zeros_like(columns.innovation)
        window, mask = self.window(key), columns.mask[0].expand(self.space.shape).double()
        r = float(columns.noise.clamp(min=self.settings.floor))
        start, end = minimise_window(window, self.prior.covariance, columns.innovation[0], mask, r, self.settings)
        moved = window.predict(start.numpy()) - window.predict(np.zeros(window.shape))
        return (torch.from_numpy(moved) + end.float())[None]


class LETKFInWeather(InWeather):
    """The LETKF with forecast members, and 3D-Var for what they leave."""

    ensemble = centred = True

    def __init__(self, prior: Any, weather: dict[bytes, Weather], settings: LETKFSettings, preset: str = "t42"):
        super().__init__(prior, weather, preset)
        self.settings, self.points = settings, grid_points(prior.space.latitude, prior.space.longitude)

    def anomalies(self, key: bytes) -> Tensor:
        """(N, C, H, W) of mean zero, in background errors, see :func:`members_of`."""
        s = self.settings
        return members_of(*self.weather[key], self.prior, (s.members, s.size, s.additive), self.preset).float()

    def one(self, key: bytes, columns: Columns, members: int) -> Tensor:
        X, s = self.anomalies(key), self.settings
        if members > len(X):
            raise PhysLabError(f"{members} members of an ensemble of {len(X)}: pass at most so many")
        weights = weigh_members(X, columns, self.points, s)
        mean, away = (x.unflatten(-1, X.shape[2:]) for x in mix(X.flatten(2), weights.float(), s))
        centre = mean[None]
        left = Columns((columns.innovation - centre) * columns.mask, columns.mask, columns.noise)
        if s.static and bool(columns.mask.any()):
            centre = centre + s.static * self.prior.increments(torch.zeros_like(centre), left)[0]
        if members == 1:
            return centre
        return about(away[None, :members], centre[None])[0]


def mark(background: Tensor) -> bytes:
    """What tells a background (C, H, W) from another."""
    return hashlib.sha256(background.half().numpy().tobytes()).digest()


def weather_of(backgrounds: Tensor, found: list[Weather]) -> dict[bytes, Weather]:
    """The weather of backgrounds (N, C, H, W)."""
    return {mark(x): w for x, w in zip(backgrounds, found, strict=True)}
