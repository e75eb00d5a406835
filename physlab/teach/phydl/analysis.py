"""The chapter on PhyDL-NWP: what it computes around the continuous fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
import xarray as xr

from physlab.phydl import (
    Blobs,
    Equation,
    FitSettings,
    PhyDL,
    SmoothForce,
    bootstrap,
    coefficient_table,
    gridded_state,
    holdout,
    normal_equations,
    threshold,
)
from physlab.phydl.fit import solve
from physlab.phydl.library import Term, advection, flux_convergence, given
from physlab.score import radial_spectrum

NAMES = {"u": "u", "v": "v", "t": "T", "z": "Φ", "q": "q", "tcw": "W"}


LIVE = FitSettings(steps=700, physics=0.1, warm_up=0.4, rate=6e-3, solve_every=20, solve_points=4096)


def fit_blobs(case: Blobs, free: bool = False, seed: int = 0, steps: int = LIVE.steps) -> PhyDL:
    """A small field fitted to the noisy manufactured case, its coefficients solved for, or with the published force."""
    points, values = case.samples(noise=0.01, seed=seed)
    network = {"width": 64, "depth": 4, "omega": 4.0}
    none = SmoothForce((0, 0, 0))
    model = PhyDL.at_points(("u", "v", "c"), case.domain, points, values, [case.equation], none, network, seed, True)
    model.fit((points, values), dataclasses.replace(LIVE, steps=steps, free=free), seed)
    return model


def against_truth(case: Blobs, models: Mapping[str, PhyDL]) -> pd.DataFrame:
    """Coefficients of each fit divided by the true ones, and the residual that its own loss reports."""
    rows = {}
    for name, model in models.items():
        found = dict(zip(case.equation.names, model.solution["c"][0], strict=True))
        rows[name] = {term: value / case.truth[term] for term, value in found.items()}
        rows[name]["residual in the loss"] = model.card["training"]["history"][-1]["physics"]
    return pd.DataFrame(rows).T


def find_terms(case: Blobs, model: PhyDL) -> pd.DataFrame:
    """Sequential thresholding of the library of the manufactured case, on the derivatives of a fitted field."""
    other = model.with_network(model.network)
    other.equations = (case.library,)
    normal = solve(other, 8192, 5)["c"]
    return coefficient_table(normal, threshold(normal), draws=100)


# ---- the water of the window ----------------------------------------------------------------------------------------


def water(ds: xr.Dataset):
    """The gridded state of the column's water and of humidity, with evaporation minus rain as the rate "E - R"."""
    ds = ds.assign({"E - R": ds["e"] - ds["tp"]})
    return gridded_state(ds, ("tcw", "ivt_u", "ivt_v", "u", "v", "q"), ("E - R",), order=2)


FLUX = flux_convergence("tcw", "ivt_u", "ivt_v")


SMOOTH = SmoothForce((6, 6, 12), 1e-3)


def forces(state, priced: SmoothForce = SMOOTH, free: SmoothForce | None = None) -> pd.DataFrame:
    """Budget of the column's water with its sources named, hidden behind a smooth force, and behind one without a
    price: coefficient of the flux, its interval, unexplained part where it was fitted and where it was not, and
    correlation of the force with evaporation minus rain."""
    free = free or SmoothForce((8, 8, 16), 1e-9)
    cases = {
        "sources named": ((FLUX, given("E - R")), SmoothForce((0, 0, 0))),
        "smooth force": ((FLUX,), priced),
        "no price, more capacity": ((FLUX,), free),
    }
    rows = {}
    for name, (terms, force) in cases.items():
        normal = normal_equations(Equation("tcw", terms), [state], force, (3, 3, 5))
        coefficients, weights = normal.solve()
        low, high = bootstrap(normal, 60 if force.size < 1000 else 10)[0]
        row = {"∇·Q": coefficients[0], "low": low, "high": high, **holdout(normal), "r with E - R": float("nan")}
        if force.size:
            made = torch.cat([force.basis(p, state.domain).double() @ torch.from_numpy(weights)
                              for p in state.points.split(1 << 14)])  # fmt: skip
            row["r with E - R"] = float(np.corrcoef(made, state["E - R"])[0, 1])
        rows[name] = row
    return pd.DataFrame(rows).T


def spoiled_winds(state) -> pd.DataFrame:
    """Advection of humidity by the wind in m/s, and by winds with their mean removed, with and without scaling."""
    mean = {w: float(state[w].mean()) for w in "uv"}
    std = {w: float(state[w].std()) for w in "uv"}
    none, rows = SmoothForce((0, 0, 0)), {}

    def row(name: str, term: Term) -> None:
        normal = normal_equations(Equation("q", (term,)), [state], none)
        coefficients, _ = normal.solve()
        unexplained = normal.unexplained(coefficients, np.zeros(0))
        rows[name] = {"coefficient": coefficients[0], "tendency explained (%)": 100 * (1 - unexplained**2)}

    row("wind", advection("q"))
    for name, scale in (("mean removed", {"u": 1.0, "v": 1.0}), ("standardised, as published", std)):

        def of(s, scale=scale):  # fmt: skip
            u, v = ((s[w] - mean[w]) / scale[w] for w in "uv")
            return u * s.slope("q", 0) + v * s.slope("q", 1)

        row(name, Term("advection", "1", of))
    return pd.DataFrame(rows).T


# ---- pictures -------------------------------------------------------------------------------------------------------


def held_out_spectra(fields: Mapping[str, np.ndarray]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Name -> wavenumber and mean power of (time, latitude, longitude) fields, each transformed before averaging."""
    found = {}
    for name, y in fields.items():
        k, power = radial_spectrum(torch.as_tensor(np.asarray(y, dtype=np.float64)), window="hann")
        found[name] = (k, power.mean(0))
    return found
