"""The benchmark of data assimilation in a cycle: backgrounds whose errors depend on what was observed before.

    physlab simulate --output truth-21 --seed 21 --days 105 --no-forecasts --hourly 0 0
    physlab cycle truth-21 cycled/cycle-21-0 --method 3d-var-cycled --noise 0.2 --days 104 --seed 0
    physlab benchmark assimilation --task cycled --data cycled --output benchmark

These made the table that ships; 3d-var-cycled is 3D-Var with the covariance of errors of a cycle, and further seeds of
`physlab cycle` are further draws of its observations.

In the other table (:mod:`physlab.benchmark.assimilation`, the task model-error) a forecast starts from the truth: its
errors are those of the model, and a network reads most of them off the background. Here it starts from an analysis.
Every row has its control, the same method without any observation, and beside all stands a network that never sees one
(the background corrector). What is ranked is what observations bring, on the same states and stations for all.

Days at the end are the test, those before the validation, with gaps; all cycles in the folder are used. Learned methods
see as many samples as each other (an autoencoder counts), keep the weights that validate best, and get the same outer
step: 3D-Var of what they have left. The error of a mean is that of many members: where few free draws were made, their
sampling error is taken off. Its spread is that of their errors on the validation block, its correlations are
mixed of these and of those of the training block's backgrounds, of which there are more; halves of the validation block
choose the mixture for each other, and whose members are taken.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from physlab.assimilate import (
    FNP,
    Adas,
    ColumnOI,
    ConvCNP,
    Corrector,
    DiffDA,
    GlobalVar3D,
    Learned,
    Likelihood,
    OuterStep,
    PhyDA,
    StaticLETKF,
    VAEVar,
)  # fmt: skip
from physlab.assimilate.global_cycle import open_truth
from physlab.assimilate.latent import LatentDiffusion
from physlab.assimilate.model_cycle import LETKFSettings, Var4DSettings
from physlab.assimilate.outer import SPREADS
from physlab.assimilate.sphere import estimate
from physlab.assimilate.statespace import Columns, observe_columns
from physlab.benchmark.assimilation import checkpoint
from physlab.benchmark.flow import InWeather, LETKFInWeather, Var4DInWeather, Weather, weather_of
from physlab.benchmark.study import Context, Run, Study, presets
from physlab.benchmark.table import By
from physlab.data.pairs import open_pairs
from physlab.data.pieces import seed_of
from physlab.errors import PhysLabError
from physlab.score.analysis import analysis_scores
from physlab.score.paired import block_bootstrap
from physlab.store import parse_card
from physlab.train.assimilation import AssimilationSettings, Pairs, train_assimilator, untrained, validation_loss
from physlab.train.checkpoint import commit, device_name, versions
from physlab.train.state import state_file

FIRST, GAP, VALIDATION, TEST = 8, 3, 8, 16  # days: left out at the start, between the blocks, and the blocks' lengths
BLOCK = 2.0  # days of a block of the bootstrap
MAIN = (0.02, 0.25)  # share of the grid points, noise over background error
SETTINGS = (MAIN, (0.1, 0.25), (0.005, 0.25), (0.02, 0.0))  # the last: exact columns, for the error left at stations
THIN = 8  # other settings than the main one: every so many states
TOLERANCE = 0.01  # of the search of 3D-Var: 0.0001 changes no error by more than 0.0005 of the background's
VALIDATED = 2  # what is chosen by analyses of the validation block: every so many of its states
MEMBERS = 2
SEEDS = (0, 1, 2)
STEPS = 240
SCORES = (
    "mse", "mse_member", "crps", "spread_skill", "specdiv", "specdiv_eddy", "rmse_z500", "residual_geostrophic",
    "stations",
)  # fmt: skip
COLUMNS = (
    "model", "seed", "share", "noise", "observed", "draw", "day", *SCORES, "members", "s", "samples", "parameters",
)  # fmt: skip
OUTER = " + outer step"


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes
    ----------
    make : the method of a state space, or of what the row builds on; None for the background.
    steps : of its training; 0 where nothing is trained.
    tried : arguments of which validation chooses.
    base : the row whose method or autoencoder it takes.
    fixed : nothing is random.
    lives : settings of a method that lives with the model, see :mod:`physlab.benchmark.flow`; its base is 3D-Var.
    curve : whether other settings than the main one are scored, too.
    """

    make: Callable | None = None
    steps: int = 0
    tried: tuple[dict, ...] = ({},)
    base: str = ""
    fixed: bool = False
    lives: Var4DSettings | LETKFSettings | None = None
    curve: bool = True


AUTOENCODER = "VAE-Var"
ENTRIES: dict[str, Entry] = {
    "background": Entry(fixed=True),
    "background corrector": Entry(Corrector, STEPS),
    "OI": Entry(ColumnOI, tried=tuple({"radius": r} for r in (4e5, 6e5, 9e5, 1.3e6)), fixed=True),
    "3D-Var": Entry(GlobalVar3D.from_increments, fixed=True,
                    tried=tuple({"bias": b, "tolerance": TOLERANCE} for b in (0.0, 0.7))),
    "LETKF": Entry(
        StaticLETKF.from_increments, fixed=True,
        tried=tuple({"radius": r, "floor": f} for r in (5e5, 8e5) for f in (0.25, 0.4)),
    ),
    "LETKF, forecast members": Entry(
        base="3D-Var", fixed=True, lives=LETKFSettings(size=0.7),
        tried=tuple({"radius": r, "floor": f} for r in (3e5, 5e5, 8e5, 1.2e6) for f in (0.4, 0.8)),
    ),
    "4D-Var": Entry(base="3D-Var", fixed=True, lives=Var4DSettings(), curve=False),
    AUTOENCODER: Entry(VAEVar, STEPS // 3),
    "Adas": Entry(Adas, STEPS),
    "ConvCNP": Entry(ConvCNP, STEPS),
    "FNP": Entry(FNP, STEPS),
    "DiffDA": Entry(DiffDA, STEPS),
    "PhyDA": Entry(PhyDA, STEPS - STEPS // 3, base=AUTOENCODER),
    "PhyDA, skip": Entry(functools.partial(PhyDA, skip=True), STEPS - STEPS // 3, base=AUTOENCODER),
    **{name + ", likelihood": Entry(Likelihood.of, tried=tuple({"prior": p} for p in ("background", "posterior")),
                                    base=name) for name in ("PhyDA", "PhyDA, skip")},
    **{name + OUTER: Entry(OuterStep.of, base=name,
                           tried=tuple({"weight": w, "bias": b, "tolerance": TOLERANCE}
                                       for w, b in ((1.0, 0.0), (0.5, 0.0), (0.0, 0.0), (0.5, 0.7))))
       for name in ("background corrector", "Adas", "ConvCNP", "FNP", "DiffDA", "PhyDA", "PhyDA, skip",
                    "PhyDA, likelihood", "PhyDA, skip, likelihood")},
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Block:
    """Pairs of one split, and when and in which cycle they were; `days` are those of the truth."""

    pairs: Pairs
    draws: list[str] = field(repr=False)
    days: np.ndarray = field(repr=False)


def cycles_of(data: str) -> list[Path]:
    """The cycles of a folder.

    Raises
    ------
    PhysLabError : there are none.
    """
    found = sorted(path.parent for path in Path(data).glob("*/cycle.json"))
    if not found:
        raise PhysLabError(
            f"{data} holds no cycles: make a truth by `physlab simulate --output truth-21 --seed 21 --days 130 "
            f"--no-forecasts --hourly 0 0`, then `physlab cycle truth-21 {data}/cycle-21-0 --days 129`"
        )
    return found


def truths(data: str) -> list[int]:
    """The seeds of the nature runs that the cycles of a folder live in."""
    found = {seed_of(parse_card(cycle / "cycle.json")["truth"]) for cycle in cycles_of(data)}
    return sorted(seed for seed in found if seed is not None)


def days_of(data: str) -> dict[str, tuple[float, float]]:
    """First and last (exclusive) day of the truth of each split.

    Raises
    ------
    PhysLabError : cycles that are too short.
    """
    end = min(parse_card(cycle / "cycle.json")["days"] for cycle in cycles_of(data))
    test = (end - TEST, end + 1)
    val = (test[0] - GAP - VALIDATION, test[0] - GAP)
    train = (FIRST, val[0] - GAP)
    if train[1] <= train[0]:
        raise PhysLabError(
            f"the cycles in {data} are {end} days long: training, validation and test with gaps take more than "
            f"{FIRST + 2 * GAP + VALIDATION + TEST}"
        )
    return {"train": train, "val": val, "test": test}


@functools.lru_cache(maxsize=4)
def block_of(data: str, output: str, split: str) -> Block:
    """A split of all cycles; its pairs are written beside the table, in half precision."""
    days, draws, at = days_of(data)[split], [], []
    for cycle in cycles_of(data):
        truth, _ = open_pairs(cycle, days)
        start = open_truth(parse_card(cycle / "cycle.json")["truth"]).time.values[0]
        own = (truth.time.values - start) / np.timedelta64(1, "D")
        draws += [cycle.name] * len(own)
        at += own.round(4).tolist()
    path = Path(output) / f"cycled-{split}.safetensors"
    if path.exists():
        pairs = Pairs.load(path)
        if len(pairs) != len(at):
            raise PhysLabError(f"{path} holds {len(pairs)} pairs, {data} now {len(at)}: choose another output folder")
        return Block(pairs, draws, np.array(at))
    space = None if split == "train" else block_of(data, output, "train").pairs.space
    pairs = Pairs.read([(cycle, days) for cycle in cycles_of(data)], space)
    pairs.save(path)
    return Block(pairs, draws, np.array(at))


def weather(context: Context, split: str) -> dict[bytes, Weather]:
    """Where the backgrounds of a split come from."""
    block, cycles = block_of(context.data, context.output, split), {c.name: c for c in cycles_of(context.data)}
    start = {name: open_truth(parse_card(c / "cycle.json")["truth"]).time.values[0] for name, c in cycles.items()}
    at = zip(block.draws, block.days, strict=True)
    found = [(cycles[name], start[name] + np.timedelta64(round(24 * day), "h")) for name, day in at]
    return weather_of(block.pairs.background.float(), found)


# --- the methods ------------------------------------------------------------------------------------------------------
def trained(run: Run, context: Context) -> Learned | InWeather | None:
    """The method of a run: from its folder, or trained, estimated and tuned now."""
    entry = ENTRIES[run.model]
    if entry.lives is not None:
        prior = trained(Run(entry.base, None), context)
        assert isinstance(prior, GlobalVar3D)
        return in_weather(prior, entry.lives, entry.tried, context)
    if entry.make is None:
        return None
    path = checkpoint(context.output, run.model.replace(" + ", " "), run.seed)
    if path.exists():
        return settled(Learned.load(path))
    train, val = (block_of(context.data, context.output, split).pairs for split in ("train", "val"))
    base = trained(Run(entry.base, run.seed), context) if entry.base else None
    assert not isinstance(base, InWeather)
    if entry.steps:
        method = learned(run, entry, train, val, base, context)
    elif base is not None:
        method = after_base(base, entry, train, val)
        method.card |= {"samples": base.card.get("samples_seen", 0), "train_s": base.card.get("train_s", 0.0)}
        method.card["samples_seen"] = method.card["samples"]
    else:
        given = (train.increment.float(), train.space) if entry.make is not ColumnOI else (train.space,)
        method = best(lambda **options: entry.make(*given, **options), entry.tried, val)  # type: ignore[misc]
    method.card |= {"task": "cycled", "seed": run.seed, "truths": truths(context.data), "commit": commit(),
                    "versions": versions()}  # fmt: skip
    method.save(path)
    return settled(method.to("cpu").eval())


def in_weather(
    prior: GlobalVar3D, settings: Var4DSettings | LETKFSettings, tried: Iterable[dict], context: Context
) -> InWeather:
    """A method that lives with the model, its settings chosen on the validation block."""

    def made(split: str, **options) -> InWeather:
        known, own = weather(context, split), replace(settings, **options)
        return (LETKFInWeather if isinstance(own, LETKFSettings) else Var4DInWeather)(prior, known, own)  # type: ignore[arg-type]

    val = block_of(context.data, context.output, "val").pairs
    found = best(functools.partial(made, "val"), tried, val)
    last = made(context.split, **dataclasses.asdict(found.settings))
    last.card |= found.card
    return last


def settled(method: Learned) -> Learned:
    """With the sampler that all draws of the table are made by."""
    for part in method.modules():
        if isinstance(part, LatentDiffusion):
            part.sampler, part.steps = "adams", 16
    return method


def after_base(base: Learned, entry: Entry, train: Pairs, val: Pairs) -> Learned:
    """What is built on a trained method: a likelihood, or the outer step."""
    if entry.make == Likelihood.of:
        return best(lambda **options: Likelihood.of(base, val.increment.float(), **options), entry.tried, val)
    errors = OuterStep.errors(base, val.background.float(), val.increment.float(), *MAIN, members=MEMBERS)
    own = {name: entry.tried[0][name] for name in ("truncation", "equator") if name in entry.tried[0]}
    like, middle = estimate(train.increment.float(), train.space, **own)[1], len(val) // 2
    halves = (slice(0, middle), slice(middle, len(val)))

    def found(score_name: str, **options) -> float:
        """The score on each half of the step that the other half made."""
        rows = []
        for own, other in zip(halves, halves[::-1], strict=True):
            made = OuterStep.of(base, errors[own], like=like, **options)
            states = range(other.start, other.stop, VALIDATED)
            rows += score(made, val, *MAIN, members=1 if score_name == "mse" else MEMBERS, states=states)
        return float(np.mean([row[score_name] for row in rows]))

    mse = [found("mse", **options) for options in entry.tried]
    told = [{**options, "mse": value} for options, value in zip(entry.tried, mse, strict=True)]
    chosen = dict(entry.tried[int(np.argmin(mse))])
    if base.ensemble:
        crps = [found("crps", **chosen, spread=name) for name in SPREADS]
        told += [{"spread": name, "crps": value} for name, value in zip(SPREADS, crps, strict=True)]
        chosen["spread"] = SPREADS[int(np.argmin(crps))]
    method = OuterStep.of(base, errors, like=like, **chosen)
    method.card["validation"] = told
    return method


def learned(run: Run, entry: Entry, train: Pairs, val: Pairs, base: Learned | None, context: Context) -> Learned:
    """Trained with the weights that validate best; what is interrupted goes on."""
    method = untrained(entry.make, train, run.seed or 0, base, context.device)  # type: ignore[arg-type]
    settings = AssimilationSettings(steps=entry.steps, patience=1000, mirror=True)
    settings = replace(settings, **context.changes)
    path = checkpoint(context.output, run.model, run.seed)
    known = state_file(path.name, path)
    report = train_assimilator(
        method, train, settings, run.seed or 0, state=known, held_out=validation_loss(val, *MAIN)
    )
    seen = settings.steps * settings.batch + (base.card.get("samples_seen", 0) if base is not None else 0)
    before = base.card.get("train_s", 0.0) if base is not None else 0.0
    method.card |= {"samples_seen": seen, "train_s": report.wall_time_s + before, "history": report.history,
                    "best_step": report.best_step, "device": device_name(method.area.device)}  # fmt: skip
    return method


def best(make: Callable[..., Any], tried: Iterable[dict], val: Pairs) -> Any:
    """The method of the arguments with the least square error on validation states."""
    made = [(options, make(**options)) for options in tried]
    if len(made) == 1:
        return made[0][1]
    every = Pairs(val.space, val.background[::VALIDATED], val.increment[::VALIDATED])
    errors = []
    for _, method in made:  # one member is the analysis, or a draw of a diffusion
        members = MEMBERS if method.ensemble and isinstance(method, Likelihood) else 1
        errors.append(np.mean([row["mse"] for row in score(method, every, *MAIN, members=members)]))
    method = made[int(np.argmin(errors))][1]
    method.card["validation"] = [{**options, "mse": float(e)} for (options, _), e in zip(made, errors, strict=True)]
    return method


# --- the scores -------------------------------------------------------------------------------------------------------
@torch.no_grad()
def score(
    method: Learned | InWeather | None, pairs: Pairs, share: float, noise: float, observed: bool = True,
    members: int = MEMBERS, states: Iterable[int] | None = None,
) -> list[dict[str, float]]:  # fmt: skip
    """Scores of each state; the stations depend on the number of the state and the setting alone.

    Parameters
    ----------
    observed : False for the control: the same without any observation.
    states : their numbers, None for all.
    """
    space, rows = pairs.space, []
    count = members if method is not None and method.ensemble else 1
    for k in range(len(pairs)) if states is None else states:
        background, increment = pairs.take(slice(k, k + 1))
        draw = torch.Generator().manual_seed(1_000_003 * k + round(1e5 * share) + round(10 * noise))
        columns = observe_columns(increment, share, noise, space.area, draw)
        seen = columns.mask.bool().expand_as(increment)
        if not observed:
            columns = Columns(torch.zeros_like(columns.innovation), torch.zeros_like(columns.mask), columns.noise)
        begun = time.perf_counter()
        made = torch.zeros(1, *increment.shape)
        if method is not None:
            made = method.increments(background, columns, count, draw).detach()
        seconds = time.perf_counter() - begun
        left = (increment - made.mean(1))[seen].square().mean() / increment[seen].square().mean()
        base = space.mean + space.std * background[0]
        analysis, centred = base + space.error * made[0], False
        if method is not None:
            analysis, centred = method.bounded(analysis), count > 1 and method.centred
        found = analysis_scores(analysis, base + space.error * increment[0], space, centred)
        if count > 1 and not centred:  # few free draws: what the mean of many would have
            found["mse"] = (count * found["mse"] - found["mse_member"]) / (count - 1)
        rows.append({**found, "stations": float(left), "members": count, "s": seconds})
    return rows


def one(run: Run, context: Context) -> list[dict]:
    """A run, trained if need be: every state of the main setting with and without observations, fewer of the others (of
    4D-Var, which takes half a minute for each, none)."""
    method, block = trained(run, context), block_of(context.data, context.output, context.split)
    cost = {"samples": 0, "parameters": 0}
    if method is not None:
        count = sum(p.numel() for p in method.parameters())
        cost = {"samples": method.card.get("samples_seen", 0), "parameters": count}
    rows = []
    for share, noise in SETTINGS if ENTRIES[run.model].curve else SETTINGS[:1]:
        states = range(0, len(block.pairs), 1 if (share, noise) == MAIN else THIN)
        for observed in (True, False) if (share, noise) == MAIN else (True,):
            found = score(method, block.pairs, share, noise, observed, MEMBERS, states)
            rows += [{"model": run.model, "seed": run.seed, "share": share, "noise": noise, "observed": int(observed),
                      "draw": block.draws[k], "day": block.days[k], **cost, **row}
                     for k, row in zip(states, found, strict=True)]  # fmt: skip
    return rows


# --- the summary ------------------------------------------------------------------------------------------------------
def of_states(runs: pd.DataFrame, column: str, share: float, noise: float, observed: bool = True) -> pd.DataFrame:
    """(states, models) of one score, means over seeds; the states that all models have."""
    like = (runs["share"] == share) & (runs["noise"] == noise) & (runs["observed"] == int(observed))
    table = runs[like].pivot_table(index=["day", "draw"], columns="model", values=column, aggfunc="mean")
    return table[[name for name in (*ENTRIES, *sorted(set(table) - set(ENTRIES))) if name in table]].dropna()


def blocks(table: pd.DataFrame) -> np.ndarray:
    """Of the states of :func:`of_states`; all cycles of the same days together, as they have the same weather."""
    return np.floor(table.index.get_level_values("day").to_numpy() / BLOCK)


def gains(runs: pd.DataFrame, share: float = MAIN[0], noise: float = MAIN[1]) -> pd.DataFrame:
    """What the mean square error of each method is made of, in per cent of the background's, main setting.

    Returns
    -------
    DataFrame, by model: `left` with observations; `free`, what goes without any; `brought`, what observations bring;
    `share`, free over both; each with `_low` and `_high`, its interval.
    """
    seen, blind = (of_states(runs, "mse", share, noise, o) for o in (True, False))
    names = [name for name in seen if name in blind and name != "background"]
    scores = np.column_stack([seen["background"], seen[names], blind[names]])
    n = len(names)

    def parts(means: np.ndarray) -> np.ndarray:
        base, left, without = means[..., :1], means[..., 1 : n + 1], means[..., n + 1 :]
        free, brought = 1 - without / base, (without - left) / base
        whole = np.where(np.abs(free + brought) < 1e-6, np.nan, free + brought)
        return 100 * np.stack([left / base, free, brought, free / whole], -2)

    found = block_bootstrap(scores, blocks(seen), parts)
    made = {name + end: values[k] for k, name in enumerate(("left", "free", "brought", "share"))
            for end, values in zip(("", "_low", "_high"), found, strict=True)}  # fmt: skip
    return pd.DataFrame(made, index=pd.Index(names, name="model"))


def against(
    runs: pd.DataFrame, reference: str, column: str = "mse", share: float = MAIN[0], noise: float = MAIN[1]
) -> pd.DataFrame:
    """Paired differences of a score from that of a method, in per cent of the background's, with their intervals.

    Returns
    -------
    DataFrame, by model: `difference`, `low`, `high` (below zero: better than the reference), `states`.
    """
    table = of_states(runs, column, share, noise)
    if reference not in table:
        raise PhysLabError(f"no row {reference!r} at {share:g}, {noise:g}: the table has {', '.join(table)}")
    at = [*table].index(reference)
    base = [*table].index("background")

    def difference(means: np.ndarray) -> np.ndarray:
        return 100 * (means - means[..., at : at + 1]) / means[..., base : base + 1]

    found = block_bootstrap(table.to_numpy(), blocks(table), difference)
    made = dict(zip(("difference", "low", "high"), found, strict=True))
    return pd.DataFrame({**made, "states": len(table)}, index=pd.Index([*table], name="model"))


def cycled_summary(runs: pd.DataFrame, share: float = MAIN[0], noise: float = MAIN[1]) -> pd.DataFrame:
    """Means over states and seeds of the rows with observations, by model, in the order of the table."""
    like = runs[(runs["share"] == share) & (runs["noise"] == noise) & (runs["observed"] == 1)]
    if like.empty:
        raise PhysLabError(f"no run with share {share:g}, noise {noise:g}: the table has {_settings(runs)}")
    table = like.groupby("model", sort=False)[[*SCORES, "members", "s", "samples", "parameters"]].mean()
    table.insert(0, "seeds", like.groupby("model")["seed"].nunique().clip(lower=1))
    table.insert(1, "states", like.groupby("model")[["day", "draw"]].apply(lambda part: len(part.drop_duplicates())))
    return table.reset_index()


def _settings(runs: pd.DataFrame) -> str:
    pairs = runs[["share", "noise"]].drop_duplicates().itertuples(index=False)
    return "; ".join(f"share {s:g}, noise {n:g}" for s, n in pairs)


def display(runs: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    """What the command prints: the parts of the error of each method, and the scores of each setting."""
    if {"background"} < set(runs["model"]):
        table, shown = gains(runs), {}
        for name in ("left", "free", "brought", "share"):
            values = zip(table[name], table[name + "_low"], table[name + "_high"], strict=True)
            shown[name] = [f"{v:.1f} ({low:.1f} to {high:.1f})" for v, low, high in values]
        title = ("per cent of the background's mean square error: left, free of observations, brought by them, share "
                 "that is free; 95 % of blocks of states")  # fmt: skip
        yield title, pd.DataFrame(shown, index=table.index).reset_index()
    for share, noise in runs[["share", "noise"]].drop_duplicates().itertuples(index=False):
        table = cycled_summary(runs, share, noise).set_index("model")
        columns = ["seeds", "states", "mse", "crps", "spread_skill", "specdiv", "specdiv_eddy", "rmse_z500", "stations"]
        yield f"share {share:g}, noise {noise:g}; means over states", table[columns].map("{:.4g}".format).reset_index()


def after(run: Run, context: Context) -> list[Run]:
    """What a run builds on, if it is not there."""
    base = ENTRIES[run.model].base
    there = not base or checkpoint(context.output, base, run.seed).exists()
    return [] if there else [Run(base, run.seed)]


def check(runs: list[Run], context: Context) -> None:
    """All splits are read once, before processes ask for them side by side."""
    for split in ("train", "val", "test"):
        block_of(context.data, context.output, split)


def plan() -> list[Run]:
    """What is estimated, then seed by seed; what others build on first."""
    fixed = [Run(name, None) for name, entry in ENTRIES.items() if entry.fixed]
    return [*fixed, *(Run(name, seed) for seed in SEEDS for name, entry in ENTRIES.items() if not entry.fixed)]


#: The table has one line per state: `observed` 0 is the control without observations, `draw` the cycle and `day` that
#: of the truth; the scores of :func:`physlab.score.analysis.analysis_scores`; `stations`, the mean square error at
#: observed columns over the background's there; members, s (seconds, one thread, all members), samples (seen in
#: training, by an autoencoder too), parameters.
STUDY = Study(
    name="assimilation-cycled",
    title="what observations bring to classical and learned analyses in a cycle",
    keys=("model", "seed"),
    columns=COLUMNS,
    plans=presets(plan),
    work=one,
    prepare=trained,
    after=after,
    check=check,
    order=(By("noise"), By("share", falling=True), By("observed", falling=True), By("model", ENTRIES), By("seed"),
           By("draw"), By("day")),
    summarise=cycled_summary,
    display=display,
    tell=lambda rows: f"MSE {rows.query('observed == 1')['mse'].iloc[: max(1, len(rows) // 2)].mean():.5f}",
    reference=lambda run: run.model == "background",
    data="cycled",
    needs="folder of cycles, made by `physlab cycle`",
)  # fmt: skip
benchmark_cycled, read_cycled, write_cycled = STUDY.launch, STUDY.read, STUDY.write
