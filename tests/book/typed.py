"""What is typed by hand in the chapters: facts, each with what computes it, and what stays typed, with the reason."""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import re

import numpy as np

from .conftest import build

GIVEN = "a setting of a task, a case or a slider, given to the reader"
RULE = "a rule that another test or the grader holds to"
NAME = "a name, a date or a place in a list"
ELSEWHERE = "about somebody else's paper, report, data or product"
SEEN = "what the alt text says of its picture"
NEAR = "an order of magnitude, or a manner of speaking"


def sizes(name: str) -> dict:
    import physlab

    return dict(physlab.open_dataset(name).sizes)


def default(function, name: str):
    function = named(function) if isinstance(function, str) else function
    return inspect.signature(function).parameters[name].default


def window() -> tuple[int, int]:
    """Points of the window, and those that are given: every fourth in each direction, every third hour."""
    n = sizes("nature-window")
    return n["time"] * n["latitude"] * n["longitude"], len(range(0, n["time"], 3)) * len(
        range(0, n["latitude"], 4)
    ) ** 2


def report(row: str, column: str) -> float:
    from physlab.teach.report import reported

    return float(reported().loc[row, column])


def bands():
    from physlab.teach.assimilation import weather

    return weather


def width_of_the_hand_made_network() -> int:
    return (9 + 1) * 16 + (9 * 16 + 1) * 16


def phydl_threshold() -> float:
    from physlab.phydl.identify import threshold

    return default(threshold, "least")


def samples(name: str):
    from physlab.phydl.manufactured import Blobs

    return default(Blobs.samples, name)


def named(path: str):
    """What `package.module:name.name` names."""
    module, _, names = path.partition(":")
    return functools.reduce(getattr, names.split("."), importlib.import_module(module))


def free_run_error() -> float:
    """Error of 500 hPa of the model left alone, m, past the first days."""
    from physlab.benchmark import cycles
    from physlab.constants import GRAVITY

    return float(cycles.of_lead(cycles.read_cycles(), "background", 12.0)[cycles.FREE].mean()) / GRAVITY


def split_sizes(split: str) -> int:
    return bands().Weather.load()[split].truth.sizes["time"]


def cost_of_claiming(share: float) -> float:
    """What a claimed spread of so many true ones costs, in units of the log density: a Gaussian in expectation."""
    return math.log(share) + (share**-2 - 1) / 2


def gap() -> float:
    """Hours between the splits of the pairs of column water."""
    from physlab.data.patches import sr_pairs

    return sr_pairs("tcw", factor=4, splits=("test",)).split["gap_hours"]


def parameters(network: str) -> int:
    from physlab.nn import count_parameters

    return count_parameters(named(f"physlab.nn:{network}")(4))


def questions() -> int:
    """To ask of a table, as the chapter lists them."""
    text = (
        (build.BOOK / "results.md").read_text(encoding="utf-8").partition("## Ten questions")[2].partition("\n## ")[0]
    )
    return len(re.findall(r"^\d+\. ", text, flags=re.M))


FLOODS, TRUE, FALSE = (
    100,
    90,
    495,
)  # of 10,000 days: one in a hundred, nine in ten of them announced, and 5 % of the others
FACTS = {
    ("atmosphere", "256 points"): lambda: sizes("nature-budget")["longitude"] == 256,
    ("atmosphere", "128 by"): lambda: sizes("nature-budget")["latitude"] == 128,
    ("atmosphere", "128 latitudes"): lambda: sizes("nature-budget")["latitude"] == 128,
    ("atmosphere", "64 by"): lambda: sizes("nature-states")["latitude"] == 64,
    ("atmosphere", "128 grid"): lambda: sizes("nature-states")["longitude"] == 128,
    ("atmosphere", "1.4 degrees"): lambda: round(360 / sizes("nature-budget")["longitude"], 1) == 1.4,
    ("atmosphere", "85 in"): lambda: named("physlab.simulate.nature:T85.truncation") == 85,
    ("atmosphere", "eight layers"): lambda: named("physlab.simulate.nature:T85.layers") == 8,
    ("atmosphere", "Eight layers"): lambda: named("physlab.simulate.nature:T85.layers") == 8,
    ("atmosphere", "eight model layers"): lambda: named("physlab.simulate.nature:T85.layers") == 8,
    ("atmosphere", "120 days"): lambda: named("physlab.simulate.run:NatureRun.spinup_t42") == 120,
    ("atmosphere", "ten more days"): lambda: named("physlab.simulate.run:NatureRun.spinup") == 10,
    ("atmosphere", "0.85 and"): lambda: named("physlab.simulate.physics:Physics.surface_humidity") == 0.85,
    ("atmosphere", "1.4 for"): lambda: round(2**0.5, 1) == 1.4,
    ("atmosphere", "five days"): lambda: gap() >= 120,
    ("training", "five days"): lambda: gap() >= 120,
    ("gan", "8 km"): lambda: max(named("physlab.benchmark.rain:FACTORS")) == 8,
    ("gan", "8 mm/h"): lambda: named("physlab.benchmark.rain:THRESHOLDS")[-1] == 8,
    ("gan", "5 km"): lambda: named("physlab.benchmark.rain:WINDOW") == 5,
    ("conservation", "925 and"): lambda: named("physlab.benchmark.joint:LEVELS")[0] == 925,
    ("conservation", "850 hPa"): lambda: named("physlab.benchmark.joint:LEVELS")[1] == 850,
    ("training", "2,500 numbers"): lambda: 2450 < width_of_the_hand_made_network() < 2550,
    ("training", "1,024 coarse"): lambda: (128 // 4) ** 2 == 1024,
    ("training", "0.5"): lambda: 2 / 4 == 0.5,
    ("training", "1.87"): lambda: abs(named("physlab.teach.training:lucky")(20) - 1.87) < 0.02,
    ("training", "sixteen numbers"): lambda: 4**2 == 16,
    ("probability", "256 cells"): lambda: 16 * 16 == 256,
    ("probability", "0.81"): lambda: round(cost_of_claiming(0.5), 2) == 0.81,
    ("probability", "0.32"): lambda: round(cost_of_claiming(2.0), 2) == 0.32,
    ("probability", "100 have"): lambda: 10_000 // 100 == FLOODS,
    ("probability", "9,900 have"): lambda: 10_000 - FLOODS == 9900,
    ("probability", "90 alarms"): lambda: round(0.9 * FLOODS) == TRUE,
    ("probability", "90 of"): lambda: round(0.9 * FLOODS) == TRUE,
    ("probability", "495 alarms"): lambda: round(0.05 * (10_000 - FLOODS)) == FALSE,
    ("probability", "585 alarms"): lambda: TRUE + FALSE == 585,
    ("probability", "15 %"): lambda: round(100 * TRUE / (TRUE + FALSE)) == 15,
    ("probability", "ten maps"): lambda: default("physlab.teach.probability.analysis:ensembles", "members") == 10,
    ("probability", "ten error maps"): lambda: default("physlab.teach.probability.analysis:ensembles", "members") == 10,
    ("conservation", "2.4 times"): lambda: round(report("E2", "mse") / report("E1", "mse"), 1) == 2.4,
    ("conservation", "0.164 against"): lambda: round(report("E2", "mse"), 3) == 0.164,
    ("conservation", "0.068 kg²"): lambda: round(report("E1", "mse"), 3) == 0.068,
    ("conservation", "0.19 kg"): lambda: round(report("E2", "block_error"), 2) == 0.19,
    ("conservation", "0.98 kg"): lambda: round(report("E3", "mse") ** 0.5, 2) == 0.98,
    ("conservation", "320 updates"): lambda: 20 * 1024 // 64 == 320,
    ("conservation", "700-fold"): lambda: round(report("E13", "mse") / report("E14", "mse"), -2) == 700,
    ("conservation", "six constraints"): lambda: len(named("physlab.recipes.tcw:RECIPES")[0].constraints) == 6,
    ("conservation", "sixteen cells"): lambda: 4**2 == 16,
    ("statistical", "1950 to"): lambda: named("physlab.benchmark.climate:CALIBRATED.start") == "1950",
    ("statistical", "1980, scored"): lambda: named("physlab.benchmark.climate:CALIBRATED.stop") == "1980",
    ("statistical", "1981 to"): lambda: named("physlab.benchmark.climate:SCORED.start") == "1981",
    ("statistical", "2010 ("): lambda: named("physlab.benchmark.climate:SCORED.stop") == "2010",
    ("cnn", "1.5 million"): lambda: round(parameters("EDSR") / 1e6, 1) == 1.5,
    ("cnn", "0.4 million"): lambda: round(parameters("ResNet") / 1e6, 1) == 0.4,
    ("cnn", "sixteen times"): lambda: 4**2 == 16,
    ("cnn", "nine cells"): lambda: sum(k - 1 for k in (5, 3, 3)) + 1 == 9,
    ("gan", "2.4645 from"): lambda: round(2 * math.log(2) * 16 / 9, 4) == 2.4645,
    ("gan", "16 residual"): lambda: default("physlab.nn.srgan:SRResNet", "blocks") == 16,
    ("sequences", "4 cells"): lambda: default("physlab.teach.sequences:moving_filament", "width") == 4.0,
    ("sequences", "0.05"): lambda: default("physlab.teach.sequences.memory:draw_memory", "speeds") == (0.05, 0.3, 1.5),
    ("sequences", "0.3 and"): lambda: (
        default("physlab.teach.sequences.memory:draw_memory", "speeds") == (0.05, 0.3, 1.5)
    ),
    ("sequences", "1.5 in"): lambda: (
        default("physlab.teach.sequences.memory:draw_memory", "speeds") == (0.05, 0.3, 1.5)
    ),
    ("results", "0.1878 kg"): lambda: report("E2", "block_error") == 0.1878,
    ("results", "476 to"): lambda: round(report("E13", "mse")) == 476,
    ("results", "0.68"): lambda: round(report("E14", "mse"), 2) == 0.68,
    ("results", "700-fold"): lambda: round(report("E13", "mse") / report("E14", "mse"), -2) == 700,
    ("results", "2.4645 throughout"): lambda: round(2 * math.log(2) * 16 / 9, 4) == 2.4645,
    ("results", "320 updates"): lambda: 20 * 1024 // 64 == 320,
    ("results", "16 channels"): lambda: named("physlab.benchmark.published:SMALL") == {"channels": 16, "blocks": 2},
    ("results", "five days"): lambda: named("physlab.benchmark.published:HOURS") == 5 * 24,
    ("results", "95 %"): lambda: named("physlab.score.paired:LEVEL") == 0.95,
    ("results", "fifteen networks"): lambda: len(named("physlab.teach.report:reported")()) == 15,
    ("results", "Six rows"): lambda: (named("physlab.teach.report:reported")()["crps"] > 0).sum() == 6,
    ("results", "ten questions"): lambda: questions() == 10,
    ("results", "Ten questions"): lambda: questions() == 10,
    ("results", "10"): lambda: questions() == 10,
    ("results", "81 tables"): lambda: 3**4 == 81,
    ("results", "24 bits"): lambda: np.finfo(np.float32).nmant + 1 == 24,
    ("results", "sixteen numbers"): lambda: 4**2 == 16,
    ("attention", "twelve stations"): lambda: len(named("physlab.teach.attention:STATIONS")) == 12,
    ("attention", "Twelve stations"): lambda: len(named("physlab.teach.attention:STATIONS")) == 12,
    ("phydl", "8,000 points"): lambda: samples("count") == 8000,
    ("phydl", "1 %"): lambda: samples("noise") == 0.01,
    ("phydl", "3 %"): lambda: phydl_threshold() == 0.03,
    ("phydl", "33 points"): lambda: sizes("nature-window")["latitude"] == sizes("nature-window")["longitude"] == 33,
    ("phydl", "33 ×"): lambda: named("physlab.benchmark.forecasting:WIDTH") == 33,
    ("phydl", "6,561 points"): lambda: window()[1] == 6561,
    ("phydl", "6,561 numbers"): lambda: window()[1] == 6561,
    ("phydl", "40"): lambda: round(window()[0] / window()[1]) == 40,
    ("phydl", "ten days"): lambda: sizes("nature-window")["time"] == 10 * 24 + 1,
    ("phydl", "Ten days"): lambda: sizes("nature-window")["time"] == 10 * 24 + 1,
    ("phydl", "eleven candidates"): lambda: len(named("physlab.phydl.manufactured:Blobs")().library.terms) == 11,
    ("phydl", "six variables"): lambda: len(named("physlab.benchmark.forecasting:VARIABLES")) == 6,
    ("kalman", "121 towns"): lambda: len(named("physlab.teach.kalman.worlds:PLACES")) == 121,
    ("kalman", "0.1"): lambda: named("physlab.teach.kalman.worlds:LENGTH") == 0.1,
    ("kalman", "0.1 and"): lambda: named("physlab.teach.kalman.worlds:LENGTH") == 0.1,
    ("kalman", "0.36"): lambda: round(0.6**2, 2) == 0.36,
    ("kalman", "0.64"): lambda: round(1 - 0.6**2, 2) == 0.64,
    ("assimilation", "75 degrees"): lambda: bands().BAND == (20.0, 75.0),
    ("assimilation", "20 to"): lambda: bands().BAND == (20.0, 75.0),
    ("assimilation", "36 members"): lambda: 3 * 12 == 36,
    ("assimilation", "twelve past errors"): lambda: split_sizes("train") == 12,
    ("assimilation", "eight states"): lambda: split_sizes("test") == 8,
    ("assimilation", "eight times"): lambda: split_sizes("test") == 8,
    ("assimilation", "five variables"): lambda: len(bands().FIELDS) == 5,
    ("assimilation", "12,800"): lambda: 64 * 2000 // 10 == 12_800,
    ("assimilation", "40 numbers"): lambda: named("physlab.teach.assimilation.small:LORENZ").model.n == 40,
    ("assimilation", "40 points"): lambda: named("physlab.teach.assimilation.small:LORENZ").model.n == 40,
    ("assimilation", "2 %"): lambda: default(bands().stations, "share") == 0.02,
    ("assimilation", "700 km"): lambda: bands().RADIUS == 7e5,
    ("phyda", "64 x 128"): lambda: (sizes("nature-twin")["latitude"], sizes("nature-twin")["longitude"]) == (64, 128),
    ("phyda", "2.8 degrees"): lambda: round(360 / sizes("nature-twin")["longitude"], 1) == 2.8,
    ("phyda", "85 (T"): lambda: named("physlab.simulate.nature:T85.truncation") == 85,
    ("phyda", "42"): lambda: named("physlab.simulate.nature:T42.truncation") == 42,
    ("phyda", "seven levels"): lambda: sizes("nature-twin")["level"] == 7,
    ("phyda", "40 fields"): lambda: 5 * sizes("nature-twin")["level"] + 5 == 40,
    ("phyda", "40 channels"): lambda: 5 * sizes("nature-twin")["level"] + 5 == 40,
    ("phyda", "thirty days"): lambda: default("physlab.benchmark.cycles:Life", "days") == 30,
    ("phyda", "five days"): lambda: default("physlab.benchmark.cycles:Life", "ahead") == 5,
    ("phyda", "twenty members"): lambda: named("physlab.benchmark.cycles:MODEL")["LETKF"].members == 20,
    ("phyda", "hundred metres"): lambda: 50 < free_run_error() < 150,
    ("phyda", "0.96 for"): lambda: 1 - 0.04 == 0.96,
    ("phyda", "forty points"): lambda: default("physlab.teach.phyda.guided:Ring.make", "n") == 40,
    ("phyda", "forty correlated points"): lambda: default("physlab.teach.phyda.guided:Ring.make", "n") == 40,
    ("latent", "128 x 256"): lambda: (
        (sizes("nature-terrain")["latitude"], sizes("nature-terrain")["longitude"]) == (128, 256)
    ),
    ("latent", "1.4 degrees"): lambda: round(360 / sizes("nature-terrain")["longitude"], 1) == 1.4,
    ("latent", "0.03 to"): lambda: named("physlab.benchmark.ensemble:WEIGHTS")[1::4] == (0.03, 3.0),
    ("latent", "five weights"): lambda: len(named("physlab.benchmark.ensemble:WEIGHTS")) == 1 + 5,
    ("latent", "0.8 of"): lambda: round(0.1 * 8, 1) == 0.8,
}
"""What data, code or a line of arithmetic can say: each is computed."""

TYPED = {
    "preface": {GIVEN: "4 x 4", RULE: "30 and|60 degrees", NAME: "2-metre|2019", SEEN: "Six maps"},
    "atmosphere": {
        GIVEN: "300 K|0.9 at|24-hour|850 hPa|4 x 4|8", RULE: "30 and|60 degrees", NEAR: "0.1 for|twenty seconds",
        SEEN: "300 hPa|300 hectopascal|500 hPa|500 hectopascal|80 it",
    },
    "training": {
        GIVEN: "16 channels|200 steps|96 channels|16 and|64 and|8|64 channels|512 pairs|4 x 4|1,024 does|"
        "eight maps points|Sixteen kernels|twenty networks|Twenty equal networks|twenty normal numbers|five cells",
        RULE: "Nine shifted copies|nine cells|nine weights",
    },
    "dataflow": {GIVEN: "forty layers", SEEN: "16 by|16 cells|64 by|64 cells"},
    "probability": {
        GIVEN: "0.5|0.8|10,000 days|16 x 16|30 kg|5 %|90 %|Nine members|nine members|five members|ten draws|ten gaps",
        NEAR: "Ten degrees|seven fields",
    },
    "conservation": {
        GIVEN: "5|1 °C|272 K|274 over|2 K|2 %", RULE: "95 %", SEEN: "Nine maps|eight variables|forty per cent",
        NEAR: "five per cent", NAME: "2025 concluded",
        ELSEWHERE: "0.80|24 hours|81 km|1 km|ten copies",
    },
    "statistical": {
        GIVEN: "0.8|120 hours|Six hours|six hours|forty test maps|five later days", SEEN: "Eight maps|eight members",
        NEAR: "forty years|hundred predictors",
    },
    "cnn": {
        GIVEN: "10 where|2,000 multiplications|3 x 3", NAME: "2014 to", RULE: "5 %|five minutes", SEEN: "six methods",
    },
    "gan": {
        GIVEN: "10 and|10 or|30 kg|150 steps|Ten fields|ten fields|Ten members|ten members|ten copies|ten times",
        SEEN: "Nine maps", ELSEWHERE: "16 batches|nine entries|1 km|72 minutes", RULE: "95 %",
    },
    "sequences": {GIVEN: "0.8 the|0.9|seven steps|14 cells", SEEN: "Five maps"},
    "results": {
        GIVEN: "five steps|hundred kg", NAME: "2025 a", ELSEWHERE: "1,024 patches|20 epochs|16 batches|ten copies",
    },
    "attention": {GIVEN: "six times"},
    "phydl": {
        GIVEN: "700 hPa|100.5 nobody|0.1 here|0.01 over|eight layers|eight variables|thirty days",
        ELSEWHERE: "10|55K|170 over", RULE: "five minutes", NEAR: "Ten lines|ten trial", SEEN: "Six maps",
    },
    "kalman": {
        GIVEN: "0.6 with|0.95|1 K|2 K|1.5 degrees|10 degrees|10 °C|14 °C|14, and|64 places|9", NAME: "2-metre",
        NEAR: "ten degrees",
    },
    "assimilation": {
        GIVEN: "3,000 km|six hours|Six methods|six methods|Ten members|ten members|forty numbers|ten states",
        SEEN: "0.2|500 hPa|twelve members|hundred analyses", ELSEWHERE: "fifty members", NEAR: "forty lines",
    },
    "diffusion": {
        GIVEN: "16 x 16|eight steps|sixteen noise levels|twenty seconds", SEEN: "4,000 of|five small maps",
        NEAR: "hundred samples|ten lines",
    },
    "phyda": {
        GIVEN: "2 %|0 %|4 %|0.01|16 members|eight draws|eight members|eighty days|twelve hours|Twelve hours",
        ELSEWHERE: "1.5 degrees|69 channels|ten members", SEEN: "500 hPa|700 hPa|ten per cent", NEAR: "ten times",
        NAME: "1996 over",
    },
    "latent": {
        GIVEN: "10 to|75 degrees|4 x 4|0.1 with|eight times|100 K|16 members|forty steps|sixteen steps|five moments|"
        "five points|hundred further steps|8 and",
        ELSEWHERE: "2 km|14 drivers", NAME: "2025 a", RULE: "95 %|eight members", SEEN: "Six maps|fifty stations",
    },
}  # fmt: skip
"""Chapter -> why a number stays typed -> the numbers."""
REASONS = {chapter: {text for texts in why.values() for text in texts.split("|")} for chapter, why in TYPED.items()}
