"""The training loop, whole and visible; what is minimised is an :class:`~physlab.train.objective.Objective`.

One optimiser step: take a batch, ask for the loss, step, average the weights. Around it: warm-up and cosine schedule,
validation on averaged weights (EMA), early stop, a time budget, an atomic state file from which an interrupted run
continues to the same weights, a bar with the time left, bfloat16 where the machine has it, and several processes:

    torchrun --nproc-per-node 4 -m physlab train tcw-x4 --constraint softmax --seed 0 --preset full

Every random choice follows from (seed, step), and each process computes its share of a batch that is drawn as a whole,
so that neither a restart nor the number of processes changes what is learned.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from physlab.errors import PhysLabError
from physlab.nn import share
from physlab.nn.precision import precision_of
from physlab.train.devices import wait
from physlab.train.objective import Objective
from physlab.train.progress import Bar
from physlab.train.state import read_state, write_state


@dataclass
class Report:
    """What a run did.

    Attributes
    ----------
    best_rmse, best_step : of the best validation; infinite and 0 where nothing was held out.
    stopped : why the run ended.
    history : a dict for each entry: step, rate, means of the terms of the loss since the last one, and scores.
    """

    steps: int = 0
    wall_time_s: float = 0.0
    best_rmse: float = math.inf
    best_step: int = 0
    stopped: str = "end of schedule"
    precision: str = "fp32"
    history: list[dict] = field(default_factory=list)


def optimise(
    objective: Objective,
    state: str | Path | None = None,
    progress: bool = False,
    stop_after: int | None = None,
    watch: Callable[[int, Any], None] | None = None,
    report: Report | None = None,
) -> Report:
    """Train the model of the objective in place, from where it is; it ends with averaged weights: those that validated
    best, or the last ones where nothing is held out.

    Parameters
    ----------
    state : file for interrupted runs: read if it is there, written at each entry of the history, removed at the end.
    stop_after : leave after this step with the state written (an interruption on purpose).
    watch : called with the step and the averaged model at each entry of the history.
    report : of a stage before this one, to be continued.

    Raises
    ------
    PhysLabError : a state file of other settings, a loss that is not a number, or fewer samples than processes.
    """
    settings, model, device = objective.settings, objective.model, objective.device
    rank, world = share.processes()
    if objective.batches.size < world:
        raise PhysLabError(
            f"a batch of {objective.batches.size} has no sample for each of {world} processes: start fewer"
        )
    precision = precision_of(settings.precision, device)
    for module in (model.train(), *objective.modules().values()):
        share.align(module)
    average = copy.deepcopy(model).requires_grad_(False).eval()
    optimisers, weight = objective.optimisers(), objective.weight(rank, world)
    report = Report(precision=precision) if report is None else report
    step, offset, before, best = 0, report.steps, report.wall_time_s, None
    learning: list[Any] = [model, average, *objective.modules().values(), *optimisers]
    state = None if state is None else Path(state)
    saved = share.told(read_state(state, objective.fingerprint) if rank == 0 and state and state.exists() else None)
    if saved is not None:
        for part, kept in zip(learning, saved["learning"], strict=True):
            part.load_state_dict(kept)
        objective.resume(saved["extra"])
        report, best = Report(**saved["report"]), saved["best"]
        step, offset, before = saved["step"], saved["offset"], report.wall_time_s

    start, terms = time.perf_counter(), []
    with Bar(objective.title, settings.steps, enabled=progress and rank == 0) as bar:
        while step < settings.steps:
            elapsed = before + time.perf_counter() - start
            done = max(step / settings.steps, share.told(elapsed / settings.budget_s) if settings.budget_s else 0.0)
            if done >= 1.0:
                report.stopped = "time budget"
                break
            objective.begin(step)
            pace = schedule(done, objective.warm_up, settings.schedule)
            losses = objective.losses(*objective.batches.take(step, rank, world))
            for optimiser in optimisers:  # one, or that of a discriminator and then that of its generator
                with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                    loss = next(losses)
                optimiser.zero_grad(set_to_none=True)
                (loss * weight).backward()
                for group in optimiser.param_groups:
                    share.average([p.grad for p in group["params"] if p.grad is not None])
                    if group["clip"] is not None:
                        torch.nn.utils.clip_grad_norm_(group["params"], group["clip"])
                    group["lr"] = group["peak"] * pace
                optimiser.step()
            ramp = step + objective.first
            update_average(average, model, min(settings.ema, (1 + ramp) / (10 + ramp)))
            step += 1
            terms.append(torch.stack([term.detach().float() for term in objective.terms.values()]) * weight)
            bar.advance(step)
            leaving = stop_after is not None and step >= stop_after
            if step % settings.validate_every == 0 or step == settings.steps:
                means = torch.stack(terms).mean(0)
                share.average([means])
                entry = objective.entry(dict(zip(objective.terms, means.tolist(), strict=True)))
                if not all(map(math.isfinite, entry.values())):
                    advice = f"lower the rate ({objective.rate:g}){objective.advice}"
                    raise PhysLabError(f"the loss is not a number at step {step}: {advice}")
                entry |= share.told(objective.validate(average, precision) if rank == 0 else {})
                report.history.append({"step": offset + step, "rate": objective.rate * pace, **entry})
                score = entry.get(objective.score)
                if score is not None and (objective.keep_last or score < report.best_rmse):
                    report.best_rmse, report.best_step = score, offset + step
                    best = copy.deepcopy(average.state_dict())
                terms = []
                bar.note(objective.note(entry))
                if watch is not None:
                    watch(step, average)
            elif not leaving:
                continue
            report.steps, report.wall_time_s = offset + step, before + time.perf_counter() - start
            if state is not None and rank == 0:
                content = {"fingerprint": objective.fingerprint, "step": step, "offset": offset}
                content |= {"learning": [part.state_dict() for part in learning], "best": best}
                write_state(state, content | {"extra": objective.extra(), "report": asdict(report)})
            if leaving:
                return report
            stale = sum(entry["step"] > report.best_step for entry in report.history)
            if best is not None and stale >= settings.patience:
                report.stopped = f"no better {objective.score} for {stale} validations"
                break
    report.steps, report.wall_time_s = offset + step, before + time.perf_counter() - start
    if best is None:  # nothing is held out, or a budget too short for one validation
        best = average.state_dict()
        found = share.told(objective.validate(average, precision) if rank == 0 else {})
        if objective.score in found:
            report.best_rmse, report.best_step = found[objective.score], offset + step
    model.load_state_dict(best)
    model.eval()
    objective.finish()
    if state is not None:
        wait()
        if rank == 0:
            state.unlink(missing_ok=True)
    return report


def schedule(done: float, warm_up: float, kind: str = "cosine") -> float:
    """Share of the peak rate after the share `done` of the training: linear warm-up, then half a cosine down to 1 %,
    or for "constant" the peak."""
    if done < warm_up:
        return (done + 0.02 * warm_up) / (1.02 * warm_up)
    if kind == "constant":
        return 1.0
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * model, in place."""
    for mean, parameter in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(parameter, 1.0 - decay)
    for old, new in zip(average.buffers(), model.buffers(), strict=True):  # statistics of normalisation layers
        old.copy_(new)
