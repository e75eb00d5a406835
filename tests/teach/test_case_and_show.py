"""The running case follows its rule; sentences, tables, links and sliders show what they are given."""

from __future__ import annotations

import dataclasses
import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure

from physlab.data.patches import make_pairs
from physlab.errors import FieldError, PhysLabError
from physlab.teach import (
    conservation,
    draw_method,
    explorer_link,
    explorer_url,
    find_storm,
    say,
    slider,
    table,
    thin,
    with_spread,
)
from physlab.teach.methods import METHODS
from physlab.teach.schematic import schematic


@pytest.fixture(scope="module")
def data():
    """Six smooth frames a split: test frame 4 has a front at 45 S, frame 2 a steeper one at 10 N."""
    latitude = np.linspace(-87.5, 87.5, 64)
    longitude = np.arange(64) * 2.8125 + 170.0
    hours = np.concatenate([6 * np.arange(6) + 720 * number for number in range(3)])
    time = np.datetime64("2001-01-01", "ns") + hours * np.timedelta64(1, "h")
    x = np.full((18, 64, 64), 10.0, dtype=np.float32) + np.linspace(0, 0.1, 64, dtype=np.float32)
    south, tropics = int(np.abs(latitude + 45).argmin()), int(np.abs(latitude - 10).argmin())
    x[16, :, 33:] += 12.0 * (np.abs(np.arange(64) - south) < 3)[:, None]
    x[14, :, 20:] += 60.0 * (np.abs(np.arange(64) - tropics) < 3)[:, None]
    coordinates = {
        "time": time,
        "latitude": ("latitude", latitude, {"units": "degrees_north"}),
        "longitude": ("longitude", longitude, {"units": "degrees_east"}),
    }
    field = xr.DataArray(x, coordinates, ("time", "latitude", "longitude"), name="tcw", attrs={"units": "kg m-2"})
    blocks = {name: (str(time[6 * n]), str(time[6 * n + 5])) for n, name in enumerate(("train", "val", "test"))}
    return make_pairs(field, 4, blocks, 120.0)


def test_storm_is_the_steepest_place_in_the_storm_tracks(data):
    storm = find_storm(data)
    assert storm.index == 4 and storm.split == "test"
    assert storm.time == data.time["test"][4]
    assert -60 <= storm.latitude <= -30
    assert abs(storm.longitude - data.longitude["test"][4][33]) <= 2.9
    # a centred difference spans two cells; at a corner of the front the northward slope adds to the eastward one
    distance = 2 * 2.8125 * np.pi / 180 * 6.371e6 * np.cos(np.deg2rad(storm.latitude))
    assert 0.95 < storm.steepness * distance / (12.0 * 1e5) < 1.5
    assert storm.where.endswith("W") and "S" in storm.where


def test_window_is_aligned_to_blocks_of_eight_and_holds_the_storm(data):
    storm = find_storm(data)
    for part in (storm.rows, storm.columns):
        assert part.start % 8 == 0 and part.stop - part.start == 32 and 0 <= part.start and part.stop <= 64
    assert data.latitude[storm.rows].min() <= storm.latitude <= data.latitude[storm.rows].max()
    fine = storm.cut(data.fine["test"][4])
    assert fine.shape == (1, 32, 32)
    rows, columns = (slice(part.start // 4, part.stop // 4) for part in (storm.rows, storm.columns))
    assert torch.equal(storm.cut(data.coarse["test"][4], 4), data.coarse["test"][4][..., rows, columns])


def test_storm_reads_the_truth_only(data):
    other = dataclasses.replace(data, coarse={name: torch.zeros_like(x) for name, x in data.coarse.items()})
    assert find_storm(other) == find_storm(data)


def test_storm_errors_say_what_to_do(data):
    with pytest.raises(FieldError, match="other limits"):
        find_storm(data, south=89, north=90)
    with pytest.raises(FieldError, match="multiple of 8"):
        find_storm(data, size=20)


def test_thin_spreads_over_the_block_and_marks_the_hash(data):
    small = thin(data, train=3, val=2)
    assert [len(small.fine[name]) for name in ("train", "val", "test")] == [3, 2, 6]
    assert torch.equal(small.fine["train"], data.fine["train"][::2])
    assert torch.equal(small.coarse["val"], data.coarse["val"][::3])
    assert list(small.time["train"]) == list(data.time["train"][::2])
    assert small.scaling == data.scaling and small.data_hash != data.data_hash


def test_say_and_table():
    assert say("a", "b")._repr_markdown_() == "a b"
    frame = pd.DataFrame({"rmse": [1.23456, 2.0], "note": ["x", "y"]}, index=["one", "two"])
    lines = table(frame, name="method").markdown.splitlines()
    assert lines[0] == "| method | rmse | note |" and lines[2] == "| one | 1.23 | x |"


def test_spread_is_shown_only_where_there_is_one():
    frame = pd.DataFrame({"method": ["add", "bicubic"], "rmse": [1.0, 2.0], "rmse_spread": [0.012, float("nan")]})
    shown = with_spread(frame, {"rmse": "RMSE"})
    assert shown.loc["add", "RMSE"] == "1 ± 0.012" and shown.loc["bicubic", "RMSE"] == "2"


def test_links_are_encoded():
    url = explorer_url(v=1, dataset="tcw", hide="truth,scores")
    assert url == "http://localhost:5006/explorer?v=1&dataset=tcw&hide=truth%2Cscores"


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ({}, "http://localhost:5006/explorer"),
        ({"PHYSLAB_PORT": "5010"}, "http://localhost:5010/explorer"),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}, "/user/ada/proxy/5006/explorer"),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/", "PHYSLAB_PORT": "5010"}, "/user/ada/proxy/5010/explorer"),
        (
            {"JUPYTERHUB_SERVICE_PREFIX": "/", "PHYSLAB_EXPLORER": "https://lab.org/explorer/"},
            "https://lab.org/explorer",
        ),
    ],
)
def test_explorer_is_where_the_port_the_hub_or_the_setting_says(monkeypatch, setting, address):
    for name in ("PHYSLAB_PORT", "PHYSLAB_EXPLORER", "JUPYTERHUB_SERVICE_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    assert explorer_url(v=1) == f"{address}?v=1"


def test_explorer_link_survives_as_html():
    link = explorer_link("this storm", v=1, dataset="tcw", frame=3)
    assert 'href="http://localhost:5006/explorer?v=1&amp;dataset=tcw&amp;frame=3"' in link._repr_html_()
    assert "[this storm](http://localhost:5006/explorer?v=1&dataset=tcw&frame=3)" in link._repr_markdown_()


def line(height: float) -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.subplots().axhline(height)
    return figure


def test_slider_has_all_its_positions_in_the_book(monkeypatch):
    monkeypatch.setenv("PHYSLAB_STATIC", "1")
    frames = slider(line, [1, 2.5, 4], start=2.5, label="height <m>")
    html = frames._repr_html_()
    images = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]*)" data-value="([^"]*)"( hidden)?>', html)
    assert [(value, bool(hidden)) for _, _, value, hidden in images] == [("1", True), ("2.5", False), ("4", True)]
    assert len({data for data, *_ in images}) == 3  # three pictures, not one three times
    assert "height &lt;m&gt;: 2.5" in html and 'value="1"' in html and "<noscript>" in html
    assert frames._repr_png_().startswith(b"\x89PNG")
    assert "http" not in html


def test_slider_of_the_book_is_small_or_says_so(monkeypatch):
    monkeypatch.setenv("PHYSLAB_STATIC", "1")
    with pytest.raises(PhysLabError, match="none of its values"):
        slider(line, [1, 2], start=3, label="height")
    monkeypatch.setattr("physlab.teach.frames.LIMIT", 100)
    with pytest.raises(PhysLabError, match="draw smaller pictures"):
        slider(line, [1, 2], start=1, label="height")


def test_slider_moves_in_a_notebook(monkeypatch):
    import IPython.display
    import ipywidgets

    monkeypatch.delenv("PHYSLAB_STATIC", raising=False)
    shown, drawn = [], []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    assert slider(lambda value: drawn.append(value), [1, 2, 4], start=2, label="factor") is None
    (box,) = [x for x in shown if isinstance(x, ipywidgets.VBox)]
    box.children[0].value = 4
    assert drawn == [2, 4]
    (output,) = box.children[1].outputs  # the last picture, once
    assert output["output_type"] == "display_data" and output["data"]["text/plain"] == "None"


def test_an_error_of_a_slider_is_not_hidden(monkeypatch):
    monkeypatch.delenv("PHYSLAB_STATIC", raising=False)
    with pytest.raises(ZeroDivisionError):
        slider(lambda value: 1 / value, [0, 1], start=0, label="x")


def test_slider_without_widgets_is_a_picture(monkeypatch):
    monkeypatch.delenv("PHYSLAB_STATIC", raising=False)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert isinstance(slider(lambda value: Figure(), [1, 2], start=1, label="x"), Figure)


def test_edge_table_of_the_chapter():
    frame = conservation.edge_table()
    assert not (frame == "not finite").any(axis=None)
    assert (frame.loc["ordinary block"] == "exact").all()
    for layer in ("mult", "softmax"):
        assert not frame[layer].str.contains("negative").any()
    assert "negative" in frame.loc["dry coarse cell", "add"]


def test_naive_layers_fail_where_the_chapter_says():
    assert torch.isnan(
        conservation.naive_softmax(torch.tensor([[90.0, 1.0], [2.0, 3.0]]), torch.tensor([[5.0]]), 2)
    ).any()
    assert torch.isnan(conservation.naive_ratio(torch.zeros(2, 2), torch.zeros(1, 1), 2)).all()
    harmless = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert conservation.naive_ratio(harmless, torch.tensor([[5.0]]), 2).flatten().tolist() == [2, 4, 6, 8]


@pytest.mark.parametrize("name", METHODS)
def test_no_arrow_of_a_schematic_crosses_a_box(name):
    assert isinstance(draw_method(name), Figure)


def test_an_arrow_through_a_box_is_refused_and_a_bend_leads_it_round():
    boxes = {"a": ("A box", 0, 0), "b": ("B box", 1, 0), "c": ("C box", 2, 0)}
    with pytest.raises(PhysLabError, match="a -> c runs through b"):
        schematic(boxes, [("a", "c")])
    with pytest.raises(PhysLabError, match="runs through b"):
        schematic(boxes, [("a", "c", "round", "-0.1")])
    fig = schematic(boxes, [("a", "c", "round", "-0.6")], height=3.0)
    assert fig.axes[0].get_ylim()[1] > 0.8  # the arc and its label have room


def test_a_schematic_that_is_not_there():
    with pytest.raises(PhysLabError, match="there are: road"):
        draw_method("poem")
