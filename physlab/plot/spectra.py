"""Power spectra on logarithmic axes, with reference slopes. The spectra themselves come from `physlab.score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from physlab.errors import FieldError


def draw_spectra(
    spectra: Mapping[str, tuple[np.ndarray, np.ndarray]],
    slopes: Sequence[tuple[float, float, float]] = (),
    cutoff: float | None = None,
    units: str = "",
    xlabel: str = "wavenumber (waves per domain)",
    width: float = 6.0,
) -> Figure:
    """Draw mean power spectra.

    Parameters
    ----------
    spectra : mapping from name to (k, power)
        Tensors or arrays (K,); the mean is the constant part of the field (k = 0) and is left out.
    slopes : sequence of (slope, low, high)
        Reference lines k^slope between two wavenumbers, drawn just above the first spectrum.
    cutoff : float, optional
        Wavenumber beyond which the coarse field knows nothing (marked by a vertical line).
    units : str
        Unit of the power.

    Returns
    -------
    Figure
        Closed for pyplot, so that a notebook shows it once.
    """
    if not spectra:
        raise FieldError("no spectrum to draw: pass a dictionary from name to (k, power)")
    figure, ax = plt.subplots(figsize=(width, 0.62 * width), layout="constrained")
    styles = ("-", "--", "-.", ":")
    first: tuple[np.ndarray, np.ndarray] | None = None
    for number, (name, (k, power)) in enumerate(spectra.items()):
        k, power = np.asarray(k, dtype=float), np.asarray(power, dtype=float)
        keep = (k > 0) & (power > 0)
        first = (k[keep], power[keep]) if first is None else first
        black = number == 0
        ax.loglog(
            k[keep],
            power[keep],
            styles[number % 4],
            color="black" if black else f"C{number - 1}",
            lw=2.2 if black else 1.4,
            label=name,
        )
    assert first is not None
    for slope, low, high in slopes:
        x = np.array([low, high], dtype=float)
        level = 2.5 * np.interp(low, *first)
        ax.loglog(x, level * (x / low) ** slope, color="0.5", lw=1)
        ax.annotate(
            f"{slope:+.1f}",
            (np.sqrt(low * high), level * np.sqrt(high / low) ** slope * 1.25),
            fontsize=8,
            color="0.35",
        )
    if cutoff is not None:
        ax.axvline(cutoff, color="0.6", ls=":", lw=1)
        ax.annotate(
            "coarse grid ends",
            (cutoff, ax.get_ylim()[0]),
            rotation=90,
            fontsize=7,
            color="0.4",
            ha="right",
            va="bottom",
        )
    ax.set_xlabel(xlabel, fontsize=9)
    ax.set_ylabel(f"power ({units})" if units else "power", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.legend(fontsize=8)
    ax.grid(alpha=0.25)
    plt.close(figure)
    return figure
