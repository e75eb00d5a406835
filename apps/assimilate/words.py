"""The words of the Assimilate view: what to predict before looking, what to see afterwards, and the help page.

Sentences only; every number in them comes from the picture that is on the screen.
"""

from __future__ import annotations

from apps.assimilate.store import Picture
from apps.options import ASSIMILATORS, CHANNELS


def question(picture: Picture) -> str:
    """What the student is asked before looking."""
    setup = picture.setup
    if setup.share == 0 and not setup.own:
        return (
            "Nothing is observed yet: click a map to place a station. How far around it will the analysis move, and "
            "will it be as far to the east as to the north?"
        )
    if setup.share == 0:
        return (
            "A few columns of your own. Which fields will they change at a distance: those that vary over thousands of "
            "kilometres, or those that vary over hundreds? Switch from geopotential to humidity."
        )
    if setup.noise >= 1:
        return (
            "Every observation is as wrong as the background. Should the analysis go through the observed values, half "
            "of the way, or leave them alone?"
        )
    if picture.members > 1:
        return (
            "The mean of many possible states is smoother than each of them. Which of the two will have the smaller "
            "error, and which the spectrum of the truth?"
        )
    if setup.channel[0] == "q" or setup.channel == "tcw":
        return (
            "Humidity has filaments that no station may have hit. Will the gain be larger than that of the "
            "geopotential at 500 hPa, or smaller?"
        )
    return (
        f"{setup.share:g} % of the grid points are observed, all levels at once. Where will the background's error be "
        "gone, and where will the analysis be worse than the background?"
    )


def answer(picture: Picture) -> str:
    """What there is to see, with the numbers of this picture."""
    setup, score = picture.setup, picture.scores.get(picture.setup.channel)
    if not score:
        return "There is no analysis yet."
    method, name = ASSIMILATORS[setup.assimilator], CHANNELS[setup.channel][1]
    verb = "takes" if score["gain"] >= 0 else "adds"
    side = "off" if score["gain"] >= 0 else "to"
    words = [f"With {len(picture.latitude)} columns {method} {verb} {abs(100 * score['gain']):.0f} % {side} the "
             f"background's error of {name}."]  # fmt: skip
    best = max(picture.scores, key=lambda n: picture.scores[n]["gain"])
    worst = min(picture.scores, key=lambda n: picture.scores[n]["gain"])
    words.append(
        f"Of the fields in the table {CHANNELS[best][1]} gains most ({100 * picture.scores[best]['gain']:+.0f} %), "
        f"{CHANNELS[worst][1]} least ({100 * picture.scores[worst]['gain']:+.0f} %)."
    )
    if "spread_skill" in score:
        ratio = score["spread_skill"]
        kind = "too sure of itself" if ratio < 0.9 else "too unsure" if ratio > 1.1 else "honest about its error"
        words.append(f"Spread over skill is {ratio:.2f}: the ensemble is {kind}.")
    ratios = picture.ratios
    words.append(
        f"In the residual of {picture.layer} the background has {ratios['of_background']:.2f} of the truth's, the "
        f"analysis {ratios['of_analysis']:.2f}: below 1 it is smoother than the weather, not better."
    )
    return " ".join(words)


HELP = """
<h3>What this view shows</h3>
<p>A <b>twin experiment</b>: the truth is a state of the laboratory atmosphere, the <b>background</b> a forecast of 24
hours with a coarser model that ends at the same time. At some grid points the whole column of the truth is observed. A
method of data assimilation makes the <b>analysis</b> from background and observations alone. Nobody trained on these
times.</p>
<h3>Controls</h3>
<p><b>Observed</b>: a share of all 8,192 grid points, drawn by area; the columns of a smaller share are among those of a
larger one. At 0 % there are only your own stations.<br>
<b>Your own stations</b>: a click on any map places one (a diamond), a click on it takes it away.<br>
<b>Observation errors</b>: their standard deviation over that of the background's errors, field by field.<br>
<b>Members</b>: of methods that sample; their mean is the analysis.</p>
<h3>Maps</h3>
<p>Both errors and the <b>increment</b> share one scale: where the increment is the background's error with its sign
turned, the analysis is right. <b>Spread</b> is the standard deviation of the members, <b>one member</b> a state that
the method holds to be possible. The wheel zooms while Ctrl is held, and all maps move together.</p>
<p><b>Balance</b>: how far a state is from a law, at the level of the field that is shown. <i>Thickness</i>: height
between two levels minus what the temperature between them demands. <i>Geostrophic</i>: what is left of Coriolis force
and pressure gradient. Neither is zero in the truth, and the aim is to be as balanced as the truth.</p>
<h3>Bands and regions</h3>
<p>A drag over the spectrum shows the maps of a band of zonal waves, and what the analysis takes off the background's
error there: which scales does this network of stations see? With <i>A drag takes a region</i> the cells inside have
scores of their own. Errors of a band have the colours of the background's, so that maps of two methods compare.</p>
<h3>Long work</h3>
<p>Sampling takes many steps. The bar shows how far it is, <i>stop</i> ends it, and any new selection overtakes it. What
was made once is kept.</p>
<h3>Link and code</h3>
<p>The address holds all selections, as in
<code>view=assimilate&amp;channel=q700&amp;share=1&amp;assimilator=phyda&amp;own=3000.6412</code>; stations
are numbers of grid points, row by row from the south.</p>
"""
