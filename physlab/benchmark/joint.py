"""Temperature, humidity, height and wind refined together, with the laws that couple them: what is gained and lost.

    physlab simulate --output truth-21 --seed 21 --days 105 --hourly 0 0 --no-forecasts
    physlab benchmark joint --data truth-21 --output benchmark        # without --data: on the few states that ship

Two windows of the laboratory over the sea, where 925 hPa lies above the ground, 32 x 32 cells, x4: q, t and z at 925
and 850 hPa, wind at 850 hPa. *Alone* is a network for each variable, that sees this variable; *joint* has as large a
network for each, and all are told of all coarse fields; both end in the additive layer. *Column* is the joint network
trained with the layer :mod:`physlab.constrain.coupled.column`. "add then column" is the control: the same layer put on
afterwards, with and without networks. Equal steps and batches for all; what is kept is chosen on validation.

Each line has a score of a variable, with what is gained over *alone* of the same seed (1 - RMSE / RMSE, with the
interval of a bootstrap over two days and a window), or a law and its value in the truth.
"""

from __future__ import annotations

import functools
import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from physlab.benchmark.study import Context, Named, Study, presets
from physlab.benchmark.table import By
from physlab.constrain import make_constraint
from physlab.data import open_dataset
from physlab.data.pieces import open_pieces
from physlab.data.splits import check_gaps
from physlab.equations import hydrostatic, saturation
from physlab.equations.energy import moist_static
from physlab.errors import PhysLabError
from physlab.fields import Scaling
from physlab.grid import Grid, coarsen, refine
from physlab.nn import bicubic
from physlab.score.paired import gains
from physlab.store import write_file
from physlab.train import Preset, Recipe
from physlab.train.own.data import OwnData
from physlab.train.own.methods import Method
from physlab.train.own.networks import several
from physlab.train.own.task import Task
from physlab.train.recipe import make_model
from physlab.train.run import fit_in_stages
from physlab.train.settings import Settings
from physlab.train.state import state_file

SHIPPED = "nature-states"
VARIABLES = ("q_925", "t_925", "z_925", "q_850", "t_850", "z_850", "u_850", "v_850")
UNITS = {"q": "kg kg-1", "t": "K", "z": "m2 s-2", "u": "m s-1", "v": "m s-1"}
LEVELS = (925.0, 850.0)
ROWS, WINDOWS, EDGE = slice(20, 52), (40, 106), 32  # of the grid of 64 x 128: over the sea, 32 S to 54 N
FACTOR, SEEDS = 4, (0, 1, 2)
BLOCKS = {"train": (0.0, 0.66), "val": (0.71, 0.79), "test": (0.84, 1.0)}  # shares of the states
BLOCK, GAP = np.timedelta64(2, "D"), 120.0  # hours
BUDGET = Settings(steps=600, batch=16, rate=2e-3, crop=None, flips="", validate_every=100, patience=9)
PRESET = Preset("CompactResNet", {"channels": 24, "blocks": 3}, BUDGET)
BASELINE, ALONE, JOINT = "bicubic", "alone", "joint"
ADD, AFTERWARDS, COLUMN = "add", "add then column", "column"
LAWS = ("block means", "energy", "energy of moist air", "negative humidity", "supersaturation", "hydrostatic",
        "moisture flux")  # fmt: skip


@dataclass(frozen=True)
class Run(Named):
    """A method, its layer and its seed, None where nothing is random."""

    model: str
    constraint: str
    seed: int | None


def plan() -> list[Run]:
    """Interpolation, then seed by seed."""
    ways = ((ALONE, ADD), (ALONE, AFTERWARDS), (JOINT, ADD), (JOINT, AFTERWARDS), (JOINT, COLUMN))
    fixed = [Run(BASELINE, layer, None) for layer in (ADD, AFTERWARDS)]
    return [*fixed, *(Run(*way, seed) for seed in SEEDS for way in ways)]


def states(data: str) -> xr.Dataset:
    """States of a nature run by folder, or a data set by name.

    Raises
    ------
    PhysLabError : another grid, or a field or level that is not there.
    """
    files = sorted(Path(data).glob("states-*.nc"))
    ds = open_pieces(files) if files \
        else open_dataset(data)  # fmt: skip
    lacking = [name for name in ("q", "t", "z", "u", "v") if name not in ds]
    lacking += [f"{p:g} hPa" for p in LEVELS if "level" not in ds.coords or p not in ds["level"].values]
    if lacking or (ds.sizes.get("latitude"), ds.sizes.get("longitude")) != (64, 128):
        raise PhysLabError(
            f"{data} lacks {', '.join(lacking) or 'the grid of 64 x 128'}: pass a folder of `physlab simulate`, "
            "or leave out --data for the states that ship"
        )
    return ds


@functools.lru_cache(maxsize=2)
def pairs(data: str) -> OwnData:
    """Windows of the three blocks of time."""
    ds = states(data)
    whole = np.stack([ds[n[0]].sel(level=int(n[2:])).values for n in VARIABLES], 1)[:, :, ROWS].astype(np.float32)
    columns = [np.arange(first, first + EDGE) % 128 for first in WINDOWS]
    time = ds["time"].values
    share = np.arange(len(time)) / (len(time) - 1)
    grid = Grid(ds["latitude"].values[ROWS].astype(float), ds["longitude"].values[columns[0]].astype(float))
    weights = torch.from_numpy(grid.area_weights.copy())
    fine, times = {}, {}
    for split, (first, last) in BLOCKS.items():
        at = np.flatnonzero((share >= first) & (share <= last))
        parts = np.stack([whole[at][..., c] for c in columns], 1)  # a time, its windows
        fine[split] = torch.from_numpy(parts.reshape(-1, *parts.shape[2:]))
        times[split] = np.repeat(time[at], len(columns))
    check_gaps(times, GAP)
    coarse = {k: coarsen(y.double(), FACTOR, weights).float() for k, y in fine.items()}
    positive = tuple(n[0] == "q" for n in VARIABLES)
    scalings = [Scaling.fit(fine["train"][:, i, None], p, "std") for i, p in enumerate(positive)]
    return OwnData(
        task="own", factor=FACTOR, variable=VARIABLES[0], units=UNITS["q"], non_negative=True, fine=fine, coarse=coarse,
        weights=weights.float(), time=times, latitude=grid.latitude,
        longitude={k: np.tile(ds["longitude"].values[np.stack(columns)], (len(y) // len(columns), 1))
                   for k, y in fine.items()},
        scaling=Scaling(tuple(s.offset[0] for s in scalings), tuple(s.scale[0] for s in scalings)),
        data_hash=hashlib.sha256(fine["train"].numpy().tobytes()).hexdigest(), hashes={}, split={"shares": BLOCKS},
        variables=VARIABLES, all_units=tuple(UNITS[n[0]] for n in VARIABLES), positive=positive, fixed=False,
    )  # fmt: skip


def raw(run: Run, context: Context) -> Tensor:
    """(S, V, H, W) test fields of what was trained, from the output folder if they lie there."""
    data = pairs(context.data)
    if run.model == BASELINE:
        return column_of("add", bicubic(data.coarse["test"], FACTOR), data)
    name = f"{run.model}-{COLUMN if run.constraint == COLUMN else ADD}-s{run.seed}"
    path = Path(context.output) / "joint" / f"{name}.npy"
    if not path.exists():
        stream = io.BytesIO()
        np.save(stream, train(run, context, data, state_file(name, path.parent / name)).numpy())
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, stream.getvalue())
    return torch.from_numpy(np.load(path))


def train(run: Run, context: Context, data: OwnData, state: Path) -> Tensor:
    """Train the networks of a run, and refine the test block."""
    seed, preset = run.seed or 0, replace(PRESET, settings=replace(BUDGET, **context.changes))
    device = torch.device(context.device if context.device != "auto" else "cpu")
    coarse, weights = data.coarse["test"], data.weights
    if run.model == JOINT:
        layer = COLUMN if run.constraint == COLUMN else ADD
        method = Method("compact", "network", PRESET.network)
        model, _ = several(Task(method, data, Path(state).with_suffix(""), seed, layer), preset)
        fit_in_stages(model, data, preset, seed, device, state, False)
        return model.cpu().predict(coarse, weights)
    made = []
    for number, name in enumerate(data.variables):
        part = data.one(number)
        alone, _ = make_model(Recipe("own", FACTOR, {"cpu": preset}), ADD, seed + number, preset, part, name)
        fit_in_stages(alone, part, preset, seed, device, state.with_name(f"{name}-{state.name}"), False)
        made.append(alone.cpu().predict(coarse[:, number : number + 1], weights))
    return torch.cat(made, 1)


def column_of(layer: str, fine: Tensor, data: OwnData, split: str = "test") -> Tensor:
    """Fields with a layer put on them, in double precision."""
    options = {"variables": VARIABLES} if layer == COLUMN else {}
    made = make_constraint(layer, FACTOR, **options)
    return made(fine.double(), data.coarse[split].double(), data.weights.double())


def fields(run: Run, context: Context) -> Tensor:
    """The test fields of a run."""
    made = raw(run, context)
    return column_of(COLUMN, made, pairs(context.data)) if run.constraint == AFTERWARDS else made


def laws(fine: Tensor, truth: Tensor, coarse: Tensor, weights: Tensor) -> dict[str, float]:
    """How far fields (S, V, H, W) are from the laws; the docstring of :data:`STUDY` has the units."""
    y, x, area = fine.double(), coarse.double(), weights.double()
    one, given, true = (dict(zip(VARIABLES, part.double().unbind(1), strict=True)) for part in (y, x, truth))
    size = x.square().mean((0, 2, 3)).sqrt()[:, None, None]

    def mean(field: Tensor) -> Tensor:
        return coarsen(field, FACTOR, area)

    def within(field: Tensor) -> Tensor:
        return field - refine(mean(field), FACTOR)

    def energy(part: dict[str, Tensor], exact: bool = False) -> Tensor:
        return moist_static(part["t_850"], part["q_850"], part["z_850"], exact=exact)

    def flux(part: dict[str, Tensor]) -> Tensor:
        return torch.stack([mean(within(part["q_850"]) * within(part[w])) for w in ("u_850", "v_850")])

    stacked = {k: torch.stack([one[f"{k}_{p:g}"] for p in LEVELS], 1) for k in "ztq"}
    top = torch.stack([saturation.humidity(one[f"t_{p:g}"], 100 * p) for p in LEVELS], 1)
    left = hydrostatic.residual(stacked["z"], stacked["t"], torch.tensor(LEVELS, dtype=torch.float64), stacked["q"])
    coarse_h = energy(given)
    missed = mean(energy(one, True)) - mean(energy(true, True))
    values = {
        "block means": ((mean(y) - x) / size).abs().max(),
        "energy": ((mean(energy(one)) - coarse_h) / coarse_h).abs().max(),
        "energy of moist air": missed.square().mean().sqrt(),
        "negative humidity": (stacked["q"] < 0).double().mean(),
        "supersaturation": (stacked["q"] > top * (1 + 1e-5)).double().mean(),
        "hydrostatic": within(left).square().mean().sqrt(),
        "moisture flux": ((flux(one) - flux(true)).square().mean() / flux(true).square().mean()).sqrt(),
    }
    return {name: float(value) for name, value in values.items()}


def squares(made: Tensor, data: OwnData) -> np.ndarray:
    """(S, V) mean square errors by area."""
    error = (made - data.fine["test"]).double().square() * data.weights.double() / data.weights.double().mean()
    return error.mean((2, 3)).numpy()


def one(run: Run, context: Context) -> list[dict]:
    """Train what is needed, and score it."""
    data = pairs(context.data)
    made = fields(run, context)
    own = squares(made, data)
    base = squares(raw(Run(ALONE, ADD, run.seed or 0), context), data)
    two_days = (data.time["test"] - data.time["test"].min()) // BLOCK
    blocks = two_days * len(WINDOWS) + np.arange(len(own)) % len(WINDOWS)
    rows = []
    for number, name in enumerate(VARIABLES):
        columns = np.stack([own[:, number], base[:, number]], 1)
        value, low, high = gains(columns, blocks)
        gained = {"gain": float(value[0]), "gain_low": float(low[0]), "gain_high": float(high[0])}
        rows.append({"what": name, "value": float(np.sqrt(own[:, number].mean())), **gained,
                     "blocks": len(np.unique(blocks))})  # fmt: skip
    fine, coarse = data.fine["test"], data.coarse["test"]
    true = laws(fine, fine, coarse, data.weights)
    rows += [{"what": name, "value": value, "truth": true[name]}
             for name, value in laws(made, fine, coarse, data.weights).items()]  # fmt: skip
    return [{"model": run.model, "constraint": run.constraint, "seed": run.seed, **row} for row in rows]


def before(run: Run, context: Context) -> list[Run]:
    """What a run is compared with, and what its layer is put on."""
    wanted = [Run(ALONE, ADD, run.seed or 0)]
    if run.constraint == AFTERWARDS and run.model != BASELINE:
        wanted.append(Run(run.model, ADD, run.seed))
    folder = Path(context.output) / "joint"
    return [r for r in wanted if r != run and not (folder / f"{r.model}-{ADD}-s{r.seed}.npy").exists()]


def shown(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Scores and laws, means over the seeds."""
    way = ["model", "constraint"]
    scores, law = runs[runs["what"].isin(VARIABLES)], runs[runs["what"].isin(LAWS)]
    tables = []
    for title, part, value in (
        ("RMSE", scores, "value"),
        ("gained over alone", scores, "gain"),
        ("laws", law, "value"),
    ):
        names = [n for n in (LAWS if title == "laws" else VARIABLES) if n in set(part["what"])]
        table = part.pivot_table(index=way, columns="what", values=value, sort=False)[names]
        form = "{:+.1%}" if value == "gain" else "{:.3g}"
        tables.append((f"{title}; means over seeds", table.map(form.format).reset_index()))
    return tables


#: One line per run and score. what: a variable, with its RMSE (`value`, its unit) and what is gained over *alone*; or a
#: law: block means, largest error relative to the rms of the variable; energy, largest relative error of the block
#: means of the linear moist static energy; energy of moist air, rms error of its block means, J kg-1; negative
#: humidity and supersaturation, share of cells; hydrostatic, rms of the residual within blocks, J kg-1; moisture flux,
#: rms error of the part of the block mean of humidity times wind that block means do not give, relative to that part.
#: `truth`: the same of the truth.
STUDY = Study(
    name="joint",
    title="temperature, humidity, height and wind refined alone, together, and with the laws that couple them",
    keys=("model", "constraint", "seed"),
    columns=("model", "constraint", "seed", "what", "value", "truth", "gain", "gain_low", "gain_high", "blocks"),
    plans=presets(plan),
    work=one,
    after=before,
    data="nature-states",
    needs="a nature run of `physlab simulate` (states), by folder",
    order=(By("model", (BASELINE, ALONE, JOINT)), By("constraint", (ADD, AFTERWARDS, COLUMN)), By("seed"),
           By("what", (*VARIABLES, *LAWS))),
    summarise=lambda runs: runs,
    display=shown,
    tell=lambda rows: f"gain {100 * rows['gain'].mean():+.1f} %",
    reference=lambda run: run.model == ALONE and run.constraint == ADD,
)  # fmt: skip
