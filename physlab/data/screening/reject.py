r"""The background check: an observation too far from the background to be believed.

Given an unbiased background of error :math:`\sigma_b` at the station and an observation of error :math:`\sigma_o`, the
difference has the variance :math:`\sigma_o^2 + \sigma_b^2`; beyond k of its standard deviations (5 is usual: Ingleby
and
Lorenc 1993, Q. J. R. Meteorol. Soc. 119, 1195-1225, discuss why) it is a gross error and not news.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from physlab.data.screening import when
from physlab.data.screening.match import Known
from physlab.data.screening.screen import no_unit
from physlab.data.stations import units
from physlab.data.stations.account import Account
from physlab.errors import FieldError


def background_check(
    found: xr.Dataset, seen: np.ndarray, spread: np.ndarray, sigmas: float, account: Account, known: Mapping[str, Known]
) -> np.ndarray:
    """Which observations are kept, (m,).

    Parameters
    ----------
    found : table of m observations, in the units of the state.
    seen, spread : (m,) the background at the stations, and its standard deviation there.
    sigmas : limit; 0 keeps all.
    account : rejected rows are counted in it, the first with place, value and what the background has.

    Raises
    ------
    FieldError : all are rejected.
    """
    y, error = found["value"].values, found["error"].values
    if not sigmas or not len(y):
        return np.ones(len(y), dtype=bool)
    limit = sigmas * np.hypot(error, spread)
    with np.errstate(over="ignore", invalid="ignore"):
        far = ~(np.abs(y - seen) <= limit)
    if not far.any():
        return ~far
    frame = found.to_dataframe().reset_index(drop=True)
    shown = [
        f"{w}{'' if w.endswith('E') else f', {a:g} N {o:g} E'}: {v} {x:g}, background {b:g} +- {s:.2g}"
        for w, a, o, v, x, b, s in zip(
            when.where(frame.assign(line=frame.get("line", 0)), far), frame["latitude"][far], frame["longitude"][far],
            frame["variable"][far], y[far], seen[far], np.hypot(error, spread)[far], strict=True)
    ]  # fmt: skip
    account.leave(f"rejected, more than {sigmas:g} standard deviations from the background", shown)
    if 2 * far.sum() > len(y):
        hints = []
        for name in dict.fromkeys(frame["variable"][far]):
            rows = far & (frame["variable"] == name).to_numpy()
            unit = known[name].units if name in known else ""
            fits = _fits(y[rows], seen[rows], limit[rows], error[rows], unit, sigmas)
            if fits and name in account.assumed:
                raise FieldError(no_unit(frame.assign(line=frame.get("line", 0))[rows], name, unit, account.name, fits))
            hints.append(f"{name}, which would fit in {fits}" if fits else name)
        cause = "another unit, another time, or a background with too little spread?"
        account.note(f"{int(far.sum())} of {len(y)} are rejected ({', '.join(hints)}): {cause} --check 0 takes all")
        if far.all():
            raise FieldError(f"{account.name}: none of {len(y)} observations can be used; {account.text()}")
    return ~far


def _fits(y, seen, limit, error, unit: str, sigmas: float) -> str:
    """The unit in which most of these values would be near the background, "" for none."""
    for other in units.OTHERS.get(unit, ()):
        turned = units.convert(y, other, unit)
        wider = units.convert(error, other, unit, difference=True)
        if (np.abs(turned - seen) <= limit + sigmas * wider).mean() > 0.5:
            return other
    return ""
