"""The published gain on the task of model errors: mirrored pairs, weights that validate best, and PhyDA with a skip.

    physlab benchmark assimilation --task mirrored --data twin --output benchmark

On a planet without seasons a pair with north and south exchanged is as good as the pair, which makes two of each of the
few pairs that there are (:mod:`physlab.benchmark.assimilation` sees each as it is). What is kept are the weights with
the least loss on validation states, and the temperature of members is chosen there, by the SpecDiv of z500; the test
decides nothing. PhyDA says part of the increment past its autoencoder; Adas is trained by the same plan. 2 % of the
columns without noise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from physlab.assimilate import Adas, PhyDA
from physlab.assimilate.latent import LatentDiffusion
from physlab.assimilate.learned import Learned
from physlab.benchmark import assimilation as bench
from physlab.benchmark.study import Context, Run, Study, presets
from physlab.benchmark.table import By
from physlab.train.assimilation import AssimilationSettings, train_assimilator, untrained, validation_loss
from physlab.train.checkpoint import origin

BACKGROUND = "background"
PATIENT = AssimilationSettings(mirror=True, patience=1000)
MODELS: dict[str, tuple[Callable, AssimilationSettings, str]] = {
    "Adas": (Adas, replace(PATIENT, steps=800), ""),
    "PhyDA, skip": (functools.partial(PhyDA, skip=True), replace(PATIENT, steps=600), "VAE-Var"),
}
"""The method, the settings of its training, and whose autoencoder it takes."""
TEMPERATURES = (1.0, 0.6, 0.3, 0.0)
SPLITS = ("val", "test")
SCORES = ("specdiv", "specdiv_eddy", "mse", "mse_member", "crps", "spread_skill", "rmse_z500")
COLUMNS = ("model", "seed", "split", "temperature", *SCORES, "members", "states", "samples")


def trained(run: Run, context: Context) -> Learned | None:
    """The method of a run, from its folder or trained now."""
    if run.model == BACKGROUND:
        return None
    make, settings, base = MODELS[run.model]
    path = bench.checkpoint(Path(context.output) / "mirrored", run.model, run.seed)
    if path.exists():
        return Learned.load(path)
    train, val = (bench.pairs_of(context.data, context.output, split) for split in ("train", "val"))
    plain = replace(context, changes={})
    autoencoder = bench.trained(bench.Run(base, run.seed), plain) if base else None
    laws = functools.partial(bench.laws, context.data, context.output)
    method = untrained(make, train, run.seed or 0, autoencoder, context.device, laws)
    chosen = replace(settings, **context.changes)
    report = train_assimilator(
        method, train, chosen, run.seed or 0, held_out=validation_loss(val, *bench.MAIN, len(val))
    )
    method.card |= {"task": "nature-twin", "seed": run.seed, "train_s": report.wall_time_s, "history": report.history,
                    "best_step": report.best_step, **origin(method.area.device)}  # fmt: skip
    method.save(path)
    return method.to("cpu").eval()


def samples(model: str, changes: dict) -> int:
    """Pairs that a method saw in training, those of its autoencoder too."""
    if model == BACKGROUND:
        return 0
    _, settings, base = MODELS[model]
    own = replace(settings, **changes)
    before = bench.entry_of(base).settings if base else None
    return own.steps * own.batch + (before.steps * before.batch if before is not None else 0)


def one(run: Run, context: Context) -> list[dict]:
    """A run at every temperature, on validation and on test states; what has no members has no temperature but 0."""
    method, rows = trained(run, context), []
    if isinstance(method, LatentDiffusion):
        method.sampler, method.steps = "adams", 16
    for split in SPLITS:
        pairs = bench.pairs_of(context.data, context.output, split)
        for temperature in TEMPERATURES if isinstance(method, LatentDiffusion) else (0.0,):
            if isinstance(method, LatentDiffusion):
                method.temperature = temperature
            found = bench.score(method, pairs, *bench.MAIN, bench.MEMBERS if temperature else 1)
            rows.append({"model": run.model, "seed": run.seed, "split": split, "temperature": temperature,
                         "samples": samples(run.model, dict(context.changes)), **found})  # fmt: skip
    return rows


def chosen(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of the test at the temperature that validates best, for each model and seed; in per cent what they take
    off the background's: `specdiv_off`, `specdiv_eddy_off`, `mse_off`, `crps_off`."""
    runs = runs.assign(seed=runs["seed"].fillna(-1))
    found = []
    for (_, seed), own in runs[runs["model"] != BACKGROUND].groupby(["model", "seed"], sort=False):
        val, test = (own[own["split"] == split].set_index("temperature") for split in SPLITS)
        best = val["specdiv"].idxmin()
        found.append({**test.loc[best].to_dict(), "seed": int(seed), "temperature": best})
    made = pd.DataFrame(found)
    base = runs[(runs["model"] == BACKGROUND) & (runs["split"] == "test")].iloc[0]
    return made.assign(**{f"{name}_off": 100 * (1 - made[name] / base[name])
                          for name in ("specdiv", "specdiv_eddy", "mse", "crps")})  # fmt: skip


def mirrored_summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds of what :func:`chosen` gives, and the least of the seeds, by model."""
    found = chosen(runs)
    names = [name for name in found if str(name).endswith("_off")]
    table = found.groupby("model", sort=False)[names].agg(["mean", "min"])
    table.columns = [f"{name}{'' if how == 'mean' else '_least'}" for name, how in table.columns]
    return table.assign(seeds=found.groupby("model")["seed"].nunique()).reset_index()


def plan() -> list[Run]:
    """The background, then seed by seed."""
    return [Run(BACKGROUND, None), *(Run(model, seed) for seed in bench.SEEDS for model in MODELS)]


#: One line per run, split (val or test) and temperature (0: the centre, one field): scores of
#: :func:`physlab.score.analysis.analysis_scores` (means over states), members, states, samples (seen in training).
STUDY = Study(
    name="assimilation-mirrored",
    title="mirrored pairs and weights that validate best: the published gain of PhyDA",
    columns=COLUMNS,
    plans=presets(plan),
    work=one,
    check=bench.check,
    order=(By("model", (BACKGROUND, *MODELS)), By("seed"), By("split", SPLITS), By("temperature", falling=True)),
    summarise=mirrored_summary,
    display=lambda runs: [("taken off the background's, per cent, test states", mirrored_summary(runs).round(1))],
    tell=lambda rows: f"SpecDiv {rows[rows['split'] == 'test']['specdiv'].min():.3g}",
    reference=lambda run: run.model == BACKGROUND,
    data="twin",
    needs="folder of two nature runs, run-8 and run-9",
)
benchmark_mirrored, read_mirrored, write_mirrored = STUDY.launch, STUDY.read, STUDY.write
