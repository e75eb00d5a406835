"""The repository keeps its promises: one list of dependencies, one order of imports, nothing of one machine inside."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONDA_NAMES = {"pytorch": "torch", "python-eccodes": "eccodes"}
FORBIDDEN = {  # they pull in torchvision, compile against one build of torch, or fetch at run time
    "torchvision", "torchaudio", "torchmetrics", "torch-harmonics", "azula", "diffusers", "lightning", "hydra-core",
    "geoviews",
}  # fmt: skip


@pytest.fixture(scope="module")
def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def requirements(project: dict) -> list[Requirement]:
    """Everything that pyproject.toml asks for, all extras included."""
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(line) for group in groups for line in group]
    return [requirement for requirement in found if requirement.name != project["name"]]  # an extra that names others


@pytest.fixture(scope="module")
def pins(repository: Path) -> dict[str, str]:
    lines = [line for line in (repository / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


@pytest.fixture(scope="module")
def tracked(repository: Path) -> list[Path]:
    """The files that are, or would be, committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=repository, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout, so there is no list of committed files")
    paths = (repository / name for name in listed.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file()]


def run(repository: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_conda_lists_the_same_dependencies(repository, project, requirements):
    listed = yaml.safe_load((repository / "environment.yml").read_text())["dependencies"]
    by_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    conda = [Requirement(entry) for entry in listed if isinstance(entry, str)]
    python = next(entry for entry in conda if entry.name == "python")
    assert str(python.specifier) == project["requires-python"]
    conda = [entry for entry in conda if entry.name not in ("python", "pip", "make")]

    def names_and_ranges(entries):
        return {(canonicalize_name(CONDA_NAMES.get(entry.name, entry.name)), str(entry.specifier)) for entry in entries}

    assert names_and_ranges([*conda, *map(Requirement, by_pip)]) == names_and_ranges(requirements)


def test_every_import_is_declared(repository, requirements):
    declared = {canonicalize_name(requirement.name) for requirement in requirements}
    parts, providers, missing = ("physlab", "apps", "book", "tests"), packages_distributions(), {}
    ours = {*parts, *(path.stem for path in (repository / "book").glob("*.py"))}  # book/build.py and what it imports
    known = {*ours, *sys.stdlib_module_names}
    for source in (path for part in parts for path in (repository / part).rglob("*.py")):
        if "reference" in source.parts:  # how numbers of independent codes were made: run by hand, elsewhere
            continue
        for node in ast.walk(ast.parse(source.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {name.split(".")[0] for name in names} - known:
                if not declared & {canonicalize_name(name) for name in providers.get(top, [top])}:
                    missing[top] = str(source.relative_to(repository))
    assert not missing, f"imported, but not declared in pyproject.toml: {missing}"


@pytest.mark.slow
def test_core_does_without_the_extras(repository, project):
    """All modules but those that draw, teach, export or simulate import without what only an extra brings; those
    end in the advice to install that extra."""
    from physlab.cli import EXTRAS

    core = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    extras = {
        canonicalize_name(Requirement(line).name): extra
        for extra, lines in project["optional-dependencies"].items()
        for line in lines
        if extra not in ("all", "test")
    }
    extras.pop(project["name"], None)
    only = {
        top: extras[min(names)]
        for top, providers in packages_distributions().items()
        if (names := {canonicalize_name(name) for name in providers}) <= set(extras) - core
    }
    program = f"""
import importlib, pkgutil, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {set(only)}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocked())
import physlab
for module in pkgutil.walk_packages(physlab.__path__, "physlab."):
    try:
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        print(module.name, error.name.split(".")[0])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=True)
    missing = dict(line.split() for line in done.stdout.splitlines())
    allowed = ("physlab.plot", "physlab.teach", "physlab.compact", "physlab.simulate.", "physlab.course.assignments")
    assert not [module for module in missing if not module.startswith(allowed)], missing
    assert {"physlab.plot", "physlab.compact", "physlab.teach"} <= set(missing)
    assert {name: EXTRAS.get(name) for name in missing.values()} == {name: only[name] for name in missing.values()}
    wrong = {name: extra for name, extra in EXTRAS.items() if name in only and only[name] != extra}
    assert not wrong, f"pyproject.toml says otherwise: {wrong}"


def test_pins_cover_the_dependencies(requirements, pins):
    for requirement in requirements:
        version = pins.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not pinned in requirements.txt"
        assert requirement.specifier.contains(version), f"{requirement.name}=={version} is not {requirement.specifier}"


def test_pinned_torch_leaves_the_build_open(pins):
    assert next(iter(pins)) == "torch", "torch is installed first"
    assert "+" not in pins["torch"], "a local suffix would exclude the CPU or the GPU build"
    assert not [name for name in pins if name.startswith(("nvidia", "triton", "cuda"))]


def test_no_forbidden_dependency(requirements, pins):
    assert not FORBIDDEN & ({canonicalize_name(requirement.name) for requirement in requirements} | set(pins))


def test_one_version(repository, project):
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    assets = tomllib.loads((repository / "wheels" / "assets" / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"] == assets["version"]
    assert citation["license"] == project["license"]


def test_import_is_light(repository):
    heavy = "torch", "xarray", "jax", "panel", "matplotlib"
    program = f"import physlab, physlab.cli, sys; loaded = set({heavy}) & set(sys.modules); assert not loaded, loaded"
    run(repository, sys.executable, "-c", program)


def test_public_names():
    import physlab

    for name in ("open_dataset", "list_datasets", "list_models", "load_model"):
        assert callable(getattr(physlab, name)), name
    assert physlab.grid.__name__ == "physlab.grid"
    assert set(physlab.__all__) <= set(dir(physlab))
    with pytest.raises(AttributeError, match="no attribute 'weather'"):
        _ = physlab.weather


def test_nothing_of_one_machine_is_committed(repository, tracked):
    folders = [b"/work" + b"/main", b"/work" + b"/shared", b"../sha" + b"red"]  # halved, for this file is searched too
    folders += [b"/tmp" + b"/w/", b"/root" + b"/", b"/home" + b"/"]
    found = []
    for path in tracked:
        if path.relative_to(repository).as_posix() in (".ci/run",):
            continue
        content = path.read_bytes()
        found += [f"{path.relative_to(repository)}: {folder.decode()}" for folder in folders if folder in content]
    assert not found, found


def test_nothing_is_unfinished(repository, tracked):
    unfinished = re.compile(r"\b(TODO|FIXME|XXX)\b")
    sources = [path for path in tracked if path.suffix in (".py", ".md", ".yml") and path != Path(__file__).resolve()]
    assert not [str(path.relative_to(repository)) for path in sources if unfinished.search(path.read_text())]


def test_shipped_assets_are_small(tracked, repository):
    assets = repository / "physlab" / "assets"
    total = sum(path.stat().st_size for path in tracked if assets in path.parents)
    assert total < 95e6, f"{total / 1e6:.1f} MB of assets: data and checkpoints together stay under 95 MB"


def test_readme_names_what_exists(repository):
    text = (repository / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"explore", "test"} <= set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link and not link.startswith("#")]
    assert links
    for link in links:
        assert (repository / link).exists(), f"README.md links to {link}, which is not there"


@pytest.mark.slow
def test_readme_example_runs(repository, capsys):
    """The Python of the README, as printed there."""
    program = re.search(r"```python\n(.*?)```", (repository / "README.md").read_text(), flags=re.DOTALL)[1]
    exec(compile(program, "README.md", "exec"), {})
    rmse, error = (float(re.search(r"\d[\d.e-]*", line)[0]) for line in capsys.readouterr().out.splitlines())
    assert 0 < rmse < 5
    assert error < 1e-4


def test_what_is_listed_as_slow_is_there(repository):
    """A name that is nobody's any more would hide that its test has come back to `make check` under another."""
    listed = (repository / "tests" / "slow.txt").read_text().splitlines()
    assert listed == sorted(set(listed)) and listed
    for name in listed:
        path, _, test = name.partition("::")
        assert f"\ndef {test.partition('[')[0]}(" in (repository / path).read_text(), name


def test_instructors_can_ask_for_nbmake_in_a_clone(repository):
    """`pytest --nbmake` is theirs: only the Makefile leaves that plugin out, for speed."""
    options = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    assert not [option for option in options if "nbmake" in option]
