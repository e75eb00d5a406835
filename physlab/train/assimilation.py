"""Training of the learned analysis methods: pairs of truth and background, observed anew at every step.

>>> pairs = Pairs.read([("run-8", None)])
>>> method = Adas(pairs.space)
>>> train_assimilator(method, pairs, AssimilationSettings(), seed=0)
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import xarray as xr
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from physlab.assimilate.learned import Learned
from physlab.assimilate.statespace import StateSpace, observe_columns
from physlab.data.pairs import open_pairs
from physlab.errors import PhysLabError
from physlab.train.loop import precision_of, schedule, update_average
from physlab.train.progress import Bar

Part = tuple[str | Path, tuple[float, float] | None]  # folder of a nature run, first and last day


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs in memory, half precision, in the units of learning.

    Attributes
    ----------
    space : channels, grid and units, of the training block.
    background : (N, C, H, W) standardised.
    increment : (N, C, H, W) truth minus background, in units of the background error.
    """

    space: StateSpace
    background: Tensor
    increment: Tensor

    @classmethod
    def read(cls, parts: Sequence[Part], space: StateSpace | None = None, every: int = 1) -> Pairs:
        """Of nature runs and their days.

        Parameters
        ----------
        parts : (folder, days) each, see :func:`physlab.data.pairs.open_pairs`.
        space : None for that of these pairs, which are then the training block.
        every : takes every n-th pair.
        """
        opened = [tuple(ds.load() for ds in open_pairs(run, days, every)) for run, days in parts]
        if space is None:
            space = StateSpace.of(*(xr.concat(x, "time", data_vars="minimal") for x in zip(*opened, strict=True)))
        made = [(space.tensor(truth), space.tensor(background)) for truth, background in opened]
        background = torch.cat([space.standardise(b).half() for _, b in made])
        return cls(space, background, torch.cat([((x - b) / space.error).half() for x, b in made]))

    def save(self, path: str | Path) -> Path:
        """Write to a file, under a temporary name until it is complete."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"part-{os.getpid()}-{path.name}")
        save_file({"background": self.background, "increment": self.increment}, part,
                  metadata={"space": json.dumps(self.space.card())})  # fmt: skip
        os.replace(part, path)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Pairs:
        """From a file of :meth:`save`; what is not used stays on the disk."""
        with safe_open(path, framework="pt") as file:
            space = StateSpace.from_card(json.loads(file.metadata()["space"]))
            return cls(space, *(file.get_tensor(k) for k in ("background", "increment")))

    def __len__(self) -> int:
        return len(self.background)

    def take(self, at) -> tuple[Tensor, Tensor]:
        """Background and increment of some pairs, float32."""
        return self.background[at].float(), self.increment[at].float()

    def truth(self, at) -> Tensor:
        """(..., C, H, W) in SI units."""
        background, increment = self.take(at)
        return self.space.mean + self.space.std * background + self.space.error * increment


@dataclass(frozen=True)
class AssimilationSettings:
    """The numbers that decide a training.

    Attributes
    ----------
    steps, batch : of AdamW.
    rate : peak of the learning rate; None for that of the method.
    warm_up, decay, clip, ema : share of the steps, weight decay, largest norm of a gradient, of the averaged weights.
    shares : least and largest share of observed grid points; drawn with a uniform logarithm.
    noise : largest observation error in units of the background error; half of the samples are exact.
    precision : bf16, fp32 or auto.
    """

    steps: int = 600
    batch: int = 8
    rate: float | None = None
    warm_up: float = 0.05
    decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.99
    shares: tuple[float, float] = (0.003, 0.12)
    noise: float = 1.0
    precision: str = "auto"

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1 or not (self.rate is None or self.rate > 0):
            raise PhysLabError("steps and batch must be at least 1 and the rate positive")
        if not 0 < self.shares[0] <= self.shares[1] <= 1 or not self.noise >= 0:
            raise PhysLabError(f"shares {self.shares}, noise {self.noise}: pass 0 < least <= largest <= 1, noise >= 0")


@dataclass
class AssimilationReport:
    """`history` holds dicts of step and loss, means over 50 steps."""

    steps: int = 0
    wall_time_s: float = 0.0
    history: list[dict] = field(default_factory=list)


def train_assimilator(
    method: Learned,
    pairs: Pairs,
    settings: AssimilationSettings,
    seed: int = 0,
    progress: bool = False,
    watch: Callable[[int, Learned], None] | None = None,
) -> AssimilationReport:
    """Train `method` in place, from where it is; what has no gradient (a finished autoencoder) stays as it is.

    Step k of a seed sees the same pairs and stations whatever the method.

    Parameters
    ----------
    watch : called with the step and the averaged method every 50 steps.

    Raises
    ------
    PhysLabError : a loss that is not a number.
    """
    device = method.area.device
    precision = precision_of(settings.precision, device)
    rate = getattr(method, "rate", 1e-3) if settings.rate is None else settings.rate
    method.train()
    average = copy.deepcopy(method).requires_grad_(False)
    optimiser = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=rate,
                                  weight_decay=settings.decay)  # fmt: skip
    report, losses, start = AssimilationReport(), [], time.perf_counter()
    low, high = (math.log(s) for s in settings.shares)
    with Bar(type(method).__name__, settings.steps, enabled=progress) as bar:
        for step in range(settings.steps):
            generator = torch.Generator().manual_seed((seed << 24) + step)
            for group in optimiser.param_groups:
                group["lr"] = rate * schedule(step / settings.steps, settings.warm_up)
            at = torch.randint(len(pairs), (settings.batch,), generator=generator)
            background, increment = (x.to(device) for x in pairs.take(at))
            share = (low + (high - low) * torch.rand(len(at), generator=generator)).exp()
            noise = settings.noise * (2 * torch.rand(len(at), generator=generator) - 1).clamp(min=0)
            columns = observe_columns(increment, share, noise, pairs.space.area, generator)
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                loss = method.loss(background, increment, columns, generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(method.parameters(), settings.clip)
            optimiser.step()
            update_average(average, method, min(settings.ema, (1 + step) / (10 + step)))
            losses.append(loss.item())
            bar.advance(step + 1)
            if (step + 1) % 50 == 0 or step + 1 == settings.steps:
                mean = sum(losses) / len(losses)
                if not math.isfinite(mean):
                    raise PhysLabError(f"the loss is not a number at step {step + 1}: lower the rate")
                report.history.append({"step": step + 1, "loss": mean})
                bar.note(f"loss {mean:.4f}")
                losses = []
                if watch is not None:
                    watch(step + 1, average.eval())
    method.load_state_dict(average.state_dict())
    method.eval()
    with torch.no_grad():
        method.finish(tuple(x.to(device) for x in pairs.take(slice(k, k + 16))) for k in range(0, len(pairs), 16))
    report.steps, report.wall_time_s = settings.steps, time.perf_counter() - start
    method.card["training"] = {**asdict(settings), "rate": rate, "seed": seed, "pairs": len(pairs)}
    return report
