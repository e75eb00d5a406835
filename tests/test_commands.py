"""Every command that README, CONTRIBUTING and the book name is understood, and runs at reduced sizes.

A command that neither runs here nor is run by the test that `ELSEWHERE` names makes this file fail: add it to one.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import physlab
from physlab import cli
from physlab.benchmark import climate
from physlab.data.observe import observe
from physlab.fields import to_tensor
from physlab.grid import Grid, coarsen

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "book").glob("*.md"))]
COMMAND = re.compile(
    r"(?:^ {4}|`)((?:physlab|make|python -m physlab[\w.]*|python [\w/]+\.py) [^`#\n]*)", flags=re.MULTILINE
)


def documented() -> list[str]:
    """All commands as printed, without their comments; of Python cells only what is said about them."""
    found = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        found += [command.strip() for command in COMMAND.findall(text)]
    verbs = {"make", "python", *cli.COMMANDS}
    found = [c for c in found if c.split()[0] != "physlab" or c.split()[1] in verbs or c.split()[1].isupper()]
    return sorted(set(found))


ALL = documented()
SHORT = {"physlab fetch", "physlab train", "physlab train-latent"}  # named in a sentence, without what they need
MODULES = [c for c in ALL if c.startswith("python -m")]
TARGETS = [c for c in ALL if c.startswith("make ")]
VERBS = [c for c in ALL if c.startswith("physlab ") and not re.search(r"\b[A-Z]{3,}\b|\.\.\.", c)]


def test_the_pages_name_commands() -> None:
    assert len(VERBS) > 25 and len(MODULES) > 5 and len(TARGETS) > 5
    assert {c.split()[1] for c in VERBS} >= {"list", "fetch", "train", "evaluate", "benchmark", "downscale", "simulate"}


@pytest.mark.parametrize("command", VERBS)
def test_verb_is_understood(command: str, monkeypatch, capsys) -> None:
    """The command line reads it; the function that it would call is replaced by a note that it was called."""
    called = []

    def note(verb: str):
        return functools.wraps(cli.COMMANDS[verb])(lambda *given, **options: called.append(verb))

    for verb in list(cli.COMMANDS):
        monkeypatch.setitem(cli.COMMANDS, verb, note(verb))
    argv = shlex.split(command)[1:]
    if command in SHORT:
        with pytest.raises(SystemExit) as ended:
            cli.main([*argv, "--help"])
        assert ended.value.code == 0
        return
    cli.main(argv)
    assert called == argv[:1]


@pytest.mark.parametrize("command", MODULES)
def test_module_is_there_and_takes_as_many_arguments(command: str, monkeypatch) -> None:
    _, _, module, *arguments = shlex.split(command)
    assert importlib.util.find_spec(module)
    monkeypatch.setattr(sys, "argv", [module])
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    usage = re.sub(r"\[[^]]*\]", "[ ]", str(ended.value)).split()
    assert usage[:4] == ["usage:", "python", "-m", module]
    optional, needed = usage[4:].count("["), len([word for word in usage[4:] if word not in "[]"])
    assert needed <= len(arguments) <= needed + optional or "..." in usage


@pytest.mark.parametrize("command", TARGETS)
def test_target_is_there(command: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- at reduced sizes ------------------------------------------------------------------------------------------------

SPEED = "test_networks_are_faster_than_the_integration_even_at_half_its_resolution"
ELSEWHERE = {  # start of a command -> the test that runs it, or what it calls
    "physlab benchmark assimilation": "benchmark/test_assimilation.py::test_a_small_plan_gives_a_row_for_each_setting",
    "physlab benchmark continuous": "benchmark/test_continuous.py::test_runs_and_resumes",
    "physlab benchmark divergence": "benchmark/test_divergence.py::test_a_small_plan_is_run_and_resumed",
    "physlab benchmark downscaling": "benchmark/test_downscaling.py::test_resumes_after_being_killed",
    "physlab benchmark ensemble": "benchmark/test_ensemble.py::test_small_plan_is_run_and_resumed",
    "physlab benchmark forecasting": "benchmark/test_forecasting.py::test_runs_resume_and_are_summed_up",
    "physlab benchmark joint": "benchmark/test_joint.py::test_rows_of_the_table",
    "physlab benchmark rain": "benchmark/test_rain.py::test_rows_of_the_table",
    "physlab benchmark stations": "benchmark/test_stations.py::test_a_run_and_the_data_that_it_wants",
    "physlab benchmark transfer": "benchmark/test_rain.py::test_other_worlds",
    "physlab benchmark uk": "benchmark/test_uk.py::test_ridge_and_networks_are_told_the_same",
    "physlab benchmark speed": f"benchmark/test_speed.py::{SPEED}",
    "physlab fit": "test_extending.py::test_they_train_fit_refine_compare_and_show",
    "physlab evaluate": "test_cli.py::test_evaluate_agrees_with_the_card",
    "physlab train edsr": "train/own/test_methods.py::test_a_method_comes_back_from_its_folder_as_it_was",
    "physlab train ": "test_cli.py::test_train_makes_a_checkpoint",
    "physlab train-latent": "test_cli.py::test_train_latent_on_fields_of_yours",
    "physlab train-assimilation": "train/test_commands.py::test_assimilation",
    "physlab train-forecast": "train/test_commands.py::test_forecast",
    "physlab train-field": "train/test_commands.py::test_continuous_field",
    "physlab course": "course/test_grade.py::test_command_resumes_after_a_change_and_names_mistakes",
    "physlab cycle": "assimilate/test_global_cycle.py::test_a_cycle_goes_on_where_it_was",
    "physlab simulate": "simulate/test_run.py::test_restart_gives_the_same_run",
}
REDUCED = {  # part of a command -> what stands for it
    "--members 16": "--members 2",
    "benchmark climate": "benchmark climate --seeds 0",
}


EXAMPLES = re.compile("|".join(re.findall(r'@register\("(\w+)"', PAGES[1].read_text(encoding="utf-8"))), re.IGNORECASE)
"""What CONTRIBUTING shows how to add: test_extending.py adds it and runs the commands that name it."""


def run_here() -> list[str]:
    """The commands that no other test runs."""
    return [c for c in VERBS if c not in SHORT and not c.startswith(tuple(ELSEWHERE)) and not EXAMPLES.search(c)]


def test_what_is_run_elsewhere_is_run_there() -> None:
    for start, where in ELSEWHERE.items():
        path, name = where.split("::")
        tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, where
        assert any(c.startswith(start) for c in ALL), f"no page names {start!r} any more"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The files that the commands of the README take."""
    folder = tmp_path_factory.mktemp("commands")
    twin = physlab.open_dataset("nature-twin").isel(time=0)
    truth = twin[[name for name in twin.data_vars if not str(name).endswith("_fc")]].load()
    truth.to_netcdf(folder / "state.nc", engine="h5netcdf")
    observe(truth.drop_vars("time"), share=0.002, seed=1).to_dataframe().to_csv(folder / "columns.csv", index=False)

    rng = np.random.default_rng(0)
    at = {"latitude": np.linspace(40, 48, 5), "longitude": np.linspace(0, 10, 6)}
    members = 280 + rng.standard_normal((20, 5, 6))
    dims = ("member", "latitude", "longitude")
    xr.Dataset({"t2m": (dims, members, {"units": "K"})}, at).to_netcdf(folder / "members.nc", engine="h5netcdf")
    (folder / "stations.csv").write_text("variable,lat,lon,value,error\nt2m,44,4,284,0.1\n")

    water = rng.gamma(2.0, 8.0, size=(8, 12))
    coarse = {"latitude": np.linspace(40.0, 54.0, 8), "longitude": np.linspace(0.0, 22.0, 12)}
    field = xr.Dataset({"tcw": (("latitude", "longitude"), water, {"units": "kg m-2"})}, coarse)
    field.to_netcdf(folder / "coarse.nc", engine="h5netcdf")

    fine = physlab.open_dataset("nature-terrain").isel(time=[0]).load()
    grid = Grid.from_dataset(fine)
    weights = torch.from_numpy(grid.area_weights[:, :1].copy()).double()
    given = coarsen(to_tensor(fine).double(), 4, weights).numpy()[0]
    dims, small = ("latitude", "longitude"), grid.coarsen(4)
    drivers = {n: (dims, x, fine[n].attrs) for n, x in zip(fine.data_vars, given, strict=True)}
    at = {"latitude": small.latitude, "longitude": small.longitude}
    xr.Dataset(drivers, at).to_netcdf(folder / "drivers.nc", engine="h5netcdf")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", run_here())
def test_command_runs(command: str, folder: Path, tmp_path, monkeypatch, capsys) -> None:
    if command.startswith(("physlab fetch", "physlab benchmark climate")) and not os.environ.get("PHYSLAB_DATA"):
        pytest.skip("PHYSLAB_DATA is not set, and a test does not use the network")
    for long, short in REDUCED.items():
        command = command.replace(long, short)
    monkeypatch.setattr(climate, "DRAWS", 20)
    made = [name for name in shlex.split(command) if re.search(r"\.(nc|onnx)$", name)][-1:]
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for name in made:
        (tmp_path / name).unlink(missing_ok=True)
    monkeypatch.chdir(tmp_path)
    cli.main(shlex.split(command)[1:])
    assert capsys.readouterr().out
    assert all((tmp_path / name).stat().st_size > 0 for name in made)
