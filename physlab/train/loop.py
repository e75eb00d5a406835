"""The training loop, whole and visible.

One optimiser step: take a batch of pairs, cut a window, flip, predict, weigh the loss, step, average the weights.
Around it: warm-up and cosine schedule, validation in physical units on averaged weights (EMA), early stop, an atomic
state file from which an interrupted run continues to the same weights, a bar with the time left, bfloat16 where the
machine has it, and several processes:

    torchrun --nproc-per-node 4 -m physlab train tcw-x4 --constraint softmax --seed 0 --preset full

Every random choice follows from (seed, step), so that neither a restart nor the number of processes changes the
batches.
"""

from __future__ import annotations

import copy
import io
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from physlab.constrain import conservation_penalty, soft_loss
from physlab.data.patches import SRData
from physlab.downscale import CNN
from physlab.downscale.static import static_fields
from physlab.errors import PhysLabError
from physlab.grid import coarsen, refine
from physlab.score.extremes import extreme_threshold, extreme_weights
from physlab.store import write_file
from physlab.train.batches import Batches
from physlab.train.progress import Bar
from physlab.train.settings import Settings


@dataclass
class Report:
    """What a run did: `history` holds one dict (step, train_loss, val_rmse in physical units, rate) per validation."""

    steps: int = 0
    wall_time_s: float = 0.0
    best_rmse: float = math.inf
    best_step: int = 0
    stopped: str = "end of schedule"
    precision: str = "fp32"
    history: list[dict] = field(default_factory=list)


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
    data : needs the splits train and val; stays in memory as a whole.
    state : file for interrupted runs: read if it is there, written at each validation, removed at the end.
    stop_after : leave after this many further steps with the state written (an interruption on purpose).

    Raises
    ------
    PhysLabError : a state file of other settings, or a loss that is not a number.
    """
    rank, world = _processes()
    device = torch.device(device)
    precision = precision_of(settings.precision, device)
    model.to(device).train()
    if device.type == "cpu" and precision == "bf16":
        model.to(memory_format=torch.channels_last)
    parallel = torch.nn.parallel.DistributedDataParallel(model) if world > 1 else model
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.rate, weight_decay=settings.decay)
    average = copy.deepcopy(model).requires_grad_(False)
    report, best, step, before = Report(precision=precision), copy.deepcopy(average.state_dict()), 0, 0.0
    fine, coarse = training_tensors(model, data, device)
    weights = data.weights.to(device)
    error = Objective(model, data, settings)
    batches = Batches(len(fine), data.factor, settings, seed, tuple(fine.shape[-2:]))
    fingerprint = {"settings": asdict(settings), "seed": seed, "data": data.data_hash, "constraint": model.constraint}
    state = None if state is None else Path(state)
    if state is not None and state.exists():
        saved = read_state(state, fingerprint, device)
        for module, key in ((model, "model"), (average, "average"), (optimiser, "optimiser")):
            module.load_state_dict(saved[key])
        report, best, step, before = (
            Report(**saved["report"]),
            saved["best"],
            saved["step"],
            saved["report"]["wall_time_s"],
        )

    start, stale, losses = time.perf_counter(), 0, []
    with Bar(model.name or "training", settings.steps, enabled=progress and rank == 0) as bar:
        while step < settings.steps:
            elapsed = before + time.perf_counter() - start
            done = max(step / settings.steps, elapsed / settings.budget_s if settings.budget_s else 0.0)
            if done >= 1.0:
                report.stopped = "time budget"
                break
            rate = settings.rate * schedule(done, settings.warm_up)
            for group in optimiser.param_groups:
                group["lr"] = rate
            x, y, w = batches.take(step, fine, coarse, weights, rank, world)
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                loss = error(parallel, x, y, w, batches.generator(step, 3))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimiser.step()
            step += 1
            update_average(average, model, min(settings.ema, (1 + step) / (10 + step)))
            losses.append(loss.detach())
            bar.advance(step)
            leaving = stop_after is not None and step >= stop_after
            if step % settings.validate_every and step < settings.steps and not leaving:
                continue
            report.wall_time_s = before + time.perf_counter() - start
            if step % settings.validate_every == 0 or step == settings.steps:
                train_loss = float(torch.stack(losses).mean())
                if not math.isfinite(train_loss):
                    raise PhysLabError(
                        f"training loss is {train_loss} at step {step}: lower the rate ({settings.rate}), or use "
                        "precision='fp32'"
                    )
                score = _agree(validation_rmse(average, data, precision, device), device)
                report.history.append({"step": step, "train_loss": train_loss, "val_rmse": score, "rate": rate})
                if score < report.best_rmse:
                    report.best_rmse, report.best_step, stale = score, step, 0
                    best = copy.deepcopy(average.state_dict())
                losses = []
                bar.note(f"val RMSE {score:.4g} {data.units}")
            stale = sum(entry["step"] > report.best_step for entry in report.history)
            report.steps = step
            if state is not None and rank == 0:
                modules = {"model": model, "average": average, "optimiser": optimiser}
                content = {key: module.state_dict() for key, module in modules.items()}
                content |= {"fingerprint": fingerprint, "step": step, "best": best, "report": asdict(report)}
                write_state(state, content)
            if leaving:
                return report
            if stale >= settings.patience:
                report.stopped = f"no better validation RMSE for {stale} validations"
                break
    report.steps, report.wall_time_s = step, before + time.perf_counter() - start
    if math.isinf(report.best_rmse):  # a budget too short for one validation
        best = average.state_dict()
        report.best_rmse, report.best_step = validation_rmse(average, data, precision, device), step
    model.load_state_dict(best)
    model.to(memory_format=torch.contiguous_format)
    if state is not None and rank == 0:
        state.unlink(missing_ok=True)
    return report


def training_tensors(model: CNN, data: SRData, device: torch.device) -> tuple[Tensor, Tensor]:
    """Fine and coarse training frames in layer units; static fields ride behind the fine frames as further channels.

    A network of single frames takes the frames of sequences one by one.
    """
    fine, coarse = (getattr(data, name)["train"].to(device) / model.scale for name in ("fine", "coarse"))
    if model.network.frames == (1, 1) and fine.shape[1] > 1:
        return fine.flatten(0, 1)[:, None], coarse.flatten(0, 1)[:, None]
    if model.network.statics:
        static = static_fields(model.network.statics, data.latitude, data.longitude["train"])
        fine = torch.cat([fine, static.to(device)], dim=1)
    return fine, coarse


class Objective:
    """The loss of the pixel stage, in units of the error of nearest neighbour.

    Error of the prediction (mean square, mean absolute, or fair CRPS over draws of the noise), points above the 99th
    percentile weighted if the settings say so; with the constraint "soft" the penalty takes its share alpha; and what
    the network itself adds.
    """

    def __init__(self, model: CNN, data: SRData, settings: Settings) -> None:
        self.model, self.settings, self.frames = model, settings, model.network.frames[1]
        some = data.fine["train"][:256].double()
        nearest = refine(coarsen(some, data.factor, data.weights.double()), data.factor)
        self.unit = float((some - nearest).square().mean().sqrt()) / model.scale  # loss 1: nearest neighbour
        self.noisy = model.network.noise_shape(data.coarse["train"][:1]) is not None
        if settings.loss == "crps" and not self.noisy:
            raise PhysLabError(f"loss 'crps' needs a network with noise, {type(model.network).__name__} has none")
        self.threshold = math.inf
        if settings.extreme > 1:
            self.threshold = float(extreme_threshold(data.fine["train"])) / model.scale

    def __call__(
        self, predict: Callable[..., Tensor], x: Tensor, y: Tensor, w: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Loss of a batch: x coarse, y fine (and static) frames, w areas, in layer units; noise from `generator`."""
        y, static = y[:, : self.frames], y[:, self.frames :]
        members = self.settings.members if self.settings.loss == "crps" else 1
        drawn = self.draw(predict, x, w, static, members, generator).float()
        with torch.autocast(x.device.type, enabled=False):
            return self.error(drawn, x, y, w) + self.model.network.penalty(x, drawn[0]) / self.unit**2

    def draw(self, predict, x: Tensor, w: Tensor, static: Tensor, members: int, generator: torch.Generator) -> Tensor:
        """(members, B, T, H, W) predictions in one pass."""
        static = static if static.shape[1] else None
        if not self.noisy:
            return predict(x, w, None, static)[None]
        x = x.repeat(members, 1, 1, 1)
        noise = torch.randn(self.model.network.noise_shape(x), generator=generator).to(x)
        static = None if static is None else static.repeat(members, 1, 1, 1)
        return predict(x, w, noise, static).unflatten(0, (members, -1))

    def error(self, drawn: Tensor, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """The part that knows the truth."""
        difference = (drawn - y) / self.unit
        error = difference.square() if self.settings.loss == "mse" else difference.abs()
        if self.settings.loss == "crps":
            members = len(drawn)
            apart = (drawn[:, None] - drawn[None]).abs().sum((0, 1)) / (2 * members * (members - 1) * self.unit)
            error = error - apart
        if self.settings.extreme > 1:
            error = error * extreme_weights(y, self.threshold, self.settings.extreme)
        if self.model.constraint != "soft":
            return error.mean()
        own = coarsen(y, self.model.factor, w) if y.shape[1] != x.shape[1] else x
        penalty = conservation_penalty(drawn / self.unit, own / self.unit, self.model.factor, w)
        return soft_loss(error.mean(), penalty, self.settings.alpha)


def schedule(done: float, warm_up: float) -> float:
    """Share of the peak rate after the share `done` of the training: linear warm-up, then half a cosine down to 1 %."""
    if done < warm_up:
        return (done + 0.02 * warm_up) / (1.02 * warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


@torch.no_grad()
def update_average(average: CNN, model: CNN, decay: float) -> None:
    """average <- decay * average + (1 - decay) * model, in place."""
    for mean, parameter in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(parameter, 1.0 - decay)
    for mean, buffer in zip(average.buffers(), model.buffers(), strict=True):  # statistics of normalisation layers
        mean.copy_(buffer)


@torch.no_grad()
def validation_rmse(model: CNN, data: SRData, precision: str, device: torch.device, batch: int = 32) -> float:
    """Area-weighted RMSE on the validation split in physical units; of the mean of four draws if there is noise."""
    total, count, weights = 0.0, 0, data.weights.to(device)
    coarse, fine = data.coarse["val"], data.fine["val"]
    if model.network.frames == (1, 1):
        coarse, fine = coarse.flatten(0, 1)[:, None], fine.flatten(0, 1)[:, None]
    static = None
    if model.network.statics:
        static = static_fields(model.network.statics, data.latitude, data.longitude["val"]).split(batch)
    generator, was_training = torch.Generator().manual_seed(0), model.training
    model.eval()
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        for i, (x, y) in enumerate(zip(coarse.split(batch), fine.split(batch), strict=True)):
            x = x.to(device) / model.scale
            fixed = None if static is None else static[i].to(device)
            shape = model.network.noise_shape(x)
            if shape is None:
                made = model(x, weights, None, fixed)
            else:
                noise = [torch.randn(shape, generator=generator).to(x) for _ in range(4)]
                made = torch.stack([model(x, weights, z, fixed) for z in noise]).mean(0)
            square = (made * model.scale - y.to(device)).double().square() * weights
            total, count = total + float(square.sum()), count + float(weights.sum()) * square.shape[:2].numel()
    model.train(was_training)
    return math.sqrt(total / count)


def write_state(path: Path, content: dict) -> None:
    """A reader sees the old file or the new one, never a half."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_file(path, buffer.getbuffer())


def read_state(path: Path, fingerprint: dict, device: torch.device) -> dict:
    """The state of an interrupted run of the same settings, data, seed and constraint."""
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
        same = saved["fingerprint"] == fingerprint
    except Exception as error:  # torch raises many kinds for a damaged file
        raise PhysLabError(
            f"training state {path} cannot be read ({type(error).__name__}): remove it to start again"
        ) from None
    if not same:
        raise PhysLabError(
            f"training state {path} is of a run with other settings, data, seed or constraint: remove it to start again"
        )
    return saved


def _processes() -> tuple[int, int]:
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def _agree(value: float, device: torch.device) -> float:
    """The value of process 0 for all, so that all stop at the same step."""
    if _processes()[1] == 1:
        return value
    shared = torch.tensor(value, dtype=torch.float64, device=device)
    dist.broadcast(shared, 0)
    return float(shared)


def precision_of(wanted: str, device: torch.device) -> str:
    """ "bf16" or "fp32": what the settings want, or what the processor multiplies fast."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # elsewhere bf16 is emulated and slower
    return "bf16" if device.type == "cpu" and fast() else "fp32"
