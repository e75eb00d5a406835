"""The exercise of the page on graphs of data flow: the slope on its way back through a fork."""

from __future__ import annotations

import torch

from physlab.teach.check import Wrong, call, exercise, normal, require, same_shape


@exercise("back-through-skip", wants="function")
def _grade_skip(answer, generator: torch.Generator) -> str:
    """a function back(slope, through) -> slope by x, for y = x + f(x); `through(s)` carries a slope s back through f"""
    for size in (5, 9):
        x, slope = normal((size,), generator), normal((size,), generator)
        weight = normal((size, size), generator)

        def f(x: torch.Tensor, weight: torch.Tensor = weight) -> torch.Tensor:
            return torch.tanh(x @ weight)

        def through(s: torch.Tensor, weight: torch.Tensor = weight, x: torch.Tensor = x) -> torch.Tensor:
            return ((1 - f(x, weight) ** 2) * s.to(weight)) @ weight.mT

        out = same_shape(call(answer, slope, through), (size,), "the slope")
        leg = through(slope)
        require(
            not torch.allclose(out, leg, atol=1e-4),
            "that is the way through f alone. x is used twice: the arrow round f carries the slope back as well",
        )
        require(
            not torch.allclose(out, slope, atol=1e-4),
            "that is the way round f alone. x is used twice: f must send its part back too",
        )
        require(
            not torch.allclose(out, 0.5 * (slope + leg), atol=1e-4),
            "that is the mean of both ways. Shake x: the loss changes by what goes through f plus what goes round it; "
            "contributions add up, nobody divides",
        )
        moved = [float((slope * (z + f(z))).sum()) for z in (x + 1e-5 * slope, x - 1e-5 * slope)]
        shaken = (moved[0] - moved[1]) / 2e-5
        if abs(float((out * slope).sum()) - shaken) > 1e-3 * (1 + abs(shaken)):
            raise Wrong(
                f"shaking x changes the loss by {shaken:.4f} per step, your slope says "
                f"{float((out * slope).sum()):.4f}. At a fork the slopes that come back are added"
            )
    return "the same as shaking x: where an arrow forks on the way there, slopes are added on the way back"
