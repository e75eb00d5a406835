"""The chapter on diffusion: denoisers, samplers and guides against what is known exactly."""

from __future__ import annotations

import math

import pytest
import torch
from matplotlib.figure import Figure

from physlab.data.patches import sr_pairs
from physlab.diffusion import Euler, GaussianDenoiser, Heun, NoiseSchedule
from physlab.teach import diffusion
from physlab.teach.diffusion import RING, TWO, analysis, fields, levels


def test_denoiser_is_the_mean_of_what_could_hide():
    generator = torch.Generator().manual_seed(0)
    clean = TWO.draw(400_000, generator)
    noisy = clean + 0.8 * torch.randn(clean.shape, generator=generator)
    near = (noisy - 0.3).abs() < 0.02
    at = torch.full((1, 1), 0.3).double()
    assert float(TWO.denoise(at, 0.8)) == pytest.approx(float(clean[near].mean()), abs=0.03)
    assert float(TWO.left_open(at, 0.8)) == pytest.approx(float(clean[near].var()), abs=0.05)
    slope = (TWO.denoise(at + 1e-4, 0.8) - TWO.denoise(at - 1e-4, 0.8)) / 2e-4
    assert float(0.8**2 * slope) == pytest.approx(float(TWO.left_open(at, 0.8)), rel=1e-4)
    line = torch.linspace(-8, 8, 2001).double()[:, None]
    assert float(TWO.density(line, 0.8).sum() * 0.008) == pytest.approx(1, abs=1e-4)


def test_samplers_are_those_of_the_library():
    exact = GaussianDenoiser(torch.zeros(1).double(), torch.eye(1).double(), NoiseSchedule("edm", 0.02, 20.0))
    start = torch.tensor([[20.0], [-7.0]]).double()
    for ours, theirs in ((diffusion.euler, Euler), (diffusion.heun, Heun)):
        wanted = theirs(exact, 9)(start=start)
        assert torch.allclose(ours(lambda u, r: u / (1 + r**2), start, levels(9)), wanted, atol=1e-6)


def test_orders_and_a_bell_that_is_returned():
    found = diffusion.orders((64, 128))
    assert (found.loc[64] / found.loc[128]).tolist() == pytest.approx([2, 4], abs=0.1)
    assert diffusion.by_steps((64,)).loc[64].tolist() == pytest.approx([0.97, 1.0, 0.95], abs=0.02)


def test_right_guidance_returns_the_posterior_of_one_bell():
    one = diffusion.Mixture(torch.zeros(1, 1).double(), torch.ones(1).double(), 1.0)
    start = math.sqrt(401) * torch.tensor([[-1.0], [0.0], [1.0]]).double()
    for name, guide in analysis.GUIDES.items():
        low, middle, high = diffusion.heun(diffusion.guided(one, 0.6, 0.8, guide), start, levels(200))
        exact = diffusion.posterior(one, 0.6, 0.8)
        right = abs(float(high - low) / 2 / exact.width - 1) < 0.01 and abs(float(middle - exact.centres)) < 0.02
        assert right is (name == "V = what is left open")


def test_the_law_holds_for_what_is_drawn_and_not_for_means():
    start = 20 * torch.randn((200, 2), generator=torch.Generator().manual_seed(1)).double()
    drawn = diffusion.heun(RING.denoise, start, levels(24))
    assert diffusion.off_ring(drawn) < 0.06 < diffusion.off_ring(RING.denoise(drawn, 0.7))


def test_networks_learn_and_fields_are_measured():
    assert diffusion.learn(TWO.draw, 1, steps=3)(torch.zeros(4, 1), 1.0).shape == (4, 1)
    patches = diffusion.Patches.of(sr_pairs("tcw", factor=4))
    assert patches.known.shape == (16384, 1, 16, 16) and abs(float(patches.known.std()) - 1) < 1e-3
    prior = diffusion.gaussian(patches.known)
    drawn = prior.sample(400, torch.Generator().manual_seed(0))[:, 0][:, None]
    assert diffusion.kurtosis(drawn) == pytest.approx(3, abs=0.2)
    model = fields.train(patches.known, steps=2, batch=2)
    assert model(drawn[:2].float(), 1.0).shape == (2, 1, 16, 16)
    assert isinstance(diffusion.draw_fields({"a": drawn, "b": patches.held}), Figure)
    assert isinstance(diffusion.draw_power({"a": drawn, "b": patches.held}), Figure)


def test_pictures():
    made = [diffusion.draw_noising(0.7), diffusion.draw_denoiser(TWO.denoise, 0.7), diffusion.draw_score(0.5)]
    made += [diffusion.draw_paths(diffusion.heun, 4, "Heun"), diffusion.draw_orders(diffusion.orders((16, 32)))]
    made += [diffusion.draw_guides(0.6, 0.8), diffusion.draw_ring({"a": RING.draw(9, torch.Generator())}, 0.5)]
    assert all(isinstance(fig, Figure) for fig in [*made, diffusion.draw_method()])
