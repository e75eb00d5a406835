"""Two processes learn what one does: every training once under torchrun and once here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def together():
    spec = importlib.util.spec_from_file_location("together", HERE / "together.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.PARENT = f"one-{os.getpid()}"
    return module


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict:
    """What two processes made of every training."""
    output = tmp_path_factory.mktemp("two") / "made.pt"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([*command, str(HERE / "together.py"), str(output)], capture_output=True, text=True,
                          timeout=600, env=environment)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(output, weights_only=False)


def apart(one: Tensor, two: Tensor, start: Tensor) -> float:
    """Distance of two trainings as a share of the way that they went."""
    return float((one - two).norm() / (one - start).norm())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gan", "streamed", "latent", "phyda", "field", "forecast", "recipes"])
def test_two_processes_learn_what_one_does(name: str, together, made) -> None:
    start, one, history = together.TRAININGS[name](3)
    again, two, other = made[name]
    assert torch.equal(start, again), "they start from the same weights"
    near = apart(one, two, start)
    # where a bias stands before a normalisation its gradient is rounding, and Adam makes a whole step of it
    assert near < (2e-2 if name == "gan" else 1e-3)
    assert len(history) == len(other)
    for entry, its in zip(history, other, strict=True):
        terms = [key for key in entry if key not in ("d_right",)]  # a count of points: one may fall on the other side
        assert [its[key] for key in terms] == pytest.approx([entry[key] for key in terms], rel=2e-4, abs=1e-6)
    if name not in ("gan", "recipes"):
        far = apart(one, together.TRAININGS[name](4)[1], start)
        assert far > max(0.02, 10 * near), "other samples would be noticed"
        print(f"{name}: two processes {near:.1e}, another seed {far:.1e}")
