"""What the chapter on latent diffusion computes: the scene, the law, decoding, weights, the split, the table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure

import physlab
from physlab.benchmark import read_ensemble
from physlab.benchmark.ensemble import BASELINES, COLUMNS, CONSTRAINED, DIFFUSION, REGRESSION, TUNED, WEIGHTS
from physlab.downscale.terrain import unrounded
from physlab.equations.surface_temperature import residual
from physlab.score.detail import SCORES
from physlab.teach import latent
from physlab.train.latent import LatentSettings, make_latent
from physlab.train.steps import Steps


@pytest.fixture(scope="module")
def fine():
    return physlab.open_dataset("nature-terrain")


@pytest.fixture(scope="module")
def scene(fine):
    """With a small model that has seen nothing; its last layers, which are zero, are shaken."""
    fields = latent.TerrainFields.of(fine, "t_low", ("t_low", "u_low", "v_low"), 4)
    torch.manual_seed(0)
    model = make_latent(fields, **latent.TINY).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn(weight.shape))
    model.steps = 2
    return latent.Scene(fine, model)


@pytest.fixture(scope="module")
def members(scene):
    return scene.members_of(scene.model.downscale(scene.coarse, members=3, seed=0))


def table(factors: dict[float, dict[str, float]], seeds: int = 3, noise: float = 1e-4, flux: bool = True):
    """A benchmark whose tuned models have, for each weight, a factor on some scores of the control."""
    rows, base = [], dict.fromkeys(SCORES, 0.4) | {"residual": 1.3}
    draw = np.random.default_rng(0)

    def add(model, kind="none", weight=0.0, seed=None, **change):
        scores = {k: v * change.get(k, 1.0) * (1 + noise * draw.standard_normal()) for k, v in base.items()}
        rows.append(dict.fromkeys(COLUMNS, 1.0) | scores
                    | {"data": "nature-x4", "model": model, "kind": kind, "weight": weight, "seed": seed})  # fmt: skip

    for name in BASELINES:
        add(name, residual=0.55)
    for seed in range(seeds):
        for name in (REGRESSION, DIFFUSION, CONSTRAINED):
            add(name, seed=seed)
        for weight, change in factors.items():
            add(TUNED, "balance" if weight else "none", weight, seed, **change)
        if flux:
            add(TUNED, "flux-ratio", 0.3, seed)
    return pd.DataFrame(rows).astype({"seed": "Int64"})


# ---- the scene ------------------------------------------------------------------------------------------------------


def test_coarse_fields_are_block_means_of_the_truth(scene):
    blocks = physlab.grid.coarsen(scene.truth.double(), 4, scene.now.area.double())
    assert np.allclose(scene.coarse["t_low"].values, blocks.numpy(), atol=1e-3)
    assert scene.coarse["u_low"].attrs["units"] == "m s-1"


def test_members_are_scored_and_tied(scene, members):
    assert members.shape == (3, 128, 256)
    found = latent.compare(scene, members)
    assert found.loc["3 members, constrained", "off the coarse field (K)"] < 1e-3
    assert found.loc["3 members", "off the coarse field (K)"] > 0.01
    shown = latent.blank(found)
    assert shown.loc["bicubic", "spread/skill"] == "" and shown.loc["bicubic", "RMSE (K)"] > 0.3


def test_what_bicubic_leaves_open(scene):
    found = latent.what_is_open(scene)
    assert found.loc["bicubic", "detail explained"] == pytest.approx(0, abs=1e-6)
    assert latent.fine_power(scene, scene.truth[None]) == pytest.approx(1)
    assert found.loc["bicubic", "power of fine waves"] < 0.5


def test_sizes_of_the_networks_add_up(scene):
    counted = sum(int(n.replace(",", "")) for n in latent.networks(scene)["parameters"])
    assert counted == sum(p.numel() for p in scene.model.parameters())


# ---- the law --------------------------------------------------------------------------------------------------------


def test_fit_explains_and_the_truth_has_residual_one(scene):
    assert 0 < latent.explained(scene) < 0.5
    low, *_, high = latent.diffusivities(scene)
    assert 0 <= low <= scene.law.diffusivity <= high
    assert scene.residual(scene.truth) == pytest.approx(1)
    assert scene.residual(scene.bicubic[0]) < 0.9


def test_balance_and_ratio_notice_other_things(scene):
    found = latent.invariances(scene)
    assert found.loc["in degrees Celsius", "balance"] == pytest.approx(1, abs=1e-9)
    assert found.loc["in degrees Celsius", "published ratio"] < 0.5
    assert found.loc["in calm air", "published ratio"] == 1 and found.loc["in calm air", "balance"] < 0.5


def test_rounding_is_taken_out_and_the_field_stays():
    """A spherical harmonic stays as it is; white noise near the poles goes."""
    latitude = np.linspace(-88, 88, 64)
    longitude = np.deg2rad(np.arange(128) * 360 / 128)
    smooth = 280 + np.cos(np.deg2rad(latitude))[:, None] ** 8 * np.cos(8 * longitude)
    noise = np.random.default_rng(0).uniform(-0.05, 0.05, smooth.shape)
    assert np.abs(unrounded(smooth, latitude) - smooth).max() < 1e-4
    left = unrounded(smooth + noise, latitude) - smooth
    assert left[0].std() < 0.5 * noise[0].std() and left[32].std() > 0.9 * noise[32].std()


def test_fit_does_not_see_the_rounding(scene):
    assert 1.5e5 < scene.law.diffusivity < 3e5  # that of the run itself, unrounded: 2.2e5
    words = latent.fit_words(scene)
    assert "m² s⁻¹" in words[0]
    assert (len(words) == 2) is (abs(latent.as_it_comes(scene) / scene.law.diffusivity - 1) > 0.2)


# ---- decoding -------------------------------------------------------------------------------------------------------


def test_exact_solution_is_one():
    errors = []
    for n in (32, 64):
        grid, t, u, v, height = latent.exact(n)
        errors.append(float(residual(t, u, v, height, grid, latent.KAPPA).square().mean().sqrt()))
    assert np.log2(errors[0] / errors[1]) > 1.8


@pytest.mark.parametrize("noise", [0.1, 2.0])
def test_certificate_at_any_noise(noise):
    found = latent.certificate((32, 64), noise)
    right = found.loc["clean latents + U-Net"]
    assert latent.order_of(right) > 1.8 and right.iloc[-1] < 0.01
    assert (found.drop("clean latents + U-Net") > 1).all().all()


def test_right_way_of_decoding_does_not_depend_on_noise(scene):
    right = [latent.decoded(scene, r)["clean latents + U-Net"] for r in (0.1, 3.0)]
    assert torch.allclose(*right, atol=0.01)
    with torch.no_grad():
        assert torch.allclose(right[0], scene.model.field(scene.unet[None], scene.latents)[0, 0], atol=0.01)
    found = latent.decodings(scene)
    assert found.loc["velocity alone, as published", "RMSE (K)"] > 200


# ---- a weight and a split -------------------------------------------------------------------------------------------


def test_steps_of_adamw_do_not_know_a_large_weight():
    found = latent.steps_by_weight()
    assert found.loc[1e-5:, "AdamW"].between(0.99, 1.001).all()
    assert found.loc[1e-11, "AdamW"] == pytest.approx(1e-11 / (1e-11 + 1e-8), rel=1e-3)
    beside = [latent.first_step(w, 1.0, other=-1.0) for w in (0.5, 2.0)]  # beside another loss it decides the sign
    assert beside == pytest.approx([1, 1], abs=1e-6)


def test_logged_losses_hold_one_and_the_same_penalty():
    assert latent.implied_penalty().tolist() == pytest.approx([2.458, 2.4592], abs=1e-3)


def test_random_split_leaks_only_if_neighbours_are_alike():
    """Detail that drifts slowly is copied from the next hour; detail new at every hour is not."""
    generator = np.random.default_rng(0)
    new = generator.standard_normal((120, 16, 16))
    slow = np.array(new)
    for k in range(1, 120):
        slow[k] = 0.95 * slow[k - 1] + 0.31 * slow[k]
    coords = {"time": np.datetime64("2019-03-01", "ns") + np.arange(120) * np.timedelta64(1, "h"),
              "latitude": 58.0 - 0.25 * np.arange(16), "longitude": -10 + 0.25 * np.arange(16)}  # fmt: skip
    for values, leaks in ((slow, True), (new, False)):
        da = xr.DataArray(280 + values, coords, ("time", "latitude", "longitude"))
        found = latent.leak(da, last=24, gap=48)
        ratio = found["random split"] / found["split by blocks"]
        assert ratio < 0.6 if leaks else ratio == pytest.approx(1, abs=0.1)


# ---- a small training -----------------------------------------------------------------------------------------------


def test_tiny_training_runs(fine):
    steps = LatentSettings(*[Steps(3, 2, 1e-3)] * 3, tuning=Steps(2, 2, 1e-3))
    found, seconds = latent.train_tiny(fine, south=30, north=60, settings=steps)
    assert list(found.index)[:2] == ["bicubic", "U-Net"] and len(found) == 4 and seconds > 0
    assert np.isfinite(found["CRPS (K)"]).all()


# ---- the table ------------------------------------------------------------------------------------------------------


def test_answer_follows_the_table():
    lower = {w: {"residual": 1 - 0.1 * w} for w in WEIGHTS}
    facts = latent.verdict(table(lower))
    assert facts["obeyed"] and not facts["hurts"] and facts["largest"] == 3 and facts["end"] < facts["start"]
    nothing = latent.answer(table(lower, noise=0.01))
    assert nothing.startswith("**The law lowers its own residual") and nothing.endswith(".**")

    good = latent.answer(table(lower | {0.3: {"rmse": 0.97, "crps": 0.97}}))
    assert "the ensemble gains in CRPS at λ = 0.3" in good
    last = {"rmse": 0.99, "residual": 0.7, "crps": 1.05, "spread_skill": 0.9, "specdiv_top": 1.2}
    bad = latent.answer(table(lower | {3.0: last}))
    assert "more alike (spread/skill -10.0 %, finest SpecDiv +20 %), and no weight lowers the CRPS" in bad
    assert bad.endswith("(RMSE -1.0 %, CRPS +5.0 % at λ = 3).**")
    idle = latent.answer(table({w: {} for w in WEIGHTS}, noise=0.01))
    assert idle.startswith("**The law does not clearly lower even its own residual")
    assert "no training with the law" in latent.answer(table({0.0: {}}))


def test_effects_are_clear_beyond_the_interval_over_seeds():
    found = latent.effects(table({0.0: {}, 1.0: {"crps": 0.9}})).set_index("kind")
    assert found.loc["balance", "crps"] == pytest.approx(-10, abs=0.1) and found.loc["balance", "crps_clear"]
    assert latent.better(found.loc["balance"], "crps") == 1
    assert not latent.effects(table({0.0: {}, 1.0: {"crps": 0.9}}, seeds=1))["crps_clear"].any()


def test_words_and_pictures_of_the_table():
    runs = table({w: {"residual": 1 - 0.1 * w} for w in WEIGHTS})
    assert latent.smoothest(runs)[0] in BASELINES and latent.smoothest(runs)[1] < 1
    shown = latent.scores(runs)
    assert shown.loc["tuned without a law", "RMSE (K)"].startswith("0.4 ±") and "tuned, flux-ratio 0.3" in shown.index
    assert any("published ratio at λ = 0.3" in text and "±" in text for text in latent.further(runs))
    assert "nan" not in " ".join(latent.further(table({0.0: {}, 1.0: {}}, seeds=1)))
    assert "RMSE" in latent.baseline_words(runs)[0]
    shipped = latent.baseline_words(read_ensemble())
    assert [t.split(" (")[0] for t in shipped[-2:]] == list(latent.ELSEWHERE.values())
    assert "(3 seeds)" in shipped[-1] and len(shipped) > len(latent.baseline_words(runs))
    assert isinstance(latent.draw_weights(runs), Figure)


def test_pictures(scene, members):
    stored = xr.Dataset({"t_low": (("weight", "member", "latitude", "longitude"), members[None].repeat(2, 1, 1, 1))},
                        {"weight": [0.0, 3.0]})  # fmt: skip
    made = (
        latent.draw_members(scene, members, 1), latent.draw_spectra(scene, members), latent.draw_law(scene),
        latent.draw_decoded(scene, 1.0), latent.draw_steps(), latent.draw_stored(scene, stored, 3.0),
    )  # fmt: skip
    assert all(isinstance(fig, Figure) for fig in made)
