"""What it takes to bring the SpecDiv of PhyDA down: longer training, and members that stay closer to their centre.

    physlab benchmark divergence --data twin --output benchmark

Two baselines are trained as long. The data, the autoencoders and the scores are those of
:mod:`physlab.benchmark.assimilation`, 2 % of the columns without noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from physlab.benchmark import assimilation as bench
from physlab.benchmark.parallel import collect, missing, results, resume
from physlab.benchmark.table import over_seeds, read_table, replace_table

RESULTS, TABLE = "results/divergence.csv", "divergence.csv"
MODELS = ("background", "Adas", "ConvCNP", "PhyDA")
STEPS = (400, 1200)  # as in the other table, and three times that
TEMPERATURES = (1.0, 0.75, 0.5, 0.25, 0.0)
SCORES = ("specdiv", "specdiv_top", "specdiv_eddy", "mse", "mse_member", "crps", "spread_skill", "rmse_z500")
KEYS = ("model", "seed", "steps")
COLUMNS = (*KEYS, "temperature", *SCORES, "members", "states", "train_s")


@dataclass(frozen=True)
class Run:
    """A method, a seed and how long it is trained; an autoencoder is always trained as in the other table."""

    model: str
    seed: int
    steps: int

    def __str__(self) -> str:
        return f"{self.model}, seed {self.seed}, {self.steps} steps"


def plan() -> list[Run]:
    """The background, which is not trained; then seed by seed, what takes longest first."""
    learned = [Run(model, seed, steps) for seed in bench.SEEDS for steps in STEPS[::-1] for model in MODELS[:0:-1]]
    return [Run(MODELS[0], 0, 0), *learned]


def one(run: Run, data: str, output: str) -> list[dict]:
    """A run, trained if need be; a method with members at every temperature."""
    folder = Path(output) / f"steps-{run.steps}"
    method = bench.trained(bench.Run(run.model, run.seed), data, output, {"steps": run.steps}, folder)
    pairs, rows = bench.pairs_of(data, output, "test"), []
    for temperature in TEMPERATURES if method is not None and method.ensemble else (0.0,):
        if method is not None:
            method.temperature = temperature
        found = bench.score(method, pairs, *bench.MAIN, bench.MEMBERS if temperature else 1)
        rows.append({"model": run.model, "seed": run.seed, "steps": run.steps, "temperature": temperature,
                     "train_s": None if method is None else method.card["train_s"], **found})  # fmt: skip
    return rows


def benchmark_divergence(
    data: str | Path,
    output: str | Path = "benchmark",
    workers: int = 2,
    runs: list[Run] | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Run or resume; returns the path of the tidy table.

    Parameters
    ----------
    data : folder of the two nature runs.
    output : folder of the table and the trained methods; autoencoders that are there are taken.
    workers : processes side by side, one thread each.  runs : others than :func:`plan`.

    Raises
    ------
    PhysLabError : the data are not there, or, after all runs have ended, some failed.
    """
    path, runs = Path(output) / TABLE, plan() if runs is None else runs
    for split in ("train", "test"):
        bench.pairs_of(str(data), str(output), split)
    todo = missing(read_divergence(path) if path.exists() else None, runs, KEYS)
    after = sorted({(first, r.seed) for r in todo if (first := bench.ENTRIES[r.model].after)})
    first = [bench.Run(*run) for run in after if not bench.checkpoint(output, *run).exists()]
    collect(results([first], _train, (str(data), str(output)), workers), len(first), lambda _: "trained", say)
    return resume(
        path, runs, KEYS, read_divergence, write_divergence, one, (str(data), str(output)),
        lambda rows: f"SpecDiv {rows['specdiv'].iloc[0]:.3g}, MSE {rows['mse'].iloc[0]:.5f}", workers, say,
    )  # fmt: skip


def _train(run: bench.Run, data: str, output: str) -> None:
    bench.trained(run, data, output, {})


def read_divergence(path: str | Path | None = None) -> pd.DataFrame:
    """The tidy table, one line per run and temperature; None for the one that ships.

    Columns: model, seed, steps, temperature (0: the centre, one field; methods without members have no other), scores
    of :func:`physlab.score.analysis.analysis_scores` (means over the test states), members, states, train_s.

    Raises
    ------
    PhysLabError : the file lacks columns.
    """
    return read_table(path, RESULTS, COLUMNS)


def write_divergence(table: pd.DataFrame, path: Path) -> Path:
    """Sorted, 6 significant digits, atomically."""
    order = table.assign(_m=table["model"].map(MODELS.index))
    order = order.sort_values(["_m", "steps", "seed", "temperature"], ascending=[True, True, True, False])
    return replace_table(order.reindex(columns=list(COLUMNS)), path)


def divergence_summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds with the sample standard deviation (NAME_spread), by model, steps and temperature."""
    rows = []
    for (model, steps, temperature), group in runs.groupby(["model", "steps", "temperature"], sort=False):
        row: dict[str, object] = {"model": model, "steps": steps, "temperature": temperature, "seeds": len(group)}
        rows.append(row | over_seeds(group, (*SCORES, "train_s")))
    return pd.DataFrame(rows)
