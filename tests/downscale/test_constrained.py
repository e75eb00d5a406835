"""A constraint on a finished method: exact block means, and the same as the interpolation that holds the layer."""

from __future__ import annotations

import pytest
import torch

from physlab.downscale import Constrained, Interpolate
from physlab.grid import coarsen


def field(factor: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    coarse = 20.0 * torch.rand(3, 1, 8, 12, generator=generator) + 1.0
    weights = torch.linspace(0.4, 1.0, 8 * factor)[:, None].expand(8 * factor, 12 * factor)
    return coarse, weights


@pytest.mark.parametrize("constraint", ["add", "scaled_add", "mult", "softmax"])
@pytest.mark.parametrize("method", ["bicubic", "nearest"])
def test_block_means_are_those_of_the_input(method, constraint):
    coarse, weights = field()
    options = {"bounds": (0.0, 40.0)} if constraint == "scaled_add" else {}
    fine = Constrained(Interpolate(method, 4), constraint, **options).predict(coarse, weights)
    assert (coarsen(fine, 4, weights) - coarse).abs().max() < 1e-6 * coarse.max()
    assert constraint not in ("mult", "softmax") or fine.min() >= 0


@pytest.mark.parametrize("constraint", ["add", "mult", "softmax"])
def test_agrees_with_the_interpolation_that_holds_the_layer(constraint):
    coarse, weights = field()
    after = Constrained(Interpolate("bicubic", 4), constraint).predict(coarse, weights)
    torch.testing.assert_close(after, Interpolate("bicubic", 4, constraint).predict(coarse, weights))


def test_scale_changes_the_units_of_the_options_only():
    coarse, weights = field()
    physical = Constrained(Interpolate("bicubic", 4), "scaled_add", bounds=(0.0, 40.0)).predict(coarse, weights)
    scaled = Constrained(Interpolate("bicubic", 4), "scaled_add", scale=40.0, bounds=(0.0, 1.0)).predict(
        coarse, weights
    )
    torch.testing.assert_close(physical, scaled, rtol=1e-5, atol=1e-5)


def test_a_finished_constrained_field_is_left_alone():
    coarse, weights = field()
    done = Interpolate("bicubic", 4, "add").predict(coarse, weights)
    method = Constrained(Interpolate("bicubic", 4), "add")
    torch.testing.assert_close(method.constrain(done, coarse, weights), done, rtol=0, atol=1e-5)
