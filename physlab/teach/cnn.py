r"""The chapter on convolutional super-resolution: what a network costs, how far it sees, and its exercises.

Cost is counted in multiplications per fine cell. A convolution with kernel k from C to C' channels costs
:math:`k^2 C C'` per cell of the grid it works on; a trunk at coarse resolution pays that once for N^2 fine cells.
"""

from __future__ import annotations

import copy
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from physlab.benchmark import summary
from physlab.data.patches import SRData
from physlab.downscale import CNN
from physlab.grid import coarsen
from physlab.nn import Upscaler, count_parameters
from physlab.score import conservation_error, extreme_table, extreme_threshold, rmse
from physlab.teach.check import Exercise, Submission, call, number, register, require, same_shape, uniform
from physlab.teach.report import difference, runs_of
from physlab.throughput import inference_time
from physlab.train import Settings, get_recipe, make_model

# ---- what a network costs and sees ------------------------------------------------------------------------------


@torch.no_grad()
def multiplications(network: Upscaler, size: int = 16) -> float:
    """Multiplications of all convolutions per fine cell, counted on a coarse field of `size` x `size`."""
    total = []

    def count(layer: nn.Conv2d | nn.ConvTranspose2d, inputs: tuple, out: Tensor) -> None:
        # each weight of a convolution meets each output cell once, of a transposed one each input cell
        cells = (out if isinstance(layer, nn.Conv2d) else inputs[0]).shape[-2:].numel()
        total.append(layer.weight.numel() * cells * out.shape[0])

    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        network(torch.zeros(1, 1, size, size))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(total) / (size * network.factor) ** 2


def influence(network: Upscaler, coarse: Tensor, row: int, column: int) -> Tensor:
    """|d y / d x| of the trunk's output in the middle of the coarse cell (row, column), (h, w), of coarse (1, 1, h, w).

    Units of the layer. The skip is left out: the map shows where the network looks, not where interpolation looks.
    """
    x = ((coarse - network.shift) / network.spread).detach().clone().requires_grad_()
    middle = network.factor // 2
    y = network.trunk(x)[0, 0, row * network.factor + middle, column * network.factor + middle]
    return torch.autograd.grad(y, x)[0][0, 0].abs()


def reach(network: Upscaler, size: int = 85) -> int:
    """Width of the receptive field in coarse cells, measured on a row of cells: those on which a fine cell depends.

    All weights are made positive, so that no two paths cancel and no ReLU is shut.
    """
    network = copy.deepcopy(network).double()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(0.0 if name.endswith("bias") else 1.0 / parameter[0].numel())
    seen = influence(network, torch.ones(1, 1, 1, size, dtype=torch.float64), 0, size // 2)
    return int((seen > 0).any(dim=0).sum())


def anatomy(networks: Mapping[str, Upscaler]) -> pd.DataFrame:
    """One row per network: parameters, multiplications per fine cell, and reach in coarse cells."""
    rows = {
        name: {
            "parameters": f"{count_parameters(network):,}",
            "multiplications per fine cell": f"{multiplications(network):,.0f}",
            "reach (coarse cells)": reach(network),
        }
        for name, network in networks.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def highest(models: Mapping[str, CNN], fine: Tensor, coarse: Tensor, weights: Tensor) -> pd.DataFrame:
    """Scores of the highest 1 % of the truth for each model, and the bias and RMSE of the whole field."""
    rows = {}
    for name, model in models.items():
        prediction = model.predict(coarse, weights)
        scores = extreme_table(prediction, fine, weights=weights)
        w = (weights / weights.mean()).double()
        error = w.sqrt() * (prediction - fine).double()
        rows[name] = {
            "RMSE": float(error.square().mean().sqrt()),
            "bias": float((w * (prediction - fine).double()).mean()),
            "RMSE of the highest": scores["rmse_extreme"],
            "bias of the highest": scores["bias_extreme"],
            "hit rate": scores["hit_rate"],
            "false alarms": scores["false_alarm_ratio"],
            "frequency bias": scores["frequency_bias"],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


# ---- what the tidy table says -----------------------------------------------------------------------------------

NAMES = {
    "dong": "SRCNN (2014)",
    "espcn": "ESPCN (2016)",
    "deepsd": "DeepSD (2017)",
    "edsr": "EDSR (2017)",
    "srcnn": "SR-CNN (2023)",
    "compact": "compact (here)",
}
"""Label in the table of results -> network of this chapter."""


def by_network(runs: pd.DataFrame, constraint: str = "none", task: str = "tcw", factor: int = 4) -> pd.DataFrame:
    """Rows of the summary for the networks of the chapter with one constraint, and bicubic with and without the
    additive layer, smallest error last.

    The RMSE stands with its spread over seeds (`rmse`, `rmse_spread`), the gain over bicubic+add in per cent. The index
    is the label of the network; for the baselines "bicubic" and "bicubic+add".
    """
    rows = summary(runs, task, factor)
    base = (rows["model"] == "bicubic") & rows["constraint"].isin(["none", "add"])
    rows = rows[base | (rows["model"].isin(list(NAMES)) & (rows["constraint"] == constraint))].copy()
    added = (rows["model"] == "bicubic") & (rows["constraint"] == "add")
    rows.index = rows["model"].where(~added, "bicubic+add").to_list()
    rows["name"] = [NAMES.get(label, f"{label}, no training") for label in rows.index]
    rows["gain"] *= 100
    rows["parameters"] = rows["parameters"].map("{:,.0f}".format)
    return rows.sort_values("rmse", ascending=False)


def layer_effect(runs: pd.DataFrame, layers: Sequence[str] = ("add", "softmax"), task: str = "tcw") -> pd.DataFrame:
    """RMSE without and with a layer for every network and factor that has both, and whether it is more than chance.

    Returns
    -------
    DataFrame: network, factor, layer, `without` and `with it` as "mean ± spread", `change` in per cent of the RMSE
    (negative: the layer helps) with its standard error, and `beyond`: more than the spread over seeds allows (Welch,
    5 %).
    """
    names = {**NAMES, "srcnn-plain": "SR-CNN without skip"}
    rows = []
    for layer, factor, (model, name) in itertools.product(layers, (2, 4, 8), names.items()):
        pair = [runs_of(runs, task, factor, model, c)["rmse"].astype(float) for c in ("none", layer)]
        if min(map(len, pair)) == 0:
            continue
        gap = difference(*pair)
        without, with_it = (f"{x.mean():.3f} ± {x.std(ddof=1):.2g}" for x in pair)
        rows.append({
            "network": name, "factor": factor, "layer": layer, "without": without, "with it": with_it,
            "change": gap["percent"], "error": 100 * gap["error"] / pair[0].mean(), "beyond": gap["beyond"],
        })  # fmt: skip
    return pd.DataFrame(rows)


def cheap_forms(model: CNN, data: SRData, samples: int = 64) -> pd.DataFrame:
    """A model in float32, through ONNX, in bfloat16 and in 8-bit integers: size, speed, error, conservation.

    Returns
    -------
    DataFrame by form: `megabytes`, `seconds per megapixel` (one thread, this machine, now), `rmse` in the unit of the
    field, `difference` from float32 (largest, relative to the largest value) and `block error` (relative).
    """
    from physlab.compact import OnnxDownscaler, export_onnx, megabytes, quantise

    fine, coarse, weights = data.fine["test"], data.coarse["test"], data.weights
    with tempfile.TemporaryDirectory() as folder:
        onnx = OnnxDownscaler(export_onnx(model, Path(folder) / "model.onnx"), threads=1)
    forms = {"torch, float32": model, "ONNX, float32": onnx, "torch, bfloat16": quantise(model, "bf16")}
    forms["ONNX, int8"] = quantise(model, "int8", data.coarse["train"][:samples])
    reference, rows = model.predict(coarse, weights), {}
    for name, form in forms.items():
        made = form.predict(coarse, weights)
        rows[name] = {
            "megabytes": megabytes(form),
            "seconds per megapixel": inference_time(form, repeats=3),
            "rmse": float(rmse(made, fine, weights)),
            "difference": float((made - reference).abs().max() / reference.abs().max()),
            "block error": float(
                conservation_error(made.double(), coarse.double(), data.factor, weights.double(), relative=True)
            ),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def taught(teacher: CNN, data: SRData, settings: Settings, share: float, seed: int = 5) -> CNN:
    """An ESPCN trained on (1 - share) truth + share teacher, with the layer of its teacher; all else is the same."""
    from physlab.compact import distill

    recipe = get_recipe("tcw-x4-espcn")
    network = make_model(recipe, teacher.constraint, seed, recipe.presets["cpu"], data)[0].network
    return distill(teacher, network, data, settings, seed, share)[0]


# ---- predict and check ------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _network_and_baseline() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Truth, network (compact, additive), bicubic+add on every thirtieth test frame, and cell areas."""
    from physlab.data.patches import sr_pairs
    from physlab.zoo import load_model

    data = sr_pairs("tcw", 4, splits=("test",))
    fine, coarse = data.fine["test"][::30], data.coarse["test"][::30]
    return (
        fine,
        load_model("tcw-x4-add").predict(coarse, data.weights),
        load_model("bicubic+add-x4").predict(coarse, data.weights),
        data.weights,
    )


def _grade_where(answer, generator: torch.Generator) -> str:
    fine, network, baseline, weights = _network_and_baseline()
    across = functional.pad(fine, (1, 1, 0, 0), mode="replicate")
    along = functional.pad(fine, (0, 0, 1, 1), mode="replicate")
    steep = torch.hypot(across[..., 2:] - across[..., :-2], along[..., 2:, :] - along[..., :-2, :])
    saved = weights * ((baseline - fine) ** 2 - (network - fine) ** 2)
    front = steep > extreme_threshold(steep, 0.9)
    share = 100 * float(saved[front].sum() / saved.sum())
    got = number(answer)
    require(
        abs(got - share) < 20,
        f"measured: {share:.0f} % of the squared error that the network saves lies in the steepest tenth of the cells, "
        f"you said {got:.0f} %. Smooth areas are already right after interpolation, so there is nothing to win: the "
        "error, and the gain, sit at the fronts",
    )
    return f"measured: {share:.0f} % of the saved squared error lies in the steepest tenth of the cells"


register(
    Exercise(
        name="predict-where",
        asks="a number in per cent: share of the squared error saved by the network (against bicubic+add) that lies in "
        "the steepest 10 % of the cells",
        grade=_grade_where,
        right=50.0,
        wrong=(
            Submission("evenly spread", 10.0, "at the fronts"),
            Submission("all of it", 100.0, "at the fronts"),
            Submission("a word", "half", "a number is wanted"),
        ),
    )
)


def _grade_peaks(answer, generator: torch.Generator) -> str:
    fine, network, _, weights = _network_and_baseline()
    scores = extreme_table(network, fine, weights=weights)
    truth = "negative" if scores["bias_extreme"] < 0 else "positive"
    said = str(answer).strip().lower()
    require(said in ("negative", "positive", "zero"), f"say negative, positive or zero; got {answer!r}")
    require(
        said == truth,
        f"measured: {scores['bias_extreme']:+.2f} kg m-2 where the truth is above its 99th percentile. The best guess "
        "under a square loss is the conditional mean, and a mean lies below the peaks that it averages over. Part of "
        "it is selection: cells chosen because the truth is high are cells where the truth had luck",
    )
    return (
        f"measured: {scores['bias_extreme']:+.2f} kg m-2 where the truth is above its 99th percentile: the mean lies "
        "below the peaks"
    )


register(
    Exercise(
        name="predict-peaks",
        asks="'negative', 'positive' or 'zero': bias of the network where the truth is above its 99th percentile",
        grade=_grade_peaks,
        right="negative",
        wrong=(
            Submission("unbiased everywhere", "zero", "conditional mean"),
            Submission("overshoot", "positive", "below the peaks"),
            Submission("a number", 3, "say negative"),
        ),
    )
)

# ---- code: pixel shuffle ----------------------------------------------------------------------------------------


def shuffle(x: Tensor, factor: int) -> Tensor:
    """The right answer of 'pixel-shuffle'."""
    batch, channels, h, w = x.shape
    x = x.reshape(batch, channels // factor**2, factor, factor, h, w)
    return x.permute(0, 1, 4, 2, 5, 3).reshape(batch, -1, h * factor, w * factor)


def _grade_shuffle(answer, generator: torch.Generator) -> str:
    for factor, fields, (h, w) in ((2, 1, (3, 4)), (4, 2, (2, 5)), (3, 1, (4, 2))):
        x = uniform((2, fields * factor**2, h, w), 0.0, 60.0, generator)
        out = call(answer, x, factor)
        same_shape(out, (2, fields, h * factor, w * factor), "the fine field")
        require(
            torch.equal(out.flatten().sort().values, x.flatten().sort().values),
            "the values themselves have changed: a shuffle only moves numbers, it computes nothing",
        )
        mean = x.reshape(2, fields, factor**2, h, w).mean(2)
        require(
            torch.allclose(coarsen(out, factor), mean),
            "a fine cell has left its coarse cell: the block mean of the result must be the mean over the channels of "
            "that cell. A plain reshape strings the channels out along rows instead of filling blocks",
        )
        require(
            torch.equal(out[:, 0, 0, 1], x[:, 1, 0, 0]),
            "blocks are right, but turned: channel a*N + b belongs to row a and column b inside the block",
        )
        require(torch.equal(out, shuffle(x, factor)), "the order of the fields is mixed up: channels come in groups")
    return "numbers are moved, none computed; each block holds the channels of its coarse cell, rows first"


register(
    Exercise(
        name="pixel-shuffle",
        asks="a function shuffle(x, factor): (B, C*N*N, h, w) -> (B, C, h*N, w*N)",
        grade=_grade_shuffle,
        right=shuffle,
        wrong=(
            Submission(
                "reshape alone", lambda x, n: x.reshape(len(x), -1, x.shape[2] * n, x.shape[3] * n), "left its coarse"
            ),
            Submission(
                "turned",
                lambda x, n: (
                    x.reshape(len(x), -1, n, n, *x.shape[2:])
                    .permute(0, 1, 4, 3, 5, 2)
                    .reshape(len(x), -1, x.shape[2] * n, x.shape[3] * n)
                ),
                "turned",
            ),
            Submission(
                "interpolates",
                lambda x, n: (
                    x.reshape(len(x), -1, n * n, *x.shape[2:]).mean(2).repeat_interleave(n, -1).repeat_interleave(n, -2)
                ),
                "only moves numbers",
            ),
            Submission(
                "forgets the height", lambda x, n: x.reshape(len(x), -1, x.shape[2], x.shape[3] * n * n), "shape"
            ),
        ),
    )
)

# ---- code: receptive field --------------------------------------------------------------------------------------


def receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    """The right answer of 'receptive-field': 1 + sum_l (k_l - 1) prod_(i<l) s_i."""
    width, step = 1, 1
    for kernel, stride in layers:
        width += (kernel - 1) * step
        step *= stride
    return width


def _measured_field(layers: Sequence[tuple[int, int]]) -> int:
    x = torch.ones(1, 1, 2000, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel, stride in layers:
        y = functional.conv1d(y, torch.full((1, 1, kernel), 1.0 / kernel, dtype=torch.float64), stride=stride)
    return int((torch.autograd.grad(y[0, 0, 0], x)[0] > 0).sum())


def _grade_field(answer, generator: torch.Generator) -> str:
    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    stacks = [[(9, 1), (3, 1), (5, 1)], [(3, 1)] * draw(4, 9), [(3, 2), (3, 2), (3, 1)], [(5, 3), (3, 1)]]
    stacks.append([(2 * draw(1, 5) + 1, draw(1, 3)) for _ in range(4)])
    for layers in stacks:
        got, truth = answer(list(layers)), _measured_field(layers)
        if got == truth:
            continue
        if any(stride > 1 for _, stride in layers):
            reason = "after a stride of s a step of the next kernel spans s input cells, and the strides multiply"
        else:
            reason = "each kernel k adds k - 1 cells to the width, since it already stands on one"
        require(
            False,
            f"for (kernel, stride) = {layers} a pulse moves the output from {truth} input cells, you said {got}: "
            f"{reason}. The stride of a layer counts for the layers after it, not for itself",
        )
    return "agrees with the gradient of five stacks of convolutions, strides included"


register(
    Exercise(
        name="receptive-field",
        asks="a function field(layers) -> width in input cells; layers: list of (kernel, stride), first layer first",
        grade=_grade_field,
        right=receptive_field,
        wrong=(
            Submission("sum of the kernels", lambda layers: sum(k for k, _ in layers), "adds k - 1"),
            Submission("strides ignored", lambda layers: 1 + sum(k - 1 for k, _ in layers), "strides multiply"),
            Submission(
                "own stride counted",
                lambda layers: (
                    1 + sum((k - 1) * prod(s for _, s in layers[: i + 1]) for i, (k, _) in enumerate(layers))
                ),
                "not for itself",
            ),
        ),
    )
)

# ---- derivation: the weighted optimum ---------------------------------------------------------------------------


def weighted_optimum(probability: float, low: float, high: float, weight: float) -> float:
    """The right answer of 'weighted-optimum'."""
    return (probability * weight * high + (1 - probability) * low) / (probability * weight + 1 - probability)


def _grade_optimum(answer, generator: torch.Generator) -> str:
    for _ in range(5):
        p, low, high, weight = (
            float(uniform((), a, b, generator)) for a, b in ((0.1, 0.9), (0, 20), (40, 60), (2, 20))
        )
        y = torch.linspace(low, high, 400_001, dtype=torch.float64)
        best = float(y[(p * weight * (y - high) ** 2 + (1 - p) * (y - low) ** 2).argmin()])
        got = number(answer(p, low, high, weight))
        plain = p * high + (1 - p) * low
        hint = "set the derivative of the weighted expected loss with respect to y to zero and divide by E[w]"
        if abs(got - plain) < 1e-6:
            hint = "that is the plain mean, the optimum without weights: the weight must pull it towards the high value"
        elif got > high:
            hint = "no average lies above the largest value: the weights must be divided by their own mean"
        require(
            abs(got - best) < 1e-3,
            f"the loss is least at {best:.2f} for p = {p:.2f}, low {low:.1f}, high {high:.1f}, weight {weight:.1f}; "
            f"you said {got:.2f}. {hint}",
        )
    return "E[w t] / E[w], the minimum of five random cases: above the mean, and the more so the larger the weight"


register(
    Exercise(
        name="weighted-optimum",
        asks="a function best(p, low, high, weight) -> number: the truth is `high` with probability p, and then the "
        "squared error has that weight; else it is `low`, with weight 1",
        grade=_grade_optimum,
        right=weighted_optimum,
        wrong=(
            Submission("weights forgotten", lambda p, low, high, w: p * high + (1 - p) * low, "plain mean"),
            Submission("not normalised", lambda p, low, high, w: p * w * high + (1 - p) * low, "divided by"),
            Submission("the median", lambda p, low, high, w: high if p * w > 1 - p else low, "derivative"),
        ),
    )
)

# ---- bug hunt: a skip that moves the weather --------------------------------------------------------------------


def good_skip(coarse: Tensor, factor: int) -> Tensor:
    """The right answer of 'mend-the-skip'."""
    return functional.interpolate(coarse, scale_factor=factor, mode="bicubic", align_corners=False)


def corner_skip(coarse: Tensor, factor: int) -> Tensor:
    """Interpolation that pins the corners of the field: stretches it, so that cell centres move."""
    size = [n * factor for n in coarse.shape[-2:]]
    return functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True)


def _grade_skip(answer, generator: torch.Generator) -> str:
    for factor, (h, w) in ((4, (12, 16)), (2, (16, 10)), (3, (12, 12))):
        slope = uniform((2,), 0.5, 2.0, generator)
        fine = slope[0] * torch.arange(h * factor, dtype=torch.float64)[:, None] + slope[1] * torch.arange(w * factor)
        fine = 5.0 + fine[None, None]
        out = same_shape(call(answer, coarsen(fine, factor), factor), fine.shape, "the fine field")
        kept = (coarsen(out, factor) - coarsen(fine, factor))[..., 3:-3, 3:-3]
        rough = (out - fine)[..., 3 * factor : -3 * factor, 3 * factor : -3 * factor]
        require(
            float(kept.abs().max()) < 1e-6,
            f"the block means of a plane are off by up to {float(kept.abs().max()):.2g}, more towards the edges: cell "
            "centres have moved. Where does the interpolation put the first and the last coarse value?"
            if float(kept.std()) > 1e-6
            else f"a plane comes back shifted by {float(kept.mean()):+.2g} everywhere: the field has moved by a part "
            "of a cell; the centre of a coarse cell lies between fine cells",
        )
        require(
            float(rough.abs().max()) < 0.2 * factor * float(slope.sum()),
            "block means are kept, but a plane comes back as stairs: that is repetition, not interpolation",
        )
    return "planes keep their block means for factors 2, 3 and 4: cell centres stay where they are"


register(
    Exercise(
        name="mend-the-skip",
        asks="a function skip(coarse, factor): (B, 1, h, w) -> (B, 1, h*N, w*N), an interpolation that keeps the "
        "block means of planes",
        grade=_grade_skip,
        right=good_skip,
        wrong=(
            Submission("corners pinned", corner_skip, "centres have moved"),
            Submission(
                "upper left cells",
                lambda x, n: good_skip(x, n).roll((n // 2, n // 2), (-2, -1)),
                "shifted",
            ),
            Submission("nearest", lambda x, n: functional.interpolate(x, scale_factor=n), "stairs"),
        ),
    )
)
