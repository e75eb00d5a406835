"""The experiment on the law in the loss of a latent diffusion: its table, in words, tables and one picture."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from physlab.benchmark.ensemble import BASELINES, CONSTRAINED, DIFFUSION, REGRESSION, TUNED, ensemble_summary
from physlab.teach.latent.scene import NAMES
from physlab.teach.pictures import closed, plain_ticks

MAIN = "nature-x4"


def _cell(value: float, spread: float) -> str:
    if value != value:
        return ""
    digits = 3 if abs(value) >= 1e-3 else 1
    return f"{value:.{digits}g}" + (f" ± {spread:.1g}" if spread == spread else "")


def _label(row: pd.Series) -> str:
    if row["model"] != TUNED:
        return row["model"]
    if not row["weight"]:
        return "tuned without a law"
    return f"tuned, {row['kind']} {row['weight']:g}"


def scores(runs: pd.DataFrame, data: str = MAIN) -> pd.DataFrame:
    """The table for readers: mean ± standard deviation over seeds, one row for each model, kind and weight."""
    found = ensemble_summary(runs, data)
    order = [*BASELINES, REGRESSION, DIFFUSION, CONSTRAINED, TUNED]
    found = found.assign(_m=found["model"].map(order.index), _k=found["kind"] == "flux-ratio")
    found = found.sort_values(["_m", "_k", "weight"], kind="stable")
    columns = {key: name for key, name in NAMES.items() if found[key].notna().any()}
    made = {name: [_cell(row[key], row[f"{key}_spread"]) for _, row in found.iterrows()]
            for key, name in columns.items()}  # fmt: skip
    return pd.DataFrame(made, index=[_label(row) for _, row in found.iterrows()])


def _interval(count: int) -> float:
    """Half of the 95 % interval of a mean of few differences, over their standard deviation (Student's t)."""
    return float(stats.t.ppf(0.975, count - 1)) / count**0.5


def effects(runs: pd.DataFrame, data: str = MAIN) -> pd.DataFrame:
    """Change of each score by the law: against as many further steps without it, seed by seed.

    Returns
    -------
    DataFrame, one row for each kind and weight above 0: for each score of :data:`NAMES` the mean change in % of the
    control (column of that key), its standard deviation over seeds (KEY_spread) and KEY_clear: all seeds agree in
    sign, and the mean exceeds the spread.
    """
    tuned = runs[(runs["data"] == data) & (runs["model"] == TUNED)]
    control = tuned[tuned["weight"] == 0].set_index("seed")
    rows = []
    for (kind, weight), group in tuned[tuned["weight"] > 0].groupby(["kind", "weight"]):
        group, row = group.set_index("seed"), {"kind": kind, "weight": weight}
        common = group.index.intersection(control.index)
        for key in NAMES:
            change = 100 * (group.loc[common, key] / control.loc[common, key] - 1).astype(float)
            mean, spread = change.mean(), change.std(ddof=1)
            row |= {
                key: mean,
                f"{key}_spread": spread,
                f"{key}_clear": bool(len(change) > 1 and abs(mean) > _interval(len(change)) * spread),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def better(row: pd.Series | dict, key: str) -> int:
    """1, -1 or 0: a clear gain, a clear loss, or neither, in a score that should be low."""
    return -int(np.sign(row[key])) if row[f"{key}_clear"] else 0


def gains(found: pd.DataFrame, keys: Sequence[str] = ("rmse", "crps")) -> pd.DataFrame:
    """The sign of :func:`better` for each weight of the balance: index weight, columns `keys`."""
    balance = found[found["kind"] == "balance"].set_index("weight")
    return pd.DataFrame({key: [better(row, key) for _, row in balance.iterrows()] for key in keys}, index=balance.index)


def verdict(runs: pd.DataFrame, data: str = MAIN) -> dict:
    """What the balance does to the ensemble, as facts.

    Returns
    -------
    obeyed : whether the members' residual falls clearly at the largest weight.
    helps, hurts : weights with a clearly lower and higher CRPS, the score of an ensemble.
    largest : the largest weight.
    start, end : members' residual over the truth's without the law and at the largest weight.
    change, clear : score -> mean change in % of the control at the largest weight, and whether it is clear.
    """
    found = effects(runs, data)
    balance = found[found["kind"] == "balance"].set_index("weight").sort_index()
    summary = ensemble_summary(runs, data)
    tuned = summary[(summary["model"] == TUNED) & (summary["kind"] != "flux-ratio")].set_index("weight")
    largest, sign = balance.index[-1], gains(found)["crps"]
    last = balance.loc[largest]
    return {
        "obeyed": better(last, "residual") > 0,
        "helps": list(sign.index[sign > 0]),
        "hurts": list(sign.index[sign < 0]),
        "largest": largest,
        "start": float(tuned.loc[0.0, "residual"]),
        "end": float(tuned.loc[largest, "residual"]),
        "change": {key: float(last[key]) for key in NAMES},
        "clear": {key: bool(last[f"{key}_clear"]) for key in NAMES},
    }


def answer(runs: pd.DataFrame, data: str = MAIN) -> str:
    """Does the law help? One sentence, from :func:`verdict`."""
    if TUNED not in set(runs.loc[(runs["data"] == data) & (runs["kind"] == "balance"), "model"]):
        return "The table has no training with the law yet."
    facts = verdict(runs, data)
    change, clear = facts["change"], facts["clear"]
    rows = f"from {facts['start']:.2f} to {facts['end']:.2f} of the truth's at λ = {facts['largest']:g}"
    first = f"The law lowers its own residual in the members, {rows}"
    if not facts["obeyed"]:
        first = f"The law does not clearly lower even its own residual in the members ({rows})"
    if facts["obeyed"] and clear["spread_skill"] and change["spread_skill"] < 0:
        first += f", but makes them more alike (spread/skill {change['spread_skill']:+.1f} %)"
        if clear["specdiv_top"] and change["specdiv_top"] > 0:
            first = first[:-1] + f", finest SpecDiv {change['specdiv_top']:+.0f} %)"
    numbers = f"RMSE {change['rmse']:+.1f} %, CRPS {change['crps']:+.1f} %"
    if facts["helps"]:
        second = f"and the ensemble gains in CRPS at λ = {', '.join(f'{w:g}' for w in facts['helps'])}"
    elif facts["hurts"]:
        second = "and no weight lowers the CRPS of the ensemble"
    else:
        second = "and at no weight does the CRPS of the ensemble change clearly"
    return f"**{first}, {second} ({numbers} at λ = {facts['largest']:g}).**"


def further(runs: pd.DataFrame) -> list[str]:
    """Sentences on the published ratio, the larger factor, the other data, the diffusion itself and the hard layer."""
    said = []
    for data, lead in ((MAIN, ""), ("nature-x8", "At factor 8, "), ("era5-uk-x4", "On hourly ERA5 without wind, ")):
        if data not in set(runs["data"]):
            continue
        for _, row in effects(runs, data).iterrows():
            if data == MAIN and row["kind"] == "balance":
                continue
            name = "the balance" if row["kind"] == "balance" else "the published ratio"
            parts = [
                f"{label} {row[key]:+.1f}"
                + (f" ± {spread:.1f} %" if (spread := row[f"{key}_spread"]) == spread else " %")
                for key, label in (("rmse", "RMSE"), ("crps", "CRPS"), ("residual", "residual"))
                if row[key] == row[key]
            ]
            text = f"{lead}{name} at λ = {row['weight']:g} changes {', '.join(parts)}."
            said.append(text[0].upper() + text[1:])
    return said


ELSEWHERE = {"nature-x8": "At factor 8", "era5-uk-x4": "On ERA5 over the British Isles, 18 days of training"}


def baseline_words(runs: pd.DataFrame, data: str = MAIN) -> list[str]:
    """What diffusion buys over its own U-Net, and what the hard layer does."""
    found = ensemble_summary(runs, data).set_index("model")
    plain, net = found.loc[DIFFUSION], found.loc[REGRESSION]
    ratio, share = plain["spread_skill"], plain["crps"] / net["mae"]
    cost = plain["s_per_state"] / net["s_per_state"]
    word = "too sure of itself" if ratio < 0.95 else "too unsure" if ratio > 1.05 else "about right"
    said = [
        f"The mean of {plain['members']:.0f} members has an RMSE of {plain['rmse']:.3f} K, U-Net {net['rmse']:.3f}.",
        f"The CRPS is {plain['crps']:.3f} K, the U-Net's absolute error {net['mae']:.3f}: a factor of {share:.2f}.",
        f"Spread over skill is {ratio:.2f}, {word}. All of it takes {cost:.0f} times as long.",
    ]
    if CONSTRAINED in found.index:
        tied = found.loc[CONSTRAINED]
        said.append(
            f"The additive layer takes members from {plain['conservation']:.2g} to {tied['conservation']:.0e} K off "
            f"the coarse field and the RMSE from {plain['rmse']:.4f} to {tied['rmse']:.4f} K, without any training; "
            f"but it shifts whole blocks, and the residual goes from {plain['residual']:.2f} to {tied['residual']:.2f} "
            "of the truth's."
        )
    return said + [_there(runs, key, lead) for key, lead in ELSEWHERE.items() if key in set(runs["data"])]


def _there(runs: pd.DataFrame, data: str, lead: str) -> str:
    """How sure of itself the ensemble is on other data, one sentence."""
    found = ensemble_summary(runs, data).set_index("model")
    plain, net, count = found.loc[DIFFUSION], found.loc[REGRESSION], int(found.loc[DIFFUSION, "seeds"])
    seeds = f"{count} seed{'s' if count > 1 else ''}"
    share, ratio = plain["crps"] / net["mae"], plain["spread_skill"]
    return f"{lead} ({seeds}), CRPS over the U-Net's absolute error is {share:.2f}, spread over skill {ratio:.2f}."


def smoothest(runs: pd.DataFrame, data: str = MAIN) -> tuple[str, float]:
    """The model with the least residual, and that residual over the truth's."""
    found = ensemble_summary(runs, data)
    row = found.loc[found["residual"].idxmin()]
    return _label(row), float(row["residual"])


def draw_weights(runs: pd.DataFrame, data: str = MAIN) -> Figure:
    """Residual, RMSE, CRPS and fine spectra against the weight: a dot for each seed, joined means, and the control."""
    tuned = runs[(runs["data"] == data) & (runs["model"] == TUNED)]
    base = runs[(runs["data"] == data)]
    keys = ("residual", "rmse", "crps", "specdiv_top")
    fig, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained")
    weights = sorted(w for w in tuned["weight"].unique() if w > 0)
    for ax, key in zip(axes, keys, strict=True):
        control = tuned.loc[tuned["weight"] == 0, key]
        ax.axhspan(control.min(), control.max(), color="0.88", lw=0, label="without")
        ax.axhline(control.mean(), color="0.5", lw=1)
        for kind, colour in (("balance", "C3"), ("flux-ratio", "C0")):
            part = tuned[(tuned["kind"] == kind) & (tuned["weight"] > 0)]
            ax.plot(part["weight"], part[key], "o", color=colour, ms=3.5, alpha=0.6)
            mean = part.groupby("weight")[key].mean()
            ax.plot(mean.index, mean, "-" if len(mean) > 1 else "D", color=colour, ms=6, label=kind)
        if key == "residual":
            ax.axhline(1, color="k", ls="--", lw=1)
            smooth = base.loc[base["model"] == "bicubic", key].mean()
            ax.axhline(smooth, color="C2", ls=":", lw=1.2, label="bicubic")
        ax.set(xscale="log", xlabel="λ")
        plain_ticks(ax.xaxis, weights)
        ax.set_title(NAMES[key], fontsize=9)
        ax.tick_params(labelsize=8)
    axes[0].legend(fontsize=7, frameon=False)
    return closed(fig)
