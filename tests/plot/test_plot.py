"""Pictures: right limits, shared scales, the shipped coastline, no network, and errors that say what to do."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib import colors

from physlab.errors import FieldError
from physlab.plot import PLAIN, draw_map, draw_profile, draw_spectra, map_axes, map_panels
from physlab.plot.projections import NAMES, choose, edges

LATITUDE = np.linspace(30, 60, 16)
LONGITUDE = np.linspace(340, 400, 32)


def meshes(figure):
    return [(ax, ax.collections[0]) for ax in figure.axes if ax.collections and ax.get_title()]


def degrees(ax):
    """Western and eastern, southern and northern edge of a map whose sides are meridians and parallels."""
    corners = PLAIN.transform_points(ax.projection, np.array(ax.get_xlim()), np.array(ax.get_ylim()))
    return corners[:, 0] % 360, corners[:, 1]


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
    assert degrees(ax)[0] == pytest.approx((340 - 30 / 31, 40 + 30 / 31))
    assert degrees(ax)[1] == pytest.approx((29, 61))
    lon, lat = LONGITUDE[5], LATITUDE[3]
    place = ax.projection.transform_point(lon, lat, PLAIN)
    cell = mesh.get_coordinates()[3:5, 5:7].reshape(-1, 2)
    assert (cell.min(axis=0) < place).all() and (place < cell.max(axis=0)).all()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["30°N", "40°N", "50°N", "60°N"]


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
    assert degrees(ax)[0][0] == pytest.approx(340 - 30 / 31, abs=0.01)


def test_coordinates_of_a_data_array_are_used():
    da = xr.DataArray(
        np.eye(16, 32), coords={"latitude": LATITUDE, "longitude": LONGITUDE}, dims=("latitude", "longitude")
    )
    ax, _ = meshes(map_panels({"x": da}))[0]
    assert degrees(ax)[1] == pytest.approx((29, 61))


@pytest.mark.parametrize("projection", NAMES)
def test_a_map_needs_no_network(monkeypatch, projection):
    def refuse(*_):
        raise AssertionError("a map opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    figure = map_panels({"x": np.eye(16, 32)}, LATITUDE, LONGITUDE, marker=(45.0, 360.0), projection=projection)
    figure.canvas.draw()
    ax = meshes(figure)[0][0]
    coast = PLAIN.transform_points(ax.projection, *ax.lines[0].get_data())
    coast = coast[np.isfinite(coast).all(axis=-1)]
    if projection == "south":  # nothing of Europe is seen from there
        return
    assert len(coast) > 20  # western Europe has a coast, across the zero meridian
    east = (coast[:, 0] + 180) % 360 - 180
    assert east.min() >= -21 and east.max() <= 41 and coast[:, 1].min() >= 28 and coast[:, 1].max() <= 62


@pytest.mark.parametrize("start", [0.0, -180.0, 90.0])
@pytest.mark.parametrize("projection", ["robinson", "mollweide", "plain"])
def test_no_cell_is_torn_at_the_seam_of_a_world_map(projection, start):
    latitude, longitude = np.linspace(-85, 85, 18), start + np.arange(36) * 10.0
    ax, mesh = meshes(map_panels({"x": np.eye(18, 36)}, latitude, longitude, projection=projection))[0]
    steps = np.diff(mesh.get_coordinates()[..., 0], axis=1)
    assert (steps > 0).all() and steps.max() < 1.3 * np.diff(ax.get_xlim()) / 36


def test_half_a_globe_is_drawn_true_to_area():
    """On paper a cell has the share that it has on the sphere: the difference of the sines of its edges."""
    latitude, longitude = np.linspace(-88.5, 88.5, 60), 250 + np.arange(90) * 2.0
    ax, mesh = meshes(map_panels({"x": np.zeros((60, 90))}, latitude, longitude))[0]
    x, y = np.moveaxis(mesh.get_coordinates(), -1, 0)
    rising = (x[:-1, :-1] - x[1:, 1:], y[:-1, 1:] - y[1:, :-1])
    falling = (x[:-1, 1:] - x[1:, :-1], y[:-1, :-1] - y[1:, 1:])
    area = np.abs(np.prod(rising, axis=0) - np.prod(falling, axis=0)) / 2  # half the product of the diagonals
    sphere = np.diff(np.sin(np.deg2rad(edges(latitude, -90, 90))))[:, None] * np.ones(90)
    inner = slice(3, -3)  # where the outline is steep a quadrilateral is not the cell
    ratio = (area / sphere)[inner]
    assert ratio.std() / ratio.mean() < 2e-3
    width, height = (np.ptp(np.asarray(axis)) for axis in (ax.get_xlim(), ax.get_ylim()))
    assert width == pytest.approx(height, rel=1e-3)  # a disc


def test_from_above_half_the_globe_is_hidden():
    latitude, longitude = np.linspace(-88, 88, 45), np.arange(90) * 4.0
    _, mesh = meshes(map_panels({"x": np.ones((45, 90))}, latitude, longitude, projection="globe"))[0]
    shown = (~np.ma.getmaskarray(mesh.get_array()).reshape(45, 90) * np.cos(np.deg2rad(latitude))[:, None]).sum()
    assert 0.42 < shown / (90 * np.cos(np.deg2rad(latitude)).sum()) <= 0.5


def test_the_window_chooses_the_projection():
    globe, half = np.arange(64) * 5.625, 100 + np.arange(64) * 2.8125
    latitude = np.linspace(-87, 87, 32)
    names = {
        type(choose(*window)).__name__
        for window in (
            (latitude, globe), (latitude, half), (latitude[20:], globe), (latitude[:12], globe), (LATITUDE, LONGITUDE),
            (LATITUDE + 28, LONGITUDE),
        )
    }  # fmt: skip
    assert names == {"Robinson", "Mollweide", "NorthPolarStereo", "SouthPolarStereo", "Mercator", "PlateCarree"}
    with pytest.raises(FieldError, match="unknown projection 'flat': choose one of auto, robinson"):
        choose(latitude, globe, "flat")


def test_maps_and_plain_axes_show_the_same_cells():
    import matplotlib.pyplot as plt

    field = np.random.default_rng(0).random((16, 32))
    figure, axes = map_axes(1, 1, LATITUDE, LONGITUDE, projection="plain")
    plain_figure, plain = plt.subplots()
    drawn, flat = (draw_map(ax, field, LATITUDE, LONGITUDE) for ax in (axes[0, 0], plain))
    plt.close(figure), plt.close(plain_figure)
    assert np.array_equal(drawn.get_array(), flat.get_array())
    shift = drawn.get_coordinates() - flat.get_coordinates()
    assert np.allclose(shift[..., 1], 0) and np.allclose(shift[..., 0], shift[0, 0, 0])


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
