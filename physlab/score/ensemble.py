r"""Scores of an ensemble of distinct members: CRPS, spread against skill, rank histogram.

The continuous ranked probability score of members f_1 ... f_M and an observation o (Gneiting and Raftery 2007, eq.
21) is

.. math:: \mathrm{CRPS} = \frac1M \sum_i |f_i - o| - \frac{1}{2 K} \sum_{i,j} |f_i - f_j| ,

K = M^2 for the ensemble as a distribution, K = M (M - 1) for the fair score (Ferro 2014), which does not depend on
the size of the ensemble on average. With one member both are the absolute error. The double sum is computed from the
sorted members in O(M log M): sum_ij |f_i - f_j| = 2 sum_i (2 i - M - 1) f_(i), i = 1 ... M.

Members that were moved so that their mean is one known beforehand (`centred`, see ``assimilate.learned.about``) are not
interchangeable with the truth: each keeps its variance about that mean, but two of them lie sqrt(M / (M - 1)) times too
far apart. For these the double sum is divided by that factor, exact for Gaussian members, and the spread is the mean
square distance from their mean, against an error without the sampling error of a mean.
"""

from __future__ import annotations

import torch

from physlab.errors import PhysLabError
from physlab.score.weights import as_double
from physlab.score.weights import mean as weighted_mean


def _members_first(members, truth, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    members, truth = as_double(members), as_double(truth)
    members = members.movedim(dim, 0)
    if members.shape[1:] != truth.shape:
        raise PhysLabError(
            f"members have shape {tuple(members.shape[1:])} besides the {members.shape[0]} along dim {dim}, truth has "
            f"{tuple(truth.shape)}: pass dim= the member axis"
        )
    return members, truth.to(members.device)


def crps(
    members, truth, fair: bool = True, dim: int = 0, weights=None, mean: bool = True, centred: bool = False
) -> torch.Tensor:
    """Continuous ranked probability score, in the unit of the field; smaller is better.

    Parameters
    ----------
    members : (M, ...) or with the member axis at `dim`.
    truth : (...), the shape of one member.
    fair : the fair form, which can be slightly negative at a point; False for the score of the M members as a
        distribution.
    weights : broadcastable to `truth`, e.g. cell areas.
    mean : average over everything (0-dim); False for the score at every point (...).
    centred : the members were moved about a known mean; takes the fair form.
    """
    members, truth = _members_first(members, truth, dim)
    count = members.shape[0]
    error = (members - truth).abs().mean(0)
    if count > 1:
        order = members.sort(0).values
        factor = 2.0 * torch.arange(1, count + 1, dtype=order.dtype, device=order.device) - count - 1
        spread = torch.tensordot(factor, order, dims=1)  # = sum_ij |f_i - f_j| / 2
        pairs = count * (count - 1) if fair or centred else count**2
        error = error - spread / pairs * (((count - 1) / count) ** 0.5 if centred else 1.0)
    return weighted_mean(error, weights) if mean else error


def ensemble_spread(members, dim: int = 0, weights=None) -> torch.Tensor:
    """Root of the mean unbiased ensemble variance, unit of the field."""
    members = as_double(members)
    if members.shape[dim] < 2:
        raise PhysLabError("an ensemble of 1 member has no spread: pass at least 2 distinct members")
    return weighted_mean(members.var(dim, correction=1), weights).sqrt()


def ensemble_mean_rmse(members, truth, dim: int = 0, weights=None) -> torch.Tensor:
    """RMSE of the ensemble mean ("skill"), unit of the field."""
    members, truth = _members_first(members, truth, dim)
    return weighted_mean((members.mean(0) - truth) ** 2, weights).sqrt()


def spread_skill(members, truth, dim: int = 0, weights=None, centred: bool = False) -> torch.Tensor:
    """Spread-skill ratio sqrt((M+1)/M) spread / RMSE of the mean (Fortin et al. 2014): 1 for exchangeable members.

    With `centred` members, moved about a known mean, the factor is sqrt((M-1)/M): their mean has no sampling error.
    Below 1 the ensemble is over-confident (under-dispersive), above 1 its members scatter too much.
    """
    count = as_double(members).shape[dim]
    factor = ((count - 1) / count) ** 0.5 if centred else ((count + 1) / count) ** 0.5
    return factor * ensemble_spread(members, dim, weights) / ensemble_mean_rmse(members, truth, dim, weights)


def rank_histogram(members, truth, dim: int = 0) -> torch.Tensor:
    """How often the truth has rank 0 ... M among the members: (M+1,) counts, flat for a reliable ensemble.

    Ties (zeros of a non-negative field) are shared equally among the ranks they span, so no random numbers are needed
    and the counts, which may then be fractions, sum to the number of points.
    """
    members, truth = _members_first(members, truth, dim)
    count = members.shape[0]
    below = (members < truth).sum(0).flatten()
    equal = (members == truth).sum(0).flatten()
    pairs = torch.bincount(below * (count + 1) + equal, minlength=(count + 1) ** 2).reshape(count + 1, count + 1)
    histogram = torch.zeros(count + 1, dtype=members.dtype, device=members.device)
    for ties in range(count + 1):
        share = pairs[: count + 1 - ties, ties] / (ties + 1)
        for shift in range(ties + 1):
            histogram[shift : shift + share.numel()] += share
    return histogram
