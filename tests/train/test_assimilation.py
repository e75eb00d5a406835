"""Training of the learned analysis methods: pairs in memory, what a step sees, what comes out."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from physlab.assimilate import SLAM, ConvCNP, PhyDA, StateSpace, VAEVar
from physlab.assimilate.learned import Learned
from physlab.data.pairs import open_pairs
from physlab.errors import PhysLabError
from physlab.train.assimilation import AssimilationSettings, Pairs, train_assimilator, untrained
from physlab.train.loop import schedule

LATENT = {"latent": 3, "vae_width": 8}
QUICK = AssimilationSettings(steps=4, batch=2, precision="fp32")


@pytest.fixture(scope="module")
def run(twin, tmp_path_factory):
    return twin.write(tmp_path_factory.mktemp("runs") / "run-8", times=10, pieces=2)


@pytest.fixture(scope="module")
def data(run) -> Pairs:
    return Pairs.read([(run, None)])


class Recorder(Learned):
    """Learns one number for all points, and keeps what each step showed it."""

    def __init__(self, space: StateSpace, draws: int = 0) -> None:
        super().__init__(space)
        self.guess = torch.nn.Parameter(torch.zeros(()))
        self.draws, self.seen, self.finished = draws, [], 0

    def loss(self, background, increment, columns, generator):
        torch.randn(self.draws, generator=generator)  # other methods draw more or less
        self.seen.append((background, increment, columns.innovation, columns.mask, columns.noise))
        return ((self.guess - 0.5).square() + 0 * increment.sum()) if self.draws != 99 else self.guess * torch.nan

    def finish(self, batches):
        self.finished = sum(len(e) for _, e in batches)


def test_an_autoencoder_that_is_none_is_refused_in_words(data) -> None:
    with pytest.raises(PhysLabError, match="ConvCNP has no autoencoder to take over: pass a trained vaevar"):
        untrained(lambda space: SLAM(space, **LATENT), data, 0, ConvCNP(data.space, 8), "cpu")


# --- pairs ------------------------------------------------------------------------------------------------------------
def test_pairs_in_the_units_of_learning(run, data) -> None:
    truth, background = open_pairs(run)
    space = StateSpace.of(truth, background)
    assert len(data) == 10 and data.background.dtype == data.increment.dtype == torch.float16
    assert torch.allclose(data.space.error, space.error) and data.space.names == space.names
    b, e = data.take(slice(2, 5))
    x, y = space.tensor(background)[2:5], space.tensor(truth)[2:5]
    assert b.dtype == torch.float32 and torch.allclose(b, (x - space.mean) / space.std, atol=4e-3)
    assert torch.allclose(e, (y - x) / space.error, atol=8e-3)
    assert ((data.truth(slice(2, 5)) - y).abs() / space.std).max() < 0.01
    area = space.area
    assert torch.allclose((data.increment.float().square() * area).mean((0, 2, 3)), torch.ones(20), atol=2e-3)


def test_pairs_of_several_runs_and_days(run, data, twin, tmp_path) -> None:
    other = twin.write(tmp_path / "run-9", times=6, seed=5)
    both = Pairs.read([(run, (1, 2)), (other, (2, 3))])
    assert len(both) == 4 + 2 and not torch.allclose(both.space.error, data.space.error, rtol=1e-4)
    held = Pairs.read([(other, None)], data.space, every=2)
    assert len(held) == 3 and held.space is data.space
    truth = open_pairs(other, every=2)[0]
    assert ((held.truth(slice(None)) - data.space.tensor(truth)).abs() / data.space.std).max() < 0.02
    assert held.increment.float().square().mean() != pytest.approx(1, abs=1e-3)  # units of the training block


def test_pairs_survive_a_file(data, tmp_path) -> None:
    back = Pairs.load(data.save(tmp_path / "deep" / "pairs.safetensors"))
    assert torch.equal(back.background, data.background) and torch.equal(back.increment, data.increment)
    assert back.space.names == data.space.names and torch.allclose(back.space.mean, data.space.mean)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["pairs.safetensors"]


# --- training ---------------------------------------------------------------------------------------------------------
def test_a_step_shows_every_method_the_same(data) -> None:
    methods = [Recorder(data.space, draws) for draws in (0, 7)]
    for method in methods:
        train_assimilator(method, data, QUICK, seed=3)
    for one, two in zip(methods[0].seen, methods[1].seen, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(methods[0].seen[0][3], methods[0].seen[1][3])
    other, longer = Recorder(data.space), Recorder(data.space)
    train_assimilator(other, data, QUICK, seed=4)
    assert not torch.equal(other.seen[0][3], methods[0].seen[0][3])
    train_assimilator(longer, data, AssimilationSettings(steps=6, batch=2, precision="fp32"), seed=3)
    assert torch.equal(longer.seen[3][2], methods[0].seen[3][2])  # the number of steps changes nothing


def test_what_is_shown_has_the_shares_and_noise_of_the_settings(data) -> None:
    method = Recorder(data.space)
    settings = AssimilationSettings(steps=60, batch=8, shares=(0.02, 0.4), noise=2.0, precision="fp32")
    train_assimilator(method, data, settings, seed=0)
    counts = torch.cat([m.sum((1, 2, 3)) for _, _, _, m, _ in method.seen])
    noise = torch.cat([s[-1] for s in method.seen])
    assert 0.02 * 512 - 1 <= counts.min() < 15 and 160 < counts.max() <= 0.4 * 512 + 1
    assert counts.log().median() == pytest.approx(np.log(512 * (0.02 * 0.4) ** 0.5), abs=0.2)  # uniform logarithm
    assert float((noise == 0).float().mean()) == pytest.approx(0.5, abs=0.08) and noise.max() <= 2
    assert noise[noise > 0].mean() == pytest.approx(1, abs=0.15)
    for background, increment, d, mask, sigma in method.seen[:5]:
        assert not (d * (1 - mask)).any()
        assert torch.equal((d - increment * mask)[sigma == 0], torch.zeros_like(d)[sigma == 0])
        assert any(torch.equal(background[0], data.background[k].float()) for k in range(len(data)))


def test_averaged_weights_come_back(data) -> None:
    """AdamW and the average of the weights again, step by step, with the formulas written out."""
    method, seen = Recorder(data.space), []
    settings = AssimilationSettings(steps=52, batch=2, rate=0.01, decay=0.0, ema=0.9, precision="fp32")
    report = train_assimilator(method, data, settings, seed=0, watch=lambda k, m: seen.append((k, m.guess.item())))
    w = average = m1 = m2 = 0.0
    losses, averages = [], {}
    for k in range(52):
        losses.append((w - 0.5) ** 2)
        g = np.clip(2 * (w - 0.5), -1, 1)  # the norm of the gradient is at most 1
        m1, m2 = 0.9 * m1 + 0.1 * g, 0.999 * m2 + 0.001 * g * g
        rate = 0.01 * schedule(k / 52, 0.05)
        w -= rate * (m1 / (1 - 0.9 ** (k + 1))) / ((m2 / (1 - 0.999 ** (k + 1))) ** 0.5 + 1e-8)
        decay = min(0.9, (1 + k) / (10 + k))
        average = decay * average + (1 - decay) * w
        averages[k + 1] = average
    assert method.guess.item() == pytest.approx(average, rel=1e-3) and abs(average - w) > 1e-3 * abs(w)
    assert [k for k, _ in seen] == [50, 52] and seen[0][1] == pytest.approx(averages[50], rel=1e-3)
    assert [h["step"] for h in report.history] == [50, 52] and report.steps == 52 and report.wall_time_s > 0
    assert report.history[0]["loss"] == pytest.approx(np.mean(losses[:50]), rel=1e-3)
    assert report.history[1]["loss"] == pytest.approx(np.mean(losses[50:]), rel=1e-3)
    assert method.finished == len(data) and not method.training
    assert method.card["training"] == {
        "steps": 52, "batch": 2, "rate": 0.01, "warm_up": 0.05, "decay": 0.0, "clip": 1.0, "ema": 0.9,
        "shares": (0.003, 0.12), "noise": 1.0, "precision": "fp32", "seed": 0, "pairs": 10,
        "validate_every": 50, "patience": 10, "budget_s": None, "schedule": "cosine", "mirror": False,
    }  # fmt: skip


def test_a_loss_that_is_not_a_number_stops(data) -> None:
    with pytest.raises(PhysLabError, match="the loss is not a number at step 4: lower the rate"):
        train_assimilator(Recorder(data.space, 99), data, QUICK)


def test_settings_that_cannot_be() -> None:
    for wrong in ({"steps": 0}, {"batch": 0}, {"rate": 0.0}, {"rate": -1.0}):
        with pytest.raises(PhysLabError, match="steps and batch must be at least 1 and the rate positive"):
            AssimilationSettings(**wrong)
    for wrong in ({"shares": (0.0, 0.1)}, {"shares": (0.2, 0.1)}, {"shares": (0.1, 1.5)}, {"noise": -1.0},
                  {"noise": float("nan")}):  # fmt: skip
        with pytest.raises(PhysLabError, match="pass 0 < least <= largest <= 1, noise >= 0"):
            AssimilationSettings(**wrong)


def trained(method: Learned, data: Pairs, steps: int, seed: int = 0, **options) -> list[float]:
    settings = AssimilationSettings(steps=steps, batch=4, precision="fp32", **options)
    return [h["loss"] for h in train_assimilator(method, data, settings, seed).history]


@pytest.mark.slow
def test_an_autoencoder_and_the_diffusion_on_it_learn(data) -> None:
    torch.manual_seed(0)
    vae = VAEVar(data.space, latent=6, vae_width=16)
    loss = trained(vae, data, 150, rate=5e-3)
    assert len(loss) == 3 and loss[-1] < 0.8 * loss[0]
    with torch.no_grad():  # finish measured what is left
        e = data.increment.float()
        left = ((vae.vae(e) - e).square() * data.space.area).mean((0, 2, 3))
    assert torch.allclose(vae.lost.flatten(), left, rtol=1e-3) and left.mean() < 0.8
    method = SLAM(data.space, latent=6, vae_width=16, width=8, levels=(8, 16))
    method.adopt(vae)
    method.calibrate([data.take(slice(None))])
    before = copy.deepcopy(method.vae.state_dict())
    loss = trained(method, data, 100)
    assert loss[-1] < 0.97 * loss[0]
    assert all(torch.equal(v, before[k]) for k, v in method.vae.state_dict().items())


def test_trainings_repeat(data) -> None:
    def weights(seed: int, precision: str = "fp32") -> Tensor:
        torch.manual_seed(0)
        method = PhyDA(data.space, **LATENT, width=8, levels=(8, 16), physics=0.0)
        method.vae.requires_grad_(False)
        train_assimilator(method, data, AssimilationSettings(steps=3, batch=2, precision=precision), seed)
        return torch.cat([p.flatten() for p in method.parameters()])

    first = weights(0)
    assert torch.equal(weights(0), first) and not torch.equal(weights(1), first)
    half = weights(0, "bf16")
    assert half.isfinite().all() and 0 < (half - first).abs().max() < 0.05


def test_the_rate_is_that_of_the_method_unless_set(data) -> None:
    torch.manual_seed(0)
    method = ConvCNP(data.space, width=16, blocks=1)
    train_assimilator(method, data, QUICK)
    assert method.card["training"]["rate"] == ConvCNP.rate
    train_assimilator(method, data, AssimilationSettings(steps=1, batch=1, rate=0.5, precision="fp32"))
    assert method.card["training"]["rate"] == 0.5
