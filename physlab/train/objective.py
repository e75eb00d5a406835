"""What a training minimises: the one thing in which trainings differ; the loop is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from physlab.errors import PhysLabError
from physlab.nn.share import rows
from physlab.train.batches import Batches
from physlab.train.settings import Steps


class Objective:
    """Base. An objective implements :meth:`losses`; the rest has a default.

    Parameters
    ----------
    model : what is trained, and leaves with averaged weights.
    settings : the numbers of the loop.
    batches : what a step is made of.

    Attributes
    ----------
    title : of the progress bar.
    terms : name -> number of the last step, for the history.
    fingerprint : what a state file must agree with, as JSON can hold it.
    first : number of the first step in the ramp of the averaged weights.
    held_out : ``held_out(average model)``, a score on data that are held out, the lower the better; None for none.
    score : entry of :meth:`validate` that decides which weights are best, and when to stop.
    keep_last : the weights of the last validation are kept, not those of the best.
    advice : what helps, beside a lower rate, where the loss is not a number.
    """

    first: ClassVar[int] = 1
    score: ClassVar[str] = "held_out"
    advice: ClassVar[str] = ""
    keep_last = False

    def __init__(self, model: nn.Module, settings: Steps, batches: Batches, title: str = "training") -> None:
        self.model, self.settings, self.batches, self.title = model, settings, batches, title
        self.terms: dict[str, Tensor] = {}
        self.fingerprint: dict = {}
        self.held_out: Callable[[Any], float] | None = None

    @property
    def rate(self) -> float:
        """The peak of the learning rate."""
        return rate_of(self.model, self.settings)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def losses(self, *batch) -> Iterator[Tensor]:
        """The loss of a batch, a mean over samples; one for each optimiser, asked for when those before have stepped.
        Leaves the :attr:`terms` of the step."""
        raise NotImplementedError(f"{type(self).__name__} has no loss: implement losses")

    def optimisers(self) -> list[torch.optim.Optimizer]:
        """AdamW of all that has a gradient."""
        learning = (p for p in self.model.parameters() if p.requires_grad)
        return [adamw(learning, self.rate, self.settings.clip, self.settings.decay)]

    def weight(self, rank: int, world: int) -> float:
        """Of the loss of a process in the mean over all."""
        mine = rows(self.batches.size, rank, world)
        return (mine.stop - mine.start) * world / self.batches.size

    @property
    def warm_up(self) -> float:
        """Share of the steps until the peak of the rate is reached."""
        return self.settings.warm_up

    def begin(self, step: int) -> None:
        """What is due before a step."""

    def entry(self, means: Mapping[str, float]) -> dict[str, float]:
        """Of the history, from the means of :attr:`terms` since the last one."""
        return dict(means)

    def validate(self, average: nn.Module, precision: str) -> dict[str, float]:
        """Scores of the averaged weights on data that are held out."""
        return {} if self.held_out is None else {"held_out": float(self.held_out(average))}

    def note(self, entry: Mapping[str, float]) -> str:
        """A few words behind the bar."""
        return ", ".join(f"{name} {value:.4g}" for name, value in entry.items() if name not in ("step", "rate"))

    def modules(self) -> dict[str, nn.Module]:
        """What else learns, beside the model."""
        return {}

    def extra(self) -> dict:
        """What else a state file must hold."""
        return {}

    def resume(self, extra: Mapping) -> None:
        """Take over what :meth:`extra` gave."""

    def finish(self) -> None:
        """What follows from the final weights."""


def adamw(
    parameters: Iterable[nn.Parameter], peak: float, clip: float | None, decay: float = 0.0, betas=(0.9, 0.999)
) -> torch.optim.AdamW:
    """AdamW whose rate follows the schedule up to `peak`, gradients cut to the norm `clip`."""
    group = {"params": list(parameters), "peak": peak, "clip": clip}
    if not group["params"]:
        raise PhysLabError("nothing to train: no parameter has a gradient")
    return torch.optim.AdamW([group], lr=peak, weight_decay=decay, betas=betas)


def rate_of(model: nn.Module, settings: Steps) -> float:
    """The peak of the learning rate."""
    return getattr(model, "rate", 1e-3) if settings.rate is None else settings.rate
