"""The benchmark of real rain: radar at one kilometre, refined by 4 and by 8, with whatever the book has.

    physlab benchmark rain --output benchmark

One event of 72 minutes, so that the blocks are blocks of space (:mod:`physlab.data.rain`). All networks have the same
number of steps, batches and windows; those with noise learn by the fair CRPS of two draws, the others by the mean
square error. Each line says how much better its CRPS is, and by how much its FSS is larger, than those of
bicubic interpolation with the multiplicative layer, and than those of multiple regression with that layer; the
intervals are those of a bootstrap over places, paired. The table that ships has x8, with three seeds of all networks
in it. For a single field the CRPS is the mean absolute error, and the
FSS compares shares of cells (Roberts and Lean 2008); for an ensemble the share is that of all members (Schwartz et al.
2010, Weather Forecast. 25, 263-280).
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn import functional

from physlab import score
from physlab.benchmark.study import Context, Study, first_seed
from physlab.benchmark.table import By
from physlab.data.patches import SRData
from physlab.data.rain import places, rain_pairs
from physlab.downscale import Constrained, FieldDownscaler, Interpolate, make_statistical
from physlab.score.paired import block_bootstrap
from physlab.train import Preset, Recipe, load_checkpoint, predict_members, train_one
from physlab.train.adversarial import Adversarial
from physlab.train.settings import Settings

FACTORS, SEEDS, MEMBERS = (4, 8), (0, 1, 2), 8
THRESHOLDS, WINDOW, WET = (1.0, 8.0), 5, 0.1  # mm/h; cells of 1 km; mm/h
SIZE = {"channels": 32, "blocks": 4, "skip": "bicubic", "zero_start": True}
BUDGET = Settings(steps=400, batch=16, rate=2e-3, crop=64, flips="xy", validate_every=100, patience=9)
AGAINST = Adversarial(steps=100, weight=3e-3, rate=3e-4, rate_d=5e-4)
REGRESSIONS = {  # those that draw members have them as they come: a layer would act on their mean
    "linear": ("none", "mult"), "mlp": ("none", "mult"), "quantile regression": ("none",), "analog": ("none",),
}  # fmt: skip
BASELINES = (("nearest", "none"), ("bicubic", "none"), ("bicubic", "add"), ("bicubic", "mult"))

#: Network -> its preset, and the constraints it is trained with.
NETWORKS: dict[str, tuple[Preset, tuple[str, ...]]] = {
    "compact": (
        Preset("CompactResNet", {"channels": 32, "blocks": 4}, BUDGET),
        ("none", "soft", "add", "scaled_add", "mult", "softmax"),
    ),
    "noise": (
        Preset("NoiseResNet", {**SIZE, "upsample": "shuffle"}, replace(BUDGET, loss="crps")),
        ("none", "add", "mult", "softmax"),
    ),
    "gan": (
        Preset(
            "NoiseResNet",
            {**SIZE, "upsample": "shuffle"},
            replace(BUDGET, loss="crps", steps=BUDGET.steps - AGAINST.steps),
            AGAINST,
        ),
        ("none", "softmax"),
    ),
}


@dataclass(frozen=True)
class Run:
    """One line of the table."""

    factor: int
    model: str
    constraint: str
    seed: int | None

    def __str__(self) -> str:
        return f"x{self.factor} {self.model} {self.constraint}" + ("" if self.seed is None else f", seed {self.seed}")


def paper() -> list[Run]:
    """Baselines, regressions and networks, x4 before x8, seed by seed."""
    runs = [Run(factor, *names, None) for factor in FACTORS for names in BASELINES]
    runs += [Run(f, model, layer, 0) for f in FACTORS for model, some in REGRESSIONS.items() for layer in some]
    for factor in FACTORS:
        for seed in SEEDS:
            runs += [Run(factor, model, layer, seed) for model, (_, some) in NETWORKS.items() for layer in some]
    return runs


def quick() -> list[Run]:
    """A look: x8, the cheaper one, and the first seed."""
    return [run for run in first_seed(paper()) if run.factor == FACTORS[-1]]


@functools.lru_cache(maxsize=2)
def pairs(factor: int) -> SRData:
    """The data stay in the memory of a worker."""
    return rain_pairs(factor)


@functools.lru_cache(maxsize=4)
def fitted(model: str, factor: int) -> FieldDownscaler:
    """A regression of the rain of the training region."""
    data = pairs(factor)
    return make_statistical(model, data).fit(data, seed=0)


def make(run: Run, data: SRData, context: Context) -> FieldDownscaler:
    """The method of a run, trained or fitted if need be."""
    if run.model in ("nearest", "bicubic"):
        return Interpolate(run.model, run.factor, run.constraint)
    if run.model in REGRESSIONS:
        method = fitted(run.model, run.factor)
        return method if run.constraint == "none" else Constrained(method, run.constraint)
    preset, layers = NETWORKS[run.model]
    recipe = Recipe("mrms-rain", run.factor, {"cpu": preset}, layers, label="" if run.model == "compact" else run.model)
    changes = dict(context.changes)
    folder = train_one(recipe, run.constraint, run.seed or 0, "cpu", Path(context.output) / "rain", data,
                       device=context.device, **changes)  # fmt: skip
    return load_checkpoint(folder)


@functools.lru_cache(maxsize=4)
def references(factor: int) -> dict[str, dict[str, np.ndarray]]:
    """Scores by tile of what every line is compared with."""
    data = pairs(factor)
    methods = {"bicubic": Interpolate("bicubic", factor, "mult"),
               "regression": Constrained(fitted("linear", factor), "mult")}  # fmt: skip
    return {name: by_tile(predict_members(method, data), data.fine["test"]) for name, method in methods.items()}


def shares(field: Tensor, threshold: float) -> Tensor:
    """Share of cells above a threshold around each cell; of (M, ...) members that of all of them."""
    above = (field > threshold).double().mean(0)
    return functional.avg_pool2d(above, WINDOW, 1, WINDOW // 2)


def by_tile(drawn: Tensor, fine: Tensor) -> dict[str, np.ndarray]:
    """(S,) scores of each tile whose means make those of all.

    Parameters
    ----------
    drawn : (M, S, 1, H, W) mm/h.  fine : (S, 1, H, W).

    Returns
    -------
    crps, square (error of the mean), and for each threshold miss and worst, whose means give FSS = 1 - miss / worst,
    and hit and either, whose means give CSI = hit / either, of a member.
    """
    each = (1, 2, 3)
    found = {"crps": score.crps(drawn, fine, mean=False).double().mean(each),
             "square": (drawn.mean(0) - fine).double().square().mean(each)}  # fmt: skip
    for at in THRESHOLDS:
        p, o = shares(drawn, at), shares(fine[None], at)
        yes, no = drawn > at, fine > at
        found |= {
            f"miss_{at:g}": (p - o).square().mean(each),
            f"worst_{at:g}": (p.square() + o.square()).mean(each),
            f"hit_{at:g}": (yes & no).double().mean((0, 2, 3, 4)),
            f"either_{at:g}": (yes | no).double().mean((0, 2, 3, 4)),
        }
    return {name: values.numpy() for name, values in found.items()}


def compared(own: dict[str, np.ndarray], other: dict[str, np.ndarray], blocks: np.ndarray) -> dict[str, float]:
    """What is gained over a reference, with intervals: CRPS relative, FSS at the larger threshold as a difference."""
    at = f"{THRESHOLDS[-1]:g}"
    names = ("crps", f"miss_{at}", f"worst_{at}")
    columns = np.stack([part[name] for part in (own, other) for name in names], 1)

    def gains(m: np.ndarray) -> np.ndarray:
        return np.stack([1 - m[..., 0] / m[..., 3], m[..., 4] / m[..., 5] - m[..., 1] / m[..., 2]], -1)

    value, low, high = block_bootstrap(columns, blocks, gains)
    return {f"{name}_{what}": float(part[k]) for k, name in enumerate(("crps", "fss"))
            for what, part in (("gain", value), ("low", low), ("high", high))}  # fmt: skip


def scores_of(drawn: Tensor, data: SRData) -> dict[str, float]:
    """All scores of (M, S, 1, H, W) predictions of the test tiles, mm/h."""
    fine, coarse = data.fine["test"], data.coarse["test"]
    tiles = by_tile(drawn, fine)
    mean = {name: float(values.mean()) for name, values in tiles.items()}
    member, weights = drawn[0], data.weights.double()
    kept = score.conservation_error(member.double(), coarse.double(), data.factor, weights, relative=True)
    found = {"members": len(drawn), "rmse": mean["square"] ** 0.5, "crps": mean["crps"]}
    for at in (f"{value:g}" for value in THRESHOLDS):
        found |= {f"fss_{at}": 1 - mean[f"miss_{at}"] / mean[f"worst_{at}"],
                  f"csi_{at}": mean[f"hit_{at}"] / mean[f"either_{at}"]}  # fmt: skip
    tails = [float(np.quantile(x.numpy(), 0.999)) for x in (member, fine)]
    found |= {
        "wet_area": float((member > WET).double().mean() / (fine > WET).double().mean()),
        "extreme": tails[0] / tails[1],
        "spectral_divergence": float(score.spectral_divergence(member, fine, window="hann")),
        "conservation_error": float(kept),
        "negative_count": float(score.negative_count(member)),
    }
    blocks = places()
    for name, other in references(data.factor).items():
        found |= {f"{key}_{name}": value for key, value in compared(tiles, other, blocks).items()}
    return found


def one(run: Run, context: Context) -> list[dict]:
    """Make and score the method of a run."""
    data = pairs(run.factor)
    method = make(run, data, context)
    card = getattr(method, "card", None) or {}
    network = card.get("network", {})
    drawn = predict_members(method, data, members=MEMBERS)
    costs = {"parameters": network.get("parameters", 0), "train_s": card.get("wall_time_s")}
    return [asdict(run) | scores_of(drawn, data) | costs]


GAINS = tuple(
    f"{name}_{what}_{other}"
    for other in ("bicubic", "regression")
    for name in ("crps", "fss")
    for what in ("gain", "low", "high")
)
SCORES = ("rmse", "crps", "fss_1", "csi_1", "fss_8", "csi_8", "wet_area", "extreme", "spectral_divergence",
          "conservation_error", "negative_count")  # fmt: skip
KINDS = ("nearest", "bicubic", *REGRESSIONS, *NETWORKS)
LAYERS = ("none", "soft", "add", "scaled_add", "mult", "softmax")

#: One line per run. wet_area: share of wet cells over that of the truth; extreme: 99.9th percentile over that of the
#: truth; conservation_error: largest, relative; `*_gain_*`: CRPS as 1 - own / reference, FSS at 8 mm/h and 5 km as own
#: - reference, with the 95 % interval of a bootstrap over places.
STUDY = Study(
    name="rain",
    title="real rain from radar at 1 km, by blocks of space: interpolation, regression, constraints and ensembles",
    keys=("factor", "model", "constraint", "seed"),
    columns=("factor", "model", "constraint", "seed", "members", *SCORES, *GAINS, "parameters", "train_s"),
    plans={"paper": paper, "quick": quick},
    work=one,
    order=(By("factor"), By("model", KINDS), By("constraint", LAYERS), By("seed")),
    part={"factor": 8},
    by=("model", "constraint", "members"),
    averaged=(*SCORES, *GAINS, "parameters", "train_s"),
    headline=("crps", "crps_gain_bicubic", "crps_gain_regression", "fss_8", "fss_gain_bicubic", "fss_gain_regression",
              "rmse", "wet_area", "extreme", "spectral_divergence", "negative_count"),
    tell=lambda rows: f"CRPS {rows['crps'].iloc[0]:.4g} mm/h, FSS {rows['fss_8'].iloc[0]:.3f}",
    reference=lambda run: run.model == "bicubic" and run.constraint == "mult",
    fill={"constraint": "none"},
)  # fmt: skip
