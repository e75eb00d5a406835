"""The loop of trainings in steps: what a step draws, averages, histories, and what stops it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from physlab.errors import PhysLabError
from physlab.train.loop import schedule
from physlab.train.steps import EVERY, Steps, rate_of, take_steps

PLAIN = {"decay": 0.0, "precision": "fp32"}


class Guess(nn.Module):
    """Learns one number; another one has no gradient, and a layer of normalisation counts what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.number, self.fixed = nn.Parameter(torch.zeros(())), nn.Parameter(torch.ones(()), requires_grad=False)
        self.register_buffer("seen", torch.zeros(()))


def square(model: Guess, generator: torch.Generator) -> torch.Tensor:
    model.seen += 1
    return (model.number - torch.rand((), generator=generator)).square()


def test_averaged_weights_come_back() -> None:
    """AdamW and the average of the weights again, step by step, with the formulas written out."""
    model, watched = Guess(), []
    settings = Steps(steps=EVERY + 7, rate=0.01, ema=0.9, clip=0.3, **PLAIN)

    def watch(step: int, average: nn.Module) -> None:
        watched.append((step, average.number.item(), average.training, average.number.requires_grad))

    report = take_steps(model, square, settings, seed=5, watch=watch)
    w = average = m1 = m2 = 0.0
    losses, averages = [], {}
    for k in range(settings.steps):
        drawn = torch.rand((), generator=torch.Generator().manual_seed((5 << 24) + k)).item()
        losses.append((w - drawn) ** 2)
        g = max(-0.3, min(0.3, 2 * (w - drawn)))
        m1, m2 = 0.9 * m1 + 0.1 * g, 0.999 * m2 + 0.001 * g * g
        rate = 0.01 * schedule(k / settings.steps, settings.warm_up)
        w -= rate * (m1 / (1 - 0.9 ** (k + 1))) / (math.sqrt(m2 / (1 - 0.999 ** (k + 1))) + 1e-8)
        decay = min(0.9, (1 + k) / (10 + k))
        average = decay * average + (1 - decay) * w
        averages[k + 1] = average
    assert model.number.item() == pytest.approx(average, rel=1e-4) and abs(average - w) > 1e-4
    assert [s for s, *_ in watched] == [EVERY, EVERY + 7]
    assert all(a == pytest.approx(averages[s], rel=1e-4) and not t and not r for s, a, t, r in watched)
    assert report.steps == EVERY + 7 and report.wall_time_s > 0
    assert [h["step"] for h in report.history] == [EVERY, EVERY + 7]
    assert report.history[0]["loss"] == pytest.approx(sum(losses[:EVERY]) / EVERY, rel=1e-4)
    assert report.history[1]["loss"] == pytest.approx(sum(losses[EVERY:]) / 7, rel=1e-4)
    assert not model.training and model.number.requires_grad and model.fixed.item() == 1.0
    assert model.seen.item() == EVERY + 7


def test_a_step_draws_the_same_whatever_the_model() -> None:
    def draws(seed: int, steps: int = 3, more: int = 0) -> list[float]:
        seen = []

        def loss(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
            seen.append(torch.rand((), generator=generator).item())
            torch.rand(more, generator=generator)
            return model.number.square()

        take_steps(Guess(), loss, Steps(steps=steps, **PLAIN), seed)
        return seen

    assert draws(1) == draws(1, more=5) == draws(1, steps=6)[:3] and len(set(draws(1) + draws(2))) == 6


def test_trainings_repeat_and_go_on_from_where_the_model_is() -> None:
    def trained(seed: int, **settings) -> float:
        model = Guess()
        take_steps(model, square, Steps(**{"steps": 5, "rate": 0.1, **PLAIN, **settings}), seed)
        return model.number.item()

    assert trained(0) == trained(0) != trained(1)
    assert trained(0, rate=0.2) != trained(0) and trained(0, decay=0.5) != trained(0)
    model = Guess()
    model.number.data.fill_(7.0)
    take_steps(model, square, Steps(steps=1, rate=1e-3, **PLAIN))
    assert 6.99 < model.number.item() < 7.0


def test_bfloat16_computes_in_it_and_keeps_the_weights() -> None:
    seen, model = [], nn.Linear(2, 2)

    def loss(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
        y = model(torch.ones(1, 2))
        seen.append(y.dtype)
        return y.float().square().mean()

    take_steps(model, loss, Steps(steps=1, precision="bf16"))
    take_steps(model, loss, Steps(steps=1, precision="fp32"))
    assert seen == [torch.bfloat16, torch.float32] and model.weight.dtype == torch.float32


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops(bad: float) -> None:
    calls = []

    def loss(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
        calls.append(0)
        return model.number.square() + (bad if len(calls) == 4 else 0.0)

    with pytest.raises(PhysLabError, match="not a number at step 6: lower the rate"):
        take_steps(Guess(), loss, Steps(steps=6, **PLAIN))


def test_the_rate_is_that_of_the_model_unless_set() -> None:
    model = Guess()
    assert rate_of(model, Steps()) == 1e-3 and rate_of(model, Steps(rate=0.5)) == 0.5
    model.rate = 0.02
    assert rate_of(model, Steps()) == 0.02 and rate_of(model, Steps(rate=0.5)) == 0.5


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch": 0}, {"rate": 0.0}, {"rate": -1.0}, {"rate": math.nan},
                                   {"warm_up": 1.0}, {"warm_up": -0.1}, {"ema": 1.0}, {"ema": -0.5}, {"clip": 0.0},
                                   {"decay": -1.0}, {"precision": "fp16"}])  # fmt: skip
def test_wrong_settings(wrong: dict) -> None:
    with pytest.raises(PhysLabError, match=next(iter(wrong))):
        Steps(**wrong)


def test_what_is_held_out_decides_which_weights_are_kept_and_when_to_stop() -> None:
    model, seen = Guess(), []

    def towards_one(model: Guess, generator: torch.Generator) -> torch.Tensor:
        return (model.number - 1.0).square()

    def held_out(average: Guess) -> float:
        seen.append((average.number.item(), abs(average.number.item() - 0.3)))
        return seen[-1][1]

    settings = Steps(steps=400, rate=0.01, validate_every=5, patience=4, ema=0.0, **PLAIN)
    report = take_steps(model, towards_one, settings, held_out=held_out)
    best = min(range(len(seen)), key=lambda k: seen[k][1])
    assert 0 < best < len(seen) - 1 and model.number.item() == pytest.approx(seen[best][0])
    assert report.best_step == 5 * (best + 1) and report.best_rmse == pytest.approx(seen[best][1])
    assert report.steps == 5 * (best + 5) < 400 and "no better held_out for 4 validations" in report.stopped


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path) -> None:
    """Of a function, killed while it draws a batch."""
    whole, state, settings = Guess(), tmp_path / "state.pt", Steps(steps=9, validate_every=2, rate=0.1, **PLAIN)
    take_steps(whole, square, settings, 3)

    def killed(model: Guess, generator: torch.Generator) -> torch.Tensor:
        if model.seen == 5:
            raise KeyboardInterrupt
        return square(model, generator)

    with pytest.raises(KeyboardInterrupt):
        take_steps(Guess(), killed, settings, 3, state=state)
    again = Guess()
    again.number.data.fill_(9.0)
    report = take_steps(again, square, settings, 3, state=state)
    assert torch.equal(again.number, whole.number) and again.seen == whole.seen == 9 and not state.exists()
    assert [entry["step"] for entry in report.history] == [2, 4, 6, 8, 9]
    with pytest.raises(KeyboardInterrupt):
        take_steps(Guess(), killed, settings, 3, state=state)
    with pytest.raises(PhysLabError, match="other settings"):
        take_steps(Guess(), square, settings, 4, state=state)
    torch.save({**torch.load(state, weights_only=True), "format": 1}, state)
    with pytest.raises(PhysLabError, match="another version of the library: remove it"):
        take_steps(Guess(), square, settings, 3, state=state)
