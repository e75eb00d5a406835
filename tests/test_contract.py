"""What every method promises, asked of all that are registered or subclass a base: signatures, specs, refusals."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import xarray as xr

import physlab
from physlab import registry
from physlab.assimilate import FIELD_METHODS, FieldAssimilator, FieldMethod, Learned
from physlab.constrain import LAYERS, make_constraint
from physlab.downscale import Constrained, Interpolate, make_downscaler
from physlab.downscale.base import GriddedDownscaler
from physlab.errors import CheckpointError, FieldError, PhysLabError
from physlab.nn import NETWORKS, CompactResNet, DeepSD, NoiseResNet
from physlab.nn.stored import subclasses

for _name in registry.names("methods"):  # so that their classes are known
    registry.load("methods", _name)
SHARED = ("statics", "members", "seed", "progress", "cancel")
OPTIONAL = {"Listening": {"observations"}}  # what stations said; without them it is the method alone
ANALYSE = ("background", "observations", "members", "seed", "progress", "cancel")
PARTS = [(group, name) for group in registry.FOLDERS for name in registry.names(group)]


@pytest.mark.parametrize("kind", [k for k in subclasses(GriddedDownscaler) if k.__module__.startswith("physlab")])
def test_downscale_has_one_signature(kind) -> None:
    parameters = inspect.signature(kind.downscale).parameters
    extra = [p for p in parameters.values() if p.kind is p.VAR_KEYWORD]
    named = {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    more = OPTIONAL.get(kind.__name__, set())
    assert all(parameters[name].default is None for name in more)
    named -= more
    assert list(parameters)[1] == "coarse"
    assert set(named) <= set(SHARED) and (extra or set(named) == set(SHARED))


@pytest.mark.parametrize(
    "kind", [k for b in (FieldMethod, Learned) for k in subclasses(b) if "physlab" in k.__module__]
)
def test_analyse_has_one_signature(kind) -> None:
    parameters = inspect.signature(kind.analyse).parameters
    assert tuple(parameters)[1:] == ANALYSE
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in ANALYSE[2:])


@pytest.mark.parametrize(("group", "name"), PARTS, ids=[f"{g}-{n}" for g, n in PARTS])
def test_every_part_describes_itself(group, name) -> None:
    """The description that is read from the source is that of the class, and says what a person needs."""
    read, made = registry.specs(group)[name], registry.load(group, name).entry
    assert made.name == name and made.group == group and made.title == read.title
    assert read.title and read.summary and not read.problem
    assert len({option.name for option in made.options}) == len(made.options)


def test_orders_and_colours_tell_layers_apart() -> None:
    layers = registry.specs("constraints").values()
    assert len({spec.colour for spec in layers if spec.colour}) == len([spec for spec in layers if spec.colour])


@pytest.mark.parametrize("name", LAYERS)
def test_options_of_layers_have_bounds_where_they_refuse(name) -> None:
    """A value that the bounds forbid is refused by the layer itself, too."""
    for option in LAYERS[name].entry.options:
        if option.low == 0:
            with pytest.raises(PhysLabError):
                make_constraint(name, 2, **{option.name: 0.0})


def test_the_spec_of_a_network_says_what_it_takes() -> None:
    plain = make_downscaler(CompactResNet(4, channels=4, blocks=1), "softmax", 20.0, "tcw", "toy", card={"units": "mm"})
    assert plain.spec.title == "Compact network, softmax" and plain.spec.inputs == {"tcw": "mm"}
    assert plain.spec.factors == (4,) and plain.spec.frames == (1, 1) and not plain.spec.ensemble
    noisy = make_downscaler(NoiseResNet(4, channels=4, blocks=1), "none", 20.0, "tcw", "toy")
    assert noisy.spec.ensemble
    ground = make_downscaler(DeepSD(4, residual=True, skip="bicubic"), "none", 20.0, "tcw", "toy")
    assert ground.spec.statics == ("elevation",)
    after = Constrained(plain, "add")
    assert after.spec.title == "Compact network, softmax, then additive"
    assert Interpolate("bicubic", 2, "add").spec.kind == "baseline"


def coarse() -> xr.Dataset:
    coordinates = {"latitude": np.linspace(40.0, 50.0, 6), "longitude": np.arange(8) * 2.0}
    field = np.random.default_rng(0).gamma(2.0, 8.0, (6, 8))
    return xr.Dataset({"tcw": (("latitude", "longitude"), field, {"units": "kg m-2"})}, coordinates)


def test_static_fields_of_ones_own_count() -> None:
    torch.manual_seed(0)
    model = make_downscaler(DeepSD(2, residual=True, skip="bicubic"), "none", 20.0, "tcw", "toy").eval()
    grid = model.refine_grid(physlab.grid.Grid.from_dataset(coarse()))
    axes = {"latitude": grid.latitude, "longitude": grid.longitude}

    def over(height: float) -> np.ndarray:
        ground = xr.Dataset({"elevation": (("latitude", "longitude"), np.full(grid.shape, height))}, axes)
        return model.downscale(coarse(), statics=ground)["tcw"].values

    assert not np.allclose(over(0.0), over(3.0))
    hills = physlab.downscale.static.static_fields(("elevation",), grid.latitude, grid.longitude)[0].numpy()
    same = model.downscale(coarse(), statics=xr.Dataset({"elevation": (("latitude", "longitude"), hills)}, axes))
    np.testing.assert_array_equal(same["tcw"], model.downscale(coarse())["tcw"])
    with pytest.raises(FieldError, match="wanted are elevation"):
        model.downscale(coarse(), statics=xr.Dataset({"hills": (("latitude", "longitude"), hills)}, axes))
    wide = xr.Dataset({"elevation": (("latitude", "longitude"), hills)}, axes)
    with pytest.raises(FieldError, match="the fine grid has"):
        model.downscale(coarse(), statics=wide.assign_coords(longitude=grid.longitude + 1))
    with pytest.raises(FieldError, match="takes no static fields"):
        Interpolate("bicubic", 2).downscale(coarse(), statics=wide)


def test_progress_and_cancel_reach_every_field_method() -> None:
    told: list[tuple[int, int]] = []
    Interpolate("bicubic", 2).downscale(coarse(), progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] >= 1
    with pytest.raises(physlab.errors.Cancelled, match="cancelled after 0 of"):
        Interpolate("bicubic", 2).downscale(coarse(), cancel=lambda: True)


@pytest.mark.parametrize("name", ["letkf", "etkf", "enkf", "oi", "bcsd", "random forest", "bicubic+mult-x3"])
def test_every_method_that_ships_opens_by_name(name) -> None:
    model = physlab.load_model(name)
    assert model.spec.title
    if name in FIELD_METHODS:
        assert isinstance(model, type(FieldAssimilator(name)))


@pytest.mark.parametrize(
    ("wrong", "near"), [("lektf", "letkf"), ("phda-s0", "phyda"), ("tcw-x4-sotfmax", "tcw-x4-softmax")]
)
def test_an_unknown_name_is_answered_with_the_near_ones(wrong, near) -> None:
    with pytest.raises(CheckpointError) as caught:
        physlab.load_model(wrong)
    assert near in str(caught.value) and len(str(caught.value)) < 200


def test_names_that_clash_are_refused() -> None:
    with pytest.raises(PhysLabError, match=r"'add' is (that of|registered by)"):

        @registry.register("add", title="Another")
        class Another(physlab.constrain.Constraint):
            """Not the additive layer."""

    with pytest.raises(PhysLabError, match="group"):
        registry.register("lost")(lambda x: x)


def test_networks_are_those_of_cards() -> None:
    assert all(
        name == network.__name__ for name, network in NETWORKS.items() if network.__module__.startswith("physlab")
    )
