r"""What every learned method is: a network that turns a background and observed columns into increments.

A method implements :meth:`Learned.increments` (what it does) and :meth:`Learned.loss` (how it learns), both in the
units of :mod:`~physlab.assimilate.statespace`; reading, checking, writing and members are here, once.

>>> method = physlab.load_model("phyda-s0")
>>> analysis = method.analyse(background, observations, members=8)       # Datasets; adds the dimension member
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.assimilate.checking import Checked
from physlab.assimilate.fields import Cancel, Progress, channels_to_dataset, provenance
from physlab.assimilate.statespace import Columns, StateSpace, columns_from
from physlab.data.screening import screen, time_of
from physlab.errors import FieldError, PhysLabError
from physlab.nn.stored import Stored
from physlab.nn.unet import wrap_columns
from physlab.registry import Spec


class Learned(Checked, Stored):
    """Base of the learned methods.

    Parameters
    ----------
    space : channels, grid and units.
    arguments : the others of the subclass's constructor, as JSON can hold them; they go onto the card.

    Attributes
    ----------
    ensemble : whether members differ; a method without an ensemble gives one analysis.
    centred : whether two or more members lie about a mean that the method knows, see :func:`about`.
    """

    title = "assimilation method"
    registry = "methods"
    ensemble = centred = False
    place: Tensor
    area: Tensor

    def __init__(self, space: StateSpace, **arguments) -> None:
        super().__init__()
        self.space, self.arguments = space, arguments
        rows = torch.from_numpy(np.deg2rad(space.latitude)).float()
        place = torch.stack([rows.sin(), rows.cos()])[None, :, :, None].expand(1, 2, *space.shape[1:])
        self.register_buffer("place", place.contiguous(), persistent=False)
        self.register_buffer("area", space.area, persistent=False)

    @property
    def spec(self) -> Spec:
        """What the method takes and gives."""
        entry: Spec = getattr(type(self), "entry", None) or Spec(type(self).__name__, type(self).__name__)
        names = dict.fromkeys(self.space.variables, "")
        rows, columns = self.space.shape[1:]
        return replace(entry, kind="assimilation", inputs=names, ensemble=self.ensemble,
                       grid=f"{rows} x {columns} points of the globe on {len(self.space.levels)} levels")  # fmt: skip

    def known(self, background: Tensor) -> Tensor:
        """(B, C + 2, H, W): the standardised background, sine and cosine of latitude."""
        return torch.cat([background, self.place.expand(len(background), -1, -1, -1)], dim=1)

    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> Tensor:  # fmt: skip
        """(B, members, C, H, W) increments in units of the background error.

        Parameters
        ----------
        background : (B, C, H, W) standardised.
        columns : what was observed.
        members : of the ensemble; methods without one are asked for 1.
        generator : of the members, on the CPU.
        progress, cancel : called between steps, see :data:`Progress` and :data:`Cancel`.
        """
        raise NotImplementedError(f"{type(self).__name__} is a base: use a method of physlab.assimilate")

    def centre(self, background: Tensor, columns: Columns, cancel: Cancel | None = None) -> Tensor | None:
        """(B, C, H, W) the increments that two or more members lie about, where they cost less than members; or None.

        A method without members has them at once.
        """
        return None if self.ensemble else self.increments(background, columns, 1, None, None, cancel)[:, 0]

    def check_members(self, members: int) -> None:
        """Refuse numbers that the method does not have."""
        if members < 1 or (members > 1 and not self.ensemble):
            allowed = "pass at least 1" if self.ensemble else "it gives one analysis, pass 1"
            raise PhysLabError(f"{members} members of {type(self).__name__}: {allowed}")

    def loss(self, background: Tensor, increment: Tensor, columns: Columns, generator: torch.Generator) -> Tensor:
        """Scalar to minimise, for true increments (B, C, H, W) of backgrounds of which columns were observed."""
        raise NotImplementedError(f"{type(self).__name__} has no loss: it is not trained by itself")

    def finish(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """What is measured once the weights are final, over (background, increment) of the training block."""

    @torch.no_grad()
    def analyse(
        self, background: xr.Dataset, observations: xr.Dataset, *, members: int | None = None, seed: int = 0,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> xr.Dataset:  # fmt: skip
        """The background, corrected.

        Parameters
        ----------
        background : one time, ([level,] latitude, longitude), on the grid and levels that the method was trained on.
        observations : whole columns, a table as from :mod:`physlab.data.observe`. Missing values are left out, doubles
            merged; they have to keep the rules of `checks`. Without any the method still corrects what it knows of the
            errors of such backgrounds.
        members : None for 8 where the method has an ensemble; with 2 or more the result has the dimension `member`.
        seed : of the members.
        progress, cancel : see :meth:`increments`.

        Returns
        -------
        Dataset like the background; humidity and column water are cut off at zero.

        Raises
        ------
        FieldError : several times, members, another grid, columns that are not whole, observations of which none
            belongs to the background.
        PhysLabError : an observation error that is not above 0, members that the method does not have, an analysis that
            is not finite.
        """
        members = (8 if self.ensemble else 1) if members is None else members
        self.check_members(members)
        if background.sizes.get("time", 1) != 1:
            raise FieldError(f"background has {background.sizes['time']} times: select one, e.g. with .isel(time=0)")
        whole = background.squeeze("time", drop=True) if "time" in background.dims else background
        state, rows, columns_of = self.space.cut(whole)
        x = self.space.tensor(state)
        keep = state[list(self.space.variables)]
        keep = keep.sel(level=list(self.space.levels)) if "level" in keep.dims else keep
        time = time_of(background)
        found, account = screen(observations, keep, time, self.checks)
        columns, used = columns_from(found, keep, self.space, self.checks.sigmas, account, observations)
        used |= {k: used[k] + found.attrs[k] for k in ("missing", "merged")}
        generator = torch.Generator().manual_seed(seed)
        device = self.place.device
        columns = Columns(*(t.to(device) for t in (columns.innovation, columns.mask, columns.noise)))
        made = self.increments(self.space.standardise(x).to(device), columns, members, generator, progress, cancel)[0]
        made = self.bounded(x + made.cpu() * self.space.error)
        if not bool(torch.isfinite(made).all()):
            raise PhysLabError(f"the analysis of {type(self).__name__} is not finite: leave out what is far too large")
        out = channels_to_dataset(made if members > 1 else made[0], keep)
        if state is not whole:
            out = put_back(out, whole, rows, columns_of)
        left = ", ".join(f"{used[k]} {k}" for k in ("missing", "merged"))
        note = f"{type(self).__name__}, {used['used']} observations ({left})"
        out = out.expand_dims("time").assign_coords(time=background["time"]) if "time" in background.dims else out
        settings = {"members": members, "seed": seed, "centred": int(self.centred)}
        return out.assign_attrs(provenance(note, used["used"], account, time, self.checks, settings, background.attrs))

    def bounded(self, x: Tensor) -> Tensor:
        """States (..., C, H, W) in SI units with humidity and column water not below zero."""
        x = x.clone()
        for name in ("q", "tcw"):
            if name in self.space.variables:
                x[..., self.space.part(name), :, :].clamp_(min=0.0)
        return x

    # --- files, see Stored --------------------------------------------------------------------------------------------
    def describe(self) -> dict:
        return {"arguments": self.arguments, "space": self.space.card()}

    @classmethod
    def build(cls, card: Mapping, tensors: Mapping[str, Tensor]) -> Learned:
        return on_grid(cls(StateSpace.from_card(card["space"]), **card["arguments"]))


def on_grid(method: Learned) -> Learned:
    """The method with columns that wrap around on whole circles of latitude, and end at the edges of a region."""
    wrap_columns(method, method.space.closed)
    return method


def put_back(part: xr.Dataset, whole: xr.Dataset, rows: np.ndarray, columns: np.ndarray) -> xr.Dataset:
    """The state with an analysed part of its grid; what lies outside stays as it was, in each member."""
    made = {}
    for name, da in part.data_vars.items():
        own = whole[name].sel(level=part["level"]) if "level" in da.dims else whole[name]
        lead = [d for d in da.dims if d not in ("latitude", "longitude")]
        if "member" in da.dims:
            own = own.expand_dims(member=da.sizes["member"])
        own = own.transpose(*lead, "latitude", "longitude")
        values = np.array(own.values, dtype=da.dtype)
        values[..., rows[:, None], columns] = da.transpose(*lead, "latitude", "longitude").values
        made[name] = xr.DataArray(values, dims=own.dims, attrs=da.attrs).transpose(*da.dims)
    coords = {k: c for k, c in whole.coords.items() if k != "level"}
    return xr.Dataset(made, {**coords, **({"level": part["level"]} if "level" in part.coords else {})})


def about(draws: Tensor, centre: Tensor) -> Tensor:
    """Draws (B, M, ...) moved so that their mean is the centre (B, 1, ...), with the variance that they had.

    For a method that knows the mean of what it draws: the mean of a few draws would miss it by their sampling error.
    """
    members = draws.shape[1]
    return centre + (draws - draws.mean(1, keepdim=True)) * (members / (members - 1)) ** 0.5
