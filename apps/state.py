"""What the user has chosen: selections only, typed, bounded, and one to one with the page address.

The whole state travels in the URL, so that a lesson can link to a panel and a student can send one back:

    ?v=1&dataset=tcw&frame=12&factor=4&method=network&mode=trained&constraint=softmax&network=edsr&hide=truth,scores
    ?v=1&view=continuous&variable=q&field=equations&moment=100.5&zoom=4&east=-30&north=45
    ?v=1&view=assimilate&channel=z500&share=2&assimilator=phyda&noise=0.25&members=8&seed=3&own=3000.6412
    ?v=1&view=ensemble&day=1&draws=16&seed=3&consistency=add&threshold=273.15&which=2
    ?v=1&view=ensemble&weight=0.3&which=2

What a link leaves out has its default, so links from before a selection existed stay valid. In a link to the Continuous
view `hour` may stand for `moment`; the sequences of the Downscale view have an hour of their own.

A link may come from an older version, from a typing error or from malice. `parse_query` therefore checks all
of it before anything is applied: each value is either valid or replaced by its default with a sentence that says so,
and it never raises. Panel's own ``location.sync`` is not used because it applies a bad link half.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from urllib.parse import parse_qs, urlencode

import param

from apps.options import (
    AGAINST,
    ASSIMILATORS,
    CHANNELS,
    CONSISTENCIES,
    CONSTRAINTS,
    DATASETS,
    DAYS,
    DRAWS,
    FACTORS,
    FIELDS,
    GRID,
    HIDEABLE,
    HOURS,
    LAWS,
    METHODS,
    MODES,
    NETWORKS,
    NOISES,
    NUMBERS,
    OWN,
    SEEDS,
    SHARES,
    SHOWS,
    SIZES,
    STATES,
    STATISTICS,
    THRESHOLDS,
    VARIABLES,
    VIEWS,
    WEIGHTS,
    WHICH,
    ZOOMS,
)

VERSION = 1
MAX_FRAME = 9_999
MAX_QUERY = 2_000  # characters; longer addresses are not ours


@dataclass(frozen=True)
class Look:
    """What the Continuous view shows: the part of a `Choice` that it depends on."""

    variable: str = "q"
    field: str = "equations"
    moment: float = 100.0
    zoom: int = 1
    east: float = -38.0
    north: float = 44.0


@dataclass(frozen=True)
class Setup:
    """What the Assimilate view shows; `share` in per cent, `own` as grid points with dots between them."""

    when: int = 0
    channel: str = "z500"
    share: float = 2.0
    assimilator: str = "phyda"
    noise: float = 0.0
    members: int = 4
    seed: int = 0
    own: str = ""
    balance: str = "geostrophic"

    @property
    def points(self) -> tuple[int, ...]:
        """Your own grid points."""
        return tuple(int(point) for point in self.own.split(".") if point)


@dataclass(frozen=True)
class Draw:
    """What the Ensemble view shows; `weight` is "live", or that of the law in the loss of stored members."""

    day: int = 0
    weight: str = "live"
    draws: int = 8
    seed: int = Setup.seed
    consistency: str = "none"
    threshold: float = 273.15
    which: int = 1


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
    variable: str = Look.variable
    field: str = Look.field
    moment: float = Look.moment
    zoom: int = Look.zoom
    east: float = Look.east
    north: float = Look.north
    when: int = Setup.when
    channel: str = Setup.channel
    share: float = Setup.share
    assimilator: str = Setup.assimilator
    noise: float = Setup.noise
    members: int = Setup.members
    seed: int = Setup.seed
    own: str = Setup.own
    balance: str = Setup.balance
    day: int = Draw.day
    weight: str = Draw.weight
    draws: int = Draw.draws
    consistency: str = Draw.consistency
    threshold: float = Draw.threshold
    which: int = Draw.which

    def with_(self, **changes) -> Choice:
        """A copy with some selections changed."""
        return replace(self, **changes)

    def scene(self) -> Choice:
        """The same panel of the Downscale view, whatever is selected in the others."""
        others = asdict(Look()) | asdict(Setup()) | asdict(Draw())
        return self.with_(view="downscale", against="conservation_error", **others)

    def look(self) -> Look:
        """What the Continuous view shows of this."""
        return Look(**{field.name: getattr(self, field.name) for field in fields(Look)})

    def setup(self) -> Setup:
        """What the Assimilate view shows of this."""
        return Setup(**{field.name: getattr(self, field.name) for field in fields(Setup)})

    def draw(self) -> Draw:
        """What the Ensemble view shows of this."""
        return Draw(**{field.name: getattr(self, field.name) for field in fields(Draw)})

    def key(self) -> str:
        """All selections in one line, for the page."""
        return "|".join(x if isinstance(x, str) else f"{x:g}" for x in asdict(self).values())


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
    "variable": VARIABLES,
    "field": FIELDS,
    "channel": CHANNELS,
    "assimilator": ASSIMILATORS,
    "balance": LAWS,
    "weight": WEIGHTS,
    "consistency": CONSISTENCIES,
}
_COUNTS = {"factor": FACTORS, "zoom": ZOOMS, "members": SIZES, "draws": DRAWS, "which": WHICH}
_SHARES = {"share": SHARES, "noise": tuple(NOISES), "threshold": THRESHOLDS}
_POINTS = r"([0-9]{1,4}(\.[0-9]{1,4})*)?"
_DECIMAL = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,2})?")
_LARGEST = {"frame": MAX_FRAME, "hour": max(HOURS.values()) - 1, "when": STATES - 1, "seed": SEEDS,
            "day": DAYS - 1}  # fmt: skip


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
    variable = param.Selector(default=Look.variable, objects=list(VARIABLES), doc="of the continuous field")
    field = param.Selector(default=Look.field, objects=list(FIELDS), doc="fitted with or without equations")
    moment = param.Number(default=Look.moment, bounds=NUMBERS["moment"][:2], doc="hours after the first")
    zoom = param.Selector(default=Look.zoom, objects=list(ZOOMS), doc="magnification: parts of the window each way")
    east = param.Number(default=Look.east, bounds=NUMBERS["east"][:2], doc="longitude of the centre, degrees")
    north = param.Number(default=Look.north, bounds=NUMBERS["north"][:2], doc="latitude of the centre, degrees")
    when = param.Integer(default=Setup.when, bounds=(0, STATES - 1), doc="which time of the twin experiment")
    channel = param.Selector(default=Setup.channel, objects=list(CHANNELS), doc="field of the state")
    share = param.Selector(default=Setup.share, objects=list(SHARES), doc="observed, per cent of the grid points")
    assimilator = param.Selector(default=Setup.assimilator, objects=list(ASSIMILATORS), doc="method of assimilation")
    noise = param.Selector(default=Setup.noise, objects=list(NOISES), doc="observation errors / background errors")
    members = param.Selector(default=Setup.members, objects=list(SIZES), doc="of the ensemble of analyses")
    seed = param.Integer(default=Setup.seed, bounds=(0, SEEDS), doc="of observed points, errors and members")
    own = param.String(default=Setup.own, regex=f"^{_POINTS}$", doc="grid points of your own stations")
    balance = param.Selector(default=Setup.balance, objects=list(LAWS), doc="whose residual is drawn")
    day = param.Integer(default=Draw.day, bounds=(0, DAYS - 1), doc="which time of the fields over terrain")
    weight = param.Selector(default=Draw.weight, objects=list(WEIGHTS), doc="live draw, or stored members by lambda")
    draws = param.Selector(default=Draw.draws, objects=list(DRAWS), doc="members of a live draw")
    consistency = param.Selector(default=Draw.consistency, objects=list(CONSISTENCIES), doc="with the coarse field")
    threshold = param.Selector(default=Draw.threshold, objects=list(THRESHOLDS), doc="of the exceedance, K")
    which = param.Selector(default=Draw.which, objects=list(WHICH), doc="member that is shown, from 1")
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
    parts = {"v": VERSION, **{k: f"{x:g}" if isinstance(x, float) else x for k, x in asdict(choice).items()}}
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
    if given.get("view") == "continuous" and "hour" in given and "moment" not in given:
        given["moment"] = given.pop("hour")
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
    if name in _COUNTS:
        allowed = [str(count) for count in _COUNTS[name]]
        problem = f"{name} is {_quote(text)}; it can be {', '.join(allowed)}."
        return (int(text), "") if text in allowed else (None, problem)
    if name in _SHARES:
        allowed = [f"{x:g}" for x in _SHARES[name]]
        problem = f"{name} is {_quote(text)}; it can be {', '.join(allowed)}."
        return (float(text), "") if text in allowed else (None, problem)
    if name == "own":
        size, points = GRID[0] * GRID[1], text.split(".") if text else []
        right = text.isascii() and re.fullmatch(_POINTS, text) and all(int(point) < size for point in points)
        if right and len(set(map(int, points))) == len(points) <= OWN:
            return ".".join(str(int(point)) for point in points), ""
        return None, f"own is {_quote(text)}; it is at most {OWN} different numbers below {size} with dots between."
    if name in NUMBERS:
        low, high, step = NUMBERS[name]
        if _DECIMAL.fullmatch(text) and low <= float(text) <= high and (float(text) / step).is_integer():
            return float(text) + 0.0, ""  # no negative zero
        return None, f"{name} is {_quote(text)}; it is a number from {low:g} to {high:g} in steps of {step:g}."
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
