"""How long a day of weather over a region takes: the model of the nature run, a forecast network, a continuous field.

    physlab benchmark speed

All give the same fields: u, v, T, Phi, q at 700 hPa and column water, 33 x 33 points of the North Atlantic, every
second hour of a day. The integration computes the whole globe and eight layers for it, since a spectral model cannot
do less; that is the method's price and its merit, for it also gives all the rest. Times are taken in turns, after
compilation, and the shortest of each is kept: what is compared is a ratio on one machine.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from physlab.benchmark.continuous import VARIABLES
from physlab.benchmark.study import Context, Study
from physlab.data import open_dataset
from physlab.errors import PhysLabError
from physlab.nn import count_parameters
from physlab.phydl.domain import grid_points
from physlab.phydl.forecast import HOURS, LEADS, Forecaster
from physlab.phydl.surrogate import PhyDL
from physlab.train.timing import alternate
from physlab.zoo import load_model

MODELS = ("forecast-unet-equations-s0", "nature-window-equations-s0")


def integration(resolution: str) -> tuple[Callable[[], np.ndarray], str]:
    """A function that integrates a day and returns (time, variable, latitude, longitude), and its settings."""
    from physlab.simulate import diagnostics, nature
    from physlab.simulate.regional import COLUMNS, LEVEL, ROWS

    model = nature.atmosphere(resolution)
    view, r = diagnostics.of(model), model.resolution
    step = {"t85": 1, "t42": 2}[resolution]
    rows, columns = (slice(s.start // step, s.stop // step) for s in (ROWS, COLUMNS))
    start = model.advance({**model.rest(0), "budget": model.empty_budget()}, 2)

    def run() -> np.ndarray:
        state, kept = start, []
        for _ in LEADS:
            state = model.advance(state, LEADS[1] - LEADS[0])
            fields = {**view.levels(state, levels=(LEVEL,)), "tcw": view.surface(state)["tcw"]}
            kept.append([np.asarray(fields[v]).squeeze().T[rows, columns] for v in VARIABLES])
        return np.array(kept)

    grid = f"{len(model.latitude)} x {len(model.longitude)} points"
    return run, f"dinosaur {r.name.upper()}, {grid}, {r.layers} layers, {r.dt / 60:.0f} min steps, float32"


def compare(
    forecaster: Forecaster, field: PhyDL, repeats: int = 5, resolutions: tuple[str, ...] = ("t85", "t42")
) -> pd.DataFrame:
    """Times in turns.

    Parameters
    ----------
    forecaster : trained or not, which costs the same.
    field : fitted to a window of the same region.

    Returns
    -------
    DataFrame: method, settings, seconds (shortest), median, ratio (seconds of the first integration over these).

    Raises
    ------
    PhysLabError : fewer than one repeat.
    """
    if repeats < 1:
        raise PhysLabError(f"repeats is {repeats}: pass at least 1")
    ds = open_dataset("nature-window")
    values = np.stack([ds[v].values[np.array(HOURS) - min(HOURS)] for v in forecaster.variables], axis=1)
    given = torch.from_numpy(values.astype(np.float32))[None]
    points = grid_points(field.domain, ds.longitude.values, ds.latitude.values, 3600.0 * np.array(LEADS))
    threads = f"{torch.get_num_threads()} of {os.cpu_count()} threads"
    methods: dict[str, tuple[Callable[[], object], str]] = {
        f"integration, {name.upper()}": integration(name) for name in resolutions
    }
    with torch.inference_mode():
        methods[f"forecast, {forecaster.kind}"] = (
            lambda: forecaster(given),
            f"{count_parameters(forecaster.network):,} parameters, float32, {threads}",
        )
        methods["continuous field"] = (
            lambda: field.evaluate(points),
            f"{count_parameters(field.network):,} parameters at {len(points):,} points, float32, {threads}",
        )
        taken = dict(zip(methods, alternate([run for run, _ in methods.values()], repeats), strict=True))
    first = min(next(iter(taken.values())))
    return pd.DataFrame([
        {"method": name, "settings": methods[name][1], "seconds": min(t), "median": statistics.median(t),
         "ratio": first / min(t)}
        for name, t in taken.items()
    ])  # fmt: skip


def machine() -> str:
    """Processor and cores."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        import platform

        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


@dataclass(frozen=True)
class Run:
    """All methods in turns, on this machine."""

    machine: str

    def __str__(self) -> str:
        return f"a day on {self.machine}"


def one(run: Run, context: Context) -> list[dict]:
    """Time the models that ship."""
    return compare(*(load_model(name) for name in MODELS)).assign(machine=run.machine).to_dict("records")


#: The table has one line per method, made on the machine that the column `machine` names.
STUDY = Study(
    name="speed",
    title="a day of a region by the atmosphere's own model, a forecast network and a continuous field",
    keys=("machine",),
    columns=("method", "settings", "seconds", "median", "ratio", "machine"),
    plans={"paper": lambda: [Run(machine())]},
    work=one,
    summarise=lambda runs: runs,
    display=lambda runs: [("A day of weather over the North Atlantic", runs)],
    tell=lambda rows: f"{rows['seconds'].iloc[0]:.2f} s by the model itself",
    alone=True,
)
read_speed = STUDY.read


def write_speed(table: pd.DataFrame, path) -> Path:
    """:meth:`Study.write`, with the machine."""
    return STUDY.write(table.assign(machine=machine()), path)
