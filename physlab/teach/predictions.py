"""Predict-and-check exercises: the answer is computed from the shipped data when it is checked, never stored."""

from __future__ import annotations

from functools import lru_cache

import torch

from physlab.grid import coarsen, refine
from physlab.teach.check import Exercise, Submission, number, register, require, uniform


@lru_cache(maxsize=4)
def _test_fields(factor: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Every fourth test frame of the column water (S, 1, H, W), its block means (S, 1, h, w) and cell areas (H, W)."""
    from physlab.data.patches import sr_pairs

    data = sr_pairs("tcw", factor, splits=("test",))
    return data.fine["test"][::4].double(), data.coarse["test"][::4].double(), data.weights.double()


@lru_cache(maxsize=8)
def _rmse(method: str, factor: int) -> float:
    from physlab.downscale import Interpolate
    from physlab.score import rmse

    fine, coarse, weights = _test_fields(factor)
    name, _, constraint = method.partition("+")
    return float(rmse(Interpolate(name, factor, constraint or "none").predict(coarse, weights), fine, weights))


def _word(answer: object, words: tuple[str, ...]) -> str:
    said = str(answer).strip().lower()
    require(said in words, f"the answer must be one of {', '.join(words)}; got {answer!r}")
    return said


def _grade_doubling(answer, generator: torch.Generator) -> str:
    ratio = _rmse("nearest", 8) / _rmse("nearest", 4)
    got = number(answer)
    require(
        abs(got - ratio) < 0.35,
        f"measured: the RMSE of nearest grows {ratio:.2f} times from x4 to x8, you said {got:.2f}. What coarsening "
        "removes is the variance beyond the cut-off wavenumber; for power ~ k^-s it grows as (block edge)^(s - "
        "1), the RMSE as its root. White noise (s = 1) would give 1, and s = 3 gives 2",
    )
    return (
        f"measured: {ratio:.2f}. By power ~ k^-s and RMSE ~ (block edge)^((s - 1)/2) this corresponds to s = "
        f"{1 + 2 * _log2(ratio):.1f}"
    )


def _log2(x: float) -> float:
    return float(torch.log2(torch.tensor(x)))


register(
    Exercise(
        name="predict-doubling",
        asks="a number: RMSE of nearest at x8 divided by its RMSE at x4",
        grade=_grade_doubling,
        right=1.7,
        wrong=(
            Submission("error per pixel count", 4.0, "variance beyond the cut-off"),
            Submission("no growth", 1.0, "white noise"),
            Submission("a word", "more", "a number is wanted"),
        ),
    )
)


def _grade_lost(answer, generator: torch.Generator) -> str:
    fine, coarse, weights = _test_fields(4)
    weights = weights / weights.mean()
    mean = (weights * fine).mean((-2, -1), keepdim=True)
    lost = 100 * float((weights * (fine - refine(coarse, 4)) ** 2).mean() / (weights * (fine - mean) ** 2).mean())
    got = number(answer)
    require(
        lost / 3 < got < lost * 3,
        f"measured: {lost:.2g} % of the variance lives inside the 4 x 4 blocks, you said {got:.3g} %. The spectrum "
        "is steep: most variance sits in the contrast between tropics and poles, so a high correlation proves "
        "little. The fronts are in the rest",
    )
    return f"measured: {lost:.2g} % of the spatial variance. Everything a downscaling method can win is in there"


register(
    Exercise(
        name="predict-lost-variance",
        asks="a number in per cent: share of the spatial variance of column water that a 4 x 4 block mean removes",
        grade=_grade_lost,
        right=4.0,
        wrong=(
            Submission("fifteen of sixteen numbers", 93.75, "the spectrum is steep"),
            Submission("nothing", 0.0, "the fronts are in the rest"),
        ),
    )
)


def _grade_sign(answer, generator: torch.Generator) -> str:
    from physlab.downscale import Interpolate

    _, coarse, weights = _test_fields(4)
    guess = Interpolate("bicubic", 4).predict(coarse, weights)
    residual = (coarsen(guess, 4, weights) - coarse)[..., 1:-1, 1:-1]
    centre = coarse[..., 1:-1, 1:-1]
    around = (coarse[..., :-2, 1:-1] + coarse[..., 2:, 1:-1] + coarse[..., 1:-1, :-2] + coarse[..., 1:-1, 2:]) / 4
    crest = centre - around > 2.0
    mean = float(residual[crest].mean())
    truth = "negative" if mean < 0 else "positive"
    require(
        _word(answer, ("negative", "positive", "zero")) == truth,
        f"measured on {int(crest.sum())} coarse crests: the residual averages {mean:+.2f} kg m-2. A smooth curve "
        "through block means cuts the tops: it passes near the mean in the middle of the block and falls off to "
        "both sides, so the block mean of the interpolated field lies below the coarse value at a crest and above "
        "it in a trough",
    )
    return (
        f"measured on {int(crest.sum())} coarse crests: {mean:+.2f} kg m-2. Interpolation removes water from "
        "ridges and adds it to troughs"
    )


register(
    Exercise(
        name="predict-sign",
        asks="'negative', 'positive' or 'zero': block mean of bicubic minus coarse value, on a crest of moisture",
        grade=_grade_sign,
        right="negative",
        wrong=(
            Submission("overshoot", "positive", "cuts the tops"),
            Submission("conserved", "zero", "cuts the tops"),
            Submission("a sentence", "it goes down", "must be one of"),
        ),
    )
)


def _grade_afterwards(answer, generator: torch.Generator) -> str:
    said = _word(answer, ("never", "sometimes", "always"))
    largest = -1.0
    for _ in range(20):
        truth = uniform((8, 8), 0.0, 50.0, generator)
        guess = truth + uniform((), 0.1, 20.0, generator) * torch.randn(
            (8, 8), generator=generator, dtype=torch.float64
        )
        mended = guess + refine(coarsen(truth, 4) - coarsen(guess, 4), 4)
        before, after = ((guess - truth) ** 2).mean(), ((mended - truth) ** 2).mean()
        largest = max(largest, float(after - before))
    require(
        said == "never",
        f"in 20 random trials the mean square error changed by at most {largest:+.2g}. The additive layer is the "
        "orthogonal projection onto the set of fields with the right block means, and the truth lies in that set: "
        "by Pythagoras the squared error drops by exactly the squared error of the block means",
    )
    return (
        "20 random trials, no increase: error^2 = (error of the block means)^2 + (the rest)^2, and the layer "
        "removes the first"
    )


register(
    Exercise(
        name="predict-afterwards",
        asks="'never', 'sometimes' or 'always': does the additive layer, applied afterwards, raise the RMSE of a "
        "prediction?",
        grade=_grade_afterwards,
        right="never",
        wrong=(
            Submission("it can", "sometimes", "pythagoras"),
            Submission("it must", "always", "orthogonal projection"),
        ),
    )
)


def _grade_order(answer, generator: torch.Generator) -> str:
    names = ("nearest", "bicubic", "bicubic+add")
    require(
        isinstance(answer, (list, tuple)) and sorted(map(str, answer)) == sorted(names),
        f"hand in a list with the three names {', '.join(names)}, worst first",
    )
    scores = {name: _rmse(name, 4) for name in names}
    order = sorted(scores, key=scores.get, reverse=True)
    shown = ", ".join(f"{name} {scores[name]:.2f}" for name in order)
    require(
        list(answer) == order,
        f"measured RMSE in kg m-2: {shown}. Interpolation beats repetition because neighbouring blocks say where "
        "the gradient is, and the additive layer can only lower the error: it removes the error of the block means",
    )
    return f"measured RMSE in kg m-2: {shown}"


register(
    Exercise(
        name="predict-order",
        asks="a list of 'nearest', 'bicubic', 'bicubic+add' from the largest RMSE to the smallest",
        grade=_grade_order,
        right=["nearest", "bicubic", "bicubic+add"],
        wrong=(
            Submission("layer hurts", ["nearest", "bicubic+add", "bicubic"], "can only lower"),
            Submission("nearest best", ["bicubic", "bicubic+add", "nearest"], "neighbouring blocks"),
            Submission("incomplete", ["nearest"], "three names"),
        ),
    )
)
