"""The chapter on diffusion and PhyDA, on the globe: what background errors are, an analysis live, and the benchmark.

The states are those of the twin experiment that ships; the scores are read from the table of the benchmark, which may
hold fewer seeds or methods than planned: what is not there is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import xarray as xr
from matplotlib.figure import Figure

from physlab.assimilate.latent import LatentMethod
from physlab.assimilate.learned import Learned
from physlab.benchmark.assimilation import MAIN, assimilation_summary
from physlab.benchmark.divergence import divergence_summary
from physlab.benchmark.twin import Case, Twin, shown, spectrum
from physlab.plot.maps import draw_map
from physlab.score import rmse
from physlab.score.analysis import TRUNCATION, eddies
from physlab.score.spectra import radial_spectrum, spectral_divergence

CLASSICAL = ("3D-Var", "LETKF")
UNCENTRED = ("SDA", "SLAM", "PhyDA without VRE")  # the mean of their draws is all they know of the mean
ABLATIONS = ("PhyDA", "PhyDA without PRDO", "PhyDA, convolution for VRE", "PhyDA without VRE")
# Table 1 of arXiv 2505.12882: SpecDiv of z500, MSE in 1e-2, RMSE of z500
PUBLISHED = {
    "background": (0.153, 2.88, 45.455),
    "Adas": (0.116, 2.31, 30.100),
    "ConvCNP": (0.125, 2.49, 31.253),
    "FNP": (0.063, 2.30, 28.500),
    "VAE-Var": (0.052, 2.31, 27.000),
    "SDA": (0.117, 2.65, 38.000),
    "SLAM": (0.091, 2.55, 32.500),
    "PhyDA": (0.031, 2.28, 26.866),
}
COLOURS = {
    "3D-Var": "k",
    "LETKF": "0.45",
    "VAE-Var": "C2",
    "Adas": "C8",
    "ConvCNP": "C5",
    "FNP": "C6",
    "SDA": "C9",
    "SLAM": "C1",
    "PhyDA": "C3",
}

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


def draw_errors(twin: Twin, name: str = "v500", time: int = 0) -> Figure:
    """A background error as a map, and its spectrum beside those of truth and background."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.1), layout="constrained", width_ratios=(1.45, 1))
    case, k, (factor, unit) = twin.case(time), twin.space.index(name), shown(name)
    error = factor * (case.known["truth"] - case.known["background"])[k]
    top = float(error.abs().quantile(0.995))
    mesh = draw_map(left, error, twin.space.latitude, twin.space.longitude, limits=(-top, top), diverging=True)
    fig.colorbar(mesh, ax=left, shrink=0.8).set_label(unit, fontsize=8)
    left.set_title(f"truth - background, {name}", fontsize=9)
    found = factor**2 * by_wavenumber(twin, name)
    for column, colour, line in (("truth", "k", "-"), ("background", "C0", "-"), ("error", "C3", "--")):
        right.plot(found.index, found[column], color=colour, ls=line, label=column)
    right.set(xscale="log", yscale="log", xlabel="zonal wavenumber", ylabel=f"power, ({unit})²")
    right.legend(fontsize=8, frameon=False)
    plt.close(fig)
    return fig


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
            analysis = self.method.analyse(case.background, case.observations, self.members)
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


def draw_analysis(bench: Bench, share: float, name: str = "z500") -> Figure:
    """Error before and after, increment and spread of one field, with the stations."""
    (case, analysis), k, (factor, unit) = bench(share), bench.twin.space.index(name), shown(name)
    truth, background = (factor * case.known[n][k] for n in ("truth", "background"))
    made = factor * case.fields(analysis)[:, k]
    before, after = (float(rmse(x, truth, case.space.area)) for x in (background, made.mean(0)))
    panels = {
        f"truth - background, RMSE {before:.3g} {unit}": truth - background,
        f"increment, {share:g} % of the columns": made.mean(0) - background,
        f"truth - analysis, RMSE {after:.3g} {unit}": truth - made.mean(0),
        f"spread of {len(made)} members": made.std(0),
    }
    top, width = float((truth - background).abs().quantile(0.995)), float(made.std(0).quantile(0.99))
    fig, axes = plt.subplots(2, 2, figsize=(10.5, 5.2), layout="constrained", sharex=True, sharey=True)
    latitude, longitude = case.places
    for ax, (title, values) in zip(axes.flat, panels.items(), strict=True):
        spread = title.startswith("spread")
        limits = (0.0, width) if spread else (-top, top)
        mesh = draw_map(ax, values, case.space.latitude, case.space.longitude, limits, diverging=not spread)
        ax.plot(longitude, latitude, ".", color="w" if spread else "k", ms=1.6)
        ax.set_title(title, fontsize=9)
        fig.colorbar(mesh, ax=ax, shrink=0.8).set_label(unit, fontsize=8)
    plt.close(fig)
    return fig


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


def draw_power(bench: Bench, share: float, names: Sequence[str] = ("v500", "q700")) -> Figure:
    """Power over that of the truth, for some fields."""
    fig, axes = plt.subplots(1, len(names), figsize=(9.5, 2.9), layout="constrained", sharey=True)
    for ax, name in zip(axes, names, strict=True):
        found = power_ratios(bench, share, name).rolling(3, center=True, min_periods=1).mean()
        for (column, values), colour, line in zip(found.items(), ("C0", "C3", "C3"), ("-", "-", "--"), strict=True):
            ax.plot(found.index, values, color=colour, ls=line, label=column)
        ax.axhline(1, color="k", lw=1)
        ax.set(xscale="log", yscale="log", ylim=(0.05, 3), xlabel="zonal wavenumber")
        ax.set_xticks([1, 3, 10, 30], ["1", "3", "10", "30"])
        ax.set_yticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
        ax.minorticks_off()
        ax.set_title(name, fontsize=9)
    axes[0].set_ylabel("power / power of the truth")
    axes[0].legend(fontsize=8, frameon=False, loc="lower left")
    plt.close(fig)
    return fig


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


def draw_specdiv(twin: Twin, name: str = "z500", time: int = 0) -> Figure:
    """The radial spectrum of a lat-lon field taken as periodic: whole field, its zonal mean, its eddies."""
    fig, ax = plt.subplots(figsize=(7.5, 3), layout="constrained")
    truth = twin.case(time).known["truth"][twin.space.index(name)]
    weather = eddies(truth)
    for field_, label, colour, line in (
        (truth, "whole field", "k", "-"),
        (truth - weather, "its zonal mean", "C0", "--"),
        (weather, "what is left, the weather", "C3", "-"),
    ):
        wave, power = radial_spectrum(field_)
        shown_ = power > 1e-8 * power.max()  # a zonal mean has every other ring empty
        ax.plot(wave[shown_], power[shown_], color=colour, ls=line, marker=".", ms=4, lw=1, label=label)
    ax.axvspan(57.5, 64.5, color="0.9", lw=0, label="top decile")
    ax.axvline(TRUNCATION + 0.5, color="0.5", ls=":", lw=1, label="the model ends here")
    ax.set(xscale="log", yscale="log", xlabel="wavenumber of the transform", ylabel="power")
    ax.legend(fontsize=8, frameon=False, ncols=2)
    plt.close(fig)
    return fig


# ---- the benchmark --------------------------------------------------------------------------------------------------


def ranked(runs: pd.DataFrame, share: float = MAIN[0], noise: float = MAIN[1]) -> pd.DataFrame:
    """The summary of a setting, one row per method with its name as index, ablations left out, best MSE first."""
    found = assimilation_summary(runs, share, noise).set_index("model")
    return found[~found.index.isin(ABLATIONS[1:])].sort_values("mse")


def _with_spread(value: float, spread: float, digits: int = 2) -> str:
    if value != value:
        return ""
    return f"{value:.{digits}f}" + (f" ± {spread:.{digits}f}" if spread == spread else "")


def scores(runs: pd.DataFrame, share: float = MAIN[0], noise: float = MAIN[1]) -> pd.DataFrame:
    """The table for readers: mean ± standard deviation over seeds; errors and SpecDiv in those of the background."""
    found = ranked(runs, share, noise)
    base, rows = found.loc["background"], {}
    for name, row in found.iterrows():
        relative = lambda key: _with_spread(row[key] / base[key], row[f"{key}_spread"] / base[key], 3)  # noqa: E731, B023
        law = "residual_geostrophic"
        rows[name] = {
            "MSE": relative("mse"),
            "z500": relative("rmse_z500"),
            "CRPS": relative("crps"),
            "spread/skill": _with_spread(row["spread_skill"], row["spread_skill_spread"]),
            "SpecDiv": relative("specdiv"),
            "SpecDiv, eddies": relative("specdiv_eddy"),
            "imbalance": _with_spread(row[law], row[f"{law}_spread"], 3),
            "s per state": f"{row['s_per_state']:.2f}",
        }
    return pd.DataFrame(rows).T


def best(runs: pd.DataFrame, column: str, share: float = MAIN[0], noise: float = MAIN[1]) -> tuple[str, str, bool]:
    """Of a score that should be low: the best method, the next one, and whether they differ by more than the spreads.

    The spread is the larger of both standard deviations over seeds.
    """
    found = ranked(runs, share, noise).drop(index="background", errors="ignore").sort_values(column)
    found = found[found[column].notna()]
    if len(found) < 2:
        return (found.index[0] if len(found) else "nobody"), "nobody", False
    first, second = found.iloc[0], found.iloc[1]
    spread = np.nanmax([0.0, first[f"{column}_spread"], second[f"{column}_spread"]])
    return found.index[0], found.index[1], bool(second[column] - first[column] > spread)


COLUMNS = {
    "mse": "mean square error",
    "rmse_z500": "height at 500 hPa",
    "crps": "CRPS",
    "specdiv": "SpecDiv as published",
    "specdiv_eddy": "SpecDiv of the eddies",
}


def winners(runs: pd.DataFrame) -> list[str]:
    """A sentence about each column of the main setting, and one about the methods that are not learned."""
    said, classical = [], []
    for column, name in COLUMNS.items():
        first, second, clear = best(runs, column)
        said.append(f"{name}: **{first}**" + ("" if clear else f" (not beyond the spread over seeds from {second})"))
        classical += [name] if first in CLASSICAL else []
    end = (
        f"Methods without a network win {_list(classical)}."
        if classical
        else "No method without a network wins any of these columns."
    )
    return ["Who is lowest? " + "; ".join(said) + ".", end]


def by_density(runs: pd.DataFrame) -> list[str]:
    """Who has the lowest mean square error at each share of exact columns."""
    said = []
    for share in sorted(runs.loc[runs["noise"] == 0, "share"].unique(), reverse=True):
        first, second, clear = best(runs, "mse", share)
        said.append(f"{100 * share:g} %: {first}" + ("" if clear else f" (with {second})"))
    return ["Lowest mean square error by density: " + "; ".join(said) + "."]


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def draw_shares(runs: pd.DataFrame) -> Figure:
    """Mean square error and SpecDiv of the eddies over those of the background, by share of exact columns."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    exact = runs[runs["noise"] == 0]
    base = exact[exact["model"] == "background"].set_index("share")
    for model, colour in COLOURS.items():
        part = exact[exact["model"] == model]
        if part.empty or base.empty:
            continue
        classical = model in CLASSICAL
        for ax, column in zip(axes, ("mse", "specdiv_eddy"), strict=True):
            ratio = part.assign(y=part[column] / part["share"].map(base[column])).groupby("share")["y"]
            mean, spread = ratio.mean(), ratio.std().fillna(0)
            ax.errorbar(
                100 * mean.index,
                mean,
                spread,
                color=colour,
                ls="--" if classical else "-",
                marker="o",
                ms=3.5,
                lw=2 if model == "PhyDA" else 1.2,
                capsize=2,
                label=model,
            )
    for ax, title in zip(axes, ("MSE / background", "SpecDiv of the eddies / background"), strict=True):
        ax.axhline(1, color="0.4", ls=":", lw=1)
        ax.set(xscale="log", xlabel="columns observed (%)", ylabel=title)
        ax.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
        ax.minorticks_off()
    axes[1].set_yscale("log")
    low, high = axes[1].get_ylim()
    ticks = [t for t in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10) if low <= t <= high]
    axes[1].set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes[1].minorticks_off()
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, fontsize=8, frameon=False, loc="outside right center")
    plt.close(fig)
    return fig


ABLATED = {
    "mse": "MSE / background",
    "crps": "CRPS / background",
    "specdiv_eddy": "SpecDiv of eddies / background",
    "residual_geostrophic": "imbalance / truth's",
}


def ablated(runs: pd.DataFrame) -> pd.DataFrame:
    """Every run of PhyDA and of its ablations at the main setting, the scores of :data:`ABLATED`."""
    main = runs[(runs["share"] == MAIN[0]) & (runs["noise"] == MAIN[1])]
    base = main[main["model"] == "background"].iloc[0]
    part = main[main["model"].isin(ABLATIONS)][["model", "seed", *ABLATED]].copy()
    for column in ("mse", "crps", "specdiv_eddy"):
        part[column] /= base[column]
    return part


def draw_ablations(runs: pd.DataFrame) -> Figure:
    """A dot for each seed, a bar at the mean."""
    part = ablated(runs)
    fig, axes = plt.subplots(1, len(ABLATED), figsize=(10.5, 2.4), layout="constrained", sharey=True)
    for ax, (column, title) in zip(axes, ABLATED.items(), strict=True):
        for row, model in enumerate(ABLATIONS):
            values = part.loc[part["model"] == model, column]
            ax.plot(values, np.full(len(values), -row), "o", color="C3" if row == 0 else "0.3", ms=5, alpha=0.7)
            if len(values):
                ax.plot([values.mean()] * 2, [-row - 0.3, -row + 0.3], color="C3" if row == 0 else "0.3", lw=1.5)
        ax.set_title(title, fontsize=9)
        ax.set(yticks=[-k for k in range(len(ABLATIONS))], yticklabels=ABLATIONS, ylim=(-len(ABLATIONS) + 0.4, 0.6))
        ax.tick_params(labelsize=8)
        ax.locator_params(axis="x", nbins=3)
    plt.close(fig)
    return fig


def ablation_words(runs: pd.DataFrame) -> list[str]:
    """What leaving out each part does: percentages, and which of them exceed the spread over seeds."""
    part, said = ablated(runs), []
    full = part[part["model"] == "PhyDA"]
    for model in ABLATIONS[1:]:
        without = part[part["model"] == model]
        if without.empty or full.empty:
            continue
        worse, better, numbers = [], [], []
        for column, title in ABLATED.items():
            name, change = title.split(" /")[0], without[column].mean() - full[column].mean()
            spread = np.nanmax([0.0, full[column].std(), without[column].std()])
            numbers.append(f"{name} {100 * change / full[column].mean():+.1f} %")
            if min(len(full), len(without)) > 1 and abs(change) > spread:
                (worse if change > 0 else better).append(name)
        verdict = [f"{word} {_list(names)}" for word, names in (("worse", worse), ("better", better)) if names]
        end = f"beyond the spread over seeds: {', '.join(verdict)}" if verdict else "all within the spread over seeds"
        said.append(f"**{model}**: {', '.join(numbers)}; {end}.")
    return said or ["The table has no ablation yet."]


def flatness(runs: pd.DataFrame) -> str:
    """Mean square error over that of the background at the least and the largest density, PhyDA beside 3D-Var."""
    shares = sorted(runs.loc[runs["noise"] == 0, "share"].unique())
    few, many = (ranked(runs, share)["mse"] for share in (shares[0], shares[-1]))
    said = [f"{model} goes from {few[model] / few['background']:.2f} to {many[model] / many['background']:.2f}"
            for model in ("PhyDA", "3D-Var") if model in few and model in many]  # fmt: skip
    if not said:
        return ""
    end = "."
    gain = {model: few[model] - many[model] for model in ("PhyDA", "3D-Var")} if len(said) == 2 else {}
    if gain and few["PhyDA"] < few["3D-Var"] and gain["PhyDA"] < gain["3D-Var"]:
        end = ": who gains most from stations is not who is best without them."
    return f"Between {100 * shares[0]:g} and {100 * shares[-1]:g} % of the columns the mean square error of " + (
        ", that of ".join(said) + end
    )


def of_many(runs: pd.DataFrame) -> pd.Series:
    """Mean square error over the background's that infinitely many members would have, main setting, by method.

    For independent draws about their mean that of M members is m + v / M and that of one m + v. Only of methods whose
    members are draws: where they lie about a known centre, their mean is that centre.
    """
    found = assimilation_summary(runs).set_index("model")
    M = runs[(runs["share"] == MAIN[0]) & (runs["noise"] == MAIN[1])].groupby("model")["members"].first()
    made = {n: (M[n] * found["mse"][n] - found["mse_member"][n]) / (M[n] - 1) for n in UNCENTRED if n in found.index}
    return pd.Series(made, dtype=float) / found["mse"]["background"]


def sampling(runs: pd.DataFrame) -> str:
    """What the sampling error of few draws costs."""
    many, found = of_many(runs), assimilation_summary(runs).set_index("model")["mse"]
    if many.empty:
        return ""
    said = [f"{name} {found[name] / found['background']:.2f} ({value:.2f})" for name, value in many.items()]
    return f"MSE as scored, and in brackets what infinitely many draws would have: {', '.join(said)}."


# ---- what it takes --------------------------------------------------------------------------------------------------


def over_background(runs: pd.DataFrame) -> pd.DataFrame:
    """Means and spreads by model, steps and temperature; errors and SpecDiv in those of the background.

    `runs` are those of :func:`physlab.benchmark.divergence.read_divergence`.
    """
    table = divergence_summary(runs)
    base = table[table["model"] == "background"].iloc[0]
    for name in ("specdiv", "mse", "crps"):
        table[[name, f"{name}_spread"]] /= base[name]
    return table[table["model"] != "background"].set_index(["model", "steps", "temperature"]).sort_index()


def draw_temperatures(runs: pd.DataFrame) -> Figure:
    """SpecDiv over the background's against the temperature of PhyDA, and spread over skill."""
    table = over_background(runs)
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    lengths = sorted(table.loc["PhyDA"].index.unique("steps"))
    for steps, style in zip(lengths, ("--", "-"), strict=False):
        part = table.loc[("PhyDA", steps)]
        for ax, column in zip(axes, ("specdiv", "spread_skill"), strict=True):
            ax.errorbar(part.index, part[column], part[f"{column}_spread"].fillna(0), color=COLOURS["PhyDA"], ls=style,
                        marker="o", ms=4, capsize=2, label=f"PhyDA, {steps} steps")  # fmt: skip
        for model in ("Adas", "ConvCNP"):
            if (model, steps, 0.0) in table.index:
                value = table.loc[(model, steps, 0.0), "specdiv"]
                axes[0].axhline(value, color=COLOURS[model], ls=style, lw=1.2, label=f"{model}, {steps} steps")
    axes[0].axhline(0.031 / 0.153, color="0.5", ls=":", lw=1.5, label="PhyDA, as published")
    axes[0].set(ylabel="SpecDiv of z500 / background", ylim=(0, None))
    axes[1].axhline(1, color="0.5", ls=":", lw=1.5)
    axes[1].set(ylabel="spread / skill", ylim=(0, None))
    for ax in axes:
        ax.set_xlabel("temperature: 0 is the centre, 1 what was learned")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, fontsize=8, frameon=False, loc="outside right center")
    plt.close(fig)
    return fig


def what_it_takes(runs: pd.DataFrame) -> list[str]:
    """What longer training and a lower temperature do for SpecDiv, and whether the published gain is reached."""
    table, asked, told = over_background(runs), 1 - 0.031 / 0.153, []
    lengths = sorted(table.loc["PhyDA"].index.unique("steps"))
    off = lambda row: _with_spread(100 * (1 - row["specdiv"]), 100 * row["specdiv_spread"], 1) + " %"  # noqa: E731
    for steps in lengths:
        whole, centre = (table.loc[("PhyDA", steps, t)] for t in (1.0, 0.0))
        others = [f"{m} {off(table.loc[key])}" for m in ("Adas", "ConvCNP") if (key := (m, steps, 0.0)) in table.index]
        told.append(f"{steps} steps: members {off(whole)}, centre {off(centre)}; {', '.join(others)}.")
    centres = table.xs(0.0, level="temperature").sort_values("specdiv")
    first, second = centres.iloc[0], centres.iloc[1]
    name = f"{centres.index[0][0]} after {centres.index[0][1]} steps"
    spread = np.nanmax([0.0, first["specdiv_spread"], second["specdiv_spread"]])
    clear = second["specdiv"] - first["specdiv"] > spread
    doubt = "" if clear else ", not beyond the spread over seeds"
    if min(first["seeds"], second["seeds"]) < 2:
        doubt = ", with one seed: what the spread is, nobody knows"
    reached = [f"{m} after {s} steps" for (m, s), row in centres.iterrows() if 1 - row["specdiv"] >= asked]
    last = table.loc[("PhyDA", lengths[-1])]
    told.append(
        f"The published {100 * asked:.1f} % " + (f"are reached by the single fields of {_list(reached)}" if reached else
        "are reached by nobody") + f"; lowest is {name}{doubt}."
    )  # fmt: skip
    told.append(
        f"Halfway to the centre, after {lengths[-1]} steps, the SpecDiv of members goes from "
        f"{last.loc[1.0, 'specdiv']:.3f} to {last.loc[0.5, 'specdiv']:.3f}, spread over skill from "
        f"{last.loc[1.0, 'spread_skill']:.2f} to {last.loc[0.5, 'spread_skill']:.2f}, CRPS from "
        f"{last.loc[1.0, 'crps']:.3f} to {last.loc[0.5, 'crps']:.3f}."
    )
    return told


def below_phyda(runs: pd.DataFrame, column: str = "specdiv") -> list[str]:
    """Methods whose mean score is lower than that of PhyDA."""
    found = ranked(runs)[column]
    return list(found.index[found < found["PhyDA"]]) if "PhyDA" in found else []


def beside_the_paper(runs: pd.DataFrame) -> pd.DataFrame:
    """What each method takes off the background's scores, in per cent: the paper's Table 1 and here."""
    found, rows = ranked(runs), {}
    for model, values in PUBLISHED.items():
        if model == "background":
            continue
        row, off = {}, [100 * (1 - a / b) for a, b in zip(values, PUBLISHED["background"], strict=True)]
        for name, column, paper in zip(
            ("SpecDiv", "MSE", "RMSE of z500"), ("specdiv", "mse", "rmse_z500"), off, strict=True
        ):
            row[f"{name}, paper"] = f"{paper:.1f}"
            here = 100 * (1 - found[column] / found.loc["background", column])
            row[f"{name}, here"] = f"{here[model]:.1f}" if model in here else ""
        rows[model] = row
    return pd.DataFrame(rows).T
