"""Build both wheels without the network, and try them in an environment that holds nothing else.

    python wheels/build.py [--output dist]       # build, and hold the sizes against the limits
    python wheels/build.py --try                 # then install them with all that the core needs, and use them
    python wheels/build.py --try --newest        # the same without the pins: what a newcomer gets today
    python wheels/build.py --tag v0.1.0          # refuse if that is not the version, or has no entry in CHANGELOG.md

Only files that git knows are packed (new source files too, new assets not), from a copy, so that neither an old build
folder nor a network trained yesterday gets in.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {"physlab": 5 * 2**20, "physlab_assets": 95 * 2**20}  # bytes; an index takes 100 * 2**20
PROJECTS = {"physlab": ".", "physlab_assets": "wheels/assets"}
COARSE = """
import physlab
truth = physlab.open_dataset("nature-states")["tcw"].isel(time=[0])
truth.coarsen(latitude=4, longitude=4).mean().to_netcdf("coarse.nc")
"""


def build(output: Path) -> dict[str, Path]:
    """Name of each distribution -> its wheel, newly built in `output`.

    Raises
    ------
    SystemExit : a wheel above its limit, or two versions.
    """
    output = Path(output).resolve()
    output.mkdir(parents=True, exist_ok=True)
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        copy_sources(Path(folder))
        program = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
        for name, project in PROJECTS.items():
            command = [sys.executable, "-c", program, str(output)]
            done = subprocess.run(command, cwd=Path(folder, project), capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stdout + done.stderr)
            made[name] = output / done.stdout.splitlines()[-1]
    for name, wheel in made.items():
        size = wheel.stat().st_size
        print(f"{wheel.name}: {size / 1e6:.2f} MB ({size / 2**20:.2f} MiB)")
        if size >= LIMITS[name]:
            raise SystemExit(f"{wheel.name} has {size} bytes: it must stay below {LIMITS[name]}")
    if len(versions := {wheel.name.split("-")[1] for wheel in made.values()}) > 1:
        raise SystemExit(f"the two wheels have different versions, {versions}: set both in their pyproject.toml")
    return made


def copy_sources(folder: Path) -> None:
    """What the wheels are made of, into an empty folder."""
    command = ["git", "ls-files", "-z", "--cached", "--", "pyproject.toml", "README.md", "LICENSE", "physlab", "wheels"]
    listed = set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"))
    command[3:4] = ["--others", "--exclude-standard"]
    new = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    listed |= {name for name in new if not name.startswith("physlab/assets/")}
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "LICENSE", folder / PROJECTS["physlab_assets"])


def use(python: Path | str, folder: Path, **environment: str) -> None:
    """Work with the installed wheels as a newcomer would, in `folder`, outside the repository.

    Parameters
    ----------
    python : interpreter of the environment.  environment : variables that are set besides.
    """
    readme = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    where = "import physlab; print(physlab.__file__, physlab.data.asset('data/nature-tcw.nc'))"
    cli = [str(python), "-m", "physlab"]
    steps = {
        "where": [str(python), "-c", where],
        "physlab list": [*cli, "list"],
        "the README example": [str(python), "-c", readme[1]],
        "a coarse file": [str(python), "-c", COARSE],
        "physlab downscale": [*cli, "downscale", "coarse.nc", "bicubic+add-x4", "fine.nc"],
        "with a network": [*cli, "downscale", "coarse.nc", "tcw-x4-softmax", "finer.nc"],
    }
    hidden = ("PHYSLAB_ASSETS", "PHYSLAB_DATA", "PYTHONPATH")
    variables = {name: value for name, value in os.environ.items() if name not in hidden} | environment
    for title, command in steps.items():
        start = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        if done.returncode or str(ROOT) in done.stdout:
            raise SystemExit(f"{title} does not work from the wheels:\n{done.stdout}{done.stderr}")
        print(f"{title} ({time.monotonic() - start:.1f} s): {(done.stdout.strip().splitlines() or ['done'])[-1]}")


def check_tag(tag: str, wheels: dict[str, Path]) -> None:
    """Stop unless the tag names the version of the wheels and the changelog tells about it."""
    version = wheels["physlab"].name.split("-")[1]
    if tag != f"v{version}":
        raise SystemExit(
            f"the tag is {tag}, but the version is {version}: set it in both pyproject.toml, or move the tag"
        )
    if f"## [{version}]" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        raise SystemExit(f"CHANGELOG.md has no entry [{version}]: rename [Unreleased]")


def try_in_empty_environment(wheels: dict[str, Path], folder: Path, newest: bool = False) -> None:
    """A new environment with torch first, then both wheels and what the core needs; then :func:`use`.

    newest : not the versions of requirements.txt but those that the index has today.
    """
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    torch = "torch" if newest else re.search(r"^torch==\S+", pins, flags=re.MULTILINE)[0]
    constraints = [] if newest else ["-c", str(ROOT / "requirements.txt")]
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    for what in ([torch], [*constraints, *map(str, wheels.values())]):
        subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "install", "-q", *what], check=True)
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    size = sum(path.lstat().st_size for path in (folder / "venv").rglob("*"))
    print(f"the environment: {len(listed.splitlines()) - 2} packages, {size / 1e9:.2f} GB")
    (folder / "work").mkdir()
    use(python, folder / "work")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    parser.add_argument("--try", action="store_true", dest="attempt", help="install them in an empty environment")
    parser.add_argument("--newest", action="store_true", help="try with the newest versions instead of the pinned ones")
    parser.add_argument("--tag", help="of the release")
    options = parser.parse_args()
    wheels = build(options.output)
    if options.tag:
        check_tag(options.tag, wheels)
    if options.attempt:
        with tempfile.TemporaryDirectory() as folder:
            try_in_empty_environment(wheels, Path(folder), options.newest)


if __name__ == "__main__":
    main()
