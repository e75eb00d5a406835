"""One browser session: controls, address and drawing around one `State`; nothing here is shared between sessions.

A change of a selection asks a worker thread for the panel and returns at once; `apps.latest` drops what a newer request
has overtaken, so a dragged slider never queues up. Panels that were made before are drawn directly.
"""

from __future__ import annotations

import html
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor

import panel as pn
import panel_material_ui as pmui

from apps import lessons, theme, views
from apps.latest import Latest
from apps.maps import MAPS, MapGrid
from apps.state import CONSTRAINTS, DATASETS, FACTORS, METHODS, MODES, Choice, State, parse_query
from apps.store import Panel, Store, Unavailable

log = logging.getLogger("physlab.explorer")
SETTLE = 10  # tenths of a second
CONTROLS = ("dataset", "frame", "factor", "method", "mode", "constraint")


class Session:
    """The Downscale view of one browser tab."""

    def __init__(
        self, store: Store, pool: Executor, background: Executor, schedule: Callable, search: str = ""
    ) -> None:
        choice, hide, problems = parse_query(search)
        self.store = store
        self.state = State()
        self.state.apply(choice, hide)
        self.panels = Latest(pool, lambda key, _: store.panel(key), self._deliver_panel, schedule)
        self.tests = Latest(background, self._test_scores, self._deliver_tests, schedule)
        self.maps = MapGrid()
        self.shown: Panel | None = None
        self._build_controls()
        self._build_page()
        self.notes: list[str] = problems
        self.state.param.watch(self._changed, list(CONTROLS))
        self.state.param.watch(lambda _: self._hide(), ["hide"])
        self._hide()
        self._changed()

    # -- controls ------------------------------------------------------------------------------------------------

    def _build_controls(self) -> None:
        """The sidebar: one labelled group for each selection."""
        s = self.state
        wide = {"sizing_mode": "stretch_width", "size": "small"}
        buttons = {**wide, "color": "primary", "button_style": "outlined", "margin": (2, 10, 8, 10)}
        self.controls = {
            "dataset": pmui.Select(
                options={v: k for k, v in DATASETS.items()}, value=s.dataset, margin=(2, 10, 8, 10), **wide
            ),
            "frame": pmui.Player(
                value=s.frame,
                start=0,
                end=max(s.frame, 1),
                interval=700,
                loop_policy="loop",
                variant="minimal",
                show_loop_controls=False,
                show_value=False,
                visible_buttons=["previous", "pause", "play", "next"],
                margin=(0, 10, 4, 10),
                sizing_mode="stretch_width",
                preview_duration=0,
            ),
            "factor": pmui.RadioButtonGroup(options={f"× {n}": n for n in FACTORS}, value=s.factor, **buttons),
            "method": pmui.RadioButtonGroup(options={v: k for k, v in METHODS.items()}, value=s.method, **buttons),
            "mode": pmui.RadioButtonGroup(options={v: k for k, v in MODES.items()}, value=s.mode, **buttons),
            "constraint": pmui.RadioButtonGroup(
                options={v: k for k, v in CONSTRAINTS.items()}, value=s.constraint, orientation="vertical", **buttons
            ),
        }
        for name, control in self.controls.items():
            self._bind(name, control)
        self.moment = views.text_pane("")
        titles = {
            "dataset": "Data",
            "frame": "Time",
            "factor": "Factor",
            "method": "Method",
            "mode": "Constraint: when",
            "constraint": "Constraint: which",
        }
        self.groups = {
            name: pn.Column(
                pn.pane.HTML(titles[name], stylesheets=[theme.LABEL_SHEET], margin=(4, 10, 0, 10)),
                self.controls[name],
                sizing_mode="stretch_width",
                margin=0,
            )
            for name in CONTROLS
        }
        self.groups["frame"].append(self.moment)
        reset = pmui.Button(label="Reset", icon="restart_alt", variant="text", on_click=lambda _: self.state.reset())
        view = pmui.Button(
            label="Whole map", icon="zoom_out_map", variant="text", on_click=lambda _: self.maps.reset_view()
        )
        self.status = views.text_pane("", margin=(0, 12))
        self.sidebar = pn.Column(
            *self.groups.values(), pn.Row(reset, view, margin=(0, 4)), self.status, sizing_mode="stretch_width"
        )

    def _build_page(self) -> None:
        """The main area: words on top, maps and spectra on the left, scores and provenance on the right."""
        self.messages, self.prompt = views.text_pane("", margin=0), views.text_pane("", margin=(0, 4))
        self.scores, self.tests_pane, self.card, self.code = (views.text_pane("", margin=(0, 10)) for _ in range(4))
        cells = [
            pn.Column(
                self.maps.captions[name],
                self.maps.panes[name],
                styles=theme.CARD_STYLE,
                sizing_mode="stretch_width",
                margin=4,
            )
            for name in (*MAPS, "spectrum")
        ]
        self.cells = dict(zip((*MAPS, "spectrum"), cells, strict=True))
        grid = pn.Column(
            self.prompt,
            pn.Row(*cells[:3], sizing_mode="stretch_width", margin=0),
            pn.Row(*cells[3:], sizing_mode="stretch_width", margin=0),
            sizing_mode="stretch_width",
            margin=0,
        )
        tabs = {
            "scores": pn.Column(self.scores, self.tests_pane, margin=0, sizing_mode="stretch_width"),
            "card": self.card,
            "code": self.code,
            "help": views.text_pane(lessons.HELP, margin=(0, 10)),
        }
        shown = [(name.capitalize(), view) for name, view in tabs.items() if name not in self.state.hide]
        self.tabs = pmui.Tabs(*shown, sizing_mode="stretch_width", margin=0, sx=theme.TABS_SX) if shown else pn.Column()
        side = pn.Column(self.tabs, width=330, styles=theme.CARD_STYLE, margin=4, visible=bool(shown))
        self.main = pn.Column(
            self.messages,
            pn.Row(grid, side, sizing_mode="stretch_width", margin=0),
            sizing_mode="stretch_width",
            margin=8,
        )

    def _bind(self, name: str, control) -> None:
        control.param.watch(lambda event: setattr(self.state, name, event.new), "value")
        self.state.param.watch(lambda event: setattr(control, "value", event.new), name)

    def _hide(self) -> None:
        """Show only what the lesson needs."""
        hidden = set(self.state.hide)
        for name, group in {**self.groups, **self.cells, "prompt": self.prompt}.items():
            group.visible = name not in hidden

    def say(self, sentences: list[str], kind: str = "note") -> None:
        """Messages above the maps; an empty list clears them."""
        self.messages.object = "".join(
            f'<div class="{kind}" data-message="{kind}">{html.escape(s)}</div>' for s in sentences
        )

    # -- the round trip ------------------------------------------------------------------------------------------

    def _changed(self, *_) -> None:
        """A selection changed: draw what is known, ask for the rest."""
        choice = self.state.choice()
        self.controls["mode"].disabled = choice.method != "network"
        known = self.store.cached(choice)
        if known is not None:
            self.panels.cancel()
            self._deliver_panel(choice, known)
        else:
            self.panels.request(choice)

    def _deliver_panel(self, choice: Choice, value: Panel | Exception) -> None:
        with pn.io.hold():
            if isinstance(value, Exception):
                if not isinstance(value, Unavailable):
                    log.error("panel %s failed", choice, exc_info=value)
                self.say([str(value) or type(value).__name__], kind="error")
                self._status(choice, "failed")
            else:
                self.show(value, choice)

    def show(self, panel: Panel, asked: Choice) -> None:
        """Draw a panel everywhere."""
        last = panel.frames - 1
        self.controls["frame"].end = max(last, 1)
        if asked.frame > last:
            self.notes.append(f"This data set has {panel.frames} test frames, 0 to {last}: showing the last one.")
            self.state.frame = last  # comes back here with the frame that there is
            return
        self.say([*self.notes, *filter(None, [panel.note])])
        self.notes = []
        self.shown = panel
        self.maps.update(panel, lessons.title(panel.choice))
        self.prompt.object = views.prompt_html(panel)
        self.scores.object = views.scores_html("frame", "This frame", panel.scores, panel.units)
        self.card.object = views.card_html(panel.choice, self.store.card(panel.choice))
        self.code.object = views.code_html(self.store.code(panel.choice))
        self.moment.object = (
            f'<span class="quiet">{panel.time} UTC · frame {panel.choice.frame + 1} of {panel.frames}</span>'
        )
        self._status(asked, "ready", f"made in {1000 * panel.seconds:.0f} ms")
        scores = self.store.cached_test_scores(asked)
        self._show_tests(scores)
        if scores is None:
            self.tests.request(asked)
        else:
            self.tests.cancel()

    def _test_scores(self, choice: Choice, cancelled: Callable[[], bool]):
        """Scores over the test split, once the selections have rested for a second: they cost more than a panel."""
        for _ in range(SETTLE):
            if cancelled():
                return None
            time.sleep(0.1)
        return self.store.test_scores(choice, cancelled)

    def _deliver_tests(self, choice: Choice, value) -> None:
        if isinstance(value, Exception):
            log.error("test scores of %s failed", choice, exc_info=value)
            self.tests_pane.object = f'<p class="quiet">Test set: {html.escape(str(value))}</p>'
        elif value is not None:
            self._show_tests(value)

    def _show_tests(self, scores) -> None:
        frames, units = (self.shown.frames, self.shown.units) if self.shown else (0, "")
        self.tests_pane.object = views.scores_html("test", f"All {frames} test frames", scores, units)

    def _status(self, choice: Choice, state: str, words: str = "") -> None:
        key = "|".join(str(getattr(choice, name)) for name in CONTROLS)
        self.status.object = f'<span class="quiet" data-status="{state}" data-key="{key}">{html.escape(words)}</span>'

    def close(self) -> None:
        """The browser tab is gone."""
        self.panels.cancel()
        self.tests.cancel()
