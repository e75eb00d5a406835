r"""Forecasts on a grid: some hours of a region in, the next day out.

A :class:`Forecaster` is any network between two conversions of units: in, anomalies from the climatology of each row
of latitude; out, for each lead time the change since the last given frame, in standard deviations of such changes.
A network that says zero forecasts persistence.

>>> model = load_model("forecast-unet-equations-s0")
>>> model.forecast(ds.isel(time=slice(0, 7)))            # the last frames -> (lead, latitude, longitude)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from physlab.errors import FieldError, PhysLabError
from physlab.nn.afno import AFNO
from physlab.nn.convlstm import ConvLSTM
from physlab.nn.erunet import ResidualUNet
from physlab.nn.stored import Stored
from physlab.phydl.domain import seconds_of

HOURS = (-6, -4, -2, 0)  # of the frames that are given
LEADS = tuple(range(2, 25, 2))  # hours ahead


def make_network(kind: str, variables: int, frames: int, leads: int) -> nn.Module:
    """A network (B, frames * variables + 1, H, W) -> (B, leads * variables, H, W) that starts at zero.

    Raises
    ------
    PhysLabError : `kind` is none of convlstm, afno, unet.
    """
    inputs, outputs = frames * variables + 1, leads * variables
    if kind == "convlstm":
        return ConvLSTM(variables, outputs, frames, statics=1)
    if kind == "afno":
        return AFNO(inputs, outputs)
    if kind == "unet":
        return ResidualUNet(inputs, outputs, 24, 2, 3, True)
    raise PhysLabError(f"unknown forecast network {kind!r}: choose convlstm, afno or unet")


class Forecaster(Stored):
    """See the head of this module.

    Parameters
    ----------
    kind : network, see :func:`make_network`.
    variables : names, in the order of the channels.
    latitude : (H,) degrees north, the rows that it knows.
    climatology : (V, H) mean of each variable in each row, SI units.
    std : (V,) standard deviation of the anomalies.
    change : (K, V) root mean square change from the last frame to each lead.
    hours, leads : of the frames in and out, hours from the last given one.
    """

    title, kept = "forecaster", "network."
    climatology: Tensor
    std: Tensor
    change: Tensor

    def __init__(
        self, kind: str, variables: Sequence[str], latitude: np.ndarray, climatology: Tensor, std: Tensor,
        change: Tensor, hours: Sequence[int] = HOURS, leads: Sequence[int] = LEADS,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kind, self.variables = kind, tuple(variables)
        self.hours, self.leads = tuple(map(int, hours)), tuple(map(int, leads))
        self.latitude = np.asarray(latitude, float)
        count = len(self.variables)
        if climatology.shape != (count, len(self.latitude)) or change.shape != (len(self.leads), count):
            raise PhysLabError(
                f"climatology {tuple(climatology.shape)} and change {tuple(change.shape)}: pass (V, H) and (K, V) for "
                f"{count} variables, {len(self.latitude)} rows and {len(self.leads)} leads"
            )
        for name, values in (("climatology", climatology[..., None]), ("std", std[:, None, None]),
                             ("change", change[:, :, None, None])):  # fmt: skip
            self.register_buffer(name, values.float())
        self.network = make_network(kind, count, len(self.hours), len(self.leads))

    @classmethod
    def of(cls, kind: str, ds: xr.Dataset, variables: Sequence[str], seed: int = 0, **frames) -> Forecaster:
        """For the rows, climatology and changes of training data (time, latitude, longitude), every hour."""
        hours, leads = frames.get("hours", HOURS), frames.get("leads", LEADS)
        x = torch.from_numpy(np.stack([ds[v].values for v in variables], axis=1)).double()
        if len(x) <= max(leads):
            raise FieldError(f"{len(x)} hours of training data: more than {max(leads)} are needed")
        climatology = x.mean((0, 3))
        std = (x - climatology[:, :, None]).square().mean((0, 2, 3)).sqrt()
        change = torch.stack([(x[k:] - x[:-k]).square().mean((0, 2, 3)).sqrt() for k in leads])
        std, change = (torch.where(a > 0, a, 1.0) for a in (std, change))  # what never changes has no unit of its own
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(kind, variables, ds["latitude"].values, climatology, std, change, hours, leads)

    def forward(self, history: Tensor) -> Tensor:
        """(B, frames, V, H, W), SI units -> (B, K, V, H, W) at the leads, SI units."""
        return history[:, -1:] + self.change * self.relative(history)

    def relative(self, history: Tensor) -> Tensor:
        """The same as change since the last frame, in units of `change`, (B, K, V, H, W)."""
        batch, frames, count, height, width = history.shape
        if (frames, count, height) != (len(self.hours), len(self.variables), len(self.latitude)):
            raise FieldError(
                f"history of shape {tuple(history.shape)}: pass (B, {len(self.hours)}, {len(self.variables)}, "
                f"{len(self.latitude)}, W): frames at the hours {self.hours} of {', '.join(self.variables)}"
            )
        x = ((history - self.climatology) / self.std).flatten(1, 2)
        row = torch.linspace(-1, 1, height, dtype=x.dtype, device=x.device)[:, None].expand(batch, 1, height, width)
        x = torch.cat([x, row], dim=1)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(memory_format=torch.channels_last)
        return self.network(x).float().unflatten(1, (len(self.leads), count))

    @torch.no_grad()
    def forecast(self, history: xr.Dataset) -> xr.Dataset:
        """The forecast from the last time of `history`.

        Parameters
        ----------
        history : (time, latitude, longitude) with the variables; it must hold the hours that the network takes.

        Returns
        -------
        Dataset (time, latitude, longitude) at the leads, with the coordinate `lead` in hours.

        Raises
        ------
        FieldError : other rows, a variable or an hour that is not there, or missing values.
        """
        missing = [v for v in self.variables if v not in history]
        if missing:
            raise FieldError(f"no variable {', '.join(missing)}: the forecast takes {', '.join(self.variables)}")
        rows = history["latitude"].values
        if rows.shape != self.latitude.shape or np.abs(rows - self.latitude).max() > 1e-3:
            raise FieldError(
                f"{len(rows)} rows from {rows[0]:g} to {rows[-1]:g} N: this network knows {len(self.latitude)} "
                f"rows from {self.latitude[0]:g} to {self.latitude[-1]:g} N"
            )
        last = history["time"].values[-1]
        seconds, _ = seconds_of(history["time"].values, str(last))
        wanted = [np.flatnonzero(np.abs(seconds - 3600 * h) < 1) for h in self.hours]
        if any(len(at) != 1 for at in wanted):
            raise FieldError(f"history of {len(seconds)} times: the hours {self.hours} before the last one are needed")
        parts = history[list(self.variables)].isel(time=[int(at[0]) for at in wanted])
        x = np.stack([parts[v].transpose("time", "latitude", "longitude").values for v in self.variables], axis=1)
        if not np.isfinite(x).all():
            raise FieldError("the history has missing values: fill them first")
        made = self(torch.from_numpy(x.astype(np.float32))[None].to(self.std.device))[0].cpu().numpy()
        time = last + np.array(self.leads, "timedelta64[h]")
        fields = {v: (("time", "latitude", "longitude"), made[:, at], dict(history[v].attrs))
                  for at, v in enumerate(self.variables)}  # fmt: skip
        coordinates = {"time": time, "lead": ("time", list(self.leads), {"units": "hours"}),
                       "latitude": history["latitude"], "longitude": history["longitude"]}  # fmt: skip
        return xr.Dataset(fields, coordinates, {"title": f"forecast ({self.network.__class__.__name__})"})

    # --- files, see Stored --------------------------------------------------------------------------------------------
    def describe(self) -> dict:
        return {"kind": self.kind, "variables": self.variables, "hours": self.hours, "leads": self.leads,
                "latitude": self.latitude.tolist()}  # fmt: skip

    @classmethod
    def build(cls, card: Mapping, tensors: Mapping[str, Tensor]) -> Forecaster:
        return cls(
            card["kind"], card["variables"], np.array(card["latitude"]), tensors["climatology"][..., 0],
            tensors["std"][:, 0, 0], tensors["change"][:, :, 0, 0], card["hours"], card["leads"],
        )  # fmt: skip
