"""Copy as code: the panel on the screen as a short script that needs the library alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from apps import zoo
from apps.options import MEMBERS, OWN_DATA, OWN_MODELS, brought, own_names
from apps.state import Choice


def script(
    choice: Choice, name: str, model, options: dict, data, split: str, seed: int, cells: Sequence[int] = ()
) -> str:  # fmt: skip
    """A script that prints the scores of a resolved selection.

    Parameters
    ----------
    name, model : the model behind it, without a layer that is applied afterwards.
    options : arguments of that layer.
    data, split : pairs, and the split whose frame is shown.
    seed : of the members of an ensemble.
    cells : with a station, as the arrays of the pairs have them.
    """
    hours, ensemble, network = zoo.hours(choice.dataset), model.spec.ensemble, getattr(model, "network", None)
    constrained = choice.mode == "applied" and choice.constraint != "none"
    statistical = choice.method == "statistical"
    missing = len(data.given) < hours
    in_time = missing and network is None
    mine = choice.network in OWN_MODELS and not missing
    plain = hours == 1 and not ensemble and not getattr(network, "statics", ()) and not mine
    layer = "".join([f'Constrained(method, "{choice.constraint}"', *(f", {k}={v!r}" for k, v in options.items()), ")"])

    if brought(choice.network):
        name = file_name(name)
    use = [f'method = physlab.load_model("{name}")']
    if statistical:
        use = [
            "training = data"
            if choice.dataset in OWN_DATA
            else f'training = sr_pairs("{name.split("/")[2].rpartition("-x")[0]}", {choice.factor})',
            f'method = make_statistical("{choice.statistic}", training).fit(training, seed={seed})',
        ]
    if plain or in_time:
        use += [f"method = {layer}"] * constrained + ["method = InTime(method)"] * in_time
    if plain:
        use += ["result = method.predict(coarse, data.weights)"]
        use += _listening("result", "method", choice, cells, seed)
    else:
        count = f", members={MEMBERS}, seed={seed}" if ensemble else ""
        if mine:
            use += [
                f'members = drawn(method, data, "{split}", np.array([{choice.frame}]), {MEMBERS})  # (M, 1, T, H, W)'
            ]
        else:
            use += [f'members = predict_members(method, data, "{split}", frame{count})  # (M, 1, T, H, W)']
        if constrained and not in_time:
            given = "coarse"
            if missing:
                given = "full"
                use += ["full = method.network.complete(coarse / method.scale) * method.scale  # with the missing hour"]
            use += [
                f"layer = {layer}",
                f"members = torch.stack([layer.constrain(member, {given}, data.weights) for member in members])",
            ]
        whole = "layer" if constrained and not in_time else "method"
        use += _listening("members", whole, choice, cells, seed)
        mean = ensemble and choice.show == "mean"
        member = 0 if mean or not ensemble else int(choice.show.removeprefix("member-")) - 1
        use += ["result = members.mean(0)" if mean else f"result = members[{member}]"]
    if hours > 1:
        use += [
            f"hour = slice({choice.hour}, {choice.hour + 1})",
            f'result, truth, coarse = result[:, hour], truth[:, hour], data.all_coarse("{split}")[frame, hour]',
        ]
    scores = [f'scores = table(result, truth, coarse, data.factor, data.data_range("{split}"), data.weights)']
    if ensemble:
        members = "members[:, :, hour]" if hours > 1 else "members"
        scores += [
            f'scores["crps"] = crps({members}, truth, weights=data.weights)',
            f'scores["spread_skill"] = spread_skill({members}, truth, weights=data.weights)',
        ]
    body = "\n".join([*use, "", *scores])
    given = f'all_coarse("{split}")' if mine else f'coarse["{split}"]'  # without what a method is told besides
    lines = [
        f'"""PhysLab explorer: {own_names(choice.dataset)} x{choice.factor}, {split} frame {choice.frame}."""',
        "",
        *_imports("\n".join([*opening(choice, split), body])),
        "",
        *opening(choice, split),
        f"frame = slice({choice.frame}, {choice.frame + 1})",
        f'truth, coarse = data.fine["{split}"][frame], data.{given}[frame]  # (1, T, H, W), {data.units}',
        "",
        body,
        "for name, value in scores.items():",
        '    print(f"{name:24s} {value:.9g}")',
    ]
    return "\n".join(lines) + "\n"


def _listening(fields: str, method: str, choice: Choice, cells: Sequence[int], seed: int) -> list[str]:
    """The lines that let fields listen to stations."""
    if not cells:
        return []
    known = "data" if choice.dataset in OWN_DATA else f'sr_pairs("{choice.dataset}", {choice.factor}, splits=("val",))'
    given, first = ("result[None]", "[0]") if fields == "result" else (fields, "")
    return [
        f"errors = errors_of({method}, {known}, members={MEMBERS})",
        f"stations = {list(cells)}  # cells, row by row",
        f"{fields} = heard({given}, truth, coarse, stations, errors, data, seed={seed}){first}",
    ]


def opening(choice: Choice, split: str) -> list[str]:
    """The lines that make the pairs."""
    if choice.dataset not in OWN_DATA:
        return [f'data = sr_pairs("{choice.dataset}", {choice.factor}, splits=("{split}",))']
    mine = OWN_DATA[choice.dataset]
    request = mine.request(choice.factor).plain()
    if brought(choice.dataset):  # the reader has these files, and not the folder of the server
        request |= {name: file_name(request[name]) for name in ("truth", "coarse", "statics") if request[name]}
    plain = type(mine.template)(mine.template.truth).plain()
    changed = {name: value for name, value in request.items() if value != plain[name] or name in ("truth", "factor")}
    one = "" if choice.network in OWN_MODELS else ".one()"
    frames = f".at_frames({mine.given})" if mine.given else ""
    return [f"data = own_data(Request.of({changed!r})){frames}{one}"]


def file_name(path: str) -> str:
    """The last part of a path, with what is chosen of the file."""
    plain, mark, rest = path.partition("::")
    return f"{Path(plain).name}{mark}{rest}"


def _imports(body: str) -> list[str]:
    """The import lines that a script needs, the ones outside the library first."""
    foreign = ["import numpy as np"] * ("np." in body) + ["import torch"] * ("torch." in body)
    foreign += [""] * bool(foreign)
    own = ["import physlab"] if "physlab.load_model" in body else []
    modules = {
        "physlab.data": ("sr_pairs",),
        "physlab.downscale": ("Constrained", "make_statistical"),
        "physlab.downscale.interpolate": ("InTime",),
        "physlab.score": ("crps", "spread_skill", "table"),
        "physlab.train.evaluate": ("predict_members",),
        "physlab.train.own.compare": ("drawn",),
        "physlab.train.own.reading": ("own_data",),
        "physlab.train.own.request": ("Request",),
        "physlab.views.stations": ("errors_of", "heard"),
    }
    for module, names in modules.items():
        needed = [name for name in names if f"{name}(" in body or f"{name}.of(" in body]
        own += [f"from {module} import {', '.join(needed)}"] if needed else []
    return [*foreign, *own]
