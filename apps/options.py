"""What can be chosen: the name of each option in a link, and its label on the page.

Constraints, networks and methods are those of the registry and of the checkpoints that are here.
"""

from __future__ import annotations

import re
from collections import ChainMap

from physlab import registry, zoo
from physlab.data.assets import asset_folders
from physlab.train.recipe import network_titles
from physlab.views.painter import GUIDES as GUIDES
from physlab.views.painter import LATITUDE, LONGITUDE
from physlab.views.twin import laws
from physlab.views.workspace import Data, Model, workspace

MINE = workspace()  # fields and trained methods of one's own, for all who look at this server
BROUGHT_DATA: dict[str, Data] = {}  # what sessions have brought: no list shows it, and no other session's link names it
BROUGHT_MODELS: dict[str, Model] = {}
OWN_DATA = ChainMap(dict(MINE.data), BROUGHT_DATA)
OWN_MODELS = ChainMap(dict(MINE.models), BROUGHT_MODELS)
BROUGHT = "my-"  # how the names begin of what a session has brought, in links and scripts
INSIDE = re.compile(rf"{BROUGHT}[0-9a-f]{{32}}-")  # the same within the server, where no session knows another's


def own_names(text: str) -> str:
    """A text with the names of what a session has brought as its links and scripts have them."""
    return INSIDE.sub(BROUGHT, text)


def brought(name: str) -> bool:
    """Whether a data set or network is one that a session has brought."""
    return INSIDE.match(name) is not None


DATASETS = {
    "tcw": "Water vapour · nature run",
    "tcw-t1": "Water vapour · three hours",
    "tcw-t2": "Water vapour · the missing hour",
    "era5-uk-t2m": "Temperature · ERA5, UK",
    **{key: data.title for key, data in MINE.data.items()},
}
HOURS = {
    "tcw-t1": 3,
    "tcw-t2": 3,
    **{key: d.frames for key, d in MINE.data.items() if d.frames > 1},
}  # frames of a sequence; one in all other data sets
FACTORS = tuple(sorted({2, 4, 8, *(model.factor for model in MINE.models.values())}))
METHODS = {"network": "Network", "statistical": "Statistical", "bicubic": "Bicubic", "nearest": "Nearest"}
MODES = {"trained": "In training", "applied": "Afterwards"}
CONSTRAINTS = {name: spec.title for name, spec in registry.specs("constraints").items() if not spec.problem}
NETWORKS = {label or "compact": title for label, title in network_titles().items()}
"""Label in the name of a checkpoint -> title: those of recipes, each followed by its other presets that are here, then
the checkpoints of any other name."""
PRESETS: dict[str, tuple[str, str]] = {}
"""Network that is one preset of another -> that network and the preset, as in "srcnn-plain-published". The network
itself stands for its best preset on validation."""
for _folder in zoo.checkpoint_folders():
    _known = zoo.parts(_folder) or {"label": _folder, "preset": None}
    _label = _known["label"] or "compact"
    NETWORKS.setdefault(_label, _label)
    if _known["preset"]:
        PRESETS[f"{_label}-{_known['preset']}"] = (_label, _known["preset"])
NETWORKS = {
    key: title
    for label, base in NETWORKS.items()
    for key, title in (
        (label, base),
        *((k, f"{base} ({preset})") for k, (of, preset) in PRESETS.items() if of == label),
    )
}
NETWORKS |= {key: model.folder.name for key, model in MINE.models.items()}


def dataset_title(name: str) -> str:
    """Of any data set, one that a session has brought included."""
    return DATASETS.get(name) or OWN_DATA[name].title


def network_title(name: str) -> str:
    """Of any network, one that a session has brought included."""
    return NETWORKS.get(name) or OWN_MODELS[name].folder.name


def hours_of(dataset: str) -> int:
    """Frames of a sequence of a data set, or 1."""
    return OWN_DATA[dataset].frames if dataset in OWN_DATA else HOURS.get(dataset, 1)


STATISTICS = {  # those that are fitted within seconds
    name: spec.title
    for name, spec in registry.specs("methods").items()
    if spec.kind == "statistical" and spec.facts.get("table", True) and spec.facts.get("quick", True)
}
MEMBERS = 10
SHOWS = {"mean": f"Mean of {MEMBERS}", **{f"member-{i}": f"Member {i}" for i in range(1, MEMBERS + 1)}}
VIEWS = {
    "downscale": "Downscale",
    "ensemble": "Ensemble",
    "assimilate": "Assimilate",
    "paint": "Paint",
    "continuous": "Continuous",
    "benchmark": "Benchmark",
}
AGAINST = {
    "conservation_error": "Conservation error",
    "spectral_divergence": "Spectral divergence",
    "s_per_megapixel": "Seconds per megapixel",
}
STUDIES = {  # tables of results that are here: name -> title
    "downscaling": "Downscaling",
    **{
        file.stem: file.stem.replace("-", " ").capitalize()
        for folder in asset_folders()
        for file in sorted((folder / "results").glob("*.csv"))
    },
}
VARIABLES = {  # of the continuous fields: symbol and name
    "u": ("u", "wind to the east"),
    "v": ("v", "wind to the north"),
    "t": ("T", "temperature"),
    "z": ("Φ", "geopotential"),
    "q": ("q", "specific humidity"),
    "tcw": ("W", "column water"),
}
FIELDS = {"equations": "With equations", "no-equations": "Without"}
ZOOMS = (1, 2, 4, 8)
NUMBERS = {  # least, largest, step: hours after the first, and degrees within the window of the continuous fields
    "moment": (0.0, 240.0, 0.25),
    "east": (-60.0, -16.0, 0.5),
    "north": (22.0, 66.0, 0.5),
}
STATES = 3  # times of the twin experiment
GRID = (64, 128)  # rows and columns of its grid points
LEVELS = (200, 300, 400, 500, 700, 850, 925)  # hPa
_UPPER = {
    "z": ("Φ", "geopotential"),
    "t": ("T", "temperature"),
    "u": ("u", "wind to the east"),
    "v": ("v", "wind to the north"),
    "q": ("q", "specific humidity"),
}
_LOWEST = {"t_low": ("T", "temperature"), "u_low": ("u", "wind to the east"), "v_low": ("v", "wind to the north")}
CHANNELS = {  # of a whole state: label and name
    **{
        f"{v}{p}": (f"{symbol} at {p} hPa", f"{name} at {p} hPa")
        for v, (symbol, name) in _UPPER.items()
        for p in LEVELS
    },
    **{v: (f"{symbol}, lowest layer", f"{name}, lowest layer") for v, (symbol, name) in _LOWEST.items()},
    "sp": ("Surface pressure", "surface pressure"),
    "tcw": ("Column water", "column water"),
}
GROUPS = {  # heading -> channels
    **{name.capitalize(): tuple(f"{v}{p}" for p in LEVELS) for v, (_, name) in _UPPER.items()},
    "Near the ground": (*_LOWEST, "sp"),
    "Column": ("tcw",),
}
SHARES = (10.0, 5.0, 2.0, 1.0, 0.5, 0.0)  # observed, per cent of the grid points
ASSIMILATORS = {  # trained methods and their ablations
    key: title
    for spec in registry.specs("methods").values()
    if spec.kind == "assimilation"
    for key, title in {spec.facts.get("view", spec.name): spec.title, **spec.facts.get("variants", {})}.items()
}
NOISES = {0.0: "Exact", 0.25: "¼", 0.5: "½", 1.0: "1 ×"}  # of the background error
SIZES = (1, 2, 4, 8, 16)  # of an ensemble
SEEDS = 20
OWN = 50  # stations at most
DAYS = 3  # times of the fields over terrain
WEIGHTS = {"live": "Live", "0": "0", "0.1": "0.1", "0.3": "0.3", "1": "1", "3": "3"}  # a draw, or stored members
DRAWS = (2, 4, 8, 16)  # members of a live draw
WHICH = tuple(range(1, max(DRAWS) + 1))
CONSISTENCIES = {"none": "None", "add": "Additive"}
THRESHOLDS = tuple(round(273.15 + t, 2) for t in range(-35, 36, 5))  # K
LAWS = laws()  # balances of a whole state
SIGMAS = (15.0, 30.0, 60.0)  # m, errors of the observations that are painted
PAINTED = 40  # observations at most
POINTS = {  # what is a list of grid points: how many there are, and how many of them at most
    "own": (GRID[0] * GRID[1], OWN),
    "painted": (len(LATITUDE) * len(LONGITUDE), PAINTED),
    "listen": (10_000_000, OWN),  # of any map
}
COMPARED = {  # what may differ of two results that stand side by side
    "downscale": ("factor", "method", "mode", "constraint", "network", "statistic", "show", "listen"),
    "assimilate": ("share", "assimilator", "noise", "members", "seed"),
    "ensemble": ("weight", "draws", "seed", "consistency", "which"),
}
HIDEABLE = (
    *("view", "dataset", "frame", "hour", "factor", "method", "network", "statistic", "mode", "constraint", "show"),
    *("listen", "band", "region"),
    *("study", "against", "variable", "field", "moment", "zoom", "where", "east", "north"),  # controls
    *("when", "channel", "share", "assimilator", "noise", "members", "seed", "own", "balance"),
    *("painted", "guide", "sigma"),
    *("day", "weight", "draws", "consistency", "threshold", "which"),
    *("input", "result", "truth", "error", "residual", "spectrum", "spread", "ranks"),  # panels
    *("mean", "probability"),
    *("given", "interpolation", "continuous", "law", "bare", "force"),
    *("background", "analysis", "before", "increment", "member", "of_truth", "of_background", "of_analysis"),
    *("asked", "kalman", "apart", "asked_spread", "kalman_spread"),
    *("band_truth", "band_result", "band_error"),
    *("beside", "other", "difference", "other_error"),  # A against B
    *("scores", "coefficients", "card", "code", "help", "prompt"),  # words and numbers
)
