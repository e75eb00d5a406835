"""What ships beside the methods, as plain values: files, recipes, links of the explorer, names."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import SimpleNamespace

import physlab
from apps.state import parse_query, to_query
from physlab.data.assets import asset_folders
from physlab.train import list_recipes

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = """
open_dataset list_datasets list_models load_model grid.coarsen
constrain.make_constraint constrain.conservation_penalty
score.rmse score.mae score.bias score.psnr score.ssim score.ms_ssim score.pearson score.crps score.conservation_error
score.negative_count score.lat_weighted_rmse score.radial_spectrum score.spectral_divergence score.spread_skill
score.rank_histogram
equations.advection.residual equations.geostrophic.residual equations.hydrostatic.residual equations.moisture.residual
equations.momentum.residual equations.surface_temperature.residual
assimilate.OptimalInterpolation assimilate.Var3D assimilate.Var4D assimilate.EnKF assimilate.LETKF assimilate.VAEVar
assimilate.SDA assimilate.SLAM assimilate.Adas assimilate.ConvCNP assimilate.FNP assimilate.PhyDA
diffusion.NoiseSchedule diffusion.Denoiser diffusion.Sampler
""".split()


def plain(x):
    """Dataclasses, mappings, tuples and numbers as JSON has them."""
    if is_dataclass(x) and not isinstance(x, type):
        x = asdict(x)
    if isinstance(x, Mapping):
        return {str(key): plain(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(value) for value in x]
    return x if x is None or isinstance(x, (bool, int, float, str)) else str(x)


def files() -> dict[str, str]:
    """SHA-256 of every shipped file: data, cards, weights, tables."""
    found = {}
    for folder in reversed(asset_folders()):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def recipes() -> dict[str, dict]:
    """Every recipe with all of its settings."""
    return {name: plain(recipe) for name, recipe in list_recipes().items()}


def public() -> dict[str, bool]:
    """Whether each public name is there."""
    return {name: exists(name) for name in PUBLIC}


def exists(name: str) -> bool:
    """Whether physlab has a name, with dots."""
    x = physlab
    for part in name.split("."):
        x = getattr(x, part, None)
    return x is not None


def chapters() -> Iterator[str]:
    """The query of every link into the explorer in the book; storms found at run time count as frame 7."""
    for path in sorted((ROOT / "book").glob("*.md")):
        for cell in re.findall(r"```\{code-cell\}.*?\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL):
            if "explorer_link(" not in cell:
                continue
            source = re.sub(r"\A---\n.*?^---\n", "", cell, flags=re.DOTALL | re.MULTILINE)
            source = "\n".join(line for line in source.splitlines() if not line.startswith((":", "%")))
            given = {"i": 7, "storm": SimpleNamespace(index=7)}
            for node in ast.parse(source).body:
                if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "at":
                    exec(compile(ast.Module([node], []), path.name, "exec"), {}, given)
                for call in ast.walk(node):
                    if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "explorer_link":
                        call = ast.Call(ast.Name("dict", ast.Load()), [], call.keywords)
                        state = eval(compile(ast.fix_missing_locations(ast.Expression(call)), path.name, "eval"), given)
                        yield "?" + "&".join(f"{key}={value}" for key, value in state.items())


def links() -> list[str]:
    """Every link into the explorer: of the book, README, and whatever looks like one in the explorer and its tests."""
    found = list(chapters())
    texts = [ROOT / "README.md", *sorted((ROOT / "tests/apps").glob("*.py")), ROOT / "apps/state.py"]
    for path in [*texts, ROOT / "apps/screenshot.py", ROOT / "book/build.py"]:
        if path.is_file():
            found += re.findall(r"\?[a-z]+=[^\s\"'`)]*", path.read_text(encoding="utf-8"))
    return sorted(dict.fromkeys(found))


def meaning(link: str) -> dict:
    """What the explorer reads from a link, and whether the state that it read gives the same again."""
    choice, hide, problems = parse_query(link)
    again = parse_query(to_query(choice, hide))
    return {
        "choice": plain(choice),
        "hide": list(hide),
        "problems": len(problems),
        "round trip": again == (choice, hide, []),
    }


def names() -> dict[str, list[str]]:
    """Names of methods and data sets."""
    return {"models": list(physlab.list_models()["name"]), "datasets": list(physlab.list_datasets()["name"])}
