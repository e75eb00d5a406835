"""The loop: batches obey the law, training learns, an interruption leaves no trace, two processes do what one does."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
import textwrap

import pytest
import torch

from physlab.downscale import Interpolate
from physlab.errors import PhysLabError
from physlab.grid import check_coarsening
from physlab.train import Settings, evaluate, fit, make_model
from physlab.train.batches import Patches
from physlab.train.loop import schedule, update_average
from physlab.train.pixels import Pixels
from physlab.train.state import write_state

SETTINGS = Settings(steps=24, batch=8, rate=5e-3, flips="xy", crop=8, validate_every=8, precision="fp32")


def model_of(recipe, pairs, constraint="add", seed=0):
    return make_model(recipe, constraint, seed, recipe.presets["cpu"], pairs, "toy")[0]


def weights_of(model) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("flips", ["", "x", "y", "xy"])
@pytest.mark.parametrize("crop", [None, 4, 8])
def test_every_batch_satisfies_the_law(pairs, flips: str, crop: int | None) -> None:
    settings = dataclasses.replace(SETTINGS, flips=flips, crop=crop)
    batches = Patches(pairs.fine["train"], pairs.coarse["train"], pairs.weights, settings, 0)
    for step in range(12):
        x, y, w, _ = batches.take(step)
        assert y.shape[-2:] == w.shape and (crop is None or w.shape == (crop, crop))
        check_coarsening(y, x, 2, w, tolerance=1e-5)


def test_uncropped_weights_would_be_noticed(pairs) -> None:
    steep = pairs.weights * torch.linspace(1, 5, 16)[:, None].square()
    settings = dataclasses.replace(SETTINGS, crop=8, flips="")
    batches = Patches(pairs.fine["train"], pairs.coarse["train"], steep, settings, 0)
    wrong = 0
    for step in range(8):
        w = batches.take(step)[2]
        wrong += float((w - steep[:8, :8]).abs().max()) > 0.1
    assert wrong, "windows are never at the top, or their areas are not cut with them"


def test_batches_follow_from_seed_and_step_and_cover_an_epoch(pairs) -> None:
    fine = torch.arange(40.0).reshape(40, 1, 1, 1).expand(40, 1, 16, 24)
    coarse = fine[..., ::2, ::2]
    batches = [Patches(fine, coarse, pairs.weights, SETTINGS, seed) for seed in (0, 0, 1)]
    epoch = torch.cat([batches[0].take(step)[1][:, 0, 0, 0] for step in range(5)])
    assert sorted(epoch.tolist()) == list(range(40))
    for step in (7, 3):  # any order
        assert torch.equal(batches[0].take(step)[1], batches[1].take(step)[1])
    assert not torch.equal(batches[0].take(3)[1], batches[2].take(3)[1])
    for world in (2, 3):  # also where the shares are not equal
        parts = torch.cat([batches[0].take(3, rank, world)[1] for rank in range(world)])
        assert torch.equal(parts, batches[0].take(3)[1])


def test_training_beats_interpolation(pairs, recipe) -> None:
    model = model_of(recipe, pairs)
    before = evaluate(Interpolate("bicubic", 2, "add"), pairs, "val")["rmse"]
    assert evaluate(model, pairs, "val")["rmse"] == pytest.approx(before, rel=1e-5), (
        "the untrained network is bicubic+add"
    )
    report = fit(model, pairs, dataclasses.replace(SETTINGS, steps=150, validate_every=50), seed=0)
    after = evaluate(model, pairs, "val")
    assert after["rmse"] < 0.92 * before
    assert after["rmse"] == pytest.approx(report.best_rmse, rel=1e-4), (
        "the model ends with the weights that validated best"
    )
    assert after["conservation_error_relative"] <= 1e-6
    assert [entry["step"] for entry in report.history] == [50, 100, 150]


@pytest.mark.parametrize("constraint", ["none", "softmax"])
def test_interrupted_run_equals_uninterrupted_run(pairs, recipe, tmp_path, constraint: str) -> None:
    whole = model_of(recipe, pairs, constraint)
    expected = fit(whole, pairs, SETTINGS, seed=3)
    state = tmp_path / "run" / "state.pt"
    for stop in (5, 16, 19):
        fit(model_of(recipe, pairs, constraint), pairs, SETTINGS, seed=3, state=state, stop_after=stop)
        assert state.exists()
    resumed = model_of(recipe, pairs, constraint)
    report = fit(resumed, pairs, SETTINGS, seed=3, state=state)
    assert torch.equal(weights_of(resumed), weights_of(whole))
    assert [e["val_rmse"] for e in report.history] == [e["val_rmse"] for e in expected.history]
    assert not list(state.parent.iterdir()), "the state of a finished run is removed, and nothing else is left"


def test_state_of_another_run_is_refused(pairs, recipe, tmp_path) -> None:
    state = tmp_path / "state.pt"
    fit(model_of(recipe, pairs), pairs, SETTINGS, seed=0, state=state, stop_after=2)
    for change in ({"seed": 1}, {"settings": dataclasses.replace(SETTINGS, rate=1e-3)}):
        with pytest.raises(PhysLabError, match="other settings, data, seed or constraint"):
            fit(model_of(recipe, pairs), pairs, **{"settings": SETTINGS, "seed": 0, **change}, state=state)
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(PhysLabError, match="cannot be read") as error:
        fit(model_of(recipe, pairs), pairs, SETTINGS, seed=0, state=state)
    assert "\n" not in str(error.value)


def test_failed_write_keeps_the_old_state(tmp_path) -> None:
    state = tmp_path / "state.pt"
    write_state(state, {"step": 1})
    with pytest.raises(Exception, match="pickle"):
        write_state(state, {"step": lambda: None})
    kept = torch.load(state, weights_only=True)
    assert kept["step"] == 1 and len(list(tmp_path.iterdir())) == 1


def test_early_stop_and_budget(pairs, recipe) -> None:
    still = dataclasses.replace(SETTINGS, rate=1e-12, steps=1000, validate_every=1, patience=3, ema=0.0)
    report = fit(model_of(recipe, pairs), pairs, dataclasses.replace(still, rate=1e-30))
    assert report.steps == 4 and "3 validations" in report.stopped
    report = fit(
        model_of(recipe, pairs), pairs, dataclasses.replace(SETTINGS, steps=10**6, patience=10**6, budget_s=1.0)
    )
    assert report.stopped == "time budget" and 0 < report.steps < 10**6 and report.wall_time_s < 10
    assert report.history[-1]["rate"] < SETTINGS.rate, "the schedule ends with the budget"


def test_soft_constraint_is_in_the_loss_and_in_the_gradient(pairs, recipe) -> None:
    x, y = pairs.coarse["train"][:4] / 40, pairs.fine["train"][:4] / 40
    values, gradients = {}, {}
    for constraint in ("none", "soft"):
        model = model_of(recipe, pairs, constraint)
        torch.nn.init.constant_(model.network.last.bias, 0.5)
        loss = Pixels(model, pairs, SETTINGS).loss(x, y, pairs.weights, torch.Generator())
        values[constraint] = float(loss.detach())
        gradients[constraint] = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
    assert abs(values["soft"] - values["none"]) > 1e-3 * values["none"]
    cosine = torch.cosine_similarity(gradients["soft"], gradients["none"], 0)
    assert cosine < 0.999
    trained = {}
    for constraint in ("none", "soft"):
        model = model_of(recipe, pairs, constraint)
        fit(model, pairs, dataclasses.replace(SETTINGS, steps=100, validate_every=100), seed=0)
        trained[constraint] = evaluate(model, pairs, "val")["conservation_error"]
    assert trained["soft"] < 0.5 * trained["none"], "what the penalty is for"


def test_schedule_warms_up_and_cools_down() -> None:
    rates = [schedule(step / 1000, 0.05) for step in range(1000)]
    assert 0 < rates[0] < 0.05 and max(rates) == pytest.approx(1.0, abs=1e-3) and 40 < rates.index(max(rates)) < 60
    assert rates[-1] < 0.011 and all(a >= b for a, b in zip(rates[60:], rates[61:], strict=False))


def test_average_is_the_exponential_mean(pairs, recipe) -> None:
    average, model = model_of(recipe, pairs), model_of(recipe, pairs, seed=1)
    expected = weights_of(average)
    for _ in range(3):
        expected = 0.9 * expected + 0.1 * weights_of(model)
        update_average(average.requires_grad_(False), model, 0.9)
    torch.testing.assert_close(weights_of(average), expected)


def test_divergence_is_reported(pairs, recipe) -> None:
    model = model_of(recipe, pairs)
    with torch.no_grad():
        model.network.last.bias.fill_(math.nan)
    with pytest.raises(PhysLabError, match="lower the rate"):
        fit(model, pairs, SETTINGS)


def test_bfloat16_still_conserves(pairs, recipe) -> None:
    model = model_of(recipe, pairs, "softmax")
    report = fit(model, pairs, dataclasses.replace(SETTINGS, precision="bf16"))
    assert report.precision == "bf16" and all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert evaluate(model, pairs, "val")["conservation_error_relative"] <= 1e-6


def test_settings_are_checked(pairs, recipe) -> None:
    with pytest.raises(PhysLabError, match="auto, bf16 or fp32"):
        Settings(precision="half")
    with pytest.raises(PhysLabError, match="at least 1"):
        Settings(steps=0)
    with pytest.raises(PhysLabError, match="multiple of the factor"):
        fit(model_of(recipe, pairs), pairs, dataclasses.replace(SETTINGS, crop=7))


@pytest.mark.slow
def test_two_processes_do_what_one_does(pairs, recipe, tmp_path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(f"""
        import json, sys, torch
        torch.set_num_threads(1)
        sys.path[:0] = {[*sys.path, str(__import__("pathlib").Path(__file__).parent)]!r}
        from conftest import BLOCKS, field
        from physlab.data.patches import make_pairs
        from physlab.train import Preset, Recipe, Settings, fit, make_model
        from physlab.train.devices import processes
        settings = Settings(**{dataclasses.asdict(SETTINGS)!r})
        pairs = make_pairs(field(), 2, BLOCKS, gap=72.0, task="toy")
        recipe = Recipe("toy", 2, {{"cpu": Preset("CompactResNet", {{"channels": 8, "blocks": 1}}, settings)}})
        with processes() as device:
            model, _ = make_model(recipe, "softmax", 0, recipe.presets["cpu"], pairs, "toy")
            report = fit(model, pairs, settings, 0, "cpu")
            rank = torch.distributed.get_rank()
            total = torch.tensor(sum(float(p.double().sum()) for p in model.parameters()), dtype=torch.float64)
            both = [torch.zeros_like(total) for _ in range(2)]
            torch.distributed.all_gather(both, total)
            assert torch.equal(*both), "the processes ended with different weights"
            if rank == 0:
                torch.save([p.detach() for p in model.parameters()], {str(tmp_path / "weights.pt")!r})
                print(json.dumps([e["val_rmse"] for e in report.history]))
        """)
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    single = model_of(recipe, pairs, "softmax")
    report = fit(single, pairs, SETTINGS, seed=0)
    parallel = torch.cat([p.flatten() for p in torch.load(tmp_path / "weights.pt", weights_only=True)])
    torch.testing.assert_close(parallel, weights_of(single), atol=2e-4, rtol=2e-3)
    assert json.loads(done.stdout.splitlines()[-1]) == pytest.approx([e["val_rmse"] for e in report.history], rel=1e-3)


def test_a_streamed_training_learns_the_same_and_can_be_interrupted(pairs, streamed, recipe, tmp_path) -> None:
    """Fields on the disk: as good as in memory, and an interruption leaves no trace."""
    settings = dataclasses.replace(SETTINGS, steps=60, validate_every=20)
    scores = []
    for data in (pairs, streamed):
        model = model_of(recipe, data)
        scores.append(fit(model, data, settings, 0).best_rmse)
    assert scores[1] < evaluate(Interpolate("bicubic", 2, "add"), pairs, "val")["rmse"]
    assert abs(scores[1] / scores[0] - 1) < 0.02
    whole, state = weights_of(model), tmp_path / "state.pt"
    fit(model_of(recipe, streamed), streamed, settings, 0, state=state, stop_after=33)
    again = model_of(recipe, streamed)
    fit(again, streamed, settings, 0, state=state)
    assert torch.equal(weights_of(again), whole)
