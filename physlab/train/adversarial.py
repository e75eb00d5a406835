r"""The adversarial stage: a generator that was trained by pixels goes on against a discriminator.

.. math:: L_G = L_\mathrm{pixel} + \lambda L_\mathrm{adv}, \qquad
          L_D = \mathrm{BCE}(D(y), 1) + \mathrm{BCE}(D(G(x, z)), 0) + \tfrac{\gamma}{2} |\nabla_y D(y)|^2

with the logistic loss of Goodfellow et al. (2014) in its non-saturating form, or the relativistic average of
ESRGAN (Wang et al. 2018, eqs. 1 to 3), and the gradient penalty R1 of Mescheder et al. (2018) on every second step.
The pixel loss is the one of the settings, the soft penalty included, so that "GAN + soft" is what its name says. Which
pixel loss decides whether there is an ensemble at all: the mean square error is least for the mean and teaches the
generator to ignore its noise; the fair CRPS of two draws is least for the right distribution.

The discriminator sees the fine field and, if `conditional`, the interpolated coarse one; with `physics` also the
residual of a law (PID-GAN: Daw et al. 2021; Yin et al.), so that fakes that break it are easy to tell. Its health is
logged: the share of fields that it judges rightly. At 0.5 it is at chance and teaches nothing, which is what happened
to the course report's discriminator throughout.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.data.patches import SRData
from physlab.downscale import CNN
from physlab.errors import PhysLabError
from physlab.grid import refine
from physlab.nn import DISCRIMINATORS, bicubic
from physlab.train.batches import Batches
from physlab.train.law import WaterBudget
from physlab.train.loop import (
    Objective,
    Report,
    precision_of,
    read_state,
    schedule,
    training_tensors,
    update_average,
    validation_rmse,
    write_state,
)
from physlab.train.progress import Bar
from physlab.train.settings import Settings


@dataclass(frozen=True)
class Adversarial:
    """The numbers of the adversarial stage.

    Attributes
    ----------
    steps : of generator and discriminator each;  rate, rate_d : peak learning rates.
    weight : lambda, of the adversarial term beside the pixel loss (which is 1 for nearest neighbour).
    discriminator : a key of :data:`physlab.nn.DISCRIMINATORS`;  arguments : of it.
    loss : "logistic" or "relativistic".
    conditional : the discriminator sees the coarse field too.
    physics : it also sees the residual of the law of the task.
    penalty : gamma of R1, with fields in units of the error of nearest neighbour; 0 for none.
    best : keep the averaged weights that validate best ("rmse"), or those of the end ("last").
    """

    steps: int = 400
    rate: float = 2e-4
    rate_d: float = 2e-4
    weight: float = 1e-3
    discriminator: str = "PatchDiscriminator"
    channels: int = 32
    loss: str = "logistic"
    conditional: bool = True
    physics: bool = False
    penalty: float = 1.0
    best: str = "last"

    def __post_init__(self) -> None:
        if self.loss not in ("logistic", "relativistic") or self.best not in ("rmse", "last"):
            raise PhysLabError(f"loss {self.loss!r}, best {self.best!r}: choose logistic or relativistic, rmse or last")
        if self.discriminator not in DISCRIMINATORS:
            raise PhysLabError(f"discriminator {self.discriminator!r}: choose one of {', '.join(DISCRIMINATORS)}")


class Judge(nn.Module):
    """Discriminator with the choice of what it sees, standardised: fine frames, coarse frames, residual of a law."""

    def __init__(self, model: CNN, data: SRData, plan: Adversarial, unit: float) -> None:
        super().__init__()
        self.plan, self.unit, self.factor = plan, unit, model.factor
        self.law = WaterBudget(data, model.scale) if plan.physics else None
        self.shift, self.spread = model.network.shift, model.network.spread
        frames = data.fine["train"].shape[1]
        self.inputs = frames + (frames if plan.conditional else 0) + (self.law.channels if self.law else 0)
        arguments = {"channels": plan.channels} if plan.discriminator == "PatchDiscriminator" else {}
        self.network = DISCRIMINATORS[plan.discriminator](self.inputs, **arguments)

    def forward(self, fine: Tensor, full: Tensor, terms: Tensor) -> Tensor:
        """Logits for fine fields (B, T, H, W) with the coarse fields (B, T, h, w) and the coarse terms of the law."""
        seen = [(fine - self.shift) / self.spread]
        if self.plan.conditional:  # what interpolation lacks is what there is to judge
            base = bicubic(full, self.factor)
            seen = [(fine - base) / self.unit, (base - self.shift) / self.spread]
        if self.law is not None:
            with torch.autocast(fine.device.type, enabled=False):
                seen.append(self.law(fine, full, terms))
        return self.network(torch.cat(seen, dim=1))


def fit_adversarial(
    model: CNN,
    data: SRData,
    settings: Settings,
    plan: Adversarial,
    seed: int = 0,
    device: torch.device | str = "cpu",
    state: str | Path | None = None,
    progress: bool = False,
    report: Report | None = None,
) -> Report:
    """Train `model` in place against a discriminator; it ends with averaged weights.

    Parameters
    ----------
    settings : of the pixel stage: its batches, pixel loss and average go on.
    state : file for interrupted runs, as in :func:`physlab.train.loop.fit`.
    report : of the pixel stage, continued; the history gains d_loss, d_right (share of fields judged rightly) and
        adversarial loss.

    Raises
    ------
    PhysLabError : a state file of other settings, or a loss that is not a number.
    """
    device = torch.device(device)
    precision = precision_of(settings.precision, device)
    model.to(device).train()
    error = Objective(model, data, settings)
    fine, coarse = training_tensors(model, data, device)
    frames, weights = model.network.frames[1], data.weights.to(device)
    own = data.all_coarse("train").to(device) / model.scale
    if plan.physics:
        if settings.crop is not None or settings.flips:
            raise PhysLabError(
                "the water budget needs whole fields as they lie: pass crop=None and flips='' with physics"
            )
        own = torch.cat([own, WaterBudget.terms(data).to(device)], dim=1)
    fine = torch.cat([fine, refine(own, data.factor)], dim=1)  # what belongs to a field is cut and flipped with it
    behind = own.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1000)
        judge = Judge(model, data, plan, error.unit).to(device)
    average = copy.deepcopy(model).requires_grad_(False)
    optimisers = [
        torch.optim.Adam(module.parameters(), lr=rate, betas=(0.5, 0.99))
        for module, rate in ((model, plan.rate), (judge, plan.rate_d))
    ]
    batches = Batches(len(fine), data.factor, settings, seed + 1, tuple(fine.shape[-2:]))
    report, step = report or Report(precision=precision), 0
    before, offset = report.wall_time_s, report.steps
    best, best_rmse = None, math.inf
    modules = {"model": model, "average": average, "judge": judge, "g": optimisers[0], "d": optimisers[1]}
    fingerprint = {"plan": asdict(plan), "settings": asdict(settings), "seed": seed, "data": data.data_hash}
    fingerprint["constraint"] = model.constraint
    state = None if state is None else Path(state)
    if state is not None and state.exists():
        saved = read_state(state, fingerprint, device)
        for key, module in modules.items():
            module.load_state_dict(saved[key])
        report, step, offset = Report(**saved["report"]), saved["step"], saved["offset"]
        before, best, best_rmse = report.wall_time_s, saved["best"], saved["best_rmse"]

    def loss_of(logits: Tensor, other: Tensor, real: bool) -> Tensor:
        if plan.loss == "relativistic":
            logits = logits - other.mean()
        return functional.softplus(-logits if real else logits).mean()

    start, logs = time.perf_counter(), []
    with Bar(f"{model.name or 'training'} (adversarial)", plan.steps, enabled=progress) as bar:
        while step < plan.steps:
            share = schedule(step / plan.steps, settings.warm_up)
            for optimiser, rate in zip(optimisers, (plan.rate, plan.rate_d), strict=True):
                for group in optimiser.param_groups:
                    group["lr"] = rate * share
            x, y, w = batches.take(step, fine, coarse, weights)
            y, own = y[:, :-behind], y[:, -behind:, :: data.factor, :: data.factor]
            truth, static, given = y[:, :frames], y[:, frames:], (own[:, :frames], own[:, frames:])
            members = settings.members if settings.loss == "crps" else 1
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                drawn = error.draw(model, x, w, static, members, batches.generator(step, 3)).float()
                # the discriminator learns first
                penalised = plan.penalty > 0 and step % 2 == 0
                seen = truth.clone().requires_grad_(penalised)
                real, fake = judge(seen, *given), judge(drawn[0].detach(), *given)
                d_loss = loss_of(real.float(), fake.float(), True) + loss_of(fake.float(), real.float(), False)
            seen_real, seen_fake = real.detach().float(), fake.detach().float()
            # a relativistic discriminator ranks: its zero lies between the two means
            middle = 0.5 * (seen_real.mean() + seen_fake.mean()) if plan.loss == "relativistic" else 0.0
            total = d_loss
            if penalised:
                slope = torch.autograd.grad(real.float().flatten(1).mean(1).sum(), seen, create_graph=True)[0]
                # twice the weight, since every second step; fields in units of the error of nearest neighbour
                total = total + plan.penalty * (slope * error.unit).square().sum((1, 2, 3)).mean()
            optimisers[1].zero_grad(set_to_none=True)
            total.backward()
            optimisers[1].step()
            # then the generator
            judge.requires_grad_(False)
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                fake = judge(drawn[0], *given).float()
                real = judge(truth, *given).float() if plan.loss == "relativistic" else fake
                g_adv = loss_of(fake, real, True)
                if plan.loss == "relativistic":
                    g_adv = g_adv + loss_of(real, fake, False)
            pixel = error.error(drawn, x, truth, w) + model.network.penalty(x, drawn[0]) / error.unit**2
            loss = pixel + plan.weight * g_adv
            optimisers[0].zero_grad(set_to_none=True)
            loss.backward()
            judge.requires_grad_(True)
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimisers[0].step()
            step += 1
            update_average(average, model, min(settings.ema, (1 + step) / (10 + step)))
            right = 0.5 * ((seen_real > middle).float().mean() + (seen_fake < middle).float().mean())
            logs.append(torch.stack([pixel.detach(), d_loss.detach(), g_adv.detach(), right]))
            bar.advance(step)
            if step % settings.validate_every and step < plan.steps:
                continue
            pixel_mean, d_mean, g_mean, d_right = torch.stack(logs).mean(0).tolist()
            if not math.isfinite(pixel_mean + d_mean):
                raise PhysLabError(f"adversarial loss is {pixel_mean + d_mean} at step {step}: lower rate or weight")
            score = validation_rmse(average, data, precision, device)
            report.history.append({
                "step": offset + step, "train_loss": pixel_mean, "val_rmse": score, "rate": plan.rate * share,
                "d_loss": d_mean, "g_adversarial": g_mean, "d_right": d_right,
            })  # fmt: skip
            logs = []
            if plan.best == "last" or score < best_rmse:
                best, best_rmse = copy.deepcopy(average.state_dict()), score
                report.best_rmse, report.best_step = score, offset + step
            report.steps, report.wall_time_s = offset + step, before + time.perf_counter() - start
            bar.note(f"val RMSE {score:.4g} {data.units}, D right {d_right:.2f}")
            if state is not None:
                content = {key: module.state_dict() for key, module in modules.items()}
                content |= {"fingerprint": fingerprint, "step": step, "offset": offset, "best": best}
                write_state(state, content | {"best_rmse": best_rmse, "report": asdict(report)})
    model.load_state_dict(best)
    model.to(memory_format=torch.contiguous_format)
    report.stopped = "end of the adversarial schedule"
    if state is not None:
        state.unlink(missing_ok=True)
    return report
