"""Finite differences along one axis: any spacing, one-sided at borders, wrapped where periodic.

The weights come from Fornberg's recursion (Math. Comp. 51, 1988) at the true coordinates of the rows, so Gaussian
latitudes and descending coordinates need no special case. Applied with shifted slices, hence any batch shape, any
dtype, differentiable by autograd.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from physlab.errors import PhysLabError


def fornberg(target: float, points: np.ndarray, derivative: int) -> np.ndarray:
    """Weights (n,): sum_j w_j f(points_j) is the derivative of f at `target`, exact for polynomials below degree n."""
    n = len(points)
    weights = np.zeros((derivative + 1, n))
    weights[0, 0] = 1.0
    product, gap = 1.0, points[0] - target
    for i in range(1, n):
        new_product, last_gap, gap = 1.0, gap, points[i] - target
        for j in range(i):
            difference = points[i] - points[j]
            new_product *= difference
            if j == i - 1:
                for m in range(derivative, -1, -1):
                    lower = m * weights[m - 1, i - 1] if m else 0.0
                    weights[m, i] = product * (lower - last_gap * weights[m, i - 1]) / new_product
            for m in range(derivative, -1, -1):
                lower = m * weights[m - 1, j] if m else 0.0
                weights[m, j] = (gap * weights[m, j] - lower) / difference
        product = new_product
    return weights[derivative]


@functools.lru_cache(maxsize=256)
def _bounded_weights(key: bytes, derivative: int, order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interior weights (order+1, n-2m), and two border matrices (m, p): m = order/2 rows, p one-sided points."""
    x = np.frombuffer(key, dtype=np.float64)
    half, border = order // 2, order + derivative
    if x.size < border:
        raise PhysLabError(
            f"{x.size} points are too few for differences of order {order}: at least {border} are "
            "needed; use a larger field"
        )
    inner = np.stack(
        [fornberg(x[i], x[i - half : i + half + 1], derivative) for i in range(half, x.size - half)], axis=1
    )
    first = np.stack([fornberg(x[i], x[:border], derivative) for i in range(half)])
    last = np.stack([fornberg(x[i], x[-border:], derivative) for i in range(x.size - half, x.size)])
    return inner, first, last


def bounded(f: torch.Tensor, x: np.ndarray, dim: int, derivative: int, order: int) -> torch.Tensor:
    """Derivative of `f` along `dim` (-1 or -2) with coordinates `x`, one-sided and of the same order at the borders."""
    inner, first, last = (
        torch.as_tensor(w, dtype=f.dtype, device=f.device)
        for w in _bounded_weights(np.ascontiguousarray(x, dtype=np.float64).tobytes(), derivative, order)
    )
    count = inner.shape[1]
    shape = (count, 1) if dim == -2 else (count,)
    middle = sum((inner[j].view(shape) * f.narrow(dim, j, count) for j in range(order + 1)), f.new_zeros(()))
    points = first.shape[1]
    head, tail = f.narrow(dim, 0, points), f.narrow(dim, f.shape[dim] - points, points)
    if dim == -2:
        return torch.cat([first @ head, middle, last @ tail], dim)
    return torch.cat([head @ first.T, middle, tail @ last.T], dim)


_CENTRED = {
    (1, 2): (0.0, 0.5),
    (1, 4): (0.0, 2.0 / 3.0, -1.0 / 12.0),
    (2, 2): (-2.0, 1.0),
    (2, 4): (-2.5, 4.0 / 3.0, -1.0 / 12.0),
}


def wrapped(f: torch.Tensor, step: float, dim: int, derivative: int, order: int) -> torch.Tensor:
    """Derivative of a periodic `f` with even spacing `step` (signed) along `dim`, centred differences."""
    weights = _CENTRED[derivative, order]
    sign = -1.0 if derivative == 1 else 1.0
    result = weights[0] * f if weights[0] else f.new_zeros(())
    for shift, w in enumerate(weights[1:], start=1):
        result = result + w * (torch.roll(f, -shift, dim) + sign * torch.roll(f, shift, dim))
    return result / step**derivative


def spectral(f: torch.Tensor, step: float, dim: int, derivative: int) -> torch.Tensor:
    """Derivative of a periodic `f`, even spacing `step` (signed), by Fourier transform: exact for resolved waves."""
    n = f.shape[dim]
    k = 2j * np.pi * np.fft.rfftfreq(n, step)
    factor = k**derivative
    if derivative % 2 and n % 2 == 0:
        factor[-1] = 0.0  # the odd derivative of the shortest wave is not resolved
    dtype = torch.complex128 if f.dtype == torch.float64 else torch.complex64
    gain = torch.as_tensor(factor, dtype=dtype, device=f.device)
    gain = gain.view(-1, 1) if dim == -2 else gain
    return torch.fft.irfft(torch.fft.rfft(f, dim=dim) * gain, n=n, dim=dim)
