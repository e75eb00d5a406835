r"""A downscaling method that listens to stations, see :mod:`physlab.downscale.listening`.

The method makes its field as ever; what stations say beyond it is added by the best linear step
(:func:`~physlab.downscale.listening.update.update`), or, where the method is a sampler, asked for while it draws, by
the guided denoiser of :mod:`physlab.diffusion` (`how="guide"`). Where the field has the block means of the coarse one
before, it has them afterwards; where nothing has another sign than its coarse cell before, nothing has afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from physlab import cf
from physlab.assimilate.checking import Checked
from physlab.data.observe import Interpolation, checked
from physlab.data.screening import background_check, screen, time_of, variables
from physlab.data.stations.account import Account
from physlab.diffusion import Observation
from physlab.downscale.base import Downscaler, GriddedDownscaler
from physlab.downscale.latent import LatentDownscaler
from physlab.downscale.listening.covariance import Blocks, Errors, Sampled, Together
from physlab.downscale.listening.measure import fitted, sized
from physlab.downscale.listening.update import update
from physlab.errors import FieldError, PhysLabError
from physlab.fields import standardise
from physlab.grid import Grid, coarsen, refine
from physlab.nn.parts import choose
from physlab.registry import Cancel, Progress, Spec, watched

HOW = ("step", "guide", "both")
RADIUS = 6.0
"""Of the localisation of members' covariances, in coarse cells."""
CLOSE = 1e-5
"""Block means that agree with the coarse field to this share of its spread count as kept."""


class Listening(Checked, GriddedDownscaler):
    """A method and what stations add to it.

    Parameters
    ----------
    method : any Downscaler; an ensemble gets its members corrected, each with perturbed observations.
    errors : covariance of the method's errors on the fine grid, or one for each variable, as from
        :func:`~physlab.downscale.listening.measure.measured`; None: a stationary one that is fitted to what the
        stations say beyond the method; "members": that of the members of each time, which wants many and good ones
        (eight of the shipped latent diffusion, whose spread is half of their error, made the field worse).
    how : "step"; "guide", for :class:`~physlab.downscale.latent.LatentDownscaler`: each member is drawn given the
        observations; or "both": first the guide, then a step on what it has left.
    conserve : whether block means are kept; None: where the method keeps them. False for a coarse field that is no
        block mean of the truth, such as that of a coarser model: stations may then move it.

    Attributes
    ----------
    observations : those that :meth:`downscale` takes where it is not given others.
    """

    def __init__(
        self, method: Downscaler, errors: Errors | Mapping[str, Errors] | Literal["members"] | None = None,
        how: str = "step",
        conserve: bool | None = None,
    ) -> None:  # fmt: skip
        if choose("how", how, HOW) != "step" and not isinstance(method, LatentDownscaler):
            raise PhysLabError(f"how={how!r}: {method.name} is no sampler that can be guided, use how='step'")
        self.method, self.errors, self.how, self.conserve = method, errors, how, conserve
        self.observations: xr.Dataset | None = None
        self.factor, self.name = method.factor, f"{method.name} with stations"
        self.variable, self.domain = getattr(method, "variable", None), getattr(method, "domain", None)

    @property
    def spec(self) -> Spec:
        return replace(self.method.spec, name=self.name)

    def downscale(
        self, coarse: xr.DataArray | xr.Dataset, *, observations: xr.Dataset | None = None,
        statics: xr.Dataset | None = None, members: int | None = None, seed: int = 0,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> xr.Dataset:  # fmt: skip
        """Fine fields that agree with the stations as far as both can be believed.

        Parameters
        ----------
        coarse, statics, members, seed : as the method takes them.
        observations : a table as from :func:`physlab.data.read_stations`, of one time or many; each field takes those
            of its time by the rules of `checks` (:meth:`with_checks`), temperatures brought to the height of the fine
            surface where `orography` is among them. None: the method alone.
        progress, cancel : told and asked between times.

        Returns
        -------
        Dataset as the method gives it; without members also `NAME_error`, the standard deviation of what is still
        wrong. Its attributes say how many observations were used, and which were left out and why. A time without
        observations is as the method made it, its error that of the method.

        Raises
        ------
        FieldError : no observation belongs to any of the fields, or dims that the step does not know.
        PhysLabError : see the method.
        """
        told: dict[str, Any] = {"statics": statics, "members": members, "seed": seed, "cancel": cancel}
        observations = self.observations if observations is None else observations
        if observations is None:
            return self.method.downscale(coarse, progress=progress, **told)
        if cf.is_projected(coarse):
            raise FieldError("stations are compared on latitude-longitude grids: this field lies on a projected one")
        fine = self.method.downscale(coarse, **told).load()
        given = coarse.to_dataset(name=coarse.name or fine_name(fine)) if isinstance(coarse, xr.DataArray) else coarse
        given = standardise(given)
        names = [str(n) for n, da in fine.data_vars.items() if {"latitude", "longitude"} <= set(da.dims)]
        for name in names:
            odd = set(fine[name].dims) - {"member", "time", "latitude", "longitude"}
            if odd:
                raise FieldError(f"'{name}' has {', '.join(map(str, odd))}: select one before stations are compared")
        account = Account(str(observations.attrs.get("source", "observations")))
        seen = self._screened(fine[names], observations, account)
        if not any(found is not None for found in seen):
            raise FieldError(f"{account.name}: no observation belongs to the fields; {account.text()}")
        draw = torch.Generator().manual_seed(seed)
        grid = Grid.from_dataset(fine)
        blocks = Blocks(grid, self.factor)
        made, used = fine.copy(), 0
        for name in names:
            da = fine[name].transpose(*(d for d in ("time", "member") if d in fine[name].dims), "latitude", "longitude")
            x = torch.from_numpy(np.asarray(da.values, dtype=np.float64))
            x = x if "time" in da.dims else x[None]
            tables = [only(found, name) for found in seen]
            if not any(table is not None for table in tables):
                continue
            low = given[name].transpose(..., "latitude", "longitude").values.astype(np.float64)
            block = torch.from_numpy(low.reshape(len(x), *low.shape[-2:]))
            if (grid.latitude[0] < grid.latitude[-1]) != (given["latitude"].values[0] < given["latitude"].values[-1]):
                block = block.flip(-2)
            keeps = kept(x, block, grid, self.factor) if self.conserve is None else self.conserve
            B = self._errors(name, x, tables, fine[name], blocks, keeps, grid)
            spread = torch.zeros(x.shape[0], *grid.shape, dtype=torch.float64)
            for t in watched(range(len(tables)), progress, cancel, f"{self.name} was cancelled", "times"):
                table = tables[t]
                one = members_covariance(x[t], blocks) if B is None else B
                spread[t] = one.variance().sqrt().reshape(grid.shape)
                if table is not None:
                    new, left, count = self._one(
                        name, x[t], table, fine[[name]], one, account, draw, coarse, told, t, with_step=B is not None
                    )
                    x[t] = same_sign(new, x[t], block[t], grid, self.factor, keeps)
                    spread[t] = left
                    used += count
            values = x if "time" in da.dims else x[0]
            made[name] = da.copy(data=values.numpy().astype(da.dtype)).transpose(*fine[name].dims)
            if "member" not in da.dims:
                error = da.copy(data=(spread if "time" in da.dims else spread[0]).numpy().astype(da.dtype))
                attrs = {"long_name": f"standard deviation of the error of {name}", "units": da.attrs.get("units", "")}
                made[f"{name}_error"] = error.assign_attrs(attrs).transpose(*fine[name].dims)
        note = f"{used} observations of {account.name} used, {account.left} left out or rejected"
        history = [str(fine.attrs.get("history") or ""), f"{note}; {account.text()}"]
        said = {"observations_used": used, "observations_left_out": account.left, "observations": account.name,
                "observations_account": account.text() or "all were used",
                "history": "\n".join(line for line in history if line)}  # fmt: skip
        return made.assign_attrs(said)

    # --- observations -------------------------------------------------------------------------------------------------
    def _screened(self, fine: xr.Dataset, observations: xr.Dataset, account: Account) -> list[xr.Dataset | None]:
        """For each time what belongs to it; None for nothing."""
        centre = fine.mean("member") if "member" in fine.dims else fine
        count = fine.sizes.get("time", 1)
        owner = nearest_time(fine, observations, self.checks.window)
        taken = np.zeros(observations.sizes["observation"], dtype=bool)
        found: list[xr.Dataset | None] = []
        for t in range(count):
            state = centre.isel(time=[t]) if "time" in fine.dims else centre
            now, near = time_of(state), (owner == t) | (owner < 0)
            state = state.squeeze("time", drop=True) if "time" in state.dims else state
            taken |= near
            if not near.any():
                found.append(None)
                continue
            some, own = screen(observations.isel(observation=np.flatnonzero(near)), state, now, self.checks)
            merge(account, own)
            found.append(checked(some, state) if some.sizes["observation"] else None)
        account.leave(f"further than {self.checks.window:g} h from all fields", [""] * int((~taken).sum()))
        return found

    # --- covariances --------------------------------------------------------------------------------------------------
    def _errors(
        self, name: str, x: Tensor, tables: list, fine: xr.DataArray, blocks: Blocks, keeps: bool, grid: Grid
    ) -> Errors | None:
        """Of a variable; None: that of the members of each time."""
        if self.errors == "members":
            if fine.sizes.get("member", 1) < 2:
                raise PhysLabError(f"{self.name} has no members: measure the errors of the method, or leave them out")
            return None
        errors = self.errors.get(name) if isinstance(self.errors, Mapping) else self.errors
        if errors is not None:
            if errors.n != grid.shape[0] * grid.shape[1]:
                raise PhysLabError(
                    f"the covariance is for {errors.n} points, the fine grid has {grid.shape[0]} x {grid.shape[1]}: "
                    "measure the errors on this grid"
                )
            return sized(errors, x.mean(1) if "member" in fine.dims else x, tables, fine.to_dataset(name=name))
        mean = x.mean(1) if "member" in fine.dims else x
        return fitted(mean, tables, fine.to_dataset(name=name), blocks, keeps)

    # --- one time -----------------------------------------------------------------------------------------------------
    def _one(
        self, name: str, x: Tensor, table: xr.Dataset, fine: xr.Dataset, B: Errors, account: Account,
        draw: torch.Generator, coarse, told: Mapping, t: int, with_step: bool,
    ) -> tuple[Tensor, Tensor, int]:  # fmt: skip
        """Corrected fields of a time, the standard deviation of their error, and how many observations were used."""
        state = fine.isel({d: 0 for d in ("time", "member") if d in fine.dims}, drop=True)
        shape, flat = state[name].transpose("latitude", "longitude").shape, x.flatten(-2)
        see = Interpolation(table, state)
        mean = see(flat.mean(0) if flat.ndim == 2 else flat).numpy()
        spread = see(B.columns(see).T).diagonal().clamp(min=0).sqrt().numpy()
        limits = variables(state)
        keep = background_check(table, mean, spread, self.checks.sigmas, account, limits)
        table = table.isel(observation=np.flatnonzero(keep))
        see = Interpolation(table, state)
        y, error = (torch.tensor(table[k].values, dtype=torch.float64) for k in ("value", "error"))
        if self.how != "step":
            flat = self._guided(table, name, state, coarse, told, t, len(flat)).flatten(-2)
            if self.how == "guide" or not with_step:
                return flat.unflatten(-1, shape), flat.std(0).reshape(shape), len(y)
        moved, left = update(flat, y, error, see, B, draw)
        return moved.unflatten(-1, shape), left.reshape(shape), len(y)

    def _guided(self, table, name: str, state: xr.Dataset, coarse, told: Mapping, t: int, members: int) -> Tensor:
        """(M, H, W) members of a time, drawn given the observations."""
        assert isinstance(self.method, LatentDownscaler)
        guided = copy.copy(self.method)

        def observe(finished, grid: Grid) -> Observation:
            like = xr.Dataset({name: (("latitude", "longitude"), np.zeros(grid.shape))},
                              {"latitude": grid.latitude, "longitude": grid.longitude})  # fmt: skip
            see = Interpolation(table, like)
            y, R = (torch.tensor(table[k].values, dtype=torch.float32) for k in ("value", "error"))
            middle = float(y.mean())  # kelvin to a thousandth in single precision

            def show(z: Tensor) -> Tensor:
                return see((finished(z)[:, 0] - middle).flatten(-2))

            return Observation(y - middle, show, R.square())

        guided.observe = observe
        one = coarse.isel(time=[t]) if "time" in coarse.dims else coarse
        made = guided.downscale(one, **{**told, "members": members, "seed": told["seed"] + 7919 * t})[name]
        made = made.squeeze("time", drop=True) if "time" in made.dims else made
        return torch.from_numpy(made.transpose("member", "latitude", "longitude").values.astype(np.float64))


def nearest_time(fine: xr.Dataset, observations: xr.Dataset, window: float) -> np.ndarray:
    """(m,) number of the field that each observation is nearest to in time, the number of fields where none is within
    the window (hours), -1 where nobody knows and it counts for all."""
    count, m = fine.sizes.get("time", 1), observations.sizes["observation"]
    if "time" not in observations or observations["time"].ndim != 1 or "time" not in fine.dims:
        return np.full(m, -1)
    fields = [time_of(fine.isel(time=[t])) for t in range(count)]
    if any(time is None for time in fields):
        return np.full(m, -1)
    stamps = pd.to_datetime(observations["time"].values)
    known = np.asarray(stamps.notna())
    late = np.abs(np.asarray((stamps.to_numpy()[:, None] - np.array(fields)[None]) / np.timedelta64(1, "h")))
    nearest = np.where(known, np.where(np.isnan(late), np.inf, late).argmin(1), 0)
    inside = np.where(known, late[np.arange(m), nearest], 0) <= window + 1e-9
    return np.where(known, np.where(inside, nearest, count), -1)


def fine_name(fine: xr.Dataset) -> str:
    """The one variable of a data set."""
    return str(next(iter(fine.data_vars)))


def only(found: xr.Dataset | None, name: str) -> xr.Dataset | None:
    """Observations of one variable, None for none."""
    if found is None:
        return None
    at = np.flatnonzero(found["variable"].values == name)
    return found.isel(observation=at) if len(at) else None


def merge(account: Account, other: Account) -> None:
    """Count what was left out for one time among those of all."""
    for reason, (count, shown) in other.reasons.items():
        before, seen = account.reasons.get(reason, (0, ()))
        account.reasons[reason] = (before + count, tuple(dict.fromkeys((*seen, *shown)))[:3])
    for note in other.notes:
        account.note(note)
    account.assumed |= other.assumed


def kept(x: Tensor, coarse: Tensor, grid: Grid, factor: int) -> bool:
    """Whether fields (T, [M,] H, W) have the block means of the coarse ones (T, h, w)."""
    weights = grid.row_weights
    mean = coarsen(x, factor, weights)
    off = (mean - (coarse if mean.ndim == coarse.ndim else coarse[:, None])).abs()
    size = coarse[torch.isfinite(coarse)]
    return bool(off[torch.isfinite(off)].max() <= max(CLOSE * float(size.std()), 1e-6 * float(size.abs().max())))


def same_sign(new: Tensor, old: Tensor, coarse: Tensor, grid: Grid, factor: int, conserve: bool) -> Tensor:
    """What the layers promise: a field ([M,] H, W) that had nowhere another sign than its coarse cell keeps that.

    Cells that the increment has taken beyond zero are set to zero, and the rest of their block is multiplied by one
    number that gives back its mean.
    """
    sign = refine(torch.sign(coarse), factor)
    if not bool((sign * old >= 0).all()) or bool((sign * new >= 0).all()):
        return new
    size = (sign * new).clamp(min=0)
    if conserve:
        weights = grid.row_weights
        mean = coarsen(size, factor, weights)
        wrong = refine((coarsen((sign * new < 0).double(), factor) > 0) & (mean > 0), factor)
        size = torch.where(
            wrong, size * refine(coarse.abs() / mean.clamp(min=torch.finfo(mean.dtype).tiny), factor), size
        )
        size = torch.where(refine(mean > 0, factor), size, old.abs())
    return sign * size


def members_covariance(x: Tensor, blocks: Blocks) -> Errors:
    """Of members (M, H, W): their deviations from their mean, localised."""
    away = (x - x.mean(0)).flatten(-2)
    return Together([(1.0, Sampled(away, blocks, RADIUS * blocks.size, len(away) - 1))])
