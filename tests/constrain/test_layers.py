"""The constraint layers: published numbers, their law, and every edge at which the published ones break."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from physlab.constrain import LAYERS, make_constraint
from physlab.errors import CoarseningError, PhysLabError
from physlab.grid import coarsen, refine

HARD = ("add", "scaled_add", "mult", "softmax")
POSITIVE = ("mult", "softmax")
RAW, COARSE = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0]])


def violation(fine: torch.Tensor, coarse: torch.Tensor, factor: int, weights: torch.Tensor | None = None) -> float:
    """Largest block error relative to the size of the values that the block mean adds up."""
    weights = None if weights is None else weights.double()
    fine, coarse = fine.detach().double(), coarse.detach().double()
    size = torch.maximum(coarse.abs(), coarsen(fine.abs(), factor, weights)).clamp_min(1e-30)
    return float(((coarsen(fine, factor, weights) - coarse).abs() / size).max())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", [1, 2, 3, 4]),
        ("add", [3.5, 4.5, 5.5, 6.5]),
        ("mult", [2, 4, 6, 8]),
        ("softmax", [0.64117, 1.74289, 4.73766, 12.87829]),
        # d = 2.5, s = -1, mean 2.5: raw + 2.5 (raw - 1) / 1.5
        ("scaled_add", [1, 2 + 2.5 / 1.5, 3 + 5 / 1.5, 9]),
    ],
)
def test_published_numbers(name: str, expected: list[float]) -> None:
    fine = make_constraint(name, 2)(RAW, COARSE)
    torch.testing.assert_close(fine.flatten(), torch.tensor(expected, dtype=torch.float32), atol=6e-6, rtol=1e-6)


def test_scaled_add_is_geiss_and_hardin_within_the_bounds() -> None:
    generator = torch.Generator().manual_seed(1)
    raw = torch.rand(4, 1, 12, 12, generator=generator, dtype=torch.float64) * 1.8 - 0.9
    coarse = torch.rand(4, 1, 3, 3, generator=generator, dtype=torch.float64) * 1.8 - 0.9
    mean = coarsen(raw, 4)
    s, m = refine(torch.sign(mean - coarse), 4), refine(mean, 4)
    published = raw + refine(coarse - mean, 4) * (s + raw) / (s + m)
    fine = make_constraint("scaled_add", 4)(raw, coarse)
    torch.testing.assert_close(fine, published)
    assert fine.abs().max() <= 1.0, "a result within the bounds is the point of this layer"


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_block_mean_is_the_coarse_value(name: str, dtype: torch.dtype, bar: float) -> None:
    generator = torch.Generator().manual_seed(2)
    for factor, weighted, size in itertools.product((1, 2, 3, 4, 8), (False, True), (1e-3, 1.0, 50.0)):
        shape = (2, 3, 1, 4 * factor, 6 * factor)  # batch, time, channel, not square
        raw = torch.randn(shape, generator=generator, dtype=dtype) * size
        coarse = torch.rand(*shape[:-2], 4, 6, generator=generator, dtype=dtype) + 0.01
        weights = torch.rand(shape[-2:], generator=generator, dtype=dtype) + 0.1 if weighted else None
        fine = make_constraint(name, factor, weights=weights)(raw, coarse)
        assert fine.shape == raw.shape and fine.dtype == dtype
        assert violation(fine, coarse, factor, weights) <= bar


@pytest.mark.parametrize("name", HARD)
def test_weights_by_row_or_call_are_the_same_law(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    raw, coarse = torch.rand(2, 1, 8, 12, generator=generator), torch.rand(2, 1, 2, 3, generator=generator)
    rows = torch.linspace(0.2, 1.0, 8)[:, None]
    stored = make_constraint(name, 4, weights=rows)(raw, coarse)
    given = make_constraint(name, 4)(raw, coarse, weights=7.0 * rows.expand(8, 12))
    torch.testing.assert_close(stored, given)
    assert violation(stored, coarse, 4, rows) < 1e-6
    assert violation(stored, coarse, 4) > 1e-3, "the plain mean must differ here, or the weights were ignored"


CASES = {
    "coarse zero": (RAW, torch.zeros(1, 1)),
    "coarse negative": (RAW, torch.full((1, 1), -3.0)),
    "all zero": (torch.zeros(2, 2), torch.zeros(1, 1)),
    "raw zero": (torch.zeros(2, 2), COARSE),
    "mixed signs, mean zero": (torch.tensor([[-2.0, -1.0], [1.0, 2.0]]), COARSE),
    "raw negative": (-RAW, COARSE),
    "raw very negative": (torch.full((2, 2), -1e4), COARSE),
    "raw 1e4": (torch.full((2, 2), 1e4), COARSE),
    "raw far apart": (torch.tensor([[-1e4, 0.0], [1.0, 1e4]]), COARSE),
    "at the upper bound": (torch.ones(2, 2), COARSE),
    "at the lower bound": (-torch.ones(2, 2), -COARSE),
    "around the bound": (torch.tensor([[0.0, 2.0], [0.5, 1.5]]), COARSE),
    "already right": (RAW, torch.tensor([[2.5]])),
    "tiny": (RAW * 1e-30, COARSE * 1e-30),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", HARD)
def test_edges(name: str, case: str) -> None:
    raw, coarse = (tensor.clone().requires_grad_() for tensor in CASES[case])
    fine = make_constraint(name, 2)(raw, coarse)
    assert torch.isfinite(fine).all()
    assert violation(fine, coarse, 2) <= 1e-6
    (fine * torch.tensor([[1.0, -2.0], [3.0, 0.5]])).sum().backward()
    assert torch.isfinite(raw.grad).all() and torch.isfinite(coarse.grad).all()
    if name in POSITIVE:
        assert (fine * torch.sign(coarse) >= 0).all(), "all children carry the sign of the coarse value"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", HARD)
def test_half_precision(name: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(4)
    raw = (torch.randn(2, 1, 8, 8, generator=generator) * 20).to(dtype)  # exp(20) does not fit float16
    coarse = torch.rand(2, 1, 2, 2, generator=generator).to(dtype)
    fine = make_constraint(name, 4)(raw, coarse)
    exact = make_constraint(name, 4)(raw.double(), coarse.double())
    assert fine.dtype == dtype and torch.isfinite(fine).all()
    torch.testing.assert_close(fine.double(), exact, rtol=2 * torch.finfo(dtype).eps, atol=1e-3)
    single = make_constraint(name, 4)(
        raw.float(), coarse
    )  # a half-precision coarse field does not spoil a single-precision result
    assert single.dtype == torch.float32 and violation(single, coarse, 4) <= 1e-6


@pytest.mark.parametrize("name", HARD)
def test_autocast_does_not_reach_into_the_layer(name: str) -> None:
    raw, coarse = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        fine = make_constraint(name, 4)(raw, coarse)
    assert violation(fine, coarse, 4) <= 1e-6


@pytest.mark.parametrize("name", HARD)
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    generator = torch.Generator().manual_seed(5)
    raw = (torch.rand(1, 1, 4, 4, generator=generator, dtype=torch.float64) * 0.8 + 0.05).requires_grad_()
    coarse = (torch.rand(1, 1, 2, 2, generator=generator, dtype=torch.float64) * 0.8 + 0.05).requires_grad_()
    layer = make_constraint(name, 2, weights=torch.linspace(0.5, 1.0, 4, dtype=torch.float64)[:, None])
    assert torch.autograd.gradcheck(layer, (raw, coarse))


@pytest.mark.parametrize("name", HARD)
def test_projection_and_known_changes(name: str) -> None:
    """Applying add, scaled_add or mult twice changes nothing; softmax does not see a shift of the block."""
    generator = torch.Generator().manual_seed(6)
    raw, coarse = (
        torch.rand(1, 1, 6, 6, generator=generator).double() + 0.1,
        torch.rand(1, 1, 2, 2, generator=generator).double() + 0.1,
    )
    layer = make_constraint(name, 3, **({"bounds": (0.0, 100.0)} if name == "scaled_add" else {}))
    fine = layer(raw, coarse)
    if name == "softmax":
        torch.testing.assert_close(layer(raw + refine(coarse * 100, 3), coarse), fine)
        torch.testing.assert_close(layer(torch.log(fine), coarse), fine)
    else:
        torch.testing.assert_close(layer(fine, coarse), fine)
    assert not torch.allclose(fine, raw)


def test_softmax_temperature_flattens() -> None:
    sharp, flat = (make_constraint("softmax", 2, temperature=t)(RAW, COARSE) for t in (0.5, 1e6))
    torch.testing.assert_close(flat, torch.full((2, 2), 5.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(sharp, make_constraint("softmax", 2)(2 * RAW, COARSE))


def test_mult_is_smooth_and_keeps_positive_values_as_they_are() -> None:
    layer = make_constraint("mult", 1, threshold=0.1)
    raw = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    share = torch.where(raw >= 0.1, raw, 0.1 * torch.exp(raw / 0.1 - 1))
    blocks = torch.stack([raw, torch.ones_like(raw)], -1)[:, None, :].reshape(
        -1, 1, 2
    )  # 2 x 1 children: use factor 1 pieces
    assert torch.equal(layer.positive(blocks)[:, 0, 1], torch.ones_like(raw))
    pair = make_constraint("mult", 2, threshold=0.1)
    block = torch.stack([raw, torch.ones_like(raw), torch.ones_like(raw), torch.ones_like(raw)], -1).reshape(-1, 2, 2)
    fine = pair(block, torch.ones(len(raw), 1, 1, dtype=torch.float64))
    torch.testing.assert_close(fine[:, 0, 0] / fine[:, 1, 1], share)
    slope = torch.diff(fine[:, 0, 0]) / torch.diff(raw)
    assert (slope > 0).all() and torch.diff(slope).abs().max() < 0.02, "g rises, without a kink"


@pytest.mark.parametrize("name", LAYERS)
def test_compiles_without_a_break(name: str) -> None:
    torch._dynamo.reset()
    raw, coarse = torch.rand(2, 1, 8, 12), torch.rand(2, 1, 2, 3)
    layer = make_constraint(name, 4, weights=torch.linspace(0.5, 1, 8)[:, None])
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")  # fullgraph: a break is an error
    torch.testing.assert_close(compiled(raw, coarse), layer(raw, coarse))


@pytest.mark.parametrize(
    ("fine", "coarse"),
    [
        ((1, 1, 8, 8), (1, 1, 4, 4)),
        ((1, 1, 9, 8), (1, 1, 2, 2)),
        ((2, 1, 8, 8), (1, 1, 2, 2)),
        ((8, 8), (1, 2, 2)),
        ((8,), (2,)),
    ],
)
def test_shapes_that_do_not_match(fine: tuple[int, ...], coarse: tuple[int, ...]) -> None:
    for name in LAYERS:
        with pytest.raises(CoarseningError, match="is not the coarse") as error:
            make_constraint(name, 4)(torch.ones(fine), torch.ones(coarse))
        assert "\n" not in str(error.value)


def test_names_and_options() -> None:
    with pytest.raises(PhysLabError, match="none, add, scaled_add, mult, softmax"):
        make_constraint("sofmax", 4)
    with pytest.raises(PhysLabError, match="penalty in the loss, not a layer"):
        make_constraint("soft", 4)
    with pytest.raises(PhysLabError, match="it allows weights, temperature"):
        make_constraint("softmax", 4, bounds=(0, 1))
    for bad in ({"temperature": 0.0}, {"temperature": math.nan}):
        with pytest.raises(PhysLabError, match="temperature"):
            make_constraint("softmax", 4, **bad)
    with pytest.raises(PhysLabError, match="low < high"):
        make_constraint("scaled_add", 4, bounds=(1, 0))
    with pytest.raises(PhysLabError, match="whole number"):
        make_constraint("add", 2.5)
    with pytest.raises(PhysLabError, match="greater than 0"):
        make_constraint("add", 2, weights=torch.zeros(4, 4))


def test_weights_stay_out_of_the_checkpoint() -> None:
    assert not make_constraint("add", 2, weights=torch.ones(4, 4)).state_dict()


# --- known-wrong layers must fail the same checks ---------------------------------------------------------------------
def sum_instead_of_mean(raw: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    return raw + refine(coarse / 4 - coarsen(raw, 2), 2)


def softmax_without_the_largest(raw: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    return torch.exp(raw) * refine(coarse / coarsen(torch.exp(raw), 2), 2)


def plain_ratio(raw: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    return raw * refine(coarse / coarsen(raw, 2), 2)


@pytest.mark.parametrize("wrong", [sum_instead_of_mean, softmax_without_the_largest, plain_ratio])
def test_the_checks_catch_the_published_mistakes(wrong) -> None:
    passed = []
    for raw, coarse in CASES.values():
        fine = wrong(raw, coarse)
        passed.append(bool(torch.isfinite(fine).all()) and violation(fine, coarse, 2) <= 1e-6)
    assert not all(passed)
