"""What constraint layers do at the edges: the live table of the chapter, and the mistakes of its museum."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from physlab.constrain import make_constraint
from physlab.errors import CheckpointError
from physlab.grid import coarsen, refine

LAYERS = ("add", "scaled_add", "mult", "softmax")


def edge_inputs() -> dict[str, tuple[Tensor, Tensor]]:
    """Case -> raw block (2, 2) and coarse value (1, 1) that break careless layers."""
    block = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    one = torch.tensor([[5.0]])
    return {
        "ordinary block": (block, one),
        "dry coarse cell": (block, 0 * one),
        "dry block, wet cell": (0 * block, one),
        "dry block, dry cell": (0 * block, 0 * one),
        "mixed signs": (block - 2.5, one),
        "raw values of 10 000": (1e4 * block, one),
        "half precision": (block.half(), one.half()),
    }


def edge_table(layers: tuple[str, ...] = LAYERS) -> pd.DataFrame:
    """Each layer on each case: "exact" or the relative block error, and the number of negative cells."""
    rows: dict[str, dict[str, str]] = {}
    for case, (raw, coarse) in edge_inputs().items():
        rows[case] = {}
        for name in layers:
            options = {"bounds": (-1.0, 2e4)} if name == "scaled_add" else {}
            raw_ = raw.clone().requires_grad_()
            fine = make_constraint(name, 2, **options)(raw_, coarse)
            fine.float().square().sum().backward()
            assert raw_.grad is not None
            if not (torch.isfinite(fine).all() and torch.isfinite(raw_.grad).all()):
                rows[case][name] = "not finite"
                continue
            fine = fine.detach()
            error = float((coarsen(fine.float(), 2) - coarse.float()).abs() / coarse.float().abs().clamp_min(1.0))
            negative = int((fine < 0).sum())
            rows[case][name] = ("exact" if error < 2e-6 else f"off by {error:.0e}") + (
                f", {negative} negative" if negative else ""
            )
    return pd.DataFrame(rows).T


def naive_softmax(logits: Tensor, coarse: Tensor, factor: int) -> Tensor:
    """The softmax layer as it is usually published, no maximum subtracted: overflows above 88 (half precision: 11)."""
    share = torch.exp(logits)
    return share * refine(coarse / coarsen(share, factor), factor)


def naive_ratio(fine: Tensor, coarse: Tensor, factor: int) -> Tensor:
    """The multiplicative layer as it is usually published: no guard against a block whose mean is zero or negative."""
    return fine * refine(coarse / coarsen(fine, factor), factor)


def relabelled_checkpoint(model, claim: str) -> str:
    """Write a copy of a checkpoint whose card claims another constraint, try to load it, and return the error.

    Parameters
    ----------
    model : a learned Downscaler with a card.
    claim : the constraint that the card pretends.

    Returns
    -------
    str
        What the loader says; an empty string would mean that the lie was believed.
    """
    from physlab.train import load_checkpoint, save_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        path = save_checkpoint(Path(folder) / "copy", model, dict(model.card))
        card = path / "card.json"
        card.write_text(card.read_text().replace(f'"constraint": "{model.constraint}"', f'"constraint": "{claim}"'))
        try:
            load_checkpoint(path)
        except CheckpointError as error:
            return str(error).replace(str(folder), "...")
    return ""
