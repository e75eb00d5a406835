r"""An outer step: what a method of data assimilation has left of the innovations goes through 3D-Var.

A learned analysis :math:`c` need not fit the observations: nothing in it is a likelihood. With the covariance B of its
own errors on a validation block (not of the background's), the innovations that remain are worth a second analysis,

.. math:: x_a = c + K (d - H c) , \qquad K = B H^T (H B H^T + R)^{-1} ,

the best linear one if what the method has left does not depend on what was observed. Members take perturbed
observations, :math:`x_m + K (d + \epsilon_m - H x_m)`, so that their spread shrinks where was observed (Burgers et al.
1998, Mon. Weather Rev. 126, 1719-1724). A method without members, or one whose members do not know how large its errors
are, takes those of the second analysis, :math:`c + e_m` with e_m drawn from B. Any method can have the step, which
keeps comparisons fair.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from physlab.assimilate.global3d import GlobalVar3D
from physlab.assimilate.learned import Cancel, Learned, Progress, about
from physlab.assimilate.statespace import Columns, StateSpace, observe_columns
from physlab.errors import PhysLabError
from physlab.nn.parts import choose
from physlab.nn.stored import subclasses
from physlab.registry import watched

SPREADS = ("first", "second")


class OuterStep(Learned):
    """A method and the 3D-Var of its errors, made by :meth:`after`.

    Parameters
    ----------
    first, second : class and arguments of both, as JSON holds them.
    spread : whose members it takes, those of the "first" or of the "second" analysis; None for the first where it has
        some.
    """

    ensemble = centred = True

    def __init__(self, space: StateSpace, first: Mapping, second: Mapping, spread: str | None = None) -> None:
        kinds = {kind.__name__: kind for kind in subclasses(Learned)}
        inside = kinds[first["class"]]
        spread = choose("spread", spread or SPREADS[not inside.ensemble], SPREADS)
        if spread == "first" and not inside.ensemble:
            raise PhysLabError(f"{first['class']} has no members: take the spread of the second")
        super().__init__(space, first=dict(first), second=dict(second), spread=spread)
        self.first: Learned = inside(space, **first["arguments"])
        self.second: Learned = kinds[second["class"]](space, **second["arguments"])

    @classmethod
    def after(
        cls, method: Learned, background: Tensor, increment: Tensor, share: float = 0.02, noise: float = 0.0,
        members: int = 8, seed: int = 0, progress: Progress | None = None, spread: str | None = None, **settings,
    ) -> OuterStep:  # fmt: skip
        """After a trained method.

        Parameters
        ----------
        background, increment, share, noise, members, seed, progress : see :meth:`errors`.
        spread : see :class:`OuterStep`.
        settings : of :meth:`~physlab.assimilate.global3d.GlobalVar3D.from_increments`; `like` are the
            covariances of errors of backgrounds, of which there are more.
        """
        errors = cls.errors(method, background, increment, share, noise, members, seed, progress)
        outer = cls.of(method, errors, spread, **settings)
        outer.card |= {"share": share, "noise": noise, "seed": seed}
        return outer

    @classmethod
    @torch.no_grad()
    def errors(
        cls, method: Learned, background: Tensor, increment: Tensor, share: float = 0.02, noise: float = 0.0,
        members: int = 8, seed: int = 0, progress: Progress | None = None,
    ) -> Tensor:  # fmt: skip
        """(N, C, H, W): what a trained method has left.

        Parameters
        ----------
        background, increment : (N, C, H, W) of a validation block, in the units of the method's state space.
        share, noise : of the columns that are observed there, see
            :func:`~physlab.assimilate.statespace.observe_columns`.
        members : of the method, whose mean is the centre.
        """
        if isinstance(method, OuterStep):
            raise PhysLabError("the method has an outer step already: pass the one inside, its `first`")
        space, draw, errors = method.space, torch.Generator().manual_seed(seed), []
        for k in watched(range(len(background)), progress):
            columns = observe_columns(increment[k : k + 1], share, noise, space.area, draw)
            errors.append(increment[k] - _centre(method, background[k : k + 1], columns, members, draw)[0])
        return torch.stack(errors)

    @classmethod
    @torch.no_grad()
    def of(cls, method: Learned, errors: Tensor, spread: str | None = None, **settings) -> OuterStep:
        """Of a method and its :meth:`errors`."""
        own = {"modes": min(24, method.space.shape[0]), **settings}
        second = GlobalVar3D.from_increments(errors, method.space, **own)
        one, two = ({"class": type(m).__name__, "arguments": m.arguments} for m in (method, second))
        outer = cls(method.space, one, two, spread)
        outer.first, outer.second = method, second
        outer.card = {**second.card}
        return outer.eval()

    @torch.no_grad()
    def increments(
        self, background: Tensor, columns: Columns, members: int = 1, generator: torch.Generator | None = None,
        progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> Tensor:  # fmt: skip
        first = self.first
        if members == 1 or self.arguments["spread"] == "second":
            centre = _centre(first, background, columns, max(members, 2), generator, cancel)
            return centre[:, None] + self._correct(background, columns, centre, members, generator, progress, cancel)
        made = first.increments(background, columns, members, generator, None, cancel)
        known = first.centre(background, columns, cancel)
        centre = made.mean(1) if known is None else known
        corrected, total = [], len(background) * (members + 1)
        sizes = columns.noise.reshape(-1, 1, 1, 1).to(made)
        for m in range(members + 1):
            x, seen = (centre, columns) if m == members else (made[:, m], columns)
            if m < members:
                error = sizes * torch.randn(x.shape, generator=generator).to(x)
                seen = Columns(columns.innovation + error * columns.mask, columns.mask, columns.noise)
            told = None if progress is None else _shifted(progress, m * len(background), total)
            corrected.append(x + self._correct(background, seen, x, 1, None, told, cancel)[:, 0])
        return about(torch.stack(corrected[:-1], 1), corrected[-1][:, None])

    def _correct(
        self, background: Tensor, columns: Columns, x: Tensor, members: int, generator, progress, cancel
    ) -> Tensor:
        """(B, members, ...): the second analysis of what is left."""
        left = Columns((columns.innovation - x) * columns.mask, columns.mask, columns.noise)
        return self.second.increments(background, left, members, generator, progress, cancel)


def _centre(
    method: Learned, background: Tensor, columns: Columns, members: int, generator, cancel: Cancel | None = None
) -> Tensor:
    """(B, C, H, W): what the members lie about, or their mean where nothing else is known."""
    known = method.centre(background, columns, cancel)
    if known is not None:
        return known
    return method.increments(background, columns, members, generator, None, cancel).mean(1)


def _shifted(progress: Progress, done: int, total: int) -> Progress:
    return lambda k, _: progress(done + k, total)
