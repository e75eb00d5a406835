"""One time of the fields that ship, what bicubic, U-Net and members make of it, and their scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from physlab.cf import VARIABLES
from physlab.constrain import make_constraint
from physlab.downscale.latent import LatentDownscaler
from physlab.downscale.terrain import TerrainFields, unrounded
from physlab.equations.surface_temperature import (
    EffectiveBalance,
)
from physlab.score.analysis import eddies
from physlab.score.detail import detail_scores
from physlab.score.spectra import radial_spectrum
from physlab.train.latent import balance_of

FACTOR, TRUNCATION = 4, 85


NAMES = {
    "rmse": "RMSE (K)",
    "crps": "CRPS (K)",
    "spread_skill": "spread/skill",
    "specdiv_top": "SpecDiv, finest",
    "residual": "residual / truth's",
    "conservation": "off the coarse field (K)",
}


@dataclass(eq=False)
class Scene:
    """Fine truth, coarse drivers, the model and its U-Net, at one time.

    Attributes
    ----------
    truths : fine t_low, u_low, v_low on (time, latitude, longitude).
    model : of the same factor and drivers.
    time : index of the time that is shown.
    """

    truths: xr.Dataset
    model: LatentDownscaler
    time: int = 0
    kept: dict = field(default_factory=dict)

    @cached_property
    def fields(self) -> TerrainFields:
        """Of all times."""
        t = self.truths["t_low"].transpose(..., "latitude", "longitude")
        truths = self.truths.assign(t_low=t.copy(data=unrounded(t.values, t["latitude"].values)))
        return TerrainFields.of(truths, self.model.drivers[0], self.model.drivers, self.model.factor)

    @cached_property
    def now(self) -> TerrainFields:
        """Of this time."""
        return self.fields.take(slice(self.time, self.time + 1))

    @cached_property
    def coarse(self) -> xr.Dataset:
        """The drivers of this time on the coarse grid, SI units: block means of the truth."""
        grid = self.fields.grid.coarsen(self.model.factor)
        dims = ("latitude", "longitude")
        given = zip(self.model.drivers, self.now.coarse[0].numpy(), strict=True)
        coords = {"latitude": grid.latitude, "longitude": grid.longitude}
        return xr.Dataset({name: (dims, x, VARIABLES[name]) for name, x in given}, coords)

    @cached_property
    def law(self) -> EffectiveBalance:
        """Lapse rate and diffusivity of least squares over all times."""
        return balance_of(self.fields)

    @property
    def truth(self) -> Tensor:
        """(H, W), K."""
        return self.now.truth[0, 0]

    @property
    def wind(self) -> tuple[Tensor, Tensor]:
        """(H, W) each, m s-1."""
        u, v = self.now.true_wind()
        return u[0], v[0]

    @cached_property
    def bicubic(self) -> Tensor:
        """(1, H, W), K."""
        return self.model.upsample(self.now.coarse[:, :1])[0]

    @cached_property
    @torch.no_grad()
    def unet(self) -> Tensor:
        """(1, H, W), K."""
        return self.model.regress(self.now.coarse, self.now.static)[0]

    @cached_property
    @torch.no_grad()
    def latents(self) -> Tensor:
        """(1, latent, h, w) of the truth."""
        return self.model.encode(self.truth - self.unet[None])

    def members_of(self, ensemble: xr.Dataset) -> Tensor:
        """(M, H, W), K."""
        return torch.from_numpy(np.array(ensemble[self.model.variable].values, dtype=np.float32))

    def scores(self, fields: Tensor) -> dict[str, float]:
        """Of members (M, H, W); see :func:`physlab.score.detail.detail_scores`."""
        now = self.now
        coarse, wind = now.coarse[0, 0], self.wind
        return detail_scores(fields, self.truth, coarse, now.grid, now.factor, self.law, wind, TRUNCATION)

    def residual(self, t: Tensor, window: tuple[slice, slice] | None = None) -> float:
        """Root mean square of the balance of a field (H, W) over that of the truth; in a window, or on the globe."""
        u, v = (x.double() for x in self.wind)
        area = self.now.area.double().expand(t.shape)
        made, true = (
            (self.law.residual(x.double(), u, v).square() * area)[window or ...].sum() for x in (t, self.truth)
        )
        return float((made / true).sqrt())


def networks(scene: Scene) -> pd.DataFrame:
    """What each network takes and gives for one field, and its size."""
    model, z = scene.model, scene.latents
    height, width = scene.truth.shape
    drivers, statics, count = len(model.drivers), len(model.statics), model.arguments["features"]
    rows = {
        "U-Net": (f"{drivers} drivers, {statics} static fields", f"{height} x {width}", "mean field", model.unet),
        "autoencoder": ("truth - U-Net", f"{z.shape[1]} x {z.shape[2]} x {z.shape[3]}", "latents", model.vae),
        "conditioner": ("drivers, static fields", f"{count} x {z.shape[2]} x {z.shape[3]}", "features",
                        model.conditioner),
        "denoiser": ("noisy latents, features", f"{z.shape[1]} x {z.shape[2]} x {z.shape[3]}", "velocity",
                     model.denoiser),
    }  # fmt: skip
    columns = ["takes", "gives", "", "parameters"]
    return pd.DataFrame(
        [[a, c, b, f"{sum(p.numel() for p in n.parameters()):,}"] for a, b, c, n in rows.values()], list(rows), columns
    ).rename(columns={"": "of size"})


def what_is_open(scene: Scene) -> pd.DataFrame:
    """Bicubic and U-Net: share of the detail's mean square that is explained, and power of waves beyond the coarse grid
    over the truth's."""
    area, truth = scene.now.area, scene.truth
    total = float(((truth - scene.bicubic[0]).square() * area).mean())
    rows = {}
    for name, x in (("bicubic", scene.bicubic[0]), ("U-Net", scene.unet[0])):
        explained = 1 - float(((truth - x).square() * area).mean()) / total
        rows[name] = {"detail explained": explained, "power of fine waves": fine_power(scene, x[None])}
    return pd.DataFrame(rows).T


def fine_power(scene: Scene, fields: Tensor) -> float:
    """Power at wavenumbers that the coarse grid has not, of fields (M, H, W), over that of the truth."""
    k, p = radial_spectrum(eddies(fields.double()), total=True)
    _, t = radial_spectrum(eddies(scene.truth.double()), total=True)
    fine = (k > max(scene.truth.shape) / (2 * scene.model.factor)) & (k <= TRUNCATION)
    return float(p.mean(0)[fine].sum() / t[fine].sum())


def compare(scene: Scene, members: Tensor) -> pd.DataFrame:
    """Scores of one time: interpolation, U-Net, a member, all members, and these tied to the coarse field."""
    tied = tie(scene, members)
    rows = {"bicubic": scene.bicubic, "U-Net": scene.unet, "one member": members[:1],
            f"{len(members)} members": members, f"{len(members)} members, constrained": tied}  # fmt: skip
    found = pd.DataFrame({name: scene.scores(x) for name, x in rows.items()}).T[list(NAMES)]
    return found.rename(columns=NAMES)


def tie(scene: Scene, members: Tensor) -> Tensor:
    """Members (M, H, W) with the additive layer: block means are the coarse field."""
    coarse = scene.now.coarse[:, :1].expand(-1, len(members), -1, -1)
    return make_constraint("add", scene.model.factor)(members[None], coarse, scene.now.area)[0]


def blank(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with nothing where no number is, for :func:`physlab.teach.table`."""
    return frame.astype(object).where(frame.notna(), "")
