"""The benchmark of continuous fields: what lies between the data, with and without equations, against interpolation.

    physlab benchmark continuous --output benchmark

Truth is the shipped window, 33 x 33 points every hour of ten days, or another one (`--data FILE`). A method gets every
fourth point in either direction every third hour ("x4, 3 h"), or a random share of all points and hours; the error is
measured at the points that it did not get. One line per run is added to a tidy CSV as soon as it is known, so that a
killed run goes on.
"""

from __future__ import annotations

import functools
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator, RBFInterpolator, make_interp_spline

from physlab.benchmark.study import Context, Named, Study, presets
from physlab.benchmark.table import By
from physlab.data import open_dataset
from physlab.errors import PhysLabError
from physlab.nn import count_parameters
from physlab.phydl import FitSettings, PhyDL, SmoothForce, atmosphere
from physlab.phydl.continuous import frequencies
from physlab.phydl.domain import Domain, grid_points
from physlab.train.checkpoint import origin
from physlab.train.tables import over_seeds

FRESH = "results/continuous-fresh.csv"  # a window on which nothing was tuned
SHIPPED = "nature-window"
VARIABLES = ("u", "v", "t", "z", "q", "tcw")
STEP, HOURS = 4, 3  # of the regular data
SHARES = {"10 %": 0.1, "3 %": 0.03, "1 %": 0.01}
REGULAR = f"x{STEP}, {HOURS} h"
GRIDDED = {"trilinear": (1, 1, 1), "bicubic, linear in time": (1, 3, 3), "cubic": (3, 3, 3)}
SCATTERED = ("linear", "cubic radial functions")
FIELDS = {  # method -> weight of the equations, modes of the force, share of the frequencies
    "equations": (0.01, (4, 4, 8), 1.0),
    "equations, no force": (0.01, (0, 0, 0), 1.0),
    "no equations": (0.0, (0, 0, 0), 1.0),
    "no equations, smoother": (0.0, (0, 0, 0), 0.5),
}
SEEDS = (0, 1, 2)
SCORED = 20_000  # held-out points of the random shares at which all methods are scored


@dataclass(frozen=True)
class Case:
    """What a method gets and where it is judged: (N, 3) points and (N, V) values of either."""

    points: torch.Tensor
    values: torch.Tensor
    asked: torch.Tensor
    truth: torch.Tensor
    domain: Domain
    regular: xr.Dataset | None
    fine: xr.Dataset


@dataclass(frozen=True)
class Run(Named):
    """One line of the table; `seed` decides weights and, of random shares, the points."""

    data: str
    method: str
    seed: int | None


@functools.lru_cache(maxsize=1)
def window(source: str = SHIPPED) -> xr.Dataset:
    """The truth, in memory: a name of the catalogue or the path of a file like it.

    Raises
    ------
    PhysLabError : variables that are not there, or coordinates that the regular data do not divide.
    """
    ds = open_dataset(source)
    missing = [v for v in VARIABLES if v not in ds]
    if missing:
        raise PhysLabError(f"{source} has no {', '.join(missing)}: pass hours of {', '.join(VARIABLES)} on one level")
    sizes = {d: ds.sizes.get(d, 0) for d in ("time", "latitude", "longitude")}
    if any((n - 1) % step or n < 2 for n, step in zip(sizes.values(), (HOURS, STEP, STEP), strict=True)):
        raise PhysLabError(
            f"{source} has {sizes}: pass a multiple of {HOURS} hours plus one, and of {STEP} rows and columns plus one"
        )
    return ds[list(VARIABLES)].load().assign_attrs(ds.attrs)


def thinned(ds: xr.Dataset, step: int = STEP, hours: int = HOURS) -> xr.Dataset:
    """Every `step`-th row and column of every `hours`-th time."""
    every = slice(None, None, step)
    return ds.isel(time=slice(None, None, hours), latitude=every, longitude=every)


def make_case(data: str, seed: int = 0, source: str = SHIPPED) -> Case:
    """The data of a run.

    Raises
    ------
    PhysLabError : an unknown name.
    """
    if data != REGULAR and data not in SHARES:
        raise PhysLabError(f"unknown data {data!r}: choose one of {', '.join((REGULAR, *SHARES))}")
    ds = window(source)
    domain = Domain.of(ds)
    points = grid_points(domain, ds.longitude.values, ds.latitude.values, ds.time.values)
    values = torch.from_numpy(np.stack([ds[v].values.ravel() for v in VARIABLES], -1).astype(np.float32))
    if data == REGULAR:
        given = torch.from_numpy(given_points(ds).ravel())
        return Case(points[given], values[given], points[~given], values[~given], domain, thinned(ds), ds)
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(100 + seed))
    count = round(SHARES[data] * len(points))
    given, asked = order[:count], order[count : count + SCORED]
    return Case(points[given], values[given], points[asked], values[asked], domain, None, ds)


def given_points(ds: xr.Dataset) -> np.ndarray:
    """(time, latitude, longitude) bool: the points of :func:`thinned`."""
    given = np.zeros(tuple(ds.sizes[d] for d in ("time", "latitude", "longitude")), bool)
    given[::HOURS, ::STEP, ::STEP] = True
    return given


def interpolate_grid(coarse: xr.Dataset, fine: xr.Dataset, method: str) -> xr.Dataset:
    """Splines of :data:`GRIDDED`, one dimension after the other, at the coordinates of `fine`."""
    made = {}
    for name in VARIABLES:
        y = coarse[name].values.astype(np.float64)
        for axis, (dim, k) in enumerate(zip(("time", "latitude", "longitude"), GRIDDED[method], strict=True)):
            old, new = (d[dim].values for d in (coarse, fine))
            if dim == "time":
                old, new = ((t - fine[dim].values[0]).astype("timedelta64[s]").astype(float) for t in (old, new))
            y = make_interp_spline(old, y, k=k, axis=axis)(new)
        made[name] = (("time", "latitude", "longitude"), y)
    return xr.Dataset(made, {d: fine[d] for d in ("time", "latitude", "longitude")})


def interpolate(case: Case, method: str) -> torch.Tensor:
    """(N, V) at the asked points by an interpolation of :data:`GRIDDED` or :data:`SCATTERED`."""
    if case.regular is not None:
        made = interpolate_grid(case.regular, case.fine, method)
        asked = ~given_points(case.fine)
        return torch.from_numpy(np.stack([made[name].values[asked] for name in VARIABLES], -1))
    # a length for time beside the lengths in space: the ratio of the frequencies of the network
    stretch = torch.tensor(frequencies(len(case.points)))
    old, new = ((case.domain.scaled(p) * stretch).double().numpy() for p in (case.points, case.asked))
    values = case.values.double().numpy()
    if method == "linear":
        inside = LinearNDInterpolator(old, values)(new)
        outside = NearestNDInterpolator(old, values)(new)
        return torch.from_numpy(np.where(np.isfinite(inside), inside, outside))
    return torch.from_numpy(RBFInterpolator(old, values, neighbors=60, kernel="cubic", degree=1)(new))


def fit_field(case: Case, method: str, seed: int, device: str = "cpu", **changes) -> PhyDL:
    """A continuous field of :data:`FIELDS`, fitted."""
    physics, modes, share = FIELDS[method]
    network = {"omega": frequencies(len(case.points), share)}
    model = PhyDL.at_points(
        VARIABLES, case.domain, case.points, case.values, atmosphere(VARIABLES), SmoothForce(modes), network, seed
    )
    model.name = f"{method}, seed {seed}"
    model.to(device).fit((case.points, case.values), FitSettings(physics=physics, **changes), seed)
    return model.to("cpu")


def one(run: Run, context: Context) -> list[dict]:
    """Make and score the method of a run."""
    seed, parameters = run.seed or 0, 0
    case = make_case(run.data, seed, context.data)
    start = time.perf_counter()
    if run.method in FIELDS:
        model = fit_field(case, run.method, seed, context.device, **context.changes)
        made, parameters = model.evaluate(case.asked), count_parameters(model.network)
    else:
        made = interpolate(case, run.method)
    costs = {"parameters": parameters, "train_s": time.perf_counter() - start}
    rmse = (made.double() - case.truth.double()).square().mean(0).sqrt().tolist()
    line = {"data": run.data, "method": run.method, "seed": run.seed, "points": len(case.points), **costs}
    return [line | {f"rmse_{v}": x for v, x in zip(VARIABLES, rmse, strict=True)}]


def plan() -> list[Run]:
    """All runs: interpolations, then the fields seed by seed; random points differ by seed for all methods."""
    runs = [Run(REGULAR, method, None) for method in GRIDDED]
    runs += [Run(data, method, seed) for seed, data, method in itertools.product(SEEDS, SHARES, SCATTERED)]
    for seed in SEEDS:
        runs += [Run(REGULAR, method, seed) for method in FIELDS]
        runs += [Run(data, method, seed) for data in SHARES for method in ("equations", "no equations")]
    return runs


def continuous_summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over seeds: one row for each data set, method and variable.

    Returns
    -------
    DataFrame: data, method, variable, seeds, rmse, spread (sample standard deviation), and ratio with its spread, the
    RMSE over that of the best interpolation of the same data.
    """
    rows = []
    for data, part in runs.groupby("data", sort=False):
        means = part[~part["method"].isin(FIELDS)].groupby("method")[[f"rmse_{v}" for v in VARIABLES]].mean()
        for method, group in part.groupby("method", sort=False):
            for v in VARIABLES:
                mean, spread = over_seeds(group, (f"rmse_{v}",)).values()
                best = means[f"rmse_{v}"].min()
                rows.append({
                    "data": data, "method": method, "variable": v, "seeds": len(group), "rmse": mean,
                    "spread": spread, "ratio": mean / best, "ratio_spread": spread / best,
                })  # fmt: skip
    return pd.DataFrame(rows)


def display(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Ratios, a column for each variable."""
    table = continuous_summary(runs)
    spread = [f" ± {s:.3f}" if s == s else "" for s in table["ratio_spread"]]
    table["cell"] = [f"{r:.3f}{s}" for r, s in zip(table["ratio"], spread, strict=True)]
    table["method"] = table["data"] + ", " + table["method"]
    yield (
        "RMSE between the data, over that of the best interpolation",
        table.pivot(index="method", columns="variable", values="cell").reset_index(),
    )


#: The table has one line per run: seed (empty where nothing is random), points, rmse_u ... in SI units, parameters,
#: train_s. It belongs to one source.
STUDY = Study(
    name="continuous",
    title="functions of place and time, with and without equations",
    keys=("data", "method", "seed"),
    columns=("data", "method", "seed", "points", *(f"rmse_{v}" for v in VARIABLES), "parameters", "train_s"),
    plans=presets(plan),
    work=one,
    check=lambda runs, context: window(context.data),  # refuse what cannot be used before anything is started
    order=(By("data", (REGULAR, *SHARES)), By("method", (*GRIDDED, *SCATTERED, *FIELDS)), By("seed")),
    part={"data": REGULAR},
    summarise=continuous_summary,
    display=display,
    tell=lambda rows: f"RMSE of u {rows['rmse_u'].iloc[0]:.3f} m/s, {rows['train_s'].iloc[0]:.0f} s",
    reference=lambda run: run.method not in FIELDS,
    data="nature-window",
    needs="another window than the one that ships, hours of u, v, t, z, q and tcw on one level",
    scores=("continuous",),
)
read_continuous = STUDY.read


def benchmark_continuous(
    output: str | Path = "benchmark", workers: int = 2, runs=None, say=print, source: str | Path = SHIPPED, **changes
) -> Path:
    """:meth:`Study.launch`, with the settings of :class:`physlab.phydl.FitSettings`; `source` are the data."""
    return STUDY.launch(source, output, workers, runs, say, **changes)


def ship_fields(folder: str | Path, **changes) -> list[Path]:
    """Fit the fields of seed 0 to the regular data, with and without equations, and write them for the book."""
    case, paths = make_case(REGULAR), []
    for method in ("equations", "no equations"):
        model = fit_field(case, method, 0, **changes)
        error = (model.evaluate(case.asked).double() - case.truth.double()).square().mean(0).sqrt()
        model.attributes = {v: {k: str(x) for k, x in case.fine[v].attrs.items()} for v in VARIABLES}
        model.card |= {
            "task": "nature-window", "data": REGULAR, "method": method, **origin(torch.device("cpu")),
            "weights": "float16",
            "scores": {f"rmse_{v}": float(e) for v, e in zip(VARIABLES, error, strict=True)},
        }  # fmt: skip
        paths.append(model.save(Path(folder) / f"nature-window-{method.replace(' ', '-')}-s0", half=True))
    return paths


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m physlab.benchmark.continuous FOLDER")
    for path in ship_fields(sys.argv[1]):
        print(path)
