"""What is known by name: constraint layers, networks, methods, laws and data sets, each described where it is written.

A part describes itself by one decorator::

    @register("clipped", title="Clipped", reference="your paper, eq. 3")
    class Clipped(Constraint):
        ...

and is found because its file lies in the folder of its group (:data:`FOLDERS`), or because a package of others names it
as an entry point::

    [project.entry-points."physlab.constraints"]
    clipped = "my_package.layers:Clipped"

Command line, zoo, benchmarks, explorer and documentation ask here what there is; nothing else has to be edited. Lists
are made by reading the decorators in the source, without running it, so that they need neither torch nor a broken
package of somebody; arguments of the decorator are therefore literals. A file is imported when what it registers is
asked for.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from physlab.errors import Cancelled, PhysLabError, one_line

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""
Cancel = Callable[[], bool]
"""Asked between steps; True raises :class:`physlab.errors.Cancelled`."""
Part = TypeVar("Part")
Item = TypeVar("Item")


def watched(
    items: Sequence[Item], progress: Progress | None, cancel: Cancel | None = None, stopped: str = "stopped",
    what: str = "steps",
) -> Iterator[Item]:  # fmt: skip
    """The items one by one: before each it is asked whether to stop, and after each told how far one is.

    Parameters
    ----------
    stopped, what : of the error, "bicubic was cancelled" after 2 of 3 "parts".

    Raises
    ------
    Cancelled : `cancel` returned True.
    """
    for done, item in enumerate(items):
        if cancel is not None and cancel():
            raise Cancelled(f"{stopped} after {done} of {len(items)} {what}")
        yield item
        if progress is not None:
            progress(done + 1, len(items))


#: Group -> folders of the package whose files register its parts. Entry points have the group ``physlab.GROUP``.
FOLDERS: dict[str, tuple[str, ...]] = {
    "constraints": ("constrain",),
    "couplings": ("constrain/coupled",),
    "networks": ("nn",),
    "methods": ("downscale", "assimilate"),
    "laws": ("equations",),
    "datasets": ("data/sets",),
}
#: What a part of a group is called in messages.
NOUNS = {
    "constraints": "constraint",
    "couplings": "coupled constraint",
    "networks": "network",
    "methods": "method",
    "laws": "law",
    "datasets": "data set",
}
LAST = 1000  # order of what does not say where it stands in a list


@dataclass(frozen=True)
class Option:
    """A number or word that a part can be given.

    Attributes
    ----------
    name, type : as in its constructor.  default : None where it must be given.
    help : one line.
    low, high : bounds, exclusive where `low` is 0 for a positive number; None for none.
    """

    name: str
    type: str = ""
    default: Any = None
    help: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Spec:
    """What is known of a part or of a method before it is used.

    Attributes
    ----------
    name, title : in code, and for people.
    group, kind : see :data:`FOLDERS`; the kind tells methods apart, for example "statistical" or "assimilation".
    summary : one sentence, the first of its docstring where none is given.
    reference : paper and equation.
    order : place in lists, small numbers first.
    colour : in figures, as #rrggbb.
    inputs : variable -> units of what it takes; empty for a method that takes any field.
    statics : names of the fine fields that do not change and that it asks for.
    frames : coarse frames in and fine frames out.
    factors : refinements that it can do; empty for any.
    ensemble : whether it has members.
    grid : what it asks of the grid, in words.
    options : of its constructor.
    facts : further literals of the decorator, for those who know the group.
    place : dotted name of the module that registers it, or path of its folder.
    problem : why it cannot be used, or "".
    """

    name: str
    title: str = ""
    group: str = ""
    kind: str = ""
    summary: str = ""
    reference: str = ""
    order: int = LAST
    colour: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    statics: tuple[str, ...] = ()
    frames: tuple[int, int] = (1, 1)
    factors: tuple[int, ...] = ()
    ensemble: bool = False
    grid: str = ""
    options: tuple[Option, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    problem: str = ""


_FIELDS = {f.name for f in fields(Spec)} - {"name", "group", "facts", "place", "problem", "options"}
_REGISTERED: dict[tuple[str, str], Any] = {}


def _spec(name: str, group: str, given: Mapping[str, Any], place: str, summary: str = "") -> Spec:
    """A Spec from the arguments of the decorator; those it does not know are facts."""
    known = {key: value for key, value in given.items() if key in _FIELDS}
    facts = {key: value for key, value in given.items() if key not in known and key != "group"}
    spec = Spec(name, group=group, place=place, facts=facts, **{"summary": summary, **known})
    said = summary.removesuffix(".") if group == "datasets" else ""  # a function says what its data are
    return spec if spec.title else replace(spec, title=said or name)


def register(name: str, *, group: str = "", **described: Any) -> Callable[[Part], Part]:
    """Decorator: enter a class or function under a name.

    Parameters
    ----------
    name : unique in its group.
    group : of a function; a class has it from its base (attribute `registry`), what stands in PhysLab from its folder.
    described : fields of :class:`Spec`, and facts of the group such as `bounds` of options, {"temperature": (0, None)}.

    Raises
    ------
    PhysLabError : no group, or a name that something else has taken.
    """

    def enter(part: Part) -> Part:
        module = getattr(part, "__module__", "")
        where = group or getattr(part, "registry", "") or _home(module)
        if where not in FOLDERS:
            raise PhysLabError(
                f"{name!r} is of no group: subclass a base of PhysLab, or pass group={', '.join(FOLDERS)}"
            )
        known = _REGISTERED.get((where, name))
        if known is not None and _identity(known) != _identity(part):
            raise PhysLabError(
                f"{NOUNS[where]} {name!r} is registered by {_identity(known)} already: choose another name"
            )
        summary = first_sentence(inspect.getdoc(part) or "")
        if not inspect.isclass(part):
            described.setdefault("takes", _arguments(part))
        spec = _spec(name, where, described, module, summary)
        part.entry = replace(spec, options=options_of(part, described.get("bounds", {})))  # type: ignore[attr-defined]
        if inspect.isclass(part) and "name" not in vars(part):
            part.name = name  # type: ignore[attr-defined]
        _REGISTERED[where, name] = part
        return part

    return enter


def _home(module: str) -> str:
    """The group whose folder holds a module; empty for those of others."""
    homes = {f"physlab.{folder.replace('/', '.')}.": group for group, folders in FOLDERS.items() for folder in folders}
    return next((group for home, group in homes.items() if module.startswith(home)), "")


def specs(group: str) -> dict[str, Spec]:
    """Name -> description of all parts of a group, in the order of lists, read without importing them."""
    found = {**_in_folders(group), **_in_entry_points(group)}
    for (where, name), part in _REGISTERED.items():
        if where == group:
            found[name] = part.entry
    return {spec.name: spec for spec in sorted(found.values(), key=lambda s: (s.order, s.name))}


def names(group: str) -> tuple[str, ...]:
    """Names of a group in the order of lists, without those that cannot be used."""
    return tuple(name for name, spec in specs(group).items() if not spec.problem)


def load(group: str, name: str) -> Any:
    """The class or function of a name; its file is imported now.

    Raises
    ------
    PhysLabError : unknown, with the near names; or its file fails.
    """
    if (group, name) in _REGISTERED:
        return _REGISTERED[group, name]
    known = specs(group)
    if name not in known:
        raise PhysLabError(unknown(NOUNS[group], name, known))
    spec = known[name]
    try:
        if spec.problem:
            raise ImportError(spec.problem)
        importlib.import_module(spec.place)
        if (group, name) not in _REGISTERED:  # an entry point without a decorator
            target = _entry_points(group)[name].load()
            register(name, group=group)(target)
    except PhysLabError:
        raise
    except Exception as error:  # the file of somebody else
        line = one_line(error)
        raise PhysLabError(
            f"{NOUNS[group]} {name!r} of {spec.place} cannot be loaded ({type(error).__name__}: {line})"
        ) from error
    return _REGISTERED[group, name]


def unknown(noun: str, name: object, known: Mapping | tuple | list) -> str:
    """The sentence for a name that is not there: near names, else all if they are few."""
    text, options = str(name), [str(k) for k in known]
    near = difflib.get_close_matches(text, options, n=4, cutoff=0.5)
    near += [k for k in options if text and text.lower() in k.lower() and k not in near][: 4 - len(near)]
    if near:
        return f"unknown {noun} {text!r}: did you mean {' or '.join(near)}? `physlab list` shows all"
    shown = ", ".join(options[:12]) + (" ..." if len(options) > 12 else "")
    return f"unknown {noun} {text!r}: choose one of {shown}" + (
        "; `physlab list` shows all" if len(options) > 12 else ""
    )


class Registered(Mapping[str, Part]):
    """A group as a mapping from name to class, each imported when it is asked for.

    Parameters
    ----------
    group : see :data:`FOLDERS`.
    wanted : which of them; None for all.
    """

    def __init__(self, group: str, wanted: Callable[[Spec], bool] | None = None) -> None:
        self.group, self.wanted = group, wanted

    def __getitem__(self, name: str) -> Part:
        if name not in self:
            raise KeyError(name)
        return load(self.group, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.specs)

    def __len__(self) -> int:
        return len(self.specs)

    def __contains__(self, name: object) -> bool:
        return name in self.specs

    @property
    def specs(self) -> dict[str, Spec]:
        """Name -> description."""
        usable = {name: spec for name, spec in specs(self.group).items() if not spec.problem}
        return {name: spec for name, spec in usable.items() if self.wanted is None or self.wanted(spec)}


# ---- options ---------------------------------------------------------------------------------------------------------


def options_of(part: Any, bounds: Mapping[str, tuple[float | None, float | None]]) -> tuple[Option, ...]:
    """The options of a constructor or function that have a default, with the words of docstrings."""
    parameters, told = _told(part)
    made = []
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty or name.startswith("_") or name == "weights":
            continue
        low, high = bounds.get(name, (None, None))
        kind = str(parameter.annotation) if parameter.annotation is not inspect.Parameter.empty else ""
        made.append(Option(name, kind, parameter.default, told.get(name, ""), low, high))
    return tuple(made)


def _arguments(part: Any) -> tuple[str, ...]:
    """Names of the arguments of a function that have no default."""
    given = inspect.signature(part).parameters.values()
    return tuple(p.name for p in given if p.default is inspect.Parameter.empty and p.kind is p.POSITIONAL_OR_KEYWORD)


def _told(part: Any) -> tuple[dict[str, inspect.Parameter], dict[str, str]]:
    """Parameters by name, and their lines in the docstring; with those of the bases to which a class hands the rest."""
    parameters: dict[str, inspect.Parameter] = {}
    told: dict[str, str] = {}
    for kind in part.__mro__ if inspect.isclass(part) else (part,):
        if kind is not part and "__init__" not in vars(kind):
            continue
        try:
            found = inspect.signature(kind).parameters
        except (TypeError, ValueError):
            break
        parameters |= {name: found[name] for name in found if name not in parameters}
        told = {**_explained(vars(kind).get("__doc__") or ""), **told}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in found.values()):
            break
    return parameters, told


def check_options(part: Any, given: Mapping[str, Any]) -> None:
    """Refuse options that a registered part does not have, or values beyond their bounds.

    Raises
    ------
    PhysLabError : naming what came and what is allowed.
    """
    spec: Spec = part.entry
    allowed = {option.name: option for option in spec.options}
    for name, value in given.items():
        if name not in allowed:
            words = ", ".join(allowed) or "none"
            raise PhysLabError(f"{NOUNS[spec.group]} {spec.name!r} has no option {name!r}: it allows {words}")
        option = allowed[name]
        if isinstance(value, int | float) and not isinstance(value, bool):
            below = option.low is not None and (value <= 0 if option.low == 0 else value < option.low)
            if value != value or below or (option.high is not None and value > option.high):
                raise PhysLabError(f"{name} of {NOUNS[spec.group]} {spec.name!r} is {value}: {_range(option)}")


def _range(option: Option) -> str:
    low = "" if option.low is None else ("above 0" if option.low == 0 else f"at least {option.low:g}")
    high = "" if option.high is None else f"at most {option.high:g}"
    return "pass " + (" and ".join(part for part in (low, high) if part) or "a number")


def first_sentence(text: str) -> str:
    """The first sentence of a docstring on one line."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[\w)\]`'\"][.!?])\s+(?=[A-Z(`])", paragraph)[0]


def _explained(text: str) -> dict[str, str]:
    """Name -> line of a NumPy docstring."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = re.match(r"\s*([\w, ]+?)\s+:\s+(.+)", line)
        if match:
            found |= {name.strip(): match[2].strip() for name in match[1].split(",")}
    return found


# ---- reading decorators without running them ------------------------------------------------------------------------


@functools.cache
def _in_folders(group: str) -> dict[str, Spec]:
    root = Path(__file__).parent
    found: dict[str, Spec] = {}
    for folder in FOLDERS[group]:
        for path in sorted((root / folder).glob("*.py")):
            module = ".".join(("physlab", *Path(folder).parts, path.stem)).removesuffix(".__init__")
            found |= {spec.name: spec for spec in read_source(path, group, module)}
    return found


def read_source(path: Path, group: str, module: str) -> list[Spec]:
    """The parts that a file registers by decorators with literal arguments; a file that is no Python has a problem."""
    source = path.read_text(encoding="utf-8")
    if "register(" not in source:
        return []
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return [
            Spec(path.stem, path.stem, group, place=module, problem=f"{path.name}, line {error.lineno}: {error.msg}")
        ]
    found = []
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and getattr(call.func, "id", getattr(call.func, "attr", "")) == "register":
                try:
                    name = ast.literal_eval(call.args[0])
                    given = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
                except (ValueError, IndexError):
                    problem = f"{path.name}, line {call.lineno}: arguments of @register must be literals"
                    found.append(Spec(node.name, node.name, group, place=module, problem=problem))
                    continue
                if given.get("group", group) == group:
                    summary = first_sentence(ast.get_docstring(node) or "")
                    if not summary or "module docstring" in summary or summary.startswith("The method"):
                        summary = first_sentence(ast.get_docstring(tree) or "")
                    if isinstance(node, ast.FunctionDef):
                        wanted = node.args.args[: len(node.args.args) - len(node.args.defaults)]
                        given.setdefault("takes", tuple(argument.arg for argument in wanted))
                    found.append(_spec(name, group, given, module, summary))
    return found


@functools.cache
def _entry_points(group: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=f"physlab.{group}")}


@functools.cache
def _in_entry_points(group: str) -> dict[str, Spec]:
    found: dict[str, Spec] = {}
    for name, point in _entry_points(group).items():
        try:
            read = {spec.name: spec for spec in read_source(_file_of(point.module), group, point.module)}
            found[name] = read.get(name, Spec(name, name, group, place=point.module))
        except Exception as error:  # the package of somebody else
            line = one_line(error, 120)
            found[name] = Spec(name, name, group, place=point.module, problem=f"{type(error).__name__}: {line}")
    return found


def _file_of(module: str) -> Path:
    """The file of a module, without importing its package."""
    first, *rest = module.split(".")
    found = importlib.util.find_spec(first)
    if found is None:
        raise ImportError(f"there is no module {first}")
    if not rest:
        return Path(str(found.origin))
    for folder in found.submodule_search_locations or ():
        base = Path(folder, *rest)
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if path.is_file():
                return path
    raise ImportError(f"there is no module {module}")


def _identity(part: Any) -> str:
    return f"{getattr(part, '__module__', '')}.{getattr(part, '__qualname__', part)}"
