"""One schematic for each method of the older chapters: boxes, arrows, and what is learned."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from physlab.errors import PhysLabError
from physlab.teach.schematic import schematic


@dataclass(frozen=True)
class Graph:
    """Boxes (text, column, row), arrows between them, keys of what is learned, and inches."""

    boxes: dict[str, tuple[str, float, float]]
    arrows: tuple[tuple[str, ...], ...]
    learned: tuple[str, ...] = ()
    size: tuple[float, float] = (9.0, 2.6)


METHODS = {
    "road": Graph(
        {
            "truth": ("truth\nfine field", 0, 0), "coarse": ("input\nblock means", 1.2, 0),
            "method": ("a method", 2.3, -0.8),
            "raw": ("raw result", 3.4, -0.8), "law": ("a law\nlayer or none", 4.5, 0),
            "result": ("result\nfine field", 5.7, 0),
            "score": ("scores\nmaps, spectra", 5.7, 1),
        },
        (("truth", "coarse", "coarsen"), ("coarse", "method"), ("method", "raw"), ("raw", "law"),
         ("coarse", "law", "keeps"),
         ("law", "result"), ("result", "score"), ("truth", "score", "compare", "-0.15")),
        ("method",), (9.0, 3.0),
    ),
    "laboratory": Graph(
        {
            "sun": ("warm tropics\ncold poles", 0, 1), "dry": ("wind, temperature\npressure", 1.6, 1),
            "drag": ("friction", 3.2, 1),
            "sea": ("evaporation\nover the sea", 0, 0), "water": ("water vapour\na tracer", 1.6, 0),
            "rain": ("rain\nabove saturation", 3.2, 0), "archive": ("archive\nT85 and T42", 1.6, -1),
        },
        (("sun", "dry", "relaxes"), ("drag", "dry", "brakes"), ("sea", "water"), ("dry", "water", "carries"),
         ("water", "rain"), ("water", "archive", "all stored")),
        (), (7.5, 3.2),
    ),
    "layer": Graph(
        {
            "x": ("input x\nblock means", 0, 0), "net": ("network", 1.2, 0.8), "raw": ("raw result ỹ", 2.4, 0.8),
            "layer": ("layer", 3.7, 0), "y": ("result y\nP y = x", 4.9, 0),
            "mean": ("block means\nof the result", 3.7, 1.2),
            "loss": ("penalty\nin the loss", 4.9, 1.2),
        },
        (("x", "net"), ("net", "raw"), ("raw", "layer"), ("x", "layer", "the law"), ("layer", "y", "hard"),
         ("raw", "mean"),
         ("mean", "loss", "soft")),
        ("net",), (8.5, 2.8),
    ),
    "detail": Graph(
        {
            "x": ("coarse value\nand neighbours", 0, 0), "reg": ("regression\ncoefficients", 1.5, 1),
            "ana": ("analogs\nlike maps", 1.5, 0),
            "map": ("quantile map\nor generator", 1.5, -1), "d": ("detail d\nP d = 0", 3.0, 0), "add": ("+", 4.0, 0),
            "up": ("repeated\nU x", 3.0, -1.2), "y": ("fine field", 5.0, 0),
        },
        (("x", "reg"), ("x", "ana"), ("x", "map"), ("reg", "d"), ("ana", "d"), ("map", "d"), ("d", "add"),
         ("up", "add"), ("add", "y")),
        ("reg", "ana", "map"), (8.5, 3.0),
    ),
    "where": Graph(
        {
            "x": ("coarse field\n32 x 32", 0, 0), "up": ("bicubic\n128 x 128", 1.2, 1),
            "late": ("convolutions\non fine cells", 2.4, 1),
            "fine": ("SRCNN", 4.9, 1), "early": ("convolutions\non coarse cells", 1.3, 0),
            "sh": ("pixel shuffle\n128 x 128", 2.5, 0),
            "add": ("+", 3.7, 0), "skip": ("bicubic\n128 x 128", 1.3, -1),
            "out": ("ESPCN, EDSR\ncompact", 4.9, 0),
        },
        (("x", "up"), ("up", "late"), ("late", "fine"), ("x", "early"), ("early", "sh"), ("sh", "add"),
         ("x", "skip"), ("skip", "add"), ("add", "out")),
        ("late", "early"), (8.5, 3.2),
    ),
    "game": Graph(
        {
            "x": ("coarse field", 0, 0), "z": ("noise z", 0, -1), "g": ("generator\nG(x, z)", 1.3, -0.5),
            "fake": ("fake", 2.5, -0.5),
            "real": ("truth", 2.5, 0.6), "d": ("discriminator\nD", 3.8, 0),
            "said": ("real or fake?\nits loss", 5.1, 0),
            "content": ("content loss\nCRPS of draws", 3.8, -1.2),
        },
        (("x", "g"), ("z", "g"), ("g", "fake"), ("fake", "d"), ("real", "d"), ("d", "said"), ("fake", "content"),
         ("real", "content")),
        ("g", "d"), (8.5, 3.0),
    ),
    "recurrence": Graph(
        {
            "before": ("state h of\nthe hour before", 0, 1), "x": ("coarse frame", 0, 0), "e": ("encode", 1.2, 0),
            "gate": ("gates β, γ\nkeep or renew", 2.4, 0.5),
            "h": ("state h", 3.6, 1), "dec": ("decode", 3.6, 0), "y": ("fine frame", 4.8, 0),
            "next": ("to the\nnext hour", 4.8, 1),
        },
        (("x", "e"), ("e", "gate"), ("before", "gate"), ("gate", "h"), ("gate", "dec"), ("h", "next"), ("dec", "y")),
        ("e", "gate", "dec"), (8.5, 2.6),
    ),
    "flow": Graph(
        {
            "a": ("first frame", 0, 1), "b": ("last frame", 0, 0), "net": ("network", 1.2, 0.5),
            "d": ("displacement d\nshare a", 2.4, 0.5),
            "wa": ("first, moved\nforward", 3.7, 1), "wb": ("last, moved\nback", 3.7, 0),
            "m": ("mixed:\nthe middle", 5.0, 0.5),
        },
        (("a", "net"), ("b", "net"), ("net", "d"), ("d", "wa"), ("d", "wb"), ("wa", "m", "a"), ("wb", "m", "1 - a")),
        ("net",), (8.5, 2.4),
    ),
    "reading": Graph(
        {
            "table": ("printed table", 0, 0), "def": ("definitions\nof the scores", 1.3, 0.8),
            "bounds": ("what cannot be\nlaws, bounds", 1.3, -0.8),
            "code": ("published code\nand settings", 2.8, 0.8), "calc": ("undone by\ncalculator", 2.8, -0.8),
            "run": ("trained again\nthree seeds", 4.2, 0), "says": ("what the table\ncan say", 5.6, 0),
        },
        (("table", "def"), ("table", "bounds"), ("def", "calc"), ("bounds", "calc"), ("code", "run"),
         ("calc", "run"), ("run", "says")),
        (), (8.5, 2.8),
    ),
    "coordinates": Graph(
        {
            "p": ("place, time\nx, y, t", 0, 0), "net": ("network of\ncoordinates", 1.2, 0),
            "f": ("fields\nu, v, T, q", 2.4, 0.6), "j": ("derivatives\nexact", 2.4, -0.6),
            "data": ("data at\ngrid points", 3.7, 1.2), "eq": ("equation\nterms times ξ", 3.7, -0.6),
            "q": ("latent force Q", 3.7, -1.5),
            "r": ("residual", 4.9, -0.6), "loss": ("loss", 6.0, 0.3),
        },
        (("p", "net"), ("net", "f"), ("net", "j"), ("f", "loss", "misfit"), ("data", "loss"), ("j", "eq"),
         ("eq", "r"), ("q", "r"), ("r", "loss", "times μ")),
        ("net", "eq", "q"), (9.0, 3.4),
    ),
    "sources": Graph(
        {
            "clim": ("climate\nOI, 3D-Var", 0, 1.2), "past": ("past errors\nEnOI", 0, 0.4),
            "mem": ("members\nEnKF, LETKF", 0, -0.4), "adj": ("model, adjoint\n4D-Var", 0, -1.2),
            "B": ("covariance B\nof the forecast", 1.7, 0), "K": ("gain K", 3.0, 0),
            "y": ("observations\nand their R", 3.0, 1.1), "xb": ("forecast", 3.0, -1.1),
            "xa": ("analysis", 4.3, 0), "m": ("model\nsix hours", 4.3, -1.1),
        },
        (("clim", "B"), ("past", "B"), ("mem", "B"), ("adj", "B"), ("B", "K"), ("y", "K"), ("xb", "K"), ("K", "xa"),
         ("xa", "m"), ("m", "xb", "again")),
        (), (8.5, 3.4),
    ),
    "phyda": Graph(
        {
            "y": ("columns", 0, 0.6), "b": ("background", 0, -0.6), "vre": ("VRE\nattention", 1.2, 0),
            "c": ("centre c\nand features", 2.4, 0),
            "n": ("noise", 2.4, -1.1), "den": ("denoiser\nsteps", 3.6, -0.6), "u": ("z = c + ρ u", 4.7, 0),
            "g": ("decoder G", 5.8, 0),
            "e": ("increment\nin units s", 6.9, 0), "a": ("analysis", 6.9, -1.1), "law": ("PRDO\nbalances", 5.8, 1.1),
        },
        (("y", "vre"), ("b", "vre"), ("vre", "c"), ("c", "den"), ("n", "den"), ("c", "u"), ("den", "u"), ("u", "g"),
         ("g", "e"), ("e", "a"), ("g", "law", "in training")),
        ("vre", "den", "g"), (10.0, 3.2),
    ),
    "latent": Graph(
        {
            "x": ("coarse drivers", 0, 0.5), "t": ("terrain", 0, -0.5), "U": ("U-Net", 1.3, 0.9),
            "mean": ("mean field U", 2.5, 0.9), "c": ("conditioner", 1.3, -0.3),
            "n": ("noise", 1.3, -1.2), "den": ("denoiser\nsteps", 2.6, -0.6),
            "z": ("latents z\ncoarse grid", 3.8, -0.6), "g": ("decoder ρ G", 5.0, -0.6),
            "add": ("+", 5.9, 0.3), "y": ("a member", 6.9, 0.3),
        },
        (("x", "U"), ("t", "U"), ("U", "mean"), ("x", "c"), ("t", "c"), ("c", "den"), ("n", "den"), ("den", "z"),
         ("z", "g"), ("g", "add"), ("mean", "add"), ("add", "y")),
        ("U", "c", "den", "g"), (9.5, 3.2),
    ),
}  # fmt: skip
"""What a chapter calls its schematic -> the graph."""


def draw_method(name: str) -> Figure:
    """Draw the schematic of a method.

    Raises
    ------
    PhysLabError : there is none of that name.
    """
    if name not in METHODS:
        raise PhysLabError(f"no schematic named {name!r}; there are: {', '.join(METHODS)}")
    graph = METHODS[name]
    return schematic(graph.boxes, graph.arrows, graph.learned, *graph.size)
