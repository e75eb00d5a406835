"""The chapter on latent diffusion with a law in its loss: an ensemble, the law, its decoding, and what it is worth.

The fields are those that ship (``nature-terrain``), the members are made live, and the scores of the experiment are
read from its table; what the table does not hold is left out.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import xarray as xr
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

from physlab.benchmark.ensemble import BASELINES, CONSTRAINED, DIFFUSION, REGRESSION, TUNED, ensemble_summary
from physlab.cf import VARIABLES
from physlab.constrain import make_constraint
from physlab.downscale.latent import LatentDownscaler
from physlab.downscale.terrain import TerrainFields, unrounded
from physlab.equations.surface_temperature import (
    LAPSE_RATE,
    EffectiveBalance,
    flux_ratio_misfit,
    reduced,
    residual,
)
from physlab.grid import Grid
from physlab.nn.upscaler import bicubic
from physlab.plot.maps import draw_map
from physlab.score.analysis import eddies
from physlab.score.detail import detail_scores
from physlab.score.spectra import radial_spectrum
from physlab.train.latent import LatentSettings, balance_of, make_latent, train_latent, tune_latent
from physlab.train.steps import Steps

FACTOR, TRUNCATION = 4, 85
# loss of the averaged weights on test data by weight of the PDE, as logged with the code of arXiv 2510.23866
LOGGED = {1e-11: 0.232794, 1e-9: 0.232794, 1e-8: 0.232794, 1e-3: 0.235252, 1e-2: 0.257386}
NAMES = {
    "rmse": "RMSE (K)",
    "crps": "CRPS (K)",
    "spread_skill": "spread/skill",
    "specdiv_top": "SpecDiv, finest",
    "residual": "residual / truth's",
    "conservation": "off the coarse field (K)",
}

# ---- one time, and what was made of it ------------------------------------------------------------------------------


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
        return tuple(x[0] for x in self.now.wind)

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


# ---- pictures of the ensemble ---------------------------------------------------------------------------------------

WINDOW = (20.0, 60.0, 60.0, 130.0)  # south, north, west, east: the highest mountains


def _window(scene: Scene) -> tuple[slice, slice]:
    south, north, west, east = WINDOW
    grid = scene.now.grid
    rows = np.flatnonzero((grid.latitude >= south) & (grid.latitude <= north))
    columns = np.flatnonzero((grid.longitude >= west) & (grid.longitude <= east))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _panel(ax, scene: Scene, x: Tensor, title: str, limits: tuple[float, float], diverging: bool = True):
    rows, columns = _window(scene)
    grid = scene.now.grid
    mesh = draw_map(ax, x[rows, columns], grid.latitude[rows], grid.longitude[columns], limits, diverging)
    ax.set_title(title, fontsize=9)
    return mesh


def draw_members(scene: Scene, members: Tensor, number: int = 0) -> Figure:
    """Detail (minus the bicubic field) of truth, U-Net, a member and mean, and the spread; around high mountains."""
    base = scene.bicubic[0]
    top = float((scene.truth - base)[_window(scene)].abs().quantile(0.99))
    fig, axes = plt.subplots(2, 3, figsize=(10.5, 4.9), layout="constrained", sharex=True, sharey=True)
    panels = {
        "truth": scene.truth - base,
        "U-Net": scene.unet[0] - base,
        f"member {number}": members[number] - base,
        "mean of members": members.mean(0) - base,
        "truth - U-Net": scene.truth - scene.unet[0],
        f"member {number} - U-Net": members[number] - scene.unet[0],
    }
    for k, (ax, (title, x)) in enumerate(zip(axes.flat, panels.items(), strict=True)):
        limit = top if k < 4 else top / 2
        mesh = _panel(ax, scene, x, title, (-limit, limit))
        if k in (2, 5):
            fig.colorbar(mesh, ax=ax, shrink=0.9).set_label("minus bicubic, K" if k == 2 else "K", fontsize=8)
    plt.close(fig)
    return fig


def draw_spectra(scene: Scene, members: Tensor) -> Figure:
    """Power over that of the truth by wavenumber, zonal mean left out: what each has of the fine waves."""
    fig, ax = plt.subplots(figsize=(7.5, 2.9), layout="constrained")
    k, t = radial_spectrum(eddies(scene.truth.double()), total=True)
    sets = {"bicubic": (scene.bicubic, "0.5", "-"), "U-Net": (scene.unet, "C0", "-"), "members": (members, "C3", "-"),
            "mean of members": (members.mean(0, keepdim=True), "C3", "--")}  # fmt: skip
    for name, (x, colour, line) in sets.items():
        p = radial_spectrum(eddies(x.double()), total=True)[1].mean(0)
        ratio = pd.Series((p / t).numpy(), k.numpy()).loc[:TRUNCATION].rolling(5, center=True, min_periods=1).median()
        ax.plot(ratio.index, ratio, color=colour, ls=line, label=name)
    ax.axvline(max(scene.truth.shape) / (2 * scene.model.factor), color="0.4", ls=":", lw=1)
    ax.axhline(1, color="k", lw=1)
    ax.set(xlabel="wavenumber (dotted: the coarse grid ends)", ylabel="power / truth's", yscale="log", ylim=(3e-3, 3))
    ax.legend(fontsize=8, frameon=False, loc="lower left")
    plt.close(fig)
    return fig


# ---- the law --------------------------------------------------------------------------------------------------------


def explained(scene: Scene) -> float:
    """Share of the mean square of u . grad T - S that the fitted terrain and mixing terms take off, all times."""
    fields, law = scene.fields, scene.law
    bare = EffectiveBalance(law.grid, law.factor, law.height, 0.0, 0.0)
    t, u, v = (x.double() for x in (fields.truth[:, 0], *fields.wind))
    area = fields.area.double()
    return 1 - law.scale**2 / float((bare.residual(t, u, v).square() * area).mean())


def diffusivities(scene: Scene) -> list[float]:
    """kappa, m2 s-1, fitted to each time by itself, in rising order."""
    return sorted(balance_of(scene.fields.take(slice(k, k + 1))).diffusivity for k in range(len(scene.fields)))


def as_it_comes(scene: Scene) -> float:
    """kappa, m2 s-1, fitted to the fields of the file with their rounding, see :func:`unrounded`."""
    model = scene.model
    return balance_of(TerrainFields.of(scene.truths, model.drivers[0], model.drivers, model.factor)).diffusivity


def fit_words(scene: Scene) -> list[str]:
    """What the fit of the law gives, how sure it is, and what rounding would do to it."""
    low, *_, high = diffusivities(scene)
    law, raw = scene.law, as_it_comes(scene)
    said = [
        f"$\\Gamma$ = {1000 * law.lapse_rate:.1f} K/km and $\\kappa$ = {law.diffusivity:.1e} m² s⁻¹, time by time "
        f"{low:.1e} to {high:.1e}."
    ]
    if abs(raw / law.diffusivity - 1) > 0.2:
        said.append(
            f"(From the fields as they ship, rounded, $\\kappa$ would be {raw:.1e}: near the poles, where points are "
            "close, a Laplacian sees rounding and little else. The model has no such waves; we take them out first.)"
        )
    return said


def invariances(scene: Scene) -> pd.DataFrame:
    """What a change of the truth does to the root mean square of the balance and to the published misfit; 1: nothing.

    The balance should notice the wind and the distance of the cells, and not the zero of the thermometer.
    """
    t, (u, v) = scene.truth.double(), (x.double() for x in scene.wind)
    coarse, law = scene.now.coarse[0, 0].double(), scene.law
    other = [x[(scene.time + 1) % len(scene.fields)].double() for x in scene.fields.wind]
    base = float(law.relative(t, u, v).sqrt()), float(flux_ratio_misfit(t, coarse))
    shifted = scene.bicubic[0].double()
    rows = {
        "truth, in kelvin": (t, coarse, u, v),
        "in degrees Celsius": (t - 273.15, coarse - 273.15, u, v),
        "with the wind of another day": (t, coarse, *other),
        "in calm air": (t, coarse, 0 * u, 0 * v),
        "bicubic for the truth": (shifted, coarse, u, v),
    }
    return pd.DataFrame(
        {name: {"balance": float(law.relative(x, *w).sqrt()) / base[0],
                "published ratio": float(flux_ratio_misfit(x, c)) / base[1]} for name, (x, c, *w) in rows.items()}
    ).T  # fmt: skip


def draw_law(scene: Scene) -> Figure:
    """T, T_* = T + Gamma h and the residual of the truth, around high mountains, and the residual of bicubic."""
    law, t = scene.law, scene.truth.double()
    star = reduced(t, law.height.double(), law.lapse_rate)
    u, v = (x.double() for x in scene.wind)
    made = [86_400 * law.residual(x, u, v) for x in (t, scene.bicubic[0].double())]
    rows, columns = _window(scene)
    low, high = float(t[rows, columns].min()), float(star[rows, columns].max())
    top = float(made[0][rows, columns].abs().quantile(0.98))
    fig, axes = plt.subplots(2, 2, figsize=(9.5, 5.2), layout="constrained", sharex=True, sharey=True)
    for ax, x, title in zip(axes[0], (t, star), ("T", "T + Γh"), strict=True):
        mesh = _panel(ax, scene, x, title, (low, high), diverging=False)
    fig.colorbar(mesh, ax=axes[0], shrink=0.8).set_label("K", fontsize=8)
    for ax, x, title in zip(axes[1], made, ("residual of the truth", "residual of bicubic"), strict=True):
        mesh = _panel(ax, scene, x, title, (-top, top))
    fig.colorbar(mesh, ax=axes[1], shrink=0.8).set_label("K per day", fontsize=8)
    plt.close(fig)
    return fig


def draw_stored(scene: Scene, stored: xr.Dataset, weight: float, member: int = 0) -> Figure:
    """A stored member of a model trained with a weight of the law: detail, change by the law, residual, the truth's."""
    law, base = scene.law, scene.bicubic[0]
    u, v = (x.double() for x in scene.wind)
    with_law, without = (
        torch.from_numpy(np.array(stored["t_low"].sel(weight=w).isel(member=member).values, dtype=np.float64))
        for w in (weight, 0.0)
    )
    left, true = (86_400 * law.residual(x, u, v) for x in (with_law, scene.truth.double()))
    window = _window(scene)
    detail = float((scene.truth - base)[window].abs().quantile(0.99))
    top = float(true[window].abs().quantile(0.98))
    fig, axes = plt.subplots(2, 2, figsize=(9.5, 5.2), layout="constrained", sharex=True, sharey=True)
    change = max(float((with_law - without)[window].abs().quantile(0.99)), 0.1)
    for ax, x, title, limit in (
        (axes[0, 0], with_law - base, f"member, λ = {weight:g}, minus bicubic", detail),
        (axes[0, 1], with_law - without, "minus the same member without the law", change),
    ):
        mesh = _panel(ax, scene, x, title, (-limit, limit))
        fig.colorbar(mesh, ax=ax, shrink=0.8).set_label("K", fontsize=8)
    for ax, x, title in (
        (axes[1, 0], left, f"its residual, {scene.residual(with_law, window):.2f} of the truth's here"),
        (axes[1, 1], true, "residual of the truth"),
    ):
        mesh = _panel(ax, scene, x, title, (-top, top))
        fig.colorbar(mesh, ax=ax, shrink=0.8).set_label("K per day", fontsize=8)
    plt.close(fig)
    return fig


# ---- what is decoded ------------------------------------------------------------------------------------------------

WIND, KAPPA, SIZE = 8.0, 2e5, 4e5  # m s-1, m2 s-1, m: of the exact solution


def exact(n: int) -> tuple[Grid, Tensor, Tensor, Tensor, Tensor]:
    """Steady advection and diffusion over two hills, a solution in closed form: grid, T, u, v, h, (n, n) each.

    T_* = 280 + 5 sin(l y) exp(a x) with WIND a = KAPPA (a^2 - l^2).
    """
    grid = Grid.plane(SIZE / n, SIZE / n, (n, n), periodic=False)
    y, x = (torch.tensor(a, dtype=torch.float64) for a in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    wave = 2 * math.pi / SIZE
    a = (WIND - math.sqrt(WIND**2 + 4 * KAPPA**2 * wave**2)) / (2 * KAPPA)
    star = 280 + 5 * torch.sin(wave * y) * torch.exp(a * x)
    height = 800 * torch.exp(-((x - 1e5) ** 2 + (y - 2e5) ** 2) / 6e4**2) + 500 * torch.sin(wave * x).square()
    t = reduced(star, height, -LAPSE_RATE)
    return grid, t, torch.full_like(t, WIND), torch.zeros_like(t), height


AT_REST = "what velocity zero stands for"
DECODED = {
    "clean latents + U-Net": lambda U, x0, v: U + x0,
    "clean latents alone": lambda U, x0, v: x0,
    "velocity + U-Net": lambda U, x0, v: U + v,
    "velocity alone, as published": lambda U, x0, v: v,
}
"""What may be handed to the law: U the field of the U-Net, x0 and v what latents and velocity decode to, K."""


def certificate(sizes: Sequence[int] = (32, 64, 128), noise: float = 0.5, seed: int = 0) -> pd.DataFrame:
    """Root mean square of the law for what a *perfect* network says, over that of its advection, per grid.

    The truth solves the law exactly, the field U of the U-Net is its block mean, interpolated, the decoder is 1, and
    the network names the exact velocity of noisy latents at sigma / alpha = `noise`.
    """
    rows = {}
    for n in sizes:
        grid, t, u, v, height = exact(n)
        generator = torch.Generator().manual_seed(seed)
        mean = bicubic(torch.nn.functional.avg_pool2d(t[None, None], FACTOR), FACTOR)[0, 0]
        alpha = 1 / math.sqrt(1 + noise**2)
        sigma = noise * alpha
        rho = float((t - mean).square().mean().sqrt())
        z, eps = (t - mean) / rho, torch.randn(t.shape, generator=generator, dtype=torch.float64)
        noisy, velocity = alpha * z + sigma * eps, alpha * eps - sigma * z
        x0 = (alpha * noisy - sigma * velocity) / (alpha**2 + sigma**2)
        scale = residual(t, u, v, height, grid).square().mean().sqrt()
        rows[n] = {
            name: float(residual(made(mean, rho * x0, rho * velocity), u, v, height, grid, KAPPA).square().mean().sqrt()
                        / scale) for name, made in DECODED.items()
        }  # fmt: skip
    return pd.DataFrame(rows)


def order_of(errors: pd.Series) -> float:
    """Order of errors by number of points along an edge: slope of least squares in logarithms, sign changed."""
    n, e = np.log(errors.index.to_numpy(float)), np.log(errors.to_numpy(float))
    return float(-np.polyfit(n, e, 1)[0])


@torch.no_grad()
def decoded(scene: Scene, ratio: float, seed: int = 0) -> dict[str, Tensor]:
    """(H, W) fields, K, that the ways of :data:`DECODED` make of the latents of the truth and the exact velocity.

    One more, where a penalty of the velocity is least: velocity zero, whose clean latents are alpha times the noisy
    ones.

    Parameters
    ----------
    ratio : sigma / alpha of the noise.
    """
    model, z = scene.model, scene.latents
    schedule = model.denoiser.schedule
    t = schedule.time(ratio)
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    eps = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed))
    noisy, velocity = alpha * z + sigma * eps, alpha * eps - sigma * z
    x0 = (alpha * noisy - sigma * velocity) / (alpha**2 + sigma**2)
    nothing = torch.zeros_like(scene.unet[None])
    residual_, named = (model.field(nothing, x)[0, 0] for x in (x0, velocity))
    made = {name: way(scene.unet[0], residual_, named) for name, way in DECODED.items()}
    kept = model.field(nothing, alpha / (alpha**2 + sigma**2) * noisy)[0, 0]
    return made | {AT_REST: scene.unet[0] + kept}


def decodings(scene: Scene, ratio: float = 1.0) -> pd.DataFrame:
    """Residual over the truth's and RMSE, K, of what is decoded in each way of :func:`decoded`."""
    rows = {}
    for name, x in decoded(scene, ratio).items():
        error = float(((x - scene.truth).square() * scene.now.area).mean().sqrt())
        rows[name] = {"residual / truth's": scene.residual(x), "RMSE (K)": error}
    return pd.DataFrame(rows).T


def draw_decoded(scene: Scene, ratio: float) -> Figure:
    """What the law is shown, the right way and as published, at a noise-to-signal ratio."""
    made, (rows, columns) = decoded(scene, ratio), _window(scene)
    right, published = made["clean latents + U-Net"], made["velocity alone, as published"]
    fig, axes = plt.subplots(1, 3, figsize=(10.5, 2.9), layout="constrained", sharey=True)
    limits = tuple(float(x) for x in (scene.truth[rows, columns].min(), scene.truth[rows, columns].max()))
    top = float(published[rows, columns].abs().quantile(0.99))
    for ax, x, title in (
        (axes[0], scene.truth, "truth, K"),
        (axes[1], right, f"U + ρG(x₀), residual {scene.residual(right):.2f}"),
        (axes[2], published, f"ρG(v), residual {scene.residual(published):.2f}"),
    ):
        last = ax is axes[2]
        mesh = _panel(ax, scene, x, title, (-top, top) if last else limits, diverging=last)
        fig.colorbar(mesh, ax=ax, shrink=0.8)
    plt.close(fig)
    return fig


# ---- a weight that is none ------------------------------------------------------------------------------------------


def first_step(weight: float, gradient: float, other: float = 0.0, rate: float = 1e-4) -> float:
    """Size of the first step of AdamW (no decay) for a number with the gradient other + weight * gradient, over the
    rate."""
    x = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.AdamW([x], lr=rate, weight_decay=0.0)
    x.grad = torch.tensor(other + weight * gradient, dtype=torch.float64)
    optimiser.step()
    return abs(float(x.detach())) / rate


WEIGHTS = tuple(10.0**k for k in range(-13, 2))


def steps_by_weight(gradient: float = 1.0, weights: Sequence[float] = WEIGHTS) -> pd.DataFrame:
    """Steps by weight of a penalty, for a part that sees the penalty alone.

    Returns
    -------
    DataFrame, index weight: "AdamW", "plain gradient descent", both over the learning rate.
    """
    made = {w: {"AdamW": first_step(w, gradient), "plain gradient descent": w * gradient} for w in weights}
    return pd.DataFrame(made).T


def draw_steps(gradients: Sequence[float] = (1.0, 1e-2)) -> Figure:
    """Step of a decoder that sees the penalty alone, against the weight; and what the logs imply for the penalty."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 2.9), layout="constrained")
    for gradient, line in zip(gradients, ("-", "--"), strict=True):
        found = steps_by_weight(gradient)
        left.plot(found.index, found["AdamW"], color="C3", ls=line, label=f"AdamW, gradient {gradient:g}")
        left.plot(found.index, found["plain gradient descent"], color="0.5", ls=line,
                  label=f"plain descent, gradient {gradient:g}")  # fmt: skip
    left.axvline(1e-11, color="C0", ls=":", lw=1)
    left.set(xscale="log", yscale="log", ylim=(1e-6, 20), xlabel="weight λ (dotted: published)", ylabel="step / rate")
    left.legend(fontsize=7, frameon=False)
    weights, losses = np.array(list(LOGGED)), np.array(list(LOGGED.values()))
    right.plot(weights, losses, "o", color="C3", label="logged")
    line = np.geomspace(weights.min(), weights.max(), 200)
    right.plot(line, losses.min() + implied_penalty().mean() * line, color="0.5", label="a penalty that never changes")
    right.set(xscale="log", xlabel="weight λ", ylabel="logged test loss")
    right.legend(fontsize=8, frameon=False)
    plt.close(fig)
    return fig


def implied_penalty() -> pd.Series:
    """Penalty that the logged losses contain, if the rest of the loss is that at the least weight."""
    base = LOGGED[min(LOGGED)]
    return pd.Series({w: (x - base) / w for w, x in LOGGED.items() if w >= 1e-3}, name="penalty")


# ---- a split that leaks ---------------------------------------------------------------------------------------------


def leak(hourly: xr.DataArray, last: int = 72, gap: float = 48.0) -> pd.Series:
    """RMSE, K, of detail copied from the most similar other hour, on the last hours of a series.

    Parameters
    ----------
    hourly : (time, latitude, longitude) temperature, K, in the order of time.
    last : hours to test on.  gap : hours around a test hour that a split by blocks keeps out of training.

    Returns
    -------
    Series: "bicubic", which copies nothing, "random split" (any other hour may be in training), "split by blocks".
    """
    hours = (hourly["time"].values - hourly["time"].values[0]) / np.timedelta64(1, "h")
    grid, x = Grid.from_dataset(hourly), torch.from_numpy(np.array(hourly.values, dtype=np.float64))
    height, width = (n // FACTOR * FACTOR for n in x.shape[-2:])
    x, area = x[:, :height, :width], torch.from_numpy(grid.area_weights[:height, :1].copy())
    coarse = torch.nn.functional.avg_pool2d(x[:, None], FACTOR)
    detail = x - bicubic(coarse, FACTOR)[:, 0]
    like = torch.cdist(*(coarse.flatten(1),) * 2)
    found = {"bicubic": [], "random split": [], "split by blocks": []}
    for k in range(len(x) - last, len(x)):
        for name, near in (("random split", 0.5), ("split by blocks", gap)):
            allowed = torch.from_numpy(np.abs(hours - hours[k]) >= near)
            best = int(torch.where(allowed, like[k], torch.inf).argmin())
            found[name].append(float(((detail[k] - detail[best]).square() * area).mean() / area.mean()))
        found["bicubic"].append(float((detail[k].square() * area).mean() / area.mean()))
    return pd.Series({name: float(np.mean(values)) ** 0.5 for name, values in found.items()})


# ---- a small training -----------------------------------------------------------------------------------------------

TINY = {"unet": (8, 16), "vae": (8, 16), "levels": (16, 24), "features": 8, "latent": 3}
SHORT = LatentSettings(
    unet=Steps(150, 2, 4e-3), vae=Steps(150, 2, 4e-3), denoiser=Steps(200, 4, 3e-3), tuning=Steps(40, 4, 1e-3, ema=0.9)
)


def train_tiny(
    truths: xr.Dataset, south: float = 10.0, north: float = 75.0, weight: float = 1.0, seed: int = 0,
    settings: LatentSettings | None = None,
) -> tuple[pd.DataFrame, float]:  # fmt: skip
    """A tiny model trained on all times but the last of a belt of latitudes, tuned without and with the balance.

    Parameters
    ----------
    truths : t_low, u_low, v_low on (time, latitude, longitude).
    weight : lambda.

    Returns
    -------
    Scores at the last time (:data:`NAMES`, without the agreement with the coarse field), and seconds.
    """
    began, settings = time.perf_counter(), SHORT if settings is None else settings
    inside = (truths["latitude"] >= south) & (truths["latitude"] <= north)
    drivers = ("t_low", "u_low", "v_low")
    fields = TerrainFields.of(truths.isel(latitude=np.flatnonzero(inside)), "t_low", drivers, FACTOR)
    train, held = fields.take(slice(0, len(fields) - 1)), fields.take(slice(len(fields) - 1, None))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make_latent(train, **TINY)
    model.steps = 8
    train_latent(model, train, settings, seed)
    law, wind = balance_of(train), tuple(x[0] for x in held.wind)
    made = {"bicubic": model.upsample(held.coarse[:, :1])[0]}
    with torch.no_grad():
        made["U-Net"] = model.regress(held.coarse, held.static)[0]
    for name, lam in (("40 more steps", 0.0), (f"40 more with λ = {weight:g}", weight)):
        tuned = tune_latent(copy.deepcopy(model), train, lam, "balance", settings, seed)
        made[f"4 members, {name}"] = tuned.sample(held.coarse, held.static, 4)[0]
    rows = {name: detail_scores(x, held.truth[0, 0], held.coarse[0, 0], held.grid, FACTOR, law, wind, TRUNCATION)
            for name, x in made.items()}  # fmt: skip
    columns = [c for c in NAMES if c != "conservation"]
    return pd.DataFrame(rows).T[columns].rename(columns=NAMES), time.perf_counter() - began


# ---- the experiment -------------------------------------------------------------------------------------------------

MAIN = "nature-x4"


def _cell(value: float, spread: float) -> str:
    if value != value:
        return ""
    digits = 3 if abs(value) >= 1e-3 else 1
    return f"{value:.{digits}g}" + (f" ± {spread:.1g}" if spread == spread else "")


def _label(row: pd.Series) -> str:
    if row["model"] != TUNED:
        return row["model"]
    if not row["weight"]:
        return "tuned without a law"
    return f"tuned, {row['kind']} {row['weight']:g}"


def scores(runs: pd.DataFrame, data: str = MAIN) -> pd.DataFrame:
    """The table for readers: mean ± standard deviation over seeds, one row for each model, kind and weight."""
    found = ensemble_summary(runs, data)
    order = [*BASELINES, REGRESSION, DIFFUSION, CONSTRAINED, TUNED]
    found = found.assign(_m=found["model"].map(order.index), _k=found["kind"] == "flux-ratio")
    found = found.sort_values(["_m", "_k", "weight"], kind="stable")
    columns = {key: name for key, name in NAMES.items() if found[key].notna().any()}
    made = {name: [_cell(row[key], row[f"{key}_spread"]) for _, row in found.iterrows()]
            for key, name in columns.items()}  # fmt: skip
    return pd.DataFrame(made, index=[_label(row) for _, row in found.iterrows()])


def _interval(count: int) -> float:
    """Half of the 95 % interval of a mean of few differences, over their standard deviation (Student's t)."""
    return float(stats.t.ppf(0.975, count - 1)) / count**0.5


def effects(runs: pd.DataFrame, data: str = MAIN) -> pd.DataFrame:
    """Change of each score by the law: against as many further steps without it, seed by seed.

    Returns
    -------
    DataFrame, one row for each kind and weight above 0: for each score of :data:`NAMES` the mean change in % of the
    control (column of that key), its standard deviation over seeds (KEY_spread) and KEY_clear: all seeds agree in
    sign, and the mean exceeds the spread.
    """
    tuned = runs[(runs["data"] == data) & (runs["model"] == TUNED)]
    control = tuned[tuned["weight"] == 0].set_index("seed")
    rows = []
    for (kind, weight), group in tuned[tuned["weight"] > 0].groupby(["kind", "weight"]):
        group, row = group.set_index("seed"), {"kind": kind, "weight": weight}
        common = group.index.intersection(control.index)
        for key in NAMES:
            change = 100 * (group.loc[common, key] / control.loc[common, key] - 1).astype(float)
            mean, spread = change.mean(), change.std(ddof=1)
            row |= {
                key: mean,
                f"{key}_spread": spread,
                f"{key}_clear": bool(len(change) > 1 and abs(mean) > _interval(len(change)) * spread),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def better(row: pd.Series | dict, key: str) -> int:
    """1, -1 or 0: a clear gain, a clear loss, or neither, in a score that should be low."""
    return -int(np.sign(row[key])) if row[f"{key}_clear"] else 0


def gains(found: pd.DataFrame, keys: Sequence[str] = ("rmse", "crps")) -> pd.DataFrame:
    """The sign of :func:`better` for each weight of the balance: index weight, columns `keys`."""
    balance = found[found["kind"] == "balance"].set_index("weight")
    return pd.DataFrame({key: [better(row, key) for _, row in balance.iterrows()] for key in keys}, index=balance.index)


def verdict(runs: pd.DataFrame, data: str = MAIN) -> dict:
    """What the balance does to the ensemble, as facts.

    Returns
    -------
    obeyed : whether the members' residual falls clearly at the largest weight.
    helps, hurts : weights with a clearly lower and higher CRPS, the score of an ensemble.
    largest : the largest weight.
    start, end : members' residual over the truth's without the law and at the largest weight.
    change, clear : score -> mean change in % of the control at the largest weight, and whether it is clear.
    """
    found = effects(runs, data)
    balance = found[found["kind"] == "balance"].set_index("weight").sort_index()
    summary = ensemble_summary(runs, data)
    tuned = summary[(summary["model"] == TUNED) & (summary["kind"] != "flux-ratio")].set_index("weight")
    largest, sign = balance.index[-1], gains(found)["crps"]
    last = balance.loc[largest]
    return {
        "obeyed": better(last, "residual") > 0,
        "helps": list(sign.index[sign > 0]),
        "hurts": list(sign.index[sign < 0]),
        "largest": largest,
        "start": float(tuned.loc[0.0, "residual"]),
        "end": float(tuned.loc[largest, "residual"]),
        "change": {key: float(last[key]) for key in NAMES},
        "clear": {key: bool(last[f"{key}_clear"]) for key in NAMES},
    }


def answer(runs: pd.DataFrame, data: str = MAIN) -> str:
    """Does the law help? One sentence, from :func:`verdict`."""
    if TUNED not in set(runs.loc[(runs["data"] == data) & (runs["kind"] == "balance"), "model"]):
        return "The table has no training with the law yet."
    facts = verdict(runs, data)
    change, clear = facts["change"], facts["clear"]
    rows = f"from {facts['start']:.2f} to {facts['end']:.2f} of the truth's at λ = {facts['largest']:g}"
    first = f"The law lowers its own residual in the members, {rows}"
    if not facts["obeyed"]:
        first = f"The law does not clearly lower even its own residual in the members ({rows})"
    if facts["obeyed"] and clear["spread_skill"] and change["spread_skill"] < 0:
        first += f", but makes them more alike (spread/skill {change['spread_skill']:+.1f} %)"
        if clear["specdiv_top"] and change["specdiv_top"] > 0:
            first = first[:-1] + f", finest SpecDiv {change['specdiv_top']:+.0f} %)"
    numbers = f"RMSE {change['rmse']:+.1f} %, CRPS {change['crps']:+.1f} %"
    if facts["helps"]:
        second = f"and the ensemble gains in CRPS at λ = {', '.join(f'{w:g}' for w in facts['helps'])}"
    elif facts["hurts"]:
        second = "and no weight lowers the CRPS of the ensemble"
    else:
        second = "and at no weight does the CRPS of the ensemble change clearly"
    return f"**{first}, {second} ({numbers} at λ = {facts['largest']:g}).**"


def further(runs: pd.DataFrame) -> list[str]:
    """Sentences on the published ratio, the larger factor, the other data, the diffusion itself and the hard layer."""
    said = []
    for data, lead in ((MAIN, ""), ("nature-x8", "At factor 8, "), ("era5-uk-x4", "On hourly ERA5 without wind, ")):
        if data not in set(runs["data"]):
            continue
        for _, row in effects(runs, data).iterrows():
            if data == MAIN and row["kind"] == "balance":
                continue
            name = "the balance" if row["kind"] == "balance" else "the published ratio"
            parts = [
                f"{label} {row[key]:+.1f}"
                + (f" ± {spread:.1f} %" if (spread := row[f"{key}_spread"]) == spread else " %")
                for key, label in (("rmse", "RMSE"), ("crps", "CRPS"), ("residual", "residual"))
                if row[key] == row[key]
            ]
            text = f"{lead}{name} at λ = {row['weight']:g} changes {', '.join(parts)}."
            said.append(text[0].upper() + text[1:])
    return said


ELSEWHERE = {"nature-x8": "At factor 8", "era5-uk-x4": "On ERA5 over the British Isles, 18 days of training"}


def baseline_words(runs: pd.DataFrame, data: str = MAIN) -> list[str]:
    """What diffusion buys over its own U-Net, and what the hard layer does."""
    found = ensemble_summary(runs, data).set_index("model")
    plain, net = found.loc[DIFFUSION], found.loc[REGRESSION]
    ratio, share = plain["spread_skill"], plain["crps"] / net["mae"]
    cost = plain["s_per_state"] / net["s_per_state"]
    word = "too sure of itself" if ratio < 0.95 else "too unsure" if ratio > 1.05 else "about right"
    said = [
        f"The mean of {plain['members']:.0f} members has an RMSE of {plain['rmse']:.3f} K, U-Net {net['rmse']:.3f}.",
        f"The CRPS is {plain['crps']:.3f} K, the U-Net's absolute error {net['mae']:.3f}: a factor of {share:.2f}.",
        f"Spread over skill is {ratio:.2f}, {word}. All of it takes {cost:.0f} times as long.",
    ]
    if CONSTRAINED in found.index:
        tied = found.loc[CONSTRAINED]
        said.append(
            f"The additive layer takes members from {plain['conservation']:.2g} to {tied['conservation']:.0e} K off "
            f"the coarse field and the RMSE from {plain['rmse']:.4f} to {tied['rmse']:.4f} K, without any training; "
            f"but it shifts whole blocks, and the residual goes from {plain['residual']:.2f} to {tied['residual']:.2f} "
            "of the truth's."
        )
    return said + [_there(runs, key, lead) for key, lead in ELSEWHERE.items() if key in set(runs["data"])]


def _there(runs: pd.DataFrame, data: str, lead: str) -> str:
    """How sure of itself the ensemble is on other data, one sentence."""
    found = ensemble_summary(runs, data).set_index("model")
    plain, net, count = found.loc[DIFFUSION], found.loc[REGRESSION], int(found.loc[DIFFUSION, "seeds"])
    seeds = f"{count} seed{'s' if count > 1 else ''}"
    share, ratio = plain["crps"] / net["mae"], plain["spread_skill"]
    return f"{lead} ({seeds}), CRPS over the U-Net's absolute error is {share:.2f}, spread over skill {ratio:.2f}."


def smoothest(runs: pd.DataFrame, data: str = MAIN) -> tuple[str, float]:
    """The model with the least residual, and that residual over the truth's."""
    found = ensemble_summary(runs, data)
    row = found.loc[found["residual"].idxmin()]
    return _label(row), float(row["residual"])


def draw_weights(runs: pd.DataFrame, data: str = MAIN) -> Figure:
    """Residual, RMSE, CRPS and fine spectra against the weight: a dot for each seed, joined means, and the control."""
    tuned = runs[(runs["data"] == data) & (runs["model"] == TUNED)]
    base = runs[(runs["data"] == data)]
    keys = ("residual", "rmse", "crps", "specdiv_top")
    fig, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained")
    weights = sorted(w for w in tuned["weight"].unique() if w > 0)
    for ax, key in zip(axes, keys, strict=True):
        control = tuned.loc[tuned["weight"] == 0, key]
        ax.axhspan(control.min(), control.max(), color="0.88", lw=0, label="without")
        ax.axhline(control.mean(), color="0.5", lw=1)
        for kind, colour in (("balance", "C3"), ("flux-ratio", "C0")):
            part = tuned[(tuned["kind"] == kind) & (tuned["weight"] > 0)]
            ax.plot(part["weight"], part[key], "o", color=colour, ms=3.5, alpha=0.6)
            mean = part.groupby("weight")[key].mean()
            ax.plot(mean.index, mean, "-" if len(mean) > 1 else "D", color=colour, ms=6, label=kind)
        if key == "residual":
            ax.axhline(1, color="k", ls="--", lw=1)
            smooth = base.loc[base["model"] == "bicubic", key].mean()
            ax.axhline(smooth, color="C2", ls=":", lw=1.2, label="bicubic")
        ax.set(xscale="log", xlabel="λ")
        ax.set_xticks(weights, [f"{w:g}" for w in weights])
        ax.minorticks_off()
        ax.set_title(NAMES[key], fontsize=9)
        ax.tick_params(labelsize=8)
    axes[0].legend(fontsize=7, frameon=False)
    plt.close(fig)
    return fig
