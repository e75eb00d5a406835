"""From a request to its pairs, in memory or read as they are needed."""

from __future__ import annotations

from collections.abc import Callable

from physlab.errors import FieldError
from physlab.train.own.cutting import cut
from physlab.train.own.data import OwnData, paired
from physlab.train.own.request import Request
from physlab.train.own.source import source_of
from physlab.train.own.streamed import streamed_data, wants_streaming


def own_data(request: Request, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> OwnData:
    """The pairs of a request.

    Parameters
    ----------
    seed : of the choice of patches.
    progress : called with (parts read, parts in all).

    Raises
    ------
    FieldError : data from which nothing can be learned, in one line.
    """
    source = source_of(request)
    if request.frames > 1 and (len(source.variables) > 1 or source.predictors):
        raise FieldError("sequences are of one variable without predictors: leave out the others, or --frames")
    if wants_streaming(source, request):
        return streamed_data(source, request, progress)
    made = cut(source, request, seed, progress)
    return paired(source, request, made)
