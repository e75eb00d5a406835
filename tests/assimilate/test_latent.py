"""Latent diffusion (SLAM, PhyDA), VAE-Var and SDA against what is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from physlab.assimilate import SDA, SLAM, DiffDA, PhyDA, StateSpace, VAEVar, latent
from physlab.assimilate.latent import LatentDiffusion
from physlab.assimilate.proxy import PhysicsProxy
from physlab.assimilate.statespace import Columns, observe_columns
from physlab.diffusion import Denoiser, GaussianDenoiser
from physlab.errors import Cancelled, PhysLabError

OPTIONS = {"latent": 3, "vae_width": 8, "width": 8, "levels": (8, 16)}


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def space_of(C: int, H: int, W: int) -> StateSpace:
    one, channels = torch.ones(C, 1, 1), tuple((f"x{k}", np.nan) for k in range(C))
    latitude = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(H)[0]))
    return StateSpace(channels, latitude, np.arange(W) * 360.0 / W, 0 * one, one, one)


@pytest.fixture(scope="module")
def data(twin, space) -> tuple[Tensor, Tensor]:
    """Backgrounds and increments."""
    x, b = (space.tensor(ds) for ds in twin.pairs())
    return space.standardise(b), (x - b) / space.error


def make(kind: type, space: StateSpace, shaken: bool = True, **options):
    torch.manual_seed(0)
    physics = {"physics": 0.0} if kind is PhyDA else {}  # which needs laws
    method = kind(space, **{**OPTIONS, **physics, **options})
    if shaken:
        for k, parameter in enumerate(method.parameters()):
            parameter.data += 0.05 * normal(k, *parameter.shape)
    return method.eval()


def observed(e: Tensor, space: StateSpace, share: float = 0.1, noise: float = 0.0) -> Columns:
    return observe_columns(e, share, noise, space.area, torch.Generator().manual_seed(0))


def exact(method: LatentDiffusion, variance: float = 1.0) -> None:
    """A denoiser that knows the latents to be N(0, variance), whatever is given."""
    _, H, W = method.space.shape
    shape = (method.vae.latent, H // 2, W // 2)
    n = int(np.prod(shape))
    known = GaussianDenoiser(torch.zeros(shape), variance * torch.eye(n), method.denoiser.schedule)

    class Known(Denoiser):
        def forward(self, x, t, condition=None):
            return known(x, t)

    method.denoiser = Known(method.denoiser.network, method.denoiser.schedule)


# --- latent diffusion -------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("kind", [SLAM, PhyDA])
def test_members_differ_and_seeds_reproduce(kind, space, data) -> None:
    method, (background, e) = make(kind, space), data
    columns = observed(e, space)[:2]

    def draw(seed: int, members: int = 3) -> Tensor:
        return method.increments(background[:2], columns, members, torch.Generator().manual_seed(seed))

    made = draw(0)
    assert made.shape == (2, 3, *space.shape) and not made.requires_grad
    assert torch.equal(draw(0), made) and (draw(1) - made).abs().max() > 0.01
    assert all((made[:, a] - made[:, b]).square().mean() > 1e-4 for a, b in ((0, 1), (0, 2), (1, 2)))
    assert draw(0, 1).shape == (2, 1, *space.shape)
    with pytest.raises(PhysLabError, match="0 members"):
        draw(0, 0)
    method.sampler = "pc"
    assert draw(0).isfinite().all() and (draw(0) - made).abs().max() > 0.01
    method.sampler = "euler"
    with pytest.raises(PhysLabError, match="unknown sampler 'euler': choose one of heun, pc"):
        draw(0)


@pytest.mark.parametrize("kind", [SLAM, PhyDA])
@pytest.mark.parametrize("together", [1, 4, 5])
def test_how_many_go_through_at_a_time_changes_nothing(kind, together, space, data, monkeypatch) -> None:
    method, (background, e) = make(kind, space), data
    columns, steps = observed(e, space)[:2], []
    whole = method.increments(background[:2], columns, 4, torch.Generator().manual_seed(0))
    monkeypatch.setattr(latent, "TOGETHER", together)
    parts = method.increments(background[:2], columns, 4, torch.Generator().manual_seed(0),
                              progress=lambda *s: steps.append(s))  # fmt: skip
    assert parts.shape == whole.shape and torch.allclose(parts, whole, atol=1e-4)
    total = -(-8 // together) * method.steps
    assert steps == [(k + 1, total) for k in range(total)]
    calls = []
    with pytest.raises(Cancelled):
        method.increments(background[:2], columns, 4, cancel=lambda: calls.append(0) or len(calls) > 3)
    assert len(calls) == 4  # asked between steps


def test_draws_have_the_variance_of_the_model(space, data) -> None:
    method, (background, e) = make(SLAM, space), data
    torch.manual_seed(1)
    method.vae.decoder = nn.Sequential(nn.Conv2d(3, 80, 1), nn.PixelShuffle(2)).requires_grad_(False)
    exact(method)
    made = method.increments(background[:1], observed(e, space)[:1], 16, torch.Generator().manual_seed(0))
    weight, bias = method.vae.decoder[0].weight[:, :, 0, 0], method.vae.decoder[0].bias
    expected = (weight.square().sum(1) + bias.square()).mean()
    assert abs(float(made.square().mean() / expected) - 1) < 0.1


@pytest.mark.parametrize("members", [2, 5])
def test_members_lie_about_a_learned_centre(members: int, space, data) -> None:
    """With a linear decoder the mean of the members is what the centre decodes to, and their variance is kept."""
    method, (background, e) = make(PhyDA, space), data
    torch.manual_seed(1)
    method.vae.decoder = nn.Sequential(nn.Conv2d(3, 80, 1), nn.PixelShuffle(2)).requires_grad_(False)
    method.rho.copy_(torch.tensor([0.5, 1.0, 2.0])[:, None, None])
    method.steps = 48  # with ten the variance of the draws is 1.4 times that of the model
    exact(method)
    columns = observed(e, space)[:2]
    with torch.no_grad():
        centre = method.given(background[:2], columns)[0]
        expected = method.vae.decode(centre, space.shape[1:])
    made = method.increments(background[:2], columns, members, torch.Generator().manual_seed(0))
    assert torch.allclose(made.mean(1), expected, atol=1e-4)
    root = method.vae.decoder[0].weight[:, :, 0, 0] * method.rho.flatten()  # of the covariance of the 80 numbers
    variance = nn.functional.pixel_shuffle(root.square().sum(1)[None, :, None, None], 2)[0]
    found = (made - expected[:, None]).square().mean(1).unflatten(-2, (8, 2)).unflatten(-1, (16, 2)).mean((0, 2, 4))
    assert abs(float((found / variance).mean()) - 1) < 0.1
    one = method.increments(background[:2], columns, 1, torch.Generator().manual_seed(0))
    assert (one[:, 0] - expected).abs().max() > 0.1  # a single member is a draw
    method.temperature = 0.5
    half = method.increments(background[:2], columns, members, torch.Generator().manual_seed(0))
    assert torch.allclose(half - expected[:, None], (made - expected[:, None]) / 2, atol=1e-4)
    method.temperature = 0.0
    centre = method.increments(background[:2], columns, 1, torch.Generator().manual_seed(0))
    assert torch.allclose(centre[:, 0], expected, atol=1e-4)
    method.temperature, method.centred = 1.0, False
    free = method.increments(background[:2], columns, members, torch.Generator().manual_seed(0))
    assert (free.mean(1) - expected).abs().max() > 0.1


def test_the_spread_about_the_centre_is_measured(space, data) -> None:
    """rho follows the root mean square of the latents about the centre while training, and only then."""
    method, (background, e) = make(PhyDA, space, shaken=False), data
    columns = observed(e, space)
    with torch.no_grad():  # untrained: the centre is zero
        assert not method.given(background, columns)[0].any()
        expected = method.vae.encode(e).square().mean((0, 2, 3)).sqrt()
    method.eval().loss(background, e, columns, torch.Generator())
    assert torch.equal(method.rho, torch.ones(3, 1, 1))
    method.train()
    method.loss(background, e, columns, torch.Generator())
    assert torch.allclose(method.rho.flatten(), 0.95 + 0.05 * expected, atol=1e-5)
    for _ in range(150):
        method.loss(background[:1], e[:1], columns[:1], torch.Generator())
    with torch.no_grad():
        expected = method.vae.encode(e[:1]).square().mean((0, 2, 3)).sqrt()
    assert torch.allclose(method.rho.flatten(), expected, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("kind", [SLAM, PhyDA])
def test_the_autoencoder_of_another_is_taken_and_left_alone(kind, space, data) -> None:
    other = VAEVar(space, latent=3, vae_width=8)
    for k, parameter in enumerate(other.vae.parameters()):
        parameter.data += 0.1 * normal(k, *parameter.shape)
    method, (background, e) = make(kind, space), data
    method.adopt(other)
    assert torch.equal(method.vae.encode(e), other.vae.encode(e)) and not any(
        p.requires_grad for p in method.vae.parameters()
    )
    method.calibrate((background[k : k + 2], e[k : k + 2]) for k in (0, 2, 4))
    z = method.vae.encode(e)
    assert torch.allclose(z.mean((0, 2, 3)), torch.zeros(3), atol=1e-3) and not other.vae.calibrated
    assert torch.allclose(z.var((0, 2, 3), correction=0), torch.ones(3), atol=1e-3)
    before = {k: v.clone() for k, v in method.vae.state_dict().items()}
    optimiser = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=0.01)
    method.loss(background, e, observed(e, space), torch.Generator()).backward()
    optimiser.step()
    assert all(torch.equal(v, before[k]) for k, v in method.vae.state_dict().items())
    idle = [n for n, p in method.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not idle, idle


def test_the_physics_moves_the_denoiser_and_not_the_centre(space, data, twin) -> None:
    background, e = data
    truth = space.tensor(twin.pairs()[0])
    columns = observed(e, space)
    grads, losses = {}, {}
    for physics in (0.0, 50.0):
        method = make(PhyDA, space, physics=physics)
        method.vae.requires_grad_(False)
        method.proxy = PhysicsProxy(space).fit([truth])
        loss = method.loss(background, e, columns, torch.Generator().manual_seed(0))
        loss.backward()
        losses[physics] = loss.item()
        grads[physics] = {n: p.grad for n, p in method.named_parameters() if p.grad is not None}
    assert losses[50.0] > losses[0.0]
    moved = {n for n in grads[0.0] if not torch.allclose(grads[0.0][n], grads[50.0][n], rtol=1e-4, atol=1e-9)}
    assert any(n.startswith("denoiser") for n in moved) and "encoder.mix.weight" in moved
    assert not any(n.startswith("encoder.last") for n in moved)


def test_the_physics_is_asked_of_the_least_noisy_and_fades(space, data, twin) -> None:
    method, background = make(PhyDA, space, physics=2.0), data[0]
    method.proxy = PhysicsProxy(space).fit([space.tensor(twin.pairs()[0])])
    z, none = normal(0, 6, 3, 8, 16), torch.zeros_like(data[1])
    ratio = torch.tensor([3.0, 0.5, 9.0, 0.0, 7.0, 5.0])
    with torch.no_grad():
        cost = method.penalty(background, z, none, ratio)
        made = method.vae.decode(z[3:4], space.shape[1:])
        x = space.mean + space.std * background[3:4] + space.error * made
        assert torch.allclose(cost[3:4], 2.0 * method.proxy.penalty(x), rtol=1e-4) and cost[3] > 0
        assert not cost[torch.arange(6) != 3].any()  # a quarter of six, rounded down, is one
        ratio[3] = 2.0
        one = method.penalty(background[3:4], z[3:4], none[3:4], ratio[3:4])
        assert torch.allclose(one, cost[3:4] / 5, rtol=1e-4)
        method.proxy = None
        with pytest.raises(PhysLabError, match="training with physics needs laws: set `proxy`"):
            method.penalty(background, z, none, ratio)
        method.physics = 0.0
        assert not method.penalty(background, z, none, ratio).any()


def test_encoders_of_phyda(space, data) -> None:
    background, e = data
    columns = observed(e, space)
    for encoder in ("attention", "convolution", "none"):
        method = make(PhyDA, space, encoder=encoder)
        centre, features = method.given(background, columns)
        assert centre.shape == (6, 3, 8, 16) and features.shape == (6, 8, 8, 16)
        assert centre.any() == method.centred == (encoder != "none")
        assert method.loss(background, e, columns, torch.Generator()).isfinite()
    with pytest.raises(PhysLabError, match="unknown encoder 'mlp': choose one of attention, convolution, none"):
        PhyDA(space, encoder="mlp")


def test_what_is_said_past_the_autoencoder_is_not_lost_by_it(space, data) -> None:
    background, e = data
    columns = observed(e, space)
    plain, method = make(PhyDA, space), make(PhyDA, space, skip=True)
    assert "skip" not in plain.arguments and method.arguments["skip"]
    torch.nn.init.normal_(method.past.last.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    centre, features = method.given(background, columns)
    direct = method.direct(features)
    assert direct.shape == e.shape and direct.std() > 0.1
    with torch.no_grad():
        said = method.centre(background, columns)
        assert torch.allclose(said, direct + method.vae.decode(centre, space.shape[1:]), atol=1e-5)
        made = method.increments(background, columns, 2, torch.Generator().manual_seed(1))
        usual, method.temperature = method.temperature, 0.0
        assert torch.allclose(method.increments(background, columns, 1, torch.Generator())[:, 0], said, atol=1e-5)
        method.temperature, kept = usual, method.past
        method.past = None
        rest = method.increments(background, columns, 2, torch.Generator().manual_seed(1))
        assert torch.allclose(made - rest, direct[:, None].expand_as(made), atol=1e-4)
        method.past = kept
    method.train()
    method.vae.requires_grad_(False)
    seen = []
    method.vae.encode = lambda x, encode=method.vae.encode: seen.append(x) or encode(x)
    cost = method.loss(background, e, columns, torch.Generator().manual_seed(2))
    assert torch.allclose(seen[0], e - direct.detach(), atol=1e-5)  # the latents are of what it leaves
    cost.backward()
    step = method.past.last.weight.grad
    wanted = torch.autograd.grad(((e - method.direct(features.detach())).square() * method.area).mean(),
                                 method.past.last.weight)[0]  # fmt: skip
    assert torch.allclose(step, wanted, rtol=1e-3, atol=1e-7)  # by its square error alone


# --- VAE-Var ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_vaevar_with_a_linear_decoder_is_the_kalman_formula(noise: float) -> None:
    C, H, W, latents = 2, 4, 8, 3
    space = space_of(C, H, W)
    torch.manual_seed(0)
    method = VAEVar(space, latent=latents, vae_width=4, iterations=100).eval()
    linear = nn.Linear(latents * 8, C * H * W)
    method.vae.decoder = nn.Sequential(nn.Flatten(), linear, nn.Unflatten(1, (C, H, W)))
    method.lost.copy_(torch.tensor([0.1, 0.4])[:, None, None])
    e = normal(1, 2, C, H, W)
    columns = observed(e, space, 0.2, noise)
    made = method.increments(torch.zeros_like(e), columns)[:, 0]
    G, g = linear.weight.detach().double(), linear.bias.detach().double()
    for k in range(2):
        seen = columns.mask[k].expand(C, H, W).flatten() > 0
        R = torch.diag((noise**2 + method.lost.double()).expand(C, H, W).flatten()[seen])
        A, d = G[seen], columns.innovation[k].flatten().double()[seen]
        z = A.mT @ torch.linalg.solve(A @ A.mT + R, d - g[seen])
        assert torch.allclose(made[k].flatten().double(), G @ z + g, atol=1e-3)
        assert (G @ z).abs().max() > 0.1


def test_vaevar_measures_what_is_lost_and_learns_by_its_bound(space, data) -> None:
    torch.manual_seed(0)
    method, (background, e) = VAEVar(space, latent=3, vae_width=8, sigma=0.5), data
    assert torch.allclose(method.lost, torch.full((20, 1, 1), 0.25))
    method.finish((background[k : k + 2], e[k : k + 2]) for k in (0, 2, 4))  # untrained: it makes nothing
    expected = (e.square() * space.area).mean((0, 2, 3))
    assert torch.allclose(method.lost.flatten(), expected, rtol=1e-4)
    # -2 sigma^2 log p(e | z) / n and 2 sigma^2 KL / n, by hand; n numbers of a field
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = method.vae.posterior(e)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum((1, 2, 3))
    bound = (e.square() * space.area).mean() + 2 * 0.25 * kl.mean() / (20 * 16 * 32)
    assert torch.allclose(method.loss(background, e, observed(e, space), generator), bound, rtol=1e-4)


def test_vaevar_stops_and_refuses(space, data) -> None:
    method, (background, e) = VAEVar(space, latent=3, vae_width=8, iterations=4).eval(), data
    for k, parameter in enumerate(method.parameters()):
        parameter.data += 0.1 * normal(k, *parameter.shape)
    columns, calls = observed(e, space), []
    with pytest.raises(Cancelled):
        method.increments(background, columns, cancel=lambda: calls.append(0) or len(calls) > 1)
    assert len(calls) == 2
    with pytest.raises(PhysLabError, match="3 members of VAEVar"):
        method.increments(background, columns, 3)
    for wrong in ({"sigma": 0.0}, {"iterations": 0}):
        with pytest.raises(PhysLabError, match="pass above 0 and at least 1"):
            VAEVar(space, **wrong)
    with torch.no_grad():  # as analyse calls it
        assert method.increments(background, columns).shape == (6, 1, *space.shape)


def test_vaevar_leaves_no_gradient_in_the_weights(space, data) -> None:
    method, (background, e) = VAEVar(space, latent=3, vae_width=8, iterations=2).eval(), data
    method.increments(background, observed(e, space))
    assert all(p.grad is None for p in method.parameters())


# --- SDA --------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def known() -> tuple[SDA, GaussianDenoiser]:
    """SDA of 2 x 4 x 8 numbers whose denoiser knows their covariance (in the order of the unshuffled points)."""
    space = space_of(2, 4, 8)
    torch.manual_seed(0)
    method = SDA(space, levels=(8, 16), steps=150, iterations=12).eval()
    root = normal(0, 64, 64) / 8 + 0.3 * torch.eye(64)
    denoiser = GaussianDenoiser(0.5 * normal(1, 8, 2, 4), root @ root.mT, method.denoiser.schedule)
    method.denoiser = denoiser
    return method, denoiser


def moments(denoiser: GaussianDenoiser) -> tuple[Tensor, Tensor]:
    """Mean (2, 4, 8) and covariance (64, 64), points in the order of the grid."""
    order = nn.functional.pixel_shuffle(torch.arange(64.0).reshape(1, 8, 2, 4), 2).flatten().long()
    return denoiser.mean.flatten()[order], denoiser.covariance()[order][:, order]


def test_sda_without_observations_draws_from_the_prior(known) -> None:
    method, denoiser = known
    e = torch.zeros(1, 2, 4, 8)
    none = Columns(e, e[:, :1], torch.zeros(1))
    made = method.increments(e, none, 600, torch.Generator().manual_seed(0))
    assert made.shape == (1, 600, 2, 4, 8)
    mean, covariance = moments(denoiser)
    found = made[0].flatten(1)
    assert (found.mean(0) - mean).abs().max() < 5 * (covariance.diagonal().max() / 600).sqrt()
    assert (torch.cov(found.mT) - covariance).square().mean().sqrt() < 0.1 * covariance.square().mean().sqrt() + 0.03


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.6])
def test_sda_with_columns_draws_from_the_posterior(known, noise: float) -> None:
    """The Kalman filter's mean and variances; an exact column counts as one of error 0.1."""
    method, denoiser = known
    mean, P = moments(denoiser)
    truth = mean + torch.linalg.cholesky(P + 1e-6 * torch.eye(64)) @ normal(7, 64)
    e = truth.reshape(1, 2, 4, 8)
    columns = observed(e, method.space, 0.15, noise)
    seen = (columns.mask[0].expand(2, 4, 8).flatten() > 0).nonzero()[:, 0]
    R = max(noise, 0.1) ** 2 * torch.eye(len(seen))
    gain = torch.linalg.solve(P[seen][:, seen] + R, P[seen]).mT
    expected = mean + gain @ (columns.innovation.flatten()[seen] - mean[seen])
    variance = (P - gain @ P[seen]).diagonal()
    made = method.increments(torch.zeros_like(e), columns, 400, torch.Generator().manual_seed(1))[0].flatten(1)
    error = (made.mean(0) - expected).square().mean().sqrt()
    assert error < 0.15 * (mean - expected).square().mean().sqrt() and error < 0.1
    assert abs(float(made.var(0).mean() / variance.mean()) - 1) < 0.15
    assert len(seen) == 10 and made.var(0)[seen].mean() < 0.5 * P.diagonal().mean()


def test_sda_takes_each_sample_by_itself(known) -> None:
    method, _ = known
    e, steps = normal(3, 2, 2, 4, 8), []
    columns = observed(e, method.space, 0.15)
    both = method.increments(e, columns, 2, torch.Generator().manual_seed(0), progress=lambda *s: steps.append(s))
    first = method.increments(e[:1], columns[:1], 2, torch.Generator().manual_seed(0))
    assert torch.equal(both[:1], first) and steps == [(k + 1, 300) for k in range(300)]
    with pytest.raises(Cancelled):
        method.increments(e, columns, cancel=lambda: True)
    with pytest.raises(PhysLabError, match="0 members"):
        method.increments(e, columns, 0)


def test_sda_learns_all_points_by_their_area(space, data) -> None:
    torch.manual_seed(0)
    method, (background, e) = SDA(space, levels=(8, 16)).train(), data
    columns = observed(e, space)
    loss = method.loss(background, e, columns, torch.Generator().manual_seed(0))
    other = method.loss(-background, e, observed(e, space, 0.5, 1.0), torch.Generator().manual_seed(0))
    assert torch.equal(loss, other)  # a prior: neither background nor columns enter
    loss.backward()
    assert method.denoiser.network.last[-1].weight.grad.any()
    # the untrained network names zero, so that the loss is the area-weighted square of its target
    north = torch.zeros_like(e)
    north[:, :, -2:] = 30 * e[:, :, -2:]
    tropics = torch.zeros_like(e)
    tropics[:, :, 7:9] = north[:, :, -2:]
    with torch.no_grad():
        polar, middle = (
            method.loss(background, x, columns, torch.Generator().manual_seed(0)) for x in (north, tropics)
        )
    assert middle > 3 * polar


@pytest.mark.parametrize("kind", [SLAM, PhyDA, SDA, DiffDA])
def test_grids_that_do_not_halve_are_refused(kind) -> None:
    for H, W in ((15, 32), (16, 31)):
        with pytest.raises(PhysLabError, match=f"states of {H} x {W} points: pass even numbers of both"):
            kind(space_of(2, H, W))
    assert VAEVar(space_of(2, 15, 31), latent=2, vae_width=4).lost.shape == (2, 1, 1)  # pads
