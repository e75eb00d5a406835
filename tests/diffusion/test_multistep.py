"""The multistep sampler: exact where it must be, its order, and few calls on a mixture beside DDIM."""

from __future__ import annotations

import math

import pytest
import torch

from physlab.benchmark.samplers import ring, sliced_wasserstein, start
from physlab.diffusion import DDIM, AdamsBashforth, GaussianDenoiser, NoiseSchedule, steps_by_spread
from physlab.errors import PhysLabError


@pytest.mark.parametrize("kind", ["edm", "cosine"])
def test_few_calls_on_a_mixture(kind: str) -> None:
    """Beside the flow itself (many steps from the same start) the distance is a third of DDIM's with 8 and 16 calls."""
    denoiser = ring(kind=kind)
    x = start(denoiser, 2000)
    exact = AdamsBashforth(denoiser, 300)(start=x)
    for calls in (8, 16):
        ours, ddim = (
            sliced_wasserstein(sampler(denoiser, calls)(start=x), exact) for sampler in (AdamsBashforth, DDIM)
        )
        assert ours < 0.36 * ddim, f"{calls} calls: {ours:.3f}, DDIM {ddim:.3f}"


def test_one_value_is_ddim() -> None:
    denoiser = ring()
    x = start(denoiser, 50)
    torch.testing.assert_close(AdamsBashforth(denoiser, 9, order=1)(start=x), DDIM(denoiser, 9)(start=x))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_order_of_convergence(order: int) -> None:
    """On a Gaussian, where the flow is known; uniform in r, stopped at a noise that is not small."""
    covariance = torch.tensor([[2.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance, NoiseSchedule("edm"))
    x = start(ring(), 20) / 20
    values, vectors = torch.linalg.eigh(covariance)
    steps = {"grid": "log", "denoise_last": False}
    high, low = (float(denoiser.schedule.ratio(t)) for t in (denoiser.schedule.t_max, denoiser.schedule.t_min))
    exact = (x @ vectors * ((values + low**2) / (values + high**2)).sqrt()) @ vectors.T
    errors = [
        float((AdamsBashforth(denoiser, n, order=order, **steps)(start=x) - exact).abs().max()) for n in (160, 320)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.35)


def test_calls_do_not_know_each_other() -> None:
    denoiser, counted = ring(), []
    sampler = AdamsBashforth(denoiser, 6)
    x = start(denoiser, 10)
    first = sampler(start=x)
    torch.testing.assert_close(sampler(start=x, progress=lambda done, total, _: counted.append(done)), first)
    assert counted == [1, 2, 3, 4, 5, 6] and not hasattr(sampler, "_past")
    with pytest.raises(PhysLabError, match="pass 1"):
        AdamsBashforth(denoiser, 6, order=4)


def test_steps_are_chosen_by_the_spread() -> None:
    denoiser = ring()
    x = start(denoiser, 300)
    chosen, spread = steps_by_spread(lambda steps: AdamsBashforth(denoiser, steps)(start=x), (4, 8, 16, 64), 0.02)
    assert chosen in (8, 16) and abs(spread[4] / spread[64] - 1) > 0.02 >= abs(spread[chosen] / spread[64] - 1)
    with pytest.raises(PhysLabError, match="at least 2"):
        steps_by_spread(lambda steps: x[:1], (4, 8))


def test_the_models_that_draw_take_it() -> None:
    import physlab

    model = physlab.load_model("nature-t-low-x4-s0")
    model.sampler, model.steps = "adams", 8
    assert isinstance(model.make_sampler(), AdamsBashforth)
    analysis = physlab.load_model("phyda-s0")
    analysis.sampler = "adams"
    assert isinstance(analysis.make_sampler(analysis.denoiser), AdamsBashforth)
