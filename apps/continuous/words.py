"""The words of the Continuous view: what to predict before looking, what to see afterwards, and the help page.

Sentences only; every number in them comes from the moment that is on the screen.
"""

from __future__ import annotations

from apps.continuous.store import Moment
from apps.continuous.tables import number
from apps.options import VARIABLES


def question(moment: Moment) -> str:
    """What the student is asked before looking."""
    look, (symbol, name) = moment.look, VARIABLES[moment.look.variable]
    if look.field == "no-equations":
        return (
            "The same network, the same data, but nobody asked it to obey an equation. Where will it be wrong: at the "
            "dots, or between them? And which residual map will be the more colourful?"
        )
    if look.zoom > 1:
        return (
            f"You look at {look.zoom} × the window's own scale; the dots are all that was given. Is the detail between "
            "them a matter of the weather, or only of a smooth function? What could tell the two apart?"
        )
    if not moment.whole:
        return (
            "At this moment nobody has data. Step on by a quarter of an hour, and again: will a filament of "
            f"{name} move, or fade over? Compare the continuous field with the interpolation beside it."
        )
    if look.variable == "z":
        return (
            f"{symbol} has no equation of its own here, but its slope pushes the winds. Will the equations of u and v "
            f"improve {name} between the given points, or leave it as it is?"
        )
    return (
        f"One value in 48 is given. Where will the error of {name} be largest: in fast air, where each hour tells of "
        "another place, or in slow air?"
    )


def answer(moment: Moment) -> str:
    """What there is to see, with the numbers of this moment."""
    n, units = moment.numbers, moment.units
    ours = n[moment.look.field]
    words = []
    if moment.whole:
        words.append(
            f"At the points of this hour that were not given the RMSE is {number(ours['rmse'], moment)} {units}, "
            f"{ours['ratio']:.2f} times that of the best interpolation."
        )
    else:
        words.append(
            "There is no truth at this moment, so there is no error to show. What can be judged is the law: a pattern "
            "that fades out here and in there has not been carried by any wind."
        )
    words.append(
        f"Over all hours the ratio is {n['equations']['ratio_all']:.2f} with equations and "
        f"{n['no-equations']['ratio_all']:.2f} without."
    )
    if "residual" in n["equations"]:
        words.append(
            f"In the box the residual is {n['equations']['residual']:.2f} of the typical tendency with equations, "
            f"{n['no-equations']['residual']:.2f} without, both judged by the coefficients that the field with "
            "equations learned. No residual is zero: vertical motion, heating and rain are in no term."
        )
    else:
        words.append("Geopotential has no equation here, so there are no maps of residual and force.")
    return " ".join(words)


HELP = """
<h3>What this view shows</h3>
<p>Ten days over the North Atlantic at 33 × 33 points, every hour: the <b>truth</b>. Every fourth point each way, every
third hour, is <b>given</b> (the dots): one value in 48. From these alone a network of place and time is fitted, with or
without equations. It is a function, not a picture: it has a value at any place and any moment.</p>
<h3>Controls</h3>
<p><b>Moment</b>: quarters of an hour. Truth is there at whole hours only; between them nobody has data.<br>
<b>Magnification</b> evaluates the field anew, at 97 × 97 points within the box, however small; a click on the small map
moves the box. (The mouse wheel enlarges pixels.)<br>
<b>Field</b>: the same network with equations in its loss, and without.</p>
<h3>Maps</h3>
<p><b>Given</b>: blocks around the given points, of the nearest given hour. <b>Best interpolation</b>: of three kinds,
the one with the least error in the benchmark. All maps of the variable share their colours, fixed for the box.</p>
<p><b>Residual</b>: how far each field is from the law, in units of the typical tendency. The law is the same for both:
the coefficients and the force that the field <i>with</i> equations learned (the other has learned none). White
obeys. Geopotential has no equation of its own.</p>
<p><b>Latent force</b>: what the named terms leave over and a few smooth waves can say. It pays for its size; without a
price it could absorb any residual.</p>
<h3>Scores</h3>
<p>Errors are those at points that were not given, over the whole window whatever the box. Hours divisible by three have
given points, others have none. The spectra are those of the whole window; right of the dashed line is what the given
points cannot hold.</p>
<h3>Link and code</h3>
<p>The address holds all selections, as in <code>view=continuous&amp;variable=q&amp;hour=100.5&amp;zoom=4</code>.</p>
"""
