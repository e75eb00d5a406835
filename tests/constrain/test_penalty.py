"""The soft constraint: in the loss, with an effect."""

from __future__ import annotations

import pytest
import torch

from physlab.constrain import CONSTRAINTS, LAYERS, conservation_penalty, layer_name, soft_loss
from physlab.errors import CoarseningError, PhysLabError
from physlab.grid import coarsen, refine


def test_penalty_is_the_mean_square_of_the_block_error() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 1, 4, 5, generator=generator, dtype=torch.float64)
    error = torch.randn(3, 1, 4, 5, generator=generator, dtype=torch.float64)
    weights = torch.linspace(0.1, 1.0, 8, dtype=torch.float64)[:, None]
    noise = torch.randn(3, 1, 8, 10, generator=generator, dtype=torch.float64)
    noise = noise - refine(coarsen(noise, 2, weights), 2)  # within the blocks: the penalty must not see it
    penalty = conservation_penalty(refine(coarse + error, 2) + noise, coarse, 2, weights)
    torch.testing.assert_close(penalty, error.square().mean())
    assert conservation_penalty(refine(coarse, 2), coarse, 2) < 1e-30


def test_gradient_pulls_towards_the_coarse_value_alone() -> None:
    fine = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    conservation_penalty(fine, torch.tensor([[5.0]]), 2).backward()
    torch.testing.assert_close(fine.grad, torch.full((2, 2), 2 * (2.5 - 5.0) / 4))


def test_soft_loss_shares() -> None:
    mse, penalty = torch.tensor(2.0), torch.tensor(10.0)
    assert soft_loss(mse, penalty) == pytest.approx(0.99 * 10 + 0.01 * 2)
    assert soft_loss(mse, penalty, 0.0) == mse and soft_loss(mse, penalty, 1.0) == penalty
    with pytest.raises(PhysLabError, match="from 0 to 1"):
        soft_loss(mse, penalty, 1.5)


def test_names() -> None:
    assert layer_name("soft") == "none" and all(layer_name(name) == name for name in LAYERS)
    assert set(CONSTRAINTS) == {*LAYERS, "soft"}
    with pytest.raises(PhysLabError, match="choose one of"):
        layer_name("hard")
    with pytest.raises(CoarseningError):
        conservation_penalty(torch.ones(4, 4), torch.ones(1, 1), 2)
