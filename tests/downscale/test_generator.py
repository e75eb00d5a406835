"""The weather generator: it finds the parameters it was made with, and its climate is that of the training block."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import stats

from physlab.data.patches import make_pairs
from physlab.downscale import Statistical, WeatherGenerator
from physlab.downscale.generator import gamma_quantiles
from physlab.errors import PhysLabError

THRESHOLD = 0.1


def rain(times: int, sites: int, amount: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Predictors (T, C, 2) and rain (T, C) with known parameters: memory 1.5, amounts that depend on the first."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(times, sites, 2))
    out = np.zeros((times, sites))
    wet = np.zeros(sites, bool)
    for t in range(times):
        p = 1 / (1 + np.exp(-(-1.0 + 0.8 * x[t, :, 0] + 1.5 * wet)))
        wet = rng.uniform(size=sites) < p
        mean = np.exp(0.5 + 0.4 * x[t, :, 0])
        if amount == "gamma":
            excess = mean * rng.gamma(1.25, 0.8, sites)
        else:
            excess = mean * np.exp(0.7 * rng.normal(size=sites) - 0.245)
        out[t] = np.where(wet, THRESHOLD + excess, 0.0)
    return x, out


@pytest.mark.parametrize("amount", ["gamma", "lognormal"])
def test_climate_of_the_training_block_comes_back(amount):
    x, series = rain(1500, 4, amount)
    method = WeatherGenerator(amount=amount, threshold=THRESHOLD).fit_series(x, series, pool=np.zeros(4))
    members = method.generate(x, members=20, generator=torch.Generator().manual_seed(0))
    assert members.shape == (20, 1500, 4)
    wet, made = series > THRESHOLD, members > THRESHOLD
    error = 4 * np.sqrt(wet.mean() * (1 - wet.mean()) / series.size * 2)  # four standard errors, memory included
    assert abs(made.mean() - wet.mean()) < error
    amounts, theirs = series[wet], members[made]
    assert abs(theirs.mean() / amounts.mean() - 1) < 4 * amounts.std() / amounts.mean() / np.sqrt(len(amounts))
    assert abs(theirs.var() / amounts.var() - 1) < 0.25
    assert stats.ks_2samp(theirs, amounts).statistic < 0.03
    # after a wet step it rains more often, as often as in the block
    given = [(w[1:] & w[:-1]).sum() / w[:-1].sum() for w in (wet, made[0])]
    assert abs(given[0] - given[1]) < 0.04 and given[0] > wet.mean() + 0.1
    # the mean of the members follows the predictors
    assert np.corrcoef(members.mean(0).ravel(), series.ravel())[0, 1] > 0.25


def test_parameters_are_found():
    x, series = rain(4000, 4, "gamma", seed=1)
    method = WeatherGenerator(threshold=THRESHOLD, penalty=1e-6).fit_series(x, series, pool=np.zeros(4))
    a = method.arrays
    np.testing.assert_allclose(a["occur"][0] / a["x_scale"], [0.8, 0.0], atol=0.1)
    np.testing.assert_allclose(a["memory"][0], 1.5, atol=0.15)
    np.testing.assert_allclose(a["amount"][0] / a["x_scale"], [0.4, 0.0], atol=0.05)
    np.testing.assert_allclose(a["spread"][0], 0.8, atol=0.08)


def test_without_memory_a_wet_step_says_nothing_about_the_next():
    x, series = rain(1500, 2, "gamma")
    method = WeatherGenerator(memory=False, threshold=THRESHOLD).fit_series(np.zeros((1500, 1)), series)
    made = method.generate(np.zeros((1500, 1)), members=4, generator=torch.Generator().manual_seed(0)) > 0
    assert abs((made[:, 1:] & made[:, :-1]).sum() / made[:, :-1].sum() - made.mean()) < 0.03


def test_inflation_widens_the_amounts_and_keeps_their_mean():
    x, series = rain(1500, 4, "gamma")
    made = []
    for inflation in (0.0, 1.0, 2.0):
        method = WeatherGenerator(inflation=inflation, threshold=THRESHOLD).fit_series(x * 0, series, np.zeros(4))
        y = method.generate(x * 0, members=10, generator=torch.Generator().manual_seed(0))
        made.append(y[y > 0] - THRESHOLD)
    assert made[0].std() < 1e-9
    assert abs(made[2].var() / made[1].var() - 2) < 0.2
    assert abs(made[2].mean() / made[1].mean() - 1) < 0.03


def test_sites_that_rain_together_do_so_in_the_members():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(2000, 1))
    score = np.concatenate([0.9 * common + 0.436 * rng.normal(size=(2000, 3)), rng.normal(size=(2000, 1))], 1)
    series = np.where(score > 0.3, THRESHOLD + np.exp(score), 0.0)
    x = np.zeros((2000, 1))
    for coherent, wanted in ((True, 0.4), (False, 0.0)):
        method = WeatherGenerator(coherent=coherent, memory=False, threshold=THRESHOLD).fit_series(x, series)
        wet = method.generate(x, members=1, generator=torch.Generator().manual_seed(0))[0] > 0
        together, alone = np.corrcoef(wet[:, 0], wet[:, 1])[0, 1], np.corrcoef(wet[:, 0], wet[:, 3])[0, 1]
        assert abs(together - wanted) < 0.1, together  # the series themselves have 0.57: random ranks weaken it
        assert abs(alone) < 0.1
        np.testing.assert_allclose(wet.mean(0), (series > 0).mean(0), atol=0.05)


@pytest.mark.parametrize("dispersion", [0.05, 0.8, 5.0])
def test_gamma_quantiles_are_scipy(dispersion):
    score = np.linspace(-3, 4, 30)
    want = stats.gamma.ppf(stats.norm.cdf(score), 1 / dispersion, scale=dispersion)
    np.testing.assert_allclose(gamma_quantiles(dispersion, score), want, rtol=1e-6, atol=1e-12)


def test_dry_and_always_wet_sites():
    x, series = rain(200, 3, "gamma")
    series[:, 0], series[:, 1] = 0.0, series[:, 1] + 1.0
    made = WeatherGenerator(threshold=THRESHOLD).fit_series(x, series).generate(x, 3, torch.Generator().manual_seed(0))
    assert np.isfinite(made).all() and (made[..., 0] > 0).mean() < 0.02 and (made[..., 1] > 0).mean() > 0.98


def fields(times: int = 120):
    rng = np.random.default_rng(4)
    waves = np.zeros((times, 8, 12))
    score = rng.normal(size=(times, 2, 3))
    for t in range(1, times):
        score[t] = 0.8 * score[t - 1] + 0.6 * score[t]
    waves = np.kron(score, np.ones((4, 4))) + 0.7 * rng.normal(size=waves.shape)
    values = np.where(waves > 0.4, np.exp(waves), 0.0)
    time = np.datetime64("2020-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h")
    coords = {"time": time, "latitude": 50.0 - np.arange(8.0), "longitude": np.arange(12.0)}
    da = xr.DataArray(values, coords, ("time", "latitude", "longitude"), "tp", {"units": "kg m-2"})
    return make_pairs(da, 4, {"train": 0.7, "test": 0.3}, gap=12.0)


@pytest.mark.parametrize("per", ["cell", "child"])
def test_on_pairs_of_fields(per, tmp_path):
    data = fields()
    method = WeatherGenerator(per=per, share=1.0).fit(data)
    coarse = data.coarse["train"]
    members = method.sample(coarse, members=6, generator=torch.Generator().manual_seed(0))
    assert members.shape == (6, *data.fine["train"].shape) and (members >= 0).all()
    truth, wet = data.fine["train"], data.fine["train"] > 0.1
    assert abs(float((members > 0).float().mean() - wet.float().mean())) < 0.03
    assert abs(float(members.mean() / truth.mean()) - 1) < 0.06
    assert abs(float(members[members > 0].var() / truth[wet].var()) - 1) < 0.35
    # the expectation is that of the members; far more of them, so that chance does not matter
    expected = method.predict(data.coarse["test"])
    many = method.sample(data.coarse["test"], members=60, generator=torch.Generator().manual_seed(1)).mean(0)
    assert abs(float(many.mean() / expected.mean()) - 1) < 0.1
    again = Statistical.load(method.save(tmp_path / "g"))
    assert torch.equal(again.predict(data.coarse["test"]), expected)
    twice = [m.sample(coarse, members=2, generator=torch.Generator().manual_seed(3)) for m in (method, again)]
    assert torch.equal(*twice)


def test_refused():
    data = fields()
    with pytest.raises(PhysLabError, match="not fitted"):
        WeatherGenerator().generate(np.zeros((5, 2)))
    data.longitude["train"][3] += 1
    with pytest.raises(PhysLabError, match="one place"):
        WeatherGenerator().fit(data)
    with pytest.raises(PhysLabError, match="gamma"):
        WeatherGenerator(amount="normal")
    fitted = WeatherGenerator(share=1.0).fit_series(np.zeros((9, 2)), np.ones((9, 3)))
    with pytest.raises(PhysLabError, match="2 were learned"):
        fitted.generate(np.zeros((9, 4)))
    with pytest.raises(PhysLabError, match="non-negative"):
        WeatherGenerator().fit_series(np.zeros((9, 2)), -np.ones((9, 3)))
    warm = xr.DataArray(
        280 + np.random.default_rng(0).normal(size=(40, 8, 8)),
        {"time": np.datetime64("2020-01-01", "ns") + np.arange(40) * np.timedelta64(6, "h"),
         "latitude": np.arange(8.0), "longitude": np.arange(8.0)}, ("time", "latitude", "longitude"), "t2m",
    )  # fmt: skip
    with pytest.raises(PhysLabError, match="StochasticRegression"):
        WeatherGenerator(share=1.0).fit(make_pairs(warm, 4, {"train": 0.6, "test": 0.4}, gap=12.0))
