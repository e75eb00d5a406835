"""Exercises of the preface: the block mean by hand, and why a coarse field is never the mean of logarithms."""

from __future__ import annotations

import torch

from physlab.grid import coarsen
from physlab.teach.case import interpolation_rmse
from physlab.teach.check import Wrong, call, exercise, require, same_shape, uniform


@exercise("coarsen", wants="function")
def _grade_coarsen(answer, generator: torch.Generator) -> str:
    """a function coarse(fine, factor): tensor (..., H, W) -> (..., H/N, W/N)"""
    # Block means of non-square fields with any batch shape; the total is kept.
    for factor, lead, (h, w) in ((4, (2,), (3, 5)), (3, (), (4, 2)), (2, (1, 2, 3), (2, 3))):
        fine = uniform((*lead, h * factor, w * factor), 0.0, 60.0, generator)
        out = same_shape(call(answer, fine, factor), (*lead, h, w), "the coarse field")
        exact = coarsen(fine, factor)
        if not torch.allclose(out, exact, rtol=1e-5):
            if torch.allclose(out, exact * factor**2, rtol=1e-5):
                raise Wrong(
                    "this is the block SUM: column water is an amount per square metre, so a coarse cell holds "
                    "the MEAN",
                )
            if torch.allclose(out, fine[..., ::factor, ::factor]):
                raise Wrong(
                    "this takes one cell per block: a sample knows nothing of its neighbours, and the water total "
                    "changes",
                )
            if torch.allclose(out.mean((-2, -1)), exact.mean((-2, -1)), rtol=1e-5):
                raise Wrong(
                    "the total is right but the blocks are mixed up: split H into (h, N) and W into (w, N), then "
                    "average over both N",
                )
            raise Wrong(f"the total water changes by a factor {float(out.mean() / exact.mean()):.3g}")
    return (
        "block means right for factors 2, 3 and 4, for non-square fields and any batch shape; the total water is kept"
    )


@exercise("log-rain", wants="function")
def _grade_log_mean(answer, generator: torch.Generator) -> str:
    """a function coarse(log_rain, factor): log(1 + rain) on (..., H, W) -> mean RAIN on (..., H/N, W/N)"""
    # The coarse field of a quantity that is stored as a logarithm.
    fine = torch.exp(1.5 * torch.randn((2, 8, 12), generator=generator, dtype=torch.float64))
    out = same_shape(call(answer, torch.log1p(fine), 4), (2, 2, 3), "the coarse field")
    exact = coarsen(fine, 4)
    require((out > 0).all(), "negative rain: invert the transform that was applied, log(1 + r), and nothing else")
    lost = 1 - float(out.sum() / exact.sum())
    require(
        lost < 0.02,
        f"{lost:.0%} of the rain is lost: the mean of a logarithm is not the logarithm of the mean (Jensen), so "
        "undo the logarithm BEFORE averaging",
    )
    require(
        torch.allclose(out, exact, rtol=1e-6),
        f"rain appears from nowhere ({-lost:.0%}): log1p is undone by expm1, not by exp",
    )
    return "no rain lost: the transform is undone before the block mean"


@exercise("predict-order", wants="value")
def _grade_order(answer, generator: torch.Generator) -> str:
    """a list of 'nearest', 'bicubic', 'bicubic+add' from the largest RMSE to the smallest"""
    names = ("nearest", "bicubic", "bicubic+add")
    require(
        isinstance(answer, (list, tuple)) and sorted(map(str, answer)) == sorted(names),
        f"hand in a list with the three names {', '.join(names)}, worst first",
    )
    scores = {name: interpolation_rmse(name, 4) for name in names}
    order = sorted(scores, key=lambda name: scores[name], reverse=True)
    shown = ", ".join(f"{name} {scores[name]:.2f}" for name in order)
    require(
        list(answer) == order,
        "measured in another order. Interpolation beats repetition because neighbouring blocks say where "
        "the gradient is, and the additive layer can only lower the error: it removes the error of the block means",
    )
    return f"measured RMSE in kg m-2: {shown}"
