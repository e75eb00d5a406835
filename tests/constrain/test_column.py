"""The moist hydrostatic column against numbers by hand, an optimiser of others, and its own promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import physlab
from physlab.constrain import COUPLINGS, LAYERS, make_constraint
from physlab.constrain.coupled.column import levels_of
from physlab.equations import hydrostatic, saturation
from physlab.equations.energy import moist_static
from physlab.errors import CoarseningError, PhysLabError
from physlab.grid import coarsen, refine

NAMES = ("q_925", "t_925", "z_925", "q_850", "t_850", "z_850", "u_850")


def raw_and_coarse(dtype=torch.float64, scales=None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A raw state with too much and too little water in places, coarse values of another, and cell areas."""
    rng = torch.Generator().manual_seed(0)

    def noise(size: float) -> torch.Tensor:
        return size * torch.randn(3, 16, 16, generator=rng, dtype=torch.float64)

    weights = torch.linspace(0.5, 1.5, 16, dtype=torch.float64)[:, None].expand(16, 16)
    t = 285.0 + refine(3 * torch.randn(3, 4, 4, generator=rng, dtype=torch.float64), 4)
    parts = {"q_925": 0.005 + noise(4e-3), "t_925": t + noise(2), "z_925": 7000 + noise(200),
             "q_850": 4e-3 + noise(4e-3), "t_850": t - 5 + noise(2),
             "z_850": 14000 + noise(200), "u_850": noise(8)}  # fmt: skip
    raw = torch.stack([parts[name] for name in NAMES], 1)
    coarse = coarsen(raw, 4, weights)
    for i, name in enumerate(NAMES):
        if name[0] == "q":
            coarse[:, i] = coarse[:, i].clamp_min(1e-4)
    coarse[0, 0, 0, 0] = 0.0  # a dry block
    return raw.to(dtype), coarse.to(dtype), weights.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_laws_hold(dtype) -> None:
    raw, coarse, weights = raw_and_coarse(dtype)
    layer = make_constraint("column", 4, variables=NAMES)
    fine = layer(raw, coarse, weights)
    assert fine.dtype == dtype
    exact, given, area = fine.double(), coarse.double(), weights.double()
    size = given.abs().mean((0, 2, 3))[:, None, None]
    assert float(((coarsen(exact, 4, area) - given) / size).abs().max()) < 1e-6
    one = dict(zip(NAMES, exact.unbind(1), strict=True))
    for p in (925, 850):
        q, top = one[f"q_{p}"], saturation.humidity(one[f"t_{p}"], 100.0 * p)
        full = coarsen(top, 4, area) <= given[:, NAMES.index(f"q_{p}")]
        assert (
            float(q.min()) >= 0 and float((q / top)[~refine(full[:, None].double(), 4)[:, 0].bool()].max()) < 1 + 1e-5
        )
    z, t, q = (torch.stack([one[f"{k}_925"], one[f"{k}_850"]], -3) for k in "ztq")
    left = hydrostatic.residual(z, t, torch.tensor([925.0, 850.0]), q)
    uneven = left - refine(coarsen(left, 4, area), 4)
    assert float(uneven.abs().max()) < 1e-5 * 6600  # of the thickness
    # the energy as linear as it is: nothing is left to do; exactly: the covariance times c_pv - c_pd
    names = [NAMES.index(f"{k}_850") for k in "tqz"]
    parts, blocks = (tuple(x[:, i] for i in names) for x in (exact, given))
    h, coarse_h = moist_static(*parts), moist_static(*blocks)
    assert float((coarsen(h, 4, area) / coarse_h - 1).abs().max()) < 1e-6
    gap = coarsen(moist_static(*parts, exact=True), 4, area) - moist_static(*blocks, exact=True)
    anomalies = [x - refine(coarsen(x, 4, area), 4) for x in parts[:2]]
    covariance = coarsen(anomalies[0] * anomalies[1], 4, area)
    assert float((gap - (1846.1 - 1004.709) * covariance).abs().max()) < (1e-6 if dtype == torch.float64 else 0.5)
    assert float(gap.abs().max()) < 1e-4 * float(coarse_h.mean())


def test_humidity_is_the_nearest_that_obeys() -> None:
    """Against a general optimiser on one block with unequal cells."""
    rng = np.random.default_rng(1)
    t, raw = 280 + rng.normal(0, 3, 16), rng.normal(6e-3, 4e-3, 16)
    area = rng.uniform(0.5, 1.5, 16)
    top = saturation.humidity(torch.from_numpy(t), 85000.0).numpy()
    mean = 0.9 * np.average(top, weights=area)
    unit = 1e-3  # g kg-1, so that an optimiser is at ease
    found = minimize(
        lambda q: np.sum(area * (q - raw / unit) ** 2), np.full(16, mean / unit),
        jac=lambda q: 2 * area * (q - raw / unit), bounds=[(0, s / unit) for s in top], method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
        constraints={"type": "eq", "fun": lambda q: np.average(q, weights=area) - mean / unit,
                     "jac": lambda q: area / area.sum()},
    )  # fmt: skip
    assert found.success
    block = torch.tensor(np.stack([raw, t])).reshape(2, 4, 4)
    coarse = torch.tensor([[[mean]], [[np.average(t, weights=area)]]])
    layer = make_constraint("column", 4, weights=torch.tensor(area).reshape(4, 4), variables=("q_850", "t_850"))
    made = layer(block, coarse)[0].flatten().numpy()
    np.testing.assert_allclose(made, unit * found.x, atol=1e-8)
    assert 0 < np.isclose(made, top).sum() < 16


def test_what_cannot_be_keeps_the_water_and_says_so_by_its_values() -> None:
    """More than saturation everywhere: the same excess in all cells; less than nothing: the same in all cells."""
    t = torch.tensor([[280.0, 282.0], [284.0, 286.0]], dtype=torch.float64)
    raw = torch.stack([torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64) * 1e-3, t])
    layer = make_constraint("column", 2, variables=("q850", "t850"))
    top = saturation.humidity(t, 85000.0)
    for held, least in ((float(top.mean()) + 1e-3, top), (-2e-3, torch.zeros_like(top))):
        fine = layer(raw, torch.tensor([[[held]], [[283.0]]], dtype=torch.float64))[0]
        assert float(fine.mean()) == pytest.approx(held, rel=1e-9)
        assert float((fine - least).std()) < 1e-12


@pytest.mark.slow
def test_gradients_are_those_of_the_formula() -> None:
    raw, coarse, weights = raw_and_coarse()
    layer = make_constraint("column", 2, variables=NAMES, scales=[1e-3, 10, 1e3, 1e-3, 10, 1e3, 5])
    x = (raw[:1, :, :4, :4] / torch.tensor(layer.scales)[:, None, None]).double().requires_grad_()
    y = coarsen(raw[:1, :, :4, :4], 2) / torch.tensor(layer.scales)[:, None, None].double()
    y = y.clamp_min(0.1).requires_grad_()
    assert torch.autograd.gradcheck(layer, (x, y), eps=1e-6, atol=1e-4, rtol=1e-3)


def test_the_truth_of_the_laboratory_is_kept_but_for_what_it_lacks_itself() -> None:
    """Over the sea, where the levels are above the ground, the laws are nearly those of the simulation."""
    ds = physlab.open_dataset("nature-states").isel(time=[3, 9], latitude=slice(20, 52), longitude=slice(40, 72))
    names = ("q_925", "t_925", "z_925", "q_850", "t_850", "z_850")
    truth = torch.stack([torch.from_numpy(ds[n[0]].sel(level=int(n[2:])).values) for n in names], 1)
    fine = make_constraint("column", 4, variables=names)(truth, coarsen(truth, 4))
    within = (truth - refine(coarsen(truth, 4), 4)).square().mean((0, 2, 3)).sqrt()
    moved = (fine - truth).square().mean((0, 2, 3)).sqrt() / within
    assert float(moved[[1, 4]].max()) < 1e-4  # temperature
    assert float(moved[[0, 3]].max()) < 0.02 and float(moved[[2, 5]].max()) < 0.1  # humidity, heights


def test_refusals_name_what_came() -> None:
    assert set(COUPLINGS).isdisjoint(LAYERS)
    assert [level.pressure for level in levels_of(NAMES)] == [925.0, 850.0]
    with pytest.raises(PhysLabError, match="it couples t_850 with q_850"):
        make_constraint("column", 4, variables=("u_850", "v_850"))
    with pytest.raises(PhysLabError, match="one scale > 0 for each variable"):
        make_constraint("column", 4, variables=NAMES, scales=[1.0])
    layer = make_constraint("column", 4, variables=("q_850", "t_850"))
    with pytest.raises(CoarseningError, match=r"pass \(..., 2, H, W\)"):
        layer(torch.zeros(1, 8, 8), torch.zeros(1, 2, 2))
