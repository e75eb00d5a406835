"""One browser session: controls, address and drawing around one `State`; nothing here is shared between sessions.

A change of a selection asks a worker thread for the panel and returns at once; `apps.latest` drops what a newer request
has overtaken, so a dragged slider never queues up. Panels that were made before are drawn directly.
"""

from __future__ import annotations

import html
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import cached_property
from typing import Any, TypeVar

import panel as pn
import panel_material_ui as pmui

from apps import lessons, theme, views
from apps.assimilate.view import Assimilate
from apps.benchmark import Benchmark
from apps.beside import Beside, buttons
from apps.brush import QUANTITY, Brush, Hand
from apps.cards import checkpoint_html
from apps.continuous.view import Continuous
from apps.controls import FROM_CONTROL, IN_VIEW, TITLES, TO_CONTROL, make_controls
from apps.ensemble.view import Ensemble
from apps.frame import Frame
from apps.globe import cell_at
from apps.keep import Keep
from apps.language import labels, word
from apps.latest import Latest
from apps.lawmaps import LawMaps
from apps.lazily import Lazily
from apps.maps import ENSEMBLE, ROWS, MapGrid, MemberMaps
from apps.options import (
    ASSIMILATORS,
    COMPARED,
    CONSTRAINTS,
    DATASETS,
    NETWORKS,
    STUDIES,
    brought,
    dataset_title,
    hours_of,
    network_title,
    own_names,
)
from apps.own import Own, takes_files
from apps.paint.view import PaintView
from apps.panes import Panes
from apps.placing import Placing
from apps.problems import sentence
from apps.second import Second
from apps.sides import of_panel, parts_of
from apps.slow import Slow
from apps.state import CHOICE_NAMES, Choice, State, parse_query
from apps.store import Overtaken, Panel, Store
from apps.tour import tour
from apps.yours import Yours, first_of
from physlab.views.bring import Brought

log = logging.getLogger("physlab.explorer")
SETTLE = 10  # tenths of a second
LONGEST = {
    "downscale": 90.0,
    "assimilate": 330.0,
    "ensemble": 330.0,
    "paint": 330.0,
}  # s until a page no longer waits for an answer
View = TypeVar("View", Continuous, Assimilate, Ensemble, PaintView)


class Session:
    """The page of one browser tab: the Downscale view, and around it the others.

    Only what is looked at is made: views and controls come when they are first shown.
    """

    def __init__(
        self,
        store: Store,
        pool: Executor,
        background: Executor,
        schedule: Callable,
        search: str = "",
        welcome: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        choice, hide, problems = parse_query(search)
        self.store, self.own, self._asked, self._quiet = store, Own(), search, False
        self._welcome = welcome
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
        self._workers, self._background, self._schedule = (pool, schedule), background, schedule
        self._watch, self._now = threading.Timer(0, print), (Choice(), "")
        self._hooks = self.state, self._announce, self._status
        self._others: dict[str, Panes] = {}  # views that somebody has looked at, besides Downscale and Benchmark
        self.shown: Panel | None = None
        self._law: LawMaps | None = None  # made when somebody first looks at data that have what a law takes
        self._newest: Choice | None = None
        self.notes: list[str] = [*notes, *problems]
        self._build_controls()
        self._build_page()
        self.state.param.watch(self._changed, list(CHOICE_NAMES))
        self.state.param.watch(lambda _: self._hide(), ["hide"])
        self._changed()

    @cached_property
    def benchmark(self) -> Benchmark:
        """The Benchmark view, made whole when somebody first looks at it."""
        return Benchmark()

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
        view.take_brush(self.hand)
        return self._beside("assimilate", view, when=view.moment, own=view.stations.pane)

    @cached_property
    def ensemble(self) -> Ensemble:
        """The Ensemble view, made when somebody first looks at it."""
        view = Ensemble(self.store.ensembles, *self._workers, *self._hooks, self._hide)
        view.take_brush(self.hand)
        return self._beside("ensemble", view, day=view.moment)

    @cached_property
    def paint(self) -> PaintView:
        """The Paint view, made when somebody first looks at it."""
        view = PaintView(self.store.paintings, *self._workers, *self._hooks, self._hide)
        return self._beside("paint", view, painted=view.own)

    def _beside(self, name: str, view: View, **panes: pn.viewable.Viewable) -> View:
        """Keep a view that somebody looks at, with its panes below the controls of these names."""
        self._others[name] = view
        for group, pane in panes.items():
            self.groups[group].append(pane)
        return view

    # -- controls ------------------------------------------------------------------------------------------------

    def _build_controls(self) -> None:
        """The sidebar: one labelled group for each selection, made when it is first shown."""
        makers = make_controls(self.state, self._networks, self._datasets)
        self.controls = Lazily(lambda name: self._bind(name, makers[name]()))
        self.moment = views.text_pane("")
        self.groups = Lazily(
            lambda name: pn.Column(
                views.label_pane(TITLES[name]),
                *([self.controls[name]] if name in makers else []),
                *([self.moment] if name == "frame" else []),
                *([self.hand.pane] if name == "region" else []),
                *([self.stations.pane] if name == "listen" else []),
                sizing_mode="stretch_width",
                margin=0,
                visible=False,
            )
        )
        plain = {"variant": "text", "color": "primary"}
        reset = pmui.Button(label=word("Reset"), icon="restart_alt", on_click=lambda _: self.state.reset(), **plain)
        view = pmui.Button(label=word("Whole map"), icon="zoom_out_map", on_click=lambda _: self._reset_view(), **plain)
        self.status = views.said_pane(margin=(0, 12))
        self.other_words, self.other_group = buttons(self._pin, self._swap, self._clear)
        self.keep = Keep(self._kept, self._workers[0], self.say)
        pool, schedule = self._workers
        grid = lambda: self.store.analyses.grid()  # noqa: E731  (asked for on a thread)
        self.yours = Yours(self.own, pool, schedule, self._brought, grid) if takes_files() else None
        mine = [self.yours.group] if self.yours else []
        # below the controls
        self._below = (
            self.other_group,
            self.keep.group,
            *mine,
            pn.Row(reset, view, margin=(0, 4), styles={"flex-wrap": "wrap"}),
            self.status,
        )
        self.sidebar = pn.Column(*self._below, sizing_mode="stretch_width")

    def _build_page(self) -> None:
        """The main area: words on top, maps and spectra on the left, scores and provenance on the right."""
        self._again = pmui.Button(label=word("Try again"), icon="refresh", size="small", variant="outlined", margin=4,
                                  visible=False, on_click=lambda _: self._changed())  # fmt: skip
        self.messages, self.prompt = views.said_pane(), views.text_pane("", margin=(0, 4))
        self.scores, self.tests_pane = (views.text_pane("", margin=(0, 10)) for _ in range(2))
        self.card, self.code = (views.text_pane("", True, margin=(0, 10)) for _ in range(2))
        inside = {"container-type": "inline-size"}  # layouts ask how wide it is
        sheets = [theme.WHOLE_SHEET]
        top = [tour(), self.messages] if self._welcome else [self.messages]
        self.main = pn.Column(*top, sizing_mode="stretch_width", margin=8, styles=inside, stylesheets=sheets)

    @cached_property
    def maps(self) -> MapGrid:
        """The maps of the Downscale view, made when somebody first looks at it."""
        return MapGrid(self.stations.place)

    @cached_property
    def stations(self) -> Placing:
        """Those of the Downscale view, that the result listens to."""
        return Placing(self.state, "listen", self._cell, lambda sentence: self.say([sentence]))

    def _cell(self, east: float, north: float) -> int | None:
        """The cell of the shown map at a place, row by row from the south-western one."""
        return None if self.shown is None else cell_at(self.shown.maps["result"].shape, self.shown.window, east, north)

    @cached_property
    def of_members(self) -> tuple[MemberMaps, dict[str, pn.Column]]:
        """Maps of the members and their cards, made for the first ensemble."""
        maps = MemberMaps(self.maps)
        return maps, self.frame.add(maps)

    @cached_property
    def hand(self) -> Hand:
        """The controls of a region."""
        return Hand(lambda name, value: setattr(self.state, name, value), lambda sentence: self.say([sentence]))

    @cached_property
    def brush(self) -> Brush:
        """A band of the spectrum, and a region of the maps, of the Downscale view."""
        return Brush(self.hand, self.maps, self.maps.spectrum, self.frame, lambda: self.state.hide)

    @cached_property
    def frame(self) -> Frame:
        """The Downscale view, made when somebody first looks at it."""
        tabs = {
            "scores": pn.Column(self.scores, self.tests_pane, margin=0, sizing_mode="stretch_width"),
            "card": self.card,
            "code": self.code,
            "help": views.text_pane(lessons.HELP, True, margin=(0, 10)),
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
    def cells(self) -> dict[str, pn.Column]:
        """The cards of the maps of the Downscale view."""
        more = self.of_members[1] if "of_members" in vars(self) else {}
        return self.frame.cells | more | (self.brush.cells if "brush" in vars(self) else {})

    def _kept(self) -> Callable[[], bytes] | None:
        """What makes a file of what is on the screen; None before anything is."""
        view = self._others.get(self.state.view)
        shown = self.shown if self.state.view == "downscale" else view.shown if view else None
        return None if shown is None else lambda: self.store.netcdf(shown)

    def _bind(self, name: str, control):
        """Control and state follow each other."""
        there, back = TO_CONTROL.get(name, lambda value: value), FROM_CONTROL.get(name, lambda value: value)
        control.param.update(label=word(TITLES[name]), stylesheets=[theme.NAMED_SHEET])  # for those who hear the page
        control.param.watch(lambda event: self._picked(name, back(event.new)), "value")

        def follow(_) -> None:  # the value of now, which may have changed while this event waited for its turn
            control.value = there(getattr(self.state, name))

        self.state.param.watch(follow, name)
        return control

    def _picked(self, name: str, value) -> None:
        """A control was used: other data or another network bring a network and a constraint that are there."""
        if self._quiet or value == getattr(self.state, name):
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
                self.notes.append(f"{network_title(network)} is here with {names}: constraint set to {new.lower()}.")
        self.state.param.update(**changes)

    def _brought(self, value: Brought, mark: str, stations: tuple[str, str] | None) -> None:
        """Something of this session's own came, or all of it goes: the selections go on with what there is."""
        before, was, forgotten = self.state.query(), set(map(own_names, self.own.found.data)), self.own.mark
        if mark:
            self.own.take(value.found, mark)
        else:
            self.own.clear()
        if forgotten:
            self.store.forget(forgotten)
        self.state.know(self.own)
        choice, hide, problems = parse_query(before, self.own)
        wanted, _, missing = parse_query(self._asked, self.own)
        new = [key for key in self.own.found.data if own_names(key) not in was]
        if not missing and any(map(brought, (wanted.dataset, wanted.network))):
            choice, self._asked = wanted, ""  # what the link of this page asked for has come
        elif new or value.found.models:
            choice = first_of(choice, self.own.found, new, self.store.offers)
        else:
            self.notes += problems if mark else []
        if stations is not None:
            points, said = stations
            choice, self.notes = choice.with_(view="assimilate", own=points), [*self.notes, said]
        controls: dict[str, dict[str, Any]] = {
            "dataset": {"options": self._datasets(), "value": choice.dataset},
            "factor": {"options": {f"× {n}": n for n in self.own.factors}, "value": choice.factor},
            "hour": {"end": self.state.param.hour.bounds[1]},
        }
        self._quiet = True  # the selections follow below, all at once
        for name, more in controls.items():
            if name in self.controls:
                self.controls[name].param.update(**more)
        self._quiet = False
        self.state.apply(choice, hide)

    def _datasets(self) -> dict[str, str]:
        """Label -> name of the data sets for all, and of this session's own."""
        own = {f"{data.title} (yours)": key for key, data in self.own.found.data.items()}
        return labels({label: name for name, label in DATASETS.items()} | own)

    def _networks(self) -> dict[str, str]:
        """Label -> name of the networks for the chosen data, and the selected one."""
        there = self.store.offers(self.state.dataset, self.state.factor)
        mine = {f"{model.folder.name} (yours)": key for key, model in self.own.found.models.items() if key in there}
        public = {label: name for name, label in NETWORKS.items() if name in there or name == self.state.network}
        return labels(public | mine)

    def _assimilators(self) -> dict[str, str]:
        """Label -> name of the installed methods of assimilation, and the selected one."""
        there = self.store.analyses.offers()
        known = {label: name for name, label in ASSIMILATORS.items()}
        return labels({label: name for label, name in known.items() if name in there or name == self.state.assimilator})

    def _hide(self) -> None:
        """Show only what the lesson needs and the selection has."""
        state, members = self.state, self.shown.members if self.shown else 0
        absent = {
            **dict.fromkeys(
                ("dataset", "factor", "against"), state.view == "benchmark" and state.study != "downscaling"
            ),
            "network": state.method != "network",
            "statistic": state.method != "statistical",
            "hour": hours_of(state.dataset) == 1,
            "listen": hours_of(state.dataset) > 1,
            "show": not members,
            "members": not self.store.analyses.has_members(state.assimilator),
            **dict.fromkeys(ENSEMBLE, not members),
            **dict.fromkeys(QUANTITY, not state.band),
            **dict.fromkeys(("day", "draws"), state.weight != "live"),  # stored members have theirs
            "seed": state.view == "ensemble" and state.weight != "live",
        }
        hidden = {*state.hide, *(name for name, gone in absent.items() if gone)}
        hidden |= set(TITLES) - set(IN_VIEW[state.view])
        if state.view in ("continuous", "assimilate", "ensemble", "paint"):
            getattr(self, state.view)  # made now
        self._arrange([name for name in TITLES if name not in hidden])
        views_: dict[str, pn.viewable.Viewable] = {}
        if state.view == "benchmark" or "benchmark" in vars(self):
            views_["benchmark"] = self.benchmark.view
        if state.view == "downscale" or "frame" in vars(self):
            self.brush  # noqa: B018  (made now, with the figures)
            views_["downscale"] = self.downscale
            for name, cell in {**self.cells, "prompt": self.prompt}.items():
                cell.visible = name not in hidden
        if "ensemble" in self._others and self.ensemble.shown:
            self.controls["which"].end = max(self.ensemble.shown.members, state.which)
        for name, other in self._others.items():
            other.hide({*state.hide, *(QUANTITY if not state.band else ())})
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
        for name, view in self._others.items():  # first, because another view takes a while to be made
            if name != choice.view:
                view.cancel()
        with pn.io.hold():
            self._hide()
            self._show_other(choice)
            self.keep.follow(choice.view)
            if "mode" in self.controls:
                self.controls["mode"].disabled = choice.method != "network"
            if "network" in self.controls:
                self.controls["network"].param.update(options=self._networks(), value=choice.network)
            if "assimilator" in self.controls:
                self.controls["assimilator"].param.update(options=self._assimilators(), value=choice.assimilator)
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
        title = f"{dataset_title(choice.dataset)}, × {choice.factor}"
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
        if panel.members:
            self.of_members[0].update(panel)
        self._hide()
        self.maps.update(panel, lessons.title(panel.choice, panel.members))
        self._show_law(panel)
        self.prompt.object = views.prompt_html(lessons.question(panel), lessons.answer(panel))
        self.scores.object = views.scores_html("frame", "This frame", panel.scores, panel.units, selection=asked.key())
        self.card.object = checkpoint_html(panel.choice, self.store.card(panel.choice))
        of = parts_of(panel)
        self.code.object = views.code_html(self.store.code(panel.choice) + of.script(asked))
        kind = "sequence" if panel.hours > 1 else "frame"
        self.moment.object = (
            f'<span class="quiet">{panel.time} UTC · {kind} {panel.choice.frame + 1} of {panel.frames}</span>'
        )
        if asked == self._newest:  # else a film goes on
            self._status(asked, "ready", f"made in {1000 * panel.seconds:.0f} ms · {panel.device}")
        self.brush.follow(of, asked)
        self.stations.follow()
        self.pairs.cancel()
        self.second.follow(asked, panel)
        scores = self.store.cached_test_scores(asked)
        self._show_tests(scores)
        if scores is None:
            self.tests.request(asked)
        else:
            self.tests.cancel()

    def _show_law(self, panel: Panel) -> None:
        """The residual of an equation beside the truth's, where the data have what it takes."""
        if self._law is None and panel.law:
            self._law = LawMaps(self.maps)
            self._law.cells = self.frame.add(self._law, 1 + list(self.frame.grid).index(self.cells["error"]))
        if self._law is not None:
            self._law.update(panel, self.state.hide)

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
        words += " Without stations." if panel.choice.heard else ""
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
            words = "B: " + (
                ", ".join(f"{TITLES[n].lower()} {own_names(str(v))}" for n, v in own.items()) or "the same as A"
            )
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
            self.main.insert(self.main.index(self.messages) + 1, self._again)
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

    def rest(self) -> None:
        """The tab is closed, or lost its connection: nobody waits. One that comes back is offered to begin again."""
        choice, status = self._now
        for later in (self.tests, self.pairs, self.second):
            later.cancel()
        if status != "computing":
            return
        view = self._others.get(choice.view)
        if isinstance(view, Slow):
            view.pause()
            return
        for asked in (self.tables, self.panels, self.chapters):
            asked.cancel()
        if view is not None:
            view.cancel()
        self._status(choice, "failed")

    def close(self) -> None:
        """The browser tab is gone."""
        self._watch.cancel()
        if self.own.mark:
            self.store.forget(self.own.mark)
        if self.yours is not None:
            self.yours.close()
        self.tables.cancel()
        self.panels.cancel()
        self.tests.cancel()
        self.pairs.cancel()
        self.chapters.cancel()
        self.second.cancel()
        for view in self._others.values():
            view.cancel()
