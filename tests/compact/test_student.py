"""Distillation is plain training on the blend of truth and teacher: the same gradients, one loop."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from physlab.compact import blended, distill
from physlab.errors import PhysLabError
from physlab.grid import coarsening_residual
from physlab.nn import CompactResNet, count_parameters
from physlab.train import Settings, evaluate, fit

SETTINGS = Settings(steps=80, batch=8, rate=1e-2, flips="xy", validate_every=20, precision="fp32")
FRAME = {"skip": "bicubic", "shift": 1.0, "spread": 0.9, "gain": 0.2}


def student(seed: int = 0, channels: int = 4) -> CompactResNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CompactResNet(2, channels, 1, **FRAME)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_blend_has_the_gradient_of_the_weighted_sum(share, maker, pairs) -> None:
    teacher, pupil = maker("CompactResNet", "add", channels=8, blocks=1), maker("CompactResNet", "add", seed=5)
    x, w = pairs.coarse["train"][:6], pairs.weights
    truth, taught = pairs.fine["train"][:6], teacher.predict(x, w)
    blend = blended(teacher, pairs, share).fine["train"][:6]
    torch.testing.assert_close(blend, (1 - share) * truth + share * taught)
    assert share == 0 or float((blend - truth).abs().max()) > 0.1

    def gradient(loss) -> torch.Tensor:
        fine = pupil(x / pupil.scale, w) * pupil.scale
        value = loss(fine)
        return value.detach(), torch.cat([g.flatten() for g in torch.autograd.grad(value, list(pupil.parameters()))])

    total, expected = gradient(
        lambda y: (1 - share) * (y - truth).square().mean() + share * (y - taught).square().mean()
    )
    single, actual = gradient(lambda y: (y - blend).square().mean())
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    constant = share * (1 - share) * (truth - taught).square().mean()
    torch.testing.assert_close(total, single + constant, rtol=1e-5, atol=1e-5)


def test_the_blend_obeys_the_law_and_leaves_the_rest(maker, pairs) -> None:
    teacher = maker("CompactResNet", "softmax", channels=8, blocks=1)
    data = blended(teacher, pairs, 0.5)
    residual = coarsening_residual(data.fine["train"], data.coarse["train"], 2, pairs.weights)
    assert float(residual.abs().max()) < 1e-4
    assert data.fine["val"] is pairs.fine["val"] and data.coarse is pairs.coarse
    assert len({data.data_hash, pairs.data_hash, blended(teacher, pairs, 0.4).data_hash}) == 3
    assert blended(teacher, pairs, 0.0) is pairs


def test_share_zero_is_plain_training(maker, pairs) -> None:
    settings = dataclasses.replace(SETTINGS, steps=4, validate_every=2)
    teacher = maker("CompactResNet", "add", channels=8, blocks=1)
    plain = type(teacher)(student(), "add", teacher.scale)
    fit(plain, pairs, settings, seed=3)
    taught = [distill(teacher, student(), pairs, settings, seed=3, share=share)[0] for share in (0.0, 0.5)]
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (plain, *taught)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_a_student_learns_from_its_teacher(maker, pairs) -> None:
    teacher = maker("CompactResNet", "add", channels=16, blocks=1, seed=1)
    teacher.network = student(1, channels=16)
    fit(teacher, pairs, dataclasses.replace(SETTINGS, steps=120, validate_every=40), seed=0)
    small = student(2)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    pupil, report = distill(teacher.eval(), small, pairs, SETTINGS, seed=0, share=0.5, name="pupil")
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert count_parameters(pupil.network) < 0.2 * count_parameters(teacher.network)
    assert (pupil.constraint, pupil.scale, pupil.name, pupil.training) == ("add", teacher.scale, "pupil", False)
    untrained = type(pupil)(student(2), "add", pupil.scale)
    scores = [evaluate(model, pairs, "val")["rmse"] for model in (teacher, pupil, untrained)]
    assert scores[0] < scores[1] < 0.97 * scores[2]
    assert report.best_rmse == pytest.approx(scores[1], rel=1e-4), "validated on the truth"


def test_mismatches_are_refused(maker, pairs) -> None:
    teacher = maker("CompactResNet", "add", channels=8, blocks=1)
    with pytest.raises(PhysLabError, match="from 0"):
        blended(teacher, pairs, 1.5)
    with pytest.raises(PhysLabError, match="needs loss='mse'"):
        distill(teacher, student(), pairs, dataclasses.replace(SETTINGS, loss="mae"))
    with pytest.raises(PhysLabError, match="student x4"):
        distill(teacher, CompactResNet(4, 4, 1), pairs, SETTINGS)
    with pytest.raises(PhysLabError, match="teacher is for tcw x4"):
        blended(maker("CompactResNet", "add", factor=4, channels=8, blocks=1), pairs, 0.5)
