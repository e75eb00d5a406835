"""The words of the explorer: what to predict before looking, what to see afterwards, and the help page.

Sentences only; every number in them comes from the panel that is on the screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.options import CONSTRAINTS, HOURS, METHODS, SHOWS, STATISTICS, network_title
from apps.state import Choice
from physlab.registry import specs

if TYPE_CHECKING:
    from apps.store import Panel

ENSEMBLE = (
    "Ten members were drawn for the same input, each from other noise. Where will they disagree: in dry, smooth regions, "
    "or where the truth is rough? And which has the smaller RMSE and which the truer spectrum: one member, or the mean "
    "of all ten?"
)
MISSING = (
    "Of this hour the method got nothing: it has the hours before and after. Where will its error be largest, and can "
    "any constraint layer make the residual vanish here as it does in the other two hours?"
)
THREE = (
    "Three successive hours are given, all coarse. What can the hours before and after tell about this one that its own "
    "block means cannot: move the slider, and look for what travels."
)
STATISTICAL = (
    "This method learned a relation of coarse and fine cells, without any picture of the whole field. Will it find the "
    "sharp edges, or only the climate of each place?"
)

LISTENING = (
    "The result listens to the truth in the marked cells. How far does a station speak: to its coarse cell, or beyond? "
    "And what happens to the conservation residual of a method that conserves?"
)


def question(panel: Panel) -> str:
    """What the student is asked before looking."""
    choice = panel.choice
    if choice.heard:
        return LISTENING
    if panel.members:
        return ENSEMBLE
    if choice.hour not in panel.given:
        return MISSING
    if choice.method == "statistical" and choice.constraint == "none":
        return STATISTICAL
    if panel.hours > 1 and choice.method == "network":
        return THREE if len(panel.given) == panel.hours else MISSING.replace("this hour", "the hour in the middle")
    words = specs("constraints")[choice.constraint]
    question = words.facts.get(
        "question", f"{words.summary} Where in the map, and in which row of the table, will it show?"
    )
    return words.facts.get("afterwards", question) if choice.mode == "applied" else question


def answer(panel: Panel) -> str:
    """What there is to see, with the numbers of this frame."""
    choice, units = panel.choice, panel.units
    this, reference = panel.scores["this"], panel.scores["bicubic+add"]
    gain = 100.0 * (1.0 - this["rmse"] / reference["rmse"]) if reference["rmse"] > 0 else 0.0
    if abs(gain) < 0.05:
        comparison = "equals that of bicubic+add"
    else:
        comparison = f"is {abs(gain):.2g} % {'below' if gain > 0 else 'above'} that of bicubic+add"
    missed = f'<span class="number">{this["conservation_error"]:.2g} {units}</span>'
    if choice.hour in panel.given:
        words = specs("constraints")[choice.constraint]
        law = f"{words.facts.get('answer', words.summary)} In this frame the block means miss the input by {missed}"
    else:
        law = (
            "A layer can only enforce what the method knows, and the coarse field of this hour is an estimate: the block "
            f"means miss the true one by {missed}"
        )
    return (
        f"{_of_members(panel)}{law} (root mean square), "
        f"and {int(this['negative_count'])} values are negative. The RMSE of {this['rmse']:.3g} {units} {comparison}, which "
        "needs no training: that column, not plain bicubic, is the one to beat. In the spectra, everything right of the "
        "dashed line is finer than the input can hold, so the method has to supply it."
    )


def _of_members(panel: Panel) -> str:
    """What an ensemble adds."""
    if not panel.members:
        return ""
    ratio = panel.scores["this"]["spread_skill"]
    reach = "so it knows too little of its own doubt" if ratio < 1 else "so it doubts itself more than it errs"
    if 0.9 < ratio < 1.1:
        reach = "so its doubt is about right"
    return (
        f"The members scatter {ratio:.2f} times as much as their mean errs in this frame, {reach}; a full ensemble has "
        "1, and flat ranks. The mean averages away what the members do not agree on: it has the smaller error, and too "
        "little power at small scales. "
    )


def title(choice: Choice, members: int = 0) -> str:
    """The method in words, for the result map."""
    return _method(choice, members) + (f", stations: {len(choice.heard)}" if choice.heard else "")


def _method(choice: Choice, members: int) -> str:
    shown = f"{SHOWS[choice.show].lower()} · " if members else ""
    if choice.method == "network":
        name = "network" if choice.network == "compact" else network_title(choice.network)
    else:
        name = (
            STATISTICS[choice.statistic].lower() if choice.method == "statistical" else METHODS[choice.method].lower()
        )
    if choice.method == "network" and choice.mode == "trained":
        return (
            f"{shown}{name}{', unconstrained' if choice.constraint == 'none' else f' trained with {choice.constraint}'}"
        )
    return f"{shown}{name}" if choice.constraint == "none" else f"{shown}{name}, then {choice.constraint}"


HELP = f"""
<h3>What this page shows</h3>
<p>A fine field, the <b>truth</b>, is averaged over blocks of 2, 4 or 8 cells each way: that is the <b>input</b>. A
method makes a fine field from the input alone: the <b>result</b>. Two questions follow. How far is it from the
truth (<b>error</b>)? And do its own block means give back the input (<b>conservation residual</b>)? Averaging the
truth gives the input exactly, so a perfect result has no residual; but no residual does not make a result
perfect.</p>
<h3>Controls</h3>
<p><b>Data</b>: single frames, or sequences of {max(HOURS.values())} hours: either all of them coarse, or with the one
in the middle missing. The slider <b>Hour</b> shows one of them.<br>
<b>Method</b>: a trained network, a statistical method (fitted when it is first asked for), or interpolation without
training. What has no checkpoint is replaced, and the page says by what.<br>
<b>Shown</b>: networks with noise give ten members; the maps show their mean or one of them.<br>
<b>Constraint, when</b>: <i>in training</i>, the layer (or the penalty) was there while the network learned;
<i>afterwards</i>, the layer is put on top of a finished field of the unconstrained network, of bicubic or of
nearest.<br>
<b>Constraint, which</b>: {", ".join(CONSTRAINTS.values()).lower()}. A penalty cannot be applied afterwards.<br>
<b>Stations</b>: a click on a map places one (a diamond), a click on it takes it away. The result listens to the truth
in these cells; the errors of the method on other frames, whose truth is known, say how far a station speaks. Where the
method conserves, so does what listens.</p>
<h3>Maps</h3>
<p>Drag to move, turn the wheel to zoom: all maps move together. Point at a cell to read its value. Input, result
and truth share one colour scale. Error and residual have each their own, symmetric about zero; they stay the same
for all methods and constraints, so that colours can be compared.</p>
<p>For an ensemble, <b>spread</b> is the standard deviation of the members at each cell, and <b>ranks</b> counts how
many members lie below the truth: flat for a reliable ensemble, U-shaped for one that is too sure of itself.</p>
<p>Fields of your own that come with all that a law takes (a temperature with its wind and the height of the ground,
say) also show the <b>equation residual</b> of the result beside that of the truth: the target is to be as balanced as
the truth, a ratio of 1, and not zero.</p>
<h3>Scores</h3>
<p>RMSE, MAE and bias (result minus truth) are weighted by cell area. PSNR, SSIM and correlation: higher is better.
<b>Conservation</b>: root mean square of block mean minus input. <b>Negatives</b>: number of values below zero.
<b>Spectrum</b>: divergence of the normalised power spectra, for all wavenumbers and for the finest tenth of them.
Green marks the best of a row. An ensemble also has the fair <b>CRPS</b> (of a single field it is the MAE) and
<b>spread / skill</b>, 1 if the members scatter as much as their mean errs. In the table of all frames its errors are
those of the mean; conservation, negatives and spectrum are those of its members.</p>
<h3>Continuous</h3>
<p>Another road: no pixels from pixels, but one function of place and time, fitted to a few points of ten days over the
Atlantic, and asked between them, between the hours and beyond the grid.</p>
<h3>Benchmark</h3>
<p>All methods for the chosen data and factor, over the whole test set: RMSE against conservation error, spectral
divergence, or time. Lower left is better. Bars are the standard deviation over seeds.</p>
<p><b>Table</b>: those of all chapters. A click on the name of a column sorts, words in the field leave rows out, and the
name of a method leads to its maps.</p>
<h3>Bands and regions</h3>
<p>In Downscale, Ensemble and Assimilate a drag over the spectrum (or its slider) chooses waves: three more maps show
truth, result and error of these waves alone, and a table their scores. A click on the spectrum ends it. With <b>A drag takes a region</b>, or its edges
as numbers, the cells inside have scores of their own.</p>
<h3>Paint</h3>
<p>A world whose right answer is known: draw observations, ask a method, and see beside it what the Kalman filter says
with the same prior.</p>
<h3>A against B</h3>
<p><b>Keep as B</b> pins what is shown; what you select from then on is A. Three more maps show B, A − B and the error of
B, on the same scales and moving with the others; the spectrum has both. The table says A − B for this frame, and over
all test frames with an interval: blocks of days are drawn anew for both together, so that what is difficult for both
cancels. <i>None</i> means that the interval holds zero. The card lists only what differs. <b>Swap</b> changes the two.
The same in Assimilate and Ensemble, without an interval: three times are too few.</p>
<h3>Keep and bring</h3>
<p><b>Keep what is shown</b>: all maps, spectra and scores as a NetCDF file, the figures as a picture (PNG, or SVG for
print), tables as CSV.<br>
<b>Yours</b>, where the host allows it: bring fields (NetCDF, GRIB, Zarr as .zip), the folder of a trained method as .zip
(<code>physlab train METHOD TRUTH OUT</code> makes it; bring its fields too) or stations (.csv, observed in Assimilate).
The page says what it understood. Nobody else sees them, and they are removed when the page is closed; a link to them
works again in a page that has brought the same files.</p>
<h3>Screen, keyboard, ears</h3>
<p>On a phone the controls stand below the maps; the button on the left of the top line hides them. The sun or moon on
the right makes the page dark or light. Tab reaches each map: arrow keys read cell by cell (with Shift by ten), and
Enter is a click. Each map has a sentence for those who hear the page.</p>
<h3>Link and code</h3>
<p>The address of the page holds all selections: bookmark it or send it. The tab <i>Code</i> holds a short script
that gives the same numbers from the library. A lesson may hide what it does not need, as in
<code>&amp;hide=truth,scores</code>.</p>
"""
