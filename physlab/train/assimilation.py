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
from typing import Any

import torch
import xarray as xr
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from physlab import registry
from physlab.assimilate.latent import LatentDiffusion, LatentMethod
from physlab.assimilate.learned import Learned, on_grid
from physlab.assimilate.proxy import PhysicsProxy
from physlab.assimilate.statespace import Columns, StateSpace, observe_columns
from physlab.data.pairs import open_pairs
from physlab.errors import PhysLabError
from physlab.nn.share import Draws
from physlab.store import write_file
from physlab.train.batches import Drawn
from physlab.train.checkpoint import origin
from physlab.train.devices import agreed, by_one, processes
from physlab.train.loop import Report
from physlab.train.objective import rate_of
from physlab.train.settings import Steps
from physlab.train.state import state_file
from physlab.train.steps import take_steps

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
    """The numbers that decide a training, beside those of :class:`~physlab.train.settings.Steps`.

    Attributes
    ----------
    shares : least and largest share of observed grid points; drawn with a uniform logarithm.
    noise : largest observation error in units of the background error; half of the samples are exact.
    mirror : half of the samples are seen with north and south exchanged, as on a planet without seasons they may be.
    """

    shares: tuple[float, float] = (0.003, 0.12)
    noise: float = 1.0
    mirror: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.shares[0] <= self.shares[1] <= 1 or not self.noise >= 0:
            raise PhysLabError(f"shares {self.shares}, noise {self.noise}: pass 0 < least <= largest <= 1, noise >= 0")


def validation_loss(val: Pairs, share: float, noise: float, batch: int = 8) -> Callable[[Learned], float]:
    """The loss of a method over validation pairs, with the same stations and noise each time: `held_out` of
    :func:`train_assimilator`.

    Parameters
    ----------
    share, noise : of the columns, see :func:`~physlab.assimilate.statespace.observe_columns`.
    batch : pairs that go through the method at a time.
    """

    @torch.no_grad()
    def loss(method: Learned) -> float:
        draw, found = torch.Generator().manual_seed(0), []
        for k in range(0, len(val), batch):
            background, increment = (x.to(method.area.device) for x in val.take(slice(k, k + batch)))
            columns = observe_columns(increment, share, noise, val.space.area, draw)
            found.append(float(method.loss(background, increment, columns, draw)) * len(increment))
        return sum(found) / len(val)

    return loss


def train_assimilator(
    method: Learned,
    pairs: Pairs,
    settings: AssimilationSettings,
    seed: int = 0,
    progress: bool = False,
    watch: Callable[[int, Any], None] | None = None,
    state: str | Path | None = None,
    held_out: Callable[[Any], float] | None = None,
) -> Report:
    """Train `method` in place, from where it is; what has no gradient (a finished autoencoder) stays as it is.

    Step k of a seed sees the same pairs and stations whatever the method.

    Parameters
    ----------
    watch : called with the step and the averaged method every 50 steps.
    state, held_out : see :func:`physlab.train.steps.take_steps`.

    Raises
    ------
    PhysLabError : a loss that is not a number, or a state file of another run.
    """
    device = method.area.device
    low, high = (math.log(s) for s in settings.shares)

    def observed(generator: Draws, mine: slice) -> tuple[Tensor, Tensor, Columns]:
        at = torch.randint(len(pairs), (settings.batch,), generator=generator)
        share = (low + (high - low) * torch.rand(len(at), generator=generator)).exp()
        noise = settings.noise * (2 * torch.rand(len(at), generator=generator) - 1).clamp(min=0)
        background, increment = (x.to(device) for x in pairs.take(at[mine]))
        if settings.mirror:
            turned = (torch.rand(len(at), generator=generator) < 0.5)[mine].to(device)[:, None, None, None]
            mirrored = pairs.space.mirrored(background, increment)
            background, increment = (
                torch.where(turned, m, x) for m, x in zip(mirrored, (background, increment), strict=True)
            )
        columns = observe_columns(increment, share[mine], noise[mine], pairs.space.area, generator)
        return background, increment, columns

    def loss(method: Learned, *batch) -> Tensor:
        return method.loss(*batch)

    batches = Drawn(settings.batch, seed, observed)
    known = {"method": type(method).__name__, "arguments": method.arguments, "pairs": len(pairs)}
    report = take_steps(method, loss, settings, seed, progress=progress, watch=watch, batches=batches, state=state,
                        fingerprint=known, held_out=held_out)  # fmt: skip
    with torch.no_grad():
        taken = (pairs.take(slice(k, k + 16)) for k in range(0, len(pairs), 16))
        method.finish((background.to(device), increment.to(device)) for background, increment in taken)
    numbers = asdict(settings) | {"rate": rate_of(method, settings)}
    method.card["training"] = {**numbers, "seed": seed, "pairs": len(pairs)}
    return report


def train_by_name(
    name: str,
    runs: Sequence[str | Path],
    folder: str | Path,
    settings: AssimilationSettings | None = None,
    seed: int = 0,
    autoencoder: str | Path | None = None,
    progress: bool = False,
    device: str | torch.device | None = "cpu",
    days: tuple[float, float] | None = None,
) -> Learned:
    """A method of the registry, trained on nature runs and written to a folder; what is interrupted goes on.

    Parameters
    ----------
    name : of a method of data assimilation, for example "phyda".
    runs : folders of nature runs with forecasts, or of cycles.
    autoencoder : folder of a trained "vaevar", for methods that work on its latents.
    device : see :func:`physlab.train.devices.choose_device`; under torchrun all processes train together.
    days : first and last (exclusive) day that is the training block; None for all.

    Raises
    ------
    PhysLabError : an unknown method, an autoencoder that is missing or too much, or a folder that is taken.
    """
    settings = AssimilationSettings() if settings is None else settings
    learned = [n for n, spec in registry.specs("methods").items() if spec.kind == "assimilation" and not spec.problem]
    if name not in learned:
        raise PhysLabError(registry.unknown("method", name, learned))
    kind = registry.load("methods", name)
    latent = issubclass(kind, LatentDiffusion)
    if latent != (autoencoder is not None):
        raise PhysLabError(
            f"{name} works on the latents of an autoencoder: train vaevar first, and pass its folder (--autoencoder)"
            if latent else f"{name} has no autoencoder: leave it out"
        )  # fmt: skip
    with processes(device) as here:
        if agreed(Path(folder).exists):
            raise PhysLabError(f"{folder} is there already: choose another folder, or remove it to train again")
        pairs = Pairs.read([(run, days) for run in runs])
        if hasattr(kind, "from_increments"):  # estimated, not trained
            method = kind.from_increments(pairs.increment.float(), pairs.space)
        else:
            method = untrained(kind, pairs, seed, None if autoencoder is None else Learned.load(autoencoder), here)
            report = train_assimilator(
                method, pairs, settings, seed, progress, state=state_file(name.replace(" ", "-"), Path(folder))
            )
            method.card |= {"seed": seed, "train_s": report.wall_time_s, "history": report.history, **origin(here),
                            "precision": report.precision}  # fmt: skip
        by_one(lambda: method.save(folder))
    return method.eval()


def untrained(
    make: Callable[[StateSpace], Learned], pairs: Pairs, seed: int, autoencoder: Learned | None,
    device: str | torch.device, laws: Callable[[], PhysicsProxy] | None = None,
) -> Learned:  # fmt: skip
    """A method before its training, on a device, with what it builds on.

    Parameters
    ----------
    make : of a state space.
    autoencoder : a trained one whose latents it takes, or None.
    laws : the balances of the training block, for a method with physics; None to fit them to the pairs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        method = on_grid(make(pairs.space)).to(device)
    parts = [slice(k, k + 16) for k in range(0, len(pairs), 16)]
    if autoencoder is not None:
        if not isinstance(method, LatentMethod) or not isinstance(autoencoder, LatentMethod):
            raise PhysLabError(f"{type(autoencoder).__name__} has no autoencoder to take over: pass a trained vaevar")
        method.adopt(autoencoder)
        taken = (pairs.take(part) for part in parts)
        method.calibrate((background.to(device), increment.to(device)) for background, increment in taken)
    if getattr(method, "physics", 0):
        proxy = PhysicsProxy(pairs.space).fit(map(pairs.truth, parts)) if laws is None else laws()
        method.proxy = proxy.to(device)
    return method
