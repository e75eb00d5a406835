"""The look of the explorer: palettes, sizes and style sheets, all served by the explorer itself.

Palettes have even steps of lightness and are readable with colour-blind eyes. Error and residual diverge about zero
(colorcet, after Kovesi 2015, arXiv:1509.03700) with different pairs of hues, so that nobody takes one for the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.themes import Theme
from colorcet import palette

from physlab.registry import specs

FONT = "Roboto, Helvetica, Arial, sans-serif"
LIGHT = {
    "ink": "#22303c", "quiet": "#5a6772", "line": "#d9e0e5", "primary": "#17506b", "accent": "#c2571a",
    "paper": "#ffffff", "ground": "#f5f7f8", "rule": "#edf1f3", "ours": "#fbf1ea",
    "ours-ink": "#a3450f", "best": "#0b6b4f",
    "prompt": "#fdf8f4", "note": "#fdf9ea", "note-edge": "#b58900", "error": "#fdf0ef", "error-edge": "#b3261e",
}  # fmt: skip
DARK = {
    "ink": "#e4eaee", "quiet": "#a9b5be", "line": "#3a4650", "primary": "#8cc7e2", "accent": "#f0935a",
    "paper": "#1b2329", "ground": "#12181c", "rule": "#2b353d", "ours": "#3a2a20",
    "ours-ink": "#ffb68a", "best": "#6fd6ae",
    "prompt": "#29221d", "note": "#2c2813", "note-edge": "#d3a93a", "error": "#351c1b", "error-edge": "#f2776e",
}  # fmt: skip
INK, QUIET, LINE, PAPER, GROUND = (LIGHT[name] for name in ("ink", "quiet", "line", "paper", "ground"))
PRIMARY, ACCENT = LIGHT["primary"], LIGHT["accent"]
STATION: dict[str, Any] = {
    "marker": "diamond",
    "size": 9,
    "fill_color": ACCENT,
    "line_color": "white",
    "line_width": 0.8,
}


def var(name: str) -> str:
    """A colour of the page that is light or dark as the reader wishes, for style sheets."""
    return f"var(--lab-{name}, {LIGHT[name]})"


def _variables(colours: dict[str, str]) -> dict[str, str]:
    return {f"--lab-{name}": colour for name, colour in colours.items()}


def ramp(lightness: tuple[float, float], hue: tuple[float, float], chroma: float, colours: int = 256) -> list[str]:
    """A palette with even steps of lightness, made in the perceptual space Oklab (Ottosson 2020).

    Parameters
    ----------
    lightness : first and last, 0 black to 1 white.
    hue : first and last angle in degrees.
    chroma : the largest, in the middle.
    """
    t = np.linspace(0.0, 1.0, colours)
    light = lightness[0] + t * (lightness[1] - lightness[0])
    angle = np.deg2rad(hue[0] + t * (hue[1] - hue[0]))
    c = chroma * np.sin(np.pi * (0.06 + 0.8 * t))
    a, b = c * np.cos(angle), c * np.sin(angle)
    lms = (np.stack([light] * 3) + np.array([[0.3963377774], [-0.1055613458], [-0.0894841775]]) * a
           + np.array([[0.2158037573], [-0.0638541728], [-1.2914855480]]) * b) ** 3  # fmt: skip
    rgb = np.array([[4.0767416621, -3.3077115913, 0.2309699292], [-1.2684380046, 2.6097574011, -0.3413193965],
                    [-0.0041960863, -0.7034186147, 1.7076147010]]) @ lms  # fmt: skip
    rgb = np.clip(rgb, 0.0, 1.0)
    rgb = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return ["#" + "".join(f"{round(255 * v):02x}" for v in column) for column in rgb.T]


_MOISTURE = ramp((0.98, 0.30), (85.0, 275.0), 0.13)  # dry cream, moist navy
FIELD_PALETTES = {
    "tcw": _MOISTURE,
    "tcw-t1": _MOISTURE,
    "tcw-t2": _MOISTURE,
    "era5-uk-t2m": ramp((0.24, 0.97), (280.0, 455.0), 0.17),  # cold indigo, warm cream
}
VARIABLE_PALETTES = {  # of the continuous fields; winds diverge about calm
    "u": palette["CET_D13"],
    "v": palette["CET_D13"],
    "t": FIELD_PALETTES["era5-uk-t2m"],
    "z": ramp((0.28, 0.97), (330.0, 460.0), 0.14),  # low plum, high cream
    "q": _MOISTURE,
    "tcw": _MOISTURE,
    "sp": ramp((0.28, 0.97), (330.0, 460.0), 0.14),
}


def field_palette(dataset: str, units: str, lowest: float) -> list[str]:
    """Of the maps of a data set; of one's own by what kind of quantity it is."""
    kind = "t" if units == "K" else "q" if lowest == 0 else "sp"
    return FIELD_PALETTES.get(dataset, VARIABLE_PALETTES[kind])


ERROR_PALETTE = palette["CET_D1A"]
RESIDUAL_PALETTE = palette["CET_D3"]
FORCE_PALETTE = palette["CET_D2"]
SPREAD_PALETTE = ramp((0.98, 0.30), (60.0, -40.0), 0.15)  # certain pale, uncertain plum
PROBABILITY_PALETTE = ramp((0.98, 0.30), (130.0, 230.0), 0.13)  # never pale, certain teal
OTHER = "#2a6fb0"  # B, beside A
CURVES = {"truth": INK, "input": "#8a98a3", "result": ACCENT, "members": "#8b3f8f", "other": OTHER}
MOMENT_CURVES = {"truth": INK, "interpolation": "#8a98a3", "equations": ACCENT, "no-equations": "#8b3f8f"}
STATE_CURVES = {"truth": INK, "background": "#8a98a3", "analysis": ACCENT, "members": "#8b3f8f", "other": OTHER}
DRAW_CURVES = {"truth": INK, "bicubic": "#8a98a3", "mean": ACCENT, "members": "#8b3f8f", "other": OTHER}
MORE_COLOURS = ("#5b7f00", "#7a5cc9", "#00838f", "#a1452e")  # of constraints that name none
CONSTRAINT_COLOURS = {
    name: spec.colour or MORE_COLOURS[at % len(MORE_COLOURS)]
    for at, (name, spec) in enumerate(specs("constraints").items())
}
KIND_MARKERS = {
    "baseline": "square",
    "statistical": "triangle",
    "network": "circle",
    "ensemble": "diamond",
    "sequence": "hex",
}


def _mui(colours: dict[str, str]) -> dict:
    return {
        "palette": {
            "primary": {"main": colours["primary"]},
            "background": {"default": colours["ground"], "paper": colours["paper"]},
            "text": {"primary": colours["ink"], "secondary": colours["quiet"]},
        },
        "typography": {"fontFamily": FONT, "button": {"textTransform": "none"}},
        "shape": {"borderRadius": 6},
    }


MUI_THEME = {"light": _mui(LIGHT), "dark": _mui(DARK)}

_SMALL, _TINY = "11px", "10px"
BOKEH_THEME = Theme(
    json={
        "attrs": {
            "Plot": {
                "background_fill_color": None, "border_fill_color": None, "outline_line_color": LINE,
                "min_border": 2, "min_border_right": 8, "min_border_left": 34, "toolbar_location": None,
            },
            "Axis": {
                "axis_line_color": None, "major_tick_line_color": LINE, "minor_tick_line_color": None,
                "major_tick_in": 0, "major_tick_out": 3, "major_label_standoff": 3,
                "major_label_text_color": QUIET, "major_label_text_font": FONT, "major_label_text_font_size": _TINY,
                "axis_label_text_color": QUIET, "axis_label_text_font": FONT, "axis_label_text_font_size": _SMALL,
                "axis_label_text_font_style": "normal", "axis_label_standoff": 4,
            },
            "Grid": {"grid_line_color": "#eef1f3"},
            "ColorBar": {
                "major_label_text_color": QUIET, "major_label_text_font": FONT, "major_label_text_font_size": _TINY,
                "major_tick_line_color": None, "bar_line_color": None, "background_fill_color": None,
                "label_standoff": 3,
            },
            "Legend": {
                "label_text_color": INK, "label_text_font": FONT, "label_text_font_size": _SMALL,
                "border_line_color": None,
                "background_fill_color": PAPER, "background_fill_alpha": 0.7, "spacing": 0, "padding": 4, "margin": 4,
                "glyph_height": 16, "glyph_width": 18, "label_height": 14, "label_standoff": 4,
            },
            "Title": {"text_color": INK, "text_font": FONT, "text_font_size": "12px"},
        }
    }
)  # fmt: skip

CARD_STYLE = {"background": var("paper"), "border": f"1px solid {var('line')}", "border-radius": "8px"}

SHEET = f"""
:host {{ font-family: {FONT}; color: {var("ink")}; font-size: 13px; line-height: 1.4; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 3px 5px; text-align: right; border-bottom: 1px solid {var("rule")}; white-space: nowrap;
          font-size: 12px; }}
th {{ color: {var("quiet")}; font-weight: 500; vertical-align: bottom; white-space: normal; }}
th:first-child, td:first-child {{ text-align: left; padding-left: 0; color: {var("quiet")}; }}
td:first-child {{ white-space: normal; }}  /* numbers are not cut where a label is long */
.scroll td:first-child {{ white-space: nowrap; }}
td.this {{ background: {var("ours")}; font-weight: 600; color: {var("ink")}; }}
th.this {{ background: {var("ours")}; color: {var("ours-ink")}; font-weight: 700; }}
td.best {{ color: {var("best")}; font-weight: 700; }}
h3 {{ font-size: 13px; margin: 10px 0 4px; font-weight: 700; color: {var("ink")}; }}
p {{ margin: 4px 0 8px; }}
.caption {{ padding: 6px 10px 0; font-size: 12px; overflow-wrap: anywhere; }}
.caption b {{ margin-right: 6px; }}
small, .quiet {{ color: {var("quiet")}; font-size: 11.5px; }}
summary {{ cursor: pointer; color: {var("primary")}; font-weight: 600; }}
details > div {{ margin-top: 4px; }}
pre {{ font-size: 11px; line-height: 1.45; background: {var("ground")}; border: 1px solid {var("line")};
      border-radius: 6px; padding: 10px; overflow-x: auto; white-space: pre; margin: 6px 0; }}
code {{ font-size: 11.5px; background: {var("ground")}; padding: 0 3px; border-radius: 3px; }}
a {{ color: {var("primary")}; }}
.scroll {{ overflow-x: auto; }}
th button.sort {{ border: 0; padding: 0; background: none; color: inherit; font-weight: inherit; text-align: inherit; }}
th[aria-sort=ascending] button::after {{ content: " ▲"; }}
th[aria-sort=descending] button::after {{ content: " ▼"; }}
.filter {{ display: block; margin: 6px 0; }}
.filter input {{ font: inherit; padding: 3px 8px; border: 1px solid {var("line")}; border-radius: 5px;
                 background: {var("paper")}; color: {var("ink")}; }}
.card-table td {{ white-space: normal; overflow-wrap: anywhere; text-align: left; vertical-align: top; }}
.card-table td:first-child {{ white-space: nowrap; overflow-wrap: normal; padding-right: 10px; }}
.number {{ white-space: nowrap; }}
button {{ font: inherit; font-size: 12px; padding: 2px 10px; border: 1px solid {var("line")}; border-radius: 5px;
          background: {var("paper")}; color: {var("primary")}; cursor: pointer; }}
.prompt, .note, .error {{ padding: 7px 12px; border-radius: 6px; border-left: 4px solid {var("accent")}; }}
.prompt {{ background: {var("prompt")}; }}
.note {{ border-color: {var("note-edge")}; background: {var("note")}; margin: 4px; }}
.error {{ border-color: {var("error-edge")}; background: {var("error")}; margin: 4px; }}
"""

LABEL_SHEET = (
    f":host {{ font-family: {FONT}; font-size: 12px; font-weight: 600; color: {var('quiet')}; margin-bottom: -2px; }}"
)
NAMED_SHEET = """
.MuiFormLabel-root, .MuiFormControl-root > .MuiBox-root > .MuiTypography-body2 { font-size: 0 !important; }
.MuiFormLabel-root strong { display: inline-block; font-size: 14px; line-height: 20px; }
fieldset legend > span { display: none !important; }
"""
"""Of a control whose name stands above it: what it is called is there for those who hear the page, and not twice."""

SIDE_BY_SIDE = 940
"""Pixels of the main area from which tables stand beside the maps; below they stand under them."""


def view_sheet(side: int) -> str:
    """Of a view: maps on the left and `side` pixels or more of tables on the right, where there is room for both."""
    return f"""
:host {{ display: grid !important; grid-template-columns: minmax(0, 1180px) minmax({side}px, 1fr); align-items: start;
         flex: 0 0 auto !important; grid-auto-rows: max-content; }}
@container (max-width: {SIDE_BY_SIDE - 1}px) {{ :host {{ grid-template-columns: minmax(0, 1fr); }} }}
"""


def maps_sheet(least: int, most: int = 3) -> str:
    """Of the maps of a view: as many columns of `least` pixels as there is room for, `most` at most."""
    share = f"calc((100% - {8 * (most - 1)}px) / {most})"
    return f"""
:host {{ display: grid !important; gap: 8px; padding: 4px; box-sizing: border-box; flex: 0 0 auto !important;
         grid-template-columns: repeat(auto-fill, minmax(min(100%, max({least}px, {share})), 1fr)); }}
.scroll-button {{ display: none !important; }}  /* Panel's own, which would take a place among the maps */
"""


WHOLE_SHEET = ":host { flex: 0 0 auto !important; height: max-content !important; }"
"""Of what is as high as it has to be, and is scrolled with the page."""
LEAST_MAP = 141
"""Pixels of the shorter side of a map, at least."""


def least_width(aspect: float) -> int:
    """Of a card, so that the map in it, with axes and colour bar around it, is not smaller than :data:`LEAST_MAP`."""
    below = 43 if aspect > 1 else 0  # labels and colour bar; a square map is limited by its width
    return max(round(aspect * (LEAST_MAP + below)) + 8, 236)


NARROW = "@media (max-width: 700px)"  # a phone: controls below the maps, in the lower part of the screen
PAGE_SX = {
    "&": _variables(LIGHT),
    "&.mui-dark": _variables(DARK),
    "& .MuiToolbar-root": {"minHeight": "46px !important"},
    "& .MuiAppBar-root": {
        "boxShadow": "none", "backgroundColor": f"{LIGHT['primary']} !important", "backgroundImage": "none",
        "color": "#ffffff !important",
    },
    "& .MuiAppBar-root .title": {"fontSize": "18px", "fontWeight": 600},
    NARROW: {
        "&": {"flexDirection": "column-reverse"},
        "& > nav": {"width": "100% !important", "flexShrink": 0},
        '& > nav:has(.MuiDrawer-paper[style*="hidden"])': {"display": "none"},
        "& .MuiDrawer-root": {"height": "auto !important"},
        "& .MuiDrawer-paper": {
            "width": "100% !important", "height": "38vh !important", "borderRight": "none",
            "borderTop": f"2px solid {var('primary')}",
        },
        "& .MuiDrawer-paper > .MuiToolbar-root": {"display": "none"},
        "& > main": {"marginLeft": "0 !important", "width": "100%", "minHeight": 0, "flex": "1 1 0"},
    },
}  # fmt: skip
TIGHT_SX = {"& .MuiToggleButton-root": {"paddingLeft": "4px", "paddingRight": "4px", "fontSize": "12px"}}
NARROW_SX = {  # two rows
    "flexWrap": "wrap",
    "& .MuiToggleButton-root": {"padding": "4px 2px", "fontSize": "11px", "letterSpacing": 0, "flex": "1 0 30%"},
}
TICK_SX = {"& .MuiFormControlLabel-label": {"fontSize": "13px"}}
TABS_SX = {
    "& .MuiTab-root": {"minWidth": 0, "minHeight": 40, "padding": "8px 14px", "fontSize": 13},
    "& .MuiTabs-root": {"minHeight": 40},
    "& .MuiBox-root": {"overflow": "visible"},  # the page scrolls, not a part of it
}
