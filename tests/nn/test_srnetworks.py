"""Single-frame networks: sizes by arithmetic, any shape, what they are before training, what reaches what."""

from __future__ import annotations

import pytest
import torch

from physlab.errors import FieldError, PhysLabError
from physlab.nn import EDSR, ESPCN, NETWORKS, SRCNN, DeepSD, RRDBNet, SRResNet, Upscaler, bicubic, count_parameters

SMALL = {
    "SRCNN": {"channels": [5, 3]},
    "DeepSD": {"channels": [5, 3]},
    "DeepSD residual": {"channels": [5, 3], "residual": True},
    "ESPCN": {"channels": [5, 3]},
    "EDSR": {"channels": 4, "blocks": 2},
    "EDSR single": {"channels": 4, "blocks": 2, "upsample": "single"},
    "SRResNet": {"channels": 4, "blocks": 2},
    "SRResNet noise": {"channels": 4, "blocks": 2, "norm": False, "noise_channels": 2, "upsample": "single"},
    "RRDBNet": {"channels": 4, "growth": 3, "blocks": 1},
    "RRDBNet noise": {"channels": 4, "growth": 3, "blocks": 1, "noise_channels": 2, "upsample": "single"},
}


def small(name: str, factor: int, **more) -> Upscaler:
    return NETWORKS[name.split()[0]](factor, **SMALL[name], **more)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def run(network: Upscaler, coarse: torch.Tensor) -> torch.Tensor:
    """The network with the noise and the static fields that it asks for."""
    shape, noise, static = network.noise_shape(coarse), None, None
    if shape is not None:
        noise = draw(*shape, seed=5)
    if network.statics:
        height, width = (n * network.factor for n in coarse.shape[-2:])
        static = draw(len(coarse), len(network.statics), height, width, seed=6).abs()
    return network(coarse, noise=noise, static=static)


def conv(inputs: int, outputs: int, kernel: int = 3) -> int:
    """Parameters of a convolution with bias."""
    return outputs * (inputs * kernel**2 + 1)


def test_sizes_by_arithmetic() -> None:
    assert count_parameters(SRCNN(4)) == conv(1, 64, 9) + conv(64, 32, 3) + conv(32, 1, 5) == 24_513
    assert count_parameters(SRCNN(2)) == count_parameters(SRCNN(8)), "the factor is in the interpolation only"
    assert count_parameters(DeepSD(8)) == 3 * (conv(2, 64, 9) + conv(64, 32, 3) + conv(32, 1, 5)) == 89_091
    assert count_parameters(ESPCN(3)) == conv(1, 64, 5) + conv(64, 32) + conv(32, 9) == 22_729
    trunk = conv(1, 64) + 33 * conv(64, 64)
    assert count_parameters(EDSR(4)) == trunk + 2 * conv(64, 256) + conv(64, 1) == 1_515_265
    colours = conv(3, 64) - conv(1, 64) + conv(64, 3) - conv(64, 1)
    assert count_parameters(EDSR(4)) + colours == 1_517_571, "the published baseline x4"
    assert count_parameters(EDSR(4, upsample="single")) == trunk + conv(64, 16)


def test_sizes_of_the_generators_by_arithmetic() -> None:
    norm = 64 * 64 * 9 + 2 * 64  # a convolution without bias, scale and shift
    block = 2 * norm + 1  # and one PReLU
    size = conv(1, 64, 9) + 1 + 16 * block + norm + 2 * (conv(64, 256) + 1) + conv(64, 1, 9)
    assert count_parameters(SRResNet(4)) == size == 1_526_612
    bare = 16 * (2 * conv(64, 64) + 1) + conv(64, 64)
    assert size - count_parameters(SRResNet(4, norm=False)) == 16 * block + norm - bare
    dense = sum(conv(64 + 32 * n, 32) for n in range(4)) + conv(192, 64)
    size = conv(1, 64) + 23 * 3 * dense + 4 * conv(64, 64) + conv(64, 1)
    assert count_parameters(RRDBNet(4)) == size == 16_695_681
    assert size + conv(3, 64) - conv(1, 64) + conv(64, 3) - conv(64, 1) == 16_697_987, "the published ESRGAN"


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("factor", [2, 3, 8])
def test_refines_any_shape(name: str, factor: int) -> None:
    if name.startswith("DeepSD") and factor == 3:
        with pytest.raises(PhysLabError, match="pass 2, 4, 8 or 16"):
            small(name, factor)
        return
    fine = run(small(name, factor), draw(2, 1, 3, 5))
    assert fine.shape == (2, 1, 3 * factor, 5 * factor) and fine.dtype == torch.float32


@pytest.mark.parametrize("name", SMALL)
def test_zero_start_is_the_skip(name: str) -> None:
    coarse = 280 + draw(2, 1, 4, 5)
    network = small(name, 4, zero_start=True, skip="bicubic", shift=280.0, gain=0.7)
    torch.testing.assert_close(run(network, coarse), bicubic(coarse, 4))


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    network = small(name, 4)
    run(network, draw(2, 1, 6, 6)).square().sum().backward()
    still = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert not still


@pytest.mark.parametrize("name", SMALL)
def test_half_precision_and_memory_format_change_little(name: str) -> None:
    torch.manual_seed(0)
    network, coarse = small(name, 2), draw(2, 1, 6, 7)
    expected = run(network, coarse)
    torch.testing.assert_close(run(network.to(memory_format=torch.channels_last), coarse), expected, atol=1e-4, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        half = run(network, coarse)
    assert half.dtype == torch.float32
    assert float((half - expected).detach().abs().max()) < 0.05 * float(expected.detach().abs().max() + 1)


@pytest.mark.parametrize("name", SMALL)
def test_learns_to_reproduce_a_fine_field(name: str) -> None:
    """A few steps of Adam on one pair lower the error of bicubic interpolation: every layer is wired to the output."""
    torch.manual_seed(0)
    fine = draw(1, 1, 12, 12)
    coarse = torch.nn.functional.avg_pool2d(fine, 2)
    network = small(name, 2, skip="bicubic", zero_start=True)
    adam = torch.optim.Adam(network.parameters(), lr=1e-2)
    errors = []
    for _ in range(60):
        error = (run(network, coarse) - fine).square().mean()
        errors.append(float(error.detach()))
        adam.zero_grad()
        error.backward()
        adam.step()
    assert errors[-1] < 0.93 * errors[0]


@torch.no_grad()
def test_deepsd_uses_the_elevation_at_each_stage() -> None:
    torch.manual_seed(0)
    network, coarse, elevation = DeepSD(4, channels=(5, 3)), draw(1, 1, 4, 4), draw(1, 1, 16, 16, seed=1)
    flat = network(coarse, static=torch.zeros_like(elevation))
    assert float((network(coarse, static=elevation) - flat).abs().max()) > 1e-3
    # a pattern of zero mean over 2 x 2 cells is invisible to the first stage: only the second can see it
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 1, 16, 16)
    seen = []
    for stage in network.stages:
        stage.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, 1]))
    network(coarse, static=stripes)
    assert seen[0].abs().max() == 0 and seen[1].abs().min() == 1
    with pytest.raises(FieldError, match="elevation"):
        network(coarse)
    with pytest.raises(FieldError, match="in km"):
        network(coarse, static=torch.zeros(1, 1, 8, 8))


def test_residual_scale_zero_leaves_the_blocks_out() -> None:
    torch.manual_seed(0)
    network = EDSR(2, channels=4, blocks=2, residual_scale=0.0)
    expected = network(draw(1, 1, 5, 5))
    torch.nn.init.normal_(network.blocks[0].first.weight)
    assert torch.equal(network(draw(1, 1, 5, 5)), expected)


def test_trunk_at_coarse_resolution_places_children_in_their_parent() -> None:
    """The receptive field of ESPCN is 9 coarse cells: an impulse stays within 4 cells, on every side the same reach."""
    torch.manual_seed(0)
    network = ESPCN(2, channels=(6, 4))
    impulse = torch.zeros(1, 1, 15, 15)
    impulse[..., 7, 7] = 1.0
    changed = (network(impulse) - network(torch.zeros_like(impulse)))[0, 0].abs() > 1e-12
    rows, columns = torch.nonzero(changed, as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 23, 6, 23)


def test_refuses_unknown_upsampling() -> None:
    with pytest.raises(PhysLabError, match="steps, single"):
        EDSR(2, upsample="bicubic")


@pytest.mark.parametrize("name", ["SRResNet noise", "RRDBNet noise"])
def test_noise_channels_make_members(name: str) -> None:
    torch.manual_seed(0)
    network, coarse = small(name, 2), draw(2, 1, 5, 6)
    assert network.noise_shape(coarse) == (2, 2, 5, 6)
    noise = draw(2, 2, 5, 6, seed=1)
    member = network(coarse, noise=noise)
    assert torch.equal(member, network(coarse, noise=noise))
    assert float((network(coarse, noise=-noise) - member).detach().abs().max()) > 1e-4
    with pytest.raises(FieldError, match="takes noise"):
        network(coarse)
    assert small(name.split()[0], 2).noise_shape(coarse) is None


def test_batch_normalisation_ties_the_batch_and_norm_false_does_not() -> None:
    torch.manual_seed(0)
    one, two = draw(1, 1, 6, 6), draw(2, 1, 6, 6)
    for norm, tied in ((True, True), (False, False)):
        network = SRResNet(2, channels=4, blocks=1, norm=norm)
        alone = network(two[:1])
        assert torch.allclose(alone, network(torch.cat([two[:1], 9 * one]))[:1], atol=1e-5) != tied


@pytest.mark.parametrize("make", [EDSR, SRResNet, RRDBNet])
def test_global_skip_goes_around_all_blocks(make) -> None:
    """With a body of zero weights the blocks are cut off, and the head still reaches the output."""
    torch.manual_seed(0)
    network, coarse = make(2, channels=4, blocks=1), draw(1, 1, 5, 5)
    for layer in [network.body] if isinstance(network.body, torch.nn.Conv2d) else network.body[:1]:
        torch.nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        difference = network.eval()(coarse) - network(torch.zeros_like(coarse))
    assert float(difference.abs().max()) > 1e-3
