"""Real rain: what each method gains over interpolation, as a picture of seeds and intervals."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from physlab.teach.pictures import closed

#: What the chapter shows of the table: method and layer.
RAIN = [
    ("bicubic", "none"), ("bicubic", "mult"), ("linear", "mult"), ("mlp", "mult"), ("quantile regression", "none"),
    ("analog", "none"), ("compact", "none"), ("compact", "add"), ("compact", "mult"), ("compact", "softmax"),
    ("noise", "none"), ("noise", "mult"), ("noise", "softmax"),
]  # fmt: skip


def draw_showers(runs: pd.DataFrame, rows: Sequence[tuple[str, str]]) -> Figure:
    """CRPS and FSS against bicubic+mult, a dot for each seed with its interval over places.

    Parameters
    ----------
    runs : table of :data:`physlab.benchmark.rain.STUDY`, one factor.
    rows : (model, constraint) from above.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 0.34 * len(rows) + 1.0), sharey=True, layout="constrained")
    scores = (("crps", 100.0, "CRPS lower by (%)"), ("fss", 1.0, "FSS at 8 mm/h and 5 km higher by"))
    for ax, (score, unit, title) in zip(axes, scores, strict=True):
        for place, (model, constraint) in enumerate(rows):
            own = runs[(runs["model"] == model) & (runs["constraint"] == constraint)]
            colour = "#0b6b4f" if len(own) > 1 else "0.35"
            for number, (_, row) in enumerate(own.iterrows()):
                y = place + 0.2 * (number - (len(own) - 1) / 2)
                ax.plot([unit * row[f"{score}_{end}_bicubic"] for end in ("low", "high")], [y, y], color=colour, lw=1.2)
                ax.plot(unit * row[f"{score}_gain_bicubic"], y, "o", color=colour, ms=3.5)
        ax.axvline(0, color="0.5", lw=0.8)
        ax.set_xlabel(title, fontsize=9)
    axes[0].set_yticks(range(len(rows)), [f"{model}, {constraint}" for model, constraint in rows], fontsize=8)
    axes[0].invert_yaxis()
    return closed(figure)
