"""Data, checkpoints and results for the explorer: calls into `physlab`, remembered under scalar keys.

One store serves all sessions and holds no selection. It keeps what is expensive (pairs, networks, panels, test-set
scores) in small caches whose keys are the hashable scalars of `apps.state.Choice`; arrays are never hashed. All methods
may be called from worker threads.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from apps import zoo
from apps.assimilate.store import Analyses
from apps.assimilate.store import Picture as Analysis
from apps.cache import Cache
from apps.chapters import chapter_html
from apps.continuous.store import Moment, Moments
from apps.ensemble.store import Ensembles
from apps.ensemble.store import Picture as Members
from apps.globe import moment
from apps.kept import of_members, of_moment, of_painting, of_panel, of_state
from apps.machine import device_of, opened
from apps.options import MEMBERS, OWN_DATA, OWN_MODELS, STATISTICS, network_title, own_names
from apps.paint.store import Paintings
from apps.paint.store import Picture as Painting
from apps.problems import Overtaken, Unavailable, needed, never
from apps.script import script
from apps.state import Choice
from physlab import score
from physlab.benchmark import read_runs, summary
from physlab.constrain import LAYERS, layer_name
from physlab.data import sr_pairs
from physlab.downscale import Constrained, make_statistical
from physlab.downscale.interpolate import InTime
from physlab.downscale.listening import Errors
from physlab.errors import PhysLabError
from physlab.grid import coarsening_residual
from physlab.train.evaluate import predict_members
from physlab.train.own.compare import drawn
from physlab.views.compare import Difference, compared, per_frame
from physlab.views.keep import Plane, superscript
from physlab.views.laws import Law, law_for
from physlab.views.stations import can_listen, errors_of, heard

BASELINES = ("bicubic+add", "bicubic", "nearest")
SPLIT, VALIDATION = "test", "val"
SEED = 0  # of the members of an ensemble
CHUNK = 20  # frames per step of a test-set evaluation: short enough to stop quickly
LONG_NAMES = {"tcw": "Total column water vapour", "t2m": "2-m temperature"}


@dataclass(frozen=True, eq=False)
class Panel:
    """All that one selection shows. Maps are (rows, columns) with row 0 southernmost, float32, in `units`."""

    choice: Choice
    note: str
    frames: int
    hours: int  # frames of a sequence, or 1
    given: tuple[int, ...]  # which of them the method got
    members: int  # of an ensemble, or 0
    time: str
    long_name: str
    units: str
    window: tuple[float, float, float, float]  # west, east, south, north edges, degrees
    maps: dict[str, np.ndarray]  # input, result, truth, error, residual, and spread of an ensemble
    limits: dict[str, tuple[float, float]]  # field, error, residual, spread
    wavenumber: np.ndarray
    spectra: dict[str, np.ndarray]  # input, result, truth, and members of an ensemble: the mean of their spectra
    cutoff: float  # largest wavenumber of the input
    ranks: np.ndarray | None  # of the truth among the members, 0 ... members
    scores: dict[str, dict[str, float]]  # this, bicubic+add, bicubic, nearest -> score.table
    seconds: float
    missed: float  # largest conservation residual of the truth itself
    law: str = ""  # whose residual is in `maps` (law, of_truth), if any can be asked for
    law_units: str = ""
    device: str = "cpu"  # that computed it


class Store:
    """Everything the views draw. `threads` caps torch; the server sets it once."""

    def __init__(self, threads: int | None = 1) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._data, self._models, self._offers, self._given = Cache(9), Cache(40), Cache(8), Cache(4)
        self._panels, self._known, self._limits = Cache(256), Cache(1024), Cache(16)
        self._chapters = Cache(32)
        self._each = Cache(64)  # scores of each test frame
        self._wrong = Cache(8)  # covariances of errors
        self._laws = Cache(4)
        self._tests, self._fields, self._drawn, self._whole = Cache(200), Cache(4), Cache(32), Cache(16)
        self.moments = Moments()  # of the Continuous view
        self.analyses = Analyses()  # of the Assimilate view
        self.ensembles = Ensembles()  # of the Ensemble view
        self.paintings = Paintings()  # of the Paint view
        self._drawing = threading.Lock()  # a generator keeps its noise in itself: one draw at a time

    # -- what there is -------------------------------------------------------------------------------------------

    def data(self, task: str, factor: int):
        """Pairs of the test split."""
        with needed(f"Data set {task} is not available"):
            return self._data.get((task, factor), lambda: self._pairs(task, factor))

    def _pairs(self, task: str, factor: int):
        """Pairs of one variable; those of one's own are of all splits."""
        return self._own(task, factor).one() if task in OWN_DATA else sr_pairs(task, factor, splits=(SPLIT,))

    def _own(self, task: str, factor: int):
        """Pairs of one's own with all that a method trained on them is given; files are read and cut once."""
        return self._given.get((task, factor), lambda: OWN_DATA[task].pairs(factor))

    def given(self, choice: Choice):
        """The pairs as the method of a selection gets them: one trained on data of one's own with its predictors."""
        mine = choice.method == "network" and choice.network in OWN_MODELS
        return (self._own if mine else self.data)(choice.dataset, choice.factor)

    def frames(self, task: str) -> int:
        """Number of frames (or sequences) of the test split; 1 if the data set is missing."""
        try:
            return len(self.data(task, 4).fine[SPLIT])
        except Unavailable:
            return 1

    def coarse(self, task: str, factor: int) -> torch.Tensor:
        """(S, T, h, w): the coarse field of every frame of the test split, a missing hour included."""
        return self._whole.get((task, factor), lambda: self.data(task, factor).all_coarse(SPLIT))

    def law(self, task: str, factor: int) -> Law | None:
        """The law that data of one's own have all fields for; None if there is none."""

        def make() -> tuple[Law | None]:
            try:
                return (law_for(self.data(task, factor), OWN_DATA[task].request(factor), SPLIT),)
            except PhysLabError:  # another field of the file has levels, or other times
                return (None,)

        return self._laws.get((task, factor), make)[0] if task in OWN_DATA else None

    def model(self, name: str):
        """A Downscaler by its name in the zoo, or "statistical/NAME/TASK-xN": fitted here, on first use."""
        with needed(f"Checkpoint {name} is not available"):
            return self._models.get(name, lambda: self._fit(name) if name.startswith("statistical/") else opened(name))

    def _fit(self, name: str):
        """A statistical method on the training frames of a task."""
        _, label, recipe = name.split("/")
        task, _, factor = recipe.rpartition("-x")
        data = self.data(task, int(factor)) if task in OWN_DATA else sr_pairs(task, int(factor))
        return make_statistical(label, data).fit(data, seed=SEED)

    def offers(self, dataset: str, factor: int) -> dict[str, list[str]]:
        """Network -> constraints that have a checkpoint for these data; looked up anew every few seconds."""
        return self._offers.get((dataset, factor, int(time.monotonic() // 10)), lambda: zoo.offers(dataset, factor))

    def checkpoint(self, choice: Choice) -> str | None:
        """Name of the model behind a selection; None if there is no such checkpoint."""
        names = zoo.names(choice)
        for name in names:
            try:
                network = getattr(self.model(name), "network", None)
            except Unavailable:
                continue
            frames = getattr(network, "frames", (1, 1))
            mine = choice.method != "network" or choice.network in OWN_MODELS
            if not mine and choice.dataset in OWN_DATA and getattr(network, "domain", None):
                continue  # it has learned the map of another place
            if mine or tuple(frames) in zoo.frames_of(choice.dataset):
                return name
        return None

    def _model(self, choice: Choice):
        """The Downscaler of a resolved selection, without a constraint that is applied afterwards."""
        name = self.checkpoint(choice)
        assert name is not None
        return self.model(name)

    def resolve(self, choice: Choice) -> tuple[Choice, str]:
        """What can be shown for a selection, and a sentence if that is not the selection itself."""
        choice = choice.scene().with_(frame=min(choice.frame, self.frames(choice.dataset) - 1))
        choice, notes = self._resolve_method(choice)
        if choice.method != "network":
            choice = choice.with_(mode="applied", network="compact")
        if choice.method != "statistical":
            choice = choice.with_(statistic="linear")
        if choice.mode == "applied" and choice.constraint not in LAYERS:
            notes.append(
                "The soft penalty acts on training only and cannot be applied afterwards: showing no constraint."
            )
            choice = choice.with_(constraint="none")
        if choice.show != "mean" and not self.is_ensemble(choice):
            choice = choice.with_(show="mean")
        if choice.heard:
            choice, note = self._resolve_stations(choice)
            notes.append(note)
        return choice.with_(hour=min(choice.hour, zoo.hours(choice.dataset) - 1)), " ".join(filter(None, notes))

    def _resolve_stations(self, choice: Choice) -> tuple[Choice, str]:
        """Those that lie on the map, if the data say how far a station speaks; and a sentence if they do not."""
        if problem := can_listen(self._validation(choice)):
            return choice.with_(listen=""), f"{problem}: showing the result without stations."
        cells = self.data(choice.dataset, choice.factor).weights.numel()
        there = [cell for cell in choice.heard if cell < cells]
        gone = len(choice.heard) - len(there)
        said = f"{gone} of the {len(choice.heard)} stations do not lie on this map." if gone else ""
        return choice.with_(listen=".".join(map(str, there))), said

    def _resolve_method(self, choice: Choice) -> tuple[Choice, list[str]]:
        """The method that is there: itself, else the compact network, else bicubic."""
        if choice.method not in ("network", "statistical") or self.checkpoint(choice):
            return choice, []
        wanted = own_names(f"{choice.dataset} at factor {choice.factor}")
        bicubic = choice.with_(method="bicubic", mode="applied")
        if choice.method == "statistical":
            return bicubic, [
                f"{STATISTICS[choice.statistic]} cannot be fitted to {wanted} here: showing bicubic instead."
            ]
        offers = self.offers(choice.dataset, choice.factor)
        if choice.network in offers:
            there = f" It is here with: {', '.join(offers[choice.network])}."
        else:
            there = f" For these data there are: {', '.join(map(network_title, offers))}." if offers else ""
        compact = choice.with_(network="compact")
        if choice.network != "compact" and self.checkpoint(compact):
            note = f"{network_title(choice.network)} with this constraint is not installed for {wanted}: "
            return compact, [f"{note}showing the compact network with the same constraint.{there}"]
        note = f"No trained network is installed for {wanted} with this constraint: showing bicubic instead, "
        return bicubic, [f"{note}with the constraint applied afterwards.{there}"]

    def is_ensemble(self, choice: Choice) -> bool:
        """Whether the method of a resolved selection has members."""
        return choice.method == "network" and self._model(choice).spec.ensemble

    # -- one frame -----------------------------------------------------------------------------------------------

    def cached(self, choice: Choice) -> Panel | None:
        """The panel if it was made before."""
        return self._panels.peek(choice.scene())

    def panel(self, choice: Choice, cancelled: Callable[[], bool] = never) -> Panel:
        """Everything that one selection shows.

        Raises
        ------
        Overtaken : `cancelled` said so while members were drawn.
        """
        return self._panels.get(choice.scene(), lambda: self._make_panel(choice, cancelled))

    def _make_panel(self, asked: Choice, cancelled: Callable[[], bool]) -> Panel:
        start = time.perf_counter()
        choice, note = self.resolve(asked)
        data = self.data(choice.dataset, choice.factor)
        hour = slice(choice.hour, choice.hour + 1)
        at = slice(choice.frame, choice.frame + 1)
        truth, coarse = data.fine[SPLIT][at, hour], self.coarse(choice.dataset, choice.factor)[at, hour]
        members = self.members(choice, cancelled)[:, :, hour]
        result = members.mean(0) if choice.show == "mean" else members[int(choice.show.removeprefix("member-")) - 1]
        known = self._known.get(
            (choice.dataset, choice.factor, choice.frame, choice.hour), lambda: self._make_known(choice, truth, coarse)
        )
        fields = {
            "input": known["input"],
            "result": result,
            "truth": truth,
            "error": result - truth,
            "residual": coarsening_residual(result, coarse, choice.factor, data.weights),
        }
        wavenumber, power = _spectrum(result)
        spectra, ranks = {**known["spectra"], "result": power}, None
        scores = {"this": self._table(result, truth, coarse, data), **known["scores"]}
        law, limits = self.law(choice.dataset, choice.factor), self.limits(choice.dataset, choice.factor)
        if law is not None:
            balance = law.balance(result[0, 0], choice.frame)
            fields |= {"law": balance.residual[None, None], "of_truth": balance.truth[None, None]}
            scores["this"] |= {"law_relative": balance.relative}
            limits = {**limits, "law": (-law.limit, law.limit)}
        if len(members) > 1:
            fields["spread"] = members.std(0)
            spectra["members"] = np.mean([_spectrum(member)[1] for member in members], axis=0)
            ranks = score.rank_histogram(members, truth).numpy()
            scores["this"] |= ensemble_scores(members, truth, data.weights)
            scores |= {name: {**scores[name], "crps": scores[name]["mae"]} for name in BASELINES}
        northward = 1 if data.latitude[0] < data.latitude[-1] else -1
        return Panel(
            choice=choice,
            note=note,
            frames=len(data.fine[SPLIT]),
            hours=data.fine[SPLIT].shape[1],
            given=tuple(data.given),
            members=len(members) if len(members) > 1 else 0,
            time=moment(data.time[SPLIT][choice.frame] + choice.hour * (data.step or np.timedelta64(0, "h"))),
            long_name=LONG_NAMES.get(data.variable, _harmless(data.variable)),
            units=_pretty(data.units),
            window=_window(data, choice.frame),
            maps={name: np.ascontiguousarray(x[0, 0].numpy()[::northward]) for name, x in fields.items()},
            limits=limits,
            wavenumber=wavenumber,
            spectra=spectra,
            cutoff=max(data.shape) / (2 * choice.factor),
            ranks=ranks,
            scores=scores,
            seconds=time.perf_counter() - start,
            device=device_of(self._model(choice)) if choice.method == "network" else "cpu",
            missed=known["missed"],
            law=law.title if law else "",
            law_units=superscript(law.units) if law else "",
        )

    def _make_known(self, choice: Choice, truth: torch.Tensor, coarse: torch.Tensor) -> dict[str, Any]:
        """What all methods share in one frame: input, scores of the baselines, spectra of input and truth."""
        data, hour = self.data(choice.dataset, choice.factor), slice(choice.hour, choice.hour + 1)
        baselines = {name: self.members(_baseline(choice, name), never)[0][:, hour] for name in BASELINES}
        law = self.law(choice.dataset, choice.factor)
        relative = {n: {"law_relative": law.balance(x[0, 0], choice.frame).relative} if law else {}
                    for n, x in baselines.items()}  # fmt: skip
        given = coarse if choice.hour in data.given else data.coarse[SPLIT][choice.frame].mean(0)[None, None]
        return {
            "input": given,
            "scores": {n: self._table(x, truth, coarse, data) | relative[n] for n, x in baselines.items()},
            "missed": float(coarsening_residual(truth, coarse, choice.factor, data.weights).abs().max()),
            "spectra": {"input": _spectrum(baselines["bicubic"])[1], "truth": _spectrum(truth)[1]},
        }

    def method(self, choice: Choice):
        """The Downscaler of a resolved selection."""
        data = self.data(choice.dataset, choice.factor)
        method = self._model(choice)
        if choice.mode == "applied" and choice.constraint != "none":
            method = Constrained(method, choice.constraint, **_options(choice, data))
        if choice.method != "network" and len(data.given) < data.fine[SPLIT].shape[1]:
            method = InTime(method)
        return method

    def members(self, choice: Choice, cancelled: Callable[[], bool] = never) -> torch.Tensor:
        """All members and hours of one frame, (M, 1, T, H, W), whatever of them is shown; M is 1 without noise."""
        choice = choice.with_(hour=0, show="mean")
        make = self._listen if choice.heard else self._draw
        return self._drawn.get(choice, lambda: make(choice, cancelled))

    def _listen(self, choice: Choice, cancelled: Callable[[], bool]) -> torch.Tensor:
        """The members after stations, which see the truth of the frame."""
        members = self.members(choice.with_(listen=""), cancelled)
        errors, data = self._errors(choice), self.data(choice.dataset, choice.factor)
        at = slice(choice.frame, choice.frame + 1)
        truth, coarse = data.fine[SPLIT][at], data.coarse[SPLIT][at]
        return heard(members, truth, coarse, self.cells(choice), errors, data, SEED)

    def _errors(self, choice: Choice) -> Errors:
        """What the method of a selection gets wrong, on frames of the validation split."""
        choice = choice.with_(listen="", frame=0)
        data = self._validation(choice)
        with needed("The errors of this method cannot be measured"):
            return self._wrong.get(choice, lambda: errors_of(self.method(choice), data, members=MEMBERS))

    def _validation(self, choice: Choice):
        """Pairs that hold the split on which errors are measured, as the method of a selection gets them."""
        if choice.dataset in OWN_DATA:
            return self.given(choice)
        key = choice.dataset, choice.factor
        return self._data.get((*key, VALIDATION), lambda: sr_pairs(*key, splits=(VALIDATION,)))

    def cells(self, choice: Choice) -> list[int]:
        """Cells with a station as the arrays of the pairs have them, where row 0 may be the northernmost."""
        data = self.data(choice.dataset, choice.factor)
        height, width = data.shape
        if data.latitude[0] < data.latitude[-1]:
            return list(choice.heard)
        return [(height - 1 - cell // width) * width + cell % width for cell in choice.heard]

    def _draw(self, choice: Choice, cancelled: Callable[[], bool]) -> torch.Tensor:
        method, data = self.method(choice), self.given(choice)
        at = slice(choice.frame, choice.frame + 1)
        if isinstance(method, Constrained):
            full = full_coarse(method.method, self.data(choice.dataset, choice.factor).coarse[SPLIT][at])
            free = self.members(choice.with_(constraint="none"), cancelled)
            return torch.stack([method.constrain(member, full, data.weights) for member in free])
        if not method.spec.ensemble:
            return predict_members(method, data, SPLIT, at)
        if choice.network in OWN_MODELS:
            return drawn(method, data, SPLIT, np.array([choice.frame]), MEMBERS)
        generator, members = torch.Generator().manual_seed(SEED), []
        for _ in range(MEMBERS):  # one by one, as predict_members draws them, so that it can be stopped
            if cancelled():
                raise Overtaken
            with self._drawing:
                members.append(method.sample(data.coarse[SPLIT][at], data.weights, 1, generator))
        return torch.cat(members)

    def _table(self, result: torch.Tensor, truth: torch.Tensor, coarse: torch.Tensor, data) -> dict[str, float]:
        return score.table(result, truth, coarse, data.factor, data_range=data.data_range(SPLIT), weights=data.weights)

    def limits(self, task: str, factor: int) -> dict[str, tuple[float, float]]:
        """Colour limits of a data set and factor, the same for all its frames, methods and constraints.

        Fields: the central 99.8 % of the truth. Error and residual: symmetric, 99.5 % of those of bicubic. Spread: from
        zero to half the limit of the error.
        """
        return self._limits.get((task, factor), lambda: self._make_limits(task, factor))

    def _make_limits(self, task: str, factor: int) -> dict[str, tuple[float, float]]:
        data = self.data(task, factor)
        some = slice(None, None, max(1, len(data.fine[SPLIT]) // 24))
        truth, coarse = data.fine[SPLIT][some], self.coarse(task, factor)[some]
        bicubic = self.method(Choice(task, 0, factor, "bicubic", "applied", "none"))
        bicubic = bicubic.predict(data.coarse[SPLIT][some], data.weights)
        residual = coarsening_residual(bicubic, coarse, factor, data.weights)
        low, high = np.quantile(truth.numpy(), [0.001, 0.999])
        reach = {
            name: float(np.quantile(np.abs(x.numpy()), 0.995))
            for name, x in {"error": bicubic - truth, "residual": residual}.items()
        }
        return {
            "field": (0.0 if data.non_negative else float(low), float(high)),
            "spread": (0.0, reach["error"] / 2),
            **{name: (-top, top) for name, top in reach.items()},
        }

    def netcdf(self, shown: Panel | Analysis | Members | Moment | Painting) -> bytes:
        """What a view shows as a NetCDF file: its maps with their places and units, spectra and scores."""
        if isinstance(shown, Analysis):
            return of_state(shown, self.analyses.grid()[0]).netcdf()
        if isinstance(shown, Members):
            return of_members(shown, self.ensembles.truth()[0].grid.latitude).netcdf()
        if isinstance(shown, Moment):
            return of_moment(shown).netcdf()
        if isinstance(shown, Painting):
            return of_painting(shown).netcdf()
        data, choice = self.data(shown.choice.dataset, shown.choice.factor), shown.choice
        fine, northward = data.grid(SPLIT, choice.frame), 1 if data.latitude[0] < data.latitude[-1] else -1
        planes = (
            Plane(grid.latitude[::northward], grid.longitude, end)
            for end, grid in (("", fine), ("_coarse", fine.coarsen(choice.factor)))
        )
        return of_panel(shown, *planes).netcdf()

    # -- the whole test split ------------------------------------------------------------------------------------

    def test_scores(self, choice: Choice, cancelled: Callable[[], bool] = never) -> dict[str, dict[str, float]] | None:
        """Scores over the test split of a selection and of the baselines; None if `cancelled` said so on the way.

        A network with the constraint it was trained with has its scores on its card; all else is evaluated here, once,
        except ensembles, whose members of all frames are too many: their scores are empty if no card has them.
        """
        scores = {}
        for name, selection in self._tested(choice).items():
            table = self._test_table(selection, cancelled)
            if table is None:
                return None
            scores[name] = table
        return scores

    def cached_test_scores(self, choice: Choice) -> dict[str, dict[str, float]] | None:
        """The scores over the test split if nothing has to be computed for them."""
        scores = {name: self._tests.peek(c) for name, c in self._tested(choice).items()}
        return scores if all(table is not None for table in scores.values()) else None

    def _tested(self, choice: Choice) -> dict[str, Choice]:
        """The selections whose scores stand side by side."""
        choice = self.resolve(choice)[0].with_(frame=0, hour=0, show="mean", listen="")
        return {"this": choice, **{name: _baseline(choice, name) for name in BASELINES}}

    def _test_table(self, choice: Choice, cancelled: Callable[[], bool]) -> dict[str, float] | None:
        table, data = self._tests.peek(choice), self.data(choice.dataset, choice.factor)
        if table is None and choice.method == "network" and choice.mode == "trained":
            card = self.card(choice) or {}
            if card.get("split_hashes", {}).get(SPLIT) == data.hashes[SPLIT] and card.get("task") == data.task:
                table = card.get("scores", {}).get(SPLIT)
        if table is None and self.is_ensemble(choice):
            table = {}
        if table is None:
            result = self._test_result(choice, cancelled)
            if result is None:
                return None
            table = self._table(result, data.fine[SPLIT], self.coarse(choice.dataset, choice.factor), data)
        return self._tests.get(choice, lambda: table)

    def _test_result(self, choice: Choice, cancelled: Callable[[], bool]) -> torch.Tensor | None:
        """What a method makes of all test frames, a constraint that is applied afterwards included."""
        method, data = self.method(choice), self.data(choice.dataset, choice.factor)
        constrained = isinstance(method, Constrained)
        result = self._test_fields(choice.with_(constraint="none") if constrained else choice, cancelled)
        if result is not None and constrained:
            result = method.constrain(result, full_coarse(method.method, data.coarse[SPLIT]), data.weights)
        return result

    def paired(
        self, one: Choice, other: Choice, cancelled: Callable[[], bool] = never
    ) -> tuple[dict[str, Difference], float, str] | None:
        """Differences of two selections over the test split, days of a block, units; None if `cancelled` said so.

        Raises
        ------
        Unavailable : one has members, whose draws of all frames are too many for a page, or no interval can be given.
        """
        if one.heard or other.heard:
            raise Unavailable("stations are on this frame alone, so there is no interval.")
        chosen = [self.resolve(choice)[0].with_(frame=0, hour=0, show="mean") for choice in (one, other)]
        if any(self.is_ensemble(choice) for choice in chosen):
            raise Unavailable("members of all frames are too many for this page, so there is no interval.")
        scores = [self._frame_scores(choice, cancelled) for choice in chosen]
        if any(table is None for table in scores):
            return None
        data = self.data(chosen[0].dataset, chosen[0].factor)
        with needed("no interval"):
            return *compared(scores[0], scores[1], data.time[SPLIT]), _pretty(data.units)

    def _frame_scores(self, choice: Choice, cancelled: Callable[[], bool]):
        """(N, 3) scores of each test frame."""
        known = self._each.peek(choice)
        if known is not None:
            return known
        result = self._test_result(choice, cancelled)
        if result is None:
            return None
        data, coarse = self.data(choice.dataset, choice.factor), self.coarse(choice.dataset, choice.factor)
        made = per_frame(result, data.fine[SPLIT], coarse, choice.factor, data.weights)
        return self._each.get(choice, lambda: made)

    def _test_fields(self, choice: Choice, cancelled: Callable[[], bool]) -> torch.Tensor | None:
        """What a method makes of all test frames, in short steps."""
        fields = self._fields.peek(choice)
        if fields is None:
            method, data = self.method(choice), self.given(choice)
            placed = getattr(getattr(method, "network", None), "statics", ())
            step = 1 if placed and zoo.hours(choice.dataset) > 1 else CHUNK  # all hours of one place
            steps = []
            for first in range(0, len(data.coarse[SPLIT]), step):
                if cancelled():
                    return None
                steps.append(predict_members(method, data, SPLIT, slice(first, first + step))[0])
            fields = torch.cat(steps)
        return self._fields.get(choice, lambda: fields)

    # -- all runs ------------------------------------------------------------------------------------------------

    def benchmark(self, task: str, factor: int) -> tuple[pd.DataFrame, str]:
        """Every method of the results table for these data, and the unit of its errors.

        Raises
        ------
        Unavailable : the table is not there, or has no run for these data.
        """
        try:
            return summary(read_runs(), task, factor), _pretty(self.data(task, factor).units)
        except (ValueError, OSError, KeyError) as error:
            raise Unavailable(
                f"There is no benchmark of {own_names(task)} at factor {factor} here ({error}): make it with "
                "physlab benchmark downscaling."
            ) from error

    def chapter(self, study: str, cancelled: Callable[[], bool] = never) -> str:
        """The tables of a study, for the page."""
        with needed(f"The table {study} is not here"):
            return self._chapters.get(study, lambda: chapter_html(study))

    def cached_chapter(self, study: str) -> str | None:
        """The tables of a study if they were made before."""
        return self._chapters.peek(study)

    def forget(self, part: str) -> None:
        """Forget all that has a text in its key, as that of things which a session has brought."""
        for cache in vars(self).values():
            if isinstance(cache, Cache):
                cache.drop(part)

    # -- provenance ----------------------------------------------------------------------------------------------

    def card(self, choice: Choice) -> dict[str, Any] | None:
        """The card of the checkpoint behind a resolved selection; None for what has no checkpoint."""
        if choice.method != "network":
            return None
        return dict(getattr(self._model(choice), "card", None) or {})

    def code(self, choice: Choice) -> str:
        """A script that prints the scores of a resolved selection from the library alone."""
        data = self.data(choice.dataset, choice.factor)
        name = self.checkpoint(choice)
        assert name is not None  # of a resolved selection
        return script(choice, name, self.model(name), _options(choice, data), data, SPLIT, SEED, self.cells(choice))


def ensemble_scores(members: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor) -> dict[str, float]:
    """Scores of the members (M, ...) together."""
    return {
        "crps": float(score.crps(members, truth, weights=weights)),
        "spread_skill": float(score.spread_skill(members, truth, weights=weights)),
    }


def full_coarse(model, given: torch.Tensor) -> torch.Tensor:
    """(S, T, h, w) of all frames that a network makes, its own estimate where one is missing; physical units."""
    network = getattr(model, "network", None)
    if network is None or network.frames[0] == network.frames[1]:
        return given
    with torch.no_grad():
        return network.complete(given / model.scale) * model.scale


def _baseline(choice: Choice, name: str) -> Choice:
    """The selection that stands for a baseline of the score table."""
    method, _, constraint = name.partition("+")
    constraint = constraint or "none"
    return choice.with_(
        method=method,
        mode="applied",
        constraint=constraint,
        network="compact",
        statistic="linear",
        show="mean",
        listen="",
    )


def _options(choice: Choice, data) -> dict[str, Any]:
    """Arguments of a layer that is applied afterwards, physical units: scaled_add needs bounds of the values."""
    offset, scale = data.scaling.offset[0], data.scaling.scale[0]
    reach = (0.0, scale) if data.non_negative else (offset - 5 * scale, offset + 5 * scale)
    found = LAYERS[layer_name(choice.constraint)].within(*(round(bound, 3) for bound in reach))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _spectrum(field: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Wavenumbers and power (K,) of one frame (1, 1, H, W), tapered because no map is periodic both ways."""
    wavenumber, power = score.radial_spectrum(field, window="hann")
    return wavenumber.numpy().astype(float), power.numpy().astype(float).ravel()


def _window(data, frame: int) -> tuple[float, float, float, float]:
    """West, east, south and north edge of a frame in degrees, the centre within -180 to 180."""
    longitude = np.asarray(data.longitude[SPLIT][frame], dtype=float)
    latitude = np.sort(np.asarray(data.latitude, dtype=float))
    half_x, half_y = (longitude[1] - longitude[0]) / 2, (latitude[-1] - latitude[0]) / (latitude.size - 1) / 2
    turn = 360.0 * np.floor((longitude.mean() + 180.0) / 360.0)
    south, north = max(latitude[0] - half_y, -90.0), min(latitude[-1] + half_y, 90.0)
    return float(longitude[0] - half_x - turn), float(longitude[-1] + half_x - turn), float(south), float(north)


def _harmless(text: str) -> str:
    """A text of a file without what HTML would take for more than text."""
    return re.sub(r"[<>&\"'`{}]", "", text)[:80]


def _pretty(units: str) -> str:
    return superscript(_harmless(units).replace("**", ""))
