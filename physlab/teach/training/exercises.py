"""Exercises of the chapter on training: a convolution, the loop, the chain rule, when to stop, a leak."""

from __future__ import annotations

import torch

from physlab.teach.check import Wrong, call, exercise, normal, require, same_shape, uniform, unlike
from physlab.teach.training.analysis import lucky

# ---- predict and check ----------------------------------------------------------------------------------------------


@exercise("predict-rate", wants="number")
def _grade_rate(got: float, generator: torch.Generator) -> str:
    """a number: the largest learning rate that still converges, for a loss with the second derivative 4"""
    start = float(uniform((), 1.0, 3.0, generator))

    def after(rate: float) -> float:
        w = start
        for _ in range(400):
            w -= rate * 4 * w
        return abs(w) / start

    require(got > 0, "a rate is positive: with a negative one every step goes uphill")
    require(
        after(0.98 * got) < 1,
        f"with a rate just below {got:g} the weight runs away. A step multiplies the distance from the valley by "
        "1 - rate times curvature: when is that below one in size?",
    )
    require(
        after(1.02 * got) > 1,
        f"with a rate just above {got:g} it still converges. A step that jumps over the valley is no harm, as long as "
        "it lands nearer than it started",
    )
    return "tried with 400 steps on either side: two over the curvature is the limit"


@exercise("predict-lucky", wants="number")
def _grade_lucky(got: float, generator: torch.Generator) -> str:
    """a number: by how many standard deviations the best of 20 equal networks seems to be better"""
    found = lucky(20, seed=int(torch.randint(0, 10**6, (1,), generator=generator)))
    require(
        abs(got) > 0.2,
        "the mean of all would be unbiased, but the best is chosen because it was lucky: its score is no longer fair",
    )
    require(
        abs(got - found) < 0.25,
        f"measured otherwise in 20,000 trials: you said {got:g}. The largest of twenty lies roughly where "
        "a normal curve leaves one part in twenty to its right, and a little beyond",
    )
    return f"measured: {found:.2f}. Choosing uses up the validation data; a test block that chose nothing is left"


# ---- code -----------------------------------------------------------------------------------------------------------


@exercise("convolve", wants="function")
def _grade_convolve(answer, generator: torch.Generator) -> str:
    """a function convolve(field, kernel): (H, W) periodic in both directions and (3, 3) -> (H, W)"""
    for height, width in ((6, 9), (5, 5)):
        field, kernel = normal((height, width), generator), normal((3, 3), generator)
        out = same_shape(call(answer, field, kernel), (height, width), "the result")

        def sums(sign: int, field: torch.Tensor = field, kernel: torch.Tensor = kernel) -> torch.Tensor:
            shifts = [(i - 1, j - 1) for i in range(3) for j in range(3)]
            moved = [kernel[i + 1, j + 1] * field.roll((sign * i, sign * j), (0, 1)) for i, j in shifts]
            return torch.stack(moved).sum(0)

        unlike(
            out,
            {
                "mirrored: weight (0, 0) belongs to the neighbour in the row and the column *before*, so the field is "
                "rolled by +1 to bring it here": sums(1),
                "rows and columns of the kernel are swapped": sums(-1, kernel=kernel.T),
            },
        )
        total = float(out.sum() - kernel.sum() * field.sum())
        require(
            abs(total) < 1e-8 * float(field.abs().sum()) * 10,
            "on a periodic field the sum of the result must be the sum of the weights times the sum of the field: "
            "look at the edges, every cell has eight neighbours",
        )
        require(torch.allclose(out, sums(-1)), "the nine products do not add up to the convolution")
    return "nine shifted copies, periodic at the edges; the sum over the field is multiplied by that of the weights"


@exercise("training-loop", wants="function")
def _grade_loop(answer, generator: torch.Generator) -> str:
    """a function train(x, y, steps, rate): inputs (S, n) and targets (S,) -> weights (n,), after that many steps of
    gradient descent on the mean square error of x @ w, all samples at once, from w = 0"""
    x, true = normal((40, 3), generator), 1 + uniform((3,), 0.0, 1.0, generator)
    y = x @ true + 0.1 * normal((40,), generator)

    def path(rate: float, steps: int, accumulate: bool = False, scale: float = 1.0, sign: float = -1.0) -> torch.Tensor:
        w, kept = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
        for _ in range(steps):
            g = scale * 2 * x.mT @ (x @ w - y) / len(x)
            kept = kept + g if accumulate else g
            w = w + sign * rate * kept
        return w

    for steps, rate in ((1, 0.05), (7, 0.05), (3, 0.11)):
        out = same_shape(call(answer, x, y, steps, rate), (3,), "the weights")
        unlike(
            out,
            {
                "the weights are still zero: nothing was stepped": torch.zeros(3, dtype=torch.float64),
                "uphill: a step goes *against* the gradient": path(rate, steps, sign=1.0),
                "this is the sum of the squares, 40 times as steep: take the mean, or the rate depends on the number "
                "of samples": path(rate, steps, scale=40.0),
                "half of the slope: the derivative of a square has a factor of two": path(rate, steps, scale=0.5),
                "one step too many": path(rate, steps + 1),
            },
        )
        if steps > 1:
            unlike(
                out,
                {
                    "old gradients are added to the new one: set them to zero before each backward pass": path(
                        rate, steps, accumulate=True
                    ),
                    "only one step was made, whatever `steps` says": path(rate, 1),
                    "these are the weights of least squares, not of so many steps": torch.linalg.lstsq(
                        x, y[:, None]
                    ).solution[:, 0],
                },
            )
        worst = float((out - path(rate, steps)).abs().max())
        require(worst < 1e-4, f"after {steps} steps the weights differ from gradient descent by up to {worst:.3g}")
    return (
        "the weights of gradient descent after 1, 3 and 7 steps: forward, loss, backward, step, and nothing left over"
    )


@exercise("early-stopping", wants="function")
def _grade_stopping(answer, generator: torch.Generator) -> str:
    """a function keep(validation, patience): list of validation errors, in order -> index of the weights to keep, if
    training stops once `patience` looks in a row were no better than the best so far"""
    for _ in range(4):
        noise = uniform((12,), 0.0, 0.05, generator)
        falling = torch.linspace(2.0, 1.0, 5, dtype=torch.float64)
        bumpy = torch.cat([falling + noise[:5], 1.3 + noise[5:8], torch.tensor([0.5]).double(), 1.6 + noise[9:]])
        for patience, wanted in ((2, int(bumpy[:7].argmin())), (3, int(bumpy[:8].argmin())), (4, 8)):
            got = call(answer, bumpy.tolist(), patience)
            require(
                isinstance(got, int | float) and not isinstance(got, bool) and got == int(got),
                "an index, a whole number, is wanted",
            )
            require(
                got != len(bumpy) - 1, "the last weights are kept: they are those that have forgotten what they knew"
            )
            require(
                not (got == 8 and wanted != 8),
                "this looks at the whole curve: a run that was stopped never saw the dip after its end",
            )
            require(
                got != wanted + patience,
                "this is where training stopped; the weights to keep are those of the best look before it",
            )
            require(got == wanted, f"patience {patience}: index {wanted} was the best look before the stop, not {got}")
    return "the best look before the stop is kept, for patience 2, 3 and 4"


# ---- derivation -----------------------------------------------------------------------------------------------------


@exercise("chain-rule", wants="function")
def _grade_chain(answer, generator: torch.Generator) -> str:
    """a function gradient(w, b, v, x, y) -> (d/dw, d/db, d/dv) of the mean of (v * max(0, w x + b) - y)^2 over samples
    x, y (S,); w, b and v are numbers"""
    for _ in range(3):
        x, y = normal((30,), generator), normal((30,), generator)
        w, b, v = (uniform((), 0.5, 2.0, generator) for _ in range(3))
        leaves = [p.clone().requires_grad_(True) for p in (w, b, v)]
        loss = (leaves[2] * torch.relu(leaves[0] * x + leaves[1]) - y).square().mean()
        exact = [float(g) for g in torch.autograd.grad(loss, leaves)]
        out = call(answer, w, b, v, x, y)
        require(
            isinstance(out, tuple | list) and len(out) == 3,
            "three numbers are wanted: the derivatives by w, by b and by v",
        )
        got = [float(part) for part in out]
        error = v * torch.relu(w * x + b) - y
        on = (w * x + b > 0).double()
        names = ("d/dw", "d/db", "d/dv")
        closed = [float((2 * error * v * x).mean()), float((2 * error * v).mean()), exact[2]]
        if all(abs(a - c) < 1e-6 for a, c in zip(got, closed, strict=True)) and float(on.mean()) < 1:
            raise Wrong(
                "the gate is missing: where w x + b is negative the unit is off, and no change of w or b is felt there"
            )
        for name, a, e in zip(names, got, exact, strict=True):
            if abs(a - e) > 1e-4 * max(1.0, abs(e)):
                require(abs(2 * a - e) > 1e-4 * max(1.0, abs(e)), f"{name} is half of what it should be: the square")
                require(
                    abs(a + e) > 1e-4 * max(1.0, abs(e)), f"{name} has the wrong sign: error is output minus target"
                )
                require(abs(a / len(x) - e) > 1e-4 * max(1.0, abs(e)), f"{name} is the sum over samples, not the mean")
                if name != "d/dv":
                    without = float((2 * error * on * (x if name == "d/dw" else 1)).mean())
                    require(
                        abs(a - without) > 1e-4 * max(1.0, abs(e)),
                        f"{name}: the way from the unit to the output goes through v, which multiplies the gradient",
                    )
                raise Wrong(f"{name} is {a:.4g}; central differences give {e:.4g}")
    return "equal to backpropagation for three random networks, the samples with a closed gate included"


# ---- bug hunt -------------------------------------------------------------------------------------------------------


def leaky(train: torch.Tensor, test: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardise as many scripts do: all data are put together first."""
    both = torch.cat([train, test])
    return (train - both.mean()) / both.std(), (test - both.mean()) / both.std()


@exercise("mend-the-scaling", wants="function")
def _grade_scaling(answer, generator: torch.Generator) -> str:
    """a function scale(train, test): fields (S, H, W) and (T, H, W) -> both standardised, (S, H, W) and (T, H, W)"""
    train = 20 + 5 * normal((12, 4, 5), generator)
    test = 26 + 8 * normal((7, 4, 5), generator)
    out = call(answer, train, test)
    require(isinstance(out, tuple | list) and len(out) == 2, "two tensors are wanted: training and test")
    first, second = (
        same_shape(part, tuple(given.shape), name)
        for part, given, name in zip(out, (train, test), ("the training fields", "the test fields"), strict=True)
    )
    unlike(
        second,
        {
            "the mean of the test block is gone: in operation nobody knows it beforehand, and the warming that you "
            "wanted to forecast is subtracted": (test - test.mean()) / test.std(),
            "training and test were put together: a later test sample changes what an earlier one is compared with": (
                leaky(train, test)[1]
            ),
            "one mean for each cell: the map of the mean is what a network should see": (
                (test - train.mean(0)) / train.std(0)
            ),
        },
    )
    require(
        abs(float(first.mean())) < 1e-6 and abs(float(first.std()) - 1) < 0.02,
        "the training fields must have mean zero and standard deviation one",
    )
    other = call(answer, train, test + 100)
    require(torch.allclose(other[0], first), "the training fields change with the test fields: that is the leak itself")
    require(
        torch.allclose(second, (test - train.mean()) / train.std(), rtol=0.02),
        "the test fields must be scaled by the numbers of the training block",
    )
    return "mean and spread come from the training block alone, and go with the weights"
