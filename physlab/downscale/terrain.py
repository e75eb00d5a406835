"""Near-surface fields over terrain: a fine variable, coarse drivers and static fields, for methods that use all three.

    physlab simulate --output terrain/run-10 --seed 10 --days 80 --hourly 0 0 --no-forecasts
    physlab simulate --output terrain/run-11 --seed 11 --days 36 --hourly 0 0 --no-forecasts

>>> train = TerrainFields.of(open_run("terrain/run-10"), "t_low", ("t_low", "u_low", "v_low"), factor=4)

Any other Dataset will do: ERA5 from a cloud store of :func:`physlab.open_dataset`, or a pair of files of your own, the
coarse one not a coarsening of the fine one, with static fields of your own beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.downscale.static import static_fields
from physlab.errors import CoarseningError, FieldError
from physlab.fields import standardise, to_tensor
from physlab.grid import Grid, check_coarsening, coarsen

STATICS = ("elevation", "land", "latitude")


def ground_of(ds: xr.Dataset) -> xr.Dataset:
    """Static fields of your own, as :meth:`TerrainFields.of` takes them, from what a Dataset holds of the ground.

    Parameters
    ----------
    ds : on (latitude, longitude), `orog` (m), `land` (share of land), or both; a time that they have is left out.

    Returns
    -------
    Dataset of elevation (km) and land, as far as they are there.

    Raises
    ------
    FieldError : neither is there.
    """
    ds = standardise(ds)
    found = {new: factor * ds[old] for old, new, factor in (("orog", "elevation", 1e-3), ("land", "land", 1.0))
             if old in ds}  # fmt: skip
    if not found:
        raise FieldError(f"no orog (m) and no land among {', '.join(map(str, ds.data_vars))}: rename yours")
    found = {name: da.isel(time=0, drop=True) if "time" in da.dims else da for name, da in found.items()}
    return xr.Dataset(found).drop_vars(["time", "level"], errors="ignore")


@dataclass(frozen=True, eq=False)
class TerrainFields:
    """Fields in memory, SI units.

    Attributes
    ----------
    drivers : names of the coarse fields; the first one is refined.
    statics : names of the static fields.
    grid : fine grid.  factor : N.
    fine : (T, F, H, W) true fields: the refined one, and the other drivers where the truth has them (F = 1 or D).
    coarse : (T, D, h, w).
    static : (S, H, W).
    consistent : whether the coarse fields are block means of the fine ones (asserted, not assumed).
    own : whether the static fields are the user's own, not those of :mod:`physlab.downscale.static`.
    time : (T,).
    """

    drivers: tuple[str, ...]
    statics: tuple[str, ...]
    grid: Grid
    factor: int
    fine: Tensor
    coarse: Tensor
    static: Tensor
    consistent: bool
    own: bool
    time: np.ndarray

    @classmethod
    def of(
        cls, fine: xr.Dataset, variable: str, drivers: Sequence[str] | None = None, factor: int = 4,
        coarse: xr.Dataset | None = None, statics: Sequence[str] = STATICS, static: xr.Dataset | None = None,
    ) -> TerrainFields:  # fmt: skip
        """From Datasets (time, latitude, longitude).

        Parameters
        ----------
        fine : the truth; it needs the other drivers too only if there is no `coarse`.
        variable : what is refined.  drivers : None for the variable alone.
        factor : N. A fine grid that it does not divide is cropped at its end.
        coarse : the drivers on the coarse grid; None coarsens the truth by area-weighted block means.
        statics : names; those that `static` does not hold are of :data:`physlab.downscale.static.FIELDS`.
        static : fields of your own on the fine grid, elevation in km, see :func:`ground_of`.

        Raises
        ------
        FieldError : a variable, missing values, times or a grid that do not belong together.
        """
        drivers = (variable,) if drivers is None else tuple(drivers)
        if drivers[:1] != (variable,):
            raise FieldError(f"drivers {drivers}: the first one must be {variable}, which is refined")
        fine = standardise(fine)
        fine = fine.isel({d: slice(fine.sizes[d] // factor * factor) for d in ("latitude", "longitude")})
        grid = Grid.from_dataset(fine)
        own = drivers if coarse is None else tuple(d for d in drivers if d == variable or d in fine)
        own = own if len(own) == len(drivers) else (variable,)
        truth = to_tensor(fine, own)
        if coarse is None:
            weights = grid.row_weights
            given = coarsen(truth.double(), factor, weights).float()
        else:
            coarse = standardise(coarse)
            given = to_tensor(coarse, drivers)
            wanted = (len(truth), len(drivers), *(n // factor for n in grid.shape))
            if tuple(given.shape) != wanted:
                raise FieldError(f"coarse fields are {tuple(given.shape)} (time, driver, latitude, longitude): factor "
                                 f"{factor} and the fine fields want {wanted}")  # fmt: skip
            _check_place("coarse", Grid.from_dataset(coarse), grid.coarsen(factor))
            timed = "time" in fine.coords and "time" in coarse.coords
            if timed and (fine["time"].values != coarse["time"].values).any():
                raise FieldError("the coarse fields have other times than the fine ones: select those of both")
        mine = [] if static is None else [name for name in statics if name in static.data_vars]
        ground = static_fields([n for n in statics if n not in mine], grid.latitude, grid.longitude)
        if static is not None and mine:
            static = standardise(static).isel(latitude=slice(grid.shape[0]), longitude=slice(grid.shape[1]))
            yours = to_tensor(static, mine)[0]
            if yours.shape[-2:] != grid.shape:
                raise FieldError(f"static fields have {tuple(yours.shape[-2:])} points, the fine fields {grid.shape}")
            _check_place("static", Grid.from_dataset(static), grid)
            rest = iter(ground)
            ground = torch.stack([yours[mine.index(n)] if n in mine else next(rest) for n in statics])
        times = np.atleast_1d(fine["time"].values) if "time" in fine.coords else np.arange(len(truth))
        return cls(drivers, tuple(statics), grid, factor, truth, given, ground,
                   _consistent(truth, given, factor, grid), bool(mine), times)  # fmt: skip

    def __len__(self) -> int:
        return len(self.fine)

    def take(self, at) -> TerrainFields:
        """The same at some times: a slice, indices or a mask."""
        return replace(self, fine=self.fine[at], coarse=self.coarse[at], time=self.time[at])

    @cached_property
    def area(self) -> Tensor:
        """(H, 1) cell areas over their mean."""
        return self.grid.row_weights.float()

    @property
    def truth(self) -> Tensor:
        """(T, 1, H, W) the refined variable."""
        return self.fine[:, :1]

    @property
    def wind(self) -> tuple[Tensor, Tensor] | None:
        """True fine wind, (T, H, W) each, where the truth has it: the second and third driver."""
        return (self.fine[:, 1], self.fine[:, 2]) if self.fine.shape[1] >= 3 else None

    def true_wind(self) -> tuple[Tensor, Tensor]:
        """The same where it must be there.

        Raises
        ------
        FieldError : the truth has none.
        """
        if self.wind is None:
            raise FieldError("no true fine wind: pass it as the second and third driver")
        return self.wind

    @property
    def height(self) -> Tensor:
        """(H, W) of the ground, m; zero where no elevation is among the static fields."""
        if "elevation" in self.statics:
            return 1000.0 * self.static[self.statics.index("elevation")]
        return torch.zeros(self.grid.shape)


def _check_place(kind: str, yours: Grid, wanted: Grid) -> None:
    """Refuse fields that lie a quarter of a cell or more beside where they should, or in another order."""
    for axis, period in (("latitude", np.inf), ("longitude", 360.0)):
        theirs, mine = getattr(yours, axis), getattr(wanted, axis)
        away = np.abs(theirs - mine)
        if (np.minimum(away % period, period - away % period) > 0.25 * np.abs(np.diff(mine)).mean()).any():
            raise FieldError(
                f"the {kind} fields have {axis} {theirs[0]:g} to {theirs[-1]:g}, the fine ones want {mine[0]:g} to "
                f"{mine[-1]:g}: pass the same domain in the same order"
            )


def _consistent(fine: Tensor, coarse: Tensor, factor: int, grid: Grid) -> bool:
    weights = grid.row_weights
    try:
        check_coarsening(fine[:, 0].double(), coarse[:, 0].double(), factor, weights)
    except CoarseningError:
        return False
    return True


def hold_out(fields: TerrainFields, share: float, gap: float = 48.0) -> tuple[TerrainFields, TerrainFields]:
    """Training fields and, from the end, held-out ones, with some hours between them that neither has.

    Raises
    ------
    FieldError : nothing is left of one of them, or times that do not rise or are none.
    """
    if not np.issubdtype(fields.time.dtype, np.datetime64):
        raise FieldError("the fields have no times to hold some out: give them a coordinate time")
    hours = (fields.time - fields.time[0]) / np.timedelta64(1, "h")
    if (np.diff(hours) <= 0).any():
        raise FieldError("times do not rise: sort the fields by time")
    last = len(fields) - round(share * len(fields))
    if not 0 < last < len(fields) or not (early := hours <= hours[min(last, len(hours) - 1)] - gap).any():
        raise FieldError(
            f"{len(fields)} times over {hours[-1]:g} hours, a share of {share:g} held out and a gap of {gap:g} hours: "
            "nothing is left of one of the two; pass more times, or another share or gap"
        )
    return fields.take(np.flatnonzero(early)), fields.take(slice(last, None))


def unrounded(t: np.ndarray, latitude: np.ndarray, truncation: int = 85, margin: int = 6) -> np.ndarray:
    """Temperature (..., H, W) without what rounding to a file added at zonal wavenumbers that the model has not.

    A field truncated at total wavenumber L has, at latitude phi, nothing beyond L cos(phi) waves around a circle, but
    for a margin. Rounding has all of them, and near the poles, where points are close, a Laplacian sees little else: a
    diffusivity fitted to fields rounded to 0.05 K comes out five times too small.

    Parameters
    ----------
    latitude : (H,) degrees, of whole circles.
    truncation : L of the model that made the field;  margin : waves beyond L cos(phi) that are kept.
    """
    modes = np.fft.rfft(t, axis=-1)
    last = truncation * np.cos(np.deg2rad(latitude)) + margin
    return np.fft.irfft(np.where(np.arange(modes.shape[-1]) <= last[:, None], modes, 0), t.shape[-1], axis=-1)
