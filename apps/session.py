"""One browser session: controls, address and drawing around one `State`; nothing here is shared between sessions.

A change of a selection asks a worker thread for the panel and returns at once; `apps.latest` drops what a newer request
has overtaken, so a dragged slider never queues up. Panels that were made before are drawn directly.
"""

from __future__ import annotations

import html
import io
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import cached_property
from typing import Any, TypeVar

import panel as pn
import panel_material_ui as pmui

from apps import lessons, theme, views
from apps.assimilate.view import Assimilate
from apps.benchmark import Benchmark
from apps.beside import Beside, buttons
from apps.cards import checkpoint_html
from apps.continuous.view import Continuous
from apps.controls import FROM_CONTROL, IN_VIEW, TITLES, TO_CONTROL, make_controls
from apps.ensemble.view import Ensemble
from apps.frame import Frame
from apps.latest import Latest
from apps.lazily import Lazily
from apps.maps import ENSEMBLE, ROWS, MapGrid
from apps.options import ASSIMILATORS, COMPARED, CONSTRAINTS, DATASETS, HOURS, NETWORKS, STUDIES
from apps.panes import Panes
from apps.problems import sentence
from apps.second import Second
from apps.sides import of_panel
from apps.state import CHOICE_NAMES, Choice, State, parse_query
from apps.store import Overtaken, Panel, Store

log = logging.getLogger("physlab.explorer")
SETTLE = 10  # tenths of a second
LONGEST = {"downscale": 90.0, "assimilate": 330.0, "ensemble": 330.0}  # s until a page no longer waits for an answer
View = TypeVar("View", Continuous, Assimilate, Ensemble)


class Session:
    """The page of one browser tab: the Downscale view, and around it the four others.

    Only what is looked at is made: views and controls come when they are first shown.
    """

    def __init__(
        self, store: Store, pool: Executor, background: Executor, schedule: Callable, search: str = ""
    ) -> None:
        choice, hide, problems = parse_query(search)
        self.store = store
        self.state = State()
        self.state.apply(choice, hide)
        self.panels = Latest(pool, store.panel, self._deliver_panel, schedule)
        self.tables = Latest(
            pool, lambda c, over: store.benchmark(c.dataset, c.factor), self._deliver_benchmark, schedule
        )
        self.tests = Latest(background, self._test_scores, self._deliver_tests, schedule)
        chapter = lambda choice, over: store.chapter(choice.study, over)  # noqa: E731
        self.chapters = Latest(pool, chapter, self._deliver_chapter, schedule)
        self.pairs = Latest(background, self._paired, self._deliver_paired, schedule)
        self.benchmark = Benchmark()
        self._workers, self._background, self._schedule = (pool, schedule), background, schedule
        self._watch, self._now = threading.Timer(0, print), (Choice(), "")
        self._hooks = self.state, self._announce, self._status
        self._others: dict[str, Panes] = {}  # views that somebody has looked at, besides Downscale and Benchmark
        self.shown: Panel | None = None
        self._newest: Choice | None = None
        self.notes: list[str] = problems
        self._build_controls()
        self._build_page()
        self.state.param.watch(self._changed, list(CHOICE_NAMES))
        self.state.param.watch(lambda _: self._hide(), ["hide"])
        self._changed()

    @cached_property
    def continuous(self) -> Continuous:
        """The Continuous view, made when somebody first looks at it."""
        (pool, schedule), hooks = self._workers, self._hooks
        view = Continuous(self.store.moments, pool, schedule, self._background, *hooks)
        return self._beside("continuous", view, where=view.locator.pane, moment=view.moment)

    @cached_property
    def assimilate(self) -> Assimilate:
        """The Assimilate view, made when somebody first looks at it."""
        view = Assimilate(self.store.analyses, *self._workers, *self._hooks, self._hide)
        return self._beside("assimilate", view, when=view.moment, own=view.own)

    @cached_property
    def ensemble(self) -> Ensemble:
        """The Ensemble view, made when somebody first looks at it."""
        view = Ensemble(self.store.ensembles, *self._workers, *self._hooks, self._hide)
        return self._beside("ensemble", view, day=view.moment)

    def _beside(self, name: str, view: View, **panes: pn.viewable.Viewable) -> View:
        """Keep a view that somebody looks at, with its panes below the controls of these names."""
        self._others[name] = view
        for group, pane in panes.items():
            self.groups[group].append(pane)
        return view

    # -- controls ------------------------------------------------------------------------------------------------

    def _build_controls(self) -> None:
        """The sidebar: one labelled group for each selection, made when it is first shown."""
        makers = make_controls(self.state, self._networks)
        self.controls = Lazily(lambda name: self._bind(name, makers[name]()))
        self.moment = views.text_pane("")
        self.groups = Lazily(
            lambda name: pn.Column(
                pn.pane.HTML(TITLES[name], stylesheets=[theme.LABEL_SHEET], margin=(4, 10, 0, 10)),
                *([self.controls[name]] if name in makers else []),
                *([self.moment] if name == "frame" else []),
                sizing_mode="stretch_width",
                margin=0,
                visible=False,
            )
        )
        plain = {"variant": "text", "color": "primary"}
        reset = pmui.Button(label="Reset", icon="restart_alt", on_click=lambda _: self.state.reset(), **plain)
        view = pmui.Button(label="Whole map", icon="zoom_out_map", on_click=lambda _: self._reset_view(), **plain)
        self.status = views.said_pane(margin=(0, 12))
        self.other_words, self.other_group = buttons(self._pin, self._swap, self._clear)
        self._below = (self.other_group, pn.Row(reset, view, margin=(0, 4)), self.status)  # the controls
        self.sidebar = pn.Column(*self._below, sizing_mode="stretch_width")

    def _build_page(self) -> None:
        """The main area: words on top, maps and spectra on the left, scores and provenance on the right."""
        self._again = pmui.Button(label="Try again", icon="refresh", size="small", variant="outlined", margin=4,
                                  visible=False, on_click=lambda _: self._changed())  # fmt: skip
        self.messages, self.prompt = views.said_pane(), views.text_pane("", margin=(0, 4))
        self.scores, self.tests_pane, self.card, self.code = (views.text_pane("", margin=(0, 10)) for _ in range(4))
        self.file = pmui.FileDownload(
            callback=self._file, filename="physlab.nc", label="These maps, NetCDF", margin=(0, 4)
        )
        self.file.visible = False  # until there is a panel
        inside = {"container-type": "inline-size"}  # layouts ask how wide it is
        sheets = [theme.WHOLE_SHEET]
        self.main = pn.Column(self.messages, sizing_mode="stretch_width", margin=8, styles=inside, stylesheets=sheets)

    @cached_property
    def maps(self) -> MapGrid:
        """The maps of the Downscale view, made when somebody first looks at it."""
        return MapGrid()

    @cached_property
    def frame(self) -> Frame:
        """The Downscale view, made when somebody first looks at it."""
        tabs = {
            "scores": pn.Column(self.scores, self.tests_pane, margin=0, sizing_mode="stretch_width"),
            "card": self.card,
            "code": pn.Column(self.code, self.file, margin=0, sizing_mode="stretch_width"),
            "help": views.text_pane(lessons.HELP, margin=(0, 10)),
        }
        made = Frame.of(self.maps, ROWS, self.prompt, tabs, self.state.hide, 320)
        made.view.visible = False  # until it is the view
        return made

    @cached_property
    def second(self) -> Second:
        """B of the Downscale view."""
        pool, schedule = self._workers
        make = lambda: Beside(self.maps, self.frame, self.maps.spectrum)  # noqa: E731
        side = lambda panel, _: of_panel(panel, self.store.card(panel.choice), self.store.code(panel.choice))  # noqa: E731
        work = self.store
        return Second(make, work.cached, work.panel, side, pool, schedule, self.state, self._ask_paired)

    @property
    def tabs(self) -> pn.viewable.Viewable:
        """Scores, card, code and help beside them."""
        return self.frame.tabs

    @property
    def downscale(self) -> pn.Column:
        """Its maps and tabs."""
        return self.frame.view

    @property
    def cells(self) -> Mapping[str, pn.Column]:
        """The cards of the maps of the Downscale view."""
        return self.frame.cells

    def _file(self) -> io.BytesIO:
        """What is on the screen, for the browser to keep."""
        assert self.shown is not None
        return io.BytesIO(self.store.netcdf(self.shown))

    def _bind(self, name: str, control):
        """Control and state follow each other."""
        there, back = TO_CONTROL.get(name, lambda value: value), FROM_CONTROL.get(name, lambda value: value)
        control.param.update(label=TITLES[name], stylesheets=[theme.NAMED_SHEET])  # for those who hear the page
        control.param.watch(lambda event: self._picked(name, back(event.new)), "value")
        self.state.param.watch(lambda event: setattr(control, "value", there(event.new)), name)
        return control

    def _picked(self, name: str, value) -> None:
        """A control was used: other data or another network bring a network and a constraint that are there."""
        if value == getattr(self.state, name):
            return
        choice, changes = self.state.choice().with_(**{name: value}), {name: value}
        if name in ("dataset", "network") and choice.method == "network" and choice.mode == "trained":
            offers = self.store.offers(choice.dataset, choice.factor)
            if offers and choice.network not in offers:
                changes["network"] = "compact" if "compact" in offers else next(iter(offers))
            there = offers.get(changes.get("network", choice.network), [])
            if there and choice.constraint not in there:
                changes["constraint"] = next((c for c in ("softmax", "add") if c in there), there[0])
                network, new = (changes.get("network", choice.network), CONSTRAINTS[changes["constraint"]])
                names = ", ".join(CONSTRAINTS[c].lower() for c in there)
                self.notes.append(f"{NETWORKS[network]} is here with {names}: constraint set to {new.lower()}.")
        self.state.param.update(**changes)

    def _networks(self) -> dict[str, str]:
        """Label -> name of the networks for the chosen data, and the selected one."""
        there = self.store.offers(self.state.dataset, self.state.factor)
        return {label: name for name, label in NETWORKS.items() if name in there or name == self.state.network}

    def _assimilators(self) -> dict[str, str]:
        """Label -> name of the installed methods of assimilation, and the selected one."""
        there = self.store.analyses.offers()
        return {label: name for name, label in ASSIMILATORS.items() if name in there or name == self.state.assimilator}

    def _hide(self) -> None:
        """Show only what the lesson needs and the selection has."""
        state, members = self.state, self.shown.members if self.shown else 0
        absent = {
            **dict.fromkeys(
                ("dataset", "factor", "against"), state.view == "benchmark" and state.study != "downscaling"
            ),
            "network": state.method != "network",
            "statistic": state.method != "statistical",
            "hour": state.dataset not in HOURS,
            "show": not members,
            "members": not self.store.analyses.has_members(state.assimilator),
            **dict.fromkeys(ENSEMBLE, not members),
            **dict.fromkeys(("day", "draws"), state.weight != "live"),  # stored members have theirs
            "seed": state.view == "ensemble" and state.weight != "live",
        }
        hidden = {*state.hide, *(name for name, gone in absent.items() if gone)}
        hidden |= set(TITLES) - set(IN_VIEW[state.view])
        if state.view in ("continuous", "assimilate", "ensemble"):
            getattr(self, state.view)  # made now
        self._arrange([name for name in TITLES if name not in hidden])
        views_: dict[str, pn.viewable.Viewable] = {"benchmark": self.benchmark.view}
        if state.view == "downscale" or "frame" in vars(self):
            views_["downscale"] = self.downscale
            for name, cell in {**self.cells, "prompt": self.prompt}.items():
                cell.visible = name not in hidden
        if "ensemble" in self._others and self.ensemble.shown:
            self.controls["which"].end = max(self.ensemble.shown.members, state.which)
        for name, other in self._others.items():
            other.hide(set(state.hide))
            views_[name] = other.view
        for name, view in views_.items():
            view.visible = name == state.view
        if views_[state.view] not in self.main:  # what nobody has looked at is not sent to the browser
            self.main.append(views_[state.view])

    def _arrange(self, shown: list[str]) -> None:
        """The groups of these controls, made if need be, in their order."""
        for name in shown:
            self.groups[name]  # made now
        made = [self.groups[name] for name in TITLES if name in self.groups]
        if self.sidebar.objects != [*made, *self._below]:
            self.sidebar.objects = [*made, *self._below]
        for name, group in self.groups.items():
            group.visible = name in shown

    def say(self, sentences: list[str], kind: str = "note") -> None:
        """Messages above the maps; an empty list clears them."""
        self.messages.object = "".join(
            f'<div class="{kind}" data-message="{kind}">{html.escape(s)}</div>' for s in sentences
        )

    def _announce(self, sentences: list[str], kind: str = "note") -> None:
        """Messages with what was noted on the way to them."""
        if kind == "note":
            sentences, self.notes = [*self.notes, *sentences], []
        self.say(sentences, kind)

    def _reset_view(self) -> None:
        """Undo pan and wheel."""
        if "maps" in vars(self):
            self.maps.reset_view()
        for view in self._others.values():
            view.maps.reset_view()

    # -- the round trip ------------------------------------------------------------------------------------------

    def _changed(self, *_) -> None:
        """A selection changed: draw what is known, ask for the rest."""
        choice = self.state.choice()
        with pn.io.hold():
            self._hide()
            self._show_other(choice)
            if "mode" in self.controls:
                self.controls["mode"].disabled = choice.method != "network"
            if "network" in self.controls:
                self.controls["network"].param.update(options=self._networks(), value=choice.network)
            if "assimilator" in self.controls:
                self.controls["assimilator"].param.update(options=self._assimilators(), value=choice.assimilator)
        for name, view in self._others.items():
            if name != choice.view:
                view.cancel()
        if choice.view != "downscale":
            self.panels.cancel()
            self.tests.cancel()
            self.pairs.cancel()
            self.second.cancel()
            there = self._others.get(choice.view)
            there.request(choice) if there else self._show_benchmark(choice)
            return
        self.tables.cancel()
        film = self._newest is not None and choice == self._newest.with_(frame=choice.frame)
        self._newest, known = choice, self.store.cached(choice)
        if known is not None:
            self.panels.cancel()
            self._deliver_panel(choice, known)
        elif not self.panels.request(choice, patient=film).done():
            self._status(choice, "computing", "computing …")

    def _show_benchmark(self, choice: Choice) -> None:
        """All methods for the chosen data and factor, or the table of another chapter."""
        if choice.study != "downscaling":
            known = self.store.cached_chapter(choice.study)
            if known is not None:
                self._deliver_chapter(choice, known)
            elif not self.chapters.request(choice).done():
                self._status(choice, "computing", "computing …")
            return
        if not self.tables.request(choice).done():
            self._status(choice, "computing", "computing …")

    def _deliver_benchmark(self, choice: Choice, value: Any) -> None:
        title = f"{DATASETS[choice.dataset]}, × {choice.factor}"
        with pn.io.hold():
            self._announce([])
            if isinstance(value, Exception):
                self.benchmark.say(sentence(value, f"benchmark {choice}"))
            else:
                summary, units = value
                self.benchmark.update(summary, units, title, choice.against, (choice.dataset, choice.factor))
            self._status(choice, "ready")

    def _deliver_chapter(self, choice: Choice, value: str | Exception) -> None:
        with pn.io.hold():
            self._announce([])
            if isinstance(value, Exception):
                self.benchmark.say(sentence(value, f"table {choice.study}"))
            else:
                self.benchmark.chapter(STUDIES[choice.study], value)
            self._status(choice, "ready")

    def _deliver_panel(self, choice: Choice, value: Panel | Exception) -> None:
        with pn.io.hold():
            if isinstance(value, Overtaken):
                return
            if isinstance(value, Exception):
                self.say([sentence(value, f"panel {choice}")], kind="error")
                self._status(choice, "failed")
            else:
                try:
                    self.show(value, choice)
                except Exception as error:  # a panel that cannot be drawn says so, and does not stay at "computing"
                    self.say([sentence(error, f"panel {choice}")], kind="error")
                    self._status(choice, "failed")

    def show(self, panel: Panel, asked: Choice) -> None:
        """Draw a panel everywhere."""
        last = panel.frames - 1
        self.controls["frame"].end = max(last, 1)
        if asked.frame > last:
            kind = "sequences" if panel.hours > 1 else "frames"
            self.notes.append(f"This data set has {panel.frames} test {kind}, 0 to {last}: showing the last one.")
            self.state.frame = last  # comes back here with the frame that there is
            return
        self._announce([*filter(None, [panel.note])])
        self.shown = panel
        self._hide()
        self.maps.update(panel, lessons.title(panel.choice, panel.members))
        self.prompt.object = views.prompt_html(lessons.question(panel), lessons.answer(panel))
        self.scores.object = views.scores_html("frame", "This frame", panel.scores, panel.units, selection=asked.key())
        self.card.object = checkpoint_html(panel.choice, self.store.card(panel.choice))
        self.code.object = views.code_html(self.store.code(panel.choice))
        self.file.visible = True
        kind = "sequence" if panel.hours > 1 else "frame"
        self.moment.object = (
            f'<span class="quiet">{panel.time} UTC · {kind} {panel.choice.frame + 1} of {panel.frames}</span>'
        )
        if asked == self._newest:  # else a film goes on
            self._status(asked, "ready", f"made in {1000 * panel.seconds:.0f} ms")
        self.pairs.cancel()
        self.second.follow(asked, panel)
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
        panel = self.shown
        assert panel is not None  # the whole test set is asked for when its panel is there
        kind, words = "sequences" if panel.hours > 1 else "frames", ""
        if panel.members and scores and scores["this"]:
            words = "Errors of the mean; conservation, negatives and spectrum of the members."
        elif scores is not None and not scores["this"]:
            words = "Ten members of all frames are too many for this page: here only a card has these numbers."
        self.tests_pane.object = views.scores_html(
            "test", f"All {panel.frames} test {kind}", scores, panel.units, words
        )

    # -- A against B ---------------------------------------------------------------------------------------------

    def _pin(self) -> None:
        """Keep what is selected as B; what is selected from now on is A."""
        self.state.beside = self.state.choice().pinned()

    def _swap(self) -> None:
        """A becomes B, and B becomes A."""
        choice = self.state.choice()
        if (other := choice.other()) is not None:
            self.state.apply(other.with_(beside=choice.pinned()))

    def _clear(self) -> None:
        """One result again."""
        self.state.beside = ""

    def _show_other(self, choice: Choice) -> None:
        """Say what B has that A has not."""
        self.other_group.visible = choice.view in COMPARED and "beside" not in self.state.hide
        other = choice.other()
        words = "Keep a result as B, then select another."
        if other is not None:
            own = {n: getattr(other, n) for n in COMPARED[choice.view] if getattr(other, n) != getattr(choice, n)}
            words = "B: " + (", ".join(f"{TITLES[n].lower()} {v}" for n, v in own.items()) or "the same as A")
        self.other_words.object = f'<span class="quiet" data-other="{other is not None}">{html.escape(words)}</span>'

    def _ask_paired(self, choice: Choice) -> None:
        """Differences over all frames, once both results are drawn."""
        self.second.beside.show_test(None, "All test frames: computing …", "")
        self.pairs.request(choice)

    def _paired(self, choice: Choice, cancelled: Callable[[], bool]):
        for _ in range(SETTLE):
            if cancelled():
                return None
            time.sleep(0.1)
        other = choice.other()
        assert other is not None  # else nobody asked
        return self.store.paired(choice, other, cancelled)

    def _deliver_paired(self, choice: Choice, value) -> None:
        if value is None or choice != self.state.choice():
            return
        if isinstance(value, Exception):
            self.second.beside.show_test(None, f"All test frames: {sentence(value, f'pairs of {choice}')}", "")
            return
        differences, days, units = value
        words = (
            f"Mean over all test frames, A minus B; intervals from blocks of {days:g} days, drawn anew for both "
            "together. None: the interval holds zero, and the two are not told apart."
        )
        self.second.beside.show_test(differences, words, units)

    def _status(self, choice: Choice, state: str, words: str = "") -> None:
        """How far a selection is; what failed can be tried again, and nothing computes for ever."""
        self._watch.cancel()
        if state == "computing":
            limit = LONGEST.get(choice.view, LONGEST["downscale"])
            self._watch = threading.Timer(limit, lambda: self._schedule(lambda: self._late(choice, limit)))
            self._watch.daemon = True
            self._watch.start()
        self._again.visible = state == "failed"
        if state == "failed" and self._again not in self.main:
            self.main.insert(1, self._again)
        self._now = choice, state
        self.status.object = (
            f'<span class="quiet" data-status="{state}" data-key="{choice.key()}">{html.escape(words)}</span>'
        )

    def _late(self, choice: Choice, limit: float) -> None:
        """No answer has come: say so instead of computing on."""
        if self._now != (choice, "computing"):
            return
        self.panels.cancel()
        for view in self._others.values():
            view.cancel()
        self.say(
            [f"No answer came within {limit:.0f} s: the server is busy, or the request was lost. Try again."], "error"
        )
        self._status(choice, "failed")

    def close(self) -> None:
        """The browser tab is gone."""
        self._watch.cancel()
        self.tables.cancel()
        self.panels.cancel()
        self.tests.cancel()
        self.pairs.cancel()
        self.chapters.cancel()
        self.second.cancel()
        for view in self._others.values():
            view.cancel()
