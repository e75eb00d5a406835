r"""The adversarial stage: a generator that was trained by pixels goes on against a discriminator.

.. math:: L_G = L_\mathrm{pixel} + \mu L_\mathrm{content} + \lambda L_\mathrm{adv}, \qquad
          L_D = \mathrm{BCE}(D(y), 1) + \mathrm{BCE}(D(G(x, z)), 0) + \tfrac{\gamma}{2} |\nabla_y D(y)|^2

with the logistic loss of Goodfellow et al. (2014) in its non-saturating form, or the relativistic average of
ESRGAN (Wang et al. 2018, eqs. 1 to 3), and the gradient penalty R1 of Mescheder et al. (2018) on every second step.
The pixel loss is the one of the settings, the soft penalty included, so that "GAN + soft" is what its name says. Which
pixel loss decides whether there is an ensemble at all: the mean square error is least for the mean and teaches the
generator to ignore its noise; the fair CRPS of two draws is least for the right distribution. The content loss is the
same error of features instead of values at points: Ledig et al. (2017, eq. 5) and Wang et al. (2018) take them from a
network for photographs, here they are learned on the training block (:mod:`physlab.nn.features`).

The discriminator sees the fine field and, if `conditional`, the interpolated coarse one; with `physics` also the
residual of a law (PID-GAN: Daw et al. 2021; Yin et al.), so that fakes that break it are easy to tell. Its health is
logged: the share of fields that it judges rightly. At 0.5 it is at chance and teaches nothing, which is what happened
to the course report's discriminator throughout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.data.patches import SRData
from physlab.data.stream import BUFFER, FieldStream
from physlab.downscale import CNN
from physlab.errors import PhysLabError
from physlab.grid import refine
from physlab.nn import DISCRIMINATORS, bicubic
from physlab.nn.parts import lay_out
from physlab.nn.share import mean
from physlab.train.features import detail_of, learn_features
from physlab.train.law import WaterBudget
from physlab.train.loop import Report, optimise
from physlab.train.objective import adamw
from physlab.train.pixels import Pixels, pointwise
from physlab.train.settings import Settings
from physlab.train.streamed import Streamed


@dataclass(frozen=True)
class Adversarial:
    """The numbers of the adversarial stage.

    Attributes
    ----------
    steps : of generator and discriminator each;  rate, rate_d : peak learning rates.
    weight : lambda, of the adversarial term beside the pixel loss (which is 1 for nearest neighbour).
    features : mu, of the content loss, whose unit is the standard deviation of each feature; 0 for none.
    discriminator : a key of :data:`physlab.nn.DISCRIMINATORS`;  arguments : of it.
    loss : "logistic" or "relativistic".
    conditional : the discriminator sees the coarse field too.
    physics : it also sees the residual of the law of the task.
    penalty : gamma of R1, with fields in units of the error of nearest neighbour; 0 for none.
    best : keep the averaged weights that validate best ("rmse"), or those of the end ("last").
    beta1, beta2 : decays of the running means of gradients and of their squares in Adam.
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
    beta1: float = 0.5
    beta2: float = 0.99
    features: float = 0.0

    def __post_init__(self) -> None:
        if self.loss not in ("logistic", "relativistic") or self.best not in ("rmse", "last"):
            raise PhysLabError(f"loss {self.loss!r}, best {self.best!r}: choose logistic or relativistic, rmse or last")
        if not self.features >= 0:
            raise PhysLabError(f"the weight of the features is {self.features}: pass a number of at least 0")
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
    stop_after: int | None = None,
) -> Report:
    """Train `model` in place against a discriminator; it ends with averaged weights.

    Parameters
    ----------
    settings : of the pixel stage: its batches, pixel loss and average go on.
    state, stop_after : see :func:`physlab.train.loop.optimise`.
    report : of the pixel stage, continued; the history gains d_loss, d_right (share of fields judged rightly) and
        adversarial loss.

    Raises
    ------
    PhysLabError : a state file of other settings, or a loss that is not a number.
    """
    if report is not None:
        report.best_rmse = math.inf  # the weights of the pixel stage are not among those that are compared
    report = optimise(Duel(model, data, settings, plan, seed, device), state, progress, stop_after, report=report)
    lay_out(model, torch.contiguous_format)
    report.stopped = "end of the adversarial schedule"
    return report


class Duel(Pixels):
    """Two losses a step: that of the discriminator, and then that of the generator."""

    advice = ", or the weight"

    def __init__(
        self, model: CNN, data: SRData, settings: Settings, plan: Adversarial, seed: int, device: torch.device | str
    ) -> None:
        if plan.physics and (settings.crop is not None or settings.flips):
            raise PhysLabError(
                "the water budget needs whole fields as they lie: pass crop=None and flips='' with physics"
            )
        self.plan, self.keep_last = plan, plan.best == "last"
        own = data.all_coarse("train")[: None if data.stream is None else 1] / model.scale
        self.own = torch.cat([own, WaterBudget.terms(data)], dim=1) if plan.physics else own
        longer = replace(settings, steps=plan.steps, rate=plan.rate, patience=plan.steps, budget_s=None)
        super().__init__(model, data, longer, seed + 1, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1000)
            self.judge = Judge(model, data, plan, self.unit).to(self.device)
        self.features = None
        if plan.features > 0:
            self.features = learn_features(detail_of(data, self.unit * model.scale), seed, self.device)
        self.title += " (adversarial)"
        self.fingerprint |= {"plan": asdict(plan), "settings": asdict(settings)}

    def tensors(self, model: CNN, device: torch.device) -> tuple[Tensor, Tensor]:
        fine, coarse = super().tensors(model, device)
        own = refine(self.own.to(device), self.data.factor)  # what belongs to a field is cut and flipped with it
        return torch.cat([fine, own], dim=1), coarse

    def streamed(
        self, model: CNN, stream: FieldStream, settings: Settings, seed: int, device: torch.device, budget: int = BUFFER
    ) -> Streamed:
        made = super().streamed(model, stream, settings, seed, device, budget)
        made.behind = lambda coarse: refine(coarse, stream.factor)
        return made

    def optimisers(self) -> list[torch.optim.Optimizer]:
        plan = self.plan
        betas = (plan.beta1, plan.beta2)
        return [
            adamw(self.judge.parameters(), plan.rate_d, None, betas=betas),
            adamw(self.model.parameters(), plan.rate, self.settings.clip, betas=betas),
        ]

    def modules(self) -> dict[str, nn.Module]:
        return {"judge": self.judge} | ({} if self.features is None else {"features": self.features})

    def begin(self, step: int) -> None:
        self.penalised = self.plan.penalty > 0 and step % 2 == 0

    def losses(self, x: Tensor, y: Tensor, w: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        behind, factor, judge = self.own.shape[1], self.data.factor, self.judge.requires_grad_(True)
        y, own = y[:, :-behind], y[:, -behind:, ::factor, ::factor]
        truth, static, given = y[:, : self.frames], y[:, self.frames :], (own[:, : self.frames], own[:, self.frames :])
        drawn = self.draw(x, w, static, generator)
        # the discriminator learns first
        seen = truth.clone().requires_grad_(self.penalised)
        real, fake = judge(seen, *given), judge(drawn[0].detach(), *given)
        d_loss = self.verdict(real.float(), fake.float(), True) + self.verdict(fake.float(), real.float(), False)
        right = self.right(real.detach().float(), fake.detach().float())
        total = d_loss
        if self.penalised:
            with torch.autocast(x.device.type, enabled=False):
                slope = torch.autograd.grad(real.float().flatten(1).mean(1).sum(), seen, create_graph=True)[0]
                # twice the weight, since every second step; fields in units of the error of nearest neighbour
                total = total + self.plan.penalty * (slope * self.unit).square().sum((1, 2, 3)).mean()
        yield total
        # then the generator
        judge.requires_grad_(False)
        fake = judge(drawn[0], *given).float()
        real = judge(truth, *given).float() if self.plan.loss == "relativistic" else fake
        g_adv = self.verdict(fake, real, True)
        if self.plan.loss == "relativistic":
            g_adv = g_adv + self.verdict(real, fake, False)
        with torch.autocast(x.device.type, enabled=False):
            pixel = self.pixel(drawn, x, truth, w)
        self.terms = {"train_loss": pixel, "d_loss": d_loss, "g_adversarial": g_adv, "d_right": right}
        loss = pixel + self.plan.weight * g_adv
        if self.features is not None:
            content = self.content(drawn, truth, given[0])
            self.terms["content"] = content
            loss = loss + self.plan.features * content
        yield loss

    def content(self, drawn: Tensor, truth: Tensor, full: Tensor) -> Tensor:
        """The error of the features of draws (members, B, T, H, W); `full` are the coarse frames (B, T, h, w)."""
        assert self.features is not None
        base = bicubic(full, self.data.factor)
        made, real = (self.features((fields - base) / self.unit) for fields in (drawn, truth))
        return pointwise(made.float(), real.float(), self.settings.loss).mean()

    def verdict(self, logits: Tensor, other: Tensor, real: bool) -> Tensor:
        """What is lost where these logits are not of real fields, or not of others; relative to the mean of others."""
        if self.plan.loss == "relativistic":
            logits = logits - mean(other, tuple(range(other.ndim)))
        return functional.softplus(-logits if real else logits).mean()

    def right(self, real: Tensor, fake: Tensor) -> Tensor:
        """Share of fields that are judged rightly; a relativistic discriminator ranks: its zero lies between the two
        means."""
        middle = torch.zeros(())
        if self.plan.loss == "relativistic":
            middle = 0.5 * (mean(real, tuple(range(real.ndim))) + mean(fake, tuple(range(fake.ndim))))
        middle = middle.to(real)
        return 0.5 * ((real > middle).float().mean() + (fake < middle).float().mean())

    def note(self, entry: Mapping[str, float]) -> str:
        return f"{super().note(entry)}, D right {entry['d_right']:.2f}"
