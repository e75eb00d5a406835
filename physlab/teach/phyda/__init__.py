"""The chapter on diffusion and PhyDA: guidance on a ring, the globe, the experiment, and the exercises."""

from __future__ import annotations

from physlab.teach.phyda.analysis import Bench, by_wavenumber, kept, power_ratios, specdiv_parts, unit_share
from physlab.teach.phyda.exercises import averaged_first
from physlab.teach.phyda.experiment import (
    CLASSICAL,
    PUBLISHED,
    UNCENTRED,
    ablation_words,
    below_phyda,
    beside_the_paper,
    best,
    by_density,
    chosen_temperatures,
    flatness,
    of_many,
    over_background,
    ranked,
    reached,
    sampling,
    scores,
    what_it_takes,
    winners,
)
from physlab.teach.phyda.figures import (
    draw_ablations,
    draw_analysis,
    draw_errors,
    draw_power,
    draw_shares,
    draw_specdiv,
    draw_temperatures,
)
from physlab.teach.phyda.lives import draw_lives, lives, lives_words
from physlab.teach.phyda.worth import (
    draw_worth,
    leader,
    member_words,
    members,
    model_error,
    on_real,
    worth,
    worth_words,
)
