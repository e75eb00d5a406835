"""Cards: what a model is, as JSON beside its weights; read with limits, since a card may come from anybody."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from physlab.errors import CheckpointError, one_line
from physlab.store.files import recover
from physlab.store.manifest import CARD

LARGEST = 1 << 23
"""Bytes of a card; the largest that ships has a fiftieth of it."""
DEEPEST = 32
"""Levels of lists and objects within each other; the deepest that ships has seven."""
NESTING = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def parse_card(path: str | Path) -> dict:
    """The object in a JSON file.

    Raises
    ------
    OSError : no such file, or not readable.
    ValueError : too large, too deep, not JSON, NaN or infinity, or not an object.
    """
    with open(path, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"more than {LARGEST} bytes")
    depth = 0
    for token in NESTING.finditer(content):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")
    card = json.loads(content, parse_constant=_refuse, parse_float=_finite)
    if not isinstance(card, dict):
        raise ValueError("lacks everything: not an object")
    return card


def read_card(folder: str | Path) -> dict:
    """The card of the folder of a model, of any kind, old or new; a writer that was killed is cleaned up after first.

    Raises
    ------
    CheckpointError : one line that names the folder and what is wrong.
    """
    folder = Path(folder)
    recover(folder)
    if not folder.is_dir():
        raise CheckpointError(f"no checkpoint folder {folder}: physlab.list_models() lists those that are here")
    try:
        return parse_card(folder / CARD)
    except FileNotFoundError:
        raise CheckpointError(
            f"checkpoint {folder.name} has no {CARD}: it says which constraint the weights need; restore it"
        ) from None
    except (OSError, ValueError) as error:
        line = one_line(error)
        raise CheckpointError(f"checkpoint {folder.name}: {CARD} cannot be read ({line}): restore it") from None


def _finite(text: str) -> float:
    return value if math.isfinite(value := float(text)) else _refuse(text)


def _refuse(name: str) -> float:
    raise ValueError(f"holds {name[:20]}")
