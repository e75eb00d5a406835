r"""Training of residual latent diffusion, and the physical law in its loss.

In order, each with what came before left as it is: the U-Net (mean square error), the autoencoder of what it misses
(L1 and a small KL), the denoiser with its conditioner, and, if asked for, some more steps of the denoiser alone with a
penalty. The penalty sees the temperature that the denoised latents stand for, in kelvin,

.. math:: \hat T = U + \rho\, G\big(D(z_t)\big), \qquad D = (\alpha z_t - \sigma \hat v) / (\alpha^2 + \sigma^2),

not the network's velocity; its gradient goes into the denoiser only. D is a mean, and the balance of a mean is not the
mean balance, so that the penalty of a sample fades as :math:`\lambda / (1 + r^2)` with its noise-to-signal ratio r; to
save time it is asked of the half of a batch with the least noise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from physlab.diffusion import Denoiser
from physlab.downscale.latent import LatentDownscaler
from physlab.downscale.terrain import TerrainFields
from physlab.equations.law import LAWS, laws_of, residual_of
from physlab.equations.surface_temperature import EffectiveBalance, flux_ratio_misfit
from physlab.errors import CheckpointError, FieldError
from physlab.grid import coarsen
from physlab.nn.parts import choose
from physlab.nn.share import Draws, least
from physlab.nn.vae import VAE
from physlab.train.batches import Drawn
from physlab.train.devices import agreed, by_one, processes
from physlab.train.loop import Report
from physlab.train.settings import Steps
from physlab.train.state import state_file
from physlab.train.steps import take_steps

GIVEN = ("t", "u", "v", "height", "grid")  # what a registered law may take here: temperature, true fine wind, terrain
STAGES = ("unet", "vae", "denoiser")


@dataclass(frozen=True)
class LatentSettings:
    """The numbers of the stages.

    Attributes
    ----------
    unet, vae, denoiser, tuning : of each stage; `tuning` is that of the steps with a penalty.
    beta : price of the divergence of the latents, see :meth:`physlab.nn.vae.VAE.loss`.
    """

    unet: Steps = field(default_factory=lambda: Steps(steps=400, batch=4, rate=2e-3))
    vae: Steps = field(default_factory=lambda: Steps(steps=400, batch=4, rate=2e-3))
    denoiser: Steps = field(default_factory=lambda: Steps(steps=1200, batch=8, rate=2e-3, ema=0.995))
    tuning: Steps = field(default_factory=lambda: Steps(steps=150, batch=8, rate=5e-4, ema=0.98))
    beta: float = 1e-2

    def scaled(self, steps: int) -> LatentSettings:
        """The same with that many steps of the denoiser, and of the other stages in proportion."""
        share = steps / self.denoiser.steps
        stages = {name: getattr(self, name) for name in (*STAGES, "tuning")}
        return replace(self, **{k: replace(s, steps=max(1, round(share * s.steps))) for k, s in stages.items()})


def make_latent(fields: TerrainFields, bound: bool = False, **arguments) -> LatentDownscaler:
    """An untrained method for these fields, with the units of its drivers.

    Parameters
    ----------
    bound : it is for this domain alone, as it always is with static fields of the user's own.
    arguments : of :class:`LatentDownscaler`.
    """
    grid = fields.grid
    longitude = grid.longitude if fields.own or bound else None
    model = LatentDownscaler(
        fields.drivers[0], fields.drivers, fields.statics, fields.factor, grid.latitude, longitude, grid.periodic,
        fields.static if fields.own else None, **arguments,
    )  # fmt: skip
    area = coarsen(fields.area.expand(fields.grid.shape), fields.factor)
    mean = (fields.coarse * area).mean((0, 2, 3))[:, None, None]
    model.mean.copy_(mean)
    model.std.copy_(((fields.coarse - mean).square() * area).mean((0, 2, 3)).sqrt().clamp_min(1e-12)[:, None, None])
    missing = fields.truth - model.upsample(fields.coarse[:, :1])
    model.detail.copy_((missing.square() * fields.area).mean().sqrt())
    model.card["coarsening"] = fields.consistent
    return model


def train_latent(
    model: LatentDownscaler, fields: TerrainFields, settings: LatentSettings | None = None, seed: int = 0,
    progress: bool = False, stages: tuple[str, ...] = STAGES, state: str | Path | None = None,
) -> LatentDownscaler:  # fmt: skip
    """Train the stages in order, in place; returns the model.

    Parameters
    ----------
    fields : the training block.
    stages : "unet", "vae", "denoiser"; those left out stay as they are.
    state : file for a stage that is interrupted.

    Raises
    ------
    PhysLabError : a loss that is not a number.
    """
    settings = LatentSettings() if settings is None else settings
    device = model.mean.device
    static, area = fields.static.to(device), fields.area.to(device)
    took = model.card.setdefault("training", {"fields": len(fields), "seed": seed})

    def take(name: str, part: torch.nn.Module, loss: Callable[..., Tensor]) -> None:
        if name not in stages:
            return
        model.requires_grad_(False)
        part.requires_grad_(True)
        steps, known = getattr(settings, name), {"stage": name, "fields": len(fields), "beta": settings.beta}
        report = take_steps(part, loss, steps, seed, name, progress, None, drawn(fields, steps, seed), state, known)
        took[name] = told_of(report, steps)

    def error(_: torch.nn.Module, at: Tensor, generator: torch.Generator) -> Tensor:
        coarse, truth = fields.coarse[at].to(device), fields.truth[at].to(device)
        return (((model.regress(coarse, static) - truth) / model.detail).square() * area).mean()

    take("unet", model.unet, error)
    missed = torch.cat([fields.truth[k : k + 16].to(device) - mean for k, mean in _means(model, fields, static)])
    if "unet" in stages or "vae" in stages:
        model.rho.copy_((missed.square() * area).mean().sqrt())

    def rebuilt(vae: VAE, at: Tensor, generator: torch.Generator) -> Tensor:
        return vae.loss(missed[at] / model.rho, settings.beta, generator, area=area)

    if "vae" in stages:
        model.vae.calibrate(None)
    take("vae", model.vae, rebuilt)
    if "vae" in stages:
        model.vae.calibrate(missed[k : k + 16] / model.rho for k in range(0, len(missed), 16))
    with torch.no_grad():
        latents = torch.cat([model.encode(missed[k : k + 16]) for k in range(0, len(missed), 16)])
    weights = coarsen(area.expand(fields.grid.shape), fields.factor)[:, :1]

    def diffusion(_: torch.nn.Module, at: Tensor, generator: torch.Generator) -> Tensor:
        given = model.features(fields.coarse[at].to(device), static)
        return model.denoiser.loss(latents[at], given, generator, area=weights)

    take("denoiser", torch.nn.ModuleList([model.denoiser, model.conditioner]), diffusion)
    model.requires_grad_(True)
    return model.eval()


def drawn(fields: TerrainFields, steps: Steps, seed: int) -> Drawn:
    """Batches of random times: their indices, and the generator of the noise."""

    def some(generator: Draws, mine: slice) -> tuple[Tensor]:
        return (torch.randint(len(fields), (steps.batch,), generator=generator)[mine],)

    return Drawn(steps.batch, seed, some)


def told_of(report: Report, steps: Steps) -> dict:
    """What the card says of a stage."""
    return {"steps": report.steps, "batch": steps.batch, "s": round(report.wall_time_s, 1), "history": report.history}


def tune_latent(
    model: LatentDownscaler, fields: TerrainFields, weight: float, kind: str = "balance",
    settings: LatentSettings | None = None, seed: int = 0, progress: bool = False, state: str | Path | None = None,
) -> LatentDownscaler:  # fmt: skip
    """Some more steps of a trained denoiser, with a penalty; in place, returns the model.

    Parameters
    ----------
    weight : lambda; 0 takes the same steps without a penalty, which is what any effect must be compared with.
    kind : "balance" (:class:`~physlab.equations.surface_temperature.EffectiveBalance`), "flux-ratio" (as published), or
        a registered law, see :func:`penalties`.

    Raises
    ------
    FieldError : "balance" without the true fine wind.
    """
    settings = LatentSettings() if settings is None else settings
    steps, device = settings.tuning, model.mean.device
    static, area = fields.static.to(device), fields.area.to(device)
    weights = coarsen(area.expand(fields.grid.shape), fields.factor)[:, :1]
    law = held_law(fields, kind) if weight else None
    with torch.no_grad():
        base = torch.cat([mean for _, mean in _means(model, fields, static)])
        given = torch.cat([model.features(fields.coarse[k : k + 16].to(device), static)
                           for k in range(0, len(fields), 16)])  # fmt: skip
        latents = torch.cat([model.encode(fields.truth[k : k + 16].to(device) - base[k : k + 16])
                             for k in range(0, len(fields), 16)])  # fmt: skip

    def loss(denoiser: Denoiser, at: Tensor, generator: torch.Generator) -> Tensor:
        held = None if law is None else functools.partial(penalty, model, base[at], law, at, weight)
        return denoiser.loss(latents[at], given[at], generator, area=weights, penalty=held)

    model.requires_grad_(False)
    model.denoiser.requires_grad_(True)
    seed = (seed << 8) + 1
    known = {"stage": "tuning", "fields": len(fields), "weight": weight, "kind": kind}
    report = take_steps(model.denoiser, loss, steps, seed, f"lambda {weight:g}", progress, None,
                        drawn(fields, steps, seed), state, known)  # fmt: skip
    model.requires_grad_(True)
    tuned = {**told_of(report, steps), "weight": weight, "kind": kind if weight else "none"}
    model.card["training"] = {**model.card.get("training", {}), "tuning": tuned}
    return model.eval()


def train_in_folder(
    fields: TerrainFields, folder: str | Path, settings: LatentSettings | None = None, seed: int = 0,
    weight: float = 0.0, kind: str = "balance", progress: bool = False,
    device: str | torch.device | None = "cpu", **arguments,
) -> LatentDownscaler:  # fmt: skip
    """A method for fields of one's own, trained stage by stage; what is interrupted goes on where it was.

    Parameters
    ----------
    folder : holds the model after each stage.
    weight, kind : of the penalty in some last steps; 0 for none.
    device : see :func:`physlab.train.devices.choose_device`; under torchrun all processes train together.
    arguments : of :class:`LatentDownscaler`.

    Raises
    ------
    CheckpointError : the folder holds another kind of model, or one of other fields, another seed, penalty or
        length of a stage.
    """
    settings = LatentSettings() if settings is None else settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make_latent(fields, **arguments)
    with processes(device) as here:
        if agreed(Path(folder).exists):
            model = known_in(folder, model, fields, settings, seed, weight, kind)
        model.to(here)
        for stage in STAGES:
            if stage not in model.card.get("training", {}):
                state = state_file(f"latent-{stage}", Path(folder))
                train_latent(model, fields, settings, seed, progress, (stage,), state)
                by_one(lambda: model.save(folder))
        if weight and "tuning" not in model.card["training"]:
            state = state_file("latent-tuning", Path(folder))
            tune_latent(model, fields, weight, kind, settings, seed, progress, state)
            by_one(lambda: model.save(folder))
    return model


def known_in(
    folder: str | Path, model: LatentDownscaler, fields: TerrainFields, settings: LatentSettings, seed: int,
    weight: float, kind: str,
) -> LatentDownscaler:  # fmt: skip
    """The model of a folder, if it is the one that is wanted."""
    known = LatentDownscaler.load(folder)
    took, wanted = known.card.get("training", {}), {"weight": weight, "kind": kind if weight else "none"}
    mine = {**model.arguments, "seed": seed, **wanted, "number of fields": len(fields)}
    theirs = {**known.arguments, "seed": took.get("seed"), **{k: took.get("tuning", wanted)[k] for k in wanted},
              "number of fields": took.get("fields")}  # fmt: skip
    for stage in (s for s in (*STAGES, "tuning") if s in took):
        name = f"length of {stage}"
        mine[name], theirs[name] = getattr(settings, stage).steps, took[stage]["steps"]
    if mine != theirs:
        other = ", ".join(k for k in mine if mine[k] != theirs[k])
        raise CheckpointError(f"{folder} holds a model of another {other}: choose another folder, or remove it")
    return known


Law = Callable[[Tensor, Tensor], Tensor]  # temperature (B, H, W) in K, which times (B,) -> (B,)


def held_law(fields: TerrainFields, kind: str = "balance") -> Law:
    """The law as a function of temperature and time index: about 1 for the truth; or the flux ratio.

    Parameters
    ----------
    kind : "balance", "flux-ratio", or a registered law that takes t and, if it likes, u, v, height and grid.

    Raises
    ------
    FieldError : a law that wants the true fine wind, without it.
    """
    if choose("penalty", kind, penalties()) == "flux-ratio":
        block = 2 * fields.factor
        return lambda t, at: torch.stack(
            [flux_ratio_misfit(x, c, block) for x, c in zip(t, fields.coarse[at, 0].to(t), strict=True)]
        )
    if kind != "balance":
        return _registered_law(fields, kind)
    balance = balance_of(fields)
    return lambda t, at: balance.relative(t, *(x[at].to(t) for x in fields.true_wind()))


def penalties() -> tuple[str, ...]:
    """Names of the laws that members over terrain can be held to."""
    return ("balance", "flux-ratio", *(name for name in laws_of(GIVEN) if "t" in LAWS.specs[name].facts["takes"]))


def _registered_law(fields: TerrainFields, name: str) -> Law:
    """Area-weighted mean square of a law's residual over its mean for the truth."""
    takes = LAWS.specs[name].facts["takes"]
    if {"u", "v"} & set(takes) and fields.wind is None:
        raise FieldError(f"law {name!r} wants the fine wind, but the truth has {fields.drivers[0]} alone")

    def square(t: Tensor, at: Tensor) -> Tensor:
        wind = {} if fields.wind is None else {n: x[at].to(t) for n, x in zip("uv", fields.wind, strict=True)}
        given = {"t": t, **wind, "height": fields.height.to(t), "grid": fields.grid}
        parts = (torch.nan_to_num(part).square() * fields.area.to(t) for part in residual_of(name, given))
        return sum((part.mean((-2, -1)) for part in parts), t.new_zeros(()))

    everything = torch.arange(len(fields))
    size = float(torch.cat([square(fields.truth[k, 0], k) for k in everything.split(16)]).mean())
    if not size > 0:
        raise FieldError(f"law {name!r} leaves nothing in the truth: its penalty has no unit")
    return lambda t, at: square(t, at) / size


def balance_of(fields: TerrainFields) -> EffectiveBalance:
    """The effective balance with the lapse rate and diffusivity of these true fields.

    Raises
    ------
    FieldError : no true fine wind.
    """
    if fields.wind is None:
        raise FieldError(
            f"the balance wants the fine wind, but the truth has {fields.drivers[0]} alone: use the flux ratio, or "
            "pass fine data with the wind as second and third driver"
        )
    return EffectiveBalance.fit(fields.truth[:, 0], *fields.wind, fields.height, fields.grid, fields.factor)


def penalty(
    model: LatentDownscaler, base: Tensor, law: Law, at: Tensor, weight: float, denoised: Tensor, ratio: Tensor
) -> Tensor:
    """(B,) lambda / (1 + r^2) times the law of the temperature that denoised latents stand for.

    Parameters
    ----------
    base : (B, 1, H, W) field of the U-Net, K.  at : (B,) times, for the law.
    denoised : (B, latent, h, w).  ratio : (B,) their noise-to-signal ratios.
    """
    chosen = least(ratio, 2)
    if not len(chosen):  # other processes have the clearer half of the batch
        return ratio.new_zeros(len(ratio))
    temperature = model.field(base[chosen], denoised[chosen])[:, 0]
    with torch.autocast(temperature.device.type, enabled=False):
        held = weight / (1 + ratio[chosen].square()) * law(temperature, at[chosen.cpu()])
    return temperature.new_zeros(len(ratio)).index_add(0, chosen, held)


@torch.no_grad()
def _means(model: LatentDownscaler, fields: TerrainFields, static: Tensor):
    """(start, U of 16 times) in turn."""
    for k in range(0, len(fields), 16):
        yield k, model.regress(fields.coarse[k : k + 16].to(static.device), static)
