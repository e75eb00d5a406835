"""Independent numbers and reproducible fields for the score tests."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[1] / "reference"


@pytest.fixture(scope="session")
def reference() -> dict:
    """The numbers of tests/reference/scores.json."""
    return json.loads((FOLDER / "scores.json").read_text())


@pytest.fixture(scope="session")
def images():
    """The function (size) -> (pred, truth) that the reference numbers belong to."""
    spec = importlib.util.spec_from_file_location("make_scores", FOLDER / "make_scores.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.images


@pytest.fixture
def fields() -> tuple[torch.Tensor, torch.Tensor]:
    """pred and truth, (5, 1, 24, 32), double."""
    generator = torch.Generator().manual_seed(0)
    truth = 20 + 5 * torch.randn(5, 1, 24, 32, generator=generator, dtype=torch.float64)
    return truth + 0.3 + torch.randn(truth.shape, generator=generator, dtype=torch.float64), truth
