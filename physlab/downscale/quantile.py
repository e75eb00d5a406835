r"""Quantile mapping: give an interpolated field the distribution of the fine one.

**What is mapped.** For super-resolution the source is the bicubic interpolation of the coarse field and the target the
fine field, both over the training block: for each fine cell on a fixed domain (per="cell"), for each row of latitude,
all longitudes pooled, on patches (per="child"), or for all cells alike (per="any"). With source and target
distributions :math:`F_s, F_t`,

.. math:: y = F_t^{-1}\bigl(F_s(\tilde x)\bigr) ,

and beyond the ends of the training block the correction of the outermost quantile. The mapping is monotone and local:
it repairs a distribution, it cannot move a front.

Quantile delta mapping (Cannon et al. 2015, eqs. 3-6) reads the rank from the distribution of the *projection* period
and keeps the change of every quantile, :math:`y = F_t^{-1}(\tau) + \tilde x - F_s^{-1}(\tau)`, or the ratio, with
:math:`\tau = F_p(\tilde x)`. BCSD (Wood et al. 2004) maps at the coarse resolution, then interpolates the anomaly from
the coarse climate and adds it to (or multiplies) the fine climate.

**Rain.** A dry cell has no rank of its own but all below the share of dry cells, and one of these is drawn for it, by
the seed and the field. A model that is dry too often then rains as often as observed; one that is wet too often has its
smallest amounts mapped to zero.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from physlab.data.patches import SRData
from physlab.downscale.statistical import Statistical
from physlab.errors import PhysLabError
from physlab.nn import bicubic
from physlab.registry import register

TINY = 1e-12
PER = ("cell", "child", "any")


def quantile_table(fields: np.ndarray, levels: int, pooled: bool, everywhere: bool = False) -> np.ndarray:
    """(S, H, W) -> (Q, H, W), (Q, H) with the columns pooled, or (Q,) with all pooled: quantiles at Q even levels from
    0 to 1."""
    q = np.linspace(0.0, 1.0, levels)
    if everywhere:
        return np.quantile(fields, q)
    if pooled:
        return np.stack([np.quantile(fields[:, row], q) for row in range(fields.shape[1])], -1)
    return np.quantile(fields, q, axis=0)


def map_values(x: np.ndarray, source: np.ndarray, target: np.ndarray, chance: np.ndarray | None = None) -> np.ndarray:
    """Piecewise linear from the quantiles `source` (Q,) to `target` (Q,); the outermost correction continues beyond.

    Repeated source quantiles (dry cells) are mapped to the mean of their targets; with `chance`, numbers in [0, 1] in
    the shape of x, the lowest of them to a target drawn from theirs: a dry cell of a model that is dry too often
    becomes as wet as it takes.
    """
    quantiles, all_targets = source, target
    source, place = np.unique(source, return_inverse=True)
    target = np.bincount(place, target) / np.bincount(place)
    out = np.interp(x, source, target)
    out = np.where(x < source[0], x + target[0] - source[0], out)
    out = np.where(x > source[-1], x + target[-1] - source[-1], out)
    dry = int((quantiles <= source[0]).sum())
    if chance is None or dry < 2:
        return out
    # the rank of a dry cell lies anywhere below the first quantile that is not dry; the share is known to half a step
    end, at = dry - 0.5 if dry < len(quantiles) else dry - 1, x <= source[0]
    out[at] = np.interp(spread_evenly(chance[at]) * end, np.arange(len(quantiles)), all_targets)
    return out


def spread_evenly(chance: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1) in the same order, one in each of as many equal parts, so that shares are as they should be."""
    rank = np.argsort(np.argsort(chance, kind="stable"))
    return (rank + (chance * 2**20) % 1.0) / max(len(chance), 1)


def map_fields(x: np.ndarray, source: np.ndarray, target: np.ndarray, chance: np.ndarray | None = None) -> np.ndarray:
    """`map_values` cell by cell, tables (Q, H, W), row by row, tables (Q, H), or all alike, (Q,)."""
    out = np.empty_like(x)
    for cell in np.ndindex(source.shape[1:]):
        at = (slice(None), *cell)
        out[at] = map_values(x[at], source[at], target[at], None if chance is None else chance[at])
    return out


def drawn_for(x: np.ndarray, seed: int) -> np.ndarray:
    """Numbers in [0, 1] for each value of fields (S, h, w); those of a frame depend on it and the seed alone.

    Frames that are equal everywhere (no rain at all), or repeated, differ by their place among those they come with.
    """
    x = np.ascontiguousarray(x, np.float32)
    made, together, seen = np.empty(x.shape), zlib.crc32(x.tobytes()), set()
    for place, (frame, field) in enumerate(zip(made, x, strict=True)):
        key = (seed, zlib.crc32(field.tobytes()))
        again = key in seen or np.ptp(field) == 0
        seen.add(key)
        frame[:] = np.random.default_rng((*key, together, place) if again else key).random(frame.shape)
    return made


@dataclass(eq=False)
class Mapped(Statistical):
    """What the three have in common: tables by cell or by row."""

    per: str = "child"
    levels: int = 101

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per not in PER or self.levels < 2:
            raise PhysLabError(
                f"per={self.per!r} with {self.levels} levels: choose per from {', '.join(PER)} and at least 2 levels"
            )

    def _bind(self) -> None:
        super()._bind()
        self.domain = tuple(self.card["shape"]) if self.per == "cell" else None

    @property
    def needs_rows(self) -> bool:
        """The tables belong to latitudes."""
        return self.per != "any"

    def _table(self, fields: np.ndarray) -> np.ndarray:
        return quantile_table(fields, self.levels, self.per == "child", self.per == "any")

    def _up(self, coarse: np.ndarray) -> np.ndarray:
        return bicubic(torch.from_numpy(coarse)[:, None], self.factor)[:, 0].numpy()

    def _keep_sign(self, fine: np.ndarray) -> np.ndarray:
        return np.maximum(fine, 0.0) if self.card["non_negative"] else fine

    def _rain(self, truth: np.ndarray) -> bool:
        """Whether the variable is dry in places."""
        return bool(self.card["non_negative"]) and bool(truth.min() <= 0)

    def _dry(self, x: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Interpolation that swings below zero beside rain is dry there."""
        return np.maximum(x, 0.0) if self._rain(truth) else x

    def _chance(self, x: np.ndarray, truth: np.ndarray) -> np.ndarray | None:
        """What decides which dry cells become wet; None for variables that are never dry."""
        return drawn_for(x, int(self.card.get("seed", 0))) if self._rain(truth) else None

    def _check_fitted(self) -> None:
        if not self.card:
            raise PhysLabError(f"{self.kind} is not fitted: call fit(data) first")


@register("eqm", title="Quantile mapping", kind="statistical", order=13)
@dataclass(eq=False)
class EmpiricalQuantileMapping(Mapped):
    """Bicubic interpolation, then the quantile map from interpolated to fine, as described above."""

    def _learn(self, coarse: np.ndarray, fine: np.ndarray, rng: np.random.Generator) -> None:
        self.arrays = {"source": self._table(self._dry(self._up(coarse), fine)), "target": self._table(fine)}

    def _fields(self, coarse: np.ndarray) -> np.ndarray:
        target = self.arrays["target"]
        x = self._dry(self._up(coarse), target)
        return self._keep_sign(map_fields(x, self.arrays["source"], target, self._chance(x, target)))


@register(
    "qdm",
    title="Quantile delta mapping",
    kind="statistical",
    order=14,
    reference="Cannon et al. (2015)",
    cell={"period": "test"},
    child={"period": "test"},
)
@dataclass(eq=False)
class QuantileDeltaMapping(EmpiricalQuantileMapping):
    """Quantile mapping that keeps the change of every quantile between training and projection period.

    The projection period is a whole sample of coarse fields (never their truth): pass it to `adapt`, or name its split
    in `period`. Without one it is the training period, and the method agrees with empirical quantile mapping.

    Attributes
    ----------
    change : "add" keeps differences of quantiles, "ratio" keeps ratios (non-negative variables).
    period : split of the data whose coarse fields are the projection period; "" for none.
    """

    change: str = "add"
    period: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.change not in ("add", "ratio"):
            raise PhysLabError(f"change={self.change!r} is unknown: choose 'add' or 'ratio'")

    def _prepare(self, data: SRData, split: str, frames: np.ndarray) -> None:
        if self.period and self.period not in data.coarse:
            raise PhysLabError(f"period {self.period!r} is not loaded: choose one of {', '.join(data.coarse)}")
        self._projection = data.coarse[self.period][:, 0] if self.period else None

    def _learn(self, coarse: np.ndarray, fine: np.ndarray, rng: np.random.Generator) -> None:
        super()._learn(coarse, fine, rng)
        self.arrays["projection"] = self.arrays["source"]
        if self._projection is not None:
            self.adapt(self._projection)
        self._projection = None

    def adapt(self, coarse: Tensor) -> QuantileDeltaMapping:
        """Take the coarse fields (..., h, w) of a whole projection period; returns self."""
        self._check_fitted()
        x = self._dry(self._up(self._check(coarse)), self.arrays["target"])
        self.arrays["projection"] = self._table(x)
        return self

    def _fields(self, coarse: np.ndarray) -> np.ndarray:
        tables = self.arrays
        x = self._dry(self._up(coarse), tables["target"])
        chance = self._chance(x, tables["target"])
        fine = map_fields(x, tables["projection"], tables["target"], chance)  # F_t^-1(tau)
        before = map_fields(x, tables["projection"], tables["source"], chance)  # F_s^-1(tau)
        if self.change == "add":
            return self._keep_sign(fine + x - before)
        return self._keep_sign(np.where(np.abs(before) > TINY, fine * x / np.where(before == 0, 1.0, before), fine))


@register("bcsd", title="BCSD", kind="statistical", order=12, reference="Wood et al. (2004)")
@dataclass(eq=False)
class BCSD(Mapped):
    """Bias correction at the coarse resolution, then spatial disaggregation of the anomaly.

    The coarse fields of PhysLab are block means of the truth, so that there is no bias to correct until a biased model
    is passed to `adapt`; what remains is the fine climate plus the interpolated anomaly.

    Attributes
    ----------
    change : "add" for anomalies as differences, "ratio" for ratios (non-negative variables).
    """

    change: str = "add"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.change not in ("add", "ratio"):
            raise PhysLabError(f"change={self.change!r} is unknown: choose 'add' or 'ratio'")

    def _learn(self, coarse: np.ndarray, fine: np.ndarray, rng: np.random.Generator) -> None:
        axes = {"cell": (0,), "child": (0, 2), "any": (0, 1, 2)}[self.per]
        self.arrays = {
            "coarse": coarse.mean(axes, keepdims=True)[0], "fine": fine.mean(axes, keepdims=True)[0],
            "observed": self._table(coarse),
        }  # fmt: skip

    def adapt(self, coarse: Tensor) -> BCSD:
        """Take coarse fields (..., h, w) of a biased model over its training period; returns self."""
        self._check_fitted()
        self.arrays["modelled"] = self._table(self._check(coarse))
        return self

    def correct(self, coarse: np.ndarray) -> np.ndarray:
        """The first half alone: (S, h, w) of the biased model -> (S, h, w) with the distribution of the training
        block."""
        if "modelled" not in self.arrays:
            return coarse
        observed = self.arrays["observed"]
        return map_fields(coarse, self.arrays["modelled"], observed, self._chance(coarse, observed))

    def _fields(self, coarse: np.ndarray) -> np.ndarray:
        coarse = self.correct(coarse)
        if self.change == "add":
            return self._keep_sign(self.arrays["fine"] + self._up(coarse - self.arrays["coarse"]))
        ratio = coarse / np.maximum(self.arrays["coarse"], TINY)
        return self._keep_sign(self.arrays["fine"] * self._up(ratio))
