"""The tables of the Assimilate view: scores of all headline fields, balance, the card of a method, and the script."""

from __future__ import annotations

from collections.abc import Mapping

from apps.assimilate.store import Picture
from apps.cards import card_table, missing_html, provenance
from apps.options import ASSIMILATORS, CHANNELS, LAWS
from physlab.views.twin import shown, variable_of

COLUMNS = {"background": "back-<br>ground", "analysis": "ana-<br>lysis", "gain": "gain", "crps": "CRPS",
           "spread_skill": "spread<br>/ skill"}  # fmt: skip
SCALED = ("background", "analysis", "crps")
PARTS = {"background": "back-<br>ground", "analysis": "ana-<br>lysis", "members": "mem-<br>bers"}


def scores_html(picture: Picture, selection: str) -> str:
    """One row per field; full numbers in SI units in the ``data-value`` attributes, the selection in ``data-key``."""
    if not picture.scores:
        return '<h3>Scores</h3><p class="quiet" data-table="analysis" data-state="waiting">No analysis yet.</p>'
    there = [c for c in COLUMNS if c in next(iter(picture.scores.values()))]
    head = "".join(f"<th>{COLUMNS[c]}</th>" for c in there)
    rows = []
    for name, row in picture.scores.items():
        (scale, units), this = shown(name), " class='this'" if name == picture.setup.channel else ""
        cells = [
            f'<td{this} data-field="{name}" data-column="{c}" data-value="{row[c]!r}">'
            f"{_text(c, row[c] * (scale if c in SCALED else 1.0))}</td>"
            for c in there
        ]
        rows.append(f'<tr><td title="{CHANNELS[name][1]}, {units}">{label(name)}</td>{"".join(cells)}</tr>')
    words = "RMSE, weighted by area" + (", of the mean of the members; CRPS fair" if "crps" in there else "")
    return f"""<h3>Scores <span class="quiet">{words}</span></h3>
<table data-table="analysis" data-key="{selection}" data-state="ready"><tr><th></th>{head}</tr>{"".join(rows)}</table>
<p class="quiet">Units: Φ m² s⁻², T K, u and v m s⁻¹, q g kg⁻¹, p hPa, W kg m⁻². Gain: what the analysis takes off the
background's error; below zero it has made it worse.</p>{_balance(picture)}"""


def _balance(picture: Picture) -> str:
    """How far each is from the laws, relative to the truth, and from its spectrum."""
    parts = [p for p in PARTS if p in picture.balance]
    head = "".join(f"<th>{PARTS[p]}</th>" for p in parts)
    rows = "".join(
        f"<tr><td>{LAWS[law]}</td>"
        + "".join(f'<td data-law="{law}" data-part="{p}" data-value="{picture.balance[p][law]!r}">'
                  f"{picture.balance[p][law]:.3f}</td>" for p in parts)
        + "</tr>" for law in LAWS
    )  # fmt: skip
    spectrum = "".join(
        f'<td data-law="divergence" data-part="{p}" data-value="{picture.divergence[p]!r}">'
        f"{picture.divergence[p]:.1e}</td>"
        for p in parts
    )
    name = label(picture.setup.channel)
    return f"""<h3>Balance and spectrum <span class="quiet">relative to the truth</span></h3>
<table data-table="balance" data-state="ready"><tr><th></th>{head}</tr>{rows}
<tr><td>Spectral divergence, {name}</td>{spectrum}</tr></table>
<p class="quiet">Balance: residual over that of the truth, all levels; 1 is as balanced as the truth, and less is not
better. The imbalance is asked for poleward of 25°. Divergence: 0 for the spectrum of the truth.</p>"""


def label(name: str) -> str:
    """Short, for tables: "Φ 500", "T low"."""
    variable = variable_of(name)
    symbol = {"z": "Φ", "t": "T", "sp": "p", "tcw": "W"}.get(variable, variable)
    return f"{symbol} {'low' if name.endswith('_low') else name.removeprefix(variable)}".strip()


def _text(column: str, value: float) -> str:
    if column == "gain":
        return f"{round(100 * value) + 0:+d} %"
    if column == "spread_skill":
        return f"{value:.2f}"
    return f"{value:#.3g}" if abs(value) < 100 else f"{value:.0f}"


def comparable(picture: Picture) -> dict[str, float]:
    """Numbers that stand beside those of another analysis: errors as they are read, balance relative to the truth's."""
    found = {f"RMSE {label(n)}": shown(n)[0] * row["analysis"] for n, row in picture.scores.items()}
    own = picture.scores.get(picture.setup.channel, {})
    found |= {"Spread / skill": own["spread_skill"]} if "spread_skill" in own else {}
    found |= {f"{LAWS[law]} / truth's": picture.balance["analysis"][law] for law in LAWS}
    return found | {"Spectral divergence": picture.divergence["analysis"]}


def card_html(card: Mapping, name: str) -> str:
    """Provenance of a method."""
    if not card:
        return missing_html(ASSIMILATORS[name], name)
    return card_table(card_facts(card), card["name"], name)


def card_facts(card: Mapping) -> dict[str, object]:
    """What the card of a method says, in words; nothing of one that is not installed."""
    if not card:
        return {}
    training, settings = (part if isinstance(part := card.get(k), Mapping) else {} for k in ("training", "settings"))
    return {
        "Class": card.get("class"),
        "Parameters": f"{card['parameters']:,}",
        "Data": card.get("data") or card.get("task"),
        "Training": settings.get("steps") and f"{settings['steps']} steps of {settings.get('batch')} pairs",
        **provenance(card, training.get("wall_time_s") or card.get("train_s")),
    }


def maps_of_script(picture: Picture) -> str:
    """Lines for the end of the script: maps of its truth and of its analysis."""
    name = picture.setup.channel
    return f"""k = case.space.index("{name}")
states = (case.fields(analysis).float().double().mean(0), case.known["truth"])
result, truth = ({picture.scale:g} * x[k].numpy() for x in states)  # {picture.units}
latitude, area = case.space.latitude, case.space.area[:, 0].numpy()
"""


def script(picture: Picture, model: str) -> str:
    """A script that prints the scores of the selection from the library alone; `model` is the name in the zoo."""
    setup = picture.setup
    extra = f", own={setup.points}" if setup.own else ""
    names = tuple(picture.scores) or (setup.channel,)
    share = f"{setup.share / 100:g}"
    return f'''"""PhysLab explorer: {ASSIMILATORS[setup.assimilator]}, {setup.share:g} % of the grid points observed."""

import physlab
from physlab.views import Twin

case = Twin.open().case(time={setup.when}, share={share}{extra}, noise={setup.noise:g}, seed={setup.seed})
method = physlab.load_model("{model}")
analysis = method.analyse(case.background, case.observations, members={max(picture.members, 1)}, seed={setup.seed})

names = {names!r}
for name, row in case.scores(analysis, names).items():
    for column, value in row.items():
        print(f"{{name:6s}} {{column:12s}} {{value:.9g}}")
'''
