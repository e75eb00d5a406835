"""Training of residual latent diffusion: what the law is shown, what learns from it, and what stays."""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn
from torch.nn import functional

from physlab.diffusion import Denoiser, NoiseSchedule
from physlab.downscale.latent import LatentDownscaler
from physlab.downscale.terrain import TerrainFields
from physlab.equations.surface_temperature import residual
from physlab.errors import CheckpointError, FieldError, PhysLabError
from physlab.grid import Grid, coarsen
from physlab.train import latent
from physlab.train.latent import (
    STAGES,
    LatentSettings,
    balance_of,
    held_law,
    make_latent,
    penalty,
    train_in_folder,
    train_latent,
    tune_latent,
)
from physlab.train.steps import Steps, take_steps

SMALL = {"unet": (8, 8), "vae": (8, 8), "levels": (8, 8), "latent": 2, "features": 8}
DRIVERS, STATICS = ("t_low", "u_low", "v_low"), ("elevation", "latitude")
FAST = {"batch": 3, "rate": 3e-3, "precision": "fp32"}
SHORT = LatentSettings(*(Steps(steps=n, **FAST) for n in (3, 3, 3, 3)))


def fronts(times: int = 6, shape: tuple[int, int] = (16, 32)) -> xr.Dataset:
    """Warm spots over Tibet that the wind carries, every six hours."""
    lat, lon = np.linspace(22, 43, shape[0]), np.linspace(70, 115, shape[1])
    y, x = np.meshgrid(lat, lon, indexing="ij")
    from physlab.simulate.surface import orography

    t, u, v = [], [], []
    for k in range(times):
        wind = 1.5 * k
        star = (
            295
            - 0.4 * (y - 30)
            + sum(
                a * np.exp(-(((x - p - wind) % 45 - 20) ** 2 / 10 + (y - q) ** 2 / 6))
                for a, p, q in ((6, 60, 28), (-5, 75, 36), (4, 90, 32))
            )
        )
        t.append(star - 6.5e-3 * orography(y, x))
        u.append(6 + 3 * np.sin(np.deg2rad(8 * x) + k))
        v.append(2 * np.cos(np.deg2rad(11 * x + 5 * y) - k))
    coords = {"time": np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h"),
              "latitude": lat, "longitude": lon}  # fmt: skip
    dims = ("time", "latitude", "longitude")
    return xr.Dataset({n: (dims, np.float32(a)) for n, a in zip(DRIVERS, (t, u, v), strict=True)}, coords)


@pytest.fixture(scope="module")
def fields() -> TerrainFields:
    return TerrainFields.of(fronts(), "t_low", DRIVERS, 4, statics=STATICS)


def build(fields: TerrainFields, **options) -> LatentDownscaler:
    torch.manual_seed(0)
    return make_latent(fields, **{**SMALL, **options})


@pytest.fixture(scope="module")
def trained(fields) -> LatentDownscaler:
    """All stages, with enough steps that each knows something."""
    steps = [Steps(steps=n, batch=6, rate=r, precision="fp32") for n, r in ((250, 5e-3), (250, 1e-2), (250, 5e-3))]
    return train_latent(build(fields), fields, LatentSettings(*steps, beta=1e-3), seed=1)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


# --- the law sees the temperature -------------------------------------------------------------------------------------
class Blocks(nn.Module):
    """An autoencoder that loses nothing: the points of a coarse cell as channels."""

    def encode(self, x: Tensor) -> Tensor:
        return functional.pixel_unshuffle(x, 4)

    def decode(self, z: Tensor) -> Tensor:
        return functional.pixel_shuffle(z, 4)


class Velocity(nn.Module):
    """The velocity of known latents, from the noisy ones and their level alone."""

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.known = known

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        r = (4 * level).exp()[:, None, None, None]
        alpha, sigma = 1 / (1 + r.square()).sqrt(), r / (1 + r.square()).sqrt()
        return (alpha * x - self.known) / sigma


WIND, KAPPA = 8.0, 2e5  # m s-1, m2 s-1


def exact(n: int):
    """A steady balance over two hills: T_* = 280 + 5 sin(l y) exp(a x) with WIND a = KAPPA (a^2 - l^2)."""
    size = 4e5
    grid = Grid.plane(size / n, size / n, (n, n), periodic=False)
    y, x = torch.meshgrid(torch.arange(n).double() * size / n, torch.arange(n).double() * size / n, indexing="ij")
    l = 2 * math.pi / size
    a = (WIND - math.sqrt(WIND**2 + 4 * KAPPA**2 * l**2)) / (2 * KAPPA)
    height = 800 * torch.exp(-((x - 1e5) ** 2 + (y - 2e5) ** 2) / 6e4**2) + 500 * torch.sin(l * x).square()
    t = 280 + 5 * torch.sin(l * y) * torch.exp(a * x) - 6.5e-3 * height
    return grid, t, torch.full_like(t, WIND), torch.zeros_like(t), height


def knowing(t: Tensor) -> tuple[LatentDownscaler, Tensor, Tensor]:
    """A model whose denoiser knows the latents of the temperature (H, W); U and the latents."""
    torch.manual_seed(0)
    model = LatentDownscaler("t", ("t",), (), 4, np.arange(float(t.shape[0])), **SMALL).double()
    model.rho.fill_(1.7)
    model.vae = Blocks()
    base = t + torch.randn(t.shape, generator=torch.Generator().manual_seed(1), dtype=t.dtype)
    latents = model.encode((t - base)[None, None])
    model.denoiser = Denoiser(Velocity(latents), NoiseSchedule("cosine"), "v")
    return model, base[None, None], latents


def shown(model: LatentDownscaler, base: Tensor, latents: Tensor, seed: int) -> tuple[Tensor, float]:
    """What the law is shown in a step, and the loss without its share."""
    seen = []

    def law(t: Tensor, at: Tensor) -> Tensor:
        seen.append(t)
        return torch.zeros(len(t), dtype=t.dtype)

    held = functools.partial(penalty, model, base, law, torch.zeros(len(base), dtype=torch.long), 1.0)
    loss = model.denoiser.loss(latents, None, torch.Generator().manual_seed(seed), penalty=held)
    return seen[0], float(loss)


def test_the_law_sees_the_temperature_at_every_noise_level() -> None:
    grid, t, u, v, height = exact(24)
    model, base, latents = knowing(t)
    ratios = []
    for seed in range(16):
        field, loss = shown(model, base, latents, seed)
        assert field.shape == (1, 24, 24) and (field[0] - t).abs().max() < 1e-10 and loss < 1e-18
        drawn = model.denoiser.schedule.draw_times(1, torch.Generator().manual_seed(seed))
        ratios.append(float(model.denoiser.schedule.ratio(drawn)))
    assert min(ratios) < 0.15 and max(ratios) > 5  # little noise and much
    x = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0), dtype=t.dtype)
    for time in (1e-3, 0.1, 0.5, 0.9, 1.0):
        seen = model.field(base, model.denoiser(model.denoiser.schedule.add_noise(latents, time, x), time))
        assert (seen[0, 0] - t).abs().max() < 1e-9


def test_residual_of_what_the_law_sees_falls_with_the_order_and_that_of_the_published_mistake_does_not() -> None:
    right, wrong = [], []
    for n in (24, 48, 96):
        grid, t, u, v, height = exact(n)
        model, base, latents = knowing(t)
        left = functools.partial(residual, u=u, v=v, height=height, grid=grid, diffusivity=KAPPA)
        right.append(float(left(shown(model, base, latents, 3)[0][0]).abs().max()))
        times = model.denoiser.schedule.draw_times(1, torch.Generator().manual_seed(3))
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0), dtype=t.dtype)
        x = model.denoiser.schedule.add_noise(latents, times, noise)
        velocity = model.denoiser.call(x, times, None)
        published = model.rho * model.vae.decode(velocity)  # not the clean latents, and U is not added
        wrong.append(float(left(published[0, 0]).abs().max()))
    assert math.log2(right[1] / right[2]) > 1.8
    assert all(w > 1000 * r for w, r in zip(wrong, right, strict=True))
    assert wrong[0] < wrong[1] < wrong[2]


@pytest.mark.slow
def test_the_penalty_fades_with_the_noise_and_asks_the_clearer_half(fields, trained) -> None:
    ratio = torch.tensor([3.0, 0.1, 2.0, 0.5, 9.0])
    at, seen = torch.tensor([0, 1, 2, 3, 4]), []

    def law(t: Tensor, at: Tensor) -> Tensor:
        seen.append((t, at.tolist()))
        return torch.full((len(t),), 7.0)

    base, z = fields.truth[:5], torch.randn(5, 2, 4, 8)
    held = penalty(trained, base, law, at, 2.0, z, ratio)
    expected = torch.zeros(5)
    expected[1], expected[3] = 14 / (1 + 0.1**2), 14 / (1 + 0.5**2)
    assert torch.allclose(held, expected) and seen[0][1] == [1, 3]
    assert torch.allclose(seen[0][0], trained.field(base, z)[[1, 3], 0])
    assert penalty(trained, base[:1], law, at[:1], 2.0, z[:1], ratio[:1]).item() == pytest.approx(1.4)


def test_the_law_holds_for_the_truth_at_its_own_times(fields) -> None:
    law, at = held_law(fields), torch.tensor([4, 0, 2])
    truth = law(fields.truth[at, 0], at)
    assert float(law(fields.truth[:, 0], torch.arange(6)).mean()) == pytest.approx(1.0, rel=1e-3)
    assert (law(fields.truth[at, 0], torch.tensor([0, 2, 4])) != truth).all()  # the wind of another time
    blurred = functional.interpolate(fields.coarse[at, :1], scale_factor=4, mode="bilinear")[:, 0]
    ratio = held_law(fields, "flux-ratio")
    assert torch.allclose(ratio(blurred, at), torch.zeros(3)) and (ratio(fields.truth[at, 0], at) > 0.01).all()
    alone = replace(fields, drivers=("t_low",), fine=fields.truth, coarse=fields.coarse[:, :1])
    with pytest.raises(FieldError, match="the truth has t_low alone: use the flux ratio"):
        balance_of(alone)
    assert ratio(fields.truth[at, 0], at).shape == held_law(alone, "flux-ratio")(fields.truth[at, 0], at).shape
    with pytest.raises(PhysLabError, match="penalty 'energy'"):
        held_law(fields, "energy")


# --- tuning -----------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["balance", "flux-ratio"])
def test_tuning_moves_the_denoiser_only(kind, fields, trained, monkeypatch) -> None:
    model, gradients = copy.deepcopy(trained), []
    before, loss = weights(model), Denoiser.loss

    def watched(self, *args, **options):
        value = loss(self, *args, **options)
        share = options["penalty"].func is penalty
        gradients.append((share, {k for k, p in model.named_parameters() if p.requires_grad}))
        return value

    monkeypatch.setattr(Denoiser, "loss", watched)
    tune_latent(model, fields, 3.0, kind, SHORT, seed=2)
    assert len(gradients) == 3
    for share, learning in gradients:
        assert share and learning == {k for k, _ in model.named_parameters() if k.startswith("denoiser.")}
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) != name.startswith("denoiser."), name
    assert all(p.grad is None for k, p in model.named_parameters() if not k.startswith("denoiser."))
    assert all(p.requires_grad for p in model.parameters()) and not model.training
    card = model.card["training"]["tuning"]
    assert card["weight"] == 3.0 and card["kind"] == kind and card["steps"] == 3 and "unet" in model.card["training"]
    assert "tuning" not in trained.card["training"]


@pytest.mark.slow
def test_no_weight_takes_the_same_steps_without_a_penalty(fields, trained) -> None:
    def tuned(weight: float, kind: str = "balance") -> dict[str, Tensor]:
        return weights(tune_latent(copy.deepcopy(trained), fields, weight, kind, SHORT, seed=2))

    model, none = copy.deepcopy(trained), tuned(0.0)
    area = coarsen(fields.area.expand(fields.grid.shape), 4)[:, :1]
    with torch.no_grad():
        base = model.regress(fields.coarse, fields.static)
        z, given = model.encode(fields.truth - base), model.features(fields.coarse, fields.static)

    def loss(denoiser: Denoiser, generator: torch.Generator) -> Tensor:
        at = torch.randint(6, (3,), generator=generator)
        return denoiser.loss(z[at], given[at], generator, area=area)

    take_steps(model.denoiser, loss, SHORT.tuning, (2 << 8) + 1)
    assert all(torch.equal(v, none[k]) for k, v in model.state_dict().items())
    for kind in ("balance", "flux-ratio"):  # and with one they draw the same
        tiny, large = tuned(1e-30, kind), tuned(1.0, kind)
        assert all(torch.equal(v, none[k]) for k, v in tiny.items())
        assert any(not torch.equal(v, none[k]) for k, v in large.items())


@pytest.mark.slow
def test_a_large_weight_lowers_the_residual(fields, trained) -> None:
    """Of the denoised fields, at noise that the training did not draw."""
    settings = replace(SHORT, tuning=Steps(steps=60, batch=6, rate=2e-3, ema=0.9, precision="fp32"))
    law, left = held_law(fields), {}
    for weight in (0.0, 100.0):
        model = tune_latent(copy.deepcopy(trained), fields, weight, settings=settings)
        with torch.no_grad():
            base = model.regress(fields.coarse, fields.static)
            z, given = model.encode(fields.truth - base), model.features(fields.coarse, fields.static)
            noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(77))
            seen = [model.field(base, model.denoiser(model.denoiser.schedule.add_noise(z, t, noise), t, given))[:, 0]
                    for t in (0.25, 0.4, 0.55)]  # fmt: skip
            left[weight] = float(torch.stack([law(x, torch.arange(6)) for x in seen]).mean())
    assert left[100.0] < 0.9 * left[0.0]


# --- the stages -------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_each_stage_learns(fields, trained) -> None:
    took = trained.card["training"]
    assert took["fields"] == 6 and took["seed"] == 1 and not trained.training
    share = {"unet": 0.3, "vae": 0.8, "denoiser": 0.95}
    for stage in STAGES:
        losses = [h["loss"] for h in took[stage]["history"]]
        assert [h["step"] for h in took[stage]["history"]] == [50, 100, 150, 200, 250]
        assert losses[-1] < share[stage] * losses[0], (stage, losses)
    with torch.no_grad():
        base = trained.regress(fields.coarse, fields.static)
        missed = fields.truth - base
        area = fields.area
        error, plain = (
            float((x.square() * area).mean().sqrt())
            for x in (missed, fields.truth - trained.upsample(fields.coarse[:, :1]))
        )
        z = trained.encode(missed)
        kept = trained.field(base, z) - fields.truth
    assert error < 0.6 * plain and float(trained.detail) == pytest.approx(plain, rel=1e-4)
    assert float(trained.rho) == pytest.approx(error, rel=1e-4)
    assert z.mean((0, 2, 3)).abs().max() < 1e-3
    assert torch.allclose(z.std((0, 2, 3), correction=0), torch.ones(2), atol=1e-3)
    assert float((kept.square() * area).mean().sqrt()) < 0.8 * error


@pytest.mark.slow
def test_members_spread_as_far_as_they_err(fields, trained) -> None:
    """On what it has learned, within a factor: neither all alike nor noise."""
    made = trained.sample(fields.coarse, None, 8, torch.Generator().manual_seed(0), fields.static).transpose(0, 1)
    error = (made.mean(1) - fields.truth[:, 0]).square().mean().sqrt()
    spread = (made.var(1).mean() * 9 / 8).sqrt()
    assert 0.2 < float(spread / error) < 3
    plain = (fields.truth - trained.upsample(fields.coarse[:, :1])).square().mean().sqrt()
    assert error < plain


def test_stages_leave_alone_what_came_before(fields) -> None:
    model = build(fields)
    parts = {"unet": ("unet.", "rho"), "vae": ("vae.",), "denoiser": ("denoiser.", "conditioner.")}
    for stage in STAGES:
        before = weights(model)
        train_latent(model, fields, SHORT, stages=(stage,))
        changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
        assert all(any(name.startswith(part) for name in changed) for part in parts[stage])
        assert all(name.startswith(parts[stage]) for name in changed)
        assert all(p.requires_grad for p in model.parameters())
    once = train_latent(build(fields), fields, SHORT)
    assert all(torch.equal(a, b) for a, b in zip(once.state_dict().values(), model.state_dict().values(), strict=True))
    other = train_latent(build(fields), fields, SHORT, seed=1)
    assert not torch.equal(other.unet.head.weight, once.unet.head.weight)
    again = train_latent(copy.deepcopy(once), fields, SHORT, stages=("vae",))  # a calibrated one may go on
    assert again.vae.calibrated


def test_units_are_those_of_the_training_fields(fields) -> None:
    model = build(fields)
    area = coarsen(fields.area.expand(fields.grid.shape), 4)[:, :1]
    y = model.standardised(fields.coarse)
    assert (y * area).mean((0, 2, 3)).abs().max() < 1e-4
    assert torch.allclose((y.square() * area).mean((0, 2, 3)), torch.ones(3), atol=1e-3)
    assert model.card == {"coarsening": True} and model.periodic is False and model.domain is None
    assert model.statics == STATICS and model.drivers == DRIVERS and model.factor == 4 and model.static is None
    bound = make_latent(fields, bound=True, **SMALL)
    assert bound.domain == (4, 8) and bound.static is None
    own = make_latent(replace(fields, own=True, consistent=False), **SMALL)
    assert own.domain == (4, 8) and torch.equal(own.static, fields.static) and own.card == {"coarsening": False}


def test_settings_scale_together() -> None:
    made = LatentSettings().scaled(300)
    assert [getattr(made, s).steps for s in (*STAGES, "tuning")] == [100, 100, 300, 38]
    assert made.denoiser == replace(LatentSettings().denoiser, steps=300) and made.beta == LatentSettings().beta
    assert min(getattr(LatentSettings().scaled(1), s).steps for s in (*STAGES, "tuning")) == 1


# --- in a folder ------------------------------------------------------------------------------------------------------
def test_an_interrupted_training_goes_on_at_its_stage(fields, tmp_path, monkeypatch) -> None:
    whole = train_in_folder(fields, tmp_path / "whole", SHORT, seed=3, weight=1.0, **SMALL)
    assert set(whole.card["training"]) == {"fields", "seed", *STAGES, "tuning"}
    run = latent.train_latent

    def interrupted(model, fields, settings, seed, progress, stages, state):
        if stages == ("denoiser",):
            raise KeyboardInterrupt
        return run(model, fields, settings, seed, progress, stages, state)

    monkeypatch.setattr(latent, "train_latent", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_in_folder(fields, tmp_path / "part", SHORT, seed=3, weight=1.0, **SMALL)
    seen = []
    monkeypatch.setattr(latent, "train_latent", lambda *a: seen.append(a[-2]) or run(*a))
    later = train_in_folder(fields, tmp_path / "part", SHORT, seed=3, weight=1.0, **SMALL)
    assert seen == [("denoiser",)]
    assert all(torch.equal(v, whole.state_dict()[k]) for k, v in later.state_dict().items())
    again = train_in_folder(fields, tmp_path / "part", SHORT, seed=3, weight=1.0, **SMALL)
    assert seen == [("denoiser",)] and torch.equal(again.rho, whole.rho)
    for wanted, words in (({"seed": 4}, "another seed"), ({"seed": 3, "features": 4}, "another features")):
        with pytest.raises(CheckpointError, match=words):
            train_in_folder(fields, tmp_path / "part", SHORT, weight=1.0, **{**SMALL, **wanted})
    others = ((2.0, "balance", "weight"), (1.0, "flux-ratio", "kind"), (0.0, "balance", "weight, kind"))
    for weight, kind, words in others:
        with pytest.raises(CheckpointError, match=f"a model of another {words}: choose another folder"):
            train_in_folder(fields, tmp_path / "part", SHORT, 3, weight, kind, **SMALL)
    for wanted, words in ((replace(SHORT, unet=replace(SHORT.unet, steps=9)), "length of unet"),
                          (replace(SHORT, tuning=replace(SHORT.tuning, steps=9)), "length of tuning")):  # fmt: skip
        with pytest.raises(CheckpointError, match=f"a model of another {words}: choose another folder"):
            train_in_folder(fields, tmp_path / "part", wanted, seed=3, weight=1.0, **SMALL)
    build(fields).save(tmp_path / "bare")
    with pytest.raises(CheckpointError, match="bare holds a model of another seed"):
        train_in_folder(fields, tmp_path / "bare", SHORT, seed=3, **SMALL)
