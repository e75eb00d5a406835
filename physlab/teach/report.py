r"""The results table of the course report of 2025, as its own result files give it, and what follows from it alone.

Fourteen runs E1 to E14 and one more ("GAN add"), one seed each, of the networks of Harder et al. (2023) on 1,024
(triplets: 300) patches of ERA5 column water; units kg m-2 and their square. The figures are typed from the report's
CSV files, as collected in the notes of this project (METHODS, D6); nothing here was computed by PhysLab. `bias` is
truth minus prediction, as there; PhysLab's own bias has the other sign.

Two of its columns can be undone with a pocket calculator:

.. math:: \mathrm{peak} = \sqrt{\mathrm{MSE}}\; 10^{\mathrm{PSNR}/20}, \qquad
          \mathrm{CRPS}_\mathrm{rep} = \frac{\mathrm{MAE} - b}{2} + \frac{M^2}{W^2}\,\frac{\mathrm{MAE} + b}{2}

with the bias b, M = 10 copies of one member and the image width W = 128.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from physlab.benchmark import PAPER
from physlab.errors import PhysLabError

COLUMNS = ("called", "mse", "psnr", "mae", "ssim", "ms_ssim", "bias", "block_error", "negatives", "crps")
_ROWS = {
    "E1": ("CNN x2, none", 0.06782, 51.778, 0.13846, 0.99661, 0.99908, 0.0466, 0.1066, 37, 0.0),
    "E2": ("CNN x2, softmax", 0.16393, 47.945, 0.22834, 0.99282, 0.99722, -0.0839, 0.1878, 59, 0.0),
    "E3": ("CNN x4, none", 0.95893, 40.274, 0.54886, 0.97123, 0.98191, -0.0037, 0.4473, 0, 0.0),
    "E4": ("CNN x4, softmax", 0.18166, 47.499, 0.20987, 0.99086, 0.99628, -2e-9, 9.6e-7, 0, 0.0),
    "E5": ("ConvGRU x4, none", 0.96374, 40.252, 0.52552, 0.97454, 0.98485, 0.0488, 0.4386, 64, 0.0),
    "E6": ("ConvGRU x4, softmax", 0.20411, 46.993, 0.22076, 0.98966, 0.99565, -4e-9, 9.3e-7, 0, 0.0),
    "E7": ("ConvGRU x4, soft", 1.12191, 39.592, 0.59419, 0.97244, 0.98256, -0.1468, 0.5094, 23, 0.0),
    "E8": ("GAN x4, none", 1.42136, 38.564, 0.70446, 0.94258, 0.97545, -0.0091, 0.5052, 1, 0.35890),
    "E9": ("GAN x4, soft", 0.93753, 40.372, 0.58571, 0.96342, 0.97998, -0.1243, 0.4546, 0, 0.35643),
    "E10": ("GAN x4, softmax", 0.20018, 47.077, 0.22844, 0.98964, 0.99580, -8e-10, 9.3e-7, 0, 0.11492),
    "GAN add": ("GAN x4, add", 0.17762, 47.597, 0.21273, 0.99087, 0.99629, -1e-9, 7.1e-7, 13, 0.10702),
    "E11": ("GAN x8, none", 2.95739, 35.382, 1.07560, 0.92072, 0.94584, 0.1692, 0.7341, 6071, 0.45701),
    "E12": ("GAN x8, softmax", 1.51002, 38.302, 0.71101, 0.94338, 0.96355, 6e-9, 1.5e-6, 0, 0.35767),
    "E13": ("FlowConvGRU T1, none", 476.159, 13.202, 16.762, 0.18165, 0.45370, 16.683, 16.691, 1_057_907, 0.0),
    "E14": ("FlowConvGRU T1, softmax", 0.68421, 41.627, 0.36433, 0.97829, 0.99082, -2e-9, 1.1e-6, 0, 0.0),
}
RMSE_PRINTED_E13 = 21.2821
"""As the report prints it; its own CSV has 21.8211."""
DISCRIMINATOR_LOSS = 2.4645
"""As logged throughout the adversarial training: a sum over 16 batches, divided by a list of 9 elements."""
MEMBERS, WIDTH = 10, 128

_NAMES = ("bicubic", "none", "soft", "add", "scaled_add", "mult", "softmax")
PUBLISHED = {
    2: dict(zip(_NAMES, (0.322, 0.251, 0.301, 0.216, 0.199, 0.223, 0.215), strict=True)),
    4: dict(zip(_NAMES, (0.800, 0.657, 0.801, 0.580, 0.575, 0.606, 0.582), strict=True)),
    8: dict(zip(_NAMES, (1.557, 1.358, 1.640, 1.267, 1.264, 1.331, 1.268), strict=True)),
}
"""RMSE in kg m-2 of the SR-CNN in Harder et al. (2023), means of three runs on 10,000 test patches, by factor."""


def reported() -> pd.DataFrame:
    """The table: one row per run, with `rmse` added as the root of the MSE."""
    frame = pd.DataFrame.from_dict(_ROWS, orient="index", columns=list(COLUMNS))
    frame.insert(2, "rmse", np.sqrt(frame["mse"]))
    return frame


def implied_peak(mse: pd.Series, psnr: pd.Series) -> pd.Series:
    """The peak with which a PSNR was computed, unit of the root of the MSE."""
    return np.sqrt(mse) * 10 ** (psnr / 20)


def implied_crps(mae, bias, members: int = MEMBERS, width: int = WIDTH):
    """What the report's CRPS routine returns for copies of one member; bias is truth minus prediction."""
    return (mae - bias) / 2 + (members / width) ** 2 * (mae + bias) / 2


def runs_of(runs: pd.DataFrame, task: str, factor: int, model: str, constraint: str) -> pd.DataFrame:
    """The lines of our tidy table that belong to one row, one per seed."""
    same = (runs["task"] == task) & (runs["factor"] == factor)
    return runs[same & (runs["model"] == model) & (runs["constraint"] == constraint)]


def beside(runs: pd.DataFrame) -> pd.DataFrame:
    """Each row of the report beside ours: RMSE and block error of both, and where each stands in its own data.

    Parameters
    ----------
    runs : our tidy table, of :func:`physlab.benchmark.read_runs`.

    Returns
    -------
    DataFrame by id: called, report_rmse, report_block_error, seeds, rmse, rmse_spread, block_error, low, high (MSE of
    the best and the worst seed), untrained (RMSE of bicubic+add for task and factor) and gain (1 - rmse / untrained).
    """
    rows = {}
    for name, (task, factor, model, constraint) in PAPER.items():
        mine = runs_of(runs, task, factor, model, constraint)
        untrained = float(runs_of(runs, task, factor, "bicubic", "add")["rmse"].mean())
        rmse = float(mine["rmse"].mean())
        rows[name] = {
            "called": _ROWS[name][0],
            "report_rmse": _ROWS[name][1] ** 0.5,
            "report_block_error": _ROWS[name][7],
            "seeds": len(mine),
            "rmse": rmse,
            "rmse_spread": float(mine["rmse"].std(ddof=1)),
            "block_error": float(mine["conservation_error"].mean()),
            "low": float(mine["mse"].min()),
            "high": float(mine["mse"].max()),
            "untrained": untrained,
            "gain": 1 - rmse / untrained,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def at_published_size(table: pd.DataFrame) -> pd.DataFrame:
    """The report's rows beside the same networks at their published size, trained here, and small.

    Parameters
    ----------
    table : of the study "published" (:mod:`physlab.benchmark.published`).

    Returns
    -------
    DataFrame by id: called, report_rmse, parameters, rmse, block_error, small (RMSE of the small network), untrained
    (that of bicubic+add), and for `size` (over the small one) and `gain` (over bicubic+add), 1 - RMSE / RMSE, the
    value and the ends `_low` and `_high` of its interval.
    """
    renamed = {"rmse": "rmse", "conservation_error": "block_error", "rmse_small": "small", "parameters": "parameters",
               "rmse_bicubic_add": "untrained"}  # fmt: skip
    for end in ("", "_low", "_high"):
        renamed |= {f"gain_small{end}": f"size{end}", f"gain_bicubic_add{end}": f"gain{end}"}
    frame = table[table["seed"] == 0].set_index("row").rename_axis(None)[list(renamed)].rename(columns=renamed)
    frame.insert(0, "called", [_ROWS[row][0] for row in frame.index])
    frame.insert(1, "report_rmse", [_ROWS[row][1] ** 0.5 for row in frame.index])
    return frame


def difference(first: pd.Series, second: pd.Series) -> dict[str, float | bool]:
    """Mean of `second` minus mean of `first`, and whether it is more than the spread over seeds allows.

    Returns
    -------
    dict: `difference`; `error`, its standard error sqrt(s1^2/n1 + s2^2/n2); `percent` of the first mean; `p`, two-sided
    probability of such a difference between runs that differ by chance alone (Welch); `beyond`, p < 0.05.
    """
    from scipy.stats import ttest_ind

    a, b = (np.asarray(x, dtype=float) for x in (first, second))
    if min(a.size, b.size) == 0:
        raise PhysLabError(f"{a.size} and {b.size} runs to compare: the table has no such row; pass rows that it has")
    gap = float(b.mean() - a.mean())
    if min(a.size, b.size) < 2:
        return {"difference": gap, "error": np.nan, "percent": 100 * gap / a.mean(), "p": np.nan, "beyond": False}
    error = float(np.sqrt(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size))
    p = float(ttest_ind(a, b, equal_var=False).pvalue)
    return {"difference": gap, "error": error, "percent": 100 * gap / a.mean(), "p": p, "beyond": bool(p < 0.05)}
