"""What an observation is worth, and for whom: a table of :mod:`physlab.benchmark.cycled` in words and pictures."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from physlab.assimilate import Learned
from physlab.assimilate.statespace import Columns, observe_columns
from physlab.benchmark import real
from physlab.benchmark.cycled import MAIN, OUTER, SETTINGS, against, cycled_summary, gains, of_states
from physlab.teach.pictures import closed
from physlab.views.twin import Twin

NETWORK = "background corrector"
EXACT = (MAIN[0], 0.0)


def worth(runs: pd.DataFrame) -> pd.DataFrame:
    """For each method, in per cent of the background's mean square error: what is free of observations, what they bring
    and what is left, each with its interval; and its seeds."""
    table = gains(runs)
    shown = {}
    for name, title in (("free", "without observations"), ("brought", "brought by them"), ("left", "left")):
        values = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        shown[title] = [_interval(*found) for found in values]
    seeds = runs.groupby("model")["seed"].nunique().clip(lower=1)
    return pd.DataFrame({**shown, "seeds": seeds[table.index]}, index=table.index)


def model_error(twin: Twin, methods: Mapping[str, Learned], share: float = MAIN[0]) -> pd.DataFrame:
    """The same of forecasts that start from the truth, means over the states of the twin, exact columns; what needs no
    observation, in per cent of the whole gain, from the least to the most of the states."""
    area, found = twin.space.area, {}
    nothing = torch.zeros(1, *twin.space.shape), torch.zeros(1, 1, *twin.space.shape[1:]), torch.zeros(1)
    for name, method in methods.items():
        space, parts = method.space, []
        for k in range(len(twin.times)):
            truth, background = (twin.case(k, share).known[what].float() for what in ("truth", "background"))
            error = ((truth - background) / space.error)[None]
            seen = observe_columns(error, share, 0.0, area, torch.Generator().manual_seed(k))
            left = []
            for columns in (Columns(*nothing), seen):
                given = space.standardise(background)[None], columns
                made = method.centre(*given)
                made = method.increments(*given, 1)[:, 0] if made is None else made
                weights = area * (space.error / space.std).square()
                left.append(float((weights * (error - made).square()).mean() / (weights * error.square()).mean()))
            parts.append(left)
        free, whole = 100 * (1 - np.array(parts)).T
        shares = 100 * free / whole
        found[name] = {"without observations": f"{free.mean():.1f}", "with them": f"{whole.mean():.1f}",
                       "that needs none": f"{shares.min():.0f} to {shares.max():.0f} %"}  # fmt: skip
    return pd.DataFrame(found).T


def members(runs: pd.DataFrame) -> pd.DataFrame:
    """Of all that have members: CRPS in per cent of the background's, spread over skill, and what is left of the error
    variance at columns that are noisy and exact, in per cent."""
    table = cycled_summary(runs).set_index("model")
    base = table.loc["background", "crps"]
    table = table[table["members"] > 1]
    made = {"CRPS": 100 * table["crps"] / base, "spread / skill": table["spread_skill"],
            "left at noisy columns": 100 * table["stations"]}  # fmt: skip
    exact = runs[(runs["share"] == EXACT[0]) & (runs["noise"] == EXACT[1])]
    if len(exact):
        made["left at exact columns"] = 100 * cycled_summary(runs, *EXACT).set_index("model")["stations"]
    return pd.DataFrame(made).loc[table.index]


def leader(runs: pd.DataFrame, column: str = "mse", among: list[str] | None = None) -> tuple[str, str]:
    """Who has the least of a score, and by how much, as the end of a sentence."""
    means = of_states(runs, column, *MAIN).mean().drop("background")
    first = str((means if among is None else means[among]).idxmin())
    versus = against(runs, first, column).drop(index=["background", first])
    versus = versus if among is None else versus.loc[[name for name in among if name != first]]
    ties = [str(name) for name, row in versus.iterrows() if row["low"] <= 0]
    if versus.empty:
        return first, ": it stands alone."
    if ties:
        return first, f", though not beyond the interval from {', '.join(ties)}."
    return first, f", {versus['difference'].min():.1f} points less than the next (at least {versus['low'].min():.1f})."


def worth_words(runs: pd.DataFrame) -> list[str]:
    """Who wins and by how much, what needs no observation, and what more stations bring."""
    table, states = gains(runs), of_states(runs, "mse", *MAIN)
    first, end = leader(runs)
    left = table.loc[first, "left"]
    said = [f"Of {len(states)} states, **{first}** leaves least: {left:.1f} % of the background's error{end}"]
    said += behind(runs, "mse", first)
    most = table["brought"].idxmax()
    said.append(f"Observations bring most to **{most}**: {table.loc[most, 'brought']:.1f} % of the background's error.")
    if NETWORK in table.index:
        row, best = table.loc[NETWORK], table.loc[most, "brought"]
        said.append(
            f"A network that sees no observation takes off {row['free']:.1f} % ({row['free_low']:.1f} to "
            f"{row['free_high']:.1f}), {abs(row['free']) / best:.2f} times what observations bring to {most}: "
            + ("here the question is assimilation." if row["free_high"] < best / 3 else
               "part of this task, too, is bias correction.")
        )  # fmt: skip
    row = table.loc[first]
    said.append(f"Of what {first} takes off, {row['share']:.0f} % ({row['share_low']:.0f} to {row['share_high']:.0f}) "
                "needs no observation.")  # fmt: skip
    return said + step_words(runs) + sparse_words(runs, most)


def step_words(runs: pd.DataFrame) -> list[str]:
    """What the outer step takes off what each method leaves, the same seeds of both."""
    means, said = of_states(runs, "mse", *MAIN).mean(), []
    for name in means.index:
        if name + OUTER not in means:
            continue
        seeds = runs.loc[runs["model"] == name + OUTER, "seed"].dropna().unique()
        same = runs[(runs["model"] != name) | runs["seed"].isna() | runs["seed"].isin(seeds)]
        row = against(same, name).loc[name + OUTER]
        said.append(f"{name} by {row['difference']:+.1f} points ({row['low']:.1f} to {row['high']:.1f})")
    return ["The outer step changes what is left of " + ", ".join(said) + "."] if said else []


def behind(runs: pd.DataFrame, column: str, first: str) -> list[str]:
    """How far the best form of PhyDA is from whoever has the least of a score."""
    versus = against(runs, first, column)
    own = versus[[str(name).startswith("PhyDA") for name in versus.index]]
    if first.startswith("PhyDA") or own.empty:
        return []
    row = own.loc[own["difference"].idxmin()]
    return [f"The best form of PhyDA, {row.name}, leaves {row['difference']:.1f} points more ({row['low']:.1f} to "
            f"{row['high']:.1f})."]  # fmt: skip


def sparse_words(runs: pd.DataFrame, most: str) -> list[str]:
    """Who leaves least with more and with fewer columns, and whose curve is flat, among those whom stations help."""
    said, curves, brought = [], {}, gains(runs)["brought"]
    for share, noise in SETTINGS[1:]:
        other = of_states(runs, "mse", share, noise)
        if noise == MAIN[1] and most in other and len(other):
            left = 100 * (other.mean() / other["background"].mean()).drop("background")
            said.append(f"With {100 * share:g} % of the columns {left.idxmin()} leaves least, {left.min():.0f} % "
                        f"({len(other)} states).")  # fmt: skip
            curves[share] = left
    if len(curves) > 1:
        many, few = max(curves), min(curves)
        heard = [name for name in curves[few].index if name in curves[many] and brought.get(name, 0.0) > 1]
        rise = (curves[few] - curves[many])[heard]
        ends = [f"{name} (from {curves[many][name]:.0f} to {curves[few][name]:.0f} % left)"
                for name in (rise.idxmin(), rise.idxmax())]  # fmt: skip
        said.append(f"From {100 * many:g} to {100 * few:g} % of the columns the curve is flattest for {ends[0]} and "
                    f"steepest for {ends[1]}.")  # fmt: skip
    return said


def member_words(runs: pd.DataFrame) -> list[str]:
    """Who has the least CRPS, how far PhyDA is from it, and who is sure of itself with reason."""
    table = members(runs)
    first, end = leader(runs, "crps", [*table.index])
    said = [f"Among {len(table)} with members the least CRPS is that of **{first}**{end}"]
    said += behind(runs, "crps", first)
    sure = table.index[(table["spread / skill"] >= 0.8) & (table["spread / skill"] <= 1.2)]
    said.append(f"Spread over skill lies within 0.8 to 1.2 for {', '.join(sure) or 'none of them'}.")
    if "left at exact columns" in table:
        exact = table["left at exact columns"].dropna()
        near, most = exact.index[exact <= 15], f"{exact.max():.0f} % of the error variance"
        if len(near) == len(exact):
            said.append(f"At exactly known columns all of them leave at most {most}.")
        else:
            said.append(
                f"At exactly known columns {', '.join(near) or 'none'} leave at most 15 %, the others up to {most}."
            )
    return said


def on_real(runs: pd.DataFrame, data: str) -> pd.DataFrame:
    """Of a table of :mod:`physlab.benchmark.real`, a data set: in per cent of the background's mean square error what
    each method takes off without observations, and what it leaves with each share of the points, with intervals."""
    shown: dict[str, list[str]] = {}
    for share in real.SHARES:
        table = real.gains(runs, data, share)
        columns = [("left", f"left, {100 * share:g} %")]
        columns = [("free", "without observations"), *columns] if share == real.SHARES[0] else columns
        for name, title in columns:
            values = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
            shown[title] = [_interval(*found) for found in values]
    return pd.DataFrame(shown, index=table.index)


def _interval(value: float, low: float, high: float) -> str:
    """Rounded, without a minus before zero."""
    value, low, high = (round(x, 1) + 0.0 for x in (value, low, high))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def draw_worth(runs: pd.DataFrame) -> Figure:
    """What each method takes off without observations and with them, in per cent of the background's error, with the
    interval of what is left."""
    table = gains(runs).sort_values("left", ascending=False)
    fig, ax = plt.subplots(figsize=(8, 0.9 + 0.27 * len(table)), layout="constrained")
    rows = np.arange(len(table))
    ax.barh(rows, table["free"], color="0.6", label="without any observation")
    ax.barh(rows, table["brought"], left=table["free"], color="C0", label="brought by observations")
    whole = 100 - table["left"]
    ends = [whole - (100 - table["left_high"]), (100 - table["left_low"]) - whole]
    ax.errorbar(whole, rows, xerr=np.clip(ends, 0, None), fmt="none", ecolor="k", capsize=2, lw=1)
    ax.set_yticks(rows, table.index, fontsize=8)
    ax.set_xlabel("taken off the background's mean square error (%)")
    ax.axvline(0, color="k", lw=0.8)
    ax.legend(fontsize=8, frameon=False, loc="lower right")
    return closed(fig)
