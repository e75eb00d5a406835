"""The law of surface temperature on the shipped fields: what it explains, its fit, and what leaves it alone."""

from __future__ import annotations

import pandas as pd

from physlab.downscale.terrain import TerrainFields
from physlab.equations.surface_temperature import (
    EffectiveBalance,
    flux_ratio_misfit,
)
from physlab.teach.latent.scene import Scene
from physlab.train.latent import balance_of


def explained(scene: Scene) -> float:
    """Share of the mean square of u . grad T - S that the fitted terrain and mixing terms take off, all times."""
    fields, law = scene.fields, scene.law
    bare = EffectiveBalance(law.grid, law.factor, law.height, 0.0, 0.0)
    t, u, v = (x.double() for x in (fields.truth[:, 0], *fields.true_wind()))
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
    other = [x[(scene.time + 1) % len(scene.fields)].double() for x in scene.fields.true_wind()]
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
