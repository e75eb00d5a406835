"""What an observation is worth, and for whom: a table of :mod:`physlab.benchmark.cycled` in words."""

from __future__ import annotations

import pandas as pd

from physlab.benchmark.cycled import MAIN, SETTINGS, against, gains, of_states

NETWORK = "background corrector"


def worth(runs: pd.DataFrame) -> pd.DataFrame:
    """For each method, in per cent of the background's mean square error: what is free of observations, what they bring
    and what is left, each with its interval."""
    table = gains(runs)
    shown = {}
    for name, title in (("free", "without observations"), ("brought", "brought by them"), ("left", "left")):
        values = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        shown[title] = [f"{value:.1f} ({low:.1f} to {high:.1f})" for value, low, high in values]
    return pd.DataFrame(shown, index=table.index)


def worth_words(runs: pd.DataFrame) -> list[str]:
    """Who wins and by how much, what needs no observation, and what more stations bring."""
    table, states = gains(runs), of_states(runs, "mse", *MAIN)
    first = table["left"].idxmin()
    versus = against(runs, first).drop(index=["background", first])
    ties = [name for name, row in versus.iterrows() if row["low"] <= 0]
    if versus.empty:
        end = ": it stands alone."
    elif ties:
        end = f", though not beyond the interval from {', '.join(map(str, ties))}."
    else:
        end = f", {versus['difference'].min():.1f} points less than the next (at least {versus['low'].min():.1f})."
    left = table.loc[first, "left"]
    said = [f"Of {len(states)} states, **{first}** leaves least: {left:.1f} % of the background's error{end}"]
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
    for share, noise in SETTINGS[1:]:
        other = of_states(runs, "mse", share, noise)
        if most in other and len(other):
            left = 100 * (other.mean() / other["background"].mean()).drop("background")
            said.append(f"With {100 * share:g} % of the columns {left.idxmin()} leaves least, {left.min():.0f} % "
                        f"({len(other)} states).")  # fmt: skip
    return said
