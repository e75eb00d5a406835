"""Copy as code: the panel on the screen as a short script that needs the library alone."""

from __future__ import annotations

from apps.state import Choice


def script(choice: Choice, model: str, options: dict, split: str, units: str) -> str:
    """A script that prints the scores of a resolved selection.

    Parameters
    ----------
    model : name in the zoo; options : arguments of a layer that is applied afterwards; split, units : of the data.
    """
    constrained = choice.mode == "applied" and choice.constraint != "none"
    arguments = "".join(f", {name}={value!r}" for name, value in options.items())
    lines = [
        f'"""PhysLab explorer: {choice.dataset} x{choice.factor}, {split} frame {choice.frame}."""',
        "",
        "import physlab",
        "from physlab.data import sr_pairs",
        "from physlab.downscale import Constrained" if constrained else None,
        "from physlab.score import table",
        "",
        f'data = sr_pairs("{choice.dataset}", {choice.factor}, splits=("{split}",))',
        f"frame = slice({choice.frame}, {choice.frame + 1})",
        f'truth, coarse = data.fine["{split}"][frame], data.coarse["{split}"][frame]  # (1, 1, H, W), {units}',
        "",
        f'method = physlab.load_model("{model}")',
        f'method = Constrained(method, "{choice.constraint}"{arguments})' if constrained else None,
        "result = method.predict(coarse, data.weights)",
        "",
        f'scores = table(result, truth, coarse, data.factor, data.data_range("{split}"), data.weights)',
        "for name, value in scores.items():",
        '    print(f"{name:24s} {value:.9g}")',
    ]
    return "\n".join(line for line in lines if line is not None) + "\n"
