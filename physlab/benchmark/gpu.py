"""What a graphics card is for, in one sitting: tests, times, the published sizes of every chapter, all packed.

    make gpu-checkpoints                          # physlab gpu-checkpoints --output gpu-checkpoints --minutes 15
    physlab gpu-checkpoints --device cpu --rehearse --output rehearsal

Steps are ordered by worth and each states its minutes on one data-centre GPU. A step is not begun if it would end
after the time given, smaller ones behind it may still be; what is finished is known from the table, and a training that
was interrupted goes on where it was: run it again until nothing is left. The rehearsal takes the same way through the
same code with small networks and a step or two, in a minute on a processor.

Everything is trained on what ships. Trainings of whole states, of latent diffusion and of continuous fields use the
nature runs of their benchmarks where ``--data`` names their folder (with twin/run-8 and terrain/run-10), else the
samples that ship, which are enough to see that it runs and how fast, not for a method that is to be used.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from physlab.benchmark.study import Context, Study
from physlab.benchmark.table import By
from physlab.data import open_dataset, sr_pairs
from physlab.errors import PhysLabError
from physlab.nn.precision import precision_of
from physlab.store import CARD, read_card, write_file
from physlab.throughput import images_per_second, members_per_second
from physlab.train import Recipe, get_recipe, train_one
from physlab.train.assimilation import AssimilationSettings
from physlab.train.checkpoint import device_name, ship

LARGEST = 15 << 20  # bytes of an archive
TESTS = ("tests/train/test_on_device.py", "tests/nn", "tests/constrain")
COLUMNS = ("step", "kind", "what", "minutes", "device", "precision", "seconds", "per_second", "ratio", "rmse", "note")


@dataclass(frozen=True)
class Run:
    """A step.

    Attributes
    ----------
    kind : which function of :data:`WORK` does it.
    what : recipe, method or data;  constraint, preset : of a recipe.
    minutes : that it takes on one data-centre GPU, as estimated from its arithmetic.
    rehearsed : part of the rehearsal.
    """

    step: str
    kind: str
    what: str
    constraint: str = ""
    preset: str = ""
    minutes: float = 1.0
    rehearsed: bool = False

    def __str__(self) -> str:
        return f"{self.step} ({self.minutes:g} min)"


def recipe(what: str, constraint: str, preset: str, minutes: float, rehearsed: bool = False) -> Run:
    """Training of a recipe; the step is the name of its checkpoint."""
    return Run(f"{what}-{constraint}-{preset}-s0", "recipe", what, constraint, preset, minutes, rehearsed)


def plan() -> list[Run]:
    """All steps, the most useful first: is it right, how fast is it, the report's table, then every chapter."""
    return [
        Run("tests", "tests", "", minutes=1.0, rehearsed=True),
        Run("images per second", "images", "", minutes=1.0, rehearsed=True),
        Run("8 analyses of PhyDA", "phyda", "phyda-s0", minutes=0.2, rehearsed=True),
        Run("16 members of latent diffusion", "members", "nature-t-low-x4-s0", minutes=0.2, rehearsed=True),
        recipe("tcw-x4-srcnn-plain", "softmax", "report", 0.8, True),  # E4
        recipe("tcw-x4-srcnn-plain", "none", "report", 0.8),  # E3
        recipe("tcw-x4-gan-report", "softmax", "report", 0.4, True),  # E10
        recipe("tcw-x4-gan-report", "none", "report", 0.4),  # E8
        recipe("tcw-x4-gan-report", "add", "report", 0.4),  # GAN add
        recipe("tcw-x4-convgru-plain", "softmax", "report", 0.4, True),  # E6
        recipe("tcw-x4-convgru-plain", "none", "report", 0.4),  # E5
        recipe("tcw-t1-x4-convgru-plain", "softmax", "report", 0.4, True),  # E14
        recipe("tcw-t1-x4-convgru-plain", "none", "report", 0.4),  # E13
        recipe("tcw-x2-srcnn-plain", "none", "report", 0.8),  # E1
        recipe("tcw-x8-gan-report", "softmax", "report", 0.3),  # E12
        recipe("tcw-x8-gan-report", "none", "report", 0.3),  # E11
        recipe("tcw-x4", "add", "full", 2.5, True),
        Run("phyda", "assimilation", "phyda", preset="full", minutes=1.5, rehearsed=True),
        Run("latent", "latent", "latent", preset="full", minutes=1.5, rehearsed=True),
        Run("phydl", "field", "phydl", preset="full", minutes=1.0, rehearsed=True),
        recipe("tcw-x4-gan", "add", "full", 3.0),
        recipe("tcw-t1-x4-convgru", "none", "full", 2.5),
        recipe("tcw-t2-x4-flowgru", "add", "full", 2.5),
        recipe("tcw-x4-edsr", "add", "full", 1.5),
        recipe("tcw-x4", "softmax", "full", 2.5),
        recipe("tcw-x4", "none", "full", 2.5),
        recipe("tcw-x2", "add", "full", 2.5),
        recipe("tcw-x8", "add", "full", 2.5),
    ]


def rehearsal() -> list[Run]:
    """A step of every kind."""
    return [run for run in plan() if run.rehearsed]


def one(run: Run, context: Context) -> list[dict]:
    """Do a step if there is time for it; no rows where there is not."""
    rehearse, until = context.changes.get("rehearse", False), context.changes.get("until", float("inf"))
    if time.time() + 60 * run.minutes * (0 if rehearse else 1) > until:
        return []
    device, begun = torch.device(context.device), time.perf_counter()
    rows = WORK[run.kind](run, context, device, rehearse)
    own = {"step": run.step, "kind": run.kind, "what": run.what, "minutes": run.minutes,
           "device": device_name(device), "precision": precision_of("auto", device),
           "seconds": time.perf_counter() - begun}  # fmt: skip
    return [{**own, **row} for row in rows]


# --- what a step does -------------------------------------------------------------------------------------------------
def tests(run: Run, context: Context, device: torch.device, rehearse: bool) -> list[dict]:
    """The tests of arithmetic, on the device; those of the rehearsal are its own."""
    root = Path(__file__).resolve().parents[2]
    if rehearse or not (root / TESTS[0]).is_file():
        return [{"note": "left to the one who rehearses" if rehearse else "an installed package has no tests"}]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *TESTS]
    done = subprocess.run(command, cwd=root, env={**os.environ, "PHYSLAB_DEVICE": str(device)},
                          capture_output=True, text=True, check=False)  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.strip()] or [done.stderr[-200:]]
    if done.returncode:
        raise PhysLabError(f"the tests fail on {device}: {lines[-1]}; run `python -m pytest -x {' '.join(TESTS)}`")
    return [{"note": lines[-1].strip("= ")}]


def images(run: Run, context: Context, device: torch.device, rehearse: bool) -> list[dict]:
    """Fields a second of the published networks: plain, ours, compiled."""
    sizes: dict[str, Any] = {"batch": 2, "repeats": 1, "channels": 4, "backend": "eager"} if rehearse else {}
    return images_per_second(device, **sizes).to_dict("records")


def phyda(run: Run, context: Context, device: torch.device, rehearse: bool) -> list[dict]:
    """Eight analyses of a whole state by the method that ships."""
    return [members_per_second(run.what, 2 if rehearse else 8, device, 1 if rehearse else 5)]


def members(run: Run, context: Context, device: torch.device, rehearse: bool) -> list[dict]:
    """Sixteen fine fields by the method that ships."""
    return [members_per_second(run.what, 2 if rehearse else 16, device, 1 if rehearse else 5)]


def trained_recipe(run: Run, context: Context, device: torch.device, rehearse: bool) -> list[dict]:
    """A checkpoint of a recipe."""
    made, data = get_recipe(run.what), None
    changes: dict[str, Any] = {}
    if rehearse:
        made, data = small(made, run.preset), few(made.task, made.factor)
        changes = {"steps": 1 if made.presets[run.preset].adversarial else 2, "validate_every": 1}
    folder = train_one(made, run.constraint, 0, run.preset, Path(context.output) / "checkpoints", data, True,
                       device=device, **changes)  # fmt: skip
    card = read_card(folder)
    return [{"precision": card["training"]["precision"], "seconds": card["wall_time_s"],
             "per_second": card["training"]["samples_per_s"], "rmse": card["scores"]["test"]["rmse"],
             "note": f"{card['network']['parameters']:,} parameters"}]  # fmt: skip


def small(made: Recipe, name: str) -> Recipe:
    """A recipe with 8 channels, one block and two steps of two samples."""
    preset = made.presets[name]
    arguments = {**preset.arguments, "channels": 8, "blocks": 1}
    stage = preset.adversarial and dataclasses.replace(preset.adversarial, steps=1, channels=4)
    settings = dataclasses.replace(preset.settings, batch=2)
    return dataclasses.replace(made, presets={name: dataclasses.replace(
        preset, arguments=arguments, settings=settings, adversarial=stage)})  # fmt: skip


@functools.lru_cache(maxsize=4)
def few(task: str, factor: int, most: int = 4) -> Any:
    """A few samples of each split of a task."""
    data = sr_pairs(task, factor)
    cut = {key: {name: part[:most] for name, part in getattr(data, key).items()}
           for key in ("fine", "coarse", "time", "longitude")}  # fmt: skip
    return dataclasses.replace(data, **cut, budget={name: part[:most] for name, part in data.budget.items()})


def assimilation(run: Run, context: Context, device: torch.device, rehearse: bool) -> list[dict]:
    """PhyDA with its autoencoder: of nature runs as in the benchmark, or of the 24 states that ship."""
    from physlab.benchmark import assimilation as bench
    from physlab.train.analysis.pairs import PairRequest
    from physlab.train.analysis.run import train_on_pairs

    output = Path(context.output) / "assimilators"
    twin = Path(context.data) / "twin" if context.data else Path()
    if context.data and (twin / bench.TRAINING).is_dir():
        output.mkdir(parents=True, exist_ok=True)
        here = dataclasses.replace(context, data=str(twin), output=str(output), changes={"steps": 1200})
        found = bench.trained(bench.Run("PhyDA", 0), here)
        assert found is not None
        return [{"seconds": found.card["train_s"], "note": "trained on nature runs"}]
    steps = 2 if rehearse else 1200
    folder = output / run.step
    request = PairRequest(*state_files(Path(context.output), 6 if rehearse else None), ("u", "v", "t", "z", "q"),
                          levels=(500.0, 850.0) if rehearse else (), gap=0.0)  # fmt: skip
    options: dict[str, Any] = {"levels": (8, 8), "width": 8} if rehearse else {}
    made = known(folder) or train_on_pairs(
        "phyda", request, folder, AssimilationSettings(steps=steps, batch=2 if rehearse else 8), device=device,
        options=options,
    ).method  # fmt: skip
    return [told_of(made.card, AssimilationSettings().batch)]


def state_files(output: Path, most: int | None) -> tuple[str, str]:
    """Truth and backgrounds of the states that ship, as two files."""
    ds = open_dataset("nature-states").isel(time=slice(most)).load()
    forecasts = [str(name) for name in ds.data_vars if str(name).endswith("_fc")]
    parts = {"truth": ds.drop_vars(forecasts), "background": ds[forecasts].rename({n: n[:-3] for n in forecasts})}
    for name, part in parts.items():
        write_file(output / f"states-{name}.nc", part.to_netcdf)
    return str(output / "states-truth.nc"), str(output / "states-background.nc")


def latent(run: Run, context: Context, device: torch.device, rehearse: bool) -> list[dict]:
    """Latent diffusion over terrain: of a nature run as in the benchmark, or of the window that ships."""
    from physlab.benchmark import ensemble as bench
    from physlab.downscale.terrain import TerrainFields
    from physlab.train.latent import LatentSettings, train_in_folder

    output = Path(context.output) / "ensembles"
    terrain = Path(context.data) / "terrain" if context.data else Path()
    if context.data and (terrain / bench.TRAINING).is_dir():
        output.mkdir(parents=True, exist_ok=True)
        here = dataclasses.replace(context, data=str(terrain), output=str(output), changes={})
        model = bench.trained(bench.Run("nature-x4", bench.DIFFUSION, seed=0), here)
        return [{"seconds": model.card["train_s"], "note": "trained on a nature run"}]
    ds = open_dataset("nature-window")[["t", "u", "v"]].squeeze(drop=True)
    ds = ds.isel(time=slice(0, 6 if rehearse else 193), latitude=slice(0, 32), longitude=slice(0, 32)).load()
    fields = TerrainFields.of(ds, "t", ("t", "u", "v"), 4, statics=("land", "latitude"))
    settings = LatentSettings().scaled(3 if rehearse else 4800)
    sizes: dict[str, Any] = (
        {"unet": (8, 8), "vae": (8, 8), "levels": (8, 8), "latent": 2, "features": 8} if rehearse else {}
    )
    model = train_in_folder(fields, output / run.step, settings, device=device, **sizes)
    took = model.card["training"]
    steps = sum(took[stage]["steps"] * took[stage]["batch"] for stage in ("unet", "vae", "denoiser"))
    seconds = sum(took[stage]["s"] for stage in ("unet", "vae", "denoiser"))
    return [{"seconds": seconds, "per_second": steps / max(seconds, 1e-9), "note": f"{len(fields)} fields that ship"}]


def field(run: Run, context: Context, device: torch.device, rehearse: bool) -> list[dict]:
    """A continuous field with the equations of motion, of the window that ships."""
    from physlab.phydl import FitSettings, PhyDL, SmoothForce
    from physlab.train.checkpoint import origin
    from physlab.train.state import state_file

    folder = Path(context.output) / "fields" / run.step
    if made := known(folder):
        return [told_of(made.card, FitSettings().batch)]
    ds = open_dataset("nature-window")[["u", "v", "t", "z", "q", "tcw"]].squeeze(drop=True)
    ds = ds.isel(time=slice(0, 25 if rehearse else 241, 6 if rehearse else 3)).load()
    settings = FitSettings(steps=2 if rehearse else 12000)
    if rehearse:
        ds = ds.isel(latitude=slice(None, None, 8), longitude=slice(None, None, 8))
        settings = dataclasses.replace(settings, batch=32, collocation=8, solve_points=64)
    sizes: dict[str, Any] = {"network": {"width": 16, "depth": 2}} if rehearse else {}
    model = PhyDL.of(ds, None, force=SmoothForce((2, 2, 2) if rehearse else (4, 4, 8)), seed=0, **sizes).to(device)
    report = model.fit(ds, settings, 0, state_file("phydl-gpu", folder))
    model.card |= {"precision": report.precision, "preset": run.preset, "train_s": report.wall_time_s, **origin(device)}
    model.save(folder)
    return [told_of({**model.card, "history": report.history}, settings.batch)]


def known(folder: Path) -> Any:
    """The model of a folder that is finished, or None."""
    from physlab.zoo import load_model

    return load_model(folder) if (folder / CARD).is_file() else None


def told_of(card: dict, batch: int) -> dict:
    """Seconds and samples a second, as a card has them."""
    training = card.get("training", {})
    seconds = float(card.get("train_s") or training.get("wall_time_s") or 0.0)
    steps = (card.get("history") or training.get("history") or [{}])[-1].get("step", 0)
    known = {"precision": card["precision"]} if "precision" in card else {}
    return {**known, "seconds": seconds, "per_second": steps * batch / seconds if seconds else None,
            "note": f"{steps} steps on what ships"}  # fmt: skip


WORK: dict[str, Callable[[Run, Context, torch.device, bool], list[dict]]] = {
    "tests": tests, "images": images, "phyda": phyda, "members": members, "recipe": trained_recipe,
    "assimilation": assimilation, "latent": latent, "field": field,
}  # fmt: skip


# --- the whole --------------------------------------------------------------------------------------------------------
def gpu_checkpoints(
    output: str | Path = "gpu-checkpoints", minutes: float = 15.0, device: str = "auto", rehearse: bool = False,
    only: tuple[str, ...] = (), data: str | Path = "", say: Callable[[str], None] = print,
) -> list[Path]:  # fmt: skip
    """Do what there is time for, and pack it; returns the table and the archives.

    Parameters
    ----------
    output : folder of checkpoints, table and archives; what is finished there is not done again.
    minutes : a step that would end later is left for the next time.
    device : see :func:`physlab.train.devices.choose_device`.
    rehearse : small networks and few steps, one of each kind.
    only : names of steps, kinds, recipes or presets.
    data : folder with the nature runs twin/run-8 and terrain/run-10, if there is one.

    Raises
    ------
    PhysLabError : a device that is not there; after all steps have ended, some failed.
    """
    if not minutes > 0:
        raise PhysLabError(f"minutes is {minutes}: pass the time that there is, for example 15")
    output = Path(output)
    changes: dict[str, Any] = {"until": time.time() + 60 * minutes, "rehearse": rehearse}
    preset = "rehearsal" if rehearse else "paper"
    try:
        STUDY.launch(str(data), output, 1, say=say, preset=preset, only=only, device=device, **changes)
    finally:  # what is there is packed, whatever failed
        archives = list(pack(output))
    runs = STUDY.plan(preset, only)
    table = output / STUDY.file
    done = set(STUDY.read(table)["step"]) if table.exists() else set()
    left = [run for run in runs if run.step not in done]
    if left:
        say(
            f"{len(left)} steps are left, {sum(run.minutes for run in left):.0f} min: run it again with the same output"
        )
    return [*([table] if table.exists() else []), *archives]


def pack(output: Path) -> Iterator[Path]:
    """ZIP archives of all models, none above :data:`LARGEST` unless one model is; weights of networks in float16."""
    made = output / "packed"
    for folder in sorted((output / "checkpoints").glob("*")):
        if (folder / CARD).is_file() and not (made / "checkpoints" / folder.name / CARD).is_file():
            ship(folder, made / "checkpoints")
    models = [f for kind in ("assimilators", "ensembles", "fields") for f in sorted((output / kind).glob("*"))]
    models = [f for f in [*sorted((made / "checkpoints").glob("*")), *models] if (f / CARD).is_file()]
    parts: list[list[Path]] = [[]]
    size = 0
    for model in models:
        own = sum(file.stat().st_size for file in model.iterdir() if file.is_file())
        if parts[-1] and size + own > LARGEST:
            parts.append([])
            size = 0
        parts[-1].append(model)
        size += own
    for number, part in enumerate(p for p in parts if p):

        def write(path: Path, part: list[Path] = part) -> None:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in (f for model in part for f in sorted(model.iterdir()) if f.is_file()):
                    archive.write(file, "/".join(file.parts[-3:]))

        yield write_file(output / f"models-{number}.zip", write)


def shown(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The table that is printed."""
    what = runs["what"].where(runs["kind"] == "images", "")
    table = runs.assign(step=runs["step"] + ("; " + what).where(what != "", ""))
    return [("Steps", table[["step", "device", "precision", "seconds", "per_second", "ratio", "rmse", "note"]])]


#: One line per step, and of the times one per network and way: seconds of the whole step (of a training its own),
#: per_second (fields, members or samples), ratio to the plain implementation, rmse on the test split.
STUDY = Study(
    name="gpu",
    title="tests, times and the published sizes of every chapter on a graphics card, ordered by worth",
    keys=("step",),
    columns=COLUMNS,
    plans={"paper": plan, "rehearsal": rehearsal},
    work=one,
    order=(By("step", tuple(run.step for run in plan())),),
    summarise=lambda runs: runs,
    display=shown,
    tell=lambda rows: f"{rows['seconds'].iloc[0]:.0f} s" if len(rows) else "no time left for it",
    alone=True,
)
