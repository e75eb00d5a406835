"""What the user has chosen: selections only, typed, bounded, and one to one with the page address.

The whole state travels in the URL, so that a lesson can link to a panel and a student can send one back:

    ?v=1&dataset=tcw&frame=12&factor=4&method=network&mode=trained&constraint=softmax&network=edsr&hide=truth,scores
    ?v=1&view=continuous&variable=q&field=equations&moment=100.5&zoom=4&east=-30&north=45
    ?v=1&view=assimilate&channel=z500&share=2&assimilator=phyda&noise=0.25&members=8&seed=3&own=3000.6412
    ?v=1&view=ensemble&day=1&draws=16&seed=3&consistency=add&threshold=273.15&which=2
    ?v=1&view=ensemble&weight=0.3&which=2
    ?v=1&view=paint&guide=sda&sigma=30&painted=1250.1310
    ?v=1&frame=12&constraint=softmax&beside=constraint:none,network:edsr
    ?v=1&frame=12&band=8-16&region=-30,40,-10,55
    ?v=1&view=assimilate&band=8-16&region=-30,40,-10,55
    ?v=1&frame=12&constraint=add&listen=8256.8300

What a link leaves out has its default, so links from before a selection existed stay valid. In a link to the Continuous
view `hour` may stand for `moment`; the sequences of the Downscale view have an hour of their own.

A link may come from an older version, from a typing error or from malice. `parse_query` therefore checks all
of it before anything is applied: each value is either valid or replaced by its default with a sentence that says so,
and it never raises. Panel's own ``location.sync`` is not used because it applies a bad link half.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlencode

import param

from apps import options

if TYPE_CHECKING:
    from apps.own import Own

VERSION = 1
MAX_FRAME = 9_999
MAX_WAVE = 90  # along the longer side of a map
MAX_QUERY = 2_000  # characters; longer addresses are not ours


Part = TypeVar("Part", "Look", "Setup", "Draw", "Paint")


def numbers(text: str) -> tuple[int, ...]:
    """The whole numbers of a selection that has dots between them."""
    return tuple(int(point) for point in text.split(".") if point)


@dataclass(frozen=True)
class Scene:
    """What the Downscale and the Benchmark view show; `listen` as cells of the map with dots between them, row by row
    from the south-western one."""

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
    listen: str = ""
    view: str = "downscale"
    against: str = "conservation_error"

    @property
    def heard(self) -> tuple[int, ...]:
        """Cells with a station that the result listens to."""
        return numbers(self.listen)


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
        return numbers(self.own)


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
class Paint:
    """What the Paint view shows: observations that were drawn, as grid points with dots between them, and the method
    that is asked; `sigma` is the error of an observation, m."""

    seed: int = Setup.seed
    painted: str = "1960.1781.1662.1483.1365.1186.1067.888.770.591.411.625.1875.2165"
    guide: str = "mmps"
    sigma: float = 30.0

    @property
    def stations(self) -> tuple[int, ...]:
        """The grid points."""
        return numbers(self.painted)


@dataclass(frozen=True)
class Choice(Paint, Draw, Setup, Look, Scene):
    """One complete selection: hashable scalars, used as the key of every cache. In links `Scene` comes first.

    `beside` is what a second result has that stands beside this one, as in ``constraint:none,network:edsr``; what it
    does not name is as here.
    """

    beside: str = ""
    study: str = "downscaling"  # whose table the Benchmark view shows
    band: str = ""  # waves whose map a view with a truth shows, as in 8-16, counted as in its spectrum
    region: str = ""  # whose scores it shows: west, south, east and north edge, degrees

    @property
    def waves(self) -> tuple[int, int] | None:
        """The least wavenumber of the band, and the first beyond it."""
        low, _, high = self.band.partition("-")
        return (int(low), int(high)) if high else None

    @property
    def edges(self) -> tuple[float, float, float, float] | None:
        """West, south, east and north edge of the region, degrees."""
        west, south, east, north = map(float, self.region.split(",") if self.region else [0] * 4)
        return (west, south, east, north) if self.region else None

    def with_(self, **changes) -> Choice:
        """A copy with some selections changed."""
        return replace(self, **changes)

    def scene(self) -> Choice:
        """The same panel of the Downscale view, whatever is selected in the others."""
        others = asdict(Look()) | asdict(Setup()) | asdict(Draw()) | asdict(Paint())
        others |= {"beside": "", "study": Choice.study, "band": "", "region": ""}
        return self.with_(view="downscale", against="conservation_error", **others)

    def part(self, kind: type[Part]) -> Part:
        """What a view shows of this: its `Look`, `Setup`, `Draw` or `Paint`."""
        return kind(**{field.name: getattr(self, field.name) for field in fields(kind)})

    def other(self) -> Choice | None:
        """The selection of the second result, B; None if this view has none beside it."""
        names = options.COMPARED.get(self.view, ())
        pairs = (pair.partition(":") for pair in self.beside.split(",") if pair)
        values = {name: _known(name, text) for name, _, text in pairs if name in names}
        return self.with_(**values, beside="") if values else None

    def pinned(self) -> str:
        """This selection as the `beside` of another."""
        values = ((name, getattr(self, name)) for name in options.COMPARED.get(self.view, ()))
        return ",".join(
            f"{name}:{value:g}" if isinstance(value, float) else f"{name}:{value}" for name, value in values
        )

    def key(self) -> str:
        """All selections in one line, for the page."""
        return "|".join(x if isinstance(x, str) else f"{x:g}" for x in asdict(self).values())


CHOICE_NAMES = tuple(field.name for field in fields(Choice))
_POINTS = r"([0-9]{1,7}(\.[0-9]{1,7})*)?"
_BAND = r"[0-9]{1,2}-[0-9]{1,2}"
_EDGE = r"-?[0-9]{1,3}(\.[0-9])?"
_REGION = ",".join([_EDGE] * 4)
_DECIMAL = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,2})?")


def _one_of(allowed: Iterable, default: object, doc: str) -> param.Selector:
    return param.Selector(default=default, objects=list(allowed), doc=doc)


class State(param.Parameterized):
    """The live selections of one browser session (never shared between sessions)."""

    dataset = _one_of(options.DATASETS, Scene.dataset, "data set")
    frame = param.Integer(default=0, bounds=(0, MAX_FRAME), doc="index in the test split")
    factor = _one_of(options.FACTORS, Scene.factor, "fine cells per coarse cell, each way")
    method = _one_of(options.METHODS, Scene.method, "how the coarse field is refined")
    mode = _one_of(options.MODES, Scene.mode, "constraint in training, or applied to the output")
    constraint = _one_of(options.CONSTRAINTS, Scene.constraint, "how conservation is imposed")
    network = _one_of(options.NETWORKS, Scene.network, "which network, for the method network")
    statistic = _one_of(options.STATISTICS, Scene.statistic, "which one, for the method statistical")
    hour = param.Integer(default=0, bounds=(0, max(options.HOURS.values()) - 1), doc="frame of a sequence")
    show = _one_of(options.SHOWS, Scene.show, "mean or a member of an ensemble")
    listen = param.String(default=Scene.listen, regex=f"^{_POINTS}$", doc="cells with a station")
    view = _one_of(options.VIEWS, Scene.view, "one selection in maps, or all in one figure")
    against = _one_of(options.AGAINST, Scene.against, "beside RMSE in the benchmark")
    variable = _one_of(options.VARIABLES, Look.variable, "of the continuous field")
    field = _one_of(options.FIELDS, Look.field, "fitted with or without equations")
    moment = param.Number(default=Look.moment, bounds=options.NUMBERS["moment"][:2], doc="hours after the first")
    zoom = _one_of(options.ZOOMS, Look.zoom, "magnification: parts of the window each way")
    east = param.Number(default=Look.east, bounds=options.NUMBERS["east"][:2], doc="longitude of the centre, degrees")
    north = param.Number(default=Look.north, bounds=options.NUMBERS["north"][:2], doc="latitude of the centre, degrees")
    when = param.Integer(default=Setup.when, bounds=(0, options.STATES - 1), doc="which time of the twin experiment")
    channel = _one_of(options.CHANNELS, Setup.channel, "field of the state")
    share = _one_of(options.SHARES, Setup.share, "observed, per cent of the grid points")
    assimilator = _one_of(options.ASSIMILATORS, Setup.assimilator, "method of assimilation")
    noise = _one_of(options.NOISES, Setup.noise, "observation errors / background errors")
    members = _one_of(options.SIZES, Setup.members, "of the ensemble of analyses")
    seed = param.Integer(default=Setup.seed, bounds=(0, options.SEEDS), doc="of observed points, errors and members")
    own = param.String(default=Setup.own, regex=f"^{_POINTS}$", doc="grid points of your own stations")
    balance = _one_of(options.LAWS, Setup.balance, "whose residual is drawn")
    day = param.Integer(default=Draw.day, bounds=(0, options.DAYS - 1), doc="which time of the fields over terrain")
    weight = _one_of(options.WEIGHTS, Draw.weight, "live draw, or stored members by lambda")
    draws = _one_of(options.DRAWS, Draw.draws, "members of a live draw")
    consistency = _one_of(options.CONSISTENCIES, Draw.consistency, "with the coarse field")
    threshold = _one_of(options.THRESHOLDS, Draw.threshold, "of the exceedance, K")
    which = _one_of(options.WHICH, Draw.which, "member that is shown, from 1")
    painted = param.String(default=Paint.painted, regex=f"^{_POINTS}$", doc="grid points of the observations")
    guide = _one_of(options.GUIDES, Paint.guide, "method that is asked")
    sigma = _one_of(options.SIGMAS, Paint.sigma, "error of an observation, m")
    beside = param.String(default=Choice.beside, doc="what a second result has that stands beside this one")
    study = _one_of(options.STUDIES, Choice.study, "whose table the Benchmark view shows")
    band = param.String(default=Choice.band, regex=f"^({_BAND})?$", doc="waves whose map is shown")
    region = param.String(default=Choice.region, regex=f"^({_REGION})?$", doc="cells whose scores are shown")
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

    def know(self, own: Own) -> None:
        """Allow what this session has brought, beside what is there for all."""
        self.param.dataset.objects = [*options.DATASETS, *own.found.data]
        self.param.network.objects = [*options.NETWORKS, *own.found.models]
        self.param.factor.objects = own.factors
        frames = [*options.HOURS.values(), *(data.frames for data in own.found.data.values())]
        self.param.hour.bounds = (0, max(frames) - 1)


def to_query(choice: Choice, hide: tuple[str, ...] = ()) -> str:
    """The address of a selection: `parse_query` gives it back unchanged."""
    parts = {"v": VERSION, **{k: f"{x:g}" if isinstance(x, float) else x for k, x in asdict(choice).items()}}
    if hide:
        parts["hide"] = ",".join(hide)
    return options.own_names("?" + urlencode(parts, safe=",:"))


def parse_query(query: str | Mapping[str, str], own: Own | None = None) -> tuple[Choice, tuple[str, ...], list[str]]:
    """Read a query string without ever failing.

    Parameters
    ----------
    own : what the session has brought, which its links may name.

    Returns
    -------
    choice, hide : a complete and valid selection, defaults where the link was silent or wrong.
    problems : one sentence for each thing in the link that was not used.
    """
    given, problems = _split(query)
    given.pop("lang", None)  # of the page, not of what is selected
    version = given.pop("v", str(VERSION))
    if version != str(VERSION):
        problems.append(
            f"The link has version {_quote(version)}; this explorer reads version {VERSION} and did what it could."
        )
    if given.get("view") == "continuous" and "hour" in given and "moment" not in given:
        given["moment"] = given.pop("hour")
    values: dict[str, Any] = {}
    for name in CHOICE_NAMES:
        if name not in given:
            continue
        value, problem = _read(name, given.pop(name), own)
        if problem:
            problems.append(problem)
        else:
            values[name] = value
    hide, unknown = [], []
    for name in given.pop("hide", "").split(","):
        name = name.strip()
        if name in options.HIDEABLE and name not in hide:
            hide.append(name)
        elif name and name not in options.HIDEABLE:
            unknown.append(name)
    if unknown:
        problems.append(f"hide does not know {_quote(', '.join(unknown))}; it knows {', '.join(options.HIDEABLE)}.")
    if given:
        problems.append(f"The link holds unknown entries: {_quote(', '.join(sorted(given)))}.")
    return Choice(**values), tuple(hide), problems


def _known(name: str, text: str) -> object:
    """A value of `beside`, which was read before."""
    return int(text) if name == "factor" else text if options.brought(text) else _read(name, text)[0]


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


def _read(name: str, text: str, own: Own | None = None) -> tuple[object, str]:
    """One value and an empty string, or None and the sentence that explains why not."""
    if own is not None and (value := own.inside(name, text)) is not None:
        return value, ""
    if name in options.POINTS:
        (size, most), points = options.POINTS[name], text.split(".") if text else []
        right = text.isascii() and re.fullmatch(_POINTS, text) and all(int(point) < size for point in points)
        if right and len(set(map(int, points))) == len(points) <= most:
            return ".".join(str(int(point)) for point in points), ""
        return (
            None,
            f"{name} is {_quote(text)}; it is at most {most} different numbers below {size} with dots between.",
        )
    if name == "beside":
        return _read_beside(text, own)
    if name == "band":
        first, _, last = text.partition("-") if text.isascii() and re.fullmatch(_BAND, text) else ("1", "", "0")
        if not text or 1 <= int(first) < int(last) <= MAX_WAVE:
            return text and f"{int(first)}-{int(last)}", ""
        return None, f"band is {_quote(text)}; it is two whole numbers from 1 to {MAX_WAVE}, the smaller first: 8-16."
    if name == "region":
        four = [float(x) for x in text.split(",")] if text.isascii() and re.fullmatch(_REGION, text) else [0.0] * 4
        if not text or (-360 <= four[0] < four[2] <= 540 and -90 <= four[1] < four[3] <= 90):
            return text and ",".join(f"{x + 0.0:g}" for x in four), ""
        return None, f"region is {_quote(text)}; it is west,south,east,north in degrees, as in -30,40,-10,55."
    if name in options.NUMBERS:
        low, high, step = options.NUMBERS[name]
        if _DECIMAL.fullmatch(text) and low <= float(text) <= high and (float(text) / step).is_integer():
            return float(text) + 0.0, ""  # no negative zero
        return None, f"{name} is {_quote(text)}; it is a number from {low:g} to {high:g} in steps of {step:g}."
    known = State.param[name]
    if isinstance(known, param.Integer):
        assert known.bounds is not None
        largest = known.bounds[1]
        assert largest is not None  # all whole numbers are declared with both
        if text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= largest:
            return int(text), ""
        return None, f"{name} is {_quote(text)}; it is a whole number from 0 to {largest}."
    allowed = {f"{x:g}" if isinstance(x, float) else str(x): x for x in known.objects}
    if name in ("dataset", "network") and text.startswith(options.BROUGHT) and text not in allowed:
        return None, f"{name} is {_quote(text)}, which was brought to a page that is closed: bring its file again."
    return (
        (allowed[text], "") if text in allowed else (None, f"{name} is {_quote(text)}; it can be {', '.join(allowed)}.")
    )


def _read_beside(text: str, own: Own | None = None) -> tuple[object, str]:
    """What a second result has: known names with values that they may have."""
    known = dict.fromkeys(name for names in options.COMPARED.values() for name in names)
    values: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        name, mark, value = pair.partition(":")
        if name not in known or not mark:
            return None, f"beside holds {_quote(pair)}; it is name:value with commas between, of {', '.join(known)}."
        found, problem = _read(name, value, own)
        if problem:
            return None, f"beside: {problem}"
        values[name] = str(found) if options.brought(str(found)) else value
    return ",".join(f"{name}:{value}" for name, value in values.items()), ""


def _quote(text: str, longest: int = 40) -> str:
    """A foreign text made short and printable."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return repr(shown if len(shown) <= longest else shown[: longest - 1] + "…")
