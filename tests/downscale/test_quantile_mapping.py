"""Quantile mapping maps distributions, keeps known changes of climate, and agrees with closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import stats

from physlab.data.patches import SRData, make_pairs
from physlab.downscale import BCSD, EmpiricalQuantileMapping, QuantileDeltaMapping
from physlab.downscale.quantile import drawn_for, map_values, quantile_table
from physlab.errors import PhysLabError


def pairs(times: int = 900, seed: int = 0) -> SRData:
    """Noise on (8, 8), skewed, each cell with its own scale: interpolation is far too smooth."""
    rng = np.random.default_rng(seed)
    scale = np.linspace(1, 3, 64).reshape(8, 8)
    fields = scale * (rng.gamma(2.0, 1.0, (times, 1, 1)) + rng.gamma(1.0, 2.0, (times, 8, 8)))
    time = np.datetime64("2020-01-01", "ns") + np.arange(times) * np.timedelta64(24, "h")
    coords = {"time": time, "latitude": 50.0 - np.arange(8.0), "longitude": np.arange(8.0)}
    field = xr.DataArray(fields, coords, ("time", "latitude", "longitude"), "tcw", {"units": "kg m-2"})
    return make_pairs(field, 4, {"train": 0.6, "test": 0.4}, gap=48.0)


DATA = pairs()


def test_a_table_maps_one_distribution_onto_another():
    rng = np.random.default_rng(0)
    source, target = rng.gamma(2.0, 1.0, 4000), rng.normal(10, 3, 4000)
    q = np.linspace(0, 1, 201)
    mapped = map_values(rng.gamma(2.0, 1.0, 4000), np.quantile(source, q), np.quantile(target, q))
    assert stats.ks_2samp(mapped, target).statistic < 0.04
    exact = stats.norm.ppf(stats.gamma.cdf([1.0, 2.0, 4.0], 2.0), 10, 3)  # the map in closed form
    np.testing.assert_allclose(
        map_values(np.array([1.0, 2, 4]), np.quantile(source, q), np.quantile(target, q)), exact, atol=0.3
    )


def test_a_table_is_monotone_and_keeps_the_outermost_correction():
    source, target = np.array([0.0, 0.0, 1.0, 2.0]), np.array([1.0, 3.0, 4.0, 8.0])
    x = np.linspace(-2, 5, 50)
    y = map_values(x, source, target)
    assert (np.diff(y) >= 0).all()
    np.testing.assert_allclose(map_values(np.array([0.0, 2.0, 5.0, -1.0]), source, target), [2.0, 8.0, 11.0, 1.0])
    np.testing.assert_allclose(map_values(x, source, source), np.where(x < 0, x, x))


def test_tables_are_numpy_quantiles():
    fields = np.random.default_rng(0).normal(size=(30, 3, 5))
    np.testing.assert_allclose(quantile_table(fields, 5, False)[1], np.quantile(fields, 0.25, axis=0))
    np.testing.assert_allclose(quantile_table(fields, 5, True)[3, 2], np.quantile(fields[:, 2], 0.75))


@pytest.mark.parametrize("per", ["cell", "child"])
def test_distributions_are_those_of_the_truth_after_mapping(per):
    method = EmpiricalQuantileMapping(per=per, share=1.0).fit(DATA)
    truth = DATA.fine["test"][:, 0].numpy()
    before = EmpiricalQuantileMapping._up(method, DATA.coarse["test"][:, 0].double().numpy())
    after = method.predict(DATA.coarse["test"])[:, 0].numpy()
    for cut in (lambda y: y[:, 0].ravel(), lambda y: y[:, 7].ravel()):  # a row of latitude
        distance = [stats.ks_2samp(cut(y), cut(truth)).statistic for y in (before, after)]
        assert distance[1] < 0.09 and distance[1] < 0.7 * distance[0]
    if per == "cell":
        distance = [stats.ks_2samp(y[:, 3, 0], truth[:, 3, 0]).statistic for y in (before, after)]
        assert distance[1] < 0.1 and distance[1] < 0.8 * distance[0]


def test_rows_do_not_know_the_cells():
    """Pooled by latitude, the mean over a row is right and the difference of two of its cells is lost."""
    truth = DATA.fine["train"][:, 0].mean(0)
    cell, row = (
        EmpiricalQuantileMapping(per=per, share=1.0).fit(DATA).predict(DATA.coarse["train"])[:, 0].mean(0)
        for per in ("cell", "child")
    )
    assert (cell - truth).abs().max() < 0.05 * truth.mean()
    assert (row.mean(1) - truth.mean(1)).abs().max() < 0.05 * truth.mean()
    assert (row - truth).abs().max() > 2 * (cell - truth).abs().max()


@pytest.mark.parametrize("change", ["add", "ratio"])
def test_delta_mapping_keeps_a_known_change(change):
    """The projection is the training block shifted by 5 (or times 1.5): so must every quantile of the result be."""
    method = QuantileDeltaMapping(per="cell", change=change, share=1.0, levels=201).fit(DATA)
    now = DATA.coarse["train"].double()
    then = now + 5 if change == "add" else now * 1.5
    before = method.predict(now)
    after = method.adapt(then).predict(then)
    want = before + 5 if change == "add" else before * 1.5
    torch.testing.assert_close(after, want, rtol=1e-4, atol=1e-3)
    # plain mapping beyond the observed range keeps the change only at the ends
    plain = EmpiricalQuantileMapping(per="cell", share=1.0, levels=201).fit(DATA).predict(then)
    assert (plain - want).abs().mean() > 0.3


def test_delta_mapping_without_a_change_is_empirical_mapping():
    plain = EmpiricalQuantileMapping(per="cell", share=1.0).fit(DATA).predict(DATA.coarse["test"].double())
    delta = QuantileDeltaMapping(per="cell", share=1.0).fit(DATA).predict(DATA.coarse["test"].double())
    inside = DATA.coarse["test"].double()
    torch.testing.assert_close(delta, plain, atol=1e-6, rtol=1e-6)
    assert torch.isfinite(delta).all() and inside.shape[0] == delta.shape[0]


def test_delta_mapping_takes_inputs_of_its_period_and_no_truth():
    method = QuantileDeltaMapping(per="cell", period="test").fit(DATA, seed=0)
    data = pairs()
    data.fine["test"].zero_()
    torch.testing.assert_close(
        QuantileDeltaMapping(per="cell", period="test").fit(data, seed=0).predict(DATA.coarse["test"]),
        method.predict(DATA.coarse["test"]),
    )
    with pytest.raises(PhysLabError, match="'val' is not loaded"):
        QuantileDeltaMapping(period="val").fit(DATA)


@pytest.mark.parametrize("change", ["add", "ratio"])
def test_disaggregation_of_the_mean_is_the_fine_climate(change):
    method = BCSD(per="cell", change=change, share=1.0).fit(DATA)
    climate = DATA.coarse["train"].double().mean(0)
    torch.testing.assert_close(method.predict(climate), DATA.fine["train"].double().mean(0), rtol=1e-6, atol=1e-6)


def test_disaggregation_removes_the_bias_of_a_model():
    method = BCSD(per="cell", share=1.0).fit(DATA)
    clean = method.predict(DATA.coarse["test"].double())
    biased = DATA.coarse["train"].double() * 0.5 + 20.0
    method.adapt(biased)
    torch.testing.assert_close(method.predict(DATA.coarse["test"].double() * 0.5 + 20.0), clean, rtol=0.02, atol=1.5)
    distance = stats.ks_2samp(
        method.correct(biased[:, 0].numpy())[:, 0, 0], DATA.coarse["train"][:, 0, 0, 0].numpy()
    ).statistic
    assert distance < 0.02


def test_settings_and_unfitted():
    for make in (lambda: BCSD(change="sum"), lambda: QuantileDeltaMapping(change="sum"),
                 lambda: EmpiricalQuantileMapping(per="row"), lambda: EmpiricalQuantileMapping(levels=1)):  # fmt: skip
        with pytest.raises(PhysLabError):
            make()
    with pytest.raises(PhysLabError, match="not fitted"):
        QuantileDeltaMapping().adapt(torch.zeros(3, 2, 2))


def rain(dry: float, times: int = 600, seed: int = 0) -> SRData:
    """Daily rain on (8, 8), whole fields dry on a share of the days."""
    rng = np.random.default_rng(seed)
    fields = np.where(rng.random((times, 1, 1)) < dry, 0.0, rng.gamma(0.8, 5.0, (times, 8, 8)))
    time = np.datetime64("2020-01-01", "ns") + np.arange(times) * np.timedelta64(24, "h")
    coords = {"time": time, "latitude": 50.0 - np.arange(8.0), "longitude": np.arange(8.0)}
    field = xr.DataArray(fields, coords, ("time", "latitude", "longitude"), "tp", {"units": "kg m-2"})
    return make_pairs(field, 4, {"train": 0.7, "test": 0.3}, gap=48.0, non_negative=True)


@pytest.mark.parametrize(("dry", "of_model"), [(0.21, 0.6), (0.55, 0.05)], ids=["drier", "wetter"])
def test_a_model_rains_as_often_as_observed(dry, of_model):
    truth, model = rain(dry), rain(of_model, seed=1)
    method = BCSD(per="cell", change="ratio", share=1.0).fit(truth).adapt(model.coarse["train"])
    corrected = method.correct(model.coarse["train"][:, 0].double().numpy())
    wet = (corrected > 0).mean(0) - (truth.coarse["train"][:, 0] > 0).double().mean(0).numpy()
    assert np.abs(wet).max() < 0.02 and corrected.min() >= 0
    again = method.correct(model.coarse["train"][:, 0].double().numpy())
    np.testing.assert_array_equal(corrected, again)
    plain = EmpiricalQuantileMapping(per="cell", share=1.0).fit(truth).predict(truth.coarse["train"])[:, 0]
    observed = (truth.fine["train"][:, 0] > 0).double().mean(0)
    assert ((plain > 0).double().mean(0) - observed).abs().max() < 0.02


def test_what_is_drawn_for_a_frame_belongs_to_it():
    x = np.random.default_rng(0).random((6, 4, 4))
    x[1], x[3], x[4] = 0.0, 0.0, x[5]
    drawn = drawn_for(x, 7)
    np.testing.assert_array_equal(drawn_for(x[2:3], 7)[0], drawn[2])
    assert not np.array_equal(drawn[1], drawn[3]) and not np.array_equal(drawn[4], drawn[5])
    assert not np.array_equal(drawn_for(x, 8), drawn) and 0 <= drawn.min() < drawn.max() < 1
