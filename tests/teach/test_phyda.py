"""What the chapter on diffusion and PhyDA computes: the ring, the circle, the twin experiment, the table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from physlab.assimilate import Learned, PhyDA
from physlab.benchmark.assimilation import COLUMNS, SCORES
from physlab.benchmark.divergence import COLUMNS as TRIED
from physlab.teach import phyda
from physlab.teach.phyda import guided
from physlab.views.twin import Twin


@pytest.fixture(scope="module")
def ring():
    return guided.Ring.make()


@pytest.fixture(scope="module")
def twin():
    return Twin.open()


@pytest.fixture(scope="module")
def bench(twin):
    torch.manual_seed(0)
    method = PhyDA(twin.space, latent=4, vae_width=8, width=8, levels=(8, 8)).eval()
    with torch.no_grad():  # the last layers of a new network are zero, and its members would not differ
        for weight in method.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    method.steps = 2
    return phyda.Bench(twin, method, members=3)


def table(models: dict[str, float], seeds: int = 3, shares=(0.1, 0.02)) -> pd.DataFrame:
    """A benchmark in which each method has its factor on all scores of the background, one per mille more by seed."""
    rows = []
    for model, factor in models.items():
        fixed = model in ("background", *phyda.CLASSICAL)
        for share in shares:
            for seed in [None] if fixed else range(seeds):
                scores = dict.fromkeys(SCORES, factor * (1 + 0.001 * (seed or 0)))
                rows.append(dict.fromkeys(COLUMNS, 1.0) | scores | {"model": model, "seed": seed, "share": share,
                            "noise": 0.0, "members": 8 if model in phyda.UNCENTRED else 1})  # fmt: skip
    return pd.DataFrame(rows).astype({"seed": "Int64"})


# ---- the ring and the circle ----------------------------------------------------------------------------------------


def test_kalman_is_the_information_form(ring):
    mean, P = ring.kalman
    wanted = torch.linalg.inv(torch.linalg.inv(ring.C) + ring.A.mT @ torch.linalg.solve(ring.R, ring.A))
    assert torch.allclose(P, wanted, atol=1e-9)
    rhs = torch.linalg.solve(ring.C, ring.mu) + ring.A.mT @ torch.linalg.solve(ring.R, ring.y)
    assert torch.allclose(mean, wanted @ rhs, atol=1e-9)


def test_moment_matching_alone_returns_the_kalman_posterior(ring):
    off, wrong, spread = ring.errors(*guided.drawn(ring, "moment matching", 64))
    assert off < 0.15 and wrong < 0.02 and spread == pytest.approx(1, abs=0.01)
    for name in ("SDA, γ = 0.01", "SDA, γ = 1", "ΠGDM"):
        assert ring.errors(*guided.drawn(ring, name, 64))[1] > 0.1, name
    assert ring.errors(*ring.kalman) == pytest.approx((0, 0, 1))


def test_perfect_denoiser_on_the_circle():
    """Against means over many states, and exact without noise."""
    generator = torch.Generator().manual_seed(0)
    angle = 2 * torch.pi * torch.rand(400_000, generator=generator, dtype=torch.float64)
    x, y, r = torch.stack([angle.cos(), angle.sin()], -1), torch.tensor([0.7, -0.4]).double(), 0.6
    weights = (-(y - x).square().sum(-1) / (2 * r**2)).exp()
    assert torch.allclose((weights[:, None] * x).sum(0) / weights.sum(), guided.denoised_on_circle(y, r), atol=0.01)
    states, D = guided.circle(1e-3, 100)
    assert torch.allclose(states, D, atol=0.01) and float(guided.law(states).abs().max()) < 1e-12


# ---- the twin experiment --------------------------------------------------------------------------------------------


def test_error_is_small_at_large_scales_only(twin):
    found = phyda.by_wavenumber(twin, "v500")
    ratio = found["error"] / found["truth"]
    assert ratio.loc[:5].max() < 0.05 and ratio.loc[25:35].mean() > 0.4
    assert 0.01 < phyda.unit_share(twin, PhyDA(twin.space, 4, 8, 8, (8, 8))) < 0.05


def test_what_passes_an_autoencoder(bench, twin):
    class All(torch.nn.Module):
        def encode(self, x):
            return x

        def decode(self, z, size):
            return 0.5 * z

    method = PhyDA(twin.space, 4, 8, 8, (8, 8))
    method.vae = All()
    assert phyda.kept(method, twin) == pytest.approx(0.75, abs=1e-5)


def test_zonal_mean_weighs_the_published_score(twin):
    seen = phyda.specdiv_parts(twin)
    assert 0.8 < seen["weight"] < 1 and seen["weight_top"] > 0.9 and seen["eddy"] > 5 * seen["whole"]
    assert 0.5 < seen["difference"] < 1.2


def test_bench_makes_each_analysis_once(bench):
    first = bench(2)[1]
    assert bench(2)[1] is first and first.sizes["member"] == 3 and len(bench(0)[0].points) == 0
    assert np.isfinite(bench.gain(2)) and np.isfinite(bench.gain(0))
    there = bench.at_stations(2)
    assert (there > 0).all().all() and list(there) == ["before", "after", "spread"]
    assert (bench.at_stations(0).loc["at the stations"] == 0).all()
    ratios = phyda.power_ratios(bench, 2, "v500")
    assert (ratios["members"] >= 0.99 * ratios["mean of the members"]).all()


def test_gain_is_one_for_the_truth(bench, twin):
    case = twin.case(1)
    other = phyda.Bench(twin, bench.method, 1, made={5: (case, case.truth), 1: (case, case.background)})
    assert other.gain(5) == pytest.approx(1) and other.gain(1) == pytest.approx(0)


class Half(Learned):
    """Half of the innovation at the columns that it sees: three quarters of the error there, and nothing else."""

    def increments(self, background, columns, members=1, generator=None, progress=None, cancel=None):
        return (0.5 * columns.innovation)[:, None]


def test_what_needs_no_observation_on_the_old_task(twin):
    found = phyda.model_error(twin, {"half": Half(twin.space)}, 0.1).loc["half"]
    assert found["without observations"] == "0.0" and found["that needs none"] == "0 to 0 %"
    assert float(found["with them"]) == pytest.approx(9.3, abs=1.5)  # columns are drawn by area: rather large ones


def test_pictures(bench, twin, ring):
    made = (
        phyda.draw_errors(twin), phyda.draw_analysis(bench, 2), phyda.draw_power(bench, 2), phyda.draw_specdiv(twin),
        guided.draw_gap(0.7), guided.draw_guide(ring, "ΠGDM"),
        guided.draw_gammas(guided.by_gamma(ring, (0.01, 1), 8), (0.1, 0.1, 1.0)),
    )  # fmt: skip
    assert all(isinstance(fig, Figure) for fig in made)


# ---- the table ------------------------------------------------------------------------------------------------------

FULL = {"background": 1.0, "3D-Var": 0.5, "LETKF": 0.9, "SDA": 0.8, "PhyDA": 0.7, "PhyDA without PRDO": 0.8,
        "PhyDA, convolution for VRE": 0.7002, "PhyDA without VRE": 0.6}  # fmt: skip


def test_words_follow_the_table():
    runs = table(FULL)
    assert phyda.best(runs, "mse") == ("3D-Var", "PhyDA", True)
    assert "win mean square error, height" in phyda.winners(runs)[1]
    assert "No method without" in phyda.winners(table(FULL | {"3D-Var": 0.95}))[1]
    assert phyda.best(table(FULL | {"SDA": 0.7003, "3D-Var": 0.95}), "mse") == ("PhyDA", "SDA", False)
    without, convolution, plain = phyda.ablation_words(runs)
    assert "worse MSE, CRPS" in without and "better" not in without and "MSE +14.3 %" in without
    assert "all within the spread" in convolution and "better MSE" in plain
    assert phyda.below_phyda(runs) == ["3D-Var"]
    assert "2 %: 3D-Var" in phyda.by_density(runs)[0] and "PhyDA goes from 0.70 to 0.70" in phyda.flatness(runs)
    assert phyda.beside_the_paper(runs).loc["PhyDA", "SpecDiv, paper"] == "79.7"
    assert phyda.beside_the_paper(runs).loc["PhyDA", "MSE, here"] == "29.9"
    assert phyda.scores(runs).loc["PhyDA", "MSE"].startswith("0.701 ± 0.001")


def test_few_draws_have_a_sampling_error():
    runs = table(FULL)
    draws = torch.randn(9, 100_000, generator=torch.Generator().manual_seed(0))
    truth, members = draws[0], draws[1:]
    at = runs["model"] == "SDA"
    runs.loc[at, "mse"] = float((members.mean(0) - truth).square().mean())
    runs.loc[at, "mse_member"] = float((members - truth).square().mean())
    assert phyda.of_many(runs)["SDA"] == pytest.approx(1, abs=0.02)  # the error of the right mean, zero
    assert f"({phyda.of_many(runs)['SDA']:.2f})" in phyda.sampling(runs)


@pytest.mark.parametrize("models", [["PhyDA"], [], ["3D-Var", "VAE-Var"], ["SDA", "PhyDA", "PhyDA without PRDO"]])
def test_a_table_that_is_not_complete(models):
    runs = table({name: FULL.get(name, 0.9) for name in ["background", *models]}, seeds=1)
    words = [*phyda.winners(runs), *phyda.by_density(runs), phyda.flatness(runs), phyda.sampling(runs)]
    assert all(isinstance(word, str) for word in (*words, *phyda.ablation_words(runs)))
    phyda.scores(runs), phyda.beside_the_paper(runs), phyda.below_phyda(runs)
    assert isinstance(phyda.draw_shares(runs), Figure) and isinstance(phyda.draw_ablations(runs), Figure)


def longer(members: float, centre: float, others: float = 0.3, seeds: int = 2, lengths=(400, 1600)) -> pd.DataFrame:
    """SpecDiv of members and of what is one field, over that of the background; a hundredth apart by seed."""
    rows = [("background", 0, 0.0, 1.0)]
    for steps in lengths:
        rows += [(model, steps, 0.0, others) for model in ("Adas", "ConvCNP")]
        rows += [("PhyDA", steps, t, centre + t * (members - centre)) for t in (1.0, 0.5, 0.0)]
    ones = dict.fromkeys(TRIED, 1.0)
    return pd.DataFrame(
        {**ones, "model": m, "steps": s, "temperature": t, "seed": k, "specdiv": 2.0 * x + 0.02 * k,
         "spread_skill": 0.8 * t if t else float("nan")}
        for m, s, t, x in rows for k in (range(seeds) if m != "background" else (0,))
    )  # fmt: skip


def test_words_say_whether_the_published_figure_is_reached():
    words = phyda.what_it_takes(longer(0.4, 0.19))
    assert words[0].startswith("400 steps: members 59.5 ± 0.7 %, centre 80.5 ± 0.7 %; Adas 69.5")
    assert "79.7 % are reached by the single fields of PhyDA after" in words[2]
    words = phyda.what_it_takes(longer(0.4, 0.19, seeds=1))
    assert words[2].endswith("with one seed: what the spread is, nobody knows.")
    assert "goes from 0.400 to 0.295, spread over skill from 0.80 to 0.40" in words[3]
    words = phyda.what_it_takes(longer(0.4, 0.25, others=0.3))
    assert "reached by nobody; lowest is PhyDA" in words[2]
    words = phyda.what_it_takes(longer(0.4, 0.25, others=0.245))
    assert "lowest is Adas" in words[2] and words[2].endswith("not beyond the spread over seeds.")


@pytest.mark.parametrize("lengths", [(400, 1600), (1600,)])
def test_a_picture_of_temperatures(lengths):
    runs = longer(0.4, 0.2, seeds=1, lengths=lengths)
    fig = phyda.draw_temperatures(runs)
    assert len(fig.axes[0].containers) == len(lengths)
    assert len(phyda.what_it_takes(runs[~((runs["model"] == "Adas") & (runs["steps"] == 1600))])) == len(lengths) + 2
