"""Training of the learned analysis methods: pairs of truth and background, observed anew at every step.

>>> pairs = Pairs.read([("run-8", None)])
>>> method = Adas(pairs.space)
>>> train_assimilator(method, pairs, AssimilationSettings(), seed=0)
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
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
from physlab.store import write_file
from physlab.train.steps import StepReport, Steps, rate_of, take_steps

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
        """Write to a file."""
        tensors = {"background": self.background, "increment": self.increment}
        header = {"space": json.dumps(self.space.card())}
        return write_file(path, lambda new: save_file(tensors, new, header))

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
class AssimilationSettings(Steps):
    """The numbers that decide a training, beside those of :class:`~physlab.train.steps.Steps`.

    Attributes
    ----------
    shares : least and largest share of observed grid points; drawn with a uniform logarithm.
    noise : largest observation error in units of the background error; half of the samples are exact.
    """

    shares: tuple[float, float] = (0.003, 0.12)
    noise: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.shares[0] <= self.shares[1] <= 1 or not self.noise >= 0:
            raise PhysLabError(f"shares {self.shares}, noise {self.noise}: pass 0 < least <= largest <= 1, noise >= 0")


def train_assimilator(
    method: Learned,
    pairs: Pairs,
    settings: AssimilationSettings,
    seed: int = 0,
    progress: bool = False,
    watch: Callable[[int, Learned], None] | None = None,
) -> StepReport:
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
    low, high = (math.log(s) for s in settings.shares)

    def loss(method: Learned, generator: torch.Generator) -> Tensor:
        at = torch.randint(len(pairs), (settings.batch,), generator=generator)
        background, increment = (x.to(device) for x in pairs.take(at))
        share = (low + (high - low) * torch.rand(len(at), generator=generator)).exp()
        noise = settings.noise * (2 * torch.rand(len(at), generator=generator) - 1).clamp(min=0)
        columns = observe_columns(increment, share, noise, pairs.space.area, generator)
        return method.loss(background, increment, columns, generator)

    report = take_steps(method, loss, settings, seed, progress=progress, watch=watch)
    with torch.no_grad():
        taken = (pairs.take(slice(k, k + 16)) for k in range(0, len(pairs), 16))
        method.finish((background.to(device), increment.to(device)) for background, increment in taken)
    numbers = asdict(settings) | {"rate": rate_of(method, settings)}
    method.card["training"] = {**numbers, "seed": seed, "pairs": len(pairs)}
    return report
