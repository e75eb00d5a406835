"""What the chapter on PhyDL-NWP computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import physlab
from physlab.benchmark import continuous_summary, read_continuous
from physlab.phydl import SmoothForce
from physlab.teach import phydl


@pytest.fixture(scope="module")
def ds():
    return physlab.open_dataset("nature-window").load()


def test_rates_of_the_window_are_evaporation_minus_rain(ds):
    state = phydl.water(ds)
    rate = (ds["e"] - ds["tp"]).values[1:, 2:-2, 2:-2] / 3600
    assert np.allclose(state["E - R"].reshape(rate.shape), rate)


@pytest.mark.slow
def test_forces_tell_the_three_cases_apart(ds):
    state = phydl.water(ds.isel(time=slice(0, 61)))
    found = phydl.forces(state, SmoothForce((4, 4, 4), 1e-3), SmoothForce((7, 7, 7), 1e-9))
    assert list(found.index)[:2] == ["sources named", "smooth force"]
    assert found.iloc[2]["used"] < found.loc["smooth force", "used"]
    assert found.iloc[2]["held out"] > found.loc["smooth force", "held out"]


def test_a_wind_without_its_mean_explains_less(ds):
    found = phydl.spoiled_winds(phydl.water(ds))["tendency explained (%)"]
    assert found["wind"] > 80 and found.iloc[1:].max() < 40


def test_pictures(ds):
    model = physlab.load_model("nature-window-equations")
    for hour, panels in ((100, 3), (100.5, 2)):
        figure = phydl.draw_moment(model, ds, hour)
        titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
        assert len(titles) == panels and titles[0].startswith("nearest data")
    assert isinstance(phydl.draw_ratios(continuous_summary(read_continuous())), Figure)


def test_spectra_are_averaged_after_the_transform():
    generator = torch.Generator().manual_seed(0)
    fields = torch.randn(50, 32, 32, generator=generator, dtype=torch.float64)
    found = phydl.held_out_spectra({"noise": fields, "mean": fields.mean(0)[None]})
    ratio = float(found["noise"][1].mean() / found["mean"][1].mean())
    assert ratio == pytest.approx(50, rel=0.2)  # the mean of 50 has a fiftieth of the power
