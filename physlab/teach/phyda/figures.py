"""Pictures of background errors, of an analysis, of what SpecDiv sees, and of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from physlab.plot import PLAIN, draw_map, map_axes
from physlab.plot.projections import choose
from physlab.score import rmse
from physlab.score.analysis import TRUNCATION, eddies
from physlab.score.spectra import radial_spectrum
from physlab.teach.phyda.analysis import Bench, by_wavenumber, power_ratios
from physlab.teach.phyda.experiment import ABLATED, ABLATIONS, CLASSICAL, ablated, over_background
from physlab.teach.pictures import closed, plain_ticks
from physlab.views.twin import Twin, shown

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


def draw_errors(twin: Twin, name: str = "v500", time: int = 0) -> Figure:
    """A background error as a map, and its spectrum beside those of truth and background."""
    fig = plt.figure(figsize=(9.5, 3.1), layout="constrained")
    places = fig.add_gridspec(1, 2, width_ratios=(1.45, 1))
    left = fig.add_subplot(places[0], projection=choose(twin.space.latitude, twin.space.longitude))
    right = fig.add_subplot(places[1])
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
    return closed(fig)


# ---- an analysis, live ----------------------------------------------------------------------------------------------


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
    fig, axes = map_axes(2, 2, case.space.latitude, case.space.longitude, width=10.5, share=0.82)
    latitude, longitude = case.places
    for ax, (title, values) in zip(axes.flat, panels.items(), strict=True):
        spread = title.startswith("spread")
        limits = (0.0, width) if spread else (-top, top)
        mesh = draw_map(ax, values, case.space.latitude, case.space.longitude, limits, diverging=not spread)
        ax.plot(longitude, latitude, ".", color="w" if spread else "k", ms=1.6, transform=PLAIN)
        ax.set_title(title, fontsize=9)
        fig.colorbar(mesh, ax=ax, shrink=0.8).set_label(unit, fontsize=8)
    return closed(fig)


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
        plain_ticks(ax.yaxis, [0.1, 0.3, 1, 3])
        ax.set_title(name, fontsize=9)
    axes[0].set_ylabel("power / power of the truth")
    axes[0].legend(fontsize=8, frameon=False, loc="lower left")
    return closed(fig)


# ---- what SpecDiv sees ----------------------------------------------------------------------------------------------


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
    return closed(fig)


# ---- the benchmark --------------------------------------------------------------------------------------------------


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
        plain_ticks(ax.xaxis, [0.5, 1, 2, 5, 10])
    axes[1].set_yscale("log")
    low, high = axes[1].get_ylim()
    ticks = [t for t in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10) if low <= t <= high]
    plain_ticks(axes[1].yaxis, ticks)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, fontsize=8, frameon=False, loc="outside right center")
    return closed(fig)


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
    return closed(fig)


# ---- what it takes --------------------------------------------------------------------------------------------------


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
    return closed(fig)
