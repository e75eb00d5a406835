"""Checkpoints side by side: one table for each task and factor, with the baselines that all must stand beside."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from physlab.benchmark.study import studies
from physlab.cluster import Runs
from physlab.data import sr_pairs
from physlab.data.patches import SRData
from physlab.downscale import FieldDownscaler
from physlab.errors import PhysLabError
from physlab.registry import Progress
from physlab.train.evaluate import evaluate, results_table
from physlab.train.tables import summed_up
from physlab.zoo import list_models, load_model

ON_PAIRS = ("network", "ensemble", "sequence")  # kinds that are scored here; of "statistical", those that are fitted
OWN = "own"
HERE = "trained on data of your own: physlab evaluate {} scores it"
UNTRAINED = {
    "baseline": "a baseline, which each table has anyway",
    "statistical": "not fitted yet: physlab benchmark downscaling fits and scores it",
    "field assimilation": "not trained, and no state of the truth ships with it: the chapter on assimilation scores it",
}


def elsewhere(kind: str) -> str:
    """Why a model of a kind is not scored on pairs of fields, and which study scores it."""
    study = next((study for study in studies().values() if kind in study.scores), None)
    if study is not None:
        return f"not made for pairs of coarse and fine fields: physlab benchmark {study.name} scores it ({study.title})"
    return kind if kind.startswith("unusable") else UNTRAINED.get(kind, "no study is about it")


def listed() -> tuple[list[str], pd.DataFrame]:
    """The models that ship: names of those that are scored on pairs; and name, kind and reason of the others."""
    table = list_models()
    own = table["task"] == OWN
    scored = table["kind"].isin(ON_PAIRS) | ((table["kind"] == "statistical") & table["factor"].notna())
    rest = table.loc[~scored | own, ["name", "kind"]]
    mine = own[rest.index]
    reasons = [
        HERE.format(name) if here else elsewhere(kind)
        for name, kind, here in zip(rest["name"], rest["kind"], mine, strict=True)
    ]
    rest = rest.assign(reason=reasons)
    return list(table.loc[scored & ~own, "name"]), rest.reset_index(drop=True)


def benchmark(
    models: Iterable[str] | None = None,
    split: str = "test",
    fields: int | None = None,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
    client: Runs | None = None,
) -> dict[str, pd.DataFrame]:
    """Score trained models anew on the data of their task.

    Parameters
    ----------
    models : names of :func:`physlab.list_models`, or checkpoint folders; None for every checkpoint that ships and is
        for pairs of coarse and fine fields (:func:`listed` names the others).
    split : "test" or "val".
    fields : only the first ones of the split, for a quick look; None for all.
    device : where the networks compute; None for the CPU.
    progress : called with (models scored, models in all).
    client : takes the models one by one instead of this process; its workers see the same folders.

    Returns
    -------
    dict: "tcw-x4" and so on -> table of :func:`physlab.train.evaluate.results_table`, one row for all seeds.

    Raises
    ------
    PhysLabError : nothing to score, or a model that is for something else: by which study it is scored.
    """
    names, others = listed()
    tasks: dict[tuple[str, int], list] = {}
    mine: list[tuple[str, Any]] = []
    runs: dict[int, Any] = {}
    for name in names if models is None else models:
        model = load_model(name, device)
        card = getattr(model, "card", None) or {}
        if card.get("task") == OWN and "data" in card:
            mine.append((str(name), model))
            continue
        if not isinstance(model, FieldDownscaler) or not {"task", "factor"} <= set(card):
            kinds = others.set_index("name")["kind"]
            kind = next((kinds[known] for known in (name, f"{name}-s0") if known in kinds), "baseline")
            raise PhysLabError(f"'{name}' is not scored here: {elsewhere(kind)}")
        tasks.setdefault((card["task"], card["factor"]), []).append(model)
        if client is not None:
            job = (str(name), card["task"], card["factor"], split, fields, device)
            runs[id(model)] = client.submit(score_of, *job)
    if not tasks and not mine:
        raise PhysLabError("no checkpoint to score: name one (physlab list models), or score all with --all")
    total, done = sum(map(len, tasks.values())) + len(mine), itertools.count(1)

    def step() -> None:
        if progress is not None:
            progress(next(done), total)

    if progress is not None:
        progress(0, total)
    if client is not None and mine:
        tables = client.submit(own_by_name, [name for name, _ in mine], split, fields).result()
    else:
        tables = own_tables(mine, split, fields)
    for _ in mine:
        step()
    for (task, factor), found in sorted(tasks.items(), key=lambda item: item[0]):
        data = first_of(sr_pairs(task, factor, splits=(split,)), fields)
        tables[f"{task}-x{factor}"] = results_table(found, data, split, stored=False, progress=step,
                                                   scores={k: run.result for k, run in runs.items()})  # fmt: skip
    return tables


def score_of(
    name: str, task: str, factor: int, split: str, fields: int | None, device: torch.device | str | None
) -> dict[str, float]:
    """The scores of one model, by its name: what a worker is given."""
    return evaluate(load_model(name, device), _pairs(task, factor, split, fields), split)


@functools.lru_cache(2)
def _pairs(task: str, factor: int, split: str, fields: int | None) -> SRData:
    return first_of(sr_pairs(task, factor, splits=(split,)), fields)


def own_by_name(names: list[str], split: str, fields: int | None) -> dict[str, pd.DataFrame]:
    """:func:`own_tables` of folders, on a worker."""
    return own_tables([(name, load_model(name)) for name in names], split, fields)


def own_tables(models: Iterable[tuple[str, Any]], split: str, fields: int | None) -> dict[str, pd.DataFrame]:
    """Models that were trained on data of one's own, each set of data read anew by what the cards say of it."""
    from physlab.train.own.compare import rows_of
    from physlab.train.own.reading import own_data
    from physlab.train.own.request import Request

    sets: dict[str, list[tuple[str, Any]]] = {}
    for name, model in models:
        sets.setdefault(json.dumps(model.card["data"]["request"], sort_keys=True), []).append((name, model))
    tables = {}
    for text, found in sets.items():
        request = Request.of(json.loads(text))
        data = own_data(request)
        if found[0][1].spec.frames == (2, 3):
            data = data.at_frames((0, 2))
        runs = [(Path(name).name, m.card.get("seed"), m) for name, m in found]
        for _, _, model in runs:
            if hasattr(model, "to"):
                model.to("cpu")
        rows, _ = rows_of(data, runs, split, fields)
        for variable in rows[0].scores:
            frame = pd.DataFrame([{"method": r.name, **r.scores[variable]} for r in rows])
            table = summed_up(frame, ("method",), [name for name in frame if name != "method"])
            best = float(table["rmse"][: sum(r.kind == "baseline" for r in rows)].min())
            table.insert(2, "gain", 1.0 - table["rmse"] / best)
            tables[f"{Path(request.truth).stem}-{variable}-x{request.factor}"] = table
    return tables


def first_of(data: SRData, fields: int | None) -> SRData:
    """The first samples of each split; None for all."""
    if fields is None:
        return data
    if fields < 1:
        raise PhysLabError(f"fields is {fields}: pass at least 1")
    fine, coarse = ({split: x[:fields] for split, x in part.items()} for part in (data.fine, data.coarse))
    time, longitude = ({split: x[:fields] for split, x in part.items()} for part in (data.time, data.longitude))
    hashes = dict.fromkeys(data.hashes, "a part")
    return replace(data, fine=fine, coarse=coarse, longitude=longitude, time=time, hashes=hashes)
