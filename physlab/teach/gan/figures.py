"""Pictures of the chapter on GANs and time: rank histograms, and a filament that moves."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from physlab.teach.gan.analysis import moving_filament
from physlab.teach.pictures import closed

# ---- ensembles ------------------------------------------------------------------------------------------------------


def draw_ranks(ranks: Mapping[str, Tensor], width: float = 8.0) -> Figure:
    """Rank histograms (M + 1,) as shares of the flat one; all panels share their axis."""
    figure, axes = plt.subplots(1, len(ranks), figsize=(width, 2.6), sharey=True, squeeze=False, layout="constrained")
    for ax, (name, found) in zip(axes.flat, ranks.items(), strict=True):
        counts = np.asarray(found, dtype=float)
        ax.bar(np.arange(len(counts)), counts / counts.mean(), color="C0", width=0.9)
        ax.axhline(1.0, color="black", lw=1, ls="--")
        ax.set_title(name, fontsize=9)
        ax.set_xlabel("rank of the truth among the members", fontsize=8)
        ax.tick_params(labelsize=7)
    axes.flat[0].set_ylabel("share (flat = 1)", fontsize=8)
    return closed(figure)


# ---- time -----------------------------------------------------------------------------------------------------------


def draw_filament(moved: float, width: float = 4.0) -> Figure:
    """The filament at both hours, and its middle hour: truth, linear in time, moved along."""
    profiles = moving_filament(moved, width)
    styles = {
        "first": ("0.7", "-"),
        "last": ("0.7", "-"),
        "truth": ("black", "-"),
        "linear": ("C3", "--"),
        "warped": ("C0", ":"),
    }
    figure, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
    for name, y in profiles.items():
        colour, line = styles[name]
        ax.plot(y.numpy(), line, color=colour, label=name, lw=1.4 if colour == "0.7" else 2)
    ax.set_xlabel("cells", fontsize=8)
    ax.set_ylabel("column water (kg m⁻²)", fontsize=8)
    ax.set_title(f"moved by {moved:g} cells, width {width:g}", fontsize=9)
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7)
    return closed(figure)
