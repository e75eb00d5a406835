r"""The base state under the network: polynomials of low order in place and time, by least squares.

Most of the variance of temperature or geopotential is the contrast of north and south, which says nothing about weather
but decides the unit in which a standardised network errs. Taken off first, in closed form, it leaves anomalies;
the field is base state + standard deviation of the anomalies * network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from physlab.nn.coordinate import Jet

DEGREES = (3, 4, 1)


def exponents(degrees: tuple[int, int, int] = DEGREES) -> list[tuple[int, int, int]]:
    """(i, j, k) of x^i y^j t^k, with i + j no higher than the larger of the two degrees."""
    top = max(degrees[:2])
    return [
        (i, j, k)
        for k in range(degrees[2] + 1)
        for j in range(degrees[1] + 1)
        for i in range(degrees[0] + 1)
        if i + j <= top
    ]


def basis(z: Tensor, degrees: tuple[int, int, int] = DEGREES) -> Jet:
    """Monomials of scaled coordinates (N, 3) and their derivatives: (N, P), (3, N, P), (3, N, P)."""
    powers = [z.new_ones(z.shape), z]
    for _ in range(max(degrees)):
        powers.append(powers[-1] * z)

    def column(e: tuple[int, int, int], axis: int | None, order: int) -> Tensor:
        out = torch.ones_like(z[:, 0])
        for a, n in enumerate(e):
            if a == axis:
                factor = n if order == 1 else n * (n - 1)
                out = out * (factor * powers[n - order][:, a] if n >= order else torch.zeros_like(out))
            else:
                out = out * powers[n][:, a]
        return out

    named = exponents(degrees)
    value = torch.stack([column(e, None, 0) for e in named], dim=1)
    first, second = (
        torch.stack([torch.stack([column(e, axis, order) for e in named], dim=1) for axis in range(3)])
        for order in (1, 2)
    )
    return Jet(value, first, second)


def fit_background(z: Tensor, values: Tensor, degrees: tuple[int, int, int] = DEGREES) -> Tensor:
    """(P, V): least squares at (N, 3) scaled points with (N, V) values, NaN where there is none."""
    columns, out = basis(z.double(), degrees).value, []
    for at in range(values.shape[1]):
        rows = torch.isfinite(values[:, at])
        out.append(torch.linalg.lstsq(columns[rows], values[rows, at, None].double(), driver="gelsd").solution[:, 0])
    return torch.stack(out, dim=1)
