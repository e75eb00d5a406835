"""The words of the explorer: what to predict before looking, what to see afterwards, and the help page.

Sentences only; every number in them comes from the panel that is on the screen.
"""

from __future__ import annotations

from apps.state import CONSTRAINTS, METHODS, Choice

QUESTIONS = {
    "none": "Nothing tells this method what a coarse cell holds. Where will the block mean drift from the input: in "
    "smooth regions, or along sharp edges such as moist filaments and coasts?",
    "soft": "The network was only fined for violating conservation. Will the residual map be blank, or merely paler "
    "than without the fine?",
    "add": "Each block is shifted by one number. Can that create values below zero where the air is very dry?",
    "scaled_add": "The correction is shared out by how much room each cell has left to its bounds. Will there be fewer "
    "negative values than with the plain additive layer?",
    "mult": "Each block is multiplied by one number. What happens to a perfectly dry block, and what to the ratios "
    "within a block?",
    "softmax": "The network's output is read as logarithms, and each block shares out exactly what its coarse cell "
    "holds. Will any value be negative, and will the residual map show any colour?",
}
AFTERWARDS = {
    "none": "A finished field as it is. How large is its error next to the other columns of the table?",
    "add": "A finished field is shifted block by block, without any training. How much of what a constrained network "
    "gains is already here?",
    "mult": "Each block of a finished field is multiplied by one number. Does the error get smaller everywhere?",
    "softmax": "This layer reads logarithms, so it is given the logarithm of the finished field. What then still "
    "distinguishes it from the multiplicative layer?",
}
WHAT_IT_IS = {
    "none": "Without a constraint nothing forces the result to agree with the input.",
    "soft": "A penalty pulls towards conservation but does not guarantee it.",
    "add": "The additive layer closes each block by one shift, so signs are not protected.",
    "scaled_add": "The scaled layer closes each block and respects its bounds where it can.",
    "mult": "The multiplicative layer closes each block and keeps the sign.",
    "softmax": "The softmax layer shares out each coarse value by positive weights: exact means, nothing negative.",
}


def question(choice: Choice) -> str:
    """What the student is asked before looking."""
    if choice.mode == "applied" and choice.constraint in AFTERWARDS:
        return AFTERWARDS[choice.constraint]
    return QUESTIONS[choice.constraint]


def answer(choice: Choice, scores: dict[str, dict[str, float]], units: str) -> str:
    """What there is to see, with the numbers of this frame."""
    this, reference = scores["this"], scores["bicubic+add"]
    gain = 100.0 * (1.0 - this["rmse"] / reference["rmse"]) if reference["rmse"] > 0 else 0.0
    if abs(gain) < 0.05:
        comparison = "equals that of bicubic+add"
    else:
        comparison = f"is {abs(gain):.2g} % {'below' if gain > 0 else 'above'} that of bicubic+add"
    missed = f'<span class="number">{this["conservation_error"]:.2g} {units}</span>'
    return (
        f"{WHAT_IT_IS[choice.constraint]} In this frame the block means miss the input by {missed} (root mean square), "
        f"and {int(this['negative_count'])} values are negative. The RMSE of {this['rmse']:.3g} {units} {comparison}, which "
        "needs no training: that column, not plain bicubic, is the one to beat. In the spectra, everything right of the "
        "dashed line is finer than the input can hold, so the method has to supply it."
    )


def title(choice: Choice) -> str:
    """The method in words, for the result map."""
    if choice.method == "network" and choice.mode == "trained":
        return "network, unconstrained" if choice.constraint == "none" else f"network trained with {choice.constraint}"
    name = METHODS[choice.method].lower()
    return name if choice.constraint == "none" else f"{name}, then {choice.constraint}"


HELP = f"""
<h3>What this page shows</h3>
<p>A fine field, the <b>truth</b>, is averaged over blocks of 2, 4 or 8 cells each way: that is the <b>input</b>. A
method makes a fine field from the input alone: the <b>result</b>. Two questions follow. How far is it from the
truth (<b>error</b>)? And do its own block means give back the input (<b>conservation residual</b>)? Averaging the
truth gives the input exactly, so a perfect result has no residual; but no residual does not make a result
perfect.</p>
<h3>Controls</h3>
<p><b>Method</b>: a trained network, or interpolation without training.<br>
<b>Constraint, when</b>: <i>in training</i>, the layer (or the penalty) was there while the network learned;
<i>afterwards</i>, the layer is put on top of a finished field of the unconstrained network, of bicubic or of
nearest.<br>
<b>Constraint, which</b>: {", ".join(CONSTRAINTS.values()).lower()}. A penalty cannot be applied afterwards.</p>
<h3>Maps</h3>
<p>Drag to move, turn the wheel to zoom: all maps move together. Point at a cell to read its value. Input, result
and truth share one colour scale. Error and residual have each their own, symmetric about zero; they stay the same
for all methods and constraints, so that colours can be compared.</p>
<h3>Scores</h3>
<p>RMSE, MAE and bias (result minus truth) are weighted by cell area. PSNR, SSIM and correlation: higher is better.
<b>Conservation</b>: root mean square of block mean minus input. <b>Negatives</b>: number of values below zero.
<b>Spectrum</b>: divergence of the normalised power spectra, for all wavenumbers and for the finest tenth of them.
Green marks the best of a row.</p>
<h3>Link and code</h3>
<p>The address of the page holds all selections: bookmark it or send it. The tab <i>Code</i> holds a short script
that gives the same numbers from the library. A lesson may hide what it does not need, as in
<code>&amp;hide=truth,scores</code>.</p>
"""
