"""The networks: their sizes, what they are before training, what they refuse."""

from __future__ import annotations

import pytest
import torch

from physlab.constrain import make_constraint
from physlab.errors import FieldError, PhysLabError
from physlab.grid import coarsen, refine
from physlab.nn import NETWORKS, CompactResNet, ResNet, bicubic, count_parameters


@pytest.mark.parametrize(("factor", "parameters"), [(2, 385_921), (4, 402_369)])
@pytest.mark.parametrize("skip", ["none", "bicubic", "log"])
def test_size_identifies_the_published_network(factor: int, parameters: int, skip: str) -> None:
    assert count_parameters(ResNet(factor, skip=skip)) == parameters


def test_compact_network_is_compact() -> None:
    assert 90_000 < count_parameters(CompactResNet(4)) < 110_000


@pytest.mark.parametrize("network", ["ResNet", "CompactResNet"])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_refines_any_shape(network: str, factor: int) -> None:
    fine = NETWORKS[network](factor, channels=4, blocks=1)(torch.rand(2, 1, 3, 5))
    assert fine.shape == (2, 1, 3 * factor, 5 * factor) and fine.dtype == torch.float32


def test_compact_network_takes_a_factor_that_is_no_power_of_two() -> None:
    assert CompactResNet(3, channels=4, blocks=1)(torch.rand(1, 1, 4, 4)).shape[-1] == 12
    with pytest.raises(PhysLabError, match="power of two"):
        ResNet(3)


@pytest.mark.parametrize(
    "make", [CompactResNet, lambda factor, **frame: ResNet(factor, 8, 1, zero_start=True, **frame)]
)
def test_untrained_network_is_its_skip(make) -> None:
    """Also for kelvin: softmax on the logarithm of 280 K starts at bicubic interpolation with the ratios kept."""
    coarse = 280 + 5 * torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    expected = bicubic(coarse, 4)
    frame = {"shift": 280.0, "spread": 5.0, "gain": 0.7}
    torch.testing.assert_close(make(4, skip="bicubic", **frame)(coarse), expected)
    softmax = make_constraint("softmax", 4)(make(4, skip="log", **frame)(coarse), coarse)
    torch.testing.assert_close(softmax, make_constraint("mult", 4)(expected, coarse), rtol=1e-5, atol=0)


def test_gain_makes_small_logits_matter() -> None:
    """A trunk that says 1 changes the temperature by about one gain, whatever the layer."""
    coarse = torch.full((1, 1, 2, 2), 280.0)
    bump = torch.zeros(1, 1, 4, 4)
    bump[..., ::2, ::2] = 1.0
    changes = {}
    for name, skip, gain in (("add", "bicubic", 0.7), ("softmax", "log", 0.7 / 280.0)):
        network = CompactResNet(2, channels=4, blocks=1, skip=skip, shift=280.0, spread=5.0, gain=gain)
        network.trunk = lambda x: bump
        changes[name] = make_constraint(name, 2)(network(coarse), coarse) - 280.0
    torch.testing.assert_close(changes["add"], changes["softmax"], atol=2e-3, rtol=0)
    assert changes["add"].max() == pytest.approx(0.75 * 0.7, abs=1e-3)


def test_interpolation_keeps_constants_and_converges() -> None:
    """With a = -0.75 the error halves with the spacing (only a = -0.5 is of third order, Keys 1981)."""
    assert torch.allclose(bicubic(torch.full((3, 2, 4, 4), 7.0), 4), torch.tensor(7.0))
    errors = []
    for cells in (16, 32):
        x = (torch.arange(cells * 4, dtype=torch.float64) + 0.5) / (cells * 4)
        wave = torch.sin(2 * torch.pi * x)[:, None] * torch.cos(2 * torch.pi * x)[None, :]
        inside = slice(cells, 3 * cells)
        errors.append(float((bicubic(coarsen(wave, 4), 4) - wave)[inside, inside].abs().max()))
    assert 1.8 < errors[0] / errors[1] < 2.6 and errors[1] < 0.01
    assert bicubic(torch.rand(2, 3, 4, 5), 2).shape == (2, 3, 8, 10)


def test_translation_moves_the_result_along_without_a_domain() -> None:
    network = CompactResNet(2, channels=6, blocks=1)
    torch.nn.init.normal_(network.last.weight, generator=torch.Generator().manual_seed(1))
    coarse = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(2))
    moved = network(coarse.roll(3, -1)).roll(-6, -1)
    torch.testing.assert_close(moved[..., 16:24, 16:24], network(coarse)[..., 16:24, 16:24], atol=1e-5, rtol=1e-5)


def test_learned_map_is_bound_to_its_domain() -> None:
    network = CompactResNet(2, channels=4, blocks=1, domain=(4, 6), maps=2)
    coarse = torch.zeros(1, 1, 4, 6)
    network(coarse).square().sum().backward()
    torch.nn.init.normal_(network.last.weight, generator=torch.Generator().manual_seed(1))
    fine = network(coarse)
    assert fine.std() > 0, "a uniform field gets the structure of the map"
    with pytest.raises(FieldError, match="learned the map of one domain"):
        network(torch.zeros(1, 1, 6, 4))
    fine.sum().backward()
    assert network.fine_maps.grad.abs().sum() > 0 and network.coarse_maps.grad.abs().sum() > 0


def test_refuses_what_it_cannot_mean() -> None:
    with pytest.raises(FieldError, match=r"pass \(batch, 1, h, w\)"):
        CompactResNet(2)(torch.rand(4, 4))
    with pytest.raises(PhysLabError, match="none, bicubic, log"):
        CompactResNet(2, skip="cubic")
    with pytest.raises(PhysLabError, match="> 0"):
        CompactResNet(2, spread=0.0)


def test_logarithm_survives_dry_cells() -> None:
    coarse = torch.zeros(1, 1, 4, 4)
    coarse[..., 2, 2] = 30.0  # bicubic overshoots below zero around it
    raw = CompactResNet(4, channels=4, blocks=1, skip="log")(coarse)
    assert torch.isfinite(raw).all()
    assert torch.equal(refine(coarse == 0, 4), make_constraint("softmax", 4)(raw, coarse) == 0)
