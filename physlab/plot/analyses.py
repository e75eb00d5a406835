"""The pictures of the report of a method of assimilation: an analysis, errors by share and scale, losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from physlab.plot.spectra import draw_spectra
from physlab.plot.training import Sheet, map_rows, png, training
from physlab.score import radial_spectrum
from physlab.train.analysis.compare import SHARES, mean_of, seen

if TYPE_CHECKING:
    from physlab.train.analysis.run import Analysed
    from physlab.train.own.report import Picture

MOST = 4
"""Channels that are shown."""
LOOKS: dict[str, dict[str, Any]] = {"trained": {"lw": 2.4, "color": "black"}, "control": {"ls": "--", "color": "0.5"}}
"""Kind of a method -> how its line is drawn."""


def pictures(result: Analysed) -> list[Picture]:
    """All that a report shows."""
    pairs, space = result.data.test, result.data.space
    background, increment, columns = seen(pairs, SHARES[1])
    made = mean_of(result.method, background, columns)
    shown = np.linspace(0, len(space.channels) - 1, min(MOST, len(space.channels))).round().astype(int)
    with_units = [f"{space.names[c]} ({result.data.units.get(space.channels[c][0], '1')})" for c in shown]

    def si(x: torch.Tensor, c: int, scale: torch.Tensor) -> np.ndarray:
        return (x[0, c] * scale[c]).numpy()

    rows = []
    for c, label in zip(shown, with_units, strict=True):
        before = si(background, c, space.std) + float(space.mean[c])
        wanted, step = si(increment, c, space.error), si(made, c, space.error)
        y, x = np.nonzero(columns.mask[0, 0].numpy())
        rows.append(Sheet(label, space.latitude, space.longitude,
                          [before + wanted, before, before + step, wanted, step, wanted - step],
                          (space.latitude[y], space.longitude[x])))  # fmt: skip
    titles = ["truth", "background", "analysis", "truth - background", "increment", "truth - analysis"]
    dots = (
        f"{SHARES[1]:.0%} of the points observed (dots). Right: what the background lacks, what is added, what is left."
    )
    found = [("One analysis of the test block", dots, png(map_rows(titles, rows, 3)))]
    line = "Mean square error over that of the background, as in the table: below the dotted line it is better."
    found.append(("Error by share of observed points", line, png(shares(result))))
    for c, label in zip(shown[:1], with_units, strict=False):
        lines = {}
        for name, field in (("background", increment[:, c]), ("analysis", (increment - made)[:, c])):
            k, power = radial_spectrum(field.double() * float(space.error[c]), window="hann")
            lines[f"error of the {name}"] = (k.numpy(), power.mean(0).numpy())
        where = (
            "Mean power of the errors over the test pairs: an analysis below the background has learned of that scale."
        )
        found.append((f"{label}: errors by scale", where, png(draw_spectra(lines))))
    return found + training({"training": result.method.card["history"]})


def shares(result: Analysed) -> Figure:
    """A line for each method."""
    figure, ax = plt.subplots(figsize=(6.0, 3.7), layout="constrained")
    for row in result.rows:
        if row.name == "background":
            continue
        mine = LOOKS.get(row.kind, {})
        ax.plot([100 * s for s in row.scores], list(row.scores.values()), marker="o", ms=4, label=row.name, **mine)
    ax.axhline(1, color="0.3", ls=":", lw=1)
    ax.set(xscale="log", xlabel="observed points (%)", ylabel="mean square error / background")
    ax.grid(alpha=0.25)
    ax.legend(fontsize=8)
    plt.close(figure)
    return figure
