"""What the chapter shows of the forecasts."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import physlab
from physlab.benchmark import read_forecasting
from physlab.benchmark.forecasting import NETWORKS, VARIABLES
from physlab.phydl import GridResidual
from physlab.teach.phydl import forecasts


@pytest.fixture(scope="module")
def ds():
    return physlab.open_dataset("nature-window").load()


@pytest.fixture(scope="module")
def law(ds):
    return GridResidual.learn(ds, VARIABLES)


def test_equations_of_the_window_are_those_of_the_atmosphere(law):
    """Weighted by what the truth leaves at each place, u, v and q are carried as they should be."""
    for name in ("u", "v", "q"):
        assert law.coefficients[name][0] == pytest.approx(-1, abs=0.1), name


def test_truth_has_a_residual_of_one(ds, law):
    rest = forecasts.residuals(law, ds.isel(time=slice(0, 1)), ds.isel(time=slice(2, 239, 2)))
    assert np.sqrt(float((rest**2).mean())) == pytest.approx(1, abs=0.1)
    assert rest.sizes == {"time": 119, "equation": 5, "latitude": 31, "longitude": 31}


def test_a_shipped_forecast_beats_persistence_and_equations_balance_it(ds, law):
    """On ten days that no network has seen."""
    rmse, rest = {}, {}
    for stage in ("data", "equations"):
        model = physlab.load_model(f"forecast-unet-{stage}")
        parts = []
        for hour in range(6, 216, 42):
            history, truth = ds.isel(time=slice(hour - 6, hour + 1)), ds.isel(time=hour + 24)
            made = model.forecast(history)
            parts.append((
                float(((made["u"][-1] - truth["u"]) ** 2).mean()),
                float(((history["u"][-1] - truth["u"]) ** 2).mean()),
                float((forecasts.residuals(law, history, made) ** 2).mean()),
            ))  # fmt: skip
        rmse[stage], persistence, rest[stage] = np.sqrt(np.mean(parts, axis=0))
        assert rmse[stage] < 0.75 * persistence
    assert rest["equations"] < 0.8 * rest["data"] and rmse["equations"] < 1.02 * rmse["data"]


def test_tables_and_pictures(ds, law):
    table = read_forecasting()
    assert isinstance(forecasts.draw_gains(table), Figure)
    found = forecasts.gains(table)
    assert set(found.index.get_level_values("model")) == set(NETWORKS) and (found["seeds"] >= 3).all()
    models = {stage: physlab.load_model(f"forecast-unet-{stage}") for stage in ("data", "equations")}
    figure = forecasts.draw_forecast(models, law, ds, 60)
    assert [ax.get_title() for ax in figure.axes][:3] == ["data", "equations", "truth"]
