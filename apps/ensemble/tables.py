"""The tables of the Ensemble view: scores beside those of bicubic interpolation, the card of the model, the script."""

from __future__ import annotations

from collections.abc import Mapping

from apps.cards import card_table, missing_html, provenance
from apps.ensemble.store import FACTOR, STORED, TRUTH, Picture
from physlab.benchmark.ensemble import DRIVERS, SHIPPED, TRUNCATION

METRICS = {  # of physlab.score.detail: label, format
    "rmse": ("RMSE of the mean, K", "{:.3f}"),
    "mae": ("MAE of the mean, K", "{:.3f}"),
    "crps": ("CRPS, fair, K", "{:.3f}"),
    "spread_skill": ("Spread / skill", "{:.2f}"),
    "specdiv": ("SpecDiv", "{:.1e}"),
    "specdiv_top": ("… finest tenth", "{:.1e}"),
    "residual": ("PDE residual / truth's", "{:.2f}"),
    "conservation": ("Coarsening error, K", "{:.1e}"),
}
COLUMNS = {"ensemble": "en-<br>semble", "bicubic": "bi-<br>cubic"}


MAPS = """result, truth = (x.numpy() for x in (members.mean(0), now.truth[0, 0]))  # K
latitude, area = now.grid.latitude, now.area[:, 0].numpy()
"""
"""Lines for the end of the script: maps of its truth and of the mean of its members."""


def scores_html(picture: Picture, selection: str) -> str:
    """One row per score; full numbers in the ``data-value`` attributes, the selection in ``data-key``."""
    there = [c for c in COLUMNS if c in picture.scores]
    rows = []
    for key, (label, pattern) in METRICS.items():
        cells = []
        for column in there:
            value = picture.scores[column][key]
            this = ' class="this"' if column == "ensemble" else ""
            text = "–" if value != value else pattern.format(value)
            cells.append(f'<td{this} data-metric="{key}" data-column="{column}" data-value="{value!r}">{text}</td>')
        rows.append(f"<tr><td>{label}</td>{''.join(cells)}</tr>")
    head = "".join(f"<th>{COLUMNS[c]}</th>" for c in there)
    state = "ready" if "ensemble" in there else "waiting"
    return f"""<h3>Scores <span class="quiet">of this time, weighted by area</span></h3>
<table data-table="ensemble" data-key="{selection}" data-state="{state}"><tr><th></th>{head}</tr>{"".join(rows)}</table>
<p class="quiet">CRPS of a single field is its MAE. Spectra, residual and coarsening error are those of single members,
averaged: their mean is smooth. SpecDiv is 0 for the spectrum of the truth. PDE residual: root mean square over that of
the truth; 1 is as balanced as the truth, and less is not better. Coarsening error: root mean square of block mean minus
input.</p>"""


def card_html(card: Mapping) -> str:
    """Provenance of the model."""
    if not card:
        return missing_html(SHIPPED, SHIPPED)
    training = part if isinstance(part := card.get("training"), Mapping) else {}
    stages = {name: part for name, part in training.items() if isinstance(part, Mapping) and "steps" in part}
    rows = {
        "Class": card.get("class"),
        "Parameters": f"{card['parameters']:,}",
        "Sampler": f"{card['sampler']}, {card['steps']} steps",
        "Data": card.get("data") or card.get("task"),
        "Fields": training.get("fields"),
        "Training": ", ".join(f"{name} {part['steps']} steps of {part.get('batch')}" for name, part in stages.items()),
        **provenance(card, sum(part.get("s", 0.0) for part in stages.values())),
    }
    return card_table(rows, card["name"], SHIPPED)


def script(picture: Picture) -> str:
    """A script that prints the scores and the exceedance of the selection from the library alone."""
    draw, drivers = picture.draw, f"{DRIVERS!r}"
    if draw.weight == "live":
        what = f"{draw.draws} members, seed {draw.seed}"
        more = "from physlab.fields import to_dataset, to_tensor\n"
        made = f"""model = physlab.load_model("{SHIPPED}")
model.constraint = "{draw.consistency}"
coarse = to_dataset(now.coarse, truth.isel(time=[{picture.day}]), model.drivers, now.grid.coarsen({FACTOR}))
made = model.downscale(coarse, members={draw.draws}, seed={draw.seed})
members = to_tensor(made, "{DRIVERS[0]}")[:, 0, 0]  # (M, H, W), K
bicubic = model.upsample(now.coarse[:, :1])[0]"""
    else:
        what = f"stored members, lambda {draw.weight}"
        more = "from physlab.benchmark.ensemble import interpolated\n"
        made = f"""stored = physlab.open_dataset("{STORED}").sel(weight={draw.weight}, method="nearest")
members = torch.from_numpy(stored["{DRIVERS[0]}"].values).float()  # (M, H, W), K
bicubic = interpolated(fields).upsample(now.coarse[:, :1])[0]"""
        if draw.consistency != "none":
            more += "from physlab.constrain import make_constraint\n"
            made += f"""
given = now.coarse[0, :1].expand(len(members), -1, -1)
members = make_constraint("{draw.consistency}", {FACTOR})(members, given, now.area)"""
    torch = "" if draw.weight == "live" else "import torch\n\n"
    names = ("physlab.downscale.terrain import unrounded",
             "physlab.downscale.terrain import TerrainFields", "physlab.score.detail import detail_scores",
             "physlab.train.latent import balance_of")  # fmt: skip
    lines = sorted([*(f"from {name}" for name in names), *more.splitlines()])
    uses = "\n".join(lines)
    return f'''"""PhysLab explorer: latent diffusion over terrain, {what}."""

{torch}import physlab
{uses}

truth = physlab.open_dataset("{TRUTH}")
t = truth["{DRIVERS[0]}"]
truth["{DRIVERS[0]}"] = t.copy(data=unrounded(t.values, t["latitude"].values))  # before the diffusivity is fitted
fields = TerrainFields.of(truth, "{DRIVERS[0]}", {drivers}, factor={FACTOR})
law, now = balance_of(fields), fields.take(slice({picture.day}, {picture.day + 1}))  # one time

{made}

wind = now.wind[0][0], now.wind[1][0]
for name, x in {{"ensemble": members, "bicubic": bicubic}}.items():
    scores = detail_scores(x, now.truth[0, 0], now.coarse[0, 0], now.grid, {FACTOR}, law, wind, largest={TRUNCATION})
    for score, value in scores.items():
        print(f"{{name:8s}} {{score:12s}} {{value:.9g}}")
probability = (members > {draw.threshold:g}).float().mean(0)  # (H, W), of exceedance
'''
