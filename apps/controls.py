"""The controls of the sidebar: one for each selection, with its title, and the views that show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import panel_material_ui as pmui

from apps import options, theme
from apps.language import labels as words
from apps.language import word
from apps.state import MAX_WAVE, State

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
    "listen": "Stations: click a map",
    "study": "Table",
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
    "painted": "Observations: click a map, or draw",
    "guide": "Method",
    "sigma": "Error of an observation",
    "day": "Time",
    "weight": "Members: live, or stored for a weight λ",
    "draws": "Number of members",
    "seed": "Seed",
    "which": "Member that is shown",
    "consistency": "Hard consistency with the input",
    "threshold": "Threshold of the exceedance",
    "band": "Band of the spectrum, map below",
    "region": "Region, for its scores",
}
ASSIMILATE = ("when", "channel", "share", "own", "assimilator", "noise", "members", "seed", "balance")
ENSEMBLE = ("day", "weight", "draws", "seed", "which", "consistency", "threshold")
BRUSH = ("band", "region")
PAINT = ("painted", "guide", "sigma", "seed")
CONTINUOUS = ("variable", "field", "moment", "zoom", "where", "east", "north")
IN_VIEW = {
    "downscale": tuple(
        name for name in TITLES if name not in (*CONTINUOUS, *ASSIMILATE, *ENSEMBLE, *PAINT, "against", "study")
    ),
    "ensemble": ("view", *ENSEMBLE, *BRUSH),
    "assimilate": ("view", *ASSIMILATE, *BRUSH),
    "paint": ("view", *PAINT),
    "benchmark": ("view", "study", "dataset", "factor", "against"),
    "continuous": ("view", *CONTINUOUS),
}
QUARTERS = round(1 / options.NUMBERS["moment"][2])  # positions of the time scrubber in an hour
TO_CONTROL = {
    "moment": lambda hour: round(hour * QUARTERS),
    "band": lambda band: tuple(map(int, band.split("-"))) if band else (1, MAX_WAVE),
}
FROM_CONTROL = {
    "moment": lambda position: position / QUARTERS,
    "east": float,
    "north": float,
    "band": lambda ends: "" if tuple(ends) == (1, MAX_WAVE) or ends[0] >= ends[1] else f"{ends[0]}-{ends[1]}",
}


def make_controls(
    state: State, networks: Callable[[], Mapping[str, str]], datasets: Callable[[], Mapping[str, str]]
) -> dict[str, Callable[[], Any]]:
    """Name -> what makes the control, which shows the selection as it is then; the two others give label -> name."""
    s = state
    wide = {"sizing_mode": "stretch_width", "size": "small"}
    buttons = {**wide, "color": "primary", "button_style": "outlined", "margin": (2, 10, 8, 10)}
    select = {**wide, "margin": (2, 10, 8, 10)}
    slider = {**wide, "label": "", "margin": (0, 18, 4, 18)}
    player = {
        "loop_policy": "loop", "variant": "minimal", "show_loop_controls": False, "show_value": False,
        "visible_buttons": ["previous", "pause", "play", "next"], "margin": (0, 10, 4, 10),
        "sizing_mode": "stretch_width", "preview_duration": 0, "color": "primary",
    }  # fmt: skip

    def swapped(labels: Mapping) -> dict:
        return words({label: name for name, label in labels.items()})

    def centre(name: str):
        low, high, step = options.NUMBERS[name]
        return pmui.FloatSlider(value=getattr(s, name), start=low, end=high, step=step, **slider)

    def choose(name: str, labels: Mapping, **more):
        return pmui.RadioButtonGroup(options=words(labels), value=getattr(s, name), **buttons, **more)

    channels = {
        word(heading): words({options.CHANNELS[n][0]: n for n in names}) for heading, names in options.GROUPS.items()
    }
    vertical, tight = {"orientation": "vertical"}, {"sx": theme.TIGHT_SX}
    last = round(options.NUMBERS["moment"][1] * QUARTERS)
    return {
        "view": lambda: choose("view", swapped(options.VIEWS), sx=theme.NARROW_SX),
        "dataset": lambda: pmui.Select(options=dict(datasets()), value=s.dataset, **select),
        "frame": lambda: pmui.Player(value=s.frame, start=0, end=max(s.frame, 1), interval=700, **player),
        "hour": lambda: pmui.IntSlider(value=s.hour, start=0, end=s.param.hour.bounds[1], show_value=False, **slider),
        "factor": lambda: choose("factor", {f"× {n}": n for n in s.param.factor.objects}),
        "method": lambda: choose("method", swapped(options.METHODS), **tight),
        "network": lambda: pmui.Select(options=dict(networks()), value=s.network, **select),
        "statistic": lambda: pmui.Select(options=swapped(options.STATISTICS), value=s.statistic, **select),
        "show": lambda: pmui.Select(options=swapped(options.SHOWS), value=s.show, **select),
        "mode": lambda: choose("mode", swapped(options.MODES)),
        "constraint": lambda: choose("constraint", swapped(options.CONSTRAINTS), **vertical),
        "band": lambda: pmui.IntRangeSlider(value=TO_CONTROL["band"](s.band), start=1, end=MAX_WAVE, **slider),
        "study": lambda: pmui.Select(options=swapped(options.STUDIES), value=s.study, **select),
        "against": lambda: choose("against", swapped(options.AGAINST), **vertical),
        "variable": lambda: choose(
            "variable", {symbol: name for name, (symbol, _) in options.VARIABLES.items()}, **tight
        ),
        "field": lambda: choose("field", swapped(options.FIELDS)),
        "moment": lambda: pmui.Player(value=TO_CONTROL["moment"](s.moment), start=0, end=last, interval=500, **player),
        "zoom": lambda: choose("zoom", {f"{n} ×": n for n in options.ZOOMS}, **tight),
        "east": lambda: centre("east"),
        "north": lambda: centre("north"),
        "when": lambda: choose("when", {f"State {n + 1}": n for n in range(options.STATES)}, **tight),
        "channel": lambda: pmui.Select(groups=channels, value=s.channel, **select),
        "share": lambda: pmui.DiscreteSlider(
            options={f"{x:g} %": x for x in reversed(options.SHARES)}, value=s.share, **slider
        ),
        "assimilator": lambda: pmui.Select(options=swapped(options.ASSIMILATORS), value=s.assimilator, **select),
        "noise": lambda: choose("noise", swapped(options.NOISES), **tight),
        "members": lambda: choose("members", {str(n): n for n in options.SIZES}, **tight),
        "seed": lambda: pmui.IntSlider(value=s.seed, start=0, end=options.SEEDS, **slider),
        "balance": lambda: choose("balance", swapped(options.LAWS), **tight),
        "guide": lambda: pmui.Select(options=swapped(options.GUIDES), value=s.guide, **select),
        "sigma": lambda: choose("sigma", {f"{x:g} m": x for x in options.SIGMAS}, **tight),
        "day": lambda: choose("day", {f"Time {n + 1}": n for n in range(options.DAYS)}, **tight),
        "weight": lambda: choose("weight", swapped(options.WEIGHTS), **tight),
        "draws": lambda: choose("draws", {str(n): n for n in options.DRAWS}, **tight),
        "which": lambda: pmui.IntSlider(value=s.which, start=options.WHICH[0], end=options.WHICH[-1], **slider),
        "consistency": lambda: choose("consistency", swapped(options.CONSISTENCIES), **tight),
        "threshold": lambda: pmui.DiscreteSlider(
            options={f"{t:g} K · {round(t - 273.15)} °C": t for t in options.THRESHOLDS}, value=s.threshold, **slider
        ),
    }
