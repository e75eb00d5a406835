"""The tables of the Continuous view: numbers of a moment, learned coefficients, the card of a field, and the script."""

from __future__ import annotations

import html
from collections.abc import Mapping

import pandas as pd

from apps.cards import card_table, provenance
from apps.continuous.store import Laws, Moment
from apps.options import VARIABLES

COLUMNS = {
    "equations": "with<br>equations",
    "no-equations": "without",
    "interpolation": "inter-<br>polation",
    "truth": "truth",
}
METRICS = (  # key, label, format; None takes the digits of the variable
    ("rmse", "RMSE, this hour", None),
    ("ratio", "… / interpolation", "{:.2f}"),
    ("rmse_all", "RMSE, all hours", None),
    ("ratio_all", "… / interpolation", "{:.2f}"),
    ("high", "Highest, in the box", None),
    ("low", "Lowest", None),
    ("mean", "Mean", None),
    ("residual", "Residual, in the box", "{:.2f}"),
    ("rate", "… per hour", None),
    ("force", "Force, per hour", None),
)
LOW_IS_BEST = ("rmse", "rmse_all", "residual")


def number(value: float, moment: Moment) -> str:
    """With three figures of the colour limits of the field."""
    low, high = moment.limits["error"]
    digits = 3 if high - low < 20 else 1
    return f"{value:.{digits}f}"


def numbers_html(moment: Moment, selection: str) -> str:
    """One row per quantity; full numbers in the ``data-value`` attributes, the selection in ``data-key``."""
    head = "".join(
        f'<th class="{"this" if c == moment.look.field else ""}">{label}</th>' for c, label in COLUMNS.items()
    )
    rows = []
    for key, label, pattern in METRICS:
        values = {c: moment.numbers[c][key] for c in COLUMNS if key in moment.numbers[c]}
        if not values:
            continue
        best = min(values, key=lambda c: values[c]) if key in LOW_IS_BEST and len(values) > 1 else ""
        cells = []
        for c in COLUMNS:
            kind = " ".join(filter(None, ["this" if c == moment.look.field else "", "best" if c == best else ""]))
            if c not in values:
                cells.append(f'<td class="{kind}">–</td>')
                continue
            text = pattern.format(values[c]) if pattern else number(values[c], moment)
            cells.append(
                f'<td class="{kind}" data-metric="{key}" data-column="{c}" data-value="{values[c]!r}">{text}</td>'
            )
        rows.append(f"<tr><td>{label}</td>{''.join(cells)}</tr>")
    why = "" if moment.whole else '<p class="quiet">Between two hours nobody has data: no error of this moment.</p>'
    what = f"{moment.units}; errors at points that were not given; residual relative to the tendency"
    return f"""<h3>{VARIABLES[moment.look.variable][1].capitalize()} <span class="quiet">{what}</span></h3>
<table data-table="moment" data-key="{selection}" data-state="ready"><tr><th></th>{head}</tr>{"".join(rows)}</table>
{why}"""


def laws_html(laws: Laws | None, variable: str) -> str:
    """Learned coefficients with their intervals beside what theory expects, and who obeys the law in all hours."""
    if laws is None:
        return '<h3>Learned coefficients</h3><p class="quiet" data-table="coefficients">computing …</p>'
    rows = []
    for equation, terms in laws.coefficients.groupby("equation", sort=False):
        for at, (_, row) in enumerate(terms.iterrows()):
            rows.append(_coefficient(row, first=at == 0, this=equation == variable))
    head = "<tr><th>∂t</th><th>term</th><th>learned</th><th>95 %</th><th>theory</th></tr>"
    words = (
        "Intervals from blocks of space and time drawn anew: chance, not bias. A coefficient that falls short of -1 "
        "has lent its share to what the equation leaves out, above all vertical motion."
    )
    if variable not in laws.balance:
        words = "Φ itself has no equation: it stands in those of u and v. " + words
    columns = ("equations", "no-equations", "truth")
    balance = "".join(
        f"<tr><td>{VARIABLES[v][0]}</td>{''.join(f'<td>{row[n]:.2f}</td>' for n in columns)}</tr>"
        for v, row in laws.balance.items()
    )
    return f"""<h3>Learned coefficients</h3>
<table data-table="coefficients" data-state="ready">{head}{"".join(rows)}</table><p class="quiet">{words}</p>
<h3>Residual, all hours <span class="quiet">of the typical tendency</span></h3>
<table data-table="balance"><tr><th></th><th>with</th><th>without</th><th>truth</th></tr>{balance}</table>
<p class="quiet">The truth by finite differences, half-way between its hours. The aim is to be as balanced as the truth,
not more.</p>"""


def _coefficient(row: pd.Series, first: bool, this: bool) -> str:
    """A term of an equation; what was not learned says so."""
    kind = ' class="this"' if this else ""
    unit = "" if row["unit"] == "1" else f"<br>{row['unit']}"
    learned = row["low"] < row["high"]
    interval = f"{_short(row['low'])} … {_short(row['high'])}" if learned else "known"
    theory = f"{row['expected']:g}" if pd.notna(row["expected"]) else "–"
    name = VARIABLES[row["equation"]][0] if first else ""
    value = f'data-term="{row["equation"]}: {html.escape(row["term"])}" data-value="{float(row["coefficient"])!r}"'
    cells = f"<td{kind}>{_short(row['coefficient'])}{unit}</td><td{kind}>{interval}</td><td{kind}>{theory}</td>"
    return f"<tr><td>{name}</td><td{kind} {value}>{html.escape(row['term'])}</td>{cells}</tr>"


def _short(x: float) -> str:
    """Two decimals, or one figure and the power of ten of what is small."""
    return f"{x:.2f}" if abs(x) >= 1e-2 else f"{x:.0e}".replace("e-0", "e-")


def card_html(card: Mapping, name: str) -> str:
    """Provenance of a field."""
    settings, training, scores = (card.get(k, {}) for k in ("settings", "training", "scores"))
    rows = {
        "Class": card.get("class"),
        "Data": f"{card.get('task')}, {card.get('data')}: {card.get('points', 0):,} points",
        "Fitted": card.get("method"),
        "Weight μ": f"{settings.get('physics')}",
        "Parameters": f"{card.get('parameters', 0):,}, stored as {card.get('weights', 'float32')}",
        "Training": f"{settings.get('steps')} steps of {settings.get('batch')} points, {settings.get('collocation')} "
        "for the equations",
        "RMSE": "; ".join(f"{k.removeprefix('rmse_')} {v:.3g}" for k, v in scores.items()) + " (SI units)",
        **provenance(card, training.get("wall_time_s")),
    }
    return card_table(rows, f"nature-window-{name}-s0", name)


def script(moment: Moment) -> str:
    """A script that prints the numbers of a moment from the library alone."""
    look = moment.look
    return f'''"""PhysLab explorer: {VARIABLES[look.variable][1]} at hour {look.moment:g}, {look.zoom} x."""

from physlab.views import Window

window = Window.open()  # 33 x 33 points and 241 hours, the given ones, and both fields
box = window.box(zoom={look.zoom}, east={look.east:g}, north={look.north:g})

fine = window.field("{look.field}", {look.moment:g}, box)["{look.variable}"]  # the map: PhyDL.downscale, 97 x 97 points
given = window.given({look.moment:g})["{look.variable}"]  # every fourth point of the nearest given hour
truth = window.truth({look.moment:g})  # None between two hours

for column, numbers in window.numbers("{look.variable}", {look.moment:g}, "{look.field}", box).items():
    for name, value in numbers.items():
        print(f"{{column:14s}} {{name:10s}} {{value:.9g}}")
'''
