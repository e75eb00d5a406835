"""The pictures of the report of a continuous field: maps at a given and a withheld time, spectra and losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.figure import Figure

from physlab.plot.spectra import draw_spectra
from physlab.plot.training import Sheet, map_rows, png, training
from physlab.score import radial_spectrum

if TYPE_CHECKING:
    from physlab.phydl.own import Fitted
    from physlab.train.own.report import Picture


def pictures(result: Fitted) -> list[Picture]:
    """All that a report shows."""
    found = []
    times = "a time that was given, and one that was not" if len(withheld(result)) else "a time that was given"
    for name in result.data.names:
        found.append((f"{name}: {times}", CAPTION, png(maps(result, name))))
    power = (
        "Mean power over the times, withheld ones where there are some, Hann window. Right of the dotted line the "
        "coarse field knows nothing."
    )
    for name in result.data.names:
        found.append((f"{name}: spectra", power, png(spectra(result, name))))
    return found + training({"fit": result.model.card["training"]["history"]})


CAPTION = (
    "Truth, the coarse field that is fitted (at a withheld time the method does not see it), bicubic interpolation "
    "with its block means set right (linear in time), the continuous field, and the differences of both to the truth."
)


def withheld(result: Fitted) -> np.ndarray:
    """Numbers of the times that were not given."""
    return np.setdiff1d(np.arange(result.data.fine.sizes["time"]), result.data.given)


def maps(result: Fitted, name: str) -> Figure:
    """A row for a time in the middle of those that were given, and one of the withheld."""
    data, rows = result.data, []
    for word, times in (("given", data.given), ("withheld", withheld(result))):
        if not len(times):
            continue
        at = int(times[len(times) // 2])
        truth, bicubic, own = (
            ds[name].isel(time=at).values for ds in (data.fine, result.made["bicubic+add"], result.made["phydl"])
        )
        fields = [truth, data.coarse[name].isel(time=at).values, bicubic, own, bicubic - truth, own - truth]
        label = f"{word}, {str(data.fine['time'].values[at])[:16]}"
        rows.append(Sheet(label, data.fine["latitude"].values, data.fine["longitude"].values, fields))
    return map_rows(["truth", "coarse", "bicubic+add", "phydl", "bicubic+add: error", "phydl: error"], rows, signed=2)


def spectra(result: Fitted, name: str) -> Figure:
    """Truth, interpolation, the control and the continuous field."""
    data, lines = result.data, {}
    times = withheld(result) if len(withheld(result)) else data.given
    shown = {"truth": data.fine} | {k: ds for k, ds in result.made.items() if k not in ("nearest", "bicubic")}
    for label, ds in shown.items():
        k, power = radial_spectrum(torch.from_numpy(ds[name].values[times].astype(np.float64)), window="hann")
        lines[label] = (k.numpy(), power.mean(0).numpy())
    cutoff = max(data.fine.sizes[d] for d in ("latitude", "longitude")) / (2 * result.model.card["factor"])
    units = data.fine[name].attrs.get("units", "1")
    return draw_spectra(lines, cutoff=cutoff, units=f"({units})²")
