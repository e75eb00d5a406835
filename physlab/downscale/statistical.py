"""The common base of the statistical methods: fitted by scikit-learn, kept as plain arrays, predicted by NumPy.

A fitted method is a dictionary of arrays and a card of plain JSON values. Nothing is pickled: `save` writes
``model.safetensors`` and ``card.json``, `Statistical.load` gives the same predictions bit by bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from physlab.data.patches import SRData
from physlab.downscale.base import FieldDownscaler, same_degrees
from physlab.downscale.members import downscale_members
from physlab.downscale.several import downscale_several
from physlab.errors import FieldError, PhysLabError
from physlab.grid import Grid
from physlab.registry import Spec
from physlab.store import open_checkpoint, reading, write_checkpoint

FRAMES = 64  # predicted at a time
BLOCKS = 20  # of consecutive frames, of which a share is drawn for training


@dataclass(eq=False)
class Statistical(FieldDownscaler):
    """Base of the fitted methods; the fields of a subclass (a dataclass) are its settings.

    A subclass implements `_learn(coarse (S, h, w), fine (S, H, W), rng)`, which fills `self.arrays`, and
    `_fields(coarse) -> fine`, both float64 in physical units; a stochastic one is a :class:`Stochastic` too.

    Attributes
    ----------
    arrays : everything learned.
    card : what it was learned from (JSON values); empty until `fit`.
    """

    registry: ClassVar[str] = "methods"
    entry: ClassVar[Spec]  # by the decorator
    kinds: ClassVar[dict[str, type[Statistical]]] = {}
    takes_predictors: ClassVar[bool] = False
    """Whether it can be given further coarse fields; then coarse fields are (S, 1 + P, h, w) where there are some."""

    share: float = 0.9
    """Of the training block used, chosen by the seed among `BLOCKS` runs of consecutive frames: its spread over seeds
    is that of having seen other weather. 1 uses all."""

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        Statistical.kinds[cls.__name__] = cls

    @property
    def kind(self) -> str:
        """The name that it is registered by."""
        return type(self).name or type(self).__name__

    def __post_init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.card: dict = {}
        self.name = self.kind
        if not 0 < self.share <= 1:
            raise PhysLabError(f"share {self.share} of the training block: pass a number in (0, 1]")

    # --- learning -----------------------------------------------------------------------------------------------------
    def fit(self, data: SRData, split: str = "train", seed: int = 0) -> Self:
        """Learn from the pairs of a split.

        Parameters
        ----------
        data : pairs of one variable.
        split : of `data`.
        seed : decides the frames and points drawn for training and the random state of the estimator.

        Returns
        -------
        self, fitted.

        Raises
        ------
        PhysLabError : a split that was not loaded.
        """
        if split not in data.fine:
            raise PhysLabError(f"split {split!r} is not loaded: choose one of {', '.join(data.fine)}")
        if data.fine[split].shape[1] != 1:
            raise PhysLabError(f"{data.task} holds sequences of {data.fine[split].shape[1]} frames: pass single frames")
        rng = np.random.default_rng(seed)
        frames = choose_frames(len(data.fine[split]), self.share, rng)
        further = tuple(getattr(data, "predictors", ()))
        if further and not self.takes_predictors:
            raise PhysLabError(
                f"{self.kind} takes no predictors: leave out {', '.join(further)}, or take linear or mlp"
            )
        given = data.coarse[split][frames] if further else data.coarse[split][frames, 0]
        coarse, fine = given.double().cpu().numpy(), data.fine[split][frames, 0].double().cpu().numpy()
        same_place = bool(np.ptp(data.longitude[split][:, 0]) == 0)
        self.factor, self.variable = data.factor, data.variable
        self.arrays = {}
        self.card = {
            "task": data.task, "factor": data.factor, "variable": data.variable, "units": data.units,
            "shape": list(coarse.shape[-2:]), "non_negative": data.non_negative, "split": split, "seed": int(seed),
            "frames": len(frames), "data_hash": data.data_hash, "latitude": data.latitude.tolist(),
            "longitude": data.longitude[split][0].tolist() if same_place else None,
        }  # fmt: skip
        if further:
            self.card["predictors"] = list(further)
        self._bind()
        self._prepare(data, split, frames)
        self._learn(coarse, fine, rng)
        return self

    def _bind(self) -> None:
        """Names and domain that follow from the card."""
        self.factor, self.variable = self.card["factor"], self.card["variable"]
        self.name = f"{self.kind}-x{self.factor}"

    def _prepare(self, data: SRData, split: str, frames: np.ndarray) -> None:
        """For methods that need more than the pairs."""

    def _learn(self, coarse: np.ndarray, fine: np.ndarray, rng: np.random.Generator) -> None:
        raise NotImplementedError

    def _fields(self, coarse: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _members(self, coarse: np.ndarray, members: int, generator: torch.Generator | None) -> np.ndarray:
        raise NotImplementedError

    # --- use ----------------------------------------------------------------------------------------------------------
    def predict(self, coarse: Tensor, weights: Tensor | None = None) -> Tensor:
        """(..., h, w) -> (..., h*N, w*N), physical units, dtype of `coarse`; `weights` are not needed.

        With predictors (..., 1 + P, h, w) -> (..., 1, h*N, w*N), the variable first.

        Raises
        ------
        PhysLabError : not fitted.
        FieldError : another shape than the domain or the rows that were learned.
        """
        flat = self._check(coarse)
        fine = np.concatenate([self._fields(part) for part in np.array_split(flat, -(-len(flat) // FRAMES))])
        lead = (*coarse.shape[:-3], 1) if self.predictors else coarse.shape[:-2]
        return torch.from_numpy(fine).reshape(*lead, *fine.shape[-2:]).to(device=coarse.device, dtype=coarse.dtype)

    @property
    def predictors(self) -> tuple[str, ...]:
        """Coarse fields that it is given besides the variable."""
        return tuple(self.card.get("predictors", ()))

    @property
    def lazy(self) -> bool:
        """With predictors it takes several fields at once."""
        return not self.predictors

    @property
    def gaps(self) -> bool:
        """With predictors, fields must have a value everywhere."""
        return not self.predictors

    def downscale(self, coarse: xr.DataArray | xr.Dataset, **options) -> xr.Dataset:
        """As for every method; with predictors the coarse data hold them, too."""
        if not self.predictors:
            return super().downscale(coarse, **options)
        self.check_members(options.get("members"))
        if options.get("statics") is not None:
            raise FieldError(f"{self.name} takes no static fields: leave them out")
        assert self.variable is not None  # it is fitted
        return downscale_several(
            self, coarse, (self.variable,), self.predictors, lambda x, weights, static: self.predict(x, weights),
            progress=options.get("progress"), cancel=options.get("cancel"),
        )  # fmt: skip

    def _check(self, coarse: Tensor) -> np.ndarray:
        if not self.card:
            raise PhysLabError(f"{self.kind} is not fitted: call fit(data) or load(folder) first")
        if coarse.ndim < 2:
            raise FieldError(f"coarse field has shape {tuple(coarse.shape)}: pass (..., h, w)")
        want, got = self.card["shape"], tuple(coarse.shape[-2:])
        if self.domain is not None and got != tuple(self.domain):
            raise FieldError(f"{self.name} has learned {tuple(self.domain)} coarse cells, got {got}: pass that domain")
        if self.needs_rows and got[0] != want[0]:
            raise FieldError(f"{self.name} has learned {want[0]} rows of latitude, got {got[0]}: pass those rows")
        if self.predictors:
            got = (1 + len(self.predictors), *got)
            if coarse.ndim < 3 or tuple(coarse.shape[-3:]) != got:
                raise FieldError(f"coarse fields have shape {tuple(coarse.shape)}: pass (..., {got[0]}, h, w), "
                                 f"{', '.join((str(self.variable), *self.predictors))}")  # fmt: skip
        return coarse.detach().reshape(-1, *got).double().cpu().numpy()

    @property
    def needs_rows(self) -> bool:
        """Bound to the rows of the training grid (but not to its columns)."""
        return False

    @property
    def training_grid(self) -> Mapping:  # type: ignore[override]  # it follows from the card and is never set
        """The fine rows that were learned; the place is checked below, where rows alone may matter."""
        return {"latitude": self.card["latitude"]} if self.card.get("latitude") else {}

    @property
    def bound_rows(self) -> np.ndarray | None:
        """Fine latitudes where the rows matter."""
        bound = self.card and (self.needs_rows or self.domain is not None)
        return np.asarray(self.card["latitude"]) if bound else None

    def check_grid(self, grid: Grid) -> None:
        """Refuse another place than the one learned."""
        if not self.card:
            raise PhysLabError(f"{self.kind} is not fitted: call fit(data) or load(folder) first")
        super().check_grid(grid)
        pairs = []
        if self.needs_rows or self.domain is not None:
            latitude = np.asarray(self.card["latitude"])
            own = Grid(latitude, np.arange(self.factor * 2.0)).coarsen(self.factor)
            pairs.append(("latitude", own.latitude, grid.latitude))
        if self.domain is not None and self.card["longitude"] is not None:
            longitude = np.asarray(self.card["longitude"]).reshape(-1, self.factor).mean(1)
            pairs.append(("longitude", longitude, grid.longitude))
        for axis, mine, yours in pairs:
            if not same_degrees(mine, yours):
                raise FieldError(
                    f"{self.name} has learned {axis} {mine[0]:g} to {mine[-1]:g} (coarse cells), the field has "
                    f"{yours[0]:g} to {yours[-1]:g}: pass that domain, or fit the method to yours"
                )

    # --- files --------------------------------------------------------------------------------------------------------
    def save(self, folder: str | Path) -> Path:
        """Write ``model.safetensors`` and ``card.json``; a folder that is there is replaced once they are complete."""
        if not self.card:
            raise PhysLabError(f"{self.kind} is not fitted: there is nothing to save")
        folder = Path(folder)
        card = {"class": type(self).__name__, "settings": dataclasses.asdict(self), **self.card}
        return write_checkpoint(folder, card, self.arrays)

    @staticmethod
    def load(folder: str | Path) -> Statistical:
        """The method of a folder, fitted.

        Raises
        ------
        CheckpointError : missing or damaged files, an unknown class.
        """
        with reading("statistical method", folder, "fit"):
            found = open_checkpoint(folder)
            card = dict(found.card)
            made = Statistical.kinds[card.pop("class")](**_tuples(card.pop("settings")))
            made.card, made.arrays = card, found.arrays()
            made._bind()
        return made


class Stochastic(Statistical):
    """Base of those that draw; a subclass implements `_members(coarse, members, generator) -> (M, S, H, W)`."""

    @property
    def spec(self) -> Spec:
        return dataclasses.replace(super().spec, ensemble=True)

    def downscale(
        self, coarse: xr.DataArray | xr.Dataset, *, members: int | None = None, seed: int = 0, **options
    ) -> xr.Dataset:
        """As for every method: its prediction, or with `members` so many draws in a dimension `member`."""
        if members is None:
            return super().downscale(coarse, seed=seed, **options)
        self.check_members(members)
        if not self.predictors:
            return downscale_members(self, coarse, members, seed, **options)
        generator = torch.Generator().manual_seed(seed)
        assert self.variable is not None  # it is fitted
        return downscale_several(
            self, coarse, (self.variable,), self.predictors,
            lambda x, weights, static: self.sample(x, weights, 1, generator)[0], members=members,
            progress=options.get("progress"), cancel=options.get("cancel"),
        )  # fmt: skip

    def sample(
        self, coarse: Tensor, weights: Tensor | None = None, members: int = 10, generator: torch.Generator | None = None
    ) -> Tensor:
        """Distinct members of a stochastic method.

        Parameters
        ----------
        coarse : (..., h, w).
        members : M.
        generator : of the random numbers, on the CPU.

        Returns
        -------
        (M, ..., h*N, w*N), dtype of `coarse`.
        """
        flat = self._check(coarse)
        if members < 1:
            raise PhysLabError(f"{members} members: pass at least 1")
        fine = self._members(flat, members, generator)
        lead = (*coarse.shape[:-3], 1) if self.predictors else coarse.shape[:-2]
        out = torch.from_numpy(fine).reshape(members, *lead, *fine.shape[-2:])
        return out.to(device=coarse.device, dtype=coarse.dtype)


def _tuples(settings: dict) -> dict:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}


def choose_frames(count: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Sorted positions of a share of `count` frames, whole runs of consecutive frames at a time."""
    runs = np.array_split(np.arange(count), min(BLOCKS, count))
    kept = rng.permutation(len(runs))[: max(1, round(share * len(runs)))]
    return np.concatenate([runs[i] for i in sorted(kept)])


def choose_points(count: int, points: int, rng: np.random.Generator) -> np.ndarray | slice:
    """At most `points` of `count` rows, without repetition; all of them if `points` is 0."""
    if not points or count <= points:
        return slice(None)
    return np.sort(rng.choice(count, points, replace=False))
