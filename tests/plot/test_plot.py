"""Pictures: right limits, shared scales, the shipped coastline, no network, and errors that say what to do."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib import colors

from physlab.errors import FieldError
from physlab.plot import draw_profile, draw_spectra, map_panels

LATITUDE = np.linspace(30, 60, 16)
LONGITUDE = np.linspace(340, 400, 32)


def meshes(figure):
    return [(ax, ax.collections[0]) for ax in figure.axes if ax.collections and ax.get_title()]


def test_panels_share_limits_and_differences_are_symmetric():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand((16, 32), generator=generator) * 40
    guess = truth + torch.randn((16, 32), generator=generator)
    figure = map_panels(
        {"truth": truth, "guess": guess, "error": guess - truth}, LATITUDE, LONGITUDE, "kg m-2", diverging=["error"]
    )
    drawn = {ax.get_title(): mesh for ax, mesh in meshes(figure)}
    assert drawn["truth"].get_clim() == drawn["guess"].get_clim()
    low, high = drawn["error"].get_clim()
    assert low == -high and high == pytest.approx(float((guess - truth).abs().max()), rel=1e-5)
    assert drawn["truth"].get_clim() == pytest.approx(
        (float(min(truth.min(), guess.min())), float(max(truth.max(), guess.max()))), rel=1e-5
    )


def test_cells_hold_the_values_in_the_right_place():
    field = np.zeros((16, 32))
    field[3, 5] = 7.0  # the first row is the southernmost
    figure = map_panels({"x": field}, LATITUDE, LONGITUDE)
    ax, mesh = meshes(figure)[0]
    array = np.asarray(mesh.get_array()).reshape(16, 32)
    assert array[3, 5] == 7.0 and array.sum() == 7.0
    assert ax.get_xlim() == pytest.approx((340 - 30 / 31, 400 + 30 / 31))
    assert ax.get_ylim()[0] < ax.get_ylim()[1]


def test_panels_of_different_quantities_have_their_own_scale():
    fields = {"a": np.full((16, 32), 1.0) + np.eye(16, 32), "b": 100 * np.eye(16, 32)}
    drawn = {ax.get_title(): mesh for ax, mesh in meshes(map_panels(fields, LATITUDE, LONGITUDE, shared=False))}
    assert drawn["a"].get_clim() == (1.0, 2.0) and drawn["b"].get_clim() == (0.0, 100.0)


def test_one_extreme_cell_does_not_hide_the_rest():
    field = np.ones((16, 32))
    field[0, 0] = 1000.0
    ((_, mesh),) = meshes(map_panels({"x": field}, LATITUDE, LONGITUDE, diverging=["x"], percentile=99))
    assert mesh.get_clim() == (-1.0, 1.0)


def test_coarse_field_finds_its_cells_on_the_fine_axis():
    figure = map_panels({"coarse": np.arange(32.0).reshape(4, 8)}, LATITUDE, LONGITUDE)
    ax, _ = meshes(figure)[0]
    assert ax.get_xlim()[0] == pytest.approx(340 - 30 / 31, abs=0.01)


def test_coordinates_of_a_data_array_are_used():
    da = xr.DataArray(
        np.eye(16, 32), coords={"latitude": LATITUDE, "longitude": LONGITUDE}, dims=("latitude", "longitude")
    )
    ax, _ = meshes(map_panels({"x": da}))[0]
    assert ax.get_ylim() == pytest.approx((29, 61))


def test_a_map_needs_no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a map opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    figure = map_panels({"x": np.eye(16, 32)}, LATITUDE, LONGITUDE, marker=(45.0, 360.0))
    figure.canvas.draw()
    coast = meshes(figure)[0][0].lines[0].get_xdata()
    assert np.isfinite(coast).sum() > 20  # western Europe has a coast, across the zero meridian
    assert np.nanmin(coast) >= 339 and np.nanmax(coast) <= 401


def test_diverging_colours_are_neutral_at_zero():
    ((_, mesh),) = meshes(
        map_panels({"x": np.linspace(-1, 1, 512).reshape(16, 32)}, LATITUDE, LONGITUDE, diverging=["x"])
    )
    red, green, blue, _ = mesh.cmap(mesh.norm(0.0))
    assert max(red, green, blue) - min(red, green, blue) < 0.05
    assert isinstance(mesh.norm, colors.Normalize)


@pytest.mark.parametrize(
    ("fields", "axes", "words"),
    [
        ({}, (LATITUDE, LONGITUDE), "no field"),
        ({"x": np.zeros((2, 16, 32))}, (LATITUDE, LONGITUDE), "select a time"),
        ({"x": np.zeros((16, 32))}, (None, None), "no latitude"),
        ({"x": np.zeros((16, 31))}, (LATITUDE, LONGITUDE), "longitude has 32 values"),
    ],
)
def test_errors_say_what_to_do(fields, axes, words):
    with pytest.raises(FieldError, match=words):
        map_panels(fields, *axes)


def test_spectrum_leaves_out_the_mean_and_marks_the_cutoff():
    k = torch.arange(0, 65)
    power = torch.where(k > 0, k.double().clamp_min(1) ** -3, torch.tensor(1e6, dtype=torch.float64))
    figure = draw_spectra({"truth": (k, power)}, slopes=[(-3, 4, 16)], cutoff=16)
    ax = figure.axes[0]
    assert ax.get_xscale() == ax.get_yscale() == "log"
    x, y = ax.lines[0].get_data()
    assert x[0] == 1 and y.max() == pytest.approx(1.0)
    reference = ax.lines[1].get_data()
    slope = np.diff(np.log(reference[1])) / np.diff(np.log(reference[0]))
    assert slope[0] == pytest.approx(-3)
    assert ax.lines[2].get_xdata()[0] == 16
    with pytest.raises(FieldError, match="no spectrum"):
        draw_spectra({})


def test_profile_has_the_ground_below():
    level = np.array([200.0, 500.0, 925.0])
    da = xr.DataArray(np.ones((3, 16)), coords={"level": level, "latitude": LATITUDE}, dims=("level", "latitude"))
    ax = draw_profile(da, contours=da.T * LATITUDE[:, None]).axes[0]
    assert ax.get_ylim() == (925.0, 200.0)
    with pytest.raises(FieldError, match="level, latitude"):
        draw_profile(da.isel(level=0))
