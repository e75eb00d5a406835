"""The likelihood in the latent sampler against the Kalman filter, and optimal interpolation of columns."""

import numpy as np
import pytest
import torch
from torch import nn

from physlab.assimilate import Adas, ColumnOI, Learned, Likelihood, PhyDA, StateSpace
from physlab.assimilate.localisation import gaspari_cohn, sphere_distance
from physlab.assimilate.statespace import Columns, observe_columns
from physlab.diffusion import Denoiser, GaussianDenoiser
from physlab.errors import Cancelled, PhysLabError

C, H, W, LATENT = 2, 8, 16, 3
LATITUDE = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(H)[0]))


@pytest.fixture(scope="module")
def space() -> StateSpace:
    one = torch.ones(C, 1, 1)
    return StateSpace((("t", 500.0), ("q", 500.0)), LATITUDE, np.arange(W) * 360.0 / W, 0 * one, one, one)


def linear(space: StateSpace) -> PhyDA:
    """PhyDA whose latents are N(c, rho^2) to the letter, and whose decoder is a matrix at each latent point."""
    torch.manual_seed(0)
    method = PhyDA(space, LATENT, 8, 8, (8, 16), physics=0.0).eval().requires_grad_(False)
    for parameter in method.encoder.parameters():
        parameter += 0.05 * torch.randn(parameter.shape)
    method.vae.decoder = nn.Sequential(nn.Conv2d(LATENT, 4 * C, 1, bias=False), nn.PixelShuffle(2)).requires_grad_(
        False
    )
    method.rho.copy_(torch.tensor([0.5, 1.0, 1.5])[:, None, None])
    shape = (LATENT, H // 2, W // 2)
    known = GaussianDenoiser(torch.zeros(shape), torch.eye(int(np.prod(shape))), method.denoiser.schedule)

    class Known(Denoiser):
        def forward(self, x, t, condition=None):
            return known(x, t)

    method.denoiser = Known(method.denoiser.network, method.denoiser.schedule)
    return method


def nothing(columns: Columns) -> Columns:
    return Columns(torch.zeros_like(columns.innovation), torch.zeros_like(columns.mask), columns.noise)


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["background", "posterior"])
def test_linear_and_gaussian_it_draws_from_the_kalman_filter(space, prior) -> None:
    method, draw, members = linear(space), torch.Generator().manual_seed(1), 400
    background = torch.randn(1, *space.shape, generator=draw)
    columns = observe_columns(torch.randn(1, *space.shape, generator=draw), 0.15, 0.3, space.area, draw)
    guided = Likelihood.of(method, background, prior=prior, sampler="heun", steps=24, iterations=24)
    guided.lost.copy_(torch.tensor([0.05, 0.2])[:, None, None])
    made = guided.increments(background, columns, members, draw)[0].double()

    centre = method.given(background, nothing(columns) if prior == "background" else columns)[0]
    size = (LATENT, H // 2, W // 2)
    decode = lambda z: method.vae.decode(z.reshape(-1, *size).float(), (H, W)).flatten(1).double()  # noqa: E731
    unit = torch.diag(method.rho.expand(size).flatten())
    G, mean = decode(unit).T, decode(centre)[0]  # x = mean + G u
    seen = columns.mask.bool().expand(1, *space.shape).flatten()
    R = (0.09 + guided.lost.double()).expand(space.shape).flatten()[seen]
    P = G @ G.T
    gain = torch.linalg.solve(P[seen][:, seen] + torch.diag(R), P[seen]).T
    analysis = mean + gain @ (columns.innovation.flatten()[seen].double() - mean[seen])
    variance = (P - gain @ P[seen]).diagonal()

    miss = (made.flatten(1).mean(0) - analysis) / variance.sqrt()
    assert float(miss.square().mean()) < 0.02**2 and float(miss.abs().max()) < 0.1, "the draw from zero is the mean"
    one = torch.cat([guided.increments(background, columns, 1, draw)[0] for _ in range(20)]).double().flatten(1)
    miss = (one.mean(0) - analysis) / (variance / len(one)).sqrt()
    assert 0.4 < float(miss.square().mean()) < 2, "single draws miss it by their sampling error"
    ratio = made.flatten(1).var(0) / variance
    assert abs(float(ratio.mean()) - 1) < 0.08 and abs(float(ratio[seen].mean()) - 1) < 0.1
    plain = decode(centre + 0 * centre)[0]
    assert (analysis - plain).square().mean() > 30 * variance.mean() / members, "the observations say something"


def test_it_is_stored_and_refuses_what_it_cannot_use(space, tmp_path) -> None:
    torch.manual_seed(0)
    method = PhyDA(space, LATENT, 8, 8, (8, 16), physics=0.0).eval().requires_grad_(False)
    for parameter in method.parameters():
        parameter += 0.05 * torch.randn(parameter.shape)
    background = torch.randn(4, *space.shape)
    columns = observe_columns(background, 0.2, 0.1, space.area, torch.Generator().manual_seed(0))
    guided = Likelihood.of(method, background, steps=3, iterations=2)
    draws = guided.increments(background[:2], columns[:2], 3, torch.Generator().manual_seed(2))
    assert draws.shape == (2, 3, *space.shape) and (draws[:, 0] - draws[:, 1]).abs().max() > 0.01
    assert float(guided.lost.min()) > 0
    again = Learned.load(guided.save(tmp_path / "guided"))
    assert isinstance(again, Likelihood) and again.arguments["prior"] == "background"
    assert torch.equal(again.increments(background[:2], columns[:2], 3, torch.Generator().manual_seed(2)), draws)
    blind = guided.increments(background[:1], nothing(columns[:1]), 2, torch.Generator().manual_seed(2))
    assert torch.isfinite(blind).all()
    calls = []
    with pytest.raises(Cancelled):
        guided.increments(background[:1], columns[:1], 2, cancel=lambda: calls.append(0) or len(calls) > 1)
    steps = []
    guided.increments(background[:2], columns[:2], 1, progress=lambda *now: steps.append(now))
    assert steps == [(k + 1, 6) for k in range(6)]
    with pytest.raises(PhysLabError, match="Adas draws no latents: a likelihood takes phyda or slam"):
        Likelihood.of(Adas(space, 8, (1.0, 1.0)), background)
    with pytest.raises(PhysLabError, match="prior"):
        Likelihood.of(method, background, prior="flat")


def test_oi_of_columns_is_the_formula(space) -> None:
    increment = torch.randn(2, *space.shape, generator=torch.Generator().manual_seed(0))
    columns = observe_columns(increment, 0.1, 0.5, space.area, torch.Generator().manual_seed(1))
    method = ColumnOI(space, radius=3e6)
    made = method.increments(0 * increment, columns)[:, 0]
    places = torch.tensor([[a, b] for a in LATITUDE for b in space.longitude])
    rho = gaspari_cohn(sphere_distance(places, places), 3e6)
    seen = columns.mask[1, 0].flatten() > 0
    gain = rho[:, seen] @ torch.linalg.inv(rho[seen][:, seen] + 0.25 * torch.eye(int(seen.sum())))
    expected = gain.float() @ columns.innovation[1].flatten(1)[:, seen].T
    assert torch.allclose(made[1].flatten(1).T, expected, atol=1e-4)
    assert not method.increments(0 * increment, nothing(columns)).any()
    with pytest.raises(PhysLabError, match="radius 0 m"):
        ColumnOI(space, radius=0)
