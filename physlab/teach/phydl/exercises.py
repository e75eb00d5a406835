"""Exercises of the chapter on PhyDL-NWP: derivatives through layers, moving frames, forces that absorb everything."""

from __future__ import annotations

import torch

from physlab.nn import count_parameters
from physlab.nn.coordinate import CoordinateNetwork
from physlab.teach.check import Wrong, call, exercise, require, same_shape, uniform, unlike

# ---- predict and check ----------------------------------------------------------------------------------------------


@exercise("predict-absorbed", wants="number")
def _grade_absorbed(got: float, generator: torch.Generator) -> str:
    """a number: the share of the tendency that a force with as many free numbers as points leaves unexplained"""
    points = 200
    tendency = torch.randn(points, 1, generator=generator, dtype=torch.float64)
    basis = torch.randn(points, points, generator=generator, dtype=torch.float64)
    left = tendency - basis @ torch.linalg.lstsq(basis, tendency).solution
    share = float(left.square().mean().sqrt() / tendency.square().mean().sqrt())
    require(
        abs(got - share) < 0.05,
        f"measured otherwise on pure noise, with as many functions as points: you said {got:.2g}. As many free "
        "numbers as equations solve them all, whatever the data are: how little "
        "is left is then a property of the force and says nothing about nature",
    )
    return f"measured on pure noise: {share:.0e}. A residual that can always be zero is no evidence"


@exercise("predict-frame", wants="number")
def _grade_frame(got: float, generator: torch.Generator) -> str:
    """a number: coefficient of (u - mean u) dc/dx if a uniform wind carries the pattern and gusts do nothing"""
    # a pattern carried by a uniform wind: c_t = -U c_x; the wind that is left after removing its mean is only noise
    wind = float(uniform((), 5.0, 20.0, generator))
    slope = torch.randn(50_000, generator=generator, dtype=torch.float64)
    tendency = -wind * slope
    gusts = torch.randn(50_000, generator=generator, dtype=torch.float64)
    column = (gusts - gusts.mean()) * slope
    found = float((column @ tendency) / (column @ column))
    require(
        abs(got - found) < 0.5,
        f"measured otherwise: you said {got:.2g}. The pattern moves with the mean wind; take the mean away and what "
        "is left of the wind has nothing to do with the motion. Advection is the same in every frame only if pattern "
        "and wind are seen from the same frame",
    )
    return f"measured: {found:.2f}. The whole motion was in the mean that was removed"


# ---- code -----------------------------------------------------------------------------------------------------------


@exercise("second-derivative", wants="function")
def _grade_bend(answer, generator: torch.Generator) -> str:
    """a function bend(h, h_x, h_xx) -> second derivative of sin(h), all (N,)"""
    x = uniform((40,), -1.0, 1.0, generator).requires_grad_(True)
    a, b, c = (float(uniform((), 0.5, 2.0, generator)) for _ in range(3))
    value = a * x + b * x**2 + c * x**3
    slope, bend = a + 2 * b * x + 3 * c * x**2, 2 * b + 6 * c * x
    outer = torch.sin(value)
    first = torch.autograd.grad(outer.sum(), x, create_graph=True)[0]
    wanted = torch.autograd.grad(first.sum(), x)[0]
    inputs = [t.detach() for t in (value, slope, bend)]
    out = same_shape(call(answer, *inputs), (40,), "the second derivative")
    h, d, e = inputs
    hints = {
        "the slope's square is missing: sin bends even where its argument is a straight line": torch.cos(h) * e,
        "the second derivative of the argument is missing": -torch.sin(h) * d**2,
        "the slope enters squared: two factors, one for each derivative": -torch.sin(h) * d + torch.cos(h) * e,
        "the derivative of the cosine is minus the sine": torch.sin(h) * d**2 + torch.cos(h) * e,
    }
    unlike(out, hints)
    worst = float((out - wanted).abs().max())
    require(
        worst < 1e-5 * float(wanted.abs().max()),
        f"differs from autograd by up to {worst:.2g}: apply the chain rule twice to sin(h(x))",
    )
    return "equal to autograd: this is how a jet passes a layer, and why one pass is enough"


@exercise("advection-residual", wants="function")
def _grade_advection(answer, generator: torch.Generator) -> str:
    """a function residual(c_t, u, v, c_x, c_y) -> (N,), zero if the wind carries c"""
    t, x, y = (uniform((60,), -2.0, 2.0, generator) for _ in range(3))
    u, v = (float(uniform((), low, low + 2.0, generator)) for low in (3.0, 6.0))  # not alike: who swaps them is seen
    k, m = (float(uniform((), low, low + 0.3, generator)) for low in (0.3, 0.7))
    phase = k * (x - u * t) + m * (y - v * t)
    c_x, c_y, c_t = k * torch.cos(phase), m * torch.cos(phase), -(k * u + m * v) * torch.cos(phase)
    ones = torch.ones_like(t)
    out = same_shape(call(answer, c_t, u * ones, v * ones, c_x, c_y), (60,), "the residual")
    size = float(c_t.abs().max())
    if float(out.abs().max()) > 1e-5 * size:
        require(
            not torch.allclose(out, c_t - u * c_x - v * c_y),
            "a pattern that moves with the wind leaves a residual: where c rises towards the east and the wind comes "
            "from the west, c falls; look at the sign of the advection",
        )
        require(not torch.allclose(out, c_t + u * c_x), "the wind from the south carries too: v dc/dy is missing")
        require(not torch.allclose(out, c_t + v * c_x + u * c_y), "u goes with the slope to the east, v with the other")
        raise Wrong(f"a pattern that moves with the wind leaves a residual of {float(out.abs().max()) / size:.2g}")
    still = same_shape(call(answer, c_t, 0 * ones, 0 * ones, c_x, c_y), (60,), "the residual")
    require(float(still.abs().max()) > 0.1 * size, "zero for a pattern that moves without wind: nothing is asked of it")
    return "zero for every pattern that moves with the wind, and not for one that moves without"


# ---- derivation -----------------------------------------------------------------------------------------------------


def _count(width: int, depth: int, variables: int) -> int:
    return 4 * width + (depth - 1) * (width + 1) * width + (width + 1) * variables


@exercise("parameter-count", wants="function")
def _grade_count(answer, generator: torch.Generator) -> str:
    """a function count(width, depth, variables) -> parameters of the network of x, y and t"""
    for _ in range(6):
        width, depth, variables = (int(uniform((), low, high, generator)) for low, high in ((4, 60), (1, 7), (1, 9)))
        got, wanted = call(answer, width, depth, variables), _count(width, depth, variables)
        real = count_parameters(CoordinateNetwork(variables, width=width, depth=depth, activation="sine"))
        require(isinstance(got, (int, float)), f"a number is wanted, got {type(got).__name__}")
        if got != real:
            layers = f"{depth} hidden layers of {width}, {variables} variables: {real:,} parameters, you say {got:,}"
            require(got != wanted - depth * width - variables, f"{layers}. Each unit has a bias, the outputs too")
            more = f"{layers}. Between {depth} layers there are {depth - 1} matrices"
            require(got != wanted + (width + 1) * width, more)
            raise Wrong(f"{layers}. Three coordinates go in; count the matrices between the layers, and the biases")
    return f"right for six networks; 8 layers of 87 with 8 variables: {_count(87, 8, 8):,}"


# ---- bug hunt -------------------------------------------------------------------------------------------------------


def published_penalty(residual: torch.Tensor) -> torch.Tensor:
    """As in the published fine-tuning: the mean of the residuals."""
    return residual.mean()


@exercise("mend-the-penalty", wants="function")
def _grade_penalty(answer, generator: torch.Generator) -> str:
    """a function penalty(residual (N,)) -> loss, a tensor without dimensions"""
    residual = 1e-5 * torch.randn(500, generator=generator, dtype=torch.float64)
    value = call(answer, residual)
    require(isinstance(value, torch.Tensor) and value.ndim == 0, "one number as a tensor is wanted: a loss")
    lower = call(answer, residual - 1e-3)
    require(
        float(lower) >= float(value),
        "a field whose residual is -0.001 everywhere breaks the law at every point, and its penalty is *lower* than "
        "that of small errors: the signed mean has no lower bound, so that training drives it to minus infinity",
    )
    flat = torch.cat([residual.abs(), -residual.abs()])
    alike = float(call(answer, residual.abs()))
    require(
        float(call(answer, flat)) > 0.1 * alike,
        "errors of either sign cancel: nothing is left of a law that is broken everywhere",
    )
    twice = float(call(answer, 2 * residual)) / float(value)
    require(twice > 1.5, "twice the residual must cost more")
    one_bad = residual.clone()
    one_bad[0] = 1e-3
    spoiled = torch.full_like(residual, 1e-3)
    require(
        float(call(answer, spoiled)) > 1.5 * float(call(answer, one_bad)),
        "a law that is broken at one point costs as much as one that is broken everywhere: the largest residual alone "
        "tells the training about a single point; every point must count",
    )
    zero = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    loss = call(answer, zero * 1.0)
    require(loss.requires_grad, "the loss has no gradient: compute it with tensors, and return it as a tensor")
    loss.backward()
    require(
        zero.grad is not None and bool(torch.isfinite(zero.grad).all()),
        "the gradient is not a number where the law holds: the root of the square has no slope at zero",
    )
    return "bounded below by zero, reached only where the law holds, with a gradient that vanishes there"
