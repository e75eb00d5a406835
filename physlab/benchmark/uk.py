"""Real temperature with equal information: does a network beat ridge regression where both are told the same?

    physlab benchmark uk --output benchmark

ERA5 2-metre temperature over the British Isles, March 2019, 8 x 12 to 32 x 48 cells (the task `era5-uk-t2m`): 18 days
of training, 4 of validation, 5 of test. Every method below "hour" is told the whole coarse field and the hour of the
day (two harmonics), and knows the place, since it learns each cell of a fixed map: static fields could tell it nothing
that it cannot learn as a constant. All numbers (strength of the ridge, when to stop, the share of a mixture) are chosen
on validation, and every method ends in the additive layer. Margins are against ridge regression with the hour, paired,
with the interval of a bootstrap over half days.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from physlab.benchmark.study import Context, Run, Study, presets
from physlab.benchmark.table import By
from physlab.constrain import make_constraint
from physlab.data import sr_pairs
from physlab.data.patches import SRData
from physlab.nn import bicubic
from physlab.score.paired import gains
from physlab.zoo import load_model

TASK, FACTOR, SEEDS = "era5-uk-t2m", 4, (0, 1, 2)
STRENGTHS = tuple(float(10.0**k) for k in np.arange(-3, 4.5, 0.5))
LEADING, HIDDEN, STEPS, EVERY = 60, 128, 1500, 25
BLOCK = 12  # hours
REFERENCE = "ridge, hour"


@functools.lru_cache(maxsize=1)
def data() -> SRData:
    """The pairs of the task."""
    return sr_pairs(TASK, FACTOR)


def told(split: str, hour: bool) -> Tensor:
    """(S, P) what a method is told: the coarse field less its mean over the map, that mean, and the hour of the day."""
    pairs = data()
    x = pairs.coarse[split].double().flatten(1)
    mean = x.mean(1, keepdim=True)
    parts = [x - mean, mean - 280.0]
    if hour:
        hours = (pairs.time[split] - pairs.time[split].astype("datetime64[D]")) / np.timedelta64(1, "h")
        phase = torch.from_numpy(hours.astype(float)) * (2 * math.pi / 24)
        parts.append(torch.stack([f(k * phase) for k in (1, 2) for f in (torch.sin, torch.cos)], 1))
    return torch.cat(parts, 1)


def detail(split: str) -> Tensor:
    """(S, H * W) what bicubic interpolation lacks, K."""
    pairs = data()
    return (pairs.fine[split].double() - bicubic(pairs.coarse[split].double(), FACTOR)).flatten(1)


def finished(details: Tensor, split: str) -> Tensor:
    """(S, 1, H, W): interpolation and detail, made to agree with the coarse field."""
    pairs = data()
    coarse = pairs.coarse[split].double()
    fine = bicubic(coarse, FACTOR) + details.reshape(len(coarse), 1, *pairs.shape).double()
    return make_constraint("add", FACTOR)(fine, coarse, pairs.weights.double())


def squares(made: Tensor, split: str) -> np.ndarray:
    """(S,) mean square errors by area, K2."""
    pairs = data()
    weights = pairs.weights.double()
    return ((made - pairs.fine[split].double()).square() * weights / weights.mean()).mean((1, 2, 3)).numpy()


Predict = Callable[[str], Tensor]  # split -> details


@functools.lru_cache(maxsize=4)
def ridge(hour: bool) -> Predict:
    """Regression of every fine cell on all that is told; its strength is chosen on validation."""
    x, y = told("train", hour), detail("train")
    centre, spread, mean = x.mean(0), x.std(0).clamp_min(1e-9), y.mean(0)
    u, s, vt = torch.linalg.svd((x - centre) / spread, full_matrices=False)
    projected = u.T @ (y - mean)

    def of(strength: float) -> Predict:
        b = vt.T @ ((s / (s.square() + strength))[:, None] * projected)
        return lambda split: mean + ((told(split, hour) - centre) / spread) @ b

    return min((of(strength) for strength in STRENGTHS),
               key=lambda p: squares(finished(p("val"), "val"), "val").mean())  # fmt: skip


def perceptron(seed: int, base: Predict | None) -> Predict:
    """A network that is told the same: two hidden layers, leading components of the detail (or of what `base` leaves).

    It stops at its best validation; weights decay, and its inputs are standardised.
    """
    x, y = told("train", True), detail("train") - (0.0 if base is None else base("train"))
    centre, spread, mean = x.mean(0), x.std(0).clamp_min(1e-9), y.mean(0)
    axes = torch.linalg.svd(y - mean, full_matrices=False).Vh[:LEADING]
    size = float(((y - mean) @ axes.T).square().mean().sqrt())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
                                nn.Linear(HIDDEN, len(axes)))  # fmt: skip
    given, wanted = ((x - centre) / spread).float(), ((y - mean) @ axes.T / size).float()

    def details(split: str) -> Tensor:
        with torch.no_grad():
            made = network(((told(split, True) - centre) / spread).float()).double() * size
        return mean + made @ axes + (0.0 if base is None else base(split))

    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    generator = torch.Generator().manual_seed(seed)
    best, kept = math.inf, {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(STEPS):
        at = torch.randint(len(given), (64,), generator=generator)
        optimiser.zero_grad()
        (network(given[at]) - wanted[at]).square().mean().backward()
        optimiser.step()
        if (step + 1) % EVERY == 0:
            found = squares(finished(details("val"), "val"), "val").mean()
            if found < best:
                best, kept = found, {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept)
    return details


def convolutional(seed: int) -> Predict:
    """The compact network with the additive layer that ships; it knows the place, and no hour."""
    model, pairs = load_model(f"{TASK}-x{FACTOR}-add-s{seed}"), data()

    def details(split: str) -> Tensor:
        made = model.predict(pairs.coarse[split], pairs.weights).double()
        return (made - bicubic(pairs.coarse[split].double(), FACTOR)).flatten(1)

    return details


def mixture(one: Predict, other: Predict) -> Predict:
    """The share of two methods that is best on validation."""

    def of(share: float) -> Predict:
        return lambda split: share * one(split) + (1 - share) * other(split)

    return min((of(k / 10) for k in range(11)), key=lambda p: squares(finished(p("val"), "val"), "val").mean())


#: Name -> the method of a seed.
MODELS: dict[str, Callable[[int], Predict]] = {
    "bicubic": lambda seed: lambda split: torch.zeros_like(detail(split)),
    "mean detail": lambda seed: lambda split: detail("train").mean(0).expand_as(detail(split)),
    "ridge": lambda seed: ridge(False),
    REFERENCE: lambda seed: ridge(True),
    "perceptron, hour": lambda seed: perceptron(seed, None),
    "ridge, then perceptron, hour": lambda seed: perceptron(seed, ridge(True)),
    "convolutional network": convolutional,
    "ridge and convolutional network": lambda seed: mixture(ridge(True), convolutional(seed)),
}
FIXED = ("bicubic", "mean detail", "ridge", REFERENCE)


def plan() -> list[Run]:
    """What is fixed, then seed by seed."""
    learned = [Run(model, seed) for seed in SEEDS for model in MODELS if model not in FIXED]
    return [*(Run(model, None) for model in FIXED), *learned]


def one(run: Run, context: Context) -> list[dict]:
    """Fit and score a method."""
    pairs = data()
    errors, base = (
        squares(finished(p("test"), "test"), "test") for p in (MODELS[run.model](run.seed or 0), ridge(True))
    )
    hours = (pairs.time["test"] - pairs.time["test"].min()) // np.timedelta64(BLOCK, "h")
    value, low, high = gains(np.stack([errors, base], 1), hours)
    return [{"model": run.model, "seed": run.seed, "rmse": float(np.sqrt(errors.mean())), "margin": float(value[0]),
             "margin_low": float(low[0]), "margin_high": float(high[0]), "blocks": len(np.unique(hours))}]  # fmt: skip


#: One line per method and seed: RMSE on the test days (K), margin over ridge regression with the hour, 1 - RMSE / RMSE,
#: and its 95 % interval.
STUDY = Study(
    name="uk",
    title="real temperature: ridge regression and networks that are told the same",
    columns=("model", "seed", "rmse", "margin", "margin_low", "margin_high", "blocks"),
    plans=presets(plan),
    work=one,
    order=(By("model", tuple(MODELS)), By("seed")),
    by=("model",),
    averaged=("rmse", "margin", "margin_low", "margin_high"),
    headline=("rmse", "margin", "margin_low", "margin_high"),
    tell=lambda rows: f"RMSE {rows['rmse'].iloc[0]:.4f} K",
    reference=lambda run: run.model == REFERENCE,
)
