"""Variables refined together: what each gains, and how far the results are from the laws, as a picture and in words."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from physlab.benchmark.joint import (
    ADD,
    AFTERWARDS,
    ALONE,
    COLUMN,
    FACTOR,
    JOINT,
    LAWS,
    SHIPPED,
    STUDY,
    VARIABLES,
    column_of,
    laws,
    pairs,
)
from physlab.nn import bicubic
from physlab.teach.pictures import closed

WAYS = {
    (ALONE, AFTERWARDS): ("alone, column afterwards", "0.55"),
    (JOINT, ADD): ("joint, add", "#56a0d3"),
    (JOINT, AFTERWARDS): ("joint, column afterwards", "#c2571a"),
    (JOINT, COLUMN): ("joint, column", "#8a4f9e"),
}
LAW_TITLES = {
    "block means": "block means, largest error (relative)", "energy": "moist static energy of blocks (relative)",
    "energy of moist air": "the same of moist air, rms error (J kg⁻¹)", "negative humidity": "negative humidity (%)",
    "supersaturation": "above saturation (%)", "hydrostatic": "hydrostatic residual in blocks (J kg⁻¹)",
    "moisture flux": "moisture flux within blocks, error (relative)",
}  # fmt: skip


def gains_together(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over the seeds by model, constraint and variable, with the spread over seeds, the ends of the intervals and
    the least gain of a seed."""
    scores = runs[runs["what"].isin(VARIABLES)]
    by = scores.groupby(["model", "constraint", "what"], sort=False)
    made = by[["value", "gain", "gain_low", "gain_high"]].mean()
    return made.assign(spread=by["gain"].std(), least=by["gain"].min())


def laws_of(runs: pd.DataFrame) -> pd.DataFrame:
    """A line for each law, a column for each way and for the truth, means over the seeds."""
    part = runs[runs["what"].isin(LAWS)]
    table = part.pivot_table(index="what", columns=["model", "constraint"], values="value", sort=False)
    made = pd.DataFrame({", ".join(way): table[way] for way in table.columns})
    made["truth"] = part.groupby("what")["truth"].first()
    made = made.loc[list(LAWS)]
    made.loc[["negative humidity", "supersaturation"]] *= 100
    return made.rename(index=LAW_TITLES)


def draw_together(runs: pd.DataFrame) -> Figure:
    """Gain over each variable alone, with intervals: table of :data:`physlab.benchmark.joint.STUDY`."""
    table = 100 * gains_together(runs)
    figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
    for number, (way, (title, colour)) in enumerate(WAYS.items()):
        own = table.loc[way].loc[list(VARIABLES)]
        x = [place + 0.18 * (number - (len(WAYS) - 1) / 2) for place in range(len(VARIABLES))]
        ax.vlines(x, own["gain_low"], own["gain_high"], color=colour, lw=1.5)
        ax.plot(x, own["gain"], "o", color=colour, ms=4, label=title)
    ax.axhline(0, color="0.5", lw=0.8)
    ax.axhline(-2, color="0.5", lw=0.8, ls=":")
    ax.set_xticks(range(len(VARIABLES)), [name.replace("_", " ") for name in VARIABLES], fontsize=9)
    ax.set_ylabel("RMSE lower than alone by (%)", fontsize=9)
    figure.legend(*ax.get_legend_handles_labels(), fontsize=8, ncols=len(WAYS), loc="outside lower center")
    return closed(figure)


def interpolated_laws() -> dict[str, dict[str, float]]:
    """Layer -> how far interpolated states that ship are from the laws with it: no network and no training."""
    data = pairs(SHIPPED)
    made = bicubic(data.coarse["test"], FACTOR)
    fine, coarse = data.fine["test"], data.coarse["test"]
    return {layer: laws(column_of(layer, made, data), fine, coarse, data.weights) for layer in (ADD, COLUMN)}


def runs_together() -> pd.DataFrame:
    """The table that ships."""
    return STUDY.read()
