"""How many steps a sampler needs: as many as the spread of its members asks for.

A score such as the CRPS is content with few steps. Their members are too much alike, but each is then closer to the
mean, and the errors pay for each other; what is lost is what the ensemble was for. So the number of steps is chosen by
the spread alone, against that of many steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from physlab.errors import PhysLabError


def steps_by_spread(
    draw: Callable[[int], Tensor], counts: Sequence[int] = (4, 8, 16, 32, 64), tolerance: float = 0.05
) -> tuple[int, dict[int, float]]:
    """The fewest steps from which on the spread of the members stays that of the most steps.

    Parameters
    ----------
    draw : ``draw(steps)`` gives members (M, ...), M at least 2; use the same generator seed for all.
    counts : numbers of steps, the largest as reference.
    tolerance : relative difference of the spread that is none.

    Returns
    -------
    The number of steps; and the spread (root of the mean variance over members) of each.

    Raises
    ------
    PhysLabError : fewer than two counts, or a single member.
    """
    order = sorted(set(counts))
    if len(order) < 2 or order[0] < 2:
        raise PhysLabError(f"counts of steps {tuple(counts)}: pass at least two different ones from 2 on")
    spread = {}
    for count in order:
        members = draw(count)
        if len(members) < 2:
            raise PhysLabError("a spread needs members: let draw(steps) give at least 2")
        spread[count] = float(members.double().var(0).mean().sqrt())
    chosen = order[-1]
    for count in reversed(order):
        if abs(spread[count] - spread[order[-1]]) > tolerance * spread[order[-1]]:
            break
        chosen = count
    return chosen, spread
