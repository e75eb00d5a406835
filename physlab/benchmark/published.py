"""The networks of the course report at their published size, trained by one plan, and what the size is worth.

    physlab benchmark published --output benchmark

Every row has a control: the same network with 16 channels and 2 blocks, trained by the same plan (steps, batches, rate
and seed of the preset `published`), so that the two differ in size alone. Both are scored once, on the test block of
the laboratory atmosphere, beside bicubic interpolation with the additive layer, which has seen no data. Gains are
relative differences of the RMSE, with the 95 % interval of a bootstrap over blocks of five days, paired.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from physlab.benchmark.downscaling import CHECKPOINTS, PAPER, make, pairs, run_of
from physlab.benchmark.study import Context, Study, presets
from physlab.benchmark.table import By
from physlab.data.patches import SRData
from physlab.score.paired import gains
from physlab.train import load_checkpoint, predict_members, train_one
from physlab.train.evaluate import baselines, scores_of
from physlab.train.recipe import Recipe, get_recipe

PRESET, CONTROL = "published", "control"
SMALL = {"channels": 16, "blocks": 2}
HOURS = 5 * 24
SCORES = ("rmse", "mae", "bias", "conservation_error", "negative_count", "crps", "spectral_divergence_top")
GAINS = tuple(f"gain_{other}{end}" for other in ("small", "bicubic_add") for end in ("", "_low", "_high"))


@dataclass(frozen=True)
class Run:
    """A row of the report, by its number there."""

    row: str
    seed: int

    def __str__(self) -> str:
        return self.row + (f", seed {self.seed}" if self.seed else "")


def plan() -> list[Run]:
    """Each row of the report once."""
    return [Run(row, 0) for row in PAPER]


def control(recipe: Recipe) -> Recipe:
    """The recipe with a small network that is trained by the plan of the published one."""
    preset = recipe.presets[PRESET]
    return replace(recipe, presets={CONTROL: replace(preset, arguments={**preset.arguments, **SMALL})})


def squares(made: Tensor, data: SRData) -> np.ndarray:
    """(S,) mean square errors of the mean over members (M, S, T, H, W), by area."""
    weights = data.weights.double()
    error = (made.double().mean(0) - data.fine["test"].double()).square() * weights / weights.mean()
    return error.mean((1, 2, 3)).numpy()


def one(run: Run, context: Context) -> list[dict]:
    """Train what is missing, and score it."""
    task, factor, label, constraint = PAPER[run.row]
    recipe, data = get_recipe(f"{task}-x{factor}-{label}"), pairs(task, factor)
    changes, folder = dict(context.changes), Path(context.output) / CHECKPOINTS
    large, costs = make(run_of(recipe, constraint, run.seed, PRESET), data, folder, changes, context.device)
    where = train_one(
        control(recipe), constraint, run.seed, CONTROL, folder, data, device=context.device, **changes
    )  # fmt: skip
    small = load_checkpoint(where)
    bicubic_add = next(method for method in baselines(data) if method.name == f"bicubic+add-x{factor}")
    drawn = predict_members(large, data)
    scores = scores_of(drawn, data.fine["test"], data.all_coarse("test"), factor, data.data_range("test"), data.weights)
    others = {"small": small, "bicubic_add": bicubic_add}
    errors = [squares(drawn, data), *(squares(predict_members(method, data), data) for method in others.values())]
    blocks = (data.time["test"] - data.time["test"].min()) // np.timedelta64(HOURS, "h")
    found = dict(zip(("", "_low", "_high"), gains(np.stack(errors, 1), blocks), strict=True))
    gained = {f"gain_{name}{end}": float(x[at]) for at, name in enumerate(others) for end, x in found.items()}
    rmse = {f"rmse_{name}": float(np.sqrt(error.mean())) for name, error in zip(others, errors[1:], strict=True)}
    line = {**asdict(run), "task": task, "factor": factor, "model": label, "constraint": constraint, **costs, **scores}
    weights = sum(p.numel() for p in small.network.parameters())  # of a checkpoint, whose weights do not learn
    line |= {"parameters_small": weights, "blocks": len(np.unique(blocks)), **rmse, **gained}
    return [{name: line[name] for name in COLUMNS}]


COLUMNS = (
    "row", "seed", "task", "factor", "model", "constraint", "parameters", "train_s", *SCORES,
    "parameters_small", "rmse_small", "rmse_bicubic_add", *GAINS, "blocks",
)  # fmt: skip
#: One line per row of the report: scores on the test block (kg m-2) of the network of the published size, RMSE of the
#: small one and of bicubic+add, and gains over both, 1 - RMSE / RMSE, with the 95 % interval of a bootstrap over
#: `blocks` of five days.
STUDY = Study(
    name="published",
    title="the networks of the course report at their published size, and the same ones small",
    keys=("row", "seed"),
    columns=COLUMNS,
    plans=presets(plan),
    work=one,
    order=(By("row", tuple(PAPER)), By("seed")),
    by=("row", "model", "constraint"),
    averaged=(*SCORES, "parameters", "rmse_small", "rmse_bicubic_add", *GAINS),
    headline=("rmse", "rmse_small", "gain_small", "gain_small_low", "gain_small_high", "rmse_bicubic_add",
              "gain_bicubic_add", "gain_bicubic_add_low", "gain_bicubic_add_high", "conservation_error"),
    tell=lambda rows: f"RMSE {rows['rmse'].iloc[0]:.4g} kg m-2",
    reference=lambda run: False,
    fill={"constraint": "none"},
)  # fmt: skip
