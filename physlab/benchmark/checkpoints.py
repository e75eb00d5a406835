"""Checkpoints side by side: one table for each task and factor, with the baselines that all must stand beside."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from physlab.data import sr_pairs
from physlab.errors import PhysLabError
from physlab.train.evaluate import results_table
from physlab.zoo import list_models, load_model


def benchmark(models: Iterable[str] | None = None, split: str = "test") -> dict[str, pd.DataFrame]:
    """Score trained models anew on the data of their task.

    Parameters
    ----------
    models : names of :func:`physlab.list_models`, or checkpoint folders; None for every checkpoint that ships.
    split : "test" or "val".

    Returns
    -------
    dict: "tcw-x4" and so on -> table of :func:`physlab.train.evaluate.results_table`, one row for all seeds.

    Raises
    ------
    PhysLabError : nothing to score, or a baseline named alone: each table has them anyway.
    """
    if models is None:
        listed = list_models()
        models = listed.loc[~listed["kind"].isin(["baseline", "continuous"]), "name"]
    tasks: dict[tuple[str, int], list] = {}
    for name in models:
        model = load_model(name)
        card = getattr(model, "card", None)
        if not card or "factor" not in card:
            raise PhysLabError(
                f"'{name}' was not trained on pairs: name a checkpoint of a task, its table has the baselines too "
                "(continuous fields: physlab benchmark continuous)"
            )
        tasks.setdefault((card["task"], card["factor"]), []).append(model)
    if not tasks:
        raise PhysLabError("no checkpoint to score: name one (physlab list models), or score all with --all")
    return {
        f"{task}-x{factor}": results_table(found, sr_pairs(task, factor, splits=(split,)), split, stored=False)
        for (task, factor), found in sorted(tasks.items(), key=lambda item: item[0])
    }
