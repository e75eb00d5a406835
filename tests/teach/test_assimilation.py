"""What the chapter on data assimilation computes, in its small worlds and on the weather."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from physlab.assimilate import ETKF, LETKF, Var4D
from physlab.teach import assimilation


@pytest.fixture(scope="module")
def data():
    return assimilation.Weather.load()


def test_bayes_on_a_line_is_the_formula():
    xb, sb, y, so = -3.0, 1.7, 4.0, 0.6
    k = sb**2 / (sb**2 + so**2)
    mean, std = assimilation.bayes_by_hand(xb, sb, y, so)
    assert mean == pytest.approx(xb + k * (y - xb), abs=1e-8)
    assert std == pytest.approx(math.sqrt(1 - k) * sb, abs=1e-8)


def test_smoother_is_the_state_of_least_cost():
    """Least squares for the whole window at once: neither forward nor backward."""
    w = assimilation.linear_world(times=5, seed=3)
    B, R = (torch.linalg.inv(torch.linalg.cholesky(w[k])) for k in ("B", "R"))
    rows, right, M = [B], [B @ w["xb"]], torch.eye(len(w["xb"])).double()
    for y in w["y"]:
        rows.append(R @ w["H"] @ M)
        right.append(R @ y)
        M = w["M"] @ M
    direct = torch.linalg.lstsq(torch.cat(rows), torch.cat(right)[:, None]).solution[:, 0]
    assert torch.allclose(assimilation.smooth(**w), direct, atol=1e-9)
    found = Var4D(w["B"], model=lambda x: x @ w["M"].mT, outer=1).analyse(w["xb"], w["y"], w["H"], w["R"])
    assert torch.allclose(found, direct, atol=1e-6)


def test_window_changes_the_answer():
    w = assimilation.linear_world()
    assert not torch.allclose(assimilation.smooth(**w), assimilation.smooth(**(w | {"y": w["y"][:1]})), atol=1e-2)


@pytest.mark.parametrize("members", [5, 20])
def test_sampling_error_is_one_over_root_n_less_one(members):
    true, few = assimilation.sampled(members)
    far = [0, 2, 4, 36, 38]
    assert true[20] == pytest.approx(1) and float(true[far].abs().max()) < 0.05
    assert float(few[:, far].square().mean().sqrt()) == pytest.approx((members - 1) ** -0.5, rel=0.06)


@pytest.mark.slow
def test_a_short_run_is_localised_or_lost():
    kept, lost = (
        assimilation.run(LETKF(1.04, rotation=True, taper=t), 7, seeds=2, cycles=250)
        for t in (assimilation.taper(4), None)
    )
    assert float(kept.rmse.max()) < 0.4 and float(lost.rmse.min()) > 1 > float(lost.spread.max())
    assert isinstance(assimilation.draw_divergence({"a": kept, "b": lost}), Figure)


def test_a_transform_without_taper_is_the_global_one():
    a, b = (assimilation.run(m, 10, seeds=2, cycles=110) for m in (ETKF(1.04), LETKF(1.04)))
    assert torch.equal(a.history, b.history)


def test_weather_is_split_and_its_errors_come_from_training(data):
    known, test = data["train"], data["test"]
    assert known.truth.sizes["time"] == 12 and test.truth.sizes["time"] == 8
    assert known.truth.time.max() < test.truth.time.min()
    assert known.past.sizes["member"] == 36
    for name in assimilation.FIELDS:  # without mean, so that adding them does not shift the forecast
        assert float(np.abs(known.past[name].mean("member")).max()) < 1e-6 * float(np.abs(known.past[name]).max())
    assert float(abs(known.past["z"].isel(member=12) - known.past["z"].isel(member=0).roll(longitude=42)).max()) == 0


@pytest.mark.slow
def test_stations_have_the_error_they_state(data):
    now, sizes = data["test"][0], data["train"].sizes
    exact, noisy = (assimilation.stations(now, sizes, 0.3, noise, seed=1) for noise in (1e-9, 0.5))
    assert np.array_equal(exact["latitude"], noisy["latitude"])
    white = (noisy["value"] - exact["value"]) / noisy["error"]
    assert float(white.std()) == pytest.approx(1, rel=0.03) and abs(float(white.mean())) < 0.03
    told = assimilation.stations(now, sizes, 0.3, 0.5, seed=1, told=1.0)
    assert np.array_equal(told["value"], noisy["value"]) and np.allclose(told["error"], 2 * noisy["error"])


def test_one_height_moves_no_wind_alone_and_a_balanced_one_with_past_errors(data):
    simple, full = assimilation.one_station(data["train"], 7e5)
    centre = {"latitude": 50.0, "longitude": 325.0}
    size = data["train"].size("z")
    gain = float(assimilation.z500(simple).sel(centre, method="nearest")) / size
    assert gain == pytest.approx(1 / (1 + assimilation.NOISE**2), rel=1e-6)  # k for equal places
    assert float(abs(simple["u"]).max()) == 0
    assert assimilation.balance(full) > 0.6
    far = assimilation.z500(full).sel(longitude=slice(255, 290))
    assert float(abs(far).max()) == 0  # beyond twice the radius


@pytest.mark.slow
def test_height_only_is_the_formula(data):
    now, known = data["test"][0], data["train"]
    table = assimilation.stations(now, known.sizes, 0.01, 0.5)
    method = assimilation.HeightOnly(known, known.size("z"))
    made = method.analyse(assimilation.z500(now.forecast), table)
    here = table.isel(observation=((table["variable"] == "z") & (table["level"] == 500)).values)
    x, B = assimilation.z500(now.forecast), method.method.B.B
    at = [int(torch.argmin((method.places - torch.tensor([float(a), float(b)])).square().sum(-1)))
          for a, b in zip(here["latitude"], here["longitude"], strict=True)]  # fmt: skip
    flat = torch.from_numpy(x.values.ravel())
    S = B[at][:, at] + torch.diag(torch.from_numpy(here["error"].values) ** 2)
    wanted = flat + B[:, at] @ torch.linalg.solve(S, torch.from_numpy(here["value"].values) - flat[at])
    assert np.allclose(made.values.ravel(), wanted, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_analyses_help_and_past_errors_are_consistent(data):
    known, test = data["train"], data["test"]
    heights, fields = assimilation.compare(known, test[[0, 3]], share=0.1)
    assert (heights["past errors, all variables"] < 0.85 * heights["forecast"]).all()
    assert (fields.mean() < 1).all()
    table = assimilation.stations(test[0], known.sizes)
    assert 0.6 < assimilation.innovation_ratio(test[0], known, table) < 1.5
    assert assimilation.innovation_ratio(test[0], known, table.assign(error=4 * table["error"])) < 0.5


def test_errors_are_alike_nearby_only(data):
    found = assimilation.alike(data["train"])
    assert found["z"].iloc[0] > 0.7 and found["z"].iloc[6:].abs().max() < 0.1
    assert found["u"].min() < -0.1  # the wind turns around a height error
    assert assimilation.balance(data["train"].errors) > 0.7


@pytest.mark.slow
def test_pictures(data):
    known, now = data["train"], data["test"][0]
    assert isinstance(assimilation.draw_alike(assimilation.alike(known)), Figure)
    assert isinstance(assimilation.draw_station(known, 1500), Figure)
    titles = [ax.get_title() for ax in assimilation.draw_weather(now, known, 0.02).axes if ax.get_title()]
    before, after = (float(titles[k].split("RMSE ")[1].split()[0]) for k in (1, 3))
    assert len(titles) == 4 and after <= before
    assert isinstance(assimilation.draw_bayes(10, 2, 14, 1), Figure) and isinstance(
        assimilation.draw_sample(10), Figure
    )
