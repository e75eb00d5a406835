"""What the user has chosen: selections only, typed, bounded, and one to one with the page address.

The whole state travels in the URL, so that a lesson can link to a panel and a student can send one back:

    ?v=1&dataset=tcw&frame=12&factor=4&method=network&mode=trained&constraint=softmax&network=edsr&hide=truth,scores

What a link leaves out has its default, so links from before a selection existed stay valid.

A link may come from an older version, from a typing error or from malice. `parse_query` therefore checks all
of it before anything is applied: each value is either valid or replaced by its default with a sentence that says so,
and it never raises. Panel's own ``location.sync`` is not used because it applies a bad link half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from urllib.parse import parse_qs, urlencode

import param

VERSION = 1
DATASETS = {
    "tcw": "Water vapour · nature run",
    "tcw-t1": "Water vapour · three hours",
    "tcw-t2": "Water vapour · the missing hour",
    "era5-uk-t2m": "Temperature · ERA5, UK",
}
HOURS = {"tcw-t1": 3, "tcw-t2": 3}  # frames of a sequence; one in all other data sets
FACTORS = (2, 4, 8)
METHODS = {"network": "Network", "statistical": "Statistical", "bicubic": "Bicubic", "nearest": "Nearest"}
MODES = {"trained": "In training", "applied": "Afterwards"}
CONSTRAINTS = {
    "none": "None",
    "soft": "Soft penalty",
    "add": "Additive",
    "scaled_add": "Scaled additive",
    "mult": "Multiplicative",
    "softmax": "Softmax",
}
NETWORKS = {
    "compact": "Compact network",
    "edsr": "EDSR",
    "srcnn": "SR-CNN",
    "srcnn-plain": "SR-CNN as published",
    "espcn": "ESPCN",
    "espcn-distilled": "ESPCN, distilled",
    "dong": "SRCNN of Dong",
    "deepsd": "DeepSD",
    "convgru-plain": "ConvGRU as reported",
    "gan": "GAN, tuned",
    "gan-report": "GAN as reported",
    "srgan": "SRGAN",
    "esrgan": "ESRGAN",
    "convgru": "ConvGRU",
    "pid-gan": "PID-GAN",
    "flowgru": "Voxel flow + ConvGRU",
    "erunet": "ERU-Net",
}
STATISTICS = {  # those of physlab.downscale.STATISTICAL that are fitted within seconds
    "linear": "Multiple regression",
    "bcsd": "BCSD",
    "eqm": "Quantile mapping",
    "qdm": "Quantile delta mapping",
    "analog": "Analogs",
    "weather types": "Weather types",
    "random forest": "Random forest",
    "svr": "Support vectors",
    "mlp": "Perceptron",
}
MEMBERS = 10
SHOWS = {"mean": f"Mean of {MEMBERS}", **{f"member-{i}": f"Member {i}" for i in range(1, MEMBERS + 1)}}
VIEWS = {"downscale": "Downscale", "benchmark": "Benchmark"}
AGAINST = {
    "conservation_error": "Conservation error",
    "spectral_divergence": "Spectral divergence",
    "s_per_megapixel": "Seconds per megapixel",
}
HIDEABLE = (
    "view",
    "dataset",
    "frame",
    "hour",
    "factor",
    "method",
    "network",
    "statistic",
    "mode",
    "constraint",
    "show",
    "against",  # controls
    "input",
    "result",
    "truth",
    "error",
    "residual",
    "spectrum",
    "spread",
    "ranks",  # panels
    "scores",
    "card",
    "code",
    "help",
    "prompt",  # words and numbers
)
MAX_FRAME = 9_999
MAX_QUERY = 2_000  # characters; longer addresses are not ours


@dataclass(frozen=True)
class Choice:
    """One complete selection: hashable scalars, used as the key of every cache."""

    dataset: str = "tcw"
    frame: int = 0
    factor: int = 4
    method: str = "network"
    mode: str = "trained"
    constraint: str = "softmax"
    network: str = "compact"
    statistic: str = "linear"
    hour: int = 0
    show: str = "mean"
    view: str = "downscale"
    against: str = "conservation_error"

    def with_(self, **changes) -> Choice:
        """A copy with some selections changed."""
        return replace(self, **changes)

    def scene(self) -> Choice:
        """The same panel of the Downscale view, whatever is selected in the others."""
        return self.with_(view="downscale", against="conservation_error")

    def key(self) -> str:
        """All selections in one line, for the page."""
        return "|".join(str(value) for value in asdict(self).values())


CHOICE_NAMES = tuple(field.name for field in fields(Choice))
_ALLOWED = {
    "dataset": DATASETS,
    "method": METHODS,
    "mode": MODES,
    "constraint": CONSTRAINTS,
    "network": NETWORKS,
    "statistic": STATISTICS,
    "show": SHOWS,
    "view": VIEWS,
    "against": AGAINST,
}
_LARGEST = {"frame": MAX_FRAME, "hour": max(HOURS.values()) - 1}


class State(param.Parameterized):
    """The live selections of one browser session (never shared between sessions)."""

    dataset = param.Selector(default="tcw", objects=list(DATASETS), doc="data set")
    frame = param.Integer(default=0, bounds=(0, MAX_FRAME), doc="index in the test split")
    factor = param.Selector(default=4, objects=list(FACTORS), doc="fine cells per coarse cell, each way")
    method = param.Selector(default="network", objects=list(METHODS), doc="how the coarse field is refined")
    mode = param.Selector(
        default="trained", objects=list(MODES), doc="constraint in training, or applied to the output"
    )
    constraint = param.Selector(default="softmax", objects=list(CONSTRAINTS), doc="how conservation is imposed")
    network = param.Selector(default="compact", objects=list(NETWORKS), doc="which network, for the method network")
    statistic = param.Selector(default="linear", objects=list(STATISTICS), doc="which one, for the method statistical")
    hour = param.Integer(default=0, bounds=(0, _LARGEST["hour"]), doc="frame of a sequence")
    show = param.Selector(default="mean", objects=list(SHOWS), doc="mean or a member of an ensemble")
    view = param.Selector(default="downscale", objects=list(VIEWS), doc="one selection in maps, or all in one figure")
    against = param.Selector(default="conservation_error", objects=list(AGAINST), doc="beside RMSE in the benchmark")
    hide = param.ClassSelector(class_=tuple, default=(), doc="controls and panels that this lesson does not need")

    def choice(self) -> Choice:
        """The selections as a hashable key."""
        return Choice(**{name: getattr(self, name) for name in CHOICE_NAMES})

    def apply(self, choice: Choice, hide: tuple[str, ...] | None = None) -> None:
        """Set all selections in one event batch."""
        changes = asdict(choice)
        if hide is not None:
            changes["hide"] = hide
        self.param.update(**changes)

    def reset(self) -> None:
        """Back to the defaults; what a lesson hides stays hidden."""
        self.apply(Choice())

    def query(self) -> str:
        """The state as the page's query string, with a leading question mark."""
        return to_query(self.choice(), self.hide)


def to_query(choice: Choice, hide: tuple[str, ...] = ()) -> str:
    """The address of a selection: `parse_query` gives it back unchanged."""
    parts = {"v": VERSION, **asdict(choice)}
    if hide:
        parts["hide"] = ",".join(hide)
    return "?" + urlencode(parts, safe=",")


def parse_query(query: str | Mapping[str, str]) -> tuple[Choice, tuple[str, ...], list[str]]:
    """Read a query string without ever failing.

    Returns
    -------
    choice, hide : a complete and valid selection, defaults where the link was silent or wrong.
    problems : one sentence for each thing in the link that was not used.
    """
    given, problems = _split(query)
    version = given.pop("v", str(VERSION))
    if version != str(VERSION):
        problems.append(
            f"The link has version {_quote(version)}; this explorer reads version {VERSION} and did what it could."
        )
    values: dict[str, object] = {}
    for name in CHOICE_NAMES:
        if name not in given:
            continue
        value, problem = _read(name, given.pop(name))
        if problem:
            problems.append(problem)
        else:
            values[name] = value
    hide, unknown = [], []
    for name in given.pop("hide", "").split(","):
        name = name.strip()
        if name in HIDEABLE and name not in hide:
            hide.append(name)
        elif name and name not in HIDEABLE:
            unknown.append(name)
    if unknown:
        problems.append(f"hide does not know {_quote(', '.join(unknown))}; it knows {', '.join(HIDEABLE)}.")
    if given:
        problems.append(f"The link holds unknown entries: {_quote(', '.join(sorted(given)))}.")
    return Choice(**values), tuple(hide), problems


def _split(query: str | Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Query string or mapping -> last value of each name, and what could not be read."""
    if isinstance(query, Mapping):
        return {str(name): str(value) for name, value in query.items()}, []
    query = query or ""
    if len(query) > MAX_QUERY:
        return {}, [f"The link is longer than {MAX_QUERY} characters and was ignored."]
    try:
        parsed = parse_qs(query.lstrip("?"), keep_blank_values=True, max_num_fields=64, errors="replace")
    except ValueError:
        return {}, ["The link could not be read and was ignored."]
    return {name: values[-1] for name, values in parsed.items()}, []


def _read(name: str, text: str) -> tuple[object, str]:
    """One value and an empty string, or None and the sentence that explains why not."""
    if name == "factor":
        allowed = [str(factor) for factor in FACTORS]
        return (
            (int(text), "") if text in allowed else (None, f"factor is {_quote(text)}; it can be {', '.join(allowed)}.")
        )
    if name in _LARGEST:
        if text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= _LARGEST[name]:
            return int(text), ""
        return None, f"{name} is {_quote(text)}; it is a whole number from 0 to {_LARGEST[name]}."
    allowed = list(_ALLOWED[name])
    return (text, "") if text in allowed else (None, f"{name} is {_quote(text)}; it can be {', '.join(allowed)}.")


def _quote(text: str, longest: int = 40) -> str:
    """A foreign text made short and printable."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return repr(shown if len(shown) <= longest else shown[: longest - 1] + "…")
