"""The golden record: what ships and what comes out of it, so that a change of the house changes no number.

    python -m tests.reference.golden --write            # record anew: only with a reason, which the commit says
    python -m tests.reference.golden --check            # all of it, a few minutes; prints each difference, ends with 1
    python -m tests.reference.golden --check --only tcw-x4-add-s0 forecast     # outputs of which a name has such a part

What was recorded must be there and be the same. What has come since (a recipe, a setting, a method) is no difference.
Numbers may differ by rounding, since processors sum in different orders; text, names and digests may not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

import physlab
from tests.reference import golden_models, golden_record

RECORD = Path(__file__).with_name("golden.json")
ROUNDING = 2e-5  # of the standard deviation of a field, beside
DIGITS = 2e-6  # of the largest value
LOOSE = {
    "3d-var": 200.0,
    "statistical random forest": 400.0,
}  # a minimiser that stops, trees that split, on the last bit


def record() -> dict:
    """Everything, as values."""
    kinds = dict(physlab.list_models()[["name", "kind"]].itertuples(index=False))
    return {
        "files": golden_record.files(),
        "recipes": golden_record.recipes(),
        "links": {link: golden_record.meaning(link) for link in golden_record.links()},
        "book": sorted(set(golden_record.chapters())),
        "names": golden_record.names(),
        "public": golden_record.public(),
        "kinds": kinds,
        "outputs": dict(golden_models.outputs(kinds)),
        "classical": {name: golden_models.summary(ds) for name, ds in golden_models.classical()},
    }


def differences(old, new, where: str = "", spread: float = 0.0, loose: float = 1.0) -> Iterator[str]:
    """One line for each value of the record that is not there or not the same.

    Parameters
    ----------
    spread : how far numbers may differ.
    loose : times the rounding that is usual.
    """
    if isinstance(old, Mapping):
        new = new if isinstance(new, Mapping) else {}
        if "values" in old:
            sizes = [*old["values"], old.get("min", 0.0), old.get("max", 0.0)]
            spread = loose * ROUNDING * old.get("std", 0.0) + DIGITS * max(map(abs, sizes))
        for key, value in old.items():
            if key not in new:
                yield f"{where}{key}: is gone"
            else:
                yield from differences(value, new[key], f"{where}{key}: ", spread, LOOSE.get(key, loose))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for k, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{where}[{k}] ", spread)
    elif isinstance(old, float) and isinstance(new, (int, float)) and abs(old - new) <= spread:
        return
    elif old != new:
        yield f"{where}was {json.dumps(old)}, is {json.dumps(new)}"


def missing(old: list[str], new: list[str], what: str) -> Iterator[str]:
    """One line for each name that is gone."""
    yield from (f"{what} {name} is gone" for name in old if name not in new)


def check(old: Mapping, only: tuple[str, ...] = (), say=lambda line: None) -> list[str]:
    """The differences between the record and what is here.

    Parameters
    ----------
    only : parts of the names of the outputs that are computed; all if empty, and none of the rest is left out.
    say : called with each method that has been computed and its seconds.
    """
    found = list(differences(old["files"], golden_record.files(), "file "))
    found += differences(old["recipes"], golden_record.recipes(), "recipe ")
    found += differences(old["links"], {link: golden_record.meaning(link) for link in old["links"]}, "link ")
    found += missing(old["book"], list(golden_record.chapters()), "link of the book")
    found += differences(old["public"], golden_record.public(), "public name ")
    names = golden_record.names()
    for kind, listed in old["names"].items():
        found += missing(listed, names[kind], kind)
    kinds = {n: k for n, k in old["kinds"].items() if not only or any(part in n for part in only)}
    clock = time.perf_counter()
    for name in kinds:
        new = dict(golden_models.outputs({name: kinds[name]}))
        found += differences({name: old["outputs"][name]}, new, "output of ")
        say(f"{name}: {time.perf_counter() - clock:.1f} s")
        clock = time.perf_counter()
    if not only:
        made = {name: golden_models.summary(ds) for name, ds in golden_models.classical()}
        found += differences(old["classical"], made, "output of ")
    return found


def main(arguments: list[str] | None = None) -> int:
    """The command; the status is 1 if there are differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="record everything anew")
    what.add_argument("--check", action="store_true", help="compare with the record")
    parser.add_argument("--only", nargs="+", default=(), metavar="PART", help="with --check: outputs by part of a name")
    parser.add_argument("--times", action="store_true", help="with --check: print the seconds of each output")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if chosen.write:
        RECORD.write_text(json.dumps(record(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written to {RECORD}")
        return 0
    old = json.loads(RECORD.read_text(encoding="utf-8"))
    found = check(old, tuple(chosen.only), print if chosen.times else lambda line: None)
    print("\n".join(found) or "no difference from the golden record")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
