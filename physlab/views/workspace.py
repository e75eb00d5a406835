"""Fields and trained methods of one's own in the explorer: ``physlab explore PATH...``.

A path is a file or Zarr store with gridded fields, the folder of a method that ``physlab train METHOD TRUTH OUT`` made,
or a folder that holds such files and folders. They are read as data through the same door as everywhere else; nothing
of them is run. The explorer is told of them by the environment variable :data:`VARIABLE`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physlab.errors import FieldError, PhysLabError, one_line
from physlab.store import CARD, read_card

if TYPE_CHECKING:
    import xarray as xr

    from physlab.train.own.data import OwnData
    from physlab.train.own.request import Request

VARIABLE = "PHYSLAB_WORKSPACE"
"""Environment variable: paths, with the separator of PATH between them."""
FIELDS = (".nc", ".nc4", ".zarr", ".grib", ".grib2", ".grb", ".grb2", ".grb.gz", ".grib2.gz")
MOST = 24
"""Fields and methods at most."""


@dataclass
class Data:
    """A variable of a file, and the pairs that are made of it.

    Attributes
    ----------
    template : what is asked for at a factor for which no method was trained.
    exact : factor -> what the methods here were trained on: the same blocks, so that the test block is unseen.
    given : which frames of a sequence the coarse ones are; empty for all.
    """

    key: str
    title: str
    variable: str
    template: Request
    exact: dict[int, Request] = field(default_factory=dict)
    given: tuple[int, ...] = ()

    @property
    def frames(self) -> int:
        """Frames of a sequence, or 1."""
        return self.template.frames

    def request(self, factor: int) -> Request:
        """What is asked for at a factor."""
        return self.exact.get(factor) or dataclasses.replace(self.template, factor=factor, patch=None)

    def pairs(self, factor: int) -> OwnData:
        """The pairs, with all that a method trained on them is given.

        Raises
        ------
        FieldError : the factor does not divide the grid, the file is gone, and the like, in one line.
        """
        from physlab.train.own.reading import own_data

        data = own_data(self.request(factor))
        return data.at_frames(self.given) if self.given else data


@dataclass(frozen=True)
class Model:
    """A trained method: its name here, its folder, the data and factor that it is for, and its constraint."""

    key: str
    folder: Path
    data: str
    factor: int
    constraint: str


@dataclass(frozen=True)
class Workspace:
    """What was brought: data and models by key, and a sentence for each thing that cannot be shown."""

    data: Mapping[str, Data]
    models: Mapping[str, Model]
    problems: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON holds it, for other processes of the same machine; without the problems."""
        data = [
            [d.key, d.title, d.variable, d.template.plain(), {str(n): r.plain() for n, r in d.exact.items()}, d.given]
            for d in self.data.values()
        ]
        return {"data": data, "models": [[m.key, str(m.folder), *astuple(m)[2:]] for m in self.models.values()]}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Workspace:
        """The workspace of :meth:`plain`."""
        from physlab.train.own.request import Request

        data = {}
        for key, title, variable, template, exact, given in plain["data"]:
            requests = {int(n): Request.of(r) for n, r in exact.items()}
            data[key] = Data(key, title, variable, Request.of(template), requests, tuple(given))
        models = {key: Model(key, Path(folder), *rest) for key, folder, *rest in plain["models"]}
        return cls(data, models)


@functools.cache
def workspace() -> Workspace:
    """What :data:`VARIABLE` names; looked up once in a process."""
    return read(tuple(filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))))


def read(paths: Sequence[str | Path], prefix: str = "own", inside: bool = False) -> Workspace:
    """Look at paths: cards and headers only, no values.

    Parameters
    ----------
    prefix : begins the names of data and models.
    inside : the data that a card names are those of its name beside its folder, and no others: for cards of people who
        may not read the files of this machine.

    Raises
    ------
    FieldError : a path that is not there.
    """
    data: dict[str, Data] = {}
    models: dict[str, Model] = {}
    problems: list[str] = []
    models_first = sorted(_found(paths), key=lambda path: not _is_model(path))
    for path in models_first:
        if len(data) + len(models) >= MOST:
            problems.append(f"more than {MOST} fields and methods: {path} and what follows is left out")
            break
        try:
            (_add_model if _is_model(path) else _add_fields)(path, data, models, prefix, inside)
        except PhysLabError as error:
            problems.append(one_line(error, None))
    return Workspace(data, models, tuple(problems))


def _found(paths: Sequence[str | Path]) -> list[Path]:
    """Files and folders of methods, those below a plain folder included."""
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise FieldError(f"there is no '{path}': pass files with fields, or folders of trained methods")
        if _is_model(path) or path.is_file() or path.suffix == ".zarr":
            found.append(path)
            continue
        inside = [p for p in sorted(path.iterdir()) if _is_model(p) or p.name.lower().endswith(FIELDS)]
        if not inside:
            raise FieldError(f"'{path}' holds no trained method and no field ({', '.join(FIELDS[:4])}, ...)")
        found += inside
    return [path for path in dict.fromkeys(p.resolve() for p in found) if not path.name.startswith(".")]


def _is_model(path: Path) -> bool:
    return path.is_dir() and (path / CARD).is_file()


def _add_model(path: Path, data: dict[str, Data], models: dict[str, Model], prefix: str, inside: bool) -> None:
    """A trained method and the data that its card names."""
    from physlab.train.own.request import Request

    card = read_card(path)
    told: Any = card.get("data")
    own: Any = card.get("own")
    if not isinstance(told, dict) or not isinstance(told.get("request"), dict) or not isinstance(own, dict):
        raise FieldError(
            f"'{path}' was not made by physlab train METHOD TRUTH OUT, so its data are not known: let PHYSLAB_ASSETS "
            "name the folder of a trained recipe"
        )
    variables = [str(name) for name in told.get("variables") or []]
    if len(variables) != 1:
        raise FieldError(f"'{path}' refines {' and '.join(variables)} jointly: the explorer shows methods of one")
    try:
        request = Request.of(told["request"])
        if not all(isinstance(name, str) for name in (request.truth, request.coarse, request.statics)):
            raise TypeError("names of files are text")
    except FieldError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise FieldError(f"the card of '{path}' does not say its data: {error}") from error
    near = _only_beside if inside else _beside
    request = dataclasses.replace(
        request, truth=near(request.truth, path), coarse=near(request.coarse, path),
        statics=near(request.statics, path), variables=(variables[0],),
    )  # fmt: skip
    frames = (card.get("network") or {}).get("arguments", {}).get("frames") or (request.frames, request.frames)
    given = (0, 2) if tuple(frames) == (2, 3) else ()
    key = _data_of(request, given, data, prefix)
    data[key].exact.setdefault(request.factor, request)
    name = _free(f"{prefix}-{_slug(path.name)}", models)
    models[name] = Model(name, path, key, request.factor, str(own.get("constraint", "none")))


def _add_fields(path: Path, data: dict[str, Data], models: dict[str, Model], prefix: str, inside: bool) -> None:
    """Every variable of a file that has times, rows and columns."""
    from physlab.data.guard import open_checked
    from physlab.train.own.request import Request

    ds = open_checked(str(path))
    names = refinable(ds)
    ds.close()
    if not names:
        raise FieldError(f"'{path}' has no variable of time, latitude and longitude: there is nothing to refine")
    for name in names[: MOST - len(data) - len(models)]:
        _data_of(Request(str(path), (name,)), (), data, prefix)


def refinable(ds: xr.Dataset) -> list[str]:
    """Names of the variables that have times, rows and columns."""
    wanted = {"time", "latitude", "longitude"}
    return [str(n) for n, da in ds.data_vars.items() if wanted <= set(da.dims) and da.dtype.kind == "f"]


def _data_of(request: Request, given: tuple[int, ...], data: dict[str, Data], prefix: str = "own") -> str:
    """The key of the data that a request means, whatever its factor; made if they are new."""
    template = dataclasses.replace(request, factor=4, patch=None)
    for known in data.values():
        same = known.template == template
        plain = template == type(template)(template.truth, template.variables)
        if (same and known.given == given) or (plain and known.template.truth == template.truth
                                               and known.variable == template.variables[0]):  # fmt: skip
            return known.key
    variable, stem = template.variables[0], Path(template.truth.split("::")[0]).stem
    more = [f"{template.frames} frames"] * (template.frames > 1) + [f"with {n}" for n in template.predictors]
    more += [f"from {Path(template.coarse).name}"] * bool(template.coarse)
    key = _free("-".join([prefix, _slug(stem), *map(_slug, [variable, *more])]), data)
    data[key] = Data(key, ", ".join([f"{variable} · {stem}", *more]), variable, template, given=given)
    return key


def _beside(name: str, folder: Path) -> str:
    """A file where the card says, or beside the folder of the model, as when both were moved; else the name itself."""
    plain, mark, rest = name.partition("::")
    for path in (Path(plain), folder.parent / Path(plain).name):
        if plain and path.exists():
            return f"{path.resolve()}{mark}{rest}"
    return name


def _only_beside(name: str, folder: Path) -> str:
    """The file of this name beside the folder of the model, wherever the card says that it was.

    Raises
    ------
    FieldError : there is none.
    """
    if not name:
        return name
    plain, mark, rest = name.partition("::")
    last = re.split(r"[\\/]", plain)[-1]
    if last not in {p.name for p in folder.parent.iterdir() if not p.name.startswith(".")}:
        raise FieldError(
            f"the method '{folder.name}' was trained on '{last[:60]}', which is not here: bring that file too, a "
            "checkpoint holds no fields"
        )
    return f"{(folder.parent / last).resolve()}{mark}{rest}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:40] or "x"


def _free(name: str, taken: Mapping) -> str:
    """A name that is not taken, numbered if need be."""
    names = (name, *(f"{name}-{i}" for i in range(2, MOST + 2)))
    return next(n for n in names if n not in taken)
