"""The VAE: its size, any shape, the globe, its loss, its calibrated latents, and that it learns smooth fields."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from physlab.errors import FieldError, PhysLabError
from physlab.nn import VAE, count_parameters


def smooth(batch: int, height: int, width: int, seed: int) -> Tensor:
    """(batch, 1, height, width) periodic random fields of variance 1, spectrum falling beyond wavenumber 2."""
    white = torch.randn(batch, 1, height, width, generator=torch.Generator().manual_seed(seed))
    ky, kx = torch.fft.fftfreq(height) * height, torch.fft.fftfreq(width) * width
    amplitude = (1 + (ky[:, None].square() + kx.square()) / 4) ** -1.5
    amplitude[0, 0] = 0
    return torch.fft.ifft2(amplitude * torch.fft.fft2(white)).real / amplitude.square().mean().sqrt()


def random_weights(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network


@pytest.fixture(scope="module")
def trained() -> VAE:
    """A VAE with a latent grid of a quarter, after 120 steps on smooth fields (about six seconds)."""
    torch.manual_seed(0)
    network = VAE(1, latent=2, channels=(16, 32, 32), periodic=True)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(120):
        loss = network.loss(smooth(8, 32, 48, step), 1e-2, torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.requires_grad_(False)


def test_parameter_counts() -> None:
    assert count_parameters(VAE(1)) == 974_217
    w, k = (8, 12), 9  # by hand: encoder, then decoder
    block = [2 * (k * c * c + c) for c in w]
    encoder = k * 3 * w[0] + w[0] + block[0] + k * w[0] * w[1] + w[1] + block[1] + k * w[1] * 10 + 10
    decoder = k * 5 * w[1] + w[1] + block[1] + k * w[1] * w[0] + w[0] + block[0] + k * w[0] * 3 + 3
    assert count_parameters(VAE(3, latent=5, channels=w)) == encoder + decoder


@pytest.mark.parametrize(("levels", "latent"), [(3, (4, 7)), (4, (2, 4))])
def test_any_shape(levels: int, latent: tuple[int, int]) -> None:
    network = VAE(2, 3, (8,) * levels)
    x = torch.randn(2, 2, 13, 25)
    assert network.encode(x).shape == (2, 3, *latent)
    assert network(x).shape == x.shape
    assert network.decode(torch.randn(1, 3, 2, 2)).shape == (1, 2, 2 * network.factor, 2 * network.factor)


def test_a_shift_along_longitude_stays_a_shift() -> None:
    globe, plane = (random_weights(VAE(1, 2, (8, 8, 8), periodic=p)).double() for p in (True, False))
    x = smooth(2, 10, 24, 0).double()
    for columns in (4, 12):
        assert (globe.encode(x.roll(columns, -1)) - globe.encode(x).roll(columns // 4, -1)).abs().max() < 1e-10
        assert (globe(x.roll(columns, -1)) - globe(x).roll(columns, -1)).abs().max() < 1e-10
    assert (plane(x.roll(4, -1)) - plane(x).roll(4, -1)).abs().max() > 1e-3 * plane(x).abs().mean()


def test_loss_is_error_plus_divergence() -> None:
    """Against torch.distributions, and the limit without noise."""
    network = random_weights(VAE(1, 2, (8, 8))).double()
    x = smooth(3, 8, 12, 0).double()
    mean, log_variance = network.posterior(x)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    divergence = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).mean()
    losses = [network.loss(x, beta, torch.Generator().manual_seed(0)) for beta in (0.0, 0.5)]
    assert torch.isclose(losses[1] - losses[0], 0.5 * divergence, rtol=1e-6)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)).double()
    difference = network.decode(mean + posterior.scale * noise, (8, 12)) - x
    assert torch.isclose(losses[0], difference.abs().mean(), rtol=1e-12)
    area = torch.linspace(0.5, 1.5, 8, dtype=torch.float64)[:, None]
    weighted = network.loss(x, 0.0, torch.Generator().manual_seed(0), error="l2", area=area)
    assert torch.isclose(weighted, (difference.square() * area).mean(), rtol=1e-12)


def test_gradients_reach_every_weight_and_half_precision_runs() -> None:
    network = random_weights(VAE(1, 2, (8, 8, 8)))
    x = smooth(2, 12, 16, 0)
    network.loss(x, 1e-2, torch.Generator().manual_seed(0)).backward()
    assert not [name for name, p in network.named_parameters() if not p.grad.abs().max() > 0]
    out = network(x).detach()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(x).float()
    half = network.bfloat16()(x.bfloat16())
    assert half.dtype == torch.bfloat16
    for rough in (mixed, half.float()):
        assert (rough - out).square().mean() < 0.05**2 * out.square().mean()


@pytest.mark.slow
def test_keeps_smooth_fields_that_it_never_saw(trained: VAE) -> None:
    """An eighth of the numbers (2 x 8 x 12 of 32 x 48) keep more than 95 % of the variance, also on another shape."""
    for shape in ((32, 48), (32, 64)):
        x = smooth(64, *shape, 1_000_000)
        assert trained.encode(x).shape[1:] == (2, shape[0] // 4, shape[1] // 4)
        error = (trained(x) - x).square().mean() / (x - x.mean((-2, -1), keepdim=True)).square().mean()
        assert error < 0.05, float(error)


def test_calibrated_latents_are_standardised_and_mean_the_same() -> None:
    network = random_weights(VAE(1, 2, (8, 8, 8), periodic=True)).requires_grad_(False)
    x = smooth(32, 32, 48, 2_000_000)
    before, raw = network(x), network.encode(x)
    assert not network.calibrated
    network.calibrate(smooth(64, 32, 48, 3_000_000).split(16))
    z = network.encode(x)
    assert network.calibrated
    assert (raw.std((0, 2, 3)) - 1).abs().min() > 0.1  # it was necessary
    assert (z.std((0, 2, 3)) - 1).abs().max() < 0.05 and z.mean((0, 2, 3)).abs().max() < 0.1
    assert torch.allclose(z * network.scale + network.shift, raw, atol=1e-5)
    assert torch.allclose(network(x), before, atol=1e-5 * before.abs().max().item())
    copy = VAE(1, 2, (8, 8, 8), periodic=True)
    copy.load_state_dict(network.state_dict())  # the scale travels with the weights
    assert copy.calibrated and torch.equal(copy.encode(x), z)
    with pytest.raises(PhysLabError, match="calibrated"):
        network.loss(x)
    network.calibrate(None)
    assert torch.equal(network.encode(x), raw)


def test_wrong_arguments() -> None:
    network = VAE(1, 2, (8, 8, 8))
    with pytest.raises(PhysLabError, match="at least 1 of each"):
        VAE(0)
    with pytest.raises(FieldError, match=r"pass \(B, 1, H, W\)"):
        network(torch.randn(2, 3, 8, 8))
    with pytest.raises(FieldError, match=r"pass \(B, 2, h, w\)"):
        network.decode(torch.randn(2, 1, 2, 2))
    with pytest.raises(FieldError, match="would have 3 x 2"):
        network.decode(torch.randn(2, 2, 2, 2), (9, 8))
    with pytest.raises(PhysLabError, match="l1, l2"):
        network.loss(torch.randn(2, 1, 8, 8), error="huber")
    with pytest.raises(PhysLabError, match="no fields came"):
        network.calibrate([])
    with pytest.raises(PhysLabError, match="does not vary"):
        network.calibrate([torch.zeros(4, 1, 8, 8)])


@pytest.mark.parametrize(("patch", "widths"), [(2, (8,)), (2, (8, 12)), (3, (8,))])
def test_patches_stand_for_points(patch: int, widths: tuple[int, ...]) -> None:
    """The first layer takes p x p points as one, the last gives them back; the rest sees a grid of 1 / p."""
    network = random_weights(VAE(2, 3, widths, periodic=True, patch=patch))
    plain = VAE(2, 3, widths, periodic=True)
    assert network.factor == patch * plain.factor
    first = 2 * patch**2 * widths[0] - 2 * 9 * widths[0]
    last = (9 * widths[0] + 1) * 2 * (patch**2 - 1)
    assert count_parameters(network) == count_parameters(plain) + first + last
    f = network.factor
    x = torch.randn(2, 2, 4 * f, 6 * f, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        z, y = network.encode(x), network(x)
        assert z.shape == (2, 3, 4, 6) and y.shape == x.shape
        assert torch.allclose(network.encode(x.roll(f, -1)), z.roll(1, -1), atol=1e-5)  # the globe has no seam
        assert torch.allclose(network(x.roll(f, -1)), y.roll(f, -1), atol=1e-5)
        assert (network(x.roll(1, -1)) - y.roll(1, -1)).abs().max() > 1e-3
        odd = x[..., :-1, :-1]
        assert network.encode(odd).shape == z.shape and network(odd).shape == odd.shape
        with pytest.raises(FieldError, match="do not make a field"):
            network.decode(z, (4 * f + 1, 6 * f))


def test_patches_of_one_are_no_patches() -> None:
    torch.manual_seed(0)
    one = VAE(2, 3, (8, 12), patch=1)
    torch.manual_seed(0)
    plain = VAE(2, 3, (8, 12))
    assert one.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(1, 2, 8, 8)
    assert torch.equal(one.encode(x), plain.encode(x))
    with pytest.raises(PhysLabError, match="patches of 0: pass at least 1"):
        VAE(2, 3, (8,), patch=0)
