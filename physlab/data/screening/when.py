"""Which observations belong to the time of a background."""

from __future__ import annotations

import numpy as np
import pandas as pd

from physlab.data.screening.checks import Checks
from physlab.data.stations.account import Account
from physlab.errors import FieldError


def show(time) -> str:
    """2024-01-01T12:00Z."""
    return f"{np.datetime_as_string(np.datetime64(time, 'ns'), 'm')}Z"


def within(frame: pd.DataFrame, time: np.datetime64 | None, checks: Checks, account: Account) -> pd.DataFrame:
    """Rows inside the window.

    Raises
    ------
    FieldError : the background has no time and the observations lie further apart than the window is wide.
    """
    known = frame["time"].notna()
    if not known.any():
        if len(frame) and time is not None and "line" in frame and (frame["line"] > 0).any():
            account.note(f"observations without a time count as those of {show(time)}")
        return frame
    if time is None:
        first, last = frame["time"].min(), frame["time"].max()
        apart = (last - first) / pd.Timedelta(hours=1)
        if apart > 2 * checks.window:
            raise FieldError(
                f"the background has no time and the observations reach from {show(first.to_datetime64())} to "
                f"{show(last.to_datetime64())}: give the background its time, or select the hours that belong to it"
            )
        account.note("the background has no time: whether the observations belong to it is not known")
        return frame
    late = ((frame["time"] - pd.Timestamp(time)).abs() / pd.Timedelta(hours=1)).to_numpy()
    unknown = (~known).to_numpy()
    account.leave("without a time", where(frame, unknown))
    outside = ~unknown & ~(late <= checks.window + 1e-9)
    if outside.any():
        stamps = frame["time"].to_numpy()[outside]
        account.leave(
            f"further than {checks.window:g} h from the background's {show(time)}",
            [f"{w}{' at ' if w else ''}{show(t)}" for w, t in zip(where(frame, outside), stamps, strict=True)],
        )
    return frame[~(outside | unknown)]


def nearest(frame: pd.DataFrame, time: np.datetime64 | None, checks: Checks, account: Account) -> pd.DataFrame:
    """Of each station and field the row nearest in time, unless all are wanted; of two as near, the earlier."""
    if checks.every or not len(frame) or frame["time"].isna().all():
        return frame
    middle = (
        pd.Timestamp(time)
        if time is not None
        else frame["time"].min() + (frame["time"].max() - frame["time"].min()) / 2
    )
    late = (frame["time"] - middle).abs()
    ordered = frame.assign(_late=late).sort_values(["_late", "time"], kind="stable")
    keys = ["station", "latitude", "longitude", "variable", "level"]
    first = ordered.groupby(keys, dropna=False, sort=False)["_late"].transform("idxmin")
    chosen_time = ordered["time"].reindex(first).to_numpy()
    keep = pd.Series(ordered["time"].to_numpy() == chosen_time, index=ordered.index).reindex(frame.index).to_numpy(bool)
    keep = keep | frame["time"].isna().to_numpy()
    account.leave("not the nearest in time of their station", [""] * int((~keep).sum()))
    return frame[keep]


def where(frame: pd.DataFrame, which: np.ndarray) -> list[str]:
    """Line of the file, or place, of each row that is chosen."""
    chosen = frame[which]
    if "line" in chosen and (chosen["line"] > 0).all():
        return [f"line {int(n)}" for n in chosen["line"]]
    return [f"{lat:g} N {lon:g} E" for lat, lon in zip(chosen["latitude"], chosen["longitude"], strict=True)]
