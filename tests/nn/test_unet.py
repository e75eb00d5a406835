"""The U-Net: its size, any shape, the globe, what modulates it, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from physlab.errors import FieldError, PhysLabError
from physlab.nn import UNet, count_parameters
from physlab.nn.unet import GridConv, ResBlock, pad_grid, wrap_columns
from physlab.nn.vae import VAE


def random_weights(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """No layer at zero, so that every part shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def by_hand(inputs: int, outputs: int, widths: tuple[int, ...], blocks: int, level: bool, attention: bool) -> int:
    """Number of parameters, layer by layer."""
    width = 4 * widths[0] if level else 0

    def conv(i: int, o: int, k: int = 3) -> int:
        return k * k * i * o + o

    def block(i: int, o: int) -> int:
        skip = conv(i, o, 1) if i != o else 0
        return 2 * i + conv(i, o) + 2 * o + conv(o, o) + skip + (2 * o * (width + 1) if level else 0)

    total = conv(inputs, widths[0]) + 2 * block(widths[-1], widths[-1]) + 2 * widths[0] + conv(widths[0], outputs)
    total += 32 * width + width + width * width + width if level else 0
    total += 2 * widths[-1] + conv(widths[-1], 3 * widths[-1], 1) + conv(widths[-1], widths[-1], 1) if attention else 0
    for fine, coarse in zip(widths[:-1], widths[1:], strict=True):
        total += conv(fine, coarse) + conv(coarse, fine) + block(2 * fine, fine) + (2 * blocks - 1) * block(fine, fine)
    return total


def test_parameter_counts() -> None:
    assert count_parameters(UNet(1, 1)) == 1_204_193
    assert count_parameters(UNet(1, 1, level=True)) == 1_390_049
    for widths, blocks, level, attention in [((8, 16), 1, True, True), ((4, 8, 12, 16), 3, False, False)]:
        network = UNet(2, 3, widths, blocks, level=level, condition=4, attention=attention)
        assert count_parameters(network) == by_hand(6, 3, widths, blocks, level, attention)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("shape", [(13, 25), (1, 9), (16, 3), (5, 8)])
def test_any_shape(shape: tuple[int, int], periodic: bool) -> None:
    network = UNet(2, 3, (4, 8, 8), 1, level=True, condition=1, attention=True, periodic=periodic)
    out = network(torch.randn(2, 2, *shape), torch.zeros(2), torch.randn(2, 1, *shape))
    assert out.shape == (2, 3, *shape) and not out.any()  # the untrained network returns zero


def test_padding_extends_the_field_and_wraps_a_globe() -> None:
    x = torch.arange(15.0).reshape(1, 1, 3, 5)
    padded, wrapped = pad_grid(x, 4), pad_grid(x, 4, periodic=True)
    assert padded.shape == wrapped.shape == (1, 1, 4, 8)
    assert padded[0, 0, 1].tolist() == [5, 6, 7, 8, 9, 9, 9, 9]
    assert wrapped[0, 0, 1].tolist() == [5, 6, 7, 8, 9, 5, 6, 7]
    assert torch.equal(padded[..., 3, :], padded[..., 2, :]) and torch.equal(wrapped[..., 3, :], wrapped[..., 2, :])


def test_convolution_on_a_globe_is_a_sum_of_shifts() -> None:
    layer, x = GridConv(2, 3, periodic=True).double(), normal(2, 2, 6, 8)
    rows = torch.cat([x[:, :, :1], x, x[:, :, -1:]], dim=2)
    expected = layer.bias[:, None, None].expand(2, 3, 6, 8).clone()
    for i in range(3):
        for j in range(3):
            shifted = rows.roll(1 - j, -1)[:, :, i : i + 6]
            expected += torch.einsum("oc,bchw->bohw", layer.weight[:, :, i, j], shifted)
    assert torch.allclose(layer(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("attention", [False, True])
def test_a_shift_along_longitude_stays_a_shift(attention: bool) -> None:
    network, plane = (
        random_weights(UNet(1, 1, (8, 8, 16), 1, level=True, attention=attention, periodic=periodic)).double()
        for periodic in (True, False)
    )
    x, level = normal(2, 1, 9, 24), normal(2, seed=1)
    for columns in (4, 8, 20):  # multiples of the total stride
        difference = network(x.roll(columns, -1), level) - network(x, level).roll(columns, -1)
        assert difference.abs().max() < 1e-10
    size = network(x, level).abs().mean()
    assert (network(x.roll(1, -1), level) - network(x, level).roll(1, -1)).abs().max() > 1e-3 * size
    assert (plane(x.roll(4, -1), level) - plane(x, level).roll(4, -1)).abs().max() > 1e-3 * size


def test_networks_change_between_globe_and_region() -> None:
    """Weights know nothing of the globe: wrapped columns make a network the one that was built for it, and back."""
    globe, region = (
        random_weights(torch.nn.Sequential(UNet(1, 2, (4, 8), 1, periodic=p), VAE(2, 1, (4, 4), periodic=p))).double()
        for p in (True, False)
    )
    region.load_state_dict(globe.state_dict())
    x = normal(2, 1, 8, 11)  # padded, too
    here, there = globe(x), region(x)
    assert (here - there).abs().max() > 1e-3
    wrap_columns(globe, False)
    wrap_columns(region, True)
    assert torch.equal(globe(x), there) and torch.equal(region(x), here)
    wrap_columns(globe, True)
    assert torch.equal(globe(x), here)


def test_level_and_condition_reach_the_output_and_samples_stay_apart() -> None:
    network = random_weights(UNet(1, 1, (8, 8), 1, level=True, condition=1)).double()
    x, level, condition = normal(2, 1, 8, 8), normal(2, seed=1), normal(2, 1, 8, 8, seed=2)
    out = network(x, level, condition)
    for changed in ((x + 1, level, condition), (x, level + 0.1, condition), (x, level, condition + 1)):
        assert (network(*changed) - out).abs().max() > 1e-3
    alone = network(x[1:], level[1:], condition[1:])
    assert torch.allclose(alone, out[1:], rtol=1e-10, atol=1e-10)


def test_block_is_its_formula() -> None:
    block = random_weights(ResBlock(4, 8, embedding=5, periodic=True)).double()
    x, level = normal(2, 4, 6, 8), normal(2, 5, seed=1)
    a, b = block.modulate(level)[:, :8, None, None], block.modulate(level)[:, 8:, None, None]
    silu, norm = torch.nn.functional.silu, torch.nn.functional.group_norm
    inner = block.first(silu(norm(x, 4, block.before.weight, block.before.bias)))
    inner = (1 + a) * norm(inner, 8, block.between.weight, block.between.bias) + b
    expected = block.skip(x) + block.second(silu(inner))
    assert torch.allclose(block(x, level), expected, rtol=1e-10, atol=1e-10)


def test_gradients_reach_every_weight() -> None:
    network = random_weights(UNet(1, 2, (8, 8, 8), 2, level=True, attention=True, periodic=True))
    network(normal(2, 1, 8, 8, dtype=torch.float32), torch.tensor([0.1, -1.0])).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not silent


def test_half_precision_and_memory_format() -> None:
    network = random_weights(UNet(1, 1, (8, 16), 1, level=True, attention=True, periodic=True))
    x, level = normal(2, 1, 12, 16, dtype=torch.float32), torch.tensor([0.5, -0.5])
    out = network(x, level)
    last = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last), level)
    assert torch.allclose(last, out, rtol=1e-4, atol=1e-4 * out.detach().abs().max().item())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(x, level)
    half = network.bfloat16()(x.bfloat16(), level.bfloat16())
    assert half.dtype == torch.bfloat16
    for rough in (mixed.float(), half.float()):
        assert (rough - out).square().mean() < 0.05**2 * out.square().mean()


@pytest.mark.slow
def test_learns_a_stencil() -> None:
    """The difference of eastern and western neighbours around a ring, from 120 steps of training."""
    torch.manual_seed(0)
    network = UNet(1, 1, (16, 16), 1, periodic=True)
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for step in range(120):
        x = normal(16, 1, 8, 16, seed=step, dtype=torch.float32)
        loss = (network(x) - (x.roll(-1, -1) - x.roll(1, -1))).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x = normal(64, 1, 8, 16, seed=10_000, dtype=torch.float32)
    error = (network(x) - (x.roll(-1, -1) - x.roll(1, -1))).square().mean()
    assert error < 0.05 * 2.0, float(error)  # the variance of the difference is 2


def test_wrong_arguments() -> None:
    with pytest.raises(PhysLabError, match="at least 1 of each"):
        UNet(1, 1, channels=())
    with pytest.raises(PhysLabError, match="at least 1 of each"):
        UNet(1, 1, blocks=0)
    with pytest.raises(PhysLabError, match="multiple of 64"):
        UNet(1, 1, (8, 200), attention=True)
    x = torch.randn(2, 1, 8, 8)
    plain, full = UNet(1, 1, (4, 4)), UNet(1, 1, (4, 4), level=True, condition=2)
    with pytest.raises(FieldError, match=r"pass \(B, 1, H, W\)"):
        plain(torch.randn(2, 3, 8, 8))
    with pytest.raises(FieldError, match="built without"):
        plain(x, torch.zeros(2))
    with pytest.raises(FieldError, match="no level came"):
        full(x, None, torch.randn(2, 2, 8, 8))
    with pytest.raises(FieldError, match=r"\(2,\)"):
        full(x, torch.zeros(3), torch.randn(2, 2, 8, 8))
    with pytest.raises(FieldError, match=r"pass \(2, 2, 8, 8\)"):
        full(x, torch.zeros(2), torch.randn(2, 1, 8, 8))
    with pytest.raises(FieldError, match="pass None"):
        plain(x, None, x)
