"""Laws by name: what they take, what they say of a state, of members and as a penalty."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physlab.equations import LAWS, geostrophic, laws_of, relative_to_truth, residual_of
from physlab.errors import PhysLabError
from physlab.grid import Grid

NAMES = {"advection", "geostrophic", "hydrostatic", "moisture", "momentum", "saturation", "surface temperature"}


@pytest.fixture
def state() -> dict:
    generator, sphere = torch.Generator().manual_seed(0), Grid(np.linspace(-82.5, 82.5, 12), np.arange(24) * 15.0)
    made = {name: torch.randn(2, *sphere.shape, generator=generator, dtype=torch.float64) for name in ("u", "v", "z")}
    return {**made, "grid": sphere}


def test_every_law_is_found_by_name_and_says_what_it_takes() -> None:
    assert set(LAWS) >= NAMES
    assert LAWS.specs["geostrophic"].facts["takes"] == ("u", "v", "z", "grid")
    assert LAWS["geostrophic"] is geostrophic.residual
    assert laws_of(("u", "v", "z", "t", "grid")) == ["geostrophic"]
    assert set(laws_of(("u", "v", "z", "t", "grid", "dt"))) == {"geostrophic", "momentum"}


def test_the_residual_is_that_of_the_module(state) -> None:
    expected = geostrophic.residual(state["u"], state["v"], state["z"], state["grid"])
    found = residual_of("geostrophic", {**state, "q": None})
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_relative_to_the_truth_is_one_for_the_truth_and_linear(state) -> None:
    twice = {name: 2 * x if isinstance(x, torch.Tensor) else x for name, x in state.items()}
    assert relative_to_truth("geostrophic", state, state) == pytest.approx(1.0)
    assert relative_to_truth("geostrophic", twice, state) == pytest.approx(2.0)


def test_what_is_missing_is_named(state) -> None:
    with pytest.raises(PhysLabError, match="law 'momentum' takes u, v, z, grid, dt: there is no dt"):
        residual_of("momentum", state)
    with pytest.raises(PhysLabError, match="did you mean geostrophic"):
        residual_of("geostrofic", state)
