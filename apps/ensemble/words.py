"""The words of the Ensemble view: what to predict before looking, what to see afterwards, and the help page.

Sentences only; every number in them comes from the picture that is on the screen.
"""

from __future__ import annotations

from apps.ensemble.store import Picture
from apps.options import DAYS


def question(picture: Picture) -> str:
    """What the student is asked before looking."""
    draw = picture.draw
    if draw.weight == "0":
        return (
            "These members come from a model that took as many more steps as the others, but without the law. Is their "
            "PDE residual larger than the truth's, or smaller? Keep it in mind, and turn λ up."
        )
    if draw.weight != "live":
        return (
            f"The law had the weight {draw.weight} in the loss. Is the residual nearer to the truth's than with λ = 0, "
            "or merely smaller? And what happened to the errors?"
        )
    if draw.consistency == "add":
        return (
            "Every block of every member is shifted by one number, so that it averages to its input. Will the members "
            "scatter more or less than before, and will the shifts show as edges in the PDE residual?"
        )
    if draw.draws == 2:
        return (
            "Two members make a rough mean. Draw sixteen: which of RMSE, fair CRPS and spread / skill will change most?"
        )
    return (
        "The input knows nothing within its blocks of 4 × 4 cells. Where will the members disagree: over plains, along "
        "coasts, in the mountains, or where fronts are? And which has the truer spectrum, one member or their mean?"
    )


def answer(picture: Picture) -> str:
    """What there is to see, with the numbers of this picture."""
    own, bicubic = picture.scores.get("ensemble"), picture.scores["bicubic"]
    if not own:
        return "There is no ensemble yet."
    gain, ratio = 100 * (1 - own["rmse"] / bicubic["rmse"]), own["spread_skill"]
    kind = "too sure of itself" if ratio < 0.9 else "too unsure" if ratio > 1.1 else "honest about its error"
    nearer = "nearer to the truth's" if own["specdiv"] < bicubic["specdiv"] else "farther from the truth's"
    words = [
        f"The RMSE of the mean, {own['rmse']:.3f} K, is {abs(gain):.0f} % {'below' if gain >= 0 else 'above'} that of "
        f"bicubic interpolation. Its CRPS is {own['crps']:.3f} K; a single field has its MAE there, bicubic "
        f"{bicubic['crps']:.3f} K.",
        f"Spread over skill is {ratio:.2f}: the ensemble is {kind}.",
        f"The spectra of members are {nearer} than that of bicubic (SpecDiv {own['specdiv']:.1e} and "
        f"{bicubic['specdiv']:.1e}). The waves right of the dashed line are too short for the grid of the input.",
        f"The PDE residual of members is {own['residual']:.2f} of the truth's, that of bicubic "
        f"{bicubic['residual']:.2f}: 1 is as balanced as the truth, and less is not better.",
    ]
    if picture.draw.consistency == "none":
        words.append(f"Block means miss the input by {own['conservation']:.2g} K (root mean square).")
    else:
        words.append(f"Block means meet the input to {own['conservation']:.0e} K.")
    return " ".join(words)


HELP = f"""
<h3>What this view shows</h3>
<p><b>Residual latent diffusion over terrain.</b> Temperature and wind of the lowest layer of the laboratory atmosphere,
{DAYS} times that nobody trained on, are averaged over blocks of 4 × 4 cells: the <b>input</b>. A U-Net makes a mean
field from it, from the height of the ground and from the land; an autoencoder turns what is left into a few numbers per
coarse cell; and a diffusion model draws these numbers, from other noise for each <b>member</b>.</p>
<h3>Controls</h3>
<p><b>Live</b>: members are drawn now; their number and the seed of their noise are yours. <b>A weight λ</b>: stored
members of one time, from models that took some more steps with a physical law in the loss; λ = 0 took the same steps
without it. The noise of a member is the same for all weights. As only two are stored, their spread says little; the
chapter has the numbers of three seeds.<br>
<b>Hard consistency</b>: a layer shifts each block of a member so that it averages to its input.<br>
<b>Threshold</b>: of the map of exceedance; 273.15 K is freezing.</p>
<h3>Maps</h3>
<p>Input, truth, mean and member share one scale. <b>Spread</b> is the standard deviation of the members.
<b>Exceedance</b> is the share of members above the threshold, a probability with steps of one over their number.
Limits of the error are those of bicubic interpolation, so that what is pale has been gained.</p>
<p><b>PDE residual</b>: u·∇T<sub>*</sub> − κ∇²T<sub>*</sub> − S with the true wind, T<sub>*</sub> the temperature that
is reduced to one height, and the heating S from the input. Lapse rate and diffusivity κ are those of least squares over
the true fields. It is not zero in the truth, and the aim is to be as balanced as the truth.</p>
<h3>Bands and regions</h3>
<p>A drag over the spectrum shows truth, ensemble mean and its error in a band of waves, without the means of latitude
circles, as the spectrum has them: beyond the dashed line the mean knows less than its members show. With <i>A drag
takes a region</i> the cells inside have scores of their own.</p>
<h3>Long work</h3>
<p>Sampling takes about half a second for each member. The bar shows how far it is, <i>stop</i> ends it, and any new
selection overtakes it. What was drawn once is kept; threshold, consistency and the member that is shown draw nothing
anew.</p>
<h3>Link and code</h3>
<p>The address holds all selections, as in
<code>view=ensemble&amp;day=1&amp;draws=16&amp;seed=3&amp;consistency=add&amp;threshold=273.15</code> or
<code>view=ensemble&amp;weight=0.3&amp;which=2</code>. The tab <i>Code</i> prints the same scores.</p>
"""
