"""The coordinate network: its size and its derivatives, against autograd."""

from __future__ import annotations

import pytest
import torch

from physlab.errors import PhysLabError
from physlab.nn import count_parameters
from physlab.nn.coordinate import ACTIVATIONS, CoordinateNetwork


@pytest.mark.parametrize(("width", "parameters"), [(87, 54_644), (100, 71_908)])
def test_published_sizes(width: int, parameters: int) -> None:
    for activation in ("sine", "siren"):
        assert count_parameters(CoordinateNetwork(8, width=width, activation=activation)) == parameters


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_jet_is_what_autograd_finds(activation: str) -> None:
    network = CoordinateNetwork(4, width=16, depth=3, activation=activation, omega=(2.0, 3.0, 5.0)).double()
    z = (2 * torch.rand(7, 3, dtype=torch.float64) - 1).requires_grad_(True)
    jet, value = network.jet(z), network(z)
    assert torch.allclose(jet.value, value, rtol=1e-12)
    for v in range(4):
        slope = torch.autograd.grad(value[:, v].sum(), z, create_graph=True)[0]
        assert torch.allclose(jet.first[..., v], slope.T, rtol=1e-10)
        for axis in range(3):
            bend = torch.autograd.grad(slope[:, axis].sum(), z, retain_graph=True)[0][:, axis]
            assert torch.allclose(jet.second[axis, :, v], bend, rtol=1e-9, atol=1e-12)


def test_gradients_reach_every_weight_through_the_derivatives() -> None:
    network = CoordinateNetwork(2, width=8, depth=2)
    network.jet(torch.rand(5, 3)).second.square().sum().backward()
    weights = [layer.weight.grad for layer in network.layers]
    assert all(bool(g.abs().max() > 0) for g in weights)


def test_seeds_decide_the_weights_and_nothing_else() -> None:
    before = torch.get_rng_state()
    a, b, c = (CoordinateNetwork(3, width=8, depth=2, seed=seed).layers[1].weight for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(before, torch.get_rng_state())


def test_wrong_arguments() -> None:
    with pytest.raises(PhysLabError, match="sine, siren, fourier"):
        CoordinateNetwork(3, activation="relu")
    with pytest.raises(PhysLabError, match="at least 1"):
        CoordinateNetwork(3, depth=0)
