"""The chapter on data assimilation: small worlds, real weather, and the exercises."""

from __future__ import annotations

from physlab.teach.assimilation.exercises import too_sure
from physlab.teach.assimilation.figures import (
    by_taper,
    draw_curves,
    draw_divergence,
    draw_sample,
    draw_taper,
    draw_valley,
    valley,
)
from physlab.teach.assimilation.maps import draw_alike, draw_shares, draw_station, draw_weather
from physlab.teach.assimilation.small import (
    LORENZ,
    by_members,
    by_radius,
    contest,
    doubtful,
    linear_world,
    run,
    sampled,
    shown,
    smooth,
    taper,
)
from physlab.teach.assimilation.weather import (
    FIELDS,
    NOISE,
    HeightOnly,
    Weather,
    alike,
    balance,
    by_share,
    compare,
    innovation_ratio,
    one_station,
    reach,
    stations,
    z500,
)
from physlab.teach.kalman import bayes_by_hand, draw_bayes
