r"""Whole states of the globe as tensors, and their background errors as the unit of everything that is learned.

A learned method never sees metres or kelvins. With the truth :math:`x`, the background :math:`x_b` and, for each
channel, the root mean square :math:`s` of background errors over the training block, it works with

.. math:: e = (x - x_b) / s , \qquad d = (y - H x_b) / s ,

the increment that it has to find and the innovation that it is given; the background itself comes standardised by the
mean and standard deviation of the training block. A method that answers zero returns the background.

:class:`StateSpace` knows channels, grid and units. :class:`Columns` is what was observed: whole columns at grid points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.data.observe import Interpolation, checked, fields_of
from physlab.data.screening import background_check, variables
from physlab.data.stations.account import Account
from physlab.errors import FieldError, PhysLabError
from physlab.fields import to_tensor
from physlab.grid import Grid
from physlab.nn.share import whole

LEVELS = (200, 300, 400, 500, 700, 850, 925)  # hPa
UPPER = ("u", "v", "t", "q", "z")
SURFACE = ("t_low", "u_low", "v_low", "sp", "tcw")  # the lowest layer stands for 2 and 10 m


@dataclass(frozen=True, eq=False)
class StateSpace:
    """Channels, grid and units of states.

    Attributes
    ----------
    channels : (variable, level in hPa or NaN) of each of the C channels.
    latitude, longitude : (H,), (W,) degrees.
    mean, std : (C, 1, 1) of the truth over the training block, SI units.
    error : (C, 1, 1) root mean square of background errors over the training block, SI units.
    """

    channels: tuple[tuple[str, float], ...]
    latitude: np.ndarray
    longitude: np.ndarray
    mean: Tensor
    std: Tensor
    error: Tensor

    @classmethod
    def of(cls, truth: xr.Dataset, background: xr.Dataset, variables: Sequence[str] = UPPER + SURFACE) -> StateSpace:
        """Of pairs (time, [level,] latitude, longitude) of a training block; all moments weigh points by area."""
        grid = Grid.from_dataset(truth)
        x, b = (to_tensor(ds, variables).double() for ds in (truth, background))
        area = torch.from_numpy(grid.cell_area / grid.cell_area.mean())
        mean = (x * area).mean((0, 2, 3))[:, None, None]
        std, error = (((d.square() * area).mean((0, 2, 3)))[:, None, None].sqrt() for d in (x - mean, x - b))
        return cls(tuple(fields_of(truth[list(variables)])), grid.latitude, grid.longitude,
                   mean.float(), std.float(), error.float())  # fmt: skip

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name, _ in self.channels))

    @property
    def names(self) -> tuple[str, ...]:
        """ "z500", "t_low", ... of the channels."""
        return tuple(name if np.isnan(level) else f"{name}{level:g}" for name, level in self.channels)

    @property
    def levels(self) -> tuple[float, ...]:
        return tuple(dict.fromkeys(level for _, level in self.channels if not np.isnan(level)))

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.channels), len(self.latitude), len(self.longitude)

    @property
    def grid(self) -> Grid:
        return Grid(self.latitude, self.longitude)

    @property
    def closed(self) -> bool:
        """Whether the columns go around the globe."""
        return self.grid.periodic

    def cut(self, ds: xr.Dataset) -> tuple[xr.Dataset, np.ndarray, np.ndarray]:
        """The part of a state that lies on this grid, in its count of longitudes, and its rows and columns there; the
        state itself where it has no such part, or is that part."""
        grid = Grid.from_dataset(ds)
        apart = np.abs((grid.longitude - self.longitude[:, None] + 180.0) % 360.0 - 180.0)
        rows, columns = np.abs(grid.latitude - self.latitude[:, None]).argmin(1), apart.argmin(1)
        away = max(np.abs(grid.latitude[rows] - self.latitude).max(), apart.min(1).max())
        as_it_is = grid.shape == self.shape[1:] and np.abs(grid.longitude - self.longitude).max() < 1e-2
        if as_it_is or away > 1e-2 or min(grid.shape) < 2:
            return ds, rows, columns
        part = ds.isel(latitude=rows, longitude=columns)
        return part.assign_coords(longitude=("longitude", self.longitude, ds["longitude"].attrs)), rows, columns

    @property
    def area(self) -> Tensor:
        """(H, 1) cell areas with mean 1."""
        area = self.grid.cell_area[:, :1]
        return torch.from_numpy(area / area.mean()).float()

    def part(self, variable: str) -> slice:
        """The channels of a variable."""
        at = [k for k, (name, _) in enumerate(self.channels) if name == variable]
        if not at:
            raise PhysLabError(f"no variable {variable!r}: the states have {', '.join(self.variables)}")
        return slice(at[0], at[-1] + 1)

    def index(self, name: str) -> int:
        """Channel of a name such as "z500"."""
        if name not in self.names:
            raise PhysLabError(f"no field {name!r}: the states have {', '.join(self.names)}")
        return self.names.index(name)

    def standardise(self, x: Tensor) -> Tensor:
        """States (..., C, H, W) in SI units -> in standard deviations from the mean."""
        return (x - self.mean.to(x)) / self.std.to(x)

    def mirrored(self, background: Tensor, increment: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised background and increment (..., C, H, W), north and south exchanged: the wind to the north turns.

        On a planet without seasons that is another state, but for land and mountains.

        Raises
        ------
        PhysLabError : latitudes that are not the same on both sides of the equator.
        """
        if np.abs(self.latitude + self.latitude[::-1]).max() > 1e-2:
            raise PhysLabError(
                f"latitudes from {self.latitude[0]:.2f} to {self.latitude[-1]:.2f} have no mirror image: pass a globe"
            )
        sign = torch.tensor([-1.0 if name in ("v", "v_low") else 1.0 for name, _ in self.channels])[:, None, None]
        sign, shift = sign.to(background), (self.mean / self.std).to(background)
        return sign * (background.flip(-2) + shift) - shift, sign * increment.flip(-2)

    # --- the door to Datasets -----------------------------------------------------------------------------------------
    def tensor(self, ds: xr.Dataset) -> Tensor:
        """(time, C, H, W) in SI units.

        Raises
        ------
        FieldError : a variable, level or grid point that is missing or another, members, or missing values.
        """
        missing = [v for v in self.variables if v not in ds]
        if missing:
            raise FieldError(f"the state has no {', '.join(missing)}: this method takes {', '.join(self.variables)}")
        if "member" in ds.dims:
            raise FieldError("the background has members: this method takes one state, pass .mean('member')")
        if "level" in ds.dims:
            absent = [p for p in self.levels if p not in ds["level"].values]
            if absent:
                raise FieldError(
                    f"the state has no level {', '.join(f'{p:g}' for p in absent)} hPa: this method takes "
                    f"{', '.join(f'{p:g}' for p in self.levels)}"
                )
            ds = ds.sel(level=list(self.levels))
        for name in self.variables:
            own, came = self.names[self.part(name)], ds[name].sizes.get("level", 1)
            if came != len(own):
                raise FieldError(f"{name} comes on {came} level(s): this method takes {', '.join(own)}")
        grid = Grid.from_dataset(ds)
        pairs = ((self.latitude, grid.latitude), (self.longitude, grid.longitude))
        if any(len(a) != len(b) or np.abs(a - b).max() > 1e-2 for a, b in pairs):
            raise FieldError(
                f"the state has {grid.shape[0]} x {grid.shape[1]} points from {grid.latitude[0]:.2f} N, "
                f"{grid.longitude[0]:.2f} E: this method was trained on {len(self.latitude)} x {len(self.longitude)} "
                f"from {self.latitude[0]:.2f} N, {self.longitude[0]:.2f} E"
            )
        return to_tensor(ds, self.variables)

    # --- cards --------------------------------------------------------------------------------------------------------
    def card(self) -> dict:
        """As JSON; :meth:`from_card` is the inverse."""
        return {
            "channels": [[name, None if np.isnan(level) else level] for name, level in self.channels],
            "latitude": self.latitude.tolist(), "longitude": self.longitude.tolist(),
            **{k: [float(f"{x:.7g}") for x in getattr(self, k).flatten()] for k in ("mean", "std", "error")},
        }  # fmt: skip

    @classmethod
    def from_card(cls, card: Mapping) -> StateSpace:
        channels = tuple((str(n), np.nan if p is None else float(p)) for n, p in card["channels"])
        parts = [torch.tensor(card[k], dtype=torch.float32)[:, None, None] for k in ("mean", "std", "error")]
        return cls(channels, np.array(card["latitude"]), np.array(card["longitude"]), *parts)


@dataclass(frozen=True, eq=False)
class Columns:
    """Observed columns at grid points, in units of the background error.

    Attributes
    ----------
    innovation : (B, C, H, W) d, zero where nothing was observed.
    mask : (B, 1, H, W) one where a column was observed.
    noise : (B,) standard deviation of the observation errors over that of the background errors; 0 is exact.
    """

    innovation: Tensor
    mask: Tensor
    noise: Tensor

    @property
    def trust(self) -> Tensor:
        """(B, 1, H, W) mask / (1 + noise^2): the weight that an observation deserves at its own place."""
        return self.mask / (1 + self.noise.square()).reshape(-1, 1, 1, 1).to(self.mask)

    def planes(self) -> Tensor:
        """(B, C + 2, H, W) what a network gets: innovations, mask, trust."""
        return torch.cat([self.innovation, self.mask, self.trust], dim=1)

    def __getitem__(self, at) -> Columns:
        return Columns(self.innovation[at], self.mask[at], self.noise[at])


def observe_columns(
    increment: Tensor, share: float | Tensor, noise: float | Tensor, area: Tensor, generator: torch.Generator
) -> Columns:
    """Random columns of increments (B, C, H, W), drawn by area without replacement, another set for each sample.

    Parameters
    ----------
    share : of the grid points, one number or (B,).  noise : see :class:`Columns`, one number or (B,).
    area : (H, 1) cell areas.
    """
    B, _, H, W = increment.shape
    count = (torch.as_tensor(share, dtype=torch.float32).expand(B) * H * W).round().long().clamp(min=1)
    weights = area.expand(H, W).flatten().float().cpu()
    # the largest of weight-scaled exponential races (Efraimidis and Spirakis 2006) are a draw without replacement
    rows, mine = whole(B, generator)
    race = torch.rand(rows, H * W, generator=generator)[mine].clamp(min=1e-30).log() / weights
    rank = race.argsort(1, descending=True).argsort(1)
    mask = (rank < count[:, None]).reshape(B, 1, H, W).to(increment)
    noise = torch.as_tensor(noise, dtype=torch.float32).expand(B).to(increment)
    error = torch.randn((rows, *increment.shape[1:]), generator=generator)[mine].to(increment)
    error = error * noise.reshape(-1, 1, 1, 1)
    return Columns((increment + error) * mask, mask, noise)


TAILS = 3.0
"""Errors of a background are not Gaussian: in a storm they are a multiple of their root mean square over the globe (the
largest of a state of 64 x 128 was 12). The background check takes so many as the standard deviation at a place."""


def columns_from(
    observations: xr.Dataset,
    background: xr.Dataset,
    space: StateSpace,
    sigmas: float = 0.0,
    account: Account | None = None,
    given: xr.Dataset | None = None,
) -> tuple[Columns, dict]:
    """A table of observations (see :mod:`physlab.data.observe`) as :class:`Columns` of one state.

    The innovation is taken at the station and belongs to the grid point next to it; several at one point are averaged.
    A column of which one value fails the background check, or was left out before, is left out as a whole.

    Parameters
    ----------
    sigmas : limit of the background check, 0 for none.  account : gets what it rejects.
    given : the table before anything was left out of it; None for the same.

    Returns
    -------
    columns (B = 1), and the counts `used`, `missing`, `merged` of the table.

    Raises
    ------
    FieldError : stations outside the grid, or columns that are not whole: learned methods know whole columns only.
    PhysLabError : observation errors that are not above 0.
    """
    found = checked(observations, background)
    counts = {k: found.attrs[k] for k in ("missing", "merged")}
    account = account or Account()
    C, H, W = space.shape
    innovation, count = torch.zeros(C, H * W), torch.zeros(C, H * W)
    ratio = 0.0
    if found.sizes["observation"]:
        see = Interpolation(found, background)
        x = to_tensor(background, dtype=torch.float64)[0].flatten()
        channel = torch.tensor([_channel(space, str(v), float(p)) for v, p in
                                zip(found["variable"].values, found["level"].values, strict=True)])  # fmt: skip
        error = space.error.flatten().double()[channel]
        seen = see(x)
        keep = background_check(found, seen.numpy(), TAILS * error.numpy(), sigmas, account, variables(background))
        whole = keep & ~_spoilt(found, keep, observations if given is None else given)
        if not whole.all():
            account.leave("of columns of which a value was left out", [""] * int((keep & ~whole).sum()))
            found, seen, channel, error = found.isel(observation=whole), seen[whole], channel[whole], error[whole]
        d = (torch.tensor(found["value"].values) - seen) / error
        rows = np.abs(found["latitude"].values[:, None] - space.latitude).argmin(1)
        apart = np.abs((found["longitude"].values[:, None] - space.longitude + 180.0) % 360.0 - 180.0)
        at = torch.from_numpy(rows * W + apart.argmin(1))
        innovation.index_put_((channel, at), d.float(), accumulate=True)
        count.index_put_((channel, at), torch.ones(len(at)), accumulate=True)
        ratio = 0.0 if not len(d) else float((torch.tensor(found["error"].values) / error).square().mean().sqrt())
    seen = count > 0
    partial = seen.any(0) & ~seen.all(0)
    if bool(partial.any()):
        lacking = [space.names[k] for k in torch.nonzero(~seen[:, int(partial.nonzero()[0, 0])]).flatten()]
        raise FieldError(
            f"{int(partial.sum())} columns are not whole (the first lacks {', '.join(lacking[:6])}"
            f"{' ...' if len(lacking) > 6 else ''}): learned methods take all {C} fields of a column; letkf and oi "
            "take any"
        )
    columns = Columns(
        (innovation / count.clamp(min=1)).reshape(1, C, H, W), seen.any(0).reshape(1, 1, H, W).float(),
        torch.tensor([ratio]),
    )  # fmt: skip
    return columns, {"used": found.sizes["observation"], **counts}


def _spoilt(found: xr.Dataset, keep: np.ndarray, given: xr.Dataset) -> np.ndarray:
    """Which of m observations stand at a place where fewer fields are kept than were given with a value, (m,)."""

    def places(table: xr.Dataset) -> list[tuple[float, float]]:
        at = (table[k].values.astype(float).round(5).tolist() for k in ("latitude", "longitude"))
        return list(zip(*at, strict=True))

    def fields(table: xr.Dataset, rows: np.ndarray) -> Counter:
        level = np.nan_to_num(table["level"].values.astype(float), nan=-1.0)  # no NaN equals another
        known = zip(places(table), table["variable"].values.tolist(), level.tolist(), rows, strict=True)
        return Counter(place for place, _, _ in {one[:3] for one in known if one[3]})

    kept, all_of = fields(found, keep), fields(given, np.isfinite(given["value"].values.astype(float)))
    return np.array([kept[place] < all_of[place] for place in places(found)], dtype=bool)


def _channel(space: StateSpace, name: str, level: float) -> int:
    for k, (v, p) in enumerate(space.channels):
        if v == name and (p == level or np.isnan(p)):
            return k
    raise FieldError(f"observations of {name} at {level:g} hPa: this method takes {', '.join(space.names)}")
