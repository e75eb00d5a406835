"""The Virtual Reconstruction Encoder: shapes, the globe, what reaches whom."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from physlab.errors import PhysLabError
from physlab.nn.vre import FREQUENCIES, KINDS, VirtualReconstruction, positions


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make(kind: str, shaken: bool = True) -> VirtualReconstruction:
    torch.manual_seed(0)
    network = VirtualReconstruction(3, 5, 4, 8, kind)
    if shaken:
        for k, parameter in enumerate(network.parameters()):
            parameter.data += 0.1 * normal(k, *parameter.shape)
    return network.eval()


def problem(height: int = 32, width: int = 64, share: float = 0.1) -> list[Tensor]:
    """Background with sine and cosine of latitude, innovation, mask, trust."""
    phi = (torch.arange(height) + 0.5) / height * torch.pi - torch.pi / 2
    place = torch.stack([phi.sin(), phi.cos()])[None, :, :, None].expand(2, -1, -1, width)
    mask = (torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(2)) < share).float()
    return [torch.cat([normal(0, 2, 3, height, width), place], 1), normal(1, 2, 3, height, width) * mask, mask,
            mask * torch.tensor([1.0, 0.5])[:, None, None, None]]  # fmt: skip


def test_what_was_not_seen_tells_no_spread() -> None:
    """Without a column, and with one, the logarithm of the spread is that of innovations of unit variance."""
    network, told = make("attention"), []
    network.statistics.register_forward_pre_hook(lambda _, given: told.append(given[0]))
    background, innovation, mask, trust = problem()
    one = torch.zeros_like(mask)
    one[..., 3, 5] = 1
    for seen in (0 * mask, one):
        network(background, innovation * seen, seen, trust * seen)
    network(background, innovation, mask, trust)
    none, single, many = (x.chunk(2, 1) for x in told)
    assert not none[0].any() and not none[1].any() and not single[1].any() and many[1].abs().max() < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_a_start_at_zero(kind: str) -> None:
    latent, features = make(kind, shaken=False)(*problem())
    assert latent.shape == (2, 4, 16, 32) and features.shape == (2, 8, 16, 32)
    assert not latent.any() and features.any()
    empty = [x if k == 0 else torch.zeros_like(x) for k, x in enumerate(problem())]
    assert all(x.isfinite().all() for x in make(kind)(*empty))  # no observation at all
    with pytest.raises(PhysLabError, match="unknown encoder 'mean': choose one of attention, convolution"):
        VirtualReconstruction(3, 5, 4, 8, "mean")


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns(kind: str) -> None:
    network = make(kind)
    latent, features = network(*problem())
    (latent.square().sum() + features.square().sum()).backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle, idle


@torch.no_grad()
def test_a_shift_along_longitude_stays_a_shift_away_from_the_seam() -> None:
    """With convolutions only; attention knows where it is."""
    network, inputs = make("convolution"), problem()
    latent, features = network(*inputs)
    moved = network(*(x.roll(16, -1) for x in inputs))
    for a, b in zip((latent, features), moved, strict=True):
        difference = (b - a.roll(8, -1)).abs().amax((0, 1, 2))
        seam = torch.zeros(32, dtype=torch.bool)
        seam[[*range(-5, 12)]] = True  # where either is near the date line
        assert difference[~seam].max() < 5e-3 * a.std()  # what is left comes by the means of the normalisation


@torch.no_grad()
def test_the_globe_has_no_seam() -> None:
    network, inputs = make("convolution"), problem()
    latent = network(*inputs)[0]
    moved = network(*(x.roll(16, -1) for x in inputs))[0]
    assert (moved - latent.roll(8, -1)).abs().max() < 1e-4 * latent.std()


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_a_column_is_seen_far_away_by_attention_alone(kind: str) -> None:
    """Statistics of the innovations and normalisation are the same for the two inputs, or switched off."""
    network = make(kind)
    network.statistics.weight.zero_()
    network.refine = nn.Identity()
    for layer in (network.seen, *network.stages):
        layer.weight.mul_(3)
    background, innovation, mask, _ = (x[:1] for x in problem(16, 512, 0.0))
    for column, value in ((20, 1.0), (24, -2.0), (28, 1.0)):
        mask[..., 8, column], innovation[..., 8, column] = 1, value
    one, two = (network(background, d, mask, mask)[0] for d in (innovation, -innovation))  # mean 0
    far, near = ((one - two)[..., k].abs().max() for k in (slice(120, 150), slice(5, 20)))
    assert near > 1e-3
    assert far > 1e-5 if kind == "attention" else far == 0


@torch.no_grad()
def test_attention_by_its_definition() -> None:
    """softmax(q k^T / sqrt(C)) v for one question, with loops."""
    network, tokens = make("attention"), [normal(3, 1, 8, 4, 8), normal(4, 1, 8, 2, 4)]
    known, phi = normal(5, 1, 8, 8, 16), torch.linspace(-1.5, 1.5, 16)
    place = torch.stack([phi.sin(), phi.cos()])
    found = network._attend(known, tokens, place[..., None].squeeze(-1)[:, :, None])
    asked = network.ask(known)
    at = torch.cat([positions(*place, 4, 8), positions(*place, 2, 4)])
    flat = torch.cat([t[0].flatten(1).T for t in tokens])
    q = network.query(torch.cat([asked[0, :, 1, 3], positions(*place, 4, 8)[1 * 8 + 3]]))
    weight = torch.tensor([float(q @ network.key(torch.cat([f, p]))) / 8**0.5 for f, p in zip(flat, at, strict=True)])
    value = sum(w * network.value(f) for w, f in zip(weight.softmax(0), flat, strict=True))
    assert torch.allclose(found[0, :, 1, 3], network.out(value), atol=1e-5)


def test_places_are_near_where_they_are_near() -> None:
    phi = torch.linspace(-1.4, 1.4, 8)
    p = positions(phi.sin(), phi.cos(), 8, 64)
    assert p.shape == (512, 6 * len(FREQUENCIES)) and p.abs().max() <= 1
    p = p.reshape(8, 64, -1)
    across, along = (p[4, 0] - p[4, 63]).norm(), (p[4, 31] - p[4, 32]).norm()
    assert torch.allclose(across, along, rtol=1e-3) and across < 0.3 * (p[4, 0] - p[4, 32]).norm()
    angle = torch.tensor(2 * torch.pi * 2.5 / 64)
    xyz = torch.stack([phi[3].cos() * angle.cos(), phi[3].cos() * angle.sin(), phi[3].sin()])
    assert torch.allclose(p[3, 2, :3], xyz.sin(), atol=1e-6) and torch.allclose(
        p[3, 2, 9:12], (8 * xyz).sin(), atol=1e-5
    )
