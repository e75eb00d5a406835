r"""The chapter on convolutional super-resolution: what a network costs, how far it sees, and what the table says.

Cost is counted in multiplications per fine cell. A convolution with kernel k from C to C' channels costs
:math:`k^2 C C'` per cell of the grid it works on; a trunk at coarse resolution pays that once for N^2 fine cells.
"""

from __future__ import annotations

import copy
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from physlab.benchmark import summary
from physlab.data.patches import SRData
from physlab.downscale import CNN
from physlab.nn import Upscaler, count_parameters
from physlab.score import conservation_error, extreme_table, rmse
from physlab.teach.report import difference, runs_of
from physlab.throughput import inference_time
from physlab.train import Settings, get_recipe, make_model

# ---- what a network costs and sees ----------------------------------------------------------------------------------


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


# ---- what the tidy table says ---------------------------------------------------------------------------------------

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
