"""Training by pixels: pairs of coarse and fine fields, an error, and a penalty where the constraint is soft."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from physlab.constrain import conservation_penalty, soft_loss
from physlab.data.patches import SRData
from physlab.data.stream import BUFFER, FieldStream
from physlab.downscale import CNN
from physlab.downscale.static import static_samples
from physlab.errors import PhysLabError
from physlab.grid import coarsen, refine
from physlab.nn.parts import lay_out
from physlab.nn.precision import precision_of
from physlab.nn.share import whole
from physlab.score.extremes import extreme_threshold, extreme_weights
from physlab.train.batches import Batches, Patches
from physlab.train.loop import Report, optimise
from physlab.train.objective import Objective
from physlab.train.settings import Settings
from physlab.train.streamed import Streamed

LARGE = 1 << 22
"""Points of the fields that are validated together, at most."""


def fit(
    model: CNN,
    data: SRData,
    settings: Settings,
    seed: int = 0,
    device: torch.device | str = "cpu",
    state: str | Path | None = None,
    progress: bool = False,
    stop_after: int | None = None,
) -> Report:
    """Train `model` in place; it ends with the averaged weights that validated best.

    Parameters
    ----------
    data : needs the splits train and val; a training block that is streamed is read as it is needed.
    state, stop_after : see :func:`physlab.train.loop.optimise`.

    Raises
    ------
    PhysLabError : a state file of other settings, or a loss that is not a number.
    """
    objective = Pixels(model, data, settings, seed, device)
    if objective.device.type == "cpu" and precision_of(settings.precision, objective.device) == "bf16":
        lay_out(model, torch.channels_last)
    report = optimise(objective, state, progress, stop_after)
    lay_out(model, torch.contiguous_format)
    return report


class Pixels(Objective):
    """The loss of the pixel stage, in units of the error of nearest neighbour.

    Error of the prediction (mean square, mean absolute, or fair CRPS over draws of the noise), points above the 99th
    percentile weighted if the settings say so; with the constraint "soft" the penalty takes its share alpha; and what
    the network itself adds.
    """

    model: CNN
    settings: Settings
    score = "val_rmse"
    advice = ", or use precision='fp32'"

    def __init__(
        self, model: CNN, data: SRData, settings: Settings, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        device = torch.device(device)
        self.data, self.frames = data, model.network.frames[1]
        some = data.fine["train"][:256].double()
        nearest = refine(coarsen(some, data.factor, data.weights.double()), data.factor)
        model.to(device)
        self.unit: Any = float((some - nearest).square().mean().sqrt()) / model.scale  # loss 1: nearest neighbour
        if isinstance(model.scale, Tensor):  # several variables: each in its own unit
            missed = (some - nearest).square().mean((0, 2, 3)).sqrt()[:, None, None].float()
            self.unit = missed.to(device).clamp_min(1e-12) / model.scale
            if settings.extreme > 1:
                raise PhysLabError("extreme weights are for one variable alone: leave them out")
        if settings.loss == "crps" and model.network.noise_shape(data.coarse["train"][:1]) is None:
            raise PhysLabError(f"loss 'crps' needs a network with noise, {type(model.network).__name__} has none")
        self.threshold = math.inf
        if settings.extreme > 1:
            self.threshold = float(extreme_threshold(data.fine["train"])) / model.scale
        batches: Batches
        if data.stream is None:
            batches = Patches(*self.tensors(model, device), data.weights.to(device), settings, seed)
        else:
            batches = self.streamed(model, data.stream, settings, seed, device)
        super().__init__(model.to(device), settings, batches, model.name or "training")
        self.fingerprint = {"settings": asdict(settings), "seed": seed, "data": data.data_hash}
        self.fingerprint["constraint"] = model.constraint

    def tensors(self, model: CNN, device: torch.device) -> tuple[Tensor, Tensor]:
        """Fine and coarse training frames in layer units; static fields ride behind the fine frames as channels.

        A network of single frames takes the frames of sequences one by one.
        """
        data = self.data
        fine = data.fine["train"].to(device) / model.scale
        coarse = data.coarse["train"].to(device) / getattr(model, "given_scale", model.scale)
        if model.network.frames == (1, 1) and fine.shape[1] > 1:
            return fine.flatten(0, 1)[:, None], coarse.flatten(0, 1)[:, None]
        if model.network.statics:
            static = static_samples(data, model.network.statics, "train")
            fine = torch.cat([fine, static.to(device)], dim=1)
        return fine, coarse

    def streamed(
        self, model: CNN, stream: FieldStream, settings: Settings, seed: int, device: torch.device, budget: int = BUFFER
    ) -> Streamed:
        """The same of a training block that is larger than memory; `budget` as in :class:`Streamed`."""
        static = None
        if model.network.statics:
            static = static_samples(self.data, model.network.statics, "train")[0]
        return Streamed(stream, settings, seed, model.scale, device, static, None, budget)

    def losses(self, x: Tensor, y: Tensor, w: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        loss = self.loss(x, y, w, generator)
        self.terms = {"train_loss": loss}
        yield loss

    def loss(self, x: Tensor, y: Tensor, w: Tensor, generator: torch.Generator) -> Tensor:
        """Of a batch: x coarse, y fine (and static) frames, w areas, in layer units; noise from `generator`."""
        y, static = y[:, : self.frames], y[:, self.frames :]
        drawn = self.draw(x, w, static, generator)
        with torch.autocast(x.device.type, enabled=False):
            return self.pixel(drawn, x, y, w)

    def draw(self, x: Tensor, w: Tensor, static: Tensor, generator: torch.Generator) -> Tensor:
        """(members, B, T, H, W) predictions in one pass; several members for the loss "crps"."""
        members = self.settings.members if self.settings.loss == "crps" else 1
        fixed = static if static.shape[1] else None
        shape = self.model.network.noise_shape(x)
        if shape is None:
            return self.model(x, w, None, fixed)[None].float()
        count, mine = whole(len(x), generator)
        x = x.repeat(members, 1, 1, 1)
        noise = torch.randn((members, count, *shape[1:]), generator=generator)[:, mine].flatten(0, 1).to(x)
        fixed = None if fixed is None else fixed.repeat(members, 1, 1, 1)
        return self.model(x, w, noise, fixed).unflatten(0, (members, -1)).float()

    def pixel(self, drawn: Tensor, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """The loss of draws (members, B, T, H, W)."""
        error, penalty = self.error(drawn, x, y, w), self.model.network.penalty(x, drawn[0])
        return error + penalty / self.unit**2 if isinstance(penalty, Tensor) else error

    def error(self, drawn: Tensor, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """The part that knows the truth."""
        error = pointwise(drawn, y, self.settings.loss, self.unit)
        if self.settings.extreme > 1:
            error = error * extreme_weights(y, self.threshold, self.settings.extreme)
        if self.model.constraint != "soft":
            return error.mean()
        own = coarsen(y, self.model.factor, w) if y.shape[1] != x.shape[1] else x
        penalty = conservation_penalty(drawn / self.unit, own / self.unit, self.model.factor, w)
        return soft_loss(error.mean(), penalty, self.settings.alpha)

    def validate(self, average: Any, precision: str) -> dict[str, float]:
        several = isinstance(self.model.scale, Tensor)  # then relative to nearest neighbour, all variables alike
        unit = self.unit * self.model.scale if several else None
        return {"val_rmse": validation_rmse(average, self.data, precision, self.device, unit=unit)}

    def note(self, entry: Mapping[str, float]) -> str:
        units = "of nearest" if isinstance(self.model.scale, Tensor) else self.data.units
        return f"val RMSE {entry['val_rmse']:.4g} {units}"


def pointwise(drawn: Tensor, truth: Tensor, loss: str, unit: Tensor | float = 1.0) -> Tensor:
    """Error of draws (members, ...) against the truth (...) at each point, in units of `unit`: "mse", "mae" or "crps".

    The mean over members of the last is the fair CRPS of Ferro (2014, QJRMS 140, eq. 4).
    """
    difference = (drawn - truth) / unit
    error = difference.square() if loss == "mse" else difference.abs()
    if loss == "crps":
        members = len(drawn)
        error = error - (drawn[:, None] - drawn[None]).abs().sum((0, 1)) / (2 * members * (members - 1) * unit)
    return error


@torch.no_grad()
def validation_rmse(
    model: CNN, data: SRData, precision: str, device: torch.device, batch: int = 32, unit: Tensor | None = None
) -> float:
    """Area-weighted RMSE on the validation split in physical units; of the mean of four draws if there is noise.

    Several variables are divided by `unit` (V, 1, 1) first.
    """
    total, count, weights = 0.0, 0, data.weights.to(device)
    coarse, fine = data.coarse["val"], data.fine["val"]
    batch = max(1, min(batch, LARGE // fine[0, 0].numel()))
    if model.network.frames == (1, 1):
        coarse, fine = coarse.flatten(0, 1)[:, None], fine.flatten(0, 1)[:, None]
    static = None
    if model.network.statics:
        static = static_samples(data, model.network.statics, "val").split(batch)
    generator, was_training = torch.Generator().manual_seed(0), model.training
    model.eval()
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        for i, (x, y) in enumerate(zip(coarse.split(batch), fine.split(batch), strict=True)):
            x = x.to(device) / getattr(model, "given_scale", model.scale)
            fixed = None if static is None else static[i].to(device)
            shape = model.network.noise_shape(x)
            if shape is None:
                made = model(x, weights, None, fixed)
            else:
                noise = [torch.randn(shape, generator=generator).to(x) for _ in range(4)]
                made = torch.stack([model(x, weights, z, fixed) for z in noise]).mean(0)
            missed = (made * model.scale - y.to(device)).double()
            square = (missed if unit is None else missed / unit).square() * weights
            total, count = total + float(square.sum()), count + float(weights.sum()) * square.shape[:2].numel()
    model.train(was_training)
    return math.sqrt(total / count)
