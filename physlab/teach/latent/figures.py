"""Pictures around high mountains: the ensemble, the law, a stored member, and what is decoded."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import xarray as xr
from matplotlib.figure import Figure
from torch import Tensor

from physlab.equations.surface_temperature import (
    reduced,
)
from physlab.plot import draw_map, map_axes
from physlab.score.analysis import eddies
from physlab.score.spectra import radial_spectrum
from physlab.teach.latent.decoding import decoded
from physlab.teach.latent.scene import TRUNCATION, Scene
from physlab.teach.pictures import closed

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


def _panels(scene: Scene, rows: int, columns: int, width: float) -> tuple[Figure, np.ndarray]:
    """A figure with axes (rows, columns) for maps of the mountains."""
    y, x = _window(scene)
    return map_axes(rows, columns, scene.now.grid.latitude[y], scene.now.grid.longitude[x], width=width, share=0.85)


def draw_members(scene: Scene, members: Tensor, number: int = 0) -> Figure:
    """Detail (minus the bicubic field) of truth, U-Net, a member and mean, and the spread; around high mountains."""
    base = scene.bicubic[0]
    top = float((scene.truth - base)[_window(scene)].abs().quantile(0.99))
    fig, axes = _panels(scene, 2, 3, 10.5)
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
    return closed(fig)


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
    return closed(fig)


# ---- the law --------------------------------------------------------------------------------------------------------


def draw_law(scene: Scene) -> Figure:
    """T, T_* = T + Gamma h and the residual of the truth, around high mountains, and the residual of bicubic."""
    law, t = scene.law, scene.truth.double()
    star = reduced(t, law.height.double(), law.lapse_rate)
    u, v = (x.double() for x in scene.wind)
    made = [86_400 * law.residual(x, u, v) for x in (t, scene.bicubic[0].double())]
    rows, columns = _window(scene)
    low, high = float(t[rows, columns].min()), float(star[rows, columns].max())
    top = float(made[0][rows, columns].abs().quantile(0.98))
    fig, axes = _panels(scene, 2, 2, 9.5)
    for ax, x, title in zip(axes[0], (t, star), ("T", "T + Γh"), strict=True):
        mesh = _panel(ax, scene, x, title, (low, high), diverging=False)
    fig.colorbar(mesh, ax=axes[0], shrink=0.8).set_label("K", fontsize=8)
    for ax, x, title in zip(axes[1], made, ("residual of the truth", "residual of bicubic"), strict=True):
        mesh = _panel(ax, scene, x, title, (-top, top))
    fig.colorbar(mesh, ax=axes[1], shrink=0.8).set_label("K per day", fontsize=8)
    return closed(fig)


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
    fig, axes = _panels(scene, 2, 2, 9.5)
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
    return closed(fig)


# ---- what is decoded ------------------------------------------------------------------------------------------------


def draw_decoded(scene: Scene, ratio: float) -> Figure:
    """What the law is shown, the right way and as published, at a noise-to-signal ratio."""
    made, (rows, columns) = decoded(scene, ratio), _window(scene)
    right, published = made["clean latents + U-Net"], made["velocity alone, as published"]
    fig, (axes,) = _panels(scene, 1, 3, 10.5)
    limits = (float(scene.truth[rows, columns].min()), float(scene.truth[rows, columns].max()))
    top = float(published[rows, columns].abs().quantile(0.99))
    for ax, x, title in (
        (axes[0], scene.truth, "truth, K"),
        (axes[1], right, f"U + ρG(x₀), residual {scene.residual(right):.2f}"),
        (axes[2], published, f"ρG(v), residual {scene.residual(published):.2f}"),
    ):
        last = ax is axes[2]
        mesh = _panel(ax, scene, x, title, (-top, top) if last else limits, diverging=last)
        fig.colorbar(mesh, ax=ax, shrink=0.8)
    return closed(fig)
