"""The chapter on latent diffusion with a law in its loss: a scene, the law, its decoding, the experiment, exercises."""

from __future__ import annotations

from physlab.teach.latent.decoding import AT_REST, KAPPA, certificate, decoded, decodings, exact, order_of
from physlab.teach.latent.exercises import decoded_velocity
from physlab.teach.latent.experiment import (
    BASELINES,
    ELSEWHERE,
    answer,
    baseline_words,
    better,
    draw_weights,
    effects,
    further,
    scores,
    smoothest,
    verdict,
)
from physlab.teach.latent.figures import draw_decoded, draw_law, draw_members, draw_spectra, draw_stored
from physlab.teach.latent.law import TerrainFields, as_it_comes, diffusivities, explained, fit_words, invariances
from physlab.teach.latent.scene import Scene, blank, compare, fine_power, networks, what_is_open
from physlab.teach.latent.stations import draw_stations, stations_words
from physlab.teach.latent.training import TINY, leak, train_tiny
from physlab.teach.latent.weights import draw_steps, first_step, implied_penalty, steps_by_weight
