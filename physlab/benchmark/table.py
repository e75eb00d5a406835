"""The tidy table of a benchmark: one line for each run, and its summary over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from physlab.data.assets import asset
from physlab.data.writer import write_table as replace_table
from physlab.errors import PhysLabError

RESULTS = "results/downscaling.csv"
KEYS = ("task", "factor", "model", "constraint", "seed", "kind", "preset")
SCORES = (
    "mse", "rmse", "mae", "bias", "psnr", "ssim", "ms_ssim", "pearson", "crps", "spread_skill", "member_rmse",
    "conservation_error", "conservation_error_relative", "negative_count", "spectral_divergence",
    "spectral_divergence_top", "rmse_extreme", "bias_extreme",
)  # fmt: skip
COSTS = ("parameters", "train_s", "s_per_megapixel")
COLUMNS = (*KEYS, *SCORES, *COSTS, "data")
KINDS = ("baseline", "statistical", "network", "ensemble", "sequence")

#: Rows of the course report (its experiment numbers) -> (task, factor, model, constraint) here.
PAPER = {
    "E1": ("tcw", 2, "srcnn-plain", "none"),
    "E2": ("tcw", 2, "srcnn-plain", "softmax"),
    "E3": ("tcw", 4, "srcnn-plain", "none"),
    "E4": ("tcw", 4, "srcnn-plain", "softmax"),
    "E5": ("tcw", 4, "convgru-plain", "none"),
    "E6": ("tcw", 4, "convgru-plain", "softmax"),
    "E7": ("tcw", 4, "convgru-plain", "soft"),
    "E8": ("tcw", 4, "gan-report", "none"),
    "E9": ("tcw", 4, "gan-report", "soft"),
    "E10": ("tcw", 4, "gan-report", "softmax"),
    "GAN add": ("tcw", 4, "gan-report", "add"),
    "E11": ("tcw", 8, "gan-report", "none"),
    "E12": ("tcw", 8, "gan-report", "softmax"),
    "E13": ("tcw-t1", 4, "convgru-plain", "none"),
    "E14": ("tcw-t1", 4, "convgru-plain", "softmax"),
}


def read_table(
    path: str | Path | None, shipped: str, columns: Sequence[str], empty: Sequence[str] | None = None
) -> pd.DataFrame:
    """A tidy table, one line per run.

    Parameters
    ----------
    path : None for the one that ships.  shipped : its name among the assets.
    columns : that it must have.
    empty : texts that mean that nothing is there; None for those of pandas.

    Raises
    ------
    PhysLabError : the file lacks columns.
    """
    path, blank = asset(shipped) if path is None else Path(path), {}
    if empty is not None:
        blank = {"keep_default_na": False, "na_values": list(empty)}
    runs = pd.read_csv(path, dtype={"seed": "Int64", "parameters": "Int64"}, **blank)
    missing = [name for name in columns if name not in runs]
    if missing:
        raise PhysLabError(f"{path} lacks the columns {', '.join(missing)}: make it by `physlab benchmark`")
    return runs


def over_seeds(group: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """NAME and NAME_spread of each name: mean and sample standard deviation over the rows; no spread of one row."""
    found = {}
    for name in names:
        values = group[name].astype(float)
        found |= {name: values.mean(), f"{name}_spread": values.std(ddof=1) if len(values) > 1 else float("nan")}
    return found


def read_runs(path: str | Path | None = None) -> pd.DataFrame:
    """The tidy table, one line per run; None for the one that ships.

    Columns: task, factor, model, constraint, seed (empty where nothing is random), kind, preset, the scores of
    :func:`physlab.train.evaluate` on the test split in physical units, RMSE and bias above the 99th percentile,
    parameters, train_s (seconds), s_per_megapixel (one thread, a million fine points of a member), data (hash).

    Raises
    ------
    PhysLabError : the file lacks columns.
    """
    runs = read_table(path, RESULTS, COLUMNS)
    runs["constraint"] = runs["constraint"].fillna("none")
    return runs


def write_runs(runs: pd.DataFrame, path: Path) -> Path:
    """Sorted, 6 significant digits, atomically."""
    order = runs.assign(_kind=runs["kind"].map(KINDS.index)).sort_values(
        ["task", "factor", "_kind", "model", "constraint", "seed"], kind="stable"
    )
    return replace_table(order[list(COLUMNS)], path)


def summary(runs: pd.DataFrame, task: str = "tcw", factor: int = 4) -> pd.DataFrame:
    """Mean and spread over seeds, one row for each model and constraint, in the order baselines ... sequences.

    Returns
    -------
    DataFrame: model, constraint, kind, preset, seeds (1 where nothing is random), each score and cost as mean,
    `NAME_spread` as sample standard deviation over seeds (empty for a single run), and gain =
    1 - rmse / rmse of bicubic+add.

    Raises
    ------
    PhysLabError : no run of this task and factor.
    """
    chosen = runs[(runs["task"] == task) & (runs["factor"] == factor)]
    if chosen.empty:
        known = ", ".join(f"{t} x{f}" for t, f in runs[["task", "factor"]].drop_duplicates().itertuples(index=False))
        raise PhysLabError(f"no run of {task} x{factor} in the table: it has {known}")
    rows = []
    for (model, constraint, kind, preset), group in chosen.groupby(
        ["model", "constraint", "kind", "preset"], sort=False, dropna=False
    ):
        row: dict[str, object] = {"model": model, "constraint": constraint, "kind": kind, "preset": preset}
        row["seeds"] = len(group)
        rows.append(row | over_seeds(group, (*SCORES, *COSTS)))
    table = pd.DataFrame(rows)
    base = table[(table["model"] == "bicubic") & (table["constraint"] == "add")]
    table.insert(5, "gain", 1.0 - table["rmse"] / float(base["rmse"].iloc[0]) if len(base) else float("nan"))
    return table.reset_index(drop=True)
