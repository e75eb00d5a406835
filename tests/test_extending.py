"""CONTRIBUTING's "To add ..." to the letter: one file each, in a clone and from a package, and everything finds it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = re.compile(r"```(?:python|toml)\n# (\S+)\n(.*?)```", re.DOTALL)
PACKAGE = "toyweather"
PARTS = {"clipped": "constraints", "Tiny": "networks", "habit": "methods", "warming": "laws", "waves": "datasets"}


@pytest.fixture(scope="module")
def blocks(repository: Path) -> dict[str, str]:
    """Path of each file that CONTRIBUTING shows -> its content."""
    return dict(BLOCK.findall((repository / "CONTRIBUTING.md").read_text(encoding="utf-8")))


def clone(repository: Path, folder: Path, blocks: dict[str, str]) -> Path:
    """The code of the repository with the files of CONTRIBUTING in their places; the assets are linked."""
    ignore = shutil.ignore_patterns("__pycache__", "assets")
    shutil.copytree(repository / "physlab", folder / "physlab", ignore=ignore)
    (folder / "physlab" / "assets").symlink_to(repository / "physlab" / "assets")
    shutil.copytree(repository / "apps", folder / "apps", ignore=ignore)
    for path, content in blocks.items():
        if path.endswith(".py"):
            assert not (folder / path).exists()
            (folder / path).write_text(content, encoding="utf-8")
    return folder


def install(repository: Path, folder: Path, blocks: dict[str, str]) -> Path:
    """A package of others with the same files and the entry points of CONTRIBUTING, installed by pip."""
    source, target = folder / "source", folder / "site"
    (source / PACKAGE).mkdir(parents=True)
    (source / PACKAGE / "__init__.py").touch()
    (source / "pyproject.toml").write_text(blocks["pyproject.toml"], encoding="utf-8")
    for path, content in blocks.items():
        if path.endswith(".py"):
            (source / PACKAGE / Path(path).name).write_text(content, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*pip, str(target), str(source)], check=True, capture_output=True, text=True)
    return target


@pytest.fixture(scope="module", params=["a clone", "a package"])
def place(request, repository, blocks, tmp_path_factory) -> Path:
    """Where physlab is imported from with the new parts."""
    folder = tmp_path_factory.mktemp("extended")
    return (clone if request.param == "a clone" else install)(repository, folder, blocks)


def run(place: Path, repository: Path, assets: Path, program: str, *arguments: str) -> str:
    """Standard output of a program that sees the new parts and writes below `assets`."""
    path = os.pathsep.join((str(place), str(repository)))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PHYSLAB_ASSETS": str(assets)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=assets, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


LIST = """
import sys, physlab.cli
physlab.cli.main(["list"])
assert not {"torch", "xarray", "pandas", "toyweather"} & set(sys.modules)
"""


def test_a_list_shows_them_without_importing_them(place, repository, tmp_path) -> None:
    listed = run(place, repository, tmp_path, LIST)
    for name in PARTS:
        assert re.search(rf"│ {name} ", listed), name


USE = """
import sys
from pathlib import Path

import torch
import physlab
from physlab.cli import main

here = Path.cwd()
main(["train", "tcw-x8", "--constraint", "clipped", "--steps", "2"])
main(["train", "tcw-x8-tiny", "--constraint", "none", "clipped", "--steps", "2", "--workers", "1"])
main(["fit", "habit", "tcw-x8"])
main(["downscale", "waves", "bicubic+clipped-x2", str(here / "fine.nc")])
names = ["tcw-x8-clipped", "tcw-x8-tiny-clipped", "tcw-x8-tiny", "tcw-x8-habit"]
shown = list(physlab.list_models()["name"])
assert all(any(s.startswith(name) for s in shown) for name in names), shown
for name in ("tcw-x8-clipped", "tcw-x8-tiny-clipped", "tcw-x8-habit"):
    model = physlab.load_model(name)
    assert model.predict(torch.full((1, 1, 16, 16), 20.0).squeeze(1)).shape[-1] == 128, name
assert physlab.load_model("tcw-x8-tiny-clipped").spec.title == "Two convolutions, additive, clipped"

from physlab.benchmark.downscaling import STUDY
runs = [str(r) for name in ("habit", "tiny", "clipped") for r in STUDY.plan("quick", [name])]
for word in ("habit", "tiny", "clipped"):
    assert any(word in run for run in runs), (word, runs)

from physlab.benchmark.assimilation import STUDY as ASSIMILATION
table = ASSIMILATION.read().assign(residual_warming=1.5)
assert "residual_warming" in ASSIMILATION.write(table, here / "assimilation.csv").read_text()
assert (ASSIMILATION.summary(ASSIMILATION.read(here / "assimilation.csv"))["residual_warming"] == 1.5).all()

from physlab.assimilate.proxy import further_laws
from physlab.train.latent import penalties
assert "warming" in penalties() and "warming" in further_laws()

from apps import lessons, options, theme
from apps.state import parse_query
from apps.store import Store
assert options.CONSTRAINTS["clipped"] == "Additive, clipped" and theme.CONSTRAINT_COLOURS["clipped"]
assert options.NETWORKS["tiny"] == "Two convolutions" and options.STATISTICS["habit"] == "Mean detail"
assert options.LAWS["warming"] == "Advection of temperature"
store = Store()
for link in (
    "?v=1&dataset=tcw&factor=8&method=network&network=tiny&mode=trained&constraint=clipped",
    "?v=1&dataset=tcw&factor=8&method=network&network=tiny&mode=applied&constraint=clipped",
    "?v=1&dataset=tcw&factor=8&method=statistical&statistic=habit&mode=applied&constraint=none",
):
    choice, _, problems = parse_query(link)
    assert not problems, problems
    panel = store.panel(choice)
    assert not panel.note, panel.note
    assert panel.scores["this"]["rmse"] > 0
    assert lessons.question(panel) and lessons.answer(panel) and lessons.title(panel.choice)
    print("panel", panel.choice.network, panel.choice.constraint)
choice, _, problems = parse_query("?v=1&view=assimilate&balance=warming&assimilator=adas")
assert not problems and choice.balance == "warming"
"""


@pytest.mark.slow
def test_they_train_fit_refine_compare_and_show(place, repository, tmp_path) -> None:
    out = run(place, repository, tmp_path, USE)
    assert out.count("panel") == 3
    assert (tmp_path / "statistical" / "tcw-x8-habit-s0" / "card.json").is_file()


LAW = """
import sys
import numpy as np, xarray as xr
from physlab.cli import main

rng = np.random.default_rng(0)
latitude, longitude = np.linspace(40.0, 51.75, 48), np.arange(64) * 0.25
time = np.datetime64("2001-01-01", "ns") + np.arange(40) * np.timedelta64(12, "h")
y, x = np.meshgrid(np.linspace(0, 3, 48), np.linspace(0, 4, 64), indexing="ij")
def field(mean, size):
    phase = rng.uniform(0, 6, (40, 1, 1))
    return mean + size * (np.sin(x + phase) * np.cos(y) + 0.2 * np.sin(6 * x + phase) * np.cos(5 * y))
fields = {"t_low": ("K", 285, 5), "u_low": ("m s-1", 5, 4), "v_low": ("m s-1", 0, 4)}
xr.Dataset({name: (("time", "latitude", "longitude"), field(mean, size).astype("float32"), {"units": units})
            for name, (units, mean, size) in fields.items()},
           {"time": time, "latitude": latitude, "longitude": longitude}).to_netcdf("fine.nc")
main(["train-latent", "fine.nc", "model", "--variable", "t_low", "--drivers", "t_low", "u_low", "v_low",
      "--penalty", "warming", "--weight", "0.3", "--steps", "2"])
"""


@pytest.mark.slow
def test_the_law_is_a_penalty_of_the_command_line(place, repository, tmp_path) -> None:
    run(place, repository, tmp_path, LAW)
    card = (tmp_path / "model" / "card.json").read_text(encoding="utf-8")
    assert "warming" in card


def test_a_broken_file_is_named_and_the_rest_goes_on(repository, blocks, tmp_path) -> None:
    place = clone(repository, tmp_path, blocks)
    (place / "physlab" / "constrain" / "broken.py").write_text(
        "@register('broken')\nclass Broken(:\n", encoding="utf-8"
    )
    (place / "physlab" / "nn" / "absent.py").write_text(
        "import no_such_package\nfrom physlab.registry import register\n\n\n@register('Absent')\nclass Absent: ...\n",
        encoding="utf-8",
    )
    program = """
import physlab.cli
from physlab.constrain import CONSTRAINTS
from physlab.nn import NETWORKS
physlab.cli.main(["list", "parts"])
assert "clipped" in CONSTRAINTS and "broken" not in CONSTRAINTS
try:
    NETWORKS["Absent"]
except ValueError as error:
    print(error)
"""
    (tmp_path / "assets").mkdir()
    out = run(place, repository, tmp_path / "assets", program)
    assert "broken.py, line 2" in out
    assert "network 'Absent' of physlab.nn.absent cannot be loaded (ModuleNotFoundError: No module named" in out
