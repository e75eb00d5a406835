"""The chapter on training: what is done by hand equals the library, and over-fitting is what it is called."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from physlab.errors import FieldError, PhysLabError
from physlab.nn.upscaler import bicubic
from physlab.teach import training
from physlab.teach.schematic import schematic


class Scaled(torch.nn.Module):
    """Bicubic interpolation times a number."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return self.a * bicubic(x, 2)


@pytest.fixture
def pairs():
    fine = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return training.Pairs(torch.nn.functional.avg_pool2d(fine, 2), fine, 10.0, torch.ones(8, 8))


@pytest.mark.parametrize("name", training.KERNELS)
def test_nine_copies_are_the_convolution_of_torch(name):
    field = torch.randn(5, 6, 7, generator=torch.Generator().manual_seed(1))
    wide = torch.nn.functional.pad(field[:, None], (1, 1, 1, 1), mode="replicate")
    wanted = torch.nn.functional.conv2d(wide, training.KERNELS[name][None, None])[:, 0]
    assert torch.allclose(training.convolve(field, training.KERNELS[name]), wanted, atol=1e-5)
    with pytest.raises(FieldError, match=r"pass \(3, 3\)"):
        training.convolve(field, torch.ones(2, 2))


def test_descent_and_shaking():
    path = training.descend(lambda a: 2 * a, 1.0, 0.25, steps=3)
    assert path.tolist() == [1, 0.5, 0.25, 0.125]
    w = torch.tensor([[1.0, 2.0]]).double()
    assert torch.allclose(training.shake(lambda: (w**3).sum(), w), 3 * w**2, atol=1e-5)
    assert w.tolist() == [[1.0, 2.0]]


def test_memorising_lowers_the_error_of_what_is_seen(pairs):
    other = training.Pairs(pairs.coarse, pairs.fine.flip(0), pairs.scale, pairs.weights)
    found = training.memorise(Scaled(), pairs, {"other": other}, steps=20, rate=0.05, every=10)
    assert list(found.index) == [0, 10, 20] and found.iloc[-1]["seen"] < found.iloc[0]["seen"]
    assert pairs.error(lambda x: bicubic(x, 2) + 1) == pytest.approx(10.0, rel=0.2)


def test_the_best_of_equals_is_lucky():
    assert training.lucky(1) == pytest.approx(0, abs=0.03)
    assert training.lucky(2) == pytest.approx(np.pi**-0.5, abs=0.03)


def test_pictures(pairs):
    made = [training.draw_network(), training.draw_loop(), training.draw_lucky((1, 2))]
    made.append(training.draw_descent(lambda a: (a - 1) ** 2, lambda a: 2 * (a - 1), 3.0, 0.3))
    found = {c: training.memorise(Scaled(), pairs, {"an hour later": pairs}, 4, every=2) for c in (1, 2)}
    made += [training.draw_memory(found, 2), training.draw_sizes(found)]
    assert all(isinstance(fig, Figure) for fig in made)


def test_a_schematic_has_boxes_for_its_arrows():
    with pytest.raises(PhysLabError, match="no box named c; the boxes are: a, b"):
        schematic({"a": ("A", 0, 0), "b": ("B", 1, 0)}, [("a", "c")])
