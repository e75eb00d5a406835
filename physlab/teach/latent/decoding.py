"""What is decoded when a penalty is taken of a velocity: an exact solution, and a scene."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from physlab.equations.surface_temperature import (
    LAPSE_RATE,
    reduced,
    residual,
)
from physlab.grid import Grid
from physlab.nn.upscaler import bicubic
from physlab.teach.latent.scene import FACTOR, Scene

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
