"""Reading a results table: the report's own figures obey the identities, and the artefacts come out when run."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from physlab.benchmark import PAPER
from physlab.errors import PhysLabError
from physlab.score import crps
from physlab.teach import load_answers, report, results


def test_the_report_used_the_maximum_as_peak():
    frame = report.reported()
    peak = report.implied_peak(frame["mse"], frame["psnr"])
    triplets = frame["called"].str.contains("T1")
    assert (peak[~triplets] - 101.059).abs().max() < 0.01
    assert (peak[triplets] - 99.759).abs().max() < 0.01


def test_the_crps_of_six_rows_follows_from_two_columns():
    frame = report.reported()
    gans = frame[frame["crps"] > 0]
    assert len(gans) == 6
    assert (report.implied_crps(gans["mae"], gans["bias"]) - gans["crps"]).abs().max() < 5e-5


def test_one_row_of_the_report_lacks_the_layer_that_it_names():
    frame = report.reported()
    hard = frame["called"].str.contains("softmax|add")
    assert list(frame.index[hard & (frame["block_error"] > 1e-5)]) == ["E2"]
    assert frame.loc["E13", "rmse"] == pytest.approx(21.8211, abs=1e-4) != report.RMSE_PRINTED_E13
    assert 16 * 2 * math.log(2) / 9 == pytest.approx(report.DISCRIMINATOR_LOSS, abs=1e-4)
    assert set(frame.index) == set(PAPER)


def test_broken_crps_is_right_but_for_its_divisor():
    generator = torch.Generator().manual_seed(0)
    members = torch.randn(7, 500, generator=generator, dtype=torch.float64)
    truth = torch.randn(500, generator=generator, dtype=torch.float64)
    assert torch.allclose(results.broken_crps(members, truth, width=7), crps(members, truth, fair=False))
    assert float(results.broken_crps(members, truth, width=128)) < 0.7 * float(crps(members, truth, fair=False))
    # what the notes of this project have measured for ten members of N(0, 1): true 0.6196, broken 0.3101
    members = torch.randn(10, 400_000, generator=generator, dtype=torch.float64)
    truth = torch.randn(400_000, generator=generator, dtype=torch.float64)
    assert float(results.broken_crps(members, truth, 128)) == pytest.approx(0.3101, abs=0.003)


def test_copies_have_the_crps_that_the_formula_says():
    generator = torch.Generator().manual_seed(1)
    members, truth = torch.randn(2, 10, 300, generator=generator, dtype=torch.float64).unbind(0)
    truth = truth[0] + 0.4
    copies = results.copies_of_first(members)
    assert copies.shape == members.shape and float(copies.var(0).max()) == 0.0
    mae, bias = float((copies[0] - truth).abs().mean()), float((truth - copies[0]).mean())
    assert float(results.broken_crps(copies, truth, 128)) == pytest.approx(report.implied_crps(mae, bias), abs=1e-12)
    assert float(crps(copies, truth)) == pytest.approx(mae, abs=1e-12)


def test_the_flag_of_the_report_does_nothing():
    generator = torch.Generator().manual_seed(2)
    made, truth = torch.rand(2, 3, 1, 8, 8, generator=generator)
    coarse, verdict = torch.rand(3, 1, 2, 2, generator=generator), torch.rand(3, 1, generator=generator)
    losses = [results.report_generator_loss(made, truth, coarse, verdict, soft) for soft in (False, True)]
    assert torch.equal(*losses)
    alphas = [
        float(load_answers()["mend-the-loss"].right(made, truth, coarse, verdict, True, alpha)) for alpha in (0.0, 0.99)
    ]
    assert alphas[0] == pytest.approx(float(losses[0])) != pytest.approx(alphas[1])


def test_min_max_leaves_the_forgotten_frames_alone():
    class Data:
        pass

    Data.fine = {"train": torch.tensor([2.0, 10.0, 6.0, 4.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)}
    offset, scale = results.min_max(Data, (0,))
    assert offset.flatten().tolist() == [2, 0, 0] and scale.flatten().tolist() == [8, 1, 1]
    offset, scale = results.min_max(Data, (0, 1, 2))
    scaled = (Data.fine["train"] - offset) / scale
    assert float(scaled.min()) == 0.0 and float(scaled.max()) == 1.0


def test_failed_normalisation_hits_the_network_without_layer_only():
    class Data:
        factor = 2

    generator = torch.Generator().manual_seed(3)
    wave = torch.linspace(0, 12, 16)
    phase = 6 * torch.rand(24, 3, 1, 1, generator=generator)
    field = 30 + 20 * torch.sin(wave[:, None] + phase) * torch.cos(wave[None] - phase)
    Data.fine = {"train": field, "test": field}
    Data.coarse = {"train": torch.nn.functional.avg_pool2d(field, 2), "test": torch.nn.functional.avg_pool2d(field, 2)}
    table = results.failed_normalisation(Data, steps=60, batch=8, crop=8)
    sound, failed = table.loc["all frames"], table.loc["frame 0 alone"]
    assert failed.loc["none", "share"] < 0.02 < 0.2 < sound.loc["none", "share"]
    assert failed.loc["none", "mse"] > 3 * sound.loc["none", "mse"]
    assert failed.loc["none", "mse"] / failed.loc["softmax", "mse"] > 5
    assert abs(failed.loc["softmax", "bias"]) < 1e-3  # block means are kept, whatever the units


def tidy() -> pd.DataFrame:
    """Three seeds for each row of the report, and baselines."""
    rows = []
    for place, (task, factor, model, constraint) in enumerate(PAPER.values()):
        for seed in range(3):
            rmse = 1.0 + 0.1 * place + 0.01 * seed
            rows.append((task, factor, model, constraint, seed, rmse, rmse**2, 0.5))
    for task, factor in {(row[0], row[1]) for row in rows}:
        rows.append((task, factor, "bicubic", "add", None, 2.0, 4.0, 0.0))
    columns = ["task", "factor", "model", "constraint", "seed", "rmse", "mse", "conservation_error"]
    return pd.DataFrame(rows, columns=columns)


def test_the_report_beside_ours():
    frame = report.beside(tidy())
    assert list(frame.index) == list(PAPER) and (frame["seeds"] == 3).all()
    assert frame.loc["E1", "rmse"] == pytest.approx(1.01) and frame.loc["E1", "gain"] == pytest.approx(0.495)
    assert frame.loc["E3", "high"] / frame.loc["E3", "low"] == pytest.approx((1.22 / 1.2) ** 2)
    assert frame.loc["E2", "report_block_error"] == 0.1878
    assert isinstance(results.draw_runs(tidy()), Figure)


def test_difference_is_welch():
    gap = report.difference(pd.Series([1.0, 1.1, 0.9]), pd.Series([1.5, 1.6, 1.4]))
    assert gap["difference"] == pytest.approx(0.5) and gap["percent"] == pytest.approx(50.0)
    assert gap["error"] == pytest.approx(0.1 * math.sqrt(2 / 3)) and gap["beyond"]
    assert not report.difference(pd.Series([1.0, 1.1, 0.9]), pd.Series([1.05, 1.15, 0.95]))["beyond"]
    alone = report.difference(pd.Series([1.0]), pd.Series([2.0, 3.0]))
    assert np.isnan(alone["p"]) and not alone["beyond"]
    with pytest.raises(PhysLabError, match="no such row"):
        report.difference(pd.Series([], dtype=float), pd.Series([1.0]))
