"""What several commands read in the same way."""

from __future__ import annotations

from collections.abc import Sequence


def pairs(given: Sequence[str]) -> dict[str, str]:
    """YOURS=OURS of an option such as ``--mapping lat_name=latitude``.

    Raises
    ------
    ValueError : one that is not of this form.
    """
    wrong = [pair for pair in given if "=" not in pair]
    if wrong:
        raise ValueError(f"'{wrong[0]}' is no mapping: write YOURS=OURS, as in lat_name=latitude")
    return dict(pair.split("=", 1) for pair in given)


def number(text: str) -> float | str:
    """A number where the text is one, else the text."""
    try:
        return float(text)
    except ValueError:
        return text
