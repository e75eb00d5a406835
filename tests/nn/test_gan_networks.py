"""Generators and discriminators: published sizes, what the noise does, what the logits are."""

from __future__ import annotations

import pytest
import torch

from physlab.errors import FieldError, PhysLabError
from physlab.nn import (
    DISCRIMINATORS,
    Discriminator,
    NoiseResNet,
    PatchDiscriminator,
    SRGANDiscriminator,
    bicubic,
    count_parameters,
)

FORMS = {
    "map": {"noise": "map", "size": [6, 5]},
    "map shuffle": {"noise": "map", "size": [6, 5], "upsample": "shuffle"},
    "field": {"noise": "field"},
    "field shuffle": {"noise": "field", "noise_channels": 2, "upsample": "shuffle"},
}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_sizes_identify_the_published_networks() -> None:
    x4, x8 = NoiseResNet(4, noise="map", size=(32, 32)), NoiseResNet(8, noise="map", size=(16, 16))
    assert count_parameters(x4) == 505_346 and count_parameters(x4.map) == 102_401
    assert count_parameters(x8) == 444_994 and count_parameters(x8.map) == 25_601
    assert count_parameters(Discriminator()) == 286_561


@pytest.mark.parametrize("form", FORMS)
def test_noise_makes_members(form: str) -> None:
    """The same noise gives the same member, other noise another one, and the batch entries do not mix."""
    torch.manual_seed(0)
    network = NoiseResNet(4, channels=4, blocks=1, skip="bicubic", **FORMS[form])
    coarse = draw(2, 1, 6, 5)
    shape = network.noise_shape(coarse)
    noise = draw(*shape, seed=1)
    member = network(coarse, noise=noise)
    assert member.shape == (2, 1, 24, 20) and torch.equal(member, network(coarse, noise=noise))
    other = noise.clone()
    other[1] = draw(*shape[1:], seed=2)
    change = (network(coarse, noise=other) - member).abs().amax((1, 2, 3))
    assert change[0] < 1e-6 and change[1] > 1e-3
    still = NoiseResNet(4, channels=4, blocks=1, skip="bicubic", zero_start=True, **FORMS[form])
    torch.testing.assert_close(still(coarse, noise=noise), bicubic(coarse, 4))
    member.square().sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in network.parameters())


def test_noise_map_is_bound_to_its_size_and_the_field_is_not() -> None:
    network = NoiseResNet(2, channels=4, blocks=1, noise="map", size=(6, 5))
    assert network.noise_shape(torch.zeros(3, 1, 6, 5)) == (3, 100, 1, 1)
    with pytest.raises(FieldError, match="noise='field'"):
        network.noise_shape(torch.zeros(3, 1, 5, 6))
    with pytest.raises(FieldError, match=r"pass standard normal numbers of shape \(3, 100, 1, 1\)"):
        network(torch.zeros(3, 1, 6, 5), noise=torch.zeros(3, 4, 6, 5))
    with pytest.raises(FieldError, match="takes noise"):
        network(torch.zeros(3, 1, 6, 5))
    free = NoiseResNet(3, channels=4, blocks=1, upsample="shuffle")
    for shape in ((3, 5), (8, 8)):
        coarse = torch.zeros(1, 1, *shape)
        assert free.noise_shape(coarse) == (1, 4, *shape)
        assert free(coarse, noise=torch.zeros(1, 4, *shape)).shape[-1] == 3 * shape[1]
    for arguments, reason in (
        ({"noise": "map"}, "size"),
        ({"size": (4, 4)}, "size"),
        ({"noise": "pink"}, "map, field"),
    ):
        with pytest.raises(PhysLabError, match=reason):
            NoiseResNet(2, **arguments)
    with pytest.raises(PhysLabError, match="power of two"):
        NoiseResNet(3)


def test_noise_field_is_local() -> None:
    """White noise in one cell changes the fine field around that cell only: no global pattern."""
    torch.manual_seed(0)
    network = NoiseResNet(2, channels=4, blocks=1, upsample="shuffle")
    coarse, noise = draw(1, 1, 21, 21), torch.zeros(1, 4, 21, 21)
    base = network(coarse, noise=noise)
    noise[..., 10, 10] = 1.0
    changed = (network(coarse, noise=noise) - base)[0, 0].abs() > 1e-7
    rows = torch.nonzero(changed)[:, 0]
    assert changed[20:22, 20:22].any() and rows.min() >= 2 * 6 and rows.max() <= 2 * 14 + 1


@pytest.mark.parametrize("name", DISCRIMINATORS)
@pytest.mark.parametrize("shape", [(32, 32), (17, 23)])
def test_discriminators_take_any_shape(name: str, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = DISCRIMINATORS[name](inputs=2, channels=4)
    logits = network(draw(3, 2, *shape))
    assert logits.shape[:2] == (3, 1) and (logits.ndim == 4) == (name == "PatchDiscriminator")
    logits.square().sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in network.parameters())


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators_learn_to_tell_rough_from_smooth(name: str) -> None:
    torch.manual_seed(0)
    network = DISCRIMINATORS[name](inputs=1, channels=8)
    adam = torch.optim.Adam(network.parameters(), lr=3e-3)
    rough = draw(8, 1, 16, 16)
    smooth = bicubic(torch.nn.functional.avg_pool2d(rough, 4), 4)
    losses = []
    for _ in range(40):
        real, fake = network(rough), network(smooth)
        loss = torch.nn.functional.softplus(-real).mean() + torch.nn.functional.softplus(fake).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0], "a blind discriminator stays at 2 ln 2"
    assert float((network(rough).mean() - network(smooth).mean()).detach()) > 1


def test_published_discriminator_is_global_and_the_patch_one_local() -> None:
    torch.manual_seed(0)
    patch = PatchDiscriminator(1, channels=4, depth=2).eval()
    field = draw(1, 1, 64, 64)
    changed = field.clone()
    changed[..., 31, 31] += 5
    moved = (patch(changed) - patch(field))[0, 0].abs() > 1e-7
    assert moved.any() and moved.sum() <= 6 * 6, "a patch of depth 2 is 18 cells wide, with a stride of 4"
    whole = Discriminator(channels=4)
    assert whole(changed).shape == (1, 1) and not torch.equal(whole(changed), whole(field))


def test_spectral_normalisation_bounds_every_layer() -> None:
    """The largest singular value of each weight matrix is one (a bound on the slope, up to the patch overlap)."""
    torch.manual_seed(0)
    network = PatchDiscriminator(2, channels=8)
    for layer in network.layers:
        torch.nn.init.normal_(layer.parametrizations.weight.original, std=3.0)
    for _ in range(80):
        network(torch.zeros(1, 2, 32, 32))  # one power iteration each
    for layer in [*network.layers, network.last]:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1.0, abs=0.02)
    plain = PatchDiscriminator(2, channels=8, spectral=False)
    assert count_parameters(plain) == count_parameters(network)


def test_srgan_discriminator_is_normalised_but_for_its_first_layer() -> None:
    norms = [m for m in SRGANDiscriminator(channels=4).layers if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 7 and not any(
        isinstance(m, torch.nn.BatchNorm2d) for m in SRGANDiscriminator(channels=4, norm=False).layers
    )
    convolutions = [m for m in SRGANDiscriminator().layers if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 64, 128, 128, 256, 256, 512, 512]
