"""Splits by blocks of time with gaps: the only way in which PhysLab separates training from evaluation.

Neighbouring hours of weather are almost the same field. A random split therefore puts near-copies of every test field
into the training set, and the score measures memory. Here each split is one block of time, and between any two blocks
lies a gap in which no sample is used; the gap is asserted, not assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from physlab.errors import FieldError

HOUR = np.timedelta64(1, "h")


def _hours(delta: np.timedelta64) -> float:
    return float(delta / np.timedelta64(1, "s")) / 3600.0


@dataclass(frozen=True)
class Split:
    """Named blocks of time, first and last instant included, with a least distance between blocks.

    Attributes
    ----------
    blocks : name -> (first, last), numpy datetime64 or ISO strings.
    gap : least distance between samples of two different blocks, hours.
    """

    blocks: Mapping[str, tuple]
    gap: float

    def indices(self, time: np.ndarray) -> dict[str, np.ndarray]:
        """Positions in `time` (S,) of the samples of each block, the gap asserted."""
        time = np.asarray(time, dtype="datetime64[ns]")
        found = {
            name: np.flatnonzero((time >= np.datetime64(first, "ns")) & (time <= np.datetime64(last, "ns")))
            for name, (first, last) in self.blocks.items()
        }
        check_gaps({name: time[index] for name, index in found.items()}, self.gap)
        return found


def smallest_distance(times: Mapping[str, np.ndarray]) -> float:
    """Smallest time distance in hours between samples of different splits; infinite for a single split."""
    smallest = np.inf
    names = list(times)
    for i, first in enumerate(names):
        a = np.unique(np.asarray(times[first], dtype="datetime64[ns]"))
        for second in names[i + 1 :]:
            b = np.unique(np.asarray(times[second], dtype="datetime64[ns]"))
            if not a.size or not b.size:
                continue
            after = np.searchsorted(a, b)
            near = [np.abs(b - a[np.clip(after + k, 0, a.size - 1)]).min() for k in (-1, 0)]
            smallest = min(smallest, _hours(min(near)))
    return smallest


def check_gaps(times: Mapping[str, np.ndarray], gap: float) -> float:
    """Assert that no two samples of different splits are closer than `gap` hours; returns the smallest distance in
    hours.

    Raises
    ------
    FieldError : a split is empty, or two splits are closer than the gap.
    """
    empty = [name for name, time in times.items() if not len(time)]
    if empty:
        raise FieldError(f"split '{empty[0]}' holds no sample: choose blocks inside the period of the data")
    distance = smallest_distance(times)
    if distance < gap:
        raise FieldError(
            f"splits leak: samples of two splits are {distance:g} h apart, at least {gap:g} h wanted; widen the gap"
        )
    return distance


def split_by_time(time: np.ndarray, blocks: Mapping[str, float | tuple], gap: float) -> dict[str, np.ndarray]:
    """Divide samples into blocks of time with gaps.

    Parameters
    ----------
    time : (S,) datetime64, any order, repeats allowed (several patches of one instant stay together).
    blocks : name -> share of the samples' period (the shares are normalised), in order of time; or name -> (first,
        last) dates.
    gap : least distance between blocks in hours; samples inside a gap are left out.

    Returns
    -------
    name -> index array into `time`.

    Raises
    ------
    FieldError : an empty block, blocks closer than the gap, or shares and dates in one.
    """
    time = np.asarray(time, dtype="datetime64[ns]")
    lost = np.flatnonzero(np.isnat(time))
    if lost.size:
        raise FieldError(
            f"{lost.size} of {time.size} times are missing (NaT), the first at index {lost[0]}: give them a time, or "
            "leave them out; in a Zarr store the fill value of time must not be one of its values"
        )
    dates = {name: value for name, value in blocks.items() if isinstance(value, (tuple, list))}
    given = [value for value in blocks.values() if not isinstance(value, (tuple, list))]
    if dates and given:
        raise FieldError(f"blocks {', '.join(blocks)} mix shares and dates: pass shares for all, or (first, last)")
    if dates:
        return Split(dates, gap).indices(time)
    if not time.size:
        raise FieldError("no samples to split: the time coordinate is empty")
    start, end = time.min(), time.max()
    shares = np.cumsum([0.0, *given]) / sum(given)
    half = np.timedelta64(round(gap * 1800e9), "ns")
    bounds = {}
    for i, name in enumerate(blocks):
        first = start + (end - start) * shares[i] + (half if i else np.timedelta64(0, "ns"))
        last = start + (end - start) * shares[i + 1] - (half if i + 1 < len(blocks) else np.timedelta64(0, "ns"))
        bounds[name] = (first, last)
    return Split(bounds, gap).indices(time)


def describe(times: Mapping[str, np.ndarray], gap: float, rule: str) -> dict:
    """Split as plain JSON values for a model card: first, last and count of each block, and the smallest distance."""
    blocks = {
        name: {
            "first": str(np.min(time).astype("datetime64[s]")),
            "last": str(np.max(time).astype("datetime64[s]")),
            "samples": len(time),
        }
        for name, time in times.items()
    }
    distance = smallest_distance(times)
    return {
        "rule": rule,
        "blocks": blocks,
        "gap_hours": gap,
        "smallest_distance_hours": None if np.isinf(distance) else distance,
    }
