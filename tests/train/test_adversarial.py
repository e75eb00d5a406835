"""The adversarial stage: the judge learns, the soft penalty reaches the generator, noise makes an ensemble, a restart
changes nothing."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from physlab.downscale import GAN
from physlab.errors import PhysLabError
from physlab.train import Preset, Settings, evaluate, fit, make_model, predict_members
from physlab.train.adversarial import Adversarial, fit_adversarial
from physlab.train.features import learn_features
from physlab.train.pixels import Pixels
from physlab.train.settings import Steps

SIZE = {"channels": 16, "blocks": 1, "upsample": "shuffle", "skip": "bicubic"}
SETTINGS = Settings(
    steps=60, batch=8, rate=5e-3, crop=8, flips="y", validate_every=30, precision="fp32", loss="crps", ema=0.9
)
PLAN = Adversarial(steps=20, channels=8, weight=1e-2, rate_d=2e-3)


def generator_of(recipe, pairs, constraint="add", seed=0):
    return make_model(recipe, constraint, seed, Preset("NoiseResNet", SIZE, SETTINGS), pairs, "toy")[0]


def test_noise_makes_distinct_members_that_conserve(recipe, pairs) -> None:
    model = generator_of(recipe, pairs)
    assert isinstance(model, GAN)
    fit(model, pairs, SETTINGS)
    members = predict_members(model, pairs, "test", members=6)
    assert members.shape[0] == 6 and float(members.std(0).mean()) > 0.05
    torch.testing.assert_close(predict_members(model, pairs, "test", members=6), members)
    other = predict_members(model, pairs, "test", members=6, seed=1)
    assert float((other - members).abs().mean()) > 0.05
    scores = evaluate(model, pairs, "test")
    assert scores["conservation_error_relative"] < 1e-6
    assert scores["rmse"] < scores["member_rmse"] and scores["crps"] < scores["mae"]


@pytest.mark.slow
def test_mean_square_error_teaches_to_ignore_the_noise_and_crps_does_not(recipe, pairs) -> None:
    ratio = {}
    for loss in ("mse", "crps"):
        model = generator_of(recipe, pairs)
        fit(model, pairs, dataclasses.replace(SETTINGS, loss=loss, steps=200, validate_every=200))
        ratio[loss] = evaluate(model, pairs, "val")["spread_skill"]
    assert ratio["mse"] < 0.5 * ratio["crps"] and 0.5 < ratio["crps"] < 1.5


@pytest.mark.slow
def test_the_judge_learns(recipe, pairs) -> None:
    model = generator_of(recipe, pairs)
    plan = dataclasses.replace(PLAN, steps=120, rate=1e-5, rate_d=5e-3)  # a generator that hardly moves
    report = fit_adversarial(model, pairs, SETTINGS, plan)
    assert report.history[-1]["d_right"] > 0.75 > 0.5
    assert report.history[-1]["d_loss"] < report.history[0]["d_loss"]


@pytest.mark.parametrize("kind", ["Discriminator", "SRGANDiscriminator"])
def test_other_judges_and_the_relativistic_loss(recipe, pairs, kind) -> None:
    model = generator_of(recipe, pairs)
    plan = dataclasses.replace(PLAN, steps=2, discriminator=kind, conditional=False, loss="relativistic")
    report = fit_adversarial(model, pairs, dataclasses.replace(SETTINGS, crop=None, flips=""), plan)
    assert report.steps == 2 and torch.isfinite(torch.tensor(report.history[-1]["d_loss"]))


def test_soft_penalty_is_in_the_generators_loss(recipe, pairs) -> None:
    """The course report's "GAN + soft" never called its penalty; here the gradient changes."""
    x, y = pairs.coarse["train"][:4], pairs.fine["train"][:4]
    gradients = []
    for constraint in ("none", "soft"):
        model = generator_of(recipe, pairs, constraint)
        error = Pixels(model, pairs, SETTINGS)
        loss = error.loss(x / model.scale, y / model.scale, pairs.weights, torch.Generator().manual_seed(0))
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]))
    assert torch.cosine_similarity(*gradients, 0) < 0.99


@pytest.fixture
def quickly(monkeypatch) -> None:
    """Features that learn for a few steps only."""
    monkeypatch.setattr("physlab.train.features.STEPS", Steps(steps=3, batch=4))


@pytest.mark.parametrize("features", [0.0, 0.3])
def test_an_interrupted_stage_ends_with_the_same_weights(recipe, pairs, tmp_path, features, quickly) -> None:
    settings = dataclasses.replace(SETTINGS, validate_every=5)
    plan = dataclasses.replace(PLAN, steps=10, features=features)
    straight = generator_of(recipe, pairs)
    fit_adversarial(straight, pairs, settings, plan, seed=3)
    state = tmp_path / "state.pt"
    for stop in (3, 7):  # between two validations, with a step of the discriminator that pays its penalty ahead, or not
        fit_adversarial(generator_of(recipe, pairs), pairs, settings, plan, seed=3, state=state, stop_after=stop)
        assert state.exists()
    resumed = generator_of(recipe, pairs)
    fit_adversarial(resumed, pairs, settings, plan, seed=3, state=state)
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not state.exists()


def test_learned_features_tell_structure_from_noise() -> None:
    """The denoiser of waves beats the best factor for each point alone, s^2 / (s^2 + 1) (Wiener), on fields that it has
    not seen; its code has unit spread, and tells a wave from the same wave weakened or turned over."""
    x, generator = torch.arange(16.0), torch.Generator().manual_seed(0)
    phase = 6.28 * torch.rand((96, 2, 1, 1), generator=generator)
    waves = torch.sin(x[:, None] / 1.5 + phase[:, 0]) + torch.sin(x / 2.0 + phase[:, 1])
    features = learn_features(waves[:64], settings=Steps(steps=120, batch=16, rate=1e-2))
    unseen, noise = waves[64:], torch.randn((32, 16, 16), generator=generator)
    variance = float(unseen.square().mean())
    assert float(features.loss(unseen, noise)) < 0.7 * variance / (variance + 1)
    assert not any(p.requires_grad for p in features.parameters())
    code = features(waves[:64])
    torch.testing.assert_close(code.std((0, 2, 3)), torch.ones(code.shape[1]), atol=1e-4, rtol=1e-4)
    for factor in (0.3, -1.0):
        assert float((features(factor * unseen) - features(unseen)).square().mean()) > 0.2


def test_the_content_loss_reaches_the_generator(recipe, pairs, quickly) -> None:
    plan = dataclasses.replace(PLAN, steps=4, features=0.5)
    made = {}
    for name, chosen in (("with", plan), ("without", dataclasses.replace(plan, features=0.0))):
        model = generator_of(recipe, pairs)
        report = fit_adversarial(model, pairs, dataclasses.replace(SETTINGS, validate_every=4), chosen)
        made[name] = torch.cat([p.detach().flatten() for p in model.parameters()])
        assert ("content" in report.history[-1]) == (name == "with")
    assert float((made["with"] - made["without"]).abs().max()) > 1e-4


def test_settings_are_checked(recipe, pairs) -> None:
    with pytest.raises(PhysLabError, match="choose logistic or relativistic"):
        Adversarial(loss="hinge")
    with pytest.raises(PhysLabError, match="PatchDiscriminator"):
        Adversarial(discriminator="Nobody")
    with pytest.raises(PhysLabError, match="weight of the features"):
        Adversarial(features=-1.0)
    with pytest.raises(PhysLabError, match="water budget"):
        fit_adversarial(
            generator_of(recipe, pairs), pairs, dataclasses.replace(SETTINGS, crop=None, flips=""),
            dataclasses.replace(PLAN, physics=True),
        )  # fmt: skip
    with pytest.raises(PhysLabError, match="needs a network with noise"):
        model = make_model(recipe, "none", 0, recipe.presets["cpu"], pairs)[0]
        fit(model, pairs, dataclasses.replace(SETTINGS, loss="crps"))
