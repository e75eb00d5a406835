"""The tables of all chapters: what each study measured, as its command prints it, to be sorted and filtered."""

from __future__ import annotations

import html
from collections.abc import Mapping
from urllib.parse import urlencode

import pandas as pd

from apps.options import NETWORKS, STATISTICS
from physlab.data.assets import asset
from physlab.errors import PhysLabError

LIVE = {  # study -> view that shows such results live
    "assimilation": "assimilate",
    "assimilation-cycled": "assimilate",
    "divergence": "assimilate",
    "ensemble": "ensemble",
    "continuous": "continuous",
    "downscaling": "downscale",
}


def chapter_html(name: str) -> str:
    """All tables of a study, each under its title.

    Raises
    ------
    PhysLabError, OSError : the table is not there, or is not one of this study.
    """
    from physlab.benchmark.study import studies

    study = studies().get(name)
    if study is None:  # a table whose study this version does not know
        parts = [(name, pd.read_csv(asset(f"results/{name}.csv")))]
        title = name
    else:
        parts, title = list(study.shown(study.read())), study.title
    if not parts:
        raise PhysLabError(f"the table of {name} has no rows")
    live = f' <a href="?v=1&amp;view={LIVE[name]}">Look at it live</a>' if name in LIVE else ""
    body = "".join(f"<h3>{html.escape(what)}</h3>{sortable(table, what)}" for what, table in parts)
    words = f"<p>{html.escape(title[:1].upper() + title[1:])}.{live}</p>"
    return f'{words}<div data-chapter="{name}">{filter_html()}{body}</div>'


def filter_html(what: str = "rows") -> str:
    """A field whose words the rows of the tables around it have to hold; the page's own script obeys it."""
    return (
        f'<label class="filter">Only {what} with <input type="search" data-filter="rows" '
        'placeholder="for example EDSR, or add" size="24"></label>'
    )


def sortable(table: pd.DataFrame, label: str, heads: Mapping[str, str] | None = None) -> str:
    """A table whose columns are sorted by a click on their names, or by Enter."""
    head = head_html([(heads or {}).get(str(c), str(c)) for c in table.columns])
    rows = "".join(f"<tr>{''.join(cell(value) for value in row)}</tr>" for row in table.itertuples(index=False))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(label)}">'
        f'<table data-sort="rows"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    )


def head_html(names: list[str]) -> str:
    """Names of columns as buttons that sort."""
    buttons = (f'<th scope="col"><button class="sort">{html.escape(name)}</button></th>' for name in names)
    return f"<tr>{''.join(buttons)}</tr>"


def cell(value: object) -> str:
    """One value: numbers with four figures, what is missing as a dash."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "<td>–</td>"
    if isinstance(value, float):
        return f'<td data-number="{value!r}">{value:.4g}</td>'
    return f"<td>{html.escape(str(value))}</td>"


def live_link(row: pd.Series, dataset: str, factor: int) -> str:
    """The address at which the Downscale view shows a method of the table; "" if it cannot."""
    model, constraint = str(row["model"]), str(row["constraint"])
    if row["kind"] == "baseline" and model in ("bicubic", "nearest"):
        chosen = {"method": model, "mode": "applied", "constraint": constraint}
    elif model in STATISTICS:
        chosen = {"method": "statistical", "mode": "applied", "statistic": model, "constraint": constraint}
    elif model in NETWORKS:
        chosen = {"method": "network", "mode": "trained", "network": model, "constraint": constraint}
    else:
        return ""
    return "?" + urlencode({"v": 1, "view": "downscale", "dataset": dataset, "factor": factor, **chosen})
