"""Scores of models on the splits of a task, and the table over constraints and seeds that the book prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from physlab import score
from physlab.data.patches import SRData
from physlab.data.writer import write_table
from physlab.downscale import FieldDownscaler, Interpolate
from physlab.downscale.gan import GAN, MEMBERS
from physlab.downscale.interpolate import InTime
from physlab.downscale.static import static_samples
from physlab.errors import PhysLabError
from physlab.train.tables import summed_up

BATCH = 32
#: What a table of results in a file holds, with the spread of each; ensembles are compared by `physlab benchmark`.
KEPT = (
    "rmse", "mae", "bias", "psnr", "ssim", "pearson", "conservation_error", "negative_count", "spectral_divergence",
    "spectral_divergence_top", "conservation_error_relative",
)  # fmt: skip
COLUMNS = ("method", "seeds", "gain", *(column for name in KEPT for column in (name, f"{name}_spread")))
OF_A_MEMBER = 2  # members that are scored as fields of their own


def evaluate(model: FieldDownscaler, data: SRData, split: str = "test", members: int = MEMBERS) -> dict[str, float]:
    """:func:`physlab.score.table` of a model on a split, in physical units.

    The errors of an ensemble are those of its mean; what belongs to a field as such (conservation, sign, spectrum) is
    that of its first two members, and `crps` (fair), `spread_skill` and `member_rmse` come with it. For a single field
    `crps` is the mean absolute error, which it equals.

    Raises
    ------
    PhysLabError : a model for another factor or variable, or a split that was not loaded.
    """
    fine, coarse = data.fine[check(model, data, split)], data.all_coarse(split)
    drawn = predict_members(model, data, split, members=members)
    return scores_of(drawn, fine, coarse, data.factor, data.data_range(split), data.weights)


def scores_of(
    drawn: Tensor, fine: Tensor, coarse: Tensor, factor: int, data_range: float, weights: Tensor
) -> dict[str, float]:
    """The scores of :func:`evaluate` of predictions that are there.

    Parameters
    ----------
    drawn : (M, S, T, H, W) members, one for a single field.  fine : (S, T, H, W).  coarse : (S, T, h, w) of each frame.
    data_range : largest minus smallest value of the truth.
    weights : (H, W).
    """
    prediction = drawn.mean(0)
    scores = score.table(prediction, fine, coarse, factor, data_range, weights)
    relative = [
        float(score.conservation_error(y.double(), coarse.double(), factor, weights.double(), relative=True))
        for y in drawn[:OF_A_MEMBER]
    ]
    above = score.extreme_table(prediction, fine, weights=weights)  # the highest percent of the truth
    scores = {**scores, "conservation_error_relative": float(np.mean(relative)), "crps": scores["mae"]}
    scores |= {name: above[name] for name in ("rmse_extreme", "bias_extreme")}
    if len(drawn) > 1:
        single = [score.member_table(y, fine, coarse, factor, weights) for y in drawn[:OF_A_MEMBER]]
        scores |= {key: float(np.mean([row[key] for row in single])) for key in single[0]}
        scores |= {
            "crps": float(score.crps(drawn, fine, weights=weights)),
            "spread_skill": float(score.spread_skill(drawn, fine, weights=weights)),
        }
    return scores


def predict_members(
    model: FieldDownscaler,
    data: SRData,
    split: str = "test",
    at: slice = slice(None),
    members: int = MEMBERS,
    seed: int = 0,
) -> Tensor:
    """Prediction for samples of a split, (M, S, T, H, W) physical units; M is 1 for a method without noise.

    Parameters
    ----------
    at : which samples.
    members, seed : of the ensemble of a method that draws members.
    """
    coarse, statics = data.coarse[split][at], model.spec.statics
    ground = static_samples(data, statics, split)[at] if statics else coarse
    generator = torch.Generator().manual_seed(seed)
    parts, drawn_from = [], cast(GAN, model)
    for i in range(0, len(coarse), BATCH):
        extra = {"static": ground[i : i + BATCH]} if statics else {}
        x = coarse[i : i + BATCH]
        if model.spec.ensemble:
            parts.append(drawn_from.sample(x, data.weights, members, generator, **extra))
        else:
            parts.append(model.predict(x, data.weights, **extra)[None])
    return torch.cat(parts, dim=1)


def check(model: FieldDownscaler, data: SRData, split: str) -> str:
    """The split, if the model is for these data and the split was loaded."""
    if split not in data.fine:
        raise PhysLabError(f"split {split!r} is not loaded: choose one of {', '.join(data.fine)}")
    variable = getattr(model, "variable", None)
    if model.factor != data.factor or variable not in (None, data.variable):
        raise PhysLabError(
            f"{model.name} is for {variable or 'any field'} x{model.factor}, the data are {data.variable} "
            f"x{data.factor}: load the pairs of its task"
        )
    return split


def baselines(data: SRData) -> list[FieldDownscaler]:
    """The methods without training that every table shows; linear in time where a frame is missing."""
    factor = data.factor
    methods = [Interpolate("nearest", factor), Interpolate("bicubic", factor), Interpolate("bicubic", factor, "add")]
    complete = len(data.given) == data.fine[next(iter(data.fine))].shape[1]
    return [*methods] if complete else [InTime(method) for method in methods]


def results_table(
    models: Iterable[FieldDownscaler], data: SRData, split: str = "test", stored: bool = True,
    progress: Callable[[], object] = bool, scores: Mapping[int, Callable[[], dict[str, float]]] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Means and spreads over the seeds, one row per method, baselines first.

    Parameters
    ----------
    models : checkpoints of the task of `data`; those that differ in the seed alone share a row.
    stored : take the scores from the cards where the card is of the same data, instead of computing them again.
    progress : called when a model has been scored.
    scores : id of a model -> what gives its scores, where they are computed elsewhere.

    Returns
    -------
    DataFrame: method, seeds (number of runs), each score as mean, and `<score>_spread` as standard deviation over
    seeds (sample, n - 1; empty for a single run), and `gain`, 1 - rmse / rmse of bicubic+add.
    """
    runs = [{"method": method.name.rsplit("-x", 1)[0], **evaluate(method, data, split)} for method in baselines(data)]
    for model in models:
        card = getattr(model, "card", None) or {}
        kept = card.get("scores", {}).get(split) if stored else None
        same = card.get("split_hashes", {}).get(split) == data.hashes[split]
        preset = card.get("preset", "cpu")
        row = row_name(model) + ("" if preset == "cpu" else f" ({preset})")
        elsewhere = (scores or {}).get(id(model))
        found = kept if kept and same else elsewhere() if elsewhere else evaluate(model, data, split)
        runs.append({"method": row, **found})
        progress()
    frame = pd.DataFrame(runs)
    table = summed_up(frame, ("method",), [name for name in frame if name != "method"])
    reference = float(table.loc[table["method"] == "bicubic+add", "rmse"].iloc[0])
    table.insert(2, "gain", 1.0 - table["rmse"] / reference)
    return table


def row_name(model: FieldDownscaler) -> str:
    """The constraint, after the label of the network if that is not the compact one: "softmax", "edsr softmax"."""
    card = getattr(model, "card", None) or {}
    label = str(card.get("recipe", "")).removeprefix(f"{card.get('task')}-x{model.factor}").strip("-")
    return f"{label} {getattr(model, 'constraint', model.name)}".strip()


def write_results(table: pd.DataFrame, path: str | Path) -> Path:
    """CSV of :data:`COLUMNS` with 6 significant digits, atomically."""
    return write_table(table.reindex(columns=list(COLUMNS)), path)
