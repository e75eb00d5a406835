"""The benchmark of assimilation on the globe in words and tables, and what it takes to bring SpecDiv down.

The scores are read from the tables, which may hold fewer seeds or methods than planned: what is not there is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from physlab.benchmark.assimilation import MAIN, assimilation_summary
from physlab.benchmark.divergence import divergence_summary
from physlab.benchmark.mirrored import chosen, mirrored_summary

CLASSICAL = ("3D-Var", "LETKF")


UNCENTRED = ("SDA", "SLAM", "PhyDA without VRE")  # the mean of their draws is all they know of the mean


ABLATIONS = ("PhyDA", "PhyDA without PRDO", "PhyDA, convolution for VRE", "PhyDA without VRE")


# Table 1 of arXiv 2505.12882: SpecDiv of z500, MSE in 1e-2, RMSE of z500
PUBLISHED = {
    "background": (0.153, 2.88, 45.455),
    "Adas": (0.116, 2.31, 30.100),
    "ConvCNP": (0.125, 2.49, 31.253),
    "FNP": (0.063, 2.30, 28.500),
    "VAE-Var": (0.052, 2.31, 27.000),
    "SDA": (0.117, 2.65, 38.000),
    "SLAM": (0.091, 2.55, 32.500),
    "PhyDA": (0.031, 2.28, 26.866),
}


# ---- the benchmark --------------------------------------------------------------------------------------------------


def ranked(runs: pd.DataFrame, share: float = MAIN[0], noise: float = MAIN[1]) -> pd.DataFrame:
    """The summary of a setting, one row per method with its name as index, ablations left out, best MSE first."""
    found = assimilation_summary(runs, share, noise).set_index("model")
    return found[~found.index.isin(ABLATIONS[1:])].sort_values("mse")


def _with_spread(value: float, spread: float, digits: int = 2) -> str:
    if value != value:
        return ""
    return f"{value:.{digits}f}" + (f" ± {spread:.{digits}f}" if spread == spread else "")


def scores(runs: pd.DataFrame, share: float = MAIN[0], noise: float = MAIN[1]) -> pd.DataFrame:
    """The table for readers: mean ± standard deviation over seeds; errors and SpecDiv in those of the background."""
    found = ranked(runs, share, noise)
    base, rows = found.loc["background"], {}
    for name, row in found.iterrows():
        relative = lambda key: _with_spread(row[key] / base[key], row[f"{key}_spread"] / base[key], 3)  # noqa: E731, B023
        law = "residual_geostrophic"
        rows[name] = {
            "MSE": relative("mse"),
            "z500": relative("rmse_z500"),
            "CRPS": relative("crps"),
            "spread/skill": _with_spread(row["spread_skill"], row["spread_skill_spread"]),
            "SpecDiv": relative("specdiv"),
            "SpecDiv, eddies": relative("specdiv_eddy"),
            "imbalance": _with_spread(row[law], row[f"{law}_spread"], 3),
            "s per state": f"{row['s_per_state']:.2f}",
        }
    return pd.DataFrame(rows).T


def best(runs: pd.DataFrame, column: str, share: float = MAIN[0], noise: float = MAIN[1]) -> tuple[str, str, bool]:
    """Of a score that should be low: the best method, the next one, and whether they differ by more than the spreads.

    The spread is the larger of both standard deviations over seeds.
    """
    found = ranked(runs, share, noise).drop(index="background", errors="ignore").sort_values(column)
    found = found[found[column].notna()]
    if len(found) < 2:
        return (found.index[0] if len(found) else "nobody"), "nobody", False
    first, second = found.iloc[0], found.iloc[1]
    spread = np.nanmax([0.0, first[f"{column}_spread"], second[f"{column}_spread"]])
    return found.index[0], found.index[1], bool(second[column] - first[column] > spread)


COLUMNS = {
    "mse": "mean square error",
    "rmse_z500": "height at 500 hPa",
    "crps": "CRPS",
    "specdiv": "SpecDiv as published",
    "specdiv_eddy": "SpecDiv of the eddies",
}


def winners(runs: pd.DataFrame) -> list[str]:
    """A sentence about each column of the main setting, and one about the methods that are not learned."""
    said, classical = [], []
    for column, name in COLUMNS.items():
        first, second, clear = best(runs, column)
        said.append(f"{name}: **{first}**" + ("" if clear else f" (not beyond the spread over seeds from {second})"))
        classical += [name] if first in CLASSICAL else []
    end = (
        f"Methods without a network win {_list(classical)}."
        if classical
        else "No method without a network wins any of these columns."
    )
    return ["Who is lowest? " + "; ".join(said) + ".", end]


def by_density(runs: pd.DataFrame) -> list[str]:
    """Who has the lowest mean square error at each share of exact columns."""
    said = []
    for share in sorted(runs.loc[runs["noise"] == 0, "share"].unique(), reverse=True):
        first, second, clear = best(runs, "mse", share)
        said.append(f"{100 * share:g} %: {first}" + ("" if clear else f" (with {second})"))
    return ["Lowest mean square error by density: " + "; ".join(said) + "."]


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


ABLATED = {
    "mse": "MSE / background",
    "crps": "CRPS / background",
    "specdiv_eddy": "SpecDiv of eddies / background",
    "residual_geostrophic": "imbalance / truth's",
}


def ablated(runs: pd.DataFrame) -> pd.DataFrame:
    """Every run of PhyDA and of its ablations at the main setting, the scores of :data:`ABLATED`."""
    main = runs[(runs["share"] == MAIN[0]) & (runs["noise"] == MAIN[1])]
    base = main[main["model"] == "background"].iloc[0]
    part = main[main["model"].isin(ABLATIONS)][["model", "seed", *ABLATED]].copy()
    for column in ("mse", "crps", "specdiv_eddy"):
        part[column] /= base[column]
    return part


def ablation_words(runs: pd.DataFrame) -> list[str]:
    """What leaving out each part does: percentages, and which of them exceed the spread over seeds."""
    part, said = ablated(runs), []
    full = part[part["model"] == "PhyDA"]
    for model in ABLATIONS[1:]:
        without = part[part["model"] == model]
        if without.empty or full.empty:
            continue
        worse: list[str] = []
        better: list[str] = []
        numbers = []
        for column, title in ABLATED.items():
            name, change = title.split(" /")[0], without[column].mean() - full[column].mean()
            spread = np.nanmax([0.0, full[column].std(), without[column].std()])
            numbers.append(f"{name} {100 * change / full[column].mean():+.1f} %")
            if min(len(full), len(without)) > 1 and abs(change) > spread:
                (worse if change > 0 else better).append(name)
        verdict = [f"{word} {_list(names)}" for word, names in (("worse", worse), ("better", better)) if names]
        end = f"beyond the spread over seeds: {', '.join(verdict)}" if verdict else "all within the spread over seeds"
        said.append(f"**{model}**: {', '.join(numbers)}; {end}.")
    return said or ["The table has no ablation yet."]


def flatness(runs: pd.DataFrame) -> str:
    """Mean square error over that of the background at the least and the largest density, PhyDA beside 3D-Var."""
    shares = sorted(runs.loc[runs["noise"] == 0, "share"].unique())
    few, many = (ranked(runs, share)["mse"] for share in (shares[0], shares[-1]))
    said = [f"{model} goes from {few[model] / few['background']:.2f} to {many[model] / many['background']:.2f}"
            for model in ("PhyDA", "3D-Var") if model in few and model in many]  # fmt: skip
    if not said:
        return ""
    end = "."
    gain = {model: few[model] - many[model] for model in ("PhyDA", "3D-Var")} if len(said) == 2 else {}
    if gain and few["PhyDA"] < few["3D-Var"] and gain["PhyDA"] < gain["3D-Var"]:
        end = ": who gains most from stations is not who is best without them."
    return f"Between {100 * shares[0]:g} and {100 * shares[-1]:g} % of the columns the mean square error of " + (
        ", that of ".join(said) + end
    )


def of_many(runs: pd.DataFrame) -> pd.Series:
    """Mean square error over the background's that infinitely many members would have, main setting, by method.

    For independent draws about their mean that of M members is m + v / M and that of one m + v. Only of methods whose
    members are draws: where they lie about a known centre, their mean is that centre.
    """
    found = assimilation_summary(runs).set_index("model")
    M = runs[(runs["share"] == MAIN[0]) & (runs["noise"] == MAIN[1])].groupby("model")["members"].first()
    made = {n: (M[n] * found["mse"][n] - found["mse_member"][n]) / (M[n] - 1) for n in UNCENTRED if n in found.index}
    return pd.Series(made, dtype=float) / found["mse"]["background"]


def sampling(runs: pd.DataFrame) -> str:
    """What the sampling error of few draws costs."""
    many, found = of_many(runs), assimilation_summary(runs).set_index("model")["mse"]
    if many.empty:
        return ""
    said = [f"{name} {found[name] / found['background']:.2f} ({value:.2f})" for name, value in many.items()]
    return f"MSE as scored, and in brackets what infinitely many draws would have: {', '.join(said)}."


# ---- what it takes --------------------------------------------------------------------------------------------------


def over_background(runs: pd.DataFrame) -> pd.DataFrame:
    """Means and spreads by model, steps and temperature; errors and SpecDiv in those of the background.

    `runs` are those of :func:`physlab.benchmark.divergence.read_divergence`.
    """
    table = divergence_summary(runs)
    base = table[table["model"] == "background"].iloc[0]
    for name in ("specdiv", "mse", "crps"):
        table[[name, f"{name}_spread"]] /= base[name]
    return table[table["model"] != "background"].set_index(["model", "steps", "temperature"]).sort_index()


def what_it_takes(runs: pd.DataFrame) -> list[str]:
    """What longer training and a lower temperature do for SpecDiv, and whether the published gain is reached."""
    table, asked, told = over_background(runs), 1 - 0.031 / 0.153, []
    lengths = sorted(table.loc["PhyDA"].index.unique("steps"))
    off = lambda row: _with_spread(100 * (1 - row["specdiv"]), 100 * row["specdiv_spread"], 1) + " %"  # noqa: E731
    for steps in lengths:
        whole, centre = (table.loc[("PhyDA", steps, t)] for t in (1.0, 0.0))
        others = [f"{m} {off(table.loc[key])}" for m in ("Adas", "ConvCNP") if (key := (m, steps, 0.0)) in table.index]
        told.append(f"{steps} steps: members {off(whole)}, centre {off(centre)}; {', '.join(others)}.")
    centres = table.xs(0.0, level="temperature").sort_values("specdiv")
    first, second = centres.iloc[0], centres.iloc[1]
    name = f"{centres.index[0][0]} after {centres.index[0][1]} steps"
    spread = np.nanmax([0.0, first["specdiv_spread"], second["specdiv_spread"]])
    clear = second["specdiv"] - first["specdiv"] > spread
    doubt = "" if clear else ", not beyond the spread over seeds"
    if min(first["seeds"], second["seeds"]) < 2:
        doubt = ", with one seed: what the spread is, nobody knows"
    reached = [f"{m} after {s} steps" for (m, s), row in centres.iterrows() if 1 - row["specdiv"] >= asked]
    last = table.loc[("PhyDA", lengths[-1])]
    told.append(
        f"The published {100 * asked:.1f} % " + (f"are reached by the single fields of {_list(reached)}" if reached else
        "are reached by nobody") + f"; lowest is {name}{doubt}."
    )  # fmt: skip
    told.append(
        f"Halfway to the centre, after {lengths[-1]} steps, the SpecDiv of members goes from "
        f"{last.loc[1.0, 'specdiv']:.3f} to {last.loc[0.5, 'specdiv']:.3f}, spread over skill from "
        f"{last.loc[1.0, 'spread_skill']:.2f} to {last.loc[0.5, 'spread_skill']:.2f}, CRPS from "
        f"{last.loc[1.0, 'crps']:.3f} to {last.loc[0.5, 'crps']:.3f}."
    )
    return told


def reached(runs: pd.DataFrame) -> pd.DataFrame:
    """Of a table of :mod:`physlab.benchmark.mirrored`: what each method takes off the background's scores, in per cent,
    mean over seeds and the least of them, at the temperature that validates best."""
    found = mirrored_summary(runs).set_index("model")
    names = {"specdiv": "SpecDiv", "specdiv_eddy": "SpecDiv, eddies", "mse": "MSE", "crps": "CRPS"}
    made = {}
    for name, title in names.items():
        both = zip(found[f"{name}_off"], found[f"{name}_off_least"], strict=True)
        made[title] = [f"{mean:.1f} ({least:.1f})" for mean, least in both]
    samples = runs.groupby("model")["samples"].first()
    return pd.DataFrame({**made, "samples": samples[found.index], "seeds": found["seeds"]}, index=found.index)


def chosen_temperatures(runs: pd.DataFrame, model: str = "PhyDA, skip") -> str:
    """The temperatures that validate best, of the seeds."""
    found = chosen(runs)
    return _list([f"{t:g}" for t in sorted(set(found[found["model"] == model]["temperature"]))])


def below_phyda(runs: pd.DataFrame, column: str = "specdiv") -> list[str]:
    """Methods whose mean score is lower than that of PhyDA."""
    found = ranked(runs)[column]
    return list(found.index[found < found["PhyDA"]]) if "PhyDA" in found else []


def beside_the_paper(runs: pd.DataFrame) -> pd.DataFrame:
    """What each method takes off the background's scores, in per cent: the paper's Table 1 and here."""
    found, rows = ranked(runs), {}
    for model, values in PUBLISHED.items():
        if model == "background":
            continue
        row, off = {}, [100 * (1 - a / b) for a, b in zip(values, PUBLISHED["background"], strict=True)]
        for name, column, paper in zip(
            ("SpecDiv", "MSE", "RMSE of z500"), ("specdiv", "mse", "rmse_z500"), off, strict=True
        ):
            row[f"{name}, paper"] = f"{paper:.1f}"
            here = 100 * (1 - found[column] / found.loc["background", column])
            row[f"{name}, here"] = f"{here[model]:.1f}" if model in here else ""
        rows[model] = row
    return pd.DataFrame(rows).T
