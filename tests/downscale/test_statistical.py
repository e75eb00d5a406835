"""Statistical downscaling: each method against scikit-learn or a closed form, conservation, files, errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, QuantileRegressor, Ridge
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPRegressor
from sklearn.svm import SVR

from physlab.data.patches import SRData, make_pairs
from physlab.downscale import (
    STATISTICAL,
    Analog,
    Constrained,
    Interpolate,
    MultipleRegression,
    NeuralRegression,
    QuantileRegression,
    RandomForest,
    Statistical,
    StochasticRegression,
    SupportVector,
    WeatherTypes,
    cross_validate,
    make_statistical,
    stationarity,
)
from physlab.downscale.screening import TRANSFORMS, forward_selection, invert, partial_correlations, transform
from physlab.downscale.validation import apart, blocks_of_time
from physlab.errors import CheckpointError, FieldError, PhysLabError
from physlab.grid import coarsen, refine


def pairs(times: int = 160, seed: int = 0, hours: int = 6, name: str = "tcw") -> SRData:
    """A red field (16, 24) that moves east, on a map with a mountain: a fixed place, non-negative, factor 4."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:16, 0:24] / 24 * 2 * np.pi
    mountain = 4.0 * np.exp(-8 * ((x - 3) ** 2 + (y - 2) ** 2))
    fields = np.empty((times, 16, 24))
    amplitude = rng.normal(size=(6, 2))
    for t in range(times):
        amplitude = 0.9 * amplitude + 0.44 * rng.normal(size=(6, 2))
        waves = sum(
            (a * np.sin((k + 1) * x + k * y) + b * np.cos((k + 1) * x - k * y)) / (k + 1)
            for k, (a, b) in enumerate(amplitude)
        )
        fields[t] = np.abs(20 + 3 * waves + (1 + 0.2 * amplitude[0, 0]) * mountain)
    time = np.datetime64("2020-01-01", "ns") + np.arange(times) * np.timedelta64(hours, "h")
    coords = {"time": time, "latitude": 60.0 - np.arange(16.0), "longitude": np.arange(24.0)}
    field = xr.DataArray(fields, coords, ("time", "latitude", "longitude"), name, {"units": "kg m-2"})
    return make_pairs(field, 4, {"train": 0.7, "test": 0.3}, gap=24.0)


DATA = pairs()


def cell(data: SRData = DATA, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Predictors (S, 24) and details (S, 384) of a whole map, by hand."""
    coarse, fine = data.coarse[split][:, 0].double().numpy(), data.fine[split][:, 0].double().numpy()
    return coarse.reshape(len(coarse), -1), (fine - refine(coarse, 4)).reshape(len(fine), -1)


def by_hand(model, data: SRData = DATA) -> np.ndarray:
    """A scikit-learn estimator fitted on standardised predictors, as fine fields of the test split."""
    x, d = cell(data)
    mean, scale = x.mean(0), x.std(0)
    test, _ = cell(data, "test")
    model.fit((x - mean) / scale, d)
    detail = model.predict((test - mean) / scale).reshape(-1, 16, 24)
    return refine(test.reshape(-1, 4, 6), 4) + detail


def predicted(method: Statistical, data: SRData = DATA) -> np.ndarray:
    return method.fit(data).predict(data.coarse["test"].double(), data.weights)[:, 0].numpy()


MAP = {"per": "cell", "window": 0, "share": 1.0}


@pytest.mark.parametrize(
    ("method", "model"),
    [
        (MultipleRegression(**MAP), LinearRegression()),
        (MultipleRegression(**MAP, alpha=3.0), Ridge(3.0)),
        (MultipleRegression(**MAP, alpha=3.0, screening="partial", most=24), Ridge(3.0)),
    ],
)
def test_linear_is_scikit_learn(method, model):
    np.testing.assert_allclose(predicted(method), by_hand(model), atol=1e-6)


def first_seed() -> int:
    """The random state that a method hands to its estimator with seed 0 and all frames."""
    rng = np.random.default_rng(0)
    rng.permutation(20)  # the choice of frames
    return int(rng.integers(2**31))


def test_forest_is_scikit_learn():
    method = RandomForest(**MAP, trees=5, depth=6)
    x, d = cell()
    forest = RandomForestRegressor(
        n_estimators=5, max_depth=6, min_samples_leaf=5, max_features=0.5, random_state=first_seed()
    ).fit(x - x.mean(0), d)
    test = cell(split="test")[0]
    want = refine(test.reshape(-1, 4, 6), 4) + forest.predict(test - x.mean(0)).reshape(-1, 16, 24)
    np.testing.assert_allclose(predicted(method), want, atol=1e-6)


def test_neural_is_scikit_learn():
    method = NeuralRegression(**MAP, hidden=(8, 4), epochs=20)
    x, d = cell()
    mean, scale, middle, unit = x.mean(0), x.std(0), d.mean(0), d.std()
    model = MLPRegressor(
        hidden_layer_sizes=(8, 4), alpha=1e-4, max_iter=20, learning_rate_init=2e-3, random_state=first_seed()
    )
    with pytest.warns(UserWarning):
        model.fit((x - mean) / scale, (d - middle) / unit)
    test = cell(split="test")[0]
    detail = model.predict((test - mean) / scale) * unit + middle
    np.testing.assert_allclose(
        predicted(method), refine(test.reshape(-1, 4, 6), 4) + detail.reshape(-1, 16, 24), atol=1e-5
    )


def test_support_vectors_are_scikit_learn():
    method = SupportVector(**MAP, components=2, points=0)
    predicted(method)
    arrays, (x, d) = method.group(0), cell()
    z = (x - x.mean(0)) / x.std(0)
    scores = (d - arrays["centre"]) @ arrays["patterns"].T
    unit = scores.std()
    for j in range(2):
        model = SVR(C=10.0, epsilon=0.1, gamma=1 / 24).fit(z, scores[:, j] / unit)
        np.testing.assert_allclose(method._apply(arrays, z)[:, j], model.predict(z) * unit, atol=5e-3 * unit)


def test_quantile_regression_is_scikit_learn_and_covers():
    method = QuantileRegression(per="child", window=3, share=1.0, points=300, levels=(0.1, 0.5, 0.9)).fit(DATA)
    arrays = method.group(0)
    x = method.layout.predictors(DATA.coarse["train"][:, 0].double().numpy(), 0)
    rng = np.random.default_rng(0)
    rng.permutation(20)
    rows = np.sort(rng.choice(len(x), 300, replace=False))
    fine = DATA.fine["train"][:, 0].double().numpy()
    detail = method.layout.targets(fine - refine(coarsen(fine, 4, DATA.weights.double().numpy()), 4), 0)[rows, 5]
    z = (x[rows] - x[rows].mean(0)) / x[rows].std(0)
    model = QuantileRegressor(quantile=0.9, alpha=0.0, solver="highs").fit(z, detail)
    pinball = [
        np.where(detail > q, 0.9 * (detail - q), 0.1 * (q - detail)).mean()
        for q in (model.predict(z), z @ arrays["weights"][2][:, 5] + arrays["intercept"][2][0, 5])
    ]
    assert abs(pinball[0] - pinball[1]) < 1e-5 * pinball[0] + 1e-9
    below = (detail <= z @ arrays["weights"][2][:, 5] + arrays["intercept"][2][0, 5] + 1e-9).mean()
    assert abs(below - 0.9) < 0.05  # nine of ten training cases, but for the ties of a linear programme
    members = method.sample(DATA.coarse["test"][:8], members=400, generator=torch.Generator().manual_seed(1))
    assert members.shape == (400, 8, 1, 16, 24)
    spread = members.double().quantile(0.5, 0) - method.predict(DATA.coarse["test"][:8]).double()
    assert spread.abs().mean() < 0.15 * members.std(0).mean()  # the median of the members is the prediction


def test_analog_is_nearest_neighbours():
    method = Analog(**MAP, nearest=3, leading=24)
    x, d = cell()
    test = cell(split="test")[0]
    distance, index = NearestNeighbors(n_neighbors=3).fit(x).kneighbors(test)
    weight = (1 / distance) / (1 / distance).sum(1, keepdims=True)
    want = refine(test.reshape(-1, 4, 6), 4) + (weight[..., None] * d[index]).sum(1).reshape(-1, 16, 24)
    np.testing.assert_allclose(predicted(method), want, atol=1e-5)
    # a training case is its own analog, and its truth comes back
    again = Analog(**MAP, nearest=1, leading=24).fit(DATA).predict(DATA.coarse["train"].double())
    torch.testing.assert_close(again, DATA.fine["train"].double(), atol=1e-4, rtol=0)


def test_a_member_of_the_analog_ensemble_is_as_rough_as_the_truth_and_the_mean_is_not():
    data = pairs(300, seed=3)
    method = Analog(**MAP, nearest=8).fit(data)
    members = method.sample(data.coarse["test"], members=6, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(members[0], members[1])
    inside = [
        float(((y - refine(coarsen(y, 4), 4)) ** 2).mean())
        for y in (members, method.predict(data.coarse["test"]), data.fine["test"])
    ]
    assert 0.6 < inside[0] / inside[2] < 1.4
    assert inside[1] < 0.9 * inside[0]


def test_weather_types_with_one_type_is_ridge_and_with_more_separates():
    one = WeatherTypes(**MAP, types=1, alpha=2.0)
    np.testing.assert_allclose(predicted(one), by_hand(Ridge(2.0)), atol=1e-6)
    many = WeatherTypes(**MAP, types=4, alpha=2.0).fit(DATA)
    x, _ = cell()
    kind = many._types(many.group(0), (x - many.group(0)["mean"]) / many.group(0)["scale"])
    assert len(np.unique(kind)) == 4


def test_stochastic_regression_has_the_variance_of_the_residuals():
    method = StochasticRegression(**MAP, alpha=1.0, inflation=2.0).fit(DATA)
    coarse = DATA.coarse["test"][:10].double()
    members = method.sample(coarse, members=600, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(members.mean(0), method.predict(coarse), atol=0.2, rtol=0)
    residuals = method.group(0)["residuals"]
    assert abs(float(members.var(0).mean()) / (2 * residuals.var(0).mean()) - 1) < 0.1


# ---- physics: weighted averages of training details conserve --------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        MultipleRegression(per="cell", window=0, alpha=5.0),
        MultipleRegression(per="cell", window=3, alpha=5.0),
        MultipleRegression(per="cell", window=0, screening="forward", most=5),
        MultipleRegression(per="child", window=3, bands=4),
        RandomForest(per="child", window=3, bands=4, trees=3),
        Analog(per="child", window=3, bands=4, nearest=4, points=500),
        WeatherTypes(per="cell", window=0),
        SupportVector(per="cell", window=0, components=4),
        NeuralRegression(per="cell", window=0, components=4, epochs=5),
    ],
    ids=lambda m: f"{m.kind}-{m.per}-{m.window}-{m.components}",
)
def test_block_means_are_kept_without_a_constraint_layer(method):
    coarse = DATA.coarse["test"].double()
    fine = method.fit(DATA).predict(coarse, DATA.weights)
    error = (coarsen(fine, 4, DATA.weights.double()) - coarse).abs().max()
    assert error < 2e-5, float(error)  # the pairs are single precision
    assert (fine - refine(coarse, 4)).abs().max() > 0.5


def test_support_vectors_of_single_cells_do_not_conserve_and_a_layer_mends_them():
    method = SupportVector(per="child", window=3, points=200).fit(DATA)
    coarse = DATA.coarse["test"].double()
    fine = method.predict(coarse, DATA.weights)
    assert (coarsen(fine, 4, DATA.weights.double()) - coarse).abs().max() > 1e-2
    mended = Constrained(method, "add").predict(coarse, DATA.weights.double())
    assert (coarsen(mended, 4, DATA.weights.double()) - coarse).abs().max() < 1e-9


def test_the_map_of_a_fixed_place_is_learned():
    """The mountain is not in the coarse field: interpolation misses it, a model of each cell knows it."""
    truth = DATA.fine["test"].double()
    error = {
        "bicubic": Interpolate("bicubic", 4, "add").predict(DATA.coarse["test"].double(), DATA.weights.double()),
        "cell": MultipleRegression(**MAP, alpha=1.0).fit(DATA).predict(DATA.coarse["test"].double()),
    }
    rmse = {name: float(((y - truth) ** 2).mean().sqrt()) for name, y in error.items()}
    assert rmse["cell"] < 0.8 * rmse["bicubic"]


# ---- screening ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transformations_invert(name):
    values = np.concatenate([[0.0, 1e-9], np.geomspace(1e-4, 1e3, 50)])
    np.testing.assert_allclose(invert(transform(values, name), name), values, rtol=1e-9, atol=1e-12)
    if name != "none":
        with pytest.raises(FieldError, match="negative"):
            transform(values - 1, name)


def test_transformed_regression_is_never_negative():
    method = MultipleRegression(per="cell", window=0, transform="sqrt", alpha=1.0).fit(DATA)
    assert method.predict(DATA.coarse["test"] * 0.0 + 0.01).min() >= 0


def test_partial_correlation_is_the_correlation_of_residuals():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4))
    y = x @ [1.0, -0.5, 0.0, 0.2] + rng.normal(size=300)
    for i in range(4):
        rest = np.delete(x, i, 1)
        a, b = (v - LinearRegression().fit(rest, v).predict(rest) for v in (x[:, i], y))
        assert abs(partial_correlations(x, y)[i, 0] - np.corrcoef(a, b)[0, 1]) < 1e-8


def test_forward_selection_is_greedy_least_squares():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6))
    y = x[:, [1, 4]] @ [[2.0, 0.5], [1.0, -1.0]] + rng.normal(size=(200, 2))
    chosen: list[int] = []
    for _ in range(4):
        errors = {
            j: ((y - LinearRegression().fit(x[:, [*chosen, j]], y).predict(x[:, [*chosen, j]])) ** 2).sum()
            for j in range(6)
            if j not in chosen
        }
        chosen.append(min(errors, key=errors.get))
    np.testing.assert_array_equal(forward_selection(x, y, 4, least_gain=0.0), chosen)
    assert len(forward_selection(x, y, 6, least_gain=0.02)) < 6


# ---- files, seeds, errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATISTICAL)
def test_saved_and_loaded_predictions_are_the_same_bits(name, tmp_path):
    method = make_statistical(name, DATA)
    if name == "mlp":
        method.epochs = 5
    method.fit(DATA, seed=2)
    again = Statistical.load(method.save(tmp_path / "method"))
    assert type(again) is type(method) and again.name == method.name and again.card == method.card
    assert torch.equal(again.predict(DATA.coarse["test"]), method.predict(DATA.coarse["test"]))
    assert json.loads((tmp_path / "method" / "card.json").read_text())["data_hash"] == DATA.data_hash
    assert {p.name for p in (tmp_path / "method").iterdir()} == {"card.json", "manifest.json", "model.safetensors"}
    assert [p.name for p in tmp_path.iterdir()] == ["method"]


@pytest.mark.slow
@pytest.mark.parametrize("name", STATISTICAL)
def test_seeds_differ_and_repeat(name):
    def run(seed: int) -> torch.Tensor:
        method = make_statistical(name, DATA)
        if name == "mlp":
            method.epochs = 3
        return method.fit(DATA, seed=seed).predict(DATA.coarse["test"][:4])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_unfitted_and_misfitting_input_is_refused(tmp_path):
    coarse = DATA.coarse["test"]
    with pytest.raises(PhysLabError, match="not fitted"):
        MultipleRegression().predict(coarse)
    with pytest.raises(PhysLabError, match="not fitted"):
        MultipleRegression().downscale(DATA.dataset("test", 0, coarse=True))
    with pytest.raises(PhysLabError, match="nothing to save"):
        Analog().save(tmp_path / "a")
    fitted = MultipleRegression(**MAP).fit(DATA)
    with pytest.raises(FieldError, match="4, 6"):
        fitted.predict(coarse[..., :5])
    with pytest.raises(FieldError, match="shape"):
        fitted.predict(coarse[0, 0, 0])
    with pytest.raises(FieldError, match="4 rows"):
        MultipleRegression(bands=4).fit(DATA).predict(coarse[..., :3, :])
    with pytest.raises(PhysLabError, match="'val' is not loaded"):
        MultipleRegression().fit(DATA, split="val")
    for wrong in ({"window": 4}, {"per": "cells"}, {"bands": 9}, {"screening": "best"}):
        with pytest.raises(PhysLabError):
            MultipleRegression(**wrong).fit(DATA)
    with pytest.raises(PhysLabError, match=r"0\.5 among them"):
        QuantileRegression(levels=(0.1, 0.9))
    with pytest.raises(PhysLabError, match="quantile regression"):
        make_statistical("krige", DATA)
    with pytest.raises(CheckpointError, match="fit it"):
        Statistical.load(tmp_path / "nothing")
    saved = fitted.save(tmp_path / "b")
    (saved / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError):
        Statistical.load(saved)


def test_a_child_model_works_anywhere_and_on_xarray():
    method = MultipleRegression(per="child", window=3).fit(DATA)
    assert method.predict(torch.rand(2, 3, 5, 9) * 30).shape == (2, 3, 20, 36)
    coarse = DATA.dataset("test", 0, coarse=True)
    fine = method.downscale(coarse.assign_coords(longitude=coarse["longitude"] + 40))
    assert fine["tcw"].shape == (1, 16, 24)
    bound = MultipleRegression(**MAP).fit(DATA)
    np.testing.assert_allclose(bound.downscale(coarse)["latitude"], DATA.latitude)
    with pytest.raises(FieldError, match="longitude"):
        bound.downscale(coarse.assign_coords(longitude=coarse["longitude"] + 40))


# ---- other times ----------------------------------------------------------------------------------------------------


def test_cross_validation_holds_out_blocks_with_gaps():
    table = cross_validate(MultipleRegression(**MAP, alpha=1.0), DATA, blocks=4, gap=12.0)
    frames = len(DATA.time["train"])
    assert len(table) == 4 and table["test_frames"].sum() == frames
    assert (table["training_frames"] + table["test_frames"] < frames).all()
    assert (table["first"].to_numpy()[1:] > table["last"].to_numpy()[:-1]).all()
    assert (table["rmse"] < table["rmse_bicubic_add"]).all()
    time = DATA.time["train"]
    for held in blocks_of_time(time, 4):
        rest = apart(time, np.setdiff1d(np.arange(frames), held), held, 12.0)
        assert np.abs(time[rest][:, None] - time[held]).min() >= np.timedelta64(12, "h")


def test_stationarity_finds_a_relation_that_changes_with_the_climate():
    """The detail is 0.5 x^2 / 20 of a pattern: a line fitted where it is dry falls short where it is wet."""
    data = pairs(240, seed=5)
    pattern = torch.tensor([-1.0, 1.0]).repeat(16, 12)
    level = torch.linspace(10, 40, len(data.fine["train"])).roll(50)[:, None, None, None]
    coarse = level + 0.3 * torch.rand(len(level), 1, 4, 6, generator=torch.Generator().manual_seed(0))
    fine = refine(coarse, 4) + 0.025 * refine(coarse, 4) ** 2 * pattern
    data.fine["train"], data.coarse["train"] = fine, coarse
    table = stationarity(MultipleRegression(**MAP, alpha=1e-3), data, gap=6.0).set_index(["trained_on", "tested_on"])
    assert len(table) == 4
    for tested, opposite in (("high third", "low third"), ("low third", "high third")):
        assert table.loc[(opposite, tested), "test_frames"] == table.loc[("random blocks", tested), "test_frames"]
        assert table.loc[(opposite, tested), "rmse"] > 1.5 * table.loc[("random blocks", tested), "rmse"]
    assert table.loc[("low third", "high third"), "detail_variance"] < 0.8


# ---- lazy input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", [Interpolate("bicubic", 4, "add"), MultipleRegression(**MAP)], ids=["bicubic", "linear"]
)
def test_dask_chunks_stay_lazy_and_give_the_same_numbers(method):
    if isinstance(method, Statistical):
        method.fit(DATA)
    coarse = xr.concat([DATA.dataset("test", i, coarse=True) for i in range(7)], "time")
    coarse["tcw"].attrs["units"] = "kg m-2"
    calls = []
    predict = method.predict
    method.predict = lambda x, weights=None: calls.append(len(x)) or predict(x, weights)
    eager = method.downscale(coarse)
    calls.clear()
    lazy = method.downscale(coarse.chunk(time=3, longitude=2))
    assert not calls, "computed before it was asked for"
    assert lazy["tcw"].chunks == ((3, 3, 1), (16,), (24,)) and lazy["tcw"].dtype == np.float32
    assert lazy["tcw"].attrs == eager["tcw"].attrs and lazy.attrs == eager.attrs
    lazy["tcw"].isel(time=slice(3, 5)).load(scheduler="synchronous")
    assert calls == [3], "one chunk was asked for"
    xr.testing.assert_equal(lazy.load(scheduler="synchronous"), eager)


def test_dask_with_levels_members_and_holes():
    field = xr.concat([DATA.dataset("test", i, coarse=True) for i in range(4)], "time")["tcw"]
    cube = field.expand_dims(member=[0, 1], level=[500.0, 850.0]).transpose("time", "level", "member", ...)
    cube = (cube * xr.DataArray([1.0, 2.0], dims="member")).astype("float32").rename("q")
    method = Interpolate("bicubic", 2, "add")
    eager, lazy = method.downscale(cube), method.downscale(cube.chunk(time=2, level=1))
    assert lazy["q"].dims == eager["q"].dims
    xr.testing.assert_equal(lazy.compute(), eager)
    holes = cube.copy()
    holes[3, 0, 0, 1, 1] = np.nan
    later = method.downscale(holes.chunk(time=2))
    later["q"].isel(time=0).compute()
    gone = np.argwhere(np.isnan(later["q"].compute().transpose("time", "level", "member", ...).values))
    assert {tuple(at) for at in gone} == {(3, 0, 0, i, j) for i in (2, 3) for j in (2, 3)}
    with pytest.raises(FieldError, match="1 infinite value"):
        method.downscale(holes.fillna(np.inf).chunk(time=2)).compute()
