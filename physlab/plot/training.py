"""The pictures of the report of a training: maps, spectra, ranks and losses.

:func:`map_rows` and :func:`training` serve the reports of continuous fields and of assimilation too.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from physlab.plot.maps import draw_map
from physlab.plot.spectra import draw_spectra

if TYPE_CHECKING:
    from physlab.train.own.report import Picture
    from physlab.train.own.result import Result


def pictures(result: Result) -> list[Picture]:
    """All that a report shows."""
    found = []
    for number, name in enumerate(result.own.scores):
        found.append((f"{name}: some test times", CAPTION, png(maps(result, number, name))))
    for name in result.own.scores:
        found.append((f"{name}: spectra", "Mean power over the test samples, Hann window. Right of the dotted line the "
                      "coarse field knows nothing.", png(spectra(result, name))))  # fmt: skip
    if result.own.ranks:
        found.append(("Calibration", "Rank of the truth among the members: flat for a reliable ensemble, raised at "
                                     "both "
                      "ends for one whose spread is too small.", png(ranks(result))))  # fmt: skip
    return found + training(result.trained[result.chosen].stages)


def training(stages: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Picture]:
    """The losses of the stages that have some."""
    some = {stage: history for stage, history in stages.items() if len(history) > 1}
    return [("Training", "Loss and validation along the steps.", png(losses(some)))] if some else []


CAPTION = "Truth, what the method is given, what it makes of it, and the difference to the truth."


def maps(result: Result, number: int, name: str) -> Figure:
    """Rows of truth, coarse field, prediction (a member and the mean, of an ensemble) and error."""
    data, row = result.shown, result.own
    assert row.shown is not None
    picked = np.linspace(0, len(result.at) - 1, row.shown.shape[1]).round().astype(int)
    titles = ["truth", "coarse", *(["one member", "another"] if len(row.shown) > 1 else ["prediction"]), "error"]
    rows = []
    for r, sample in enumerate(picked):
        channel = number if data.step is None else data.fine["test"].shape[1] // 2
        truth = data.fine["test"][sample, channel].numpy()
        made = [row.shown[m, r, channel].numpy() for m in range(len(row.shown))]
        fields = [truth, data.all_coarse("test")[sample, channel].numpy(), *made, made[0] - truth]
        label = str(data.time["test"][sample])[:16]
        rows.append(Sheet(label, data.latitude, data.longitude["test"][sample], fields))
    return map_rows(titles, rows)


@dataclass(frozen=True, eq=False)
class Sheet:
    """A row of maps: what stands at its left, axes (H,) and (W,) in degrees, fields, coarser ones too, and places
    (latitude, longitude) that are marked on the first map of differences."""

    label: str
    latitude: np.ndarray
    longitude: np.ndarray
    fields: list[np.ndarray]
    marks: tuple[np.ndarray, np.ndarray] | None = None


def map_rows(titles: Sequence[str], rows: Sequence[Sheet], signed: int = 1) -> Figure:
    """Maps beside each other: the fields of a row share their colours, and so do the last `signed`, differences."""
    columns, first = len(titles), len(titles) - signed
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(2.7 * columns, 2.5 * len(rows)), squeeze=False, layout="constrained"
    )
    for r, row in enumerate(rows):
        plain = np.concatenate([np.ravel(f) for f in row.fields[:first]])
        low, high = np.nanquantile(plain, [0.005, 0.995])
        top = float(np.nanquantile(np.abs(np.concatenate([np.ravel(f) for f in row.fields[first:]])), 0.995)) or 1.0
        limits = (float(low), float(high if high > low else low + 1))
        for c, (title, values) in enumerate(zip(titles, row.fields, strict=True)):
            ax, last = axes[r, c], c >= first
            mesh = draw_map(ax, values, row.latitude, row.longitude, (-top, top) if last else limits, diverging=last)
            ax.set_xticks([])
            ax.set_yticks([])
            if row.marks is not None and c == first:
                ax.scatter(row.marks[1], row.marks[0], s=5, color="black", linewidths=0)
            if r == 0:
                ax.set_title(title, fontsize=10)
            if c == 0:
                ax.set_ylabel(row.label, fontsize=8)
            if c in (0, columns - 1):
                figure.colorbar(mesh, ax=ax, shrink=0.8).ax.tick_params(labelsize=7)
    plt.close(figure)
    return figure


def spectra(result: Result, name: str) -> Figure:
    """Truth, best baseline, control and what was trained."""
    wanted = [result.row(result.best[name]), *(r for r in result.rows if r.kind == "control"), result.own]
    lines = {"truth": result.truth[name]} | {r.name: r.spectrum[name] for r in wanted}
    cutoff = max(result.data.shape) / (2 * result.data.factor)
    units = result.data.units_of(name)
    return draw_spectra(lines, cutoff=cutoff, units=f"({units})²")


def ranks(result: Result) -> Figure:
    """A histogram for each variable."""
    found = result.own.ranks
    figure, axes = plt.subplots(1, len(found), figsize=(5.2 * len(found), 2.8), squeeze=False, layout="constrained")
    for ax, (name, counts) in zip(axes[0], found.items(), strict=True):
        share = counts / max(counts.sum(), 1)
        ax.bar(np.arange(len(share)), share, color="#3b7dbf")
        ax.axhline(1 / len(share), color="0.3", ls=":", lw=1)
        ax.set(title=name, xlabel="rank of the truth", ylabel="share")
    plt.close(figure)
    return figure


def losses(stages: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """A panel for each stage with the entries of its history."""
    figure, axes = plt.subplots(
        1, len(stages), figsize=(max(5.2, 3.4 * len(stages)), 2.8), squeeze=False, layout="constrained"
    )
    for ax, (stage, history) in zip(axes[0], stages.items(), strict=True):
        names = [n for n in dict.fromkeys(k for entry in history for k in entry) if n not in ("step", "rate")]
        for name in names:
            points = [(e["step"], e[name]) for e in history if name in e]
            ax.plot(*zip(*points, strict=True), label=name.replace("_", " "), lw=1.4)
        ax.set(title=stage, xlabel="step")
        ax.grid(alpha=0.25)
        ax.legend(fontsize=8)
    plt.close(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The picture as a file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=96)
    return stream.getvalue()
