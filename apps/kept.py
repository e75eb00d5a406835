"""What each view keeps as a NetCDF file: its maps, their places and units, spectra and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from apps.assimilate.store import LAW_UNITS
from apps.assimilate.store import Picture as Analysis
from apps.continuous.store import Moment
from apps.ensemble.store import Picture as Members
from apps.options import own_names
from apps.paint.store import Picture as Painting
from apps.state import Choice, to_query
from physlab.views.keep import Kept, Map, Plane, cf_units, squared

if TYPE_CHECKING:
    from apps.store import Panel

COMMENT = "valid at {time} UTC; {query}"
WORDS = {
    "before": "error of the background",
    "of_truth": "residual of the truth",
    "of_background": "residual of the background",
    "of_analysis": "residual of the analysis",
    "bare": "residual of the field without equations, over the typical tendency",
    "law": "residual of the law",
}
LAWS = ("law", "of_truth")
LAW_OF_MEMBER = "K d-1"


def of_panel(panel: Panel, fine: Plane, coarse: Plane) -> Kept:
    """Of the Downscale view."""
    choice, units = panel.choice, cf_units(panel.units)
    places = {(len(place.latitude), len(place.longitude)): place for place in (coarse, fine)}
    maps = {
        name: Map(
            x,
            f"{panel.law}, {WORDS[name]}" if name in LAWS else f"{panel.long_name.lower()}, {name}",
            cf_units(panel.law_units) if name in LAWS else units,
            places[x.shape],
        )
        for name, x in panel.maps.items()
    }
    title = f"{choice.dataset} x{choice.factor}, {choice.method}, constraint {choice.constraint}"
    return _kept(maps, title, panel.time, choice, panel, units, panel.scores)


def of_state(picture: Analysis, latitude: np.ndarray) -> Kept:
    """Of the Assimilate view; `latitude` of the rows of the maps."""
    setup, units = picture.setup, cf_units(picture.units)
    law = cf_units(LAW_UNITS[setup.balance][1])
    maps = {
        name: Map(x, f"{setup.channel}, {WORDS.get(name, name)}", law if name.startswith("of_") else units,
                  _rows(picture.window, x, latitude))
        for name, x in picture.maps.items()
    }  # fmt: skip
    title = f"{setup.channel}, {setup.assimilator}, {setup.share:g} % observed, law {setup.balance}"
    return _kept(maps, title, picture.time, Choice(view="assimilate", **vars(setup)), picture, units, picture.scores)


def of_members(picture: Members, latitude: np.ndarray) -> Kept:
    """Of the Ensemble view; `latitude` of the rows of the maps."""
    units = {"law": LAW_OF_MEMBER, "probability": "1"}
    maps = {}
    for name, x in picture.maps.items():
        end = "" if len(x) == len(latitude) else "_coarse"
        rows = np.reshape(latitude, (len(x), -1)).mean(1)
        place = Plane(rows, _within(picture.window, x).longitude, end)
        words = f"temperature of the lowest layer, {WORDS.get(name, name)}"
        maps[name] = Map(x, words, units.get(name, "K"), place)
    title = f"{picture.members} members of latent diffusion over terrain"
    choice = Choice(view="ensemble", **vars(picture.draw))
    return _kept(maps, title, picture.time, choice, picture, "K", picture.scores)


def of_moment(moment: Moment) -> Kept:
    """Of the Continuous view."""
    units = cf_units(moment.units)
    others = {"law": "1", "bare": "1", "force": f"{units} h-1"}
    ends: dict[tuple, str] = {}  # grids of a moment have their own axes each
    maps = {}
    for name, (x, edges) in moment.maps.items():
        end = ends.setdefault((x.shape, edges), f"_{name}")
        words = f"{moment.look.variable}, {WORDS.get(name, name)}"
        maps[name] = Map(x, words, others.get(name, units), _within(edges, x, end))
    choice = Choice(view="continuous", **vars(moment.look))
    title = f"{moment.look.variable}, continuous field {moment.look.field}"
    return _kept(maps, title, moment.time, choice, moment, units, moment.numbers)


def of_painting(picture: Painting) -> Kept:
    """Of the Paint view."""
    words = {"truth": "truth", "asked": f"mean of {picture.paint.guide}", "kalman": "mean of the Kalman filter",
             "asked_spread": f"spread of {picture.paint.guide}", "kalman_spread": "spread of the Kalman filter",
             "apart": "difference of both means, in spreads of the Kalman filter"}  # fmt: skip
    maps = {
        name: Map(x, f"height anomaly at 500 hPa, {words[name]}", "1" if name == "apart" else "m",
                  _within(picture.window, x))
        for name, x in picture.maps.items()
    }  # fmt: skip
    query = to_query(Choice(view="paint", **vars(picture.paint)))
    scores = {"rmse": picture.scores, "certificate": picture.certificate}
    return Kept(maps, f"{picture.paint.guide} beside the Kalman filter, made up", query, scores=scores)


def _kept(maps: dict[str, Map], title: str, time: str, choice: Choice, shown, units: str, scores) -> Kept:
    comment = COMMENT.format(time=time, query=to_query(choice))
    return Kept(maps, own_names(title), own_names(comment), shown.wavenumber, shown.spectra, squared(units), scores)


def _within(edges, x: np.ndarray, end: str = "") -> Plane:
    return Plane.within(edges, x.shape, end)


def _rows(window, x: np.ndarray, latitude: np.ndarray) -> Plane:
    return Plane(latitude, _within(window, x).longitude)
