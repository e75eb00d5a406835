r"""How fast the SR-CNN runs here, as a ratio to a straightforward implementation of the same network.

The straightforward one (:class:`Plain`) is written as such code often is: eager, float32, contiguous memory, block
means by average pooling and their upsampling as a Kronecker product with ones. Ours is what :func:`physlab.train.fit`
and :func:`physlab.compact.quantise` run: channels last, bfloat16 where the processor multiplies in it (else float32),
inference mode, upsampling as a view. Both hold the same weights and give the same fields. Most of the gain is that of
bfloat16: on one core of an AMD EPYC with AVX512-BF16 inference is 3.6 times and training 2.3 times as fast, in float32
1.2 times and as fast.

A time belongs to one machine and one moment, a ratio of times that were taken in turns much less so: the runs are
interleaved and the shortest of each is kept (others have waited for another process), the median stands beside it.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import statistics
from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.downscale import CNN, FieldDownscaler
from physlab.nn import CompactResNet, ResNet
from physlab.nn.parts import lay_out
from physlab.nn.precision import precision_of
from physlab.train.timing import alternate, seconds_per_megapixel


class Plain(nn.Module):
    """The SR-CNN with softmax layer, straightforward; takes the weights of a `ResNet`."""

    def __init__(self, network: ResNet) -> None:
        super().__init__()
        channels = network.head.out_channels
        self.factor = network.factor
        self.first = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.ReLU())
        self.up = nn.Sequential(*(nn.ConvTranspose2d(channels, channels, 2, stride=2) for _ in network.doublings))
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            )
            for _ in network.blocks
        )
        self.third = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
        self.last = nn.Conv2d(channels, 1, 1)
        with torch.no_grad():
            for mine, theirs in zip(self.parameters(), network.parameters(), strict=True):
                mine.copy_(theirs)

    def forward(self, coarse: Tensor) -> Tensor:
        out = self.second(self.up(self.first(coarse)))
        for block in self.blocks:
            out = torch.relu(out + block(out))
        out = torch.exp(self.last(self.third(out)))
        mean = functional.avg_pool2d(out, self.factor)
        ones = torch.ones(1, 1, self.factor, self.factor, device=out.device)
        return out * torch.kron(coarse / mean, ones)


def throughput(
    factor: int = 4,
    size: int = 128,
    batch: int = 4,
    repeats: int = 5,
    channels: int = 64,
    blocks: int = 4,
    precision: str = "auto",
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Time of inference and of a training step, straightforward and ours, in turns.

    Parameters
    ----------
    size : edge of the fine field;  batch : fields at a time;  repeats : rounds after one to warm up.
    precision : "auto", "bf16" or "fp32", of ours.

    Returns
    -------
    DataFrame, rows inference and training: `plain_s` and `ours_s` (shortest run, s), `ratio` (plain / ours),
    `ratio_median` (of the medians), `difference` (largest, of the fine fields, relative to the largest value; of the
    loss for training), `precision`, `threads`.
    """
    device = torch.device(device)
    precision = precision_of(precision, device)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ResNet(factor, channels, blocks)
    coarse = (0.5 + torch.rand(batch, 1, size // factor, size // factor, generator=generator)).to(device)
    truth = (0.5 + torch.rand(batch, 1, size, size, generator=generator)).to(device)
    plain = Plain(network).to(device)
    ours = CNN(network, "softmax", 1.0).to(device)
    frozen = lay_out(copy.deepcopy(ours), torch.channels_last).eval().requires_grad_(False)
    if precision == "bf16":
        frozen.network.to(torch.bfloat16)  # once, not at each call
        lay_out(ours, torch.channels_last)  # with float32 it gains nothing in training

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")

    def infer_plain() -> Tensor:
        with torch.no_grad():
            return plain(coarse)

    def infer_ours() -> Tensor:
        with torch.inference_mode(), autocast():
            return frozen(coarse.contiguous(memory_format=torch.channels_last))

    def trainer(model: nn.Module, context: Callable) -> Callable[[], Tensor]:
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)

        def step() -> Tensor:
            optimiser.zero_grad(set_to_none=True)
            with context():
                prediction = model(coarse)
            loss = functional.mse_loss(prediction, truth)
            loss.backward()
            optimiser.step()
            return loss.detach()

        return step

    rows = []
    pairs = {
        "inference": (infer_plain, infer_ours),
        "training": (trainer(plain, contextlib.nullcontext), trainer(ours, autocast)),
    }
    for task, calls in pairs.items():
        first, second = (call() for call in calls)  # also the warm-up
        difference = float((first - second).abs().max() / first.abs().max())
        times = alternate(calls, repeats, device)
        shortest, median = [min(t) for t in times], [statistics.median(t) for t in times]
        rows.append(
            {
                "task": task,
                "plain_s": shortest[0],
                "ours_s": shortest[1],
                "ratio": shortest[0] / shortest[1],
                "ratio_median": median[0] / median[1],
                "difference": difference,
                "precision": precision,
                "threads": torch.get_num_threads(),
            }
        )
    return pd.DataFrame(rows)


def inference_time(
    model: FieldDownscaler, shape: tuple[int, int] = (32, 32), repeats: int = 5, batch: int = 4
) -> float:
    """Seconds of one thread per megapixel (1e6 fine points) of :meth:`predict`, shortest of the runs.

    Parameters
    ----------
    shape : (h, w) of the coarse field; a model with a domain is timed on its domain.
    repeats : runs after one to warm up.

    Notes
    -----
    Compare numbers of one run on one machine only. An ONNX model keeps the threads it was opened with: open it with
    ``threads=1``.
    """
    shape = model.domain or shape
    generator = torch.Generator().manual_seed(0)
    coarse = 10.0 + torch.rand(batch, 1, *shape, generator=generator)
    return seconds_per_megapixel(lambda: model.predict(coarse), repeats)


def images_per_second(
    device: torch.device | str = "cpu",
    batch: int = 64,
    size: int = 128,
    repeats: int = 10,
    channels: int | None = None,
    backend: str = "inductor",
) -> pd.DataFrame:
    """Fine fields a second of the published SR-CNN and of the compact network, in three ways that take turns.

    Plain: single precision, memory as torch lays it out. Ours: :meth:`physlab.downscale.CNN.predict` as it is, in the
    precision that the processor multiplies fast. Compiled: the plain one by ``torch.compile``, under autocast in the
    same precision.

    Parameters
    ----------
    batch : fields of `size` x `size` at a time.  repeats : rounds after one to warm up.
    channels : of both networks; None for 64 and 48.
    backend : of ``torch.compile``.

    Returns
    -------
    DataFrame: what (network and way), precision, per_second, ratio (to plain), note (what a compiler said, if it does
    not run here).
    """
    device = torch.device(device)
    precision = precision_of("auto", device)
    coarse = 0.5 + torch.rand(batch, 1, size // 4, size // 4, generator=torch.Generator().manual_seed(0))
    coarse, rows = coarse.to(device), []
    for name, network in (
        ("SR-CNN", ResNet(4, channels or 64)), ("compact", CompactResNet(4, channels=channels or 48, blocks=4)),
    ):  # fmt: skip
        model = CNN(network, "softmax", 1.0).to(device).eval()
        model.precision = "auto"
        built = copy.deepcopy(network).to(device).eval()
        layer = model.layer

        @torch.no_grad()
        def plain(network: nn.Module = network, layer: nn.Module = layer) -> Tensor:
            return layer(network(coarse), coarse)

        compiled, note = torch.compile(built, backend=backend), ""

        @torch.no_grad()
        def fast(compiled: Callable = compiled, layer: nn.Module = layer) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                raw = compiled(coarse)
            return layer(raw.float(), coarse)

        ways: dict[str, Callable[[], Tensor]] = {"plain": plain, "ours": functools.partial(model.predict, coarse)}
        try:
            fast()
            ways["compiled"] = fast
        except Exception as error:  # a compiler that is not there, or a network that it does not take
            note = f"torch.compile does not run here ({type(error).__name__})"
        taken = dict(zip(ways, (min(t) for t in alternate(list(ways.values()), repeats, device)), strict=True))
        rows += [
            {"what": f"{name}, {way}", "precision": "fp32" if way == "plain" else precision,
             "per_second": batch / seconds, "ratio": taken["plain"] / seconds, "note": note}
            for way, seconds in taken.items()
        ]  # fmt: skip
    return pd.DataFrame(rows)


@torch.no_grad()
def members_per_second(name: str, members: int, device: torch.device | str = "cpu", repeats: int = 5) -> dict:
    """Members a second of an ensemble that ships, of latent diffusion or of an analysis, the shortest of some runs.

    Returns
    -------
    dict: what, per_second, note.
    """
    from physlab.assimilate.learned import Learned
    from physlab.assimilate.statespace import observe_columns
    from physlab.data import open_dataset
    from physlab.downscale.terrain import TerrainFields
    from physlab.zoo import load_model

    device = torch.device(device)
    method = load_model(name, device)
    if isinstance(method, Learned):
        ds = open_dataset("nature-twin").isel(time=[0]).load()
        forecasts = [str(v) for v in ds.data_vars if str(v).endswith("_fc")]
        truth, background = ds.drop_vars(forecasts), ds[forecasts].rename({v: v[:-3] for v in forecasts})
        space = method.space
        x, b = space.tensor(truth), space.tensor(background)
        columns = observe_columns((x - b) / space.error, 0.02, 0.0, space.area, torch.Generator().manual_seed(0))
        columns = dataclasses.replace(columns, **{k: v.to(device) for k, v in vars(columns).items()})
        given = space.standardise(b).to(device)

        def draw() -> object:
            return method.increments(given, columns, members, torch.Generator().manual_seed(0))
    else:
        drivers = method.arguments["drivers"]
        ds = open_dataset("nature-terrain").isel(time=[0])[list(drivers)].load()
        fields = TerrainFields.of(ds, drivers[0], drivers, method.factor)
        coarse, static = fields.coarse.to(device), fields.static.to(device)

        def draw() -> object:
            return method.sample(coarse, None, members, torch.Generator().manual_seed(0), static)

    (seconds,) = alternate([draw], repeats, device)
    return {"what": f"{name}, {members} members", "per_second": members / min(seconds),
            "note": f"{min(seconds):.3g} s for {members} members, the shortest of {repeats}"}  # fmt: skip
