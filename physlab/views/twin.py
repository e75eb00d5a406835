"""One twin experiment to look at: a truth, a forecast of it, columns observed here and there, and what a method made.

>>> twin = Twin.open()                                  # three times that nobody trained on
>>> case = twin.case(time=0, share=0.02, own=(3000,))   # 2 % of the grid points, and one of your own
>>> analysis = physlab.load_model("phyda-s0").analyse(case.background, case.observations, members=8)
>>> case.scores(analysis)["z500"]                       # errors of background and analysis, gain, CRPS, spread / skill
>>> case.balance(analysis)                              # distance from two laws, relative to the truth's

A grid point is a number: rows of latitude one after the other, as stored. With the same seed the columns of a smaller
share are among those of a larger one, and a column keeps its observation errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.assimilate.proxy import further_laws, further_parts
from physlab.assimilate.statespace import StateSpace
from physlab.data.catalog import open_dataset
from physlab.data.observe import table
from physlab.equations import LAWS, geostrophic, hydrostatic, relative_residual
from physlab.errors import PhysLabError
from physlab.fields import to_tensor
from physlab.score import crps, rmse, spectral_divergence, spread_skill
from physlab.score.analysis import TRUNCATION, eddies
from physlab.score.zonal import zonal_spectrum
from physlab.views.window import shown as units_of

HEADLINE = ("z500", "t850", "t_low", "u_low", "v_low", "u500", "v500", "q700", "sp", "tcw")
TITLES = {"thickness": "Thickness", "geostrophic": "Geostrophic"}
EXACT = 0.01  # of the background error: what the analysis is told of an observation without error
TROPICS = 25.0  # degrees: geostrophic balance is asked for poleward of it


@dataclass(frozen=True, eq=False)
class Twin:
    """Truth and background at a few times.

    Attributes
    ----------
    ds : truth, and the background under the same names with the suffix ``_fc``.
    space : channels and grid; its `error` is that of these backgrounds.
    """

    ds: xr.Dataset
    space: StateSpace

    @classmethod
    def open(cls, name: str = "nature-twin") -> Twin:
        """What ships."""
        ds = open_dataset(name).load()
        return cls(ds, StateSpace.of(*_parts(ds)))

    @property
    def times(self) -> np.ndarray:
        return self.ds["time"].values

    def case(
        self, time: int = 0, share: float = 0.02, own: Iterable[int] = (), noise: float = 0.0, seed: int = 0
    ) -> Case:
        """A time with its observations.

        Parameters
        ----------
        time : index.
        share : of the grid points, in [0, 1], drawn by area; 0 for none but your own.
        own : further grid points; those that were drawn already are not doubled.
        noise : standard deviation of the observation errors over that of the background errors, channel by channel;
            with 0 observations are exact.
        seed : of the columns and of their errors.
        """
        if not 0 <= time < len(self.times):
            raise PhysLabError(f"time {time}: there are {len(self.times)}, 0 to {len(self.times) - 1}")
        truth, background = (ds.isel(time=time) for ds in _parts(self.ds))
        points = self._points(share, own, seed)
        return Case(truth, background, self._observed(truth, points, noise, seed), points, self.space)

    def _points(self, share: float, own: Iterable[int], seed: int) -> np.ndarray:
        """(n,) grid points: the drawn ones in the order of their draw, then your own."""
        own, size = tuple(own), self.space.shape[1] * self.space.shape[2]
        if not 0 <= share <= 1 or not all(0 <= point < size for point in own):
            raise PhysLabError(f"share {share}, points {own}: pass a share in [0, 1] and points below {size}")
        weights = np.repeat(self.space.area.numpy()[:, 0], self.space.shape[2])
        race = np.random.default_rng(seed).exponential(size=size) / weights  # the first are a draw without replacement
        drawn = np.argsort(race)[: max(1, round(share * size)) if share else 0]
        return np.array([*drawn, *(p for p in dict.fromkeys(own) if p not in set(drawn.tolist()))], dtype=int)

    def _observed(self, truth: xr.Dataset, points: np.ndarray, noise: float, seed: int) -> xr.Dataset:
        """The table of observations: all channels of each column."""
        channels, (C, _, W), count = self.space.channels, self.space.shape, len(points)
        std = self.space.error.flatten().double().numpy()
        value = states(truth, self.space).flatten(1).numpy()[:, points]
        if noise:
            error = np.random.default_rng((seed, 1)).standard_normal((C, *self.space.shape[1:])).reshape(C, -1)
            value = value + noise * std[:, None] * error[:, points]
        names, levels = zip(*channels, strict=True)
        latitude, longitude = self.space.latitude[points // W], self.space.longitude[points % W]
        return table(np.repeat(names, count), np.repeat(levels, count), np.tile(latitude, C), np.tile(longitude, C),
                     value.ravel(), np.repeat(std * (noise or EXACT), count))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case:
    """A truth, its background and what was observed.

    Attributes
    ----------
    truth, background : one time.  observations : a table as from :mod:`physlab.data.observe`.
    points : the grid points of the columns.
    """

    truth: xr.Dataset
    background: xr.Dataset
    observations: xr.Dataset
    points: np.ndarray
    space: StateSpace

    @property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitude and longitude of the columns."""
        W = self.space.shape[2]
        return self.space.latitude[self.points // W], self.space.longitude[self.points % W]

    @cached_property
    def known(self) -> dict[str, Tensor]:
        """(C, H, W) truth and background."""
        return {"truth": states(self.truth, self.space), "background": states(self.background, self.space)}

    def fields(self, analysis: xr.Dataset) -> Tensor:
        """(M, C, H, W) members of an analysis; M is 1 without members."""
        x = states(analysis, self.space)
        return x if x.ndim == 4 else x[None]

    def scores(
        self, analysis: xr.Dataset | Tensor, names: Iterable[str] = HEADLINE, centred: bool | None = None
    ) -> dict[str, dict[str, float]]:
        """Of each field, in its unit, weighted by area.

        `centred` says whether members lie about a known mean (see :mod:`physlab.score.ensemble`); None for what the
        attributes of the analysis say.

        Returns
        -------
        name -> `background` and `analysis` (RMSE, of the mean of the members), `gain` (what the analysis takes off the
        error, 1 is all), and with members `crps` (fair) and `spread_skill`.
        """
        members, out = self._members(analysis), {}
        moved = bool(centred)
        if centred is None and isinstance(analysis, xr.Dataset):
            moved = bool(analysis.attrs.get("centred", 0))
        for name in names:
            k = self.space.index(name)
            truth, background, made = self.known["truth"][k], self.known["background"][k], members[:, k]
            before, after = (float(rmse(x, truth, self.space.area)) for x in (background, made.mean(0)))
            out[name] = {"background": before, "analysis": after, "gain": 1 - after / before}
            if len(made) > 1:
                out[name]["crps"] = float(crps(made, truth, weights=self.space.area, centred=moved))
                out[name]["spread_skill"] = float(spread_skill(made, truth, weights=self.space.area, centred=moved))
        return out

    def balance(self, analysis: xr.Dataset | Tensor) -> dict[str, dict[str, float]]:
        """Residuals of both laws relative to the truth's, all levels: 1 is as balanced as the truth, not 0.

        Returns
        -------
        `background`, `analysis` (the mean) and, with members, `members` (each by itself) -> law -> ratio.
        """
        members = self._members(analysis)
        parts = {"background": self.known["background"], "analysis": members.mean(0)}
        parts |= {"members": members} if len(members) > 1 else {}
        out: dict[str, dict] = {name: {} for name in parts}
        for law in laws():
            truth = residual(self.known["truth"], law, self.space)
            for name, x in parts.items():
                made = residual(x, law, self.space)
                ratio = relative_residual(made, truth.expand_as(made), self.space.area.double())
                out[name][law] = float(ratio)
        return out

    def divergence(self, analysis: xr.Dataset | Tensor, name: str) -> dict[str, float]:
        """Spectral divergence of a field from the truth: of background, mean and members (averaged over them).

        Up to wavenumber 42 and without the means of latitude circles, see :func:`physlab.score.analysis.eddies`.
        """
        k, members = self.space.index(name), self._members(analysis)
        truth, background = (eddies(self.known[n][k]) for n in ("truth", "background"))
        made = eddies(members[:, k])
        parts = {"background": background[None], "analysis": made.mean(0)[None]}
        parts |= {"members": made} if len(made) > 1 else {}
        return {n: float(spectral_divergence(x, truth.expand_as(x), largest=TRUNCATION)) for n, x in parts.items()}

    def _members(self, analysis: xr.Dataset | Tensor) -> Tensor:
        return analysis if isinstance(analysis, Tensor) else self.fields(analysis)


def laws() -> dict[str, str]:
    """Name -> title of the laws that a state can be asked for: thickness, geostrophic balance, and registered ones."""
    return TITLES | {name: LAWS.specs[name].title for name in further_laws()}


def states(ds: xr.Dataset, space: StateSpace) -> Tensor:
    """([M,] C, H, W) double tensor of a state, in the order of the channels."""
    ds = ds.sel(level=list(space.levels)) if "level" in ds.dims else ds
    return to_tensor(ds, space.variables, dtype=torch.float64)[..., 0, :, :, :]


def residual(x: Tensor, law: str, space: StateSpace) -> Tensor:
    """Distance of states (..., C, H, W) from a law.

    Returns
    -------
    "thickness" : (..., L-1, H, W) m2 s-2, see :mod:`physlab.equations.hydrostatic`; the layer below each level.
    "geostrophic" : (..., 2, L, H, W) m s-2, see :mod:`physlab.equations.geostrophic`; NaN in the tropics.
    others of :func:`laws` : (..., L, H, W), or (..., 2, L, H, W) of a law of two components, in the unit of the law.

    Raises
    ------
    PhysLabError : unknown law.
    """
    u, v, t, q, z = (x[..., space.part(name), :, :] for name in ("u", "v", "t", "q", "z"))
    if law == "thickness":
        return hydrostatic.residual(z, t, torch.tensor(space.levels), q)
    if law not in laws():
        raise PhysLabError(f"no law {law!r}: choose one of {', '.join(laws())}")
    if law != "geostrophic":
        parts = further_parts(law, x, space)
        return parts[0] if len(parts) == 1 else torch.stack(parts, dim=-4)
    both = torch.stack(geostrophic.residual(u, v, z, space.grid), dim=-4)
    outside = torch.from_numpy(np.abs(space.latitude) >= TROPICS)[:, None]
    return torch.where(outside, both, torch.nan)


def spectrum(x: Tensor, space: StateSpace) -> tuple[np.ndarray, np.ndarray]:
    """Zonal wavenumbers 1 to 42 and power (..., K) of fields (..., H, W), latitude circles weighted by area.

    The mean of each circle has no part in it. Average the power over members, never the members.
    """
    k, power = zonal_spectrum(x)
    power = (power * space.area.double()).mean(-2)
    return k[:TRUNCATION].numpy(), power[..., :TRUNCATION].numpy()


def variable_of(name: str) -> str:
    """ "z" of "z500", "t" of "t_low"."""
    return name.rstrip("0123456789").removesuffix("_low")


def shown(name: str) -> tuple[float, str]:
    """Factor from SI units to those in which a channel is read, and their name."""
    variable = variable_of(name)
    return (0.01, "hPa") if variable == "sp" else units_of(variable)


def _parts(ds: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Truth and background."""
    names: Mapping[str, str] = {f"{n}_fc": str(n) for n in ds if f"{n}_fc" in ds}
    return ds[list(names.values())], ds[list(names)].rename(names)
