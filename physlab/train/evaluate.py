"""Scores of models on the splits of a task, and the table over constraints and seeds that the book prints."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch

from physlab import score
from physlab.data.patches import SRData
from physlab.downscale import FieldDownscaler, Interpolate
from physlab.errors import PhysLabError

BATCH = 32


def evaluate(model: FieldDownscaler, data: SRData, split: str = "test") -> dict[str, float]:
    """:func:`physlab.score.table` of a model on a split, in physical units.

    Raises
    ------
    PhysLabError : a model for another factor or variable, or a split that was not loaded.
    """
    if split not in data.fine:
        raise PhysLabError(f"split {split!r} is not loaded: choose one of {', '.join(data.fine)}")
    variable = getattr(model, "variable", None)
    if model.factor != data.factor or variable not in (None, data.variable):
        raise PhysLabError(
            f"{model.name} is for {variable or 'any field'} x{model.factor}, the data are {data.variable} "
            f"x{data.factor}: load the pairs of its task"
        )
    fine, coarse, weights = data.fine[split], data.coarse[split], data.weights
    predictions = torch.cat([model.predict(part, weights) for part in coarse.split(BATCH)])
    scores = score.table(predictions, fine, coarse, data.factor, data.data_range(split), weights)
    relative = score.conservation_error(
        predictions.double(), coarse.double(), data.factor, weights.double(), relative=True
    )
    return {**scores, "conservation_error_relative": float(relative)}


def baselines(factor: int) -> list[Interpolate]:
    """The methods without training that every table shows."""
    return [Interpolate("nearest", factor), Interpolate("bicubic", factor), Interpolate("bicubic", factor, "add")]


def results_table(
    models: Iterable[FieldDownscaler], data: SRData, split: str = "test", stored: bool = True
) -> pd.DataFrame:
    """Means and spreads over the seeds, one row per method, baselines first.

    Parameters
    ----------
    models : checkpoints of the task of `data`; those that differ in the seed alone share a row.
    stored : take the scores from the cards where the card is of the same data, instead of computing them again.

    Returns
    -------
    DataFrame: method, seeds (number of runs), each score as mean, and `<score>_spread` as standard deviation over
    seeds (sample, n - 1; empty for a single run), and `gain`, 1 - rmse / rmse of bicubic+add.
    """
    runs: dict[str, list[dict]] = {}
    for method in baselines(data.factor):
        runs[method.name.rsplit("-x", 1)[0]] = [evaluate(method, data, split)]
    for model in models:
        card = getattr(model, "card", None) or {}
        kept = card.get("scores", {}).get(split) if stored else None
        same = card.get("split_hashes", {}).get(split) == data.hashes[split]
        preset = card.get("preset", "cpu")
        row = getattr(model, "constraint", model.name) + ("" if preset == "cpu" else f" ({preset})")
        runs.setdefault(row, []).append(kept if kept and same else evaluate(model, data, split))
    rows = []
    for name, scores in runs.items():
        frame = pd.DataFrame(scores)
        row: dict[str, object] = {"method": name, "seeds": len(scores)}
        for key in frame:
            row[key] = frame[key].mean()
            row[f"{key}_spread"] = frame[key].std(ddof=1) if len(frame) > 1 else float("nan")
        rows.append(row)
    table = pd.DataFrame(rows)
    reference = float(table.loc[table["method"] == "bicubic+add", "rmse"].iloc[0])
    table.insert(2, "gain", 1.0 - table["rmse"] / reference)
    return table


def write_results(table: pd.DataFrame, path: str | Path) -> Path:
    """CSV with 6 significant digits, atomically."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    table.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")
    return part.replace(path)
