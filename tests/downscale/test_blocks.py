"""Series that are refined block after block: equal to the whole, drawn again alike, and no block twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from physlab.data.writer import write_dataset
from physlab.downscale import CNN, blocks
from physlab.downscale.base import GriddedDownscaler
from physlab.downscale.blocks import blocks_of, in_blocks, takes_blocks
from physlab.errors import FieldError
from physlab.nn import ConvGRU, FlowConvGRU
from physlab.registry import Spec
from tests.downscale.test_latent import cube, make
from tests.downscale.test_sequences import SIZE, series


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "STEP", 4 * 8 * 16 * 4 * 4)  # four fine frames of `series`


def network(kind: type) -> CNN:
    torch.manual_seed(0)
    made = kind(2, **SIZE) if kind is ConvGRU else kind(2, flow_channels=[4, 4, 4], norm=False, **SIZE)
    for parameter in made.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    return CNN(made, "mult", 10.0, "tcw", "toy").eval()


@pytest.mark.parametrize("frames", [(3, 3), (2, 3)])
@pytest.mark.parametrize("room", [1, 2, 3, 4, 7, 100])
def test_blocks_cover_a_series_once(frames: tuple[int, int], room: int) -> None:
    for length in range(frames[0], 15):
        plan = blocks_of(length, frames, room)
        made = [i for b in plan for i in range(b.first, b.last)]
        assert made == list(range(length if frames == (3, 3) else 2 * length - 1))
        assert len({b.last - b.first for b in plan[:-1]}) <= 1, "blocks of one size, as they are written"
        for b in plan:
            fine = b.stop - b.start if frames == (3, 3) else 2 * (b.stop - b.start) - 1
            assert 0 <= b.start and b.stop <= length and b.stop - b.start >= frames[0]
            assert b.skip + b.last - b.first <= fine


@pytest.mark.parametrize("kind", [ConvGRU, FlowConvGRU])
@pytest.mark.parametrize("length", [4, 6, 7, 11])
def test_a_series_in_blocks_is_the_series(kind: type, length: int) -> None:
    model, coarse = network(kind), series(length).assign(other=series(length)["tcw"])
    coarse["tcw"][:, 2, 3], coarse["tcw"][1] = np.nan, np.nan
    whole, lazy = model.downscale(coarse), in_blocks(model, coarse.chunk(time=1))
    assert takes_blocks(model, coarse) and lazy["tcw"].chunks is not None and len(lazy["tcw"].chunks[0]) > 1
    assert np.isnan(whole["tcw"]).any() and not np.isnan(whole["tcw"]).all()
    xr.testing.assert_allclose(lazy.compute(), whole, rtol=1e-6)
    assert lazy.attrs == whole.attrs and lazy["time"].attrs == whole["time"].attrs
    uneven = coarse.isel(time=[0, 1, 3])
    with pytest.raises(FieldError, match="even steps"):
        in_blocks(model, uneven)


def test_members_in_blocks_are_drawn_by_seed_and_place(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    coarse = cube(model, times=5)
    whole = model.downscale(coarse, members=3, seed=4)
    monkeypatch.setattr(blocks, "STEP", 2 * whole["t_low"].nbytes // 5)
    coarse["u_low"][2:4] = np.nan
    lazy = in_blocks(model, coarse, members=3, seed=4)
    assert lazy["t_low"].chunks[1] == (2, 2, 1)
    values = lazy["t_low"].values
    assert np.isnan(values[:, 2:4]).all() and np.isfinite(values[:, [0, 1, 4]]).all()
    np.testing.assert_array_equal(values[:, 4], lazy["t_low"].isel(time=4), "in any order, again")
    assert np.std(values[:, 0], axis=0).min() > 0 and not np.allclose(values[:, 0], values[:, 4])
    assert not np.allclose(in_blocks(model, coarse, members=3, seed=5)["t_low"].isel(time=0), values[:, 0])
    kept = lazy.drop_vars("t_low")
    xr.testing.assert_identical(kept, whole.drop_vars("t_low").assign_attrs(kept.attrs))
    assert lazy["t_low"].attrs == whole["t_low"].attrs and lazy["t_low"].dims == whole["t_low"].dims


class Two(GriddedDownscaler):
    """Two fields at once, counted."""

    name, factor, calls = "two", 2, 0
    spec = Spec("two", kind="downscaling", inputs={"tcw": "kg m-2", "t2m": "K"})

    def downscale(self, coarse, **options) -> xr.Dataset:
        self.calls += 1
        return coarse + 0.0


def test_each_block_is_made_once_for_all_fields_and_not_again_after_a_kill(tmp_path: Path, monkeypatch) -> None:
    from physlab.data.cfout import layout

    monkeypatch.setattr(layout, "SMALL", 0)
    monkeypatch.setattr(layout, "CHUNK", 4 * 8 * 16)
    model, coarse = Two(), series(12)
    coarse = coarse.assign(t2m=(coarse["tcw"] + 250).assign_attrs(units="K"))
    lazy = in_blocks(model, coarse)
    count = len(lazy["tcw"].chunks[0])
    model.calls = 0
    seen: list[str] = []

    def killed(name: str, values: np.ndarray) -> None:
        seen.append(name)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(lazy, tmp_path / "a.zarr", belongs_to={"a": 1}, seen=killed)
    assert seen == ["tcw", "t2m", "tcw", "t2m"] and model.calls == 2
    write_dataset(in_blocks(model, coarse), tmp_path / "a.zarr", belongs_to={"a": 1})
    assert count == 3 and model.calls == 2 + 1 + 2, "one for the form, then the two that are missing"
    with xr.open_zarr(tmp_path / "a.zarr") as back:
        np.testing.assert_allclose(back["t2m"], coarse["t2m"], rtol=1e-6)
