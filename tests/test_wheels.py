"""The two distributions: small enough, complete, and clear about what is missing where only the code is installed."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from physlab import cli, list_datasets, list_models, load_model, open_dataset
from physlab.data import assets
from physlab.errors import CheckpointError

ADVICE = "pip install physlab-assets"


@pytest.fixture(scope="module")
def recipe(repository: Path):
    """The module ``wheels/build.py``."""
    spec = importlib.util.spec_from_file_location("wheels_build", repository / "wheels" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def code_alone(tmp_path, monkeypatch) -> Path:
    """As if only the wheel of the code were installed."""
    monkeypatch.delenv("PHYSLAB_ASSETS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(assets, "PACKAGED", tmp_path / "physlab" / "assets")
    return tmp_path


def test_code_alone_lists_what_needs_no_assets(code_alone, capsys):
    assert not list_datasets().set_index("name").loc["nature-tcw", "cached"]
    assert set(list_models()["kind"]) == {"baseline", "statistical", "field assimilation", "adjustment"}
    assert "bicubic+add-x4" in set(list_models()["name"])
    cli.main(["list"])
    assert ADVICE in capsys.readouterr().out


def test_code_alone_says_what_to_install(code_alone):
    with pytest.raises(FileNotFoundError, match=ADVICE):
        open_dataset("nature-tcw")
    with pytest.raises(CheckpointError, match=ADVICE):
        load_model("tcw-x4-softmax")
    assert load_model("bicubic+add-x4").factor == 4


def test_explorer_with_code_alone_says_what_to_install(code_alone):
    from apps.problems import Unavailable
    from apps.state import Choice
    from apps.store import Store

    with pytest.raises(Unavailable, match=ADVICE):
        Store(threads=None).panel(Choice())


def test_order_of_the_folders(code_alone, monkeypatch):
    """Named, beside the code, installed, the user's own; a checkpoint is written where the user may write."""
    installed = code_alone / "site" / "physlab_assets"
    (installed / "data").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(installed.parent))
    own = code_alone / "share" / "physlab" / "assets"
    assert assets.asset_folders() == [assets.PACKAGED, installed, own]
    assert assets.writable_folder() == own
    assert ADVICE in assets.missing_assets()
    (installed / assets.MARK).touch()
    assert assets.missing_assets() == ""
    assert assets.asset(assets.MARK) == installed / assets.MARK
    monkeypatch.setenv("PHYSLAB_ASSETS", str(code_alone / "mine"))
    assert assets.asset_folders()[0] == assets.writable_folder() == code_alone / "mine"
    monkeypatch.delenv("PHYSLAB_ASSETS")
    (assets.PACKAGED / "data").mkdir(parents=True)
    (assets.PACKAGED / assets.MARK).touch()  # a source tree needs nothing else
    assert assets.asset_folders() == [assets.PACKAGED] == [assets.writable_folder()]


def test_a_tag_is_the_version_and_has_its_entry(recipe, repository, tmp_path, monkeypatch):
    version = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["version"]
    made = {"physlab": Path(f"physlab-{version}-py3-none-any.whl")}
    recipe.check_tag(f"v{version}", made)
    with pytest.raises(SystemExit, match=f"the version is {version}"):
        recipe.check_tag("v9.9.9", made)
    monkeypatch.setattr(recipe, "ROOT", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n")
    with pytest.raises(SystemExit, match="no entry"):
        recipe.check_tag(f"v{version}", made)


def test_hooks_and_workflows_call_what_is_there(repository):
    """Hooks run commands that `make` installs and clone nothing; workflows call files and targets that exist."""
    hooks = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())["repos"]
    assert [entry["repo"] for entry in hooks] == ["local"]
    for hook in hooks[0]["hooks"]:
        assert hook["language"] == "system"
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert (Path(sys.executable).parent / tool).exists(), tool
    targets = re.findall(r"^([a-z]+):", (repository / "Makefile").read_text(), flags=re.MULTILINE)
    for workflow in ("test", "release"):
        jobs = yaml.safe_load((repository / ".github" / "workflows" / f"{workflow}.yml").read_text())["jobs"]
        commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
        assert commands
        for command in commands:
            assert all(target in targets for target in re.findall(r"make (\w+)", command))
            assert all((repository / file).exists() for file in re.findall(r"python (\S+\.py)", command))


@pytest.mark.slow
def test_wheels_hold_all_and_work_outside_the_repository(recipe, repository, tmp_path, capsys):
    made = recipe.build(tmp_path / "dist")
    names = {name: set(zipfile.ZipFile(wheel).namelist()) for name, wheel in made.items()}
    folder = repository / "physlab" / "assets"
    tracked = subprocess.run(["git", "ls-files", "."], cwd=folder, capture_output=True, text=True, check=True).stdout
    shipped = {name.removeprefix("physlab_assets/") for name in names["physlab_assets"] if ".dist-info/" not in name}
    assert shipped | {"data/coastline.npz"} == set(tracked.splitlines())
    assert [name for name in names["physlab"] if "assets/" in name] == ["physlab/assets/data/coastline.npz"]
    assert not [name for name in names["physlab"] if not name.startswith(("physlab/", "physlab-"))]
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, *map(str, made.values())], check=True)
    (tmp_path / "work").mkdir()
    recipe.use(sys.executable, tmp_path / "work", PYTHONPATH=str(target))
    assert str(target) in capsys.readouterr().out
    assert not [name for name in names["physlab"] if "/answers/" in name or name.endswith((".ipynb", ".md"))]
    code = (
        "import physlab; from physlab.teach import answers, check, exercises, load_answers\n"
        f"assert len(exercises()) > 60 and physlab.__file__.startswith({str(target)!r})\n"
        "assert answers() == {} and not check('coarsen', None)\n"
        "assert not any(hasattr(e, 'right') or hasattr(e, 'wrong') for e in exercises().values())\n"
        "try: load_answers()\nexcept physlab.errors.PhysLabError as error: print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "work", env=environment, capture_output=True, text=True
    )
    assert "never installed" in said.stdout, said.stderr


def test_answers_of_the_exercises_are_not_in_the_package(repository: Path):
    """They lie with the sources of the book, no module of the package registers one, and no grader names one."""
    assert sorted(path.stem for path in (repository / "book" / "answers").glob("*.py"))
    for path in (repository / "physlab").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.parent.parent.name == "teach":
            assert "Submission(" not in text and "The right answer of" not in text and "right=" not in text, path
