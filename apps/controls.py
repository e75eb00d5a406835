"""The controls of the sidebar: one for each selection, with its title, and the views that show it."""

from __future__ import annotations

from collections.abc import Mapping

import panel_material_ui as pmui

from apps import theme
from apps.options import (
    AGAINST,
    ASSIMILATORS,
    CHANNELS,
    CONSISTENCIES,
    CONSTRAINTS,
    DATASETS,
    DAYS,
    DRAWS,
    FACTORS,
    FIELDS,
    GROUPS,
    HOURS,
    LAWS,
    METHODS,
    MODES,
    NOISES,
    NUMBERS,
    SEEDS,
    SHARES,
    SHOWS,
    SIZES,
    STATES,
    STATISTICS,
    THRESHOLDS,
    VARIABLES,
    VIEWS,
    WEIGHTS,
    WHICH,
    ZOOMS,
)
from apps.state import State

TITLES = {  # in their order
    "view": "View",
    "dataset": "Data",
    "frame": "Time",
    "hour": "Hour",
    "factor": "Factor",
    "method": "Method",
    "network": "Network",
    "statistic": "Statistical method",
    "show": "Shown",
    "mode": "Constraint: when",
    "constraint": "Constraint: which",
    "against": "RMSE against",
    "variable": "Variable",
    "field": "Field",
    "moment": "Moment",
    "zoom": "Magnification",
    "where": "Where: click to look there",
    "east": "Centre, degrees east",
    "north": "Centre, degrees north",
    "when": "Time",
    "channel": "Field",
    "share": "Observed, of all grid points",
    "own": "Your own stations: click a map",
    "assimilator": "Method",
    "noise": "Observation errors, of the background's",
    "members": "Members of the ensemble",
    "balance": "Balance",
    "day": "Time",
    "weight": "Members: live, or stored for a weight λ",
    "draws": "Number of members",
    "seed": "Seed",
    "which": "Member that is shown",
    "consistency": "Hard consistency with the input",
    "threshold": "Threshold of the exceedance",
}
ASSIMILATE = ("when", "channel", "share", "own", "assimilator", "noise", "members", "seed", "balance")
ENSEMBLE = ("day", "weight", "draws", "seed", "which", "consistency", "threshold")
CONTINUOUS = ("variable", "field", "moment", "zoom", "where", "east", "north")
IN_VIEW = {
    "downscale": tuple(name for name in TITLES if name not in (*CONTINUOUS, *ASSIMILATE, *ENSEMBLE, "against")),
    "ensemble": ("view", *ENSEMBLE),
    "assimilate": ("view", *ASSIMILATE),
    "benchmark": ("view", "dataset", "factor", "against"),
    "continuous": ("view", *CONTINUOUS),
}
QUARTERS = round(1 / NUMBERS["moment"][2])  # positions of the time scrubber in an hour
TO_CONTROL = {"moment": lambda hour: round(hour * QUARTERS)}
FROM_CONTROL = {"moment": lambda position: position / QUARTERS, "east": float, "north": float}


def make_controls(state: State, networks: Mapping[str, str]) -> dict:
    """Name -> control, showing the selections as they are; `networks` is label -> name."""
    s = state
    wide = {"sizing_mode": "stretch_width", "size": "small"}
    buttons = {**wide, "color": "primary", "button_style": "outlined", "margin": (2, 10, 8, 10)}
    select = {**wide, "margin": (2, 10, 8, 10)}
    slider = {**wide, "label": "", "margin": (0, 18, 4, 18)}
    player = {
        "loop_policy": "loop", "variant": "minimal", "show_loop_controls": False, "show_value": False,
        "visible_buttons": ["previous", "pause", "play", "next"], "margin": (0, 10, 4, 10),
        "sizing_mode": "stretch_width", "preview_duration": 0,
    }  # fmt: skip

    def swapped(options: Mapping) -> dict:
        return {label: name for name, label in options.items()}

    def centre(name: str):
        low, high, step = NUMBERS[name]
        return pmui.FloatSlider(value=getattr(s, name), start=low, end=high, step=step, **slider)

    def choose(name: str, options: Mapping, **more):
        return pmui.RadioButtonGroup(options=options, value=getattr(s, name), **buttons, **more)

    channels = {heading: {CHANNELS[n][0]: n for n in names} for heading, names in GROUPS.items()}
    vertical, tight = {"orientation": "vertical"}, {"sx": theme.TIGHT_SX}
    last = round(NUMBERS["moment"][1] * QUARTERS)
    return {
        "view": choose("view", swapped(VIEWS), sx=theme.NARROW_SX),
        "dataset": pmui.Select(options=swapped(DATASETS), value=s.dataset, **select),
        "frame": pmui.Player(value=s.frame, start=0, end=max(s.frame, 1), interval=700, **player),
        "hour": pmui.IntSlider(value=s.hour, start=0, end=max(HOURS.values()) - 1, show_value=False, **slider),
        "factor": choose("factor", {f"× {n}": n for n in FACTORS}),
        "method": choose("method", swapped(METHODS), **tight),
        "network": pmui.Select(options=dict(networks), value=s.network, **select),
        "statistic": pmui.Select(options=swapped(STATISTICS), value=s.statistic, **select),
        "show": pmui.Select(options=swapped(SHOWS), value=s.show, **select),
        "mode": choose("mode", swapped(MODES)),
        "constraint": choose("constraint", swapped(CONSTRAINTS), **vertical),
        "against": choose("against", swapped(AGAINST), **vertical),
        "variable": choose("variable", {symbol: name for name, (symbol, _) in VARIABLES.items()}, **tight),
        "field": choose("field", swapped(FIELDS)),
        "moment": pmui.Player(value=TO_CONTROL["moment"](s.moment), start=0, end=last, interval=500, **player),
        "zoom": choose("zoom", {f"{n} ×": n for n in ZOOMS}, **tight),
        "east": centre("east"),
        "north": centre("north"),
        "when": choose("when", {f"State {n + 1}": n for n in range(STATES)}, **tight),
        "channel": pmui.Select(groups=channels, value=s.channel, **select),
        "share": pmui.DiscreteSlider(options={f"{x:g} %": x for x in reversed(SHARES)}, value=s.share, **slider),
        "assimilator": pmui.Select(options=swapped(ASSIMILATORS), value=s.assimilator, **select),
        "noise": choose("noise", swapped(NOISES), **tight),
        "members": choose("members", {str(n): n for n in SIZES}, **tight),
        "seed": pmui.IntSlider(value=s.seed, start=0, end=SEEDS, **slider),
        "balance": choose("balance", swapped(LAWS), **tight),
        "day": choose("day", {f"Time {n + 1}": n for n in range(DAYS)}, **tight),
        "weight": choose("weight", swapped(WEIGHTS), **tight),
        "draws": choose("draws", {str(n): n for n in DRAWS}, **tight),
        "which": pmui.IntSlider(value=s.which, start=WHICH[0], end=WHICH[-1], **slider),
        "consistency": choose("consistency", swapped(CONSISTENCIES), **tight),
        "threshold": pmui.DiscreteSlider(
            options={f"{t:g} K · {round(t - 273.15)} °C": t for t in THRESHOLDS}, value=s.threshold, **slider
        ),
    }
