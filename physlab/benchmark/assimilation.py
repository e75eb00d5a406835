"""The benchmark of data assimilation: every method on the same states, backgrounds and observations.

    physlab simulate --output twin/run-8 --seed 8 --days 80 --hourly 0 0 --forecast-every 6
    physlab simulate --output twin/run-9 --seed 9 --days 40 --hourly 0 0 --forecast-every 6
    physlab benchmark assimilation --data twin --output benchmark

Training is one nature run; validation (days 1 to 18) and test (days 23 to 40) are another that shares no weather with
it. The truth is T85, truncated to 64 x 128; the background is the T42 forecast of a day that ends there. Observed are
random whole columns. Every method sees the same stations.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch

from physlab.assimilate import FNP, SDA, SLAM, Adas, ConvCNP, GlobalVar3D, PhyDA, StaticLETKF, VAEVar
from physlab.assimilate.learned import Learned
from physlab.assimilate.proxy import LAWS, PhysicsProxy, further_laws
from physlab.assimilate.statespace import observe_columns
from physlab.benchmark.study import Context, Run, Study, nature_run, presets
from physlab.benchmark.table import By
from physlab.registry import Registered
from physlab.score.analysis import FIELDS, analysis_scores
from physlab.train.assimilation import AssimilationSettings, Pairs, train_assimilator, untrained
from physlab.train.checkpoint import origin

TRAINING, HELD_OUT = "run-8", "run-9"
DAYS = {"train": (1, 1000), "val": (1, 18), "test": (23, 41)}
EVERY = {"train": 1, "val": 8, "test": 8}  # pairs of 6 hours: a test state every two days
MAIN = (0.02, 0.0)  # share of the grid points, noise over background error
SETTINGS = (MAIN, (0.1, 0.0), (0.05, 0.0), (0.01, 0.0), (0.005, 0.0), (0.02, 0.5))
MEMBERS, MEMBERS_CURVE = 8, 4  # at the main setting and at the others
SEEDS = (0, 1, 2)
SCORES = (
    "specdiv", "specdiv_top", "specdiv_eddy", "specdiv_eddy_top", "mse", "mae", "mse_member",
    *(f"rmse_{name}" for name in FIELDS), "crps", "spread_skill", *(f"residual_{law}" for law in LAWS),
)  # fmt: skip
COLUMNS = ("model", "seed", "share", "noise", *SCORES, "members", "states", "s_per_state", "parameters", "train_s")


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes
    ----------
    make : the method, from a state space (what is estimated: from increments and a state space); None for the
        background.
    settings : of its training.
    after : name of the entry whose autoencoder it takes over.
    curve : whether it is scored at every share; ablations only at the main one.
    """

    make: Callable | None
    settings: AssimilationSettings = field(default_factory=AssimilationSettings)
    after: str = ""
    curve: bool = True


CPU = AssimilationSettings(steps=400)
ENTRIES: dict[str, Entry] = {
    "background": Entry(None),
    "3D-Var": Entry(GlobalVar3D.from_increments),
    "LETKF": Entry(StaticLETKF.from_increments),
    "VAE-Var": Entry(VAEVar, AssimilationSettings(steps=700)),
    "Adas": Entry(Adas, CPU),
    "ConvCNP": Entry(ConvCNP, CPU),
    "FNP": Entry(FNP, CPU),
    "SDA": Entry(SDA, CPU),
    "SLAM": Entry(SLAM, CPU, "VAE-Var"),
    "PhyDA": Entry(PhyDA, CPU, "VAE-Var"),
    "PhyDA without PRDO": Entry(functools.partial(PhyDA, physics=0.0), CPU, "VAE-Var", False),
    "PhyDA, convolution for VRE": Entry(functools.partial(PhyDA, encoder="convolution"), CPU, "VAE-Var", False),
    "PhyDA without VRE": Entry(functools.partial(PhyDA, encoder="none"), CPU, "VAE-Var", False),
}


#: Methods that are registered and have no entry: they are trained like most others.
REGISTERED: Registered[type] = Registered("methods", lambda spec: spec.kind == "assimilation")
FIXED = ("background", "3D-Var", "LETKF")  # nothing random


def entry_of(name: str) -> Entry:
    """The entry of a row, or that of a registered method."""
    return ENTRIES[name] if name in ENTRIES else Entry(REGISTERED[name], CPU)


def more(name: str, preset: str) -> list[Run]:
    """Runs of a method by the name under which it is registered: of its entry, or as a new row."""
    known = next((known for known in REGISTERED if known.casefold() == name.casefold()), None)
    if known is None or not issubclass(REGISTERED[known], Learned):
        return []
    kind = REGISTERED[known]
    rows = [row for row, entry in ENTRIES.items() if kind in (entry.make, getattr(entry.make, "__self__", None))]
    return [run for run in plan() if run.model in rows] or [Run(known, seed) for seed in SEEDS]


@functools.lru_cache(maxsize=4)
def pairs_of(data: str, output: str, split: str) -> Pairs:
    """Those of a split; written beside the table, in half precision, for the other processes.

    Raises
    ------
    PhysLabError : the runs are not there.
    """
    path = Path(output) / f"pairs-{split}.safetensors"
    if path.exists():
        return Pairs.load(path)
    name, days = (TRAINING, 80) if split == "train" else (HELD_OUT, 40)
    run = nature_run(Path(data) / name, days, "--forecast-every 6")
    space = None if split == "train" else pairs_of(data, output, "train").space
    pairs = Pairs.read([(run, DAYS[split])], space, EVERY[split])
    pairs.save(path)
    return pairs


@functools.lru_cache(maxsize=1)
def laws(data: str, output: str) -> PhysicsProxy:
    """The balances of the training block."""
    train = pairs_of(data, output, "train")
    return PhysicsProxy(train.space).fit(train.truth(slice(k, k + 8)) for k in range(0, len(train), 8))


def checkpoint(output: str | Path, model: str, seed: int | None) -> Path:
    """Folder of a trained method."""
    slug = model.lower().replace(", ", "-").replace(" ", "-")
    return Path(output) / (slug if seed is None else f"{slug}-s{seed}")


def trained(run: Run, context: Context, folder: Path | None = None) -> Learned | None:
    """The method of a run, from its folder or trained now.

    Parameters
    ----------
    folder : of methods whose settings differ from those in the output; what they build on is there, as it is.
    """
    entry, output = entry_of(run.model), context.output
    if entry.make is None:
        return None
    path = checkpoint(folder or output, run.model, run.seed)
    if path.exists():
        return Learned.load(path)
    train = pairs_of(context.data, output, "train")
    if run.model in FIXED:
        return entry.make(train.increment.float(), train.space)
    autoencoder = None
    if entry.after:
        autoencoder = trained(Run(entry.after, run.seed), replace(context, changes={}) if folder else context)
    held = functools.partial(laws, context.data, output)
    method = untrained(entry.make, train, run.seed or 0, autoencoder, context.device, held)
    report = train_assimilator(method, train, replace(entry.settings, **context.changes), run.seed or 0)
    method.card |= {"task": "nature-twin", "seed": run.seed, "train_s": report.wall_time_s, "history": report.history,
                    **origin(method.area.device), "precision": report.precision}  # fmt: skip
    method.save(path)
    return method.to("cpu").eval()


@torch.no_grad()
def score(method: Learned | None, pairs: Pairs, share: float, noise: float, members: int = MEMBERS) -> dict[str, float]:
    """Mean scores over all pairs; the stations depend on the pair and the setting alone."""
    space, rows, seconds = pairs.space, [], 0.0
    members, centred = members if method is not None and method.ensemble else 1, False
    for k in range(len(pairs)):
        background, increment = pairs.take(slice(k, k + 1))
        generator = torch.Generator().manual_seed(1_000_003 * k + round(1e5 * share) + round(10 * noise))
        columns = observe_columns(increment, share, noise, space.area, generator)
        begun = time.perf_counter()
        made = torch.zeros(1, *increment.shape)
        if method is not None:
            made = method.increments(background, columns, members, generator).detach()
        seconds += time.perf_counter() - begun
        base = space.mean + space.std * background[0]
        analysis = base + space.error * made[0]
        if method is not None:
            analysis, centred = method.bounded(analysis), members > 1 and method.centred
        rows.append(analysis_scores(analysis, base + space.error * increment[0], space, centred))
    table = pd.DataFrame(rows)
    return {**table.mean().to_dict(), "members": members, "states": len(rows), "s_per_state": seconds / len(rows)}


def one(run: Run, context: Context) -> list[dict]:
    """A run, trained if need be and scored at its settings."""
    method = trained(run, context)
    cost: dict[str, float | None] = {"parameters": 0, "train_s": float("nan")}
    if method is not None:
        cost = {"parameters": sum(p.numel() for p in method.parameters()), "train_s": method.card.get("train_s")}
    pairs = pairs_of(context.data, context.output, context.split)
    return [{"model": run.model, "seed": run.seed, "share": share, "noise": noise, **cost,
             **score(method, pairs, share, noise, MEMBERS if (share, noise) == MAIN else MEMBERS_CURVE)}
            for share, noise in (SETTINGS if entry_of(run.model).curve else SETTINGS[:1])]  # fmt: skip


def after(run: Run, context: Context) -> list[Run]:
    """The autoencoder that a run takes over, if it is not there."""
    first = Run(entry_of(run.model).after, run.seed)
    return [first] if first.model and not checkpoint(context.output, first.model, first.seed).exists() else []


def check(runs: list[Run], context: Context) -> None:
    """Both splits are read once, before processes ask for them side by side."""
    for split in ("train", "test"):
        pairs_of(context.data, context.output, split)


def plan() -> list[Run]:
    """What has no seed, then seed by seed; autoencoders first."""
    learned = [name for name in ENTRIES if name not in FIXED]
    return [*(Run(name, None) for name in FIXED), *(Run(name, seed) for seed in SEEDS for name in learned)]


#: The table has one line per run and setting: seed (empty where nothing is random), share, noise, the scores of
#: :func:`physlab.score.analysis.analysis_scores` (means over the test states), members, states, s_per_state (one
#: thread, all members), parameters, train_s.
STUDY = Study(
    name="assimilation",
    title="classical and learned analyses of whole states from a few columns",
    columns=COLUMNS,
    plans=presets(plan),
    work=one,
    prepare=trained,
    after=after,
    more=more,
    check=check,
    order=(By("noise"), By("share", falling=True), By("model", ENTRIES), By("seed")),
    part=dict(zip(("share", "noise"), MAIN, strict=True)),
    by=("model",),
    averaged=(*SCORES, "s_per_state", "train_s", "parameters"),
    further=lambda: [f"residual_{law}" for law in further_laws()],
    gains={f"{name}_gain": name for name in ("mse", "specdiv", "specdiv_top", "specdiv_eddy", "specdiv_eddy_top")},
    against={"model": "background"},
    headline=("mse", "crps", "specdiv", "specdiv_eddy", "rmse_z500", "rmse_u500", "residual_geostrophic"),
    tell=lambda rows: f"MSE {rows['mse'].iloc[0]:.5f}",
    reference=lambda run: run.model == "background",
    data="twin",
    needs="folder of two nature runs, run-8 and run-9",
    scores=("assimilation",),
)
benchmark_assimilation, read_assimilation, write_assimilation = STUDY.launch, STUDY.read, STUDY.write
assimilation_summary = STUDY.summary
