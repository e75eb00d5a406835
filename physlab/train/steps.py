"""The loop of trainings that are counted in steps: AdamW, averaged weights, a history of the loss.

Step k of a seed draws the same samples and noise whatever the model, so that two models differ by what they are.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from physlab.errors import PhysLabError
from physlab.nn.parts import choose
from physlab.train.loop import precision_of, schedule, update_average
from physlab.train.progress import Bar

EVERY = 50  # steps between two entries of the history


@dataclass(frozen=True)
class Steps:
    """The numbers that decide a training.

    Attributes
    ----------
    steps, batch : of AdamW.
    rate : peak of the learning rate; None for that of the model (its attribute `rate`, or 1e-3).
    warm_up, decay, clip, ema : share of the steps, weight decay, largest norm of a gradient, of the averaged weights.
    precision : bf16, fp32 or auto.
    """

    steps: int = 600
    batch: int = 8
    rate: float | None = None
    warm_up: float = 0.05
    decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.99
    precision: str = "auto"

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1 or not (self.rate is None or self.rate > 0):
            raise PhysLabError("steps and batch must be at least 1 and the rate positive")
        if not (0 <= self.warm_up < 1 and 0 <= self.ema < 1 and self.decay >= 0 and self.clip > 0):
            raise PhysLabError("warm_up and ema must lie in 0 to below 1, decay be at least 0 and clip positive")
        choose("precision", self.precision, ("auto", "bf16", "fp32"))


@dataclass
class StepReport:
    """`history` holds dicts of step and loss, means over :data:`EVERY` steps."""

    steps: int = 0
    wall_time_s: float = 0.0
    history: list[dict] = field(default_factory=list)


def rate_of(model: nn.Module, settings: Steps) -> float:
    """The peak of the learning rate."""
    return getattr(model, "rate", 1e-3) if settings.rate is None else settings.rate


def take_steps(
    model: nn.Module,
    loss: Callable[[nn.Module, torch.Generator], Tensor],
    settings: Steps,
    seed: int = 0,
    title: str = "",
    progress: bool = False,
    watch: Callable[[int, nn.Module], None] | None = None,
) -> StepReport:
    """Train `model` in place, from where it is, and leave it with its averaged weights, in evaluation mode.

    Parameters
    ----------
    loss : ``loss(model, generator) -> scalar`` of a batch that it draws with the generator.
    settings : steps, rate and the like; the batch is the business of `loss`.
    watch : called with the step and the averaged model every :data:`EVERY` steps.

    What has no gradient stays as it is.

    Raises
    ------
    PhysLabError : a loss that is not a number.
    """
    wanted = [p for p in model.parameters() if p.requires_grad]
    device, rate = wanted[0].device, rate_of(model, settings)
    precision = precision_of(settings.precision, device)
    model.train()
    average = copy.deepcopy(model).requires_grad_(False)
    optimiser = torch.optim.AdamW(wanted, lr=rate, weight_decay=settings.decay)
    report, losses, start = StepReport(), [], time.perf_counter()
    with Bar(title or type(model).__name__, settings.steps, enabled=progress) as bar:
        for step in range(settings.steps):
            generator = torch.Generator().manual_seed((seed << 24) + step)
            for group in optimiser.param_groups:
                group["lr"] = rate * schedule(step / settings.steps, settings.warm_up)
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                value = loss(model, generator)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            torch.nn.utils.clip_grad_norm_(wanted, settings.clip)
            optimiser.step()
            update_average(average, model, min(settings.ema, (1 + step) / (10 + step)))
            losses.append(value.item())
            bar.advance(step + 1)
            if (step + 1) % EVERY == 0 or step + 1 == settings.steps:
                mean = sum(losses) / len(losses)
                if not math.isfinite(mean):
                    raise PhysLabError(f"the loss is not a number at step {step + 1}: lower the rate")
                report.history.append({"step": step + 1, "loss": mean})
                bar.note(f"loss {mean:.4f}")
                losses = []
                if watch is not None:
                    watch(step + 1, average.eval())
    model.load_state_dict(average.state_dict())
    model.eval()
    report.steps, report.wall_time_s = settings.steps, time.perf_counter() - start
    return report
