"""What it takes to bring the SpecDiv of PhyDA down: longer training, and members that stay closer to their centre.

    physlab benchmark divergence --data twin --output benchmark

Two baselines are trained as long. The data, the autoencoders and the scores are those of
:mod:`physlab.benchmark.assimilation`, 2 % of the columns without noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from physlab.assimilate.latent import LatentDiffusion
from physlab.benchmark import assimilation as bench
from physlab.benchmark.study import Context, Study, presets
from physlab.benchmark.table import By

MODELS = ("background", "Adas", "ConvCNP", "PhyDA")
STEPS = (400, 1200)  # as in the other table, and three times that
TEMPERATURES = (1.0, 0.75, 0.5, 0.25, 0.0)
SCORES = ("specdiv", "specdiv_top", "specdiv_eddy", "mse", "mse_member", "crps", "spread_skill", "rmse_z500")
COLUMNS = ("model", "seed", "steps", "temperature", *SCORES, "members", "states", "train_s")


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


def one(run: Run, context: Context) -> list[dict]:
    """A run, trained if need be; a method with members at every temperature."""
    longer = replace(context, changes={**context.changes, "steps": run.steps})
    method = bench.trained(bench.Run(run.model, run.seed), longer, Path(context.output) / f"steps-{run.steps}")
    pairs, rows = bench.pairs_of(context.data, context.output, context.split), []
    for temperature in TEMPERATURES if isinstance(method, LatentDiffusion) else (0.0,):
        if isinstance(method, LatentDiffusion):
            method.temperature = temperature
        found = bench.score(method, pairs, *bench.MAIN, bench.MEMBERS if temperature else 1)
        rows.append({"model": run.model, "seed": run.seed, "steps": run.steps, "temperature": temperature,
                     "train_s": None if method is None else method.card["train_s"], **found})  # fmt: skip
    return rows


#: The table has one line per run and temperature (0: the centre, one field; methods without members have no other):
#: scores of :func:`physlab.score.analysis.analysis_scores` (means over the test states), members, states, train_s.
STUDY = Study(
    name="divergence",
    title="what longer training and calmer members do for the spectra of PhyDA",
    keys=("model", "seed", "steps"),
    columns=COLUMNS,
    plans=presets(plan),
    work=one,
    prepare=bench.trained,
    after=lambda run, context: bench.after(bench.Run(run.model, run.seed), context),
    check=bench.check,
    order=(By("model", MODELS), By("steps"), By("seed"), By("temperature", falling=True)),
    by=("model", "steps", "temperature"),
    averaged=(*SCORES, "train_s"),
    headline=("specdiv", "mse", "crps", "spread_skill"),
    tell=lambda rows: f"SpecDiv {rows['specdiv'].iloc[0]:.3g}, MSE {rows['mse'].iloc[0]:.5f}",
    reference=lambda run: run.model == MODELS[0],
    data="twin",
    needs="folder of two nature runs, run-8 and run-9",
)
benchmark_divergence, read_divergence, divergence_summary = STUDY.launch, STUDY.read, STUDY.summary
