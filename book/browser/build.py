"""The browser edition: the first two chapters, and a super-resolution that runs in the page.

    python book/browser/build.py FOLDER                     fetches onnxruntime-web from the npm registry, once
    python book/browser/build.py FOLDER --runtime FILE.tgz  takes it from a file: `npm pack onnxruntime-web@VERSION`
    python book/browser/build.py --fetch                    fetches it only, and prints where it is

What it makes needs neither installation nor server nor network: open FOLDER/index.html.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import shutil
import sys
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

BOOK = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(BOOK), str(BOOK.parent)]

CHAPTERS = ("preface", "atmosphere")
VERSION = "1.22.0"
ADDRESS = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
SHA512 = "Ud/+EBo6mhuaQWt/OjaOk0iNWjXqJoeeMFr6xQEERZdIZH2OWpGzuujz7lfuOBjUa6TEE/sc4nb7Da5dNL34fg=="
RUNTIME = {
    "script": "package/dist/ort.wasm.min.mjs",
    "glue": "package/dist/ort-wasm-simd-threaded.mjs",
    "wasm": "package/dist/ort-wasm-simd-threaded.wasm",
}
FRAMES = 6
PAGE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<link rel="stylesheet" href="pygments.css"><link rel="stylesheet" href="lab.css">{head}</head><body>
<nav aria-label="Pages">{links}</nav>{body}</body></html>
"""
MATHS = (
    '<script>window.MathJax = {options: {enableMenu: false, ignoreHtmlClass: "never"}};</script>'
    '<script defer src="mathjax/tex-mml-chtml.js"></script>'
)


def kept() -> Path:
    """Where the package of the runtime is kept once it was fetched."""
    return BOOK / "_build" / "cache" / f"onnxruntime-web-{VERSION}.tgz"


def runtime(given: Path | None = None) -> dict[str, bytes]:
    """The two files of onnxruntime-web, from a file or from the npm registry, checked against the digest.

    Raises
    ------
    SystemExit
        If there is no network, or if the package is not the one that was tried.
    """
    path = given or kept()
    if not path.is_file():
        if given:
            raise SystemExit(f"no file {given}; make it by: npm pack onnxruntime-web@{VERSION}")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        try:
            with urllib.request.urlopen(ADDRESS, timeout=60) as stream, part.open("wb") as file:
                shutil.copyfileobj(stream, file)
        except OSError as error:
            way = f"bring the file by `npm pack onnxruntime-web@{VERSION}` and name it by --runtime"
            raise SystemExit(f"{ADDRESS} could not be fetched ({error}); {way}") from None
        part.replace(path)
    content = path.read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != SHA512:
        raise SystemExit(f"{path} is not onnxruntime-web {VERSION} as it was published; remove it and fetch it again")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = {}
        for key, name in RUNTIME.items():
            stream_ = archive.extractfile(name)
            assert stream_ is not None
            found[key] = stream_.read()
    return found


def packed(content: bytes) -> str:
    """Bytes as text for a script."""
    return base64.b64encode(content).decode()


def laboratory() -> dict[str, Any]:
    """What the page computes with: frames of the test block, two networks, colours, and PhysLab's own scores."""
    import matplotlib
    import numpy as np

    import physlab
    from physlab.compact.export import onnx_bytes
    from physlab.data.patches import sr_pairs

    data = sr_pairs("tcw", factor=4, splits=("test",))
    fine, coarse, weights = data.fine["test"], data.coarse["test"], data.weights
    height, width = fine.shape[-2:]
    networks = {"none": physlab.load_model("tcw-x4-none-s0"), "softmax": physlab.load_model("tcw-x4-softmax-s0")}
    methods = {name: physlab.load_model(f"{name}-x4") for name in ("nearest", "bicubic", "bicubic+add")}
    methods |= {"network, no constraint": networks["none"], "network, softmax layer": networks["softmax"]}
    full = weights.expand(height, width).float().contiguous().numpy()
    frames = []
    for k in np.linspace(0, len(fine) - 1, FRAMES).astype(int):
        rmse = {
            n: float(physlab.score.rmse(m.predict(coarse[k], weights), fine[k], weights)) for n, m in methods.items()
        }
        truth = packed(fine[k].float().contiguous().numpy().astype("<f4").tobytes())
        frames.append({"time": str(data.time["test"][k])[:16].replace("T", " "), "truth": truth, "rmse": rmse})

    def colours(name: str) -> list[list[int]]:
        return (matplotlib.colormaps[name](np.arange(256))[:, :3] * 255).round().astype(int).tolist()

    return {
        "factor": 4, "height": height, "width": width, "high": round(float(fine.max())), "frames": frames,
        "weights": packed(full.astype("<f4").tobytes()), "viridis": colours("viridis"), "diverging": colours("RdBu_r"),
        "models": {name: packed(onnx_bytes(model)) for name, model in networks.items()},
    }  # fmt: skip


def build(output: Path, given: Path | None, pages: Path) -> Path:
    """Write the edition; returns its first page."""
    from articles import article, title

    if output.exists() and any(output.iterdir()) and not (output / "runtime.js").is_file():
        raise SystemExit(f"{output} holds other files; name a new folder")
    parts = {name: article(pages / f"{name}.html", (*CHAPTERS, "lab"), within=False) for name in CHAPTERS}
    found = runtime(given)
    output.mkdir(parents=True, exist_ok=True)
    (output / "runtime.js").write_text(
        f"const RUNTIME = {json.dumps({key: packed(content) for key, content in found.items()})};\n", encoding="utf-8"
    )
    names = {
        "index": title(parts["preface"]),
        "atmosphere": title(parts["atmosphere"]),
        "lab": "A network in this page",
    }
    links = "".join(f'<a href="{page}.html">{text}</a>' for page, text in names.items())
    for name, part in parts.items():
        for picture in part.find_all("img", src=True):
            if not str(picture["src"]).startswith("data:"):
                (output / "images").mkdir(exist_ok=True)
                shutil.copyfile(pages / str(picture["src"]), output / "images" / Path(str(picture["src"])).name)
                picture["src"] = f"images/{Path(str(picture['src'])).name}"
        for link in part.find_all("a", href=True):
            if str(link["href"]).startswith("preface.html"):
                link["href"] = str(link["href"]).replace("preface.html", "index.html")
        page = "index" if name == "preface" else name
        text = PAGE.format(title=names[page], head=MATHS, links=links, body=part)
        (output / f"{page}.html").write_text(text, encoding="utf-8")
    body = (BOOK / "browser" / "lab.html").read_text(encoding="utf-8")
    text = PAGE.format(title=names["lab"], head="", links=links, body=body)
    (output / "lab.html").write_text(text, encoding="utf-8")
    for name in ("lab.js", "lab.css"):
        shutil.copyfile(BOOK / "browser" / name, output / name)
    shutil.copyfile(pages / "_static" / "pygments.css", output / "pygments.css")
    shutil.copytree(BOOK / "_vendor" / "mathjax", output / "mathjax", dirs_exist_ok=True)
    (output / "data.js").write_text(f"const LAB = {json.dumps(laboratory())};\n", encoding="utf-8")
    (output / "LICENSES.txt").write_text(
        f"runtime.js holds onnxruntime-web {VERSION} (MIT, Microsoft Corporation), from {ADDRESS}\n"
        "mathjax: Apache-2.0, see mathjax/LICENSE. All else: MIT, the PhysLab developers.\n"
    )
    return output / "index.html"


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--fetch", action="store_true", help="only fetch the runtime, once, and print where it is")
    parser.add_argument("--runtime", type=Path, help="the package onnxruntime-web as a file")
    parser.add_argument("--pages", type=Path, default=BOOK / "_build" / "html", help="the built pages of the book")
    options = parser.parse_args(arguments)
    if options.fetch:
        runtime()
        print(kept())
        return 0
    if options.output is None:
        parser.error("name the folder of the edition, or --fetch")
    if not all((options.pages / f"{name}.html").is_file() for name in CHAPTERS):
        raise SystemExit(f"no pages in {options.pages}: build them first by `make book`")
    print(f"open {build(options.output, options.runtime, options.pages)} (it needs neither server nor network)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
