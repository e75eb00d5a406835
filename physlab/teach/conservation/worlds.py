"""Layers where nothing was learned: what they gain over no layer, world by world, as a picture."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from physlab import registry
from physlab.benchmark.transfer import AFTERWARDS, LABORATORY, LAYERS, WORLDS
from physlab.teach.pictures import closed

TITLES = {
    "laboratory": "laboratory", "era5": "ERA5, a day", "nam": "NAM, an instant", "radar": "radar rain",
}  # fmt: skip


def gains_of(runs: pd.DataFrame, train: str = LABORATORY, factor: int = 4, model: str = "compact") -> pd.DataFrame:
    """Rows of the networks of a world, by world and layer, without the layer "none" itself."""
    chosen = runs[(runs["train"] == train) & (runs["factor"] == factor) & (runs["model"] == model)]
    return chosen[chosen["constraint"] != "none"].set_index(["test", "constraint"])


def layers_in_words(row: pd.Series) -> str:
    """A gain in per cent with its interval."""
    return f"{100 * row['layer']:+.1f} % [{100 * row['layer_low']:+.1f}, {100 * row['layer_high']:+.1f}]"


def draw_worlds(runs: pd.DataFrame, trains: tuple[str, ...] = (LABORATORY, "radar"), lowest: float = -8.0) -> Figure:
    """Gain of each layer over the same network without one, with intervals, a panel for each training world.

    Parameters
    ----------
    runs : table of :data:`physlab.benchmark.transfer.STUDY`.
    lowest : per cent at which the axis ends; what lies below is written there as a number.
    """
    trains = tuple(train for train in trains if len(gains_of(runs, train)))
    figure, axes = plt.subplots(1, len(trains), figsize=(9, 3.8), sharey=True, squeeze=False, layout="constrained")
    colours = {name: spec.colour or "0.4" for name, spec in registry.specs("constraints").items()}
    names = [*LAYERS[1:], AFTERWARDS]
    for ax, train in zip(axes[0], trains, strict=True):
        table = gains_of(runs, train)
        for place, world in enumerate(WORLDS):
            for number, name in enumerate(names):
                if (world, name) not in table.index:
                    continue
                row = 100 * table.loc[(world, name), ["layer", "layer_low", "layer_high"]].astype(float)
                x = place + 0.13 * (number - (len(names) - 1) / 2)
                colour = "k" if name == AFTERWARDS else colours[name]
                if row["layer"] < lowest:
                    ax.text(x, lowest, f"{row['layer']:.0f}", color=colour, fontsize=7, ha="center", va="bottom")
                    continue
                ax.plot([x, x], row[["layer_low", "layer_high"]], color=colour, lw=1.5)
                ax.plot(x, row["layer"], "s" if name == AFTERWARDS else "o", color=colour, ms=4)
        ax.axhline(0, color="0.5", lw=0.8)
        ax.set_xticks(range(len(WORLDS)), [TITLES[world] for world in WORLDS], fontsize=8)
        ax.set_title(f"trained on {TITLES[train].split(',')[0]}", fontsize=9)
        ax.set_ylim(lowest, None)
    axes[0][0].set_ylabel("gain over no layer (%)", fontsize=8)
    for name in names:
        mark, colour = ("s", "k") if name == AFTERWARDS else ("o", colours[name])
        axes[0][-1].plot([], [], mark, color=colour, ms=4, label=name)
    figure.legend(*axes[0][-1].get_legend_handles_labels(), fontsize=7, ncols=len(names), loc="outside lower center")
    return closed(figure)
