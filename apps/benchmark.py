"""All methods in two linked scatters, from the results table: RMSE against conservation error, spectral divergence or
time, and against a second of these. What is selected in one is selected in both, and alone stays in the table."""

from __future__ import annotations

import html
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
from bokeh.core.properties import field, value
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, Scatter
from bokeh.models.annotations import Legend, LegendItem
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure
from holoviews.plotting.bokeh import BokehRenderer

from apps import theme
from apps.chapters import filter_html, head_html, live_link
from apps.language import word
from apps.options import AGAINST, CONSTRAINTS, NETWORKS
from apps.views import text_pane

NAMED = 8  # selected methods whose names are drawn
FLOOR = 1e-8  # of the horizontal axis: rounding errors of exact methods are drawn there
AXES = {
    "conservation_error": "conservation error, {units}",
    "spectral_divergence": "spectral divergence",
    "s_per_megapixel": "seconds per million fine points, one thread",
}
BESIDE = {  # what the second scatter shows
    "conservation_error": "s_per_megapixel",
    "spectral_divergence": "conservation_error",
    "s_per_megapixel": "conservation_error",
}
TIPS = """<div style="font: 12px Roboto, sans-serif"><b>@label</b> · @kind · seeds: @seeds<br>
RMSE @rmse_text, gain on bicubic+add @gain_text<br>conservation @conservation_error{0.0e+0}, spectrum
@spectral_divergence{0.0e+0}<br>@speed_text</div>"""


def linked_scatters() -> hv.Layout:
    """Two clouds of points over one table, so that a selection in one is a selection in both (linked brushing)."""
    numbers = {name: [1.0, 2.0] for name in ("x", "x2", "y")}  # replaced at once
    nothing = pd.DataFrame(numbers | {"color": "white", "marker": "circle"})
    style = {"color": "color", "marker": "marker", "size": 12, "line_color": "white", "alpha": 0.9, "logx": True,
             "responsive": True, "height": 440, "default_tools": ["pan", "wheel_zoom", "box_select", "tap", "reset"],
             "active_tools": ["box_select"], "nonselection_alpha": 0.12}  # fmt: skip
    clouds = [hv.Points(nothing, [x, "y"], ["color", "marker"]).opts(**style) for x in ("x", "x2")]
    return hv.Layout(clouds).opts(shared_datasource=True, merge_tools=True)


class Benchmark:
    """Two scatters and their table; `update` draws a summary, `say` a sentence instead."""

    def __init__(self) -> None:
        self.heading, self.table = text_pane("", margin=(0, 4)), text_pane("", margin=(0, 10, 10, 10))
        sheets = [theme.maps_sheet(400, 2)]
        self.clouds = pn.Column(sizing_mode="stretch_width", margin=0, stylesheets=sheets)
        self.plot = pn.Column(self.clouds, sizing_mode="stretch_width", margin=(0, 8))
        self.view = pn.Column(
            self.heading, self.plot, self.table, sizing_mode="stretch_width", styles=theme.CARD_STYLE, margin=4
        )
        self.figures: list[figure] = []
        self.source = ColumnDataSource()
        self.summary, self.drawn, self.units, self.data = pd.DataFrame(), pd.DataFrame(), "", ("tcw", 4)
        self._build()

    def _build(self) -> None:
        """Make the figures, which come with the view: a browser takes no changes of what it is still building."""
        drawn = BokehRenderer.instance().get_plot(linked_scatters()).state
        points: list[Any] = sorted(drawn.select({"type": GlyphRenderer}), key=lambda mark: mark.glyph.x)  # x, x2
        self.figures = [next(f for f in drawn.select({"type": figure}) if mark in f.renderers) for mark in points]
        self.source, height = points[0].data_source, DataRange1d()
        for fig, mark, number in zip(self.figures, points, ("", "2"), strict=True):
            fig.x_range, fig.y_range, x = DataRange1d(), height, f"x{number}"
            for glyph in (mark.glyph, mark.selection_glyph, mark.nonselection_glyph, mark.muted_glyph):
                if isinstance(glyph, Scatter):  # HoloViews takes a column of one value as that value
                    glyph.update(fill_color=field("color"), marker=field("marker"))
            bars: dict[str, Any] = {
                "source": self.source,
                "line_color": "color",
                "line_alpha": 0.6,
                "level": "underlay",
            }
            fig.segment(f"left{number}", "y", f"right{number}", "y", **bars)
            fig.segment(x, "low", x, "high", **bars)
            fig.text(
                x, "y", text="name", source=self.source, x_offset=8, y_offset=4, text_color=theme.QUIET,
                text_font_size="10px", text_font=value(theme.FONT),
            )  # fmt: skip
            fig.add_tools(HoverTool(renderers=[mark], tooltips=TIPS))
        self.source.selected.on_change("indices", lambda attr, old, new: self._table())
        self._legend(self.figures[-1])
        for fig, name in zip(self.figures, ("first", "second"), strict=True):  # one by one: beside or below each other
            fig.update(sizing_mode="stretch_width", toolbar_location="above", tags=[name])
            self.clouds.append(pn.pane.Bokeh(fig, sizing_mode="stretch_width"))

    @staticmethod
    def _legend(fig: figure) -> None:
        """Colours are constraints, shapes are kinds of methods."""
        items = []
        for name, colour in theme.CONSTRAINT_COLOURS.items():
            mark: Any = fig.scatter([np.nan], [np.nan], marker="circle", fill_color=colour, line_color="white", size=11)
            items.append(LegendItem(label=word(CONSTRAINTS[name].lower()), renderers=[mark]))
        for kind, marker in theme.KIND_MARKERS.items():
            mark = fig.scatter([np.nan], [np.nan], marker=marker, fill_color="white", line_color=theme.INK, size=10)
            items.append(LegendItem(label=word(kind), renderers=[mark]))
        fig.add_layout(Legend(items=items, location="center", orientation="horizontal", ncols=4), "below")

    def say(self, sentence: str) -> None:
        """There is nothing to draw."""
        self.heading.object = f'<div class="note" data-benchmark="missing">{html.escape(sentence)}</div>'
        self.plot.visible = self.table.visible = False

    def chapter(self, title: str, tables: str) -> None:
        """The tables of another study, without figures."""
        self.heading.object = f'<div class="caption" data-benchmark="ready"><b>{html.escape(title)}</b></div>'
        self.table.object = f'<div lang="en">{tables}</div>'
        self.plot.visible, self.table.visible = False, True

    def update(
        self, summary: pd.DataFrame, units: str, title: str, against: str, data: tuple[str, int] = ("tcw", 4)
    ) -> None:
        """Draw one row of the summary as one point; rows without the horizontal quantity are left out and counted."""
        beside = BESIDE[against]
        rows = summary[np.isfinite(summary["rmse"]) & np.isfinite(summary[against])]
        x, y = rows[against].to_numpy(float), rows["rmse"].to_numpy(float)
        x2 = rows[beside].to_numpy(float)
        spreads = (rows[f"{name}_spread"].fillna(0.0).to_numpy(float) for name in (against, beside, "rmse"))
        dx, dx2, dy = spreads
        baseline = (rows["kind"] == "baseline").to_numpy()
        labels = [label(row) for _, row in rows.iterrows()]
        self.source.selected.indices = []
        self.source.data = {
            "x": np.maximum(x, FLOOR), "y": y,
            "left": np.maximum(x - dx, FLOOR), "right": np.maximum(x + dx, FLOOR), "low": y - dy, "high": y + dy,
            "x2": np.maximum(x2, FLOOR), "left2": np.maximum(x2 - dx2, FLOOR), "right2": np.maximum(x2 + dx2, FLOOR),
            "color": [theme.CONSTRAINT_COLOURS.get(c, theme.QUIET) for c in rows["constraint"]],
            "marker": [theme.KIND_MARKERS.get(kind, "circle") for kind in rows["kind"]],
            "label": labels, "kind": rows["kind"].to_list(), "seeds": rows["seeds"].to_list(),
            "rmse_text": [f"{with_spread(row, 'rmse')} {units}" for _, row in rows.iterrows()],
            "gain_text": [f"{100 * gain:+.1f} %" for gain in rows["gain"]],
            "conservation_error": rows["conservation_error"].to_numpy(float),
            "spectral_divergence": rows["spectral_divergence"].to_numpy(float),
            "speed_text": [f"{s:.2g} s per megapixel" if np.isfinite(s) else "" for s in rows["s_per_megapixel"]],
            "name": [text if is_baseline else "" for text, is_baseline in zip(labels, baseline, strict=True)],
        }  # fmt: skip
        for fig, quantity in zip(self.figures, (against, beside), strict=True):
            fig.xaxis.axis_label = word(AXES[quantity].format(units=units))
            fig.yaxis.axis_label = f"RMSE, {units}"
            said = f"{len(rows)} methods: RMSE against {AGAINST[quantity].lower()}; the table below has their numbers."
            named = {
                "role": "group",
                "tabindex": "0",
                "aria-label": word(said),
                "data-map": fig.id,
                "data-name": fig.tags[0],
            }
            fig.html_attributes = {**named, "data-caption": word(f"RMSE against {AGAINST[quantity].lower()} · {title}")}
        left_out = len(summary) - len(rows)
        words = f" {left_out} without this quantity are not drawn." if left_out else ""
        floor = f" Values below {FLOOR:.0e} are drawn there." if (x < FLOOR).any() else ""
        self.heading.object = (
            f'<div class="caption" data-benchmark="ready" data-rows="{len(rows)}"><b>RMSE against '
            f'{AGAINST[against].lower()}</b><span class="quiet">{html.escape(title)}: {len(rows)} methods on the '
            f"whole test set, mean over seeds. Lower left is better; what you select is selected in both figures, and "
            f"alone in the table.{words}{floor}</span></div>"
        )
        self.summary, self.drawn, self.units, self.data = summary, rows, units, data
        self._table()
        self.plot.visible = self.table.visible = True

    def _table(self) -> None:
        """The rows that are selected, or all of them."""
        chosen = self.source.selected.indices
        rows = self.drawn.iloc[chosen] if chosen else self.summary
        self.table.object = table_html(rows, self.units, *self.data)
        if self.drawn is not self.summary or len(self.drawn):  # names of baselines, and of the few that are selected
            few = chosen if len(chosen) <= NAMED else []
            names = [label(row) if row["kind"] == "baseline" or at in few else "" for at, (_, row) in
                     enumerate(self.drawn.iterrows())]  # fmt: skip
            if list(self.source.data.get("name", [])) != names:
                self.source.patch({"name": [(slice(len(names)), names)]})


def label(row: pd.Series) -> str:
    """A method and its constraint in words."""
    name = NETWORKS.get(row["model"], row["model"])
    preset = f" ({row['preset']})" if isinstance(row["preset"], str) and row["preset"] != "cpu" else ""
    return f"{name}{'' if row['constraint'] == 'none' else ' + ' + row['constraint']}{preset}"


def with_spread(row: pd.Series, name: str, digits: int = 3) -> str:
    """Mean and standard deviation over seeds."""
    spread = row[f"{name}_spread"]
    return f"{row[name]:.{digits}f}" + (f" ± {spread:.{digits}f}" if np.isfinite(spread) else "")


def table_html(summary: pd.DataFrame, units: str, dataset: str = "tcw", factor: int = 4) -> str:
    """The same rows as a table, the smallest error first."""
    head = ("Method", "Kind", "Seeds", f"RMSE, {units}", "Gain", f"Conservation, {units}", "Spectrum", "CRPS",
            "Spread / skill", "s / megapixel")  # fmt: skip
    body = []
    for _, row in summary.sort_values("rmse").iterrows():
        numbers = [
            with_spread(row, "rmse"), f"{100 * row['gain']:+.1f} %", f"{row['conservation_error']:.1e}",
            f"{row['spectral_divergence']:.1e}", f"{row['crps']:.3f}", f"{row['spread_skill']:.2f}",
            f"{row['s_per_megapixel']:.2g}",
        ]  # fmt: skip
        link, name = live_link(row, dataset, factor), html.escape(label(row))
        cells = [
            f'<a href="{html.escape(link)}">{name}</a>' if link else name,
            row["kind"],
            row["seeds"],
            *("–" if "nan" in n else n for n in numbers),
        ]
        value = f' data-value="{float(row["rmse"])!r}" data-method="{html.escape(row["model"])}"'
        body.append(f"<tr{value}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    table = (
        f'<table data-table="benchmark" data-sort="rows"><thead>{head_html(list(head))}</thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
    )
    region = 'class="scroll" tabindex="0" role="region" aria-label="Methods and scores"'
    return f"{filter_html('methods')}<div {region}>{table}</div>"
