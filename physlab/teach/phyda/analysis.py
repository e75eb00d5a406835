"""On the globe: what background errors are, an analysis made live, and what SpecDiv sees.

The states are those of the twin experiment that ships.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
import xarray as xr

from physlab.assimilate.latent import LatentMethod
from physlab.assimilate.learned import Learned
from physlab.score.analysis import TRUNCATION, eddies
from physlab.score.spectra import radial_spectrum, spectral_divergence
from physlab.views.twin import Case, Twin, spectrum

# ---- background errors ----------------------------------------------------------------------------------------------


def cases(twin: Twin, share: float = 0.02) -> list[Case]:
    """Every time that ships."""
    return [twin.case(time, share) for time in range(len(twin.times))]


def by_wavenumber(twin: Twin, name: str) -> pd.DataFrame:
    """Power of truth, background and background error by zonal wavenumber, mean over the times, in SI units squared."""
    k, found = twin.space.index(name), []
    for case in cases(twin):
        truth, background = (case.known[n][k] for n in ("truth", "background"))
        wave, power = spectrum(torch.stack([truth, background, truth - background]), twin.space)
        found.append(power)
    columns = ["truth", "background", "error"]
    return pd.DataFrame(np.mean(found, axis=0).T, index=pd.Index(wave, name="wavenumber"), columns=columns)


def unit_share(twin: Twin, like: Learned) -> float:
    """Mean square of background errors over all channels, in climatological variances of the training block."""
    std, area = like.space.std.double(), like.space.area.double()
    parts = [((c.known["truth"] - c.known["background"]) / std).square() * area for c in cases(twin)]
    return float(torch.stack(parts).mean())


@torch.no_grad()
def kept(method: LatentMethod, twin: Twin) -> float:
    """Share of the mean square of increments that passes the autoencoder of a method, over the times."""
    increments = torch.stack([c.known["truth"] - c.known["background"] for c in cases(twin)]) / method.space.error
    increments, area = increments.float(), method.space.area
    back = method.vae.decode(method.vae.encode(increments), increments.shape[-2:])
    return 1 - float(((increments - back).square() * area).mean() / (increments.square() * area).mean())


# ---- an analysis, live ----------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Bench:
    """One time of the twin experiment and one method: an analysis for each share of columns, made once.

    Attributes
    ----------
    share in `case` and `analysis` : of the grid points, in per cent.
    """

    twin: Twin
    method: Learned
    time: int = 0
    members: int = 8
    made: dict[float, tuple[Case, xr.Dataset]] = field(default_factory=dict)

    def __call__(self, share: float) -> tuple[Case, xr.Dataset]:
        """Case and analysis."""
        if share not in self.made:
            case = self.twin.case(self.time, share / 100)
            analysis = self.method.analyse(case.background, case.observations, members=self.members)
            self.made[share] = (case, analysis)
        return self.made[share]

    def gain(self, share: float) -> float:
        """What the mean of the members takes off the mean square error of all channels; 1 is all."""
        case, analysis = self(share)
        error = self.twin.space.error.double()
        truth, background = case.known["truth"] / error, case.known["background"] / error
        made, area = case.fields(analysis).mean(0) / error, self.twin.space.area.double()
        return 1 - float(((made - truth).square() * area).mean() / ((background - truth).square() * area).mean())

    def at_stations(self, share: float) -> pd.DataFrame:
        """Error before and after and spread of the members, in background errors of all channels: there and overall."""
        case, analysis = self(share)
        unit, rows = self.twin.space.error.double(), {}
        truth, background, members = (x / unit for x in (*case.known.values(), case.fields(analysis)))
        everywhere = self.twin.space.area.double().expand(truth.shape[1:]).flatten()
        here = torch.zeros_like(everywhere).index_fill(0, torch.from_numpy(case.points), 1.0)
        parts = {"before": background - truth, "after": members.mean(0) - truth, "spread": members.std(0)}
        for name, weights in (("at the stations", here), ("everywhere", everywhere)):
            total = weights.sum().clamp(min=1e-12)
            rows[name] = {
                k: float((x.square().mean(0).flatten() * weights).sum() / total) ** 0.5 for k, x in parts.items()
            }
        return pd.DataFrame(rows).T


def power_ratios(bench: Bench, share: float, name: str) -> pd.DataFrame:
    """Power over that of the truth by zonal wavenumber: background, a member (mean of their powers), their mean."""
    (case, analysis), k = bench(share), bench.twin.space.index(name)
    members = case.fields(analysis)[:, k]
    wave, true = spectrum(case.known["truth"][k], case.space)
    parts = {
        "background": spectrum(case.known["background"][k], case.space)[1],
        "members": spectrum(members, case.space)[1].mean(0),
        "mean of the members": spectrum(members.mean(0), case.space)[1],
    }
    return pd.DataFrame({n: p / true for n, p in parts.items()}, index=pd.Index(wave, name="wavenumber"))


# ---- what SpecDiv sees ----------------------------------------------------------------------------------------------


def specdiv_parts(twin: Twin, name: str = "z500") -> dict[str, float]:
    """Whose power the published score weighs, mean over the times.

    Returns
    -------
    weight : share of the zonal mean in the power of all rings.
    weight_top : the same in the top decile of the wavenumbers.
    difference : SpecDiv of a field with the truth's zonal mean and the background's eddies over that of the background.
    whole, eddy : SpecDiv of the background, as published, and of eddies to wavenumber 42.
    """
    k, rows = twin.space.index(name), []
    for case in cases(twin):
        truth, background = (case.known[n][k] for n in ("truth", "background"))
        weather = eddies(truth)
        wave, power = radial_spectrum(truth)
        zonal = radial_spectrum(truth - weather)[1]
        top = wave >= torch.quantile(wave.double(), 0.9)
        half = spectral_divergence(truth - weather + eddies(background), truth)
        whole = spectral_divergence(background, truth)
        eddy = spectral_divergence(eddies(background), weather, largest=TRUNCATION)
        rows.append(
            {
                "weight": zonal.sum() / power.sum(),
                "weight_top": zonal[top].sum() / power[top].sum(),
                "difference": half / whole,
                "whole": whole,
                "eddy": eddy,
            }
        )
    return {key: float(np.mean([float(row[key]) for row in rows])) for key in rows[0]}
