"""Ways in: the PDF, the browser edition, Binder, Codespaces, Colab; each as far as it goes without another machine."""

from __future__ import annotations

import ast
import base64
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, build

sys.path.insert(0, str(ROOT / "book"))
PAGE = """<html><body><article class="bd-article"><section id="top"><h1>{title}<a class="headerlink" href="#top">#</a>
</h1><p>See <a href="atmosphere.html#top">there</a>, <a href="cnn.html">not there</a>, <a href="#top">up</a>,
<a href="howto/data.html">how</a> and <a href="https://example.org">out</a>. <span class="math">\\(x^2\\)</span></p>
<figure><img src="_images/x.png" alt="a dot"></figure><details class="hide above-input"><pre>code</pre></details>
<div class="solution dropdown admonition"><p class="admonition-title">Solution</p><p>It is two.</p></div>
<div class="toctree-wrapper">list</div></section></article></body></html>"""
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def module(path: str):
    spec = importlib.util.spec_from_file_location(Path(path).stem + "_way", ROOT / path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """Two short pages as the book builds them."""
    folder = tmp_path_factory.mktemp("pages")
    for name, title in (("preface", "One"), ("atmosphere", "Two or more lines of a heading that is wide")):
        (folder / f"{name}.html").write_text(PAGE.format(title=title))
    (folder / "_images").mkdir()
    (folder / "_images" / "x.png").write_bytes(DOT)
    (folder / "_static").mkdir()
    (folder / "_static" / "pygments.css").touch()
    (folder / "mathjax").symlink_to(ROOT / "book" / "_vendor" / "mathjax")
    return folder


def test_an_article_is_taken_out_with_links_that_lead_somewhere(pages):
    from articles import article, title

    part = article(pages / "preface.html", ("preface", "atmosphere"), within=True, opened=True)
    text = str(part)
    assert title(part) == "One" and part["id"] == "preface" and part.find("section")["id"] == "preface--top"
    assert [a["href"] for a in part.find_all("a")] == ["#atmosphere--top", "#preface--top", "https://example.org"]
    assert "not there" in text and "headerlink" not in text and "toctree" not in text and "code" not in text
    assert part.find("details").has_attr("open") and part.find("summary").get_text() == "Solution"
    alone = article(pages / "preface.html", ("preface", "atmosphere"), within=False)
    assert [a["href"] for a in alone.find_all("a")][:2] == ["atmosphere.html#top", "#top"]
    assert not alone.find("details", class_="solution").has_attr("open") and "code" in str(alone)


def test_without_a_browser_one_line_says_what_to_install(pages, tmp_path):
    from pdf import NoBrowser, one_page, print_pdf

    page = one_page(pages, ["preface", "atmosphere"], "A title", "lead")
    text = page.read_text()
    assert (
        build.external_loads(pages) == []
        and text.count("<h1>") == 4
        and 'href="#atmosphere">Two or more lines of a heading that is wide</a>' in text
    )
    assert "<title>A title</title>" in text and "Two\u00a0\u200bor\u00a0\u200bmore" in text and ">One" in text
    with pytest.raises(NoBrowser, match="install it"):
        print_pdf(page, tmp_path / "x.pdf", None)
    page.unlink()


@pytest.mark.slow
@pytest.mark.browser
def test_a_pdf_is_printed_with_bookmarks_and_links(pages, tmp_path, chromium):
    from pdf import one_page, print_pdf

    page = one_page(pages, ["preface", "atmosphere"], "Title", "lead")
    made = print_pdf(page, tmp_path / "x.pdf", chromium)
    page.unlink()
    content = made.read_bytes()
    assert content.startswith(b"%PDF") and content.count(b"/Type /Page\n") == 4
    assert b"/Outlines" in content and b"/StructTreeRoot" in content and b"/Image" in content
    assert content.count(b"/Subtype /Link") >= 6


def test_the_runtime_is_checked_before_it_is_shipped(tmp_path):
    browser = module("book/browser/build.py")
    (tmp_path / "x.tgz").write_bytes(b"something else")
    with pytest.raises(SystemExit, match="as it was published"):
        browser.runtime(tmp_path / "x.tgz")
    with pytest.raises(SystemExit, match="npm pack"):
        browser.runtime(tmp_path / "y.tgz")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").touch()
    with pytest.raises(SystemExit, match="other files"):
        browser.build(tmp_path / "mine", None, tmp_path)
    with pytest.raises(SystemExit, match="make book"):
        browser.main([str(tmp_path / "new"), "--pages", str(tmp_path)])


def test_the_runtime_is_fetched_once_and_kept(tmp_path, monkeypatch, capsys):
    browser, asked = module("book/browser/build.py"), []

    def registry(address, timeout):
        asked.append(address)
        return io.BytesIO(b"a package")

    monkeypatch.setattr(browser, "BOOK", tmp_path)
    monkeypatch.setattr(browser.urllib.request, "urlopen", registry)
    with pytest.raises(SystemExit, match="as it was published"):
        browser.main(["--fetch"])  # checked before it is used, every time
    monkeypatch.setattr(browser, "SHA512", base64.b64encode(hashlib.sha512(b"a package").digest()).decode())
    monkeypatch.setattr(browser.tarfile, "open", lambda **given: contextlib.nullcontext(Archive()))
    assert browser.main(["--fetch"]) == browser.main(["--fetch"]) == 0
    assert len(asked) == 1 and set(capsys.readouterr().out.split()) == {str(browser.kept())}
    with pytest.raises(SystemExit):
        browser.main([])


class Archive:
    """A package that has every file."""

    def extractfile(self, name):
        return io.BytesIO(name.encode())


@pytest.mark.slow
@pytest.mark.browser
def test_the_browser_edition_computes_what_physlab_computes_with_the_network_cut(pages, tmp_path, chromium):
    """From files, offline: the scores of the page are those of torch, and the layer keeps water that it never saw."""
    from apps.screenshot import browse

    browser = module("book/browser/build.py")
    given = Path(os.environ.get("PHYSLAB_ONNXRUNTIME_WEB") or browser.kept())
    if not given.is_file():
        pytest.skip(f"no {given}, and a test fetches nothing: python book/browser/build.py --fetch does it, once")
    browser.build(tmp_path / "lab", given, pages)
    assert build.external_loads(tmp_path / "lab") == []
    requests, problems = [], []
    with browse(chromium) as browser:
        page = browser.new_context(offline=True).new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((tmp_path / "lab" / "index.html").as_uri())
        page.click("text=A network in this page")
        page.wait_for_selector("#lab:not([hidden])", timeout=120_000)
        lab = page.evaluate("window.lab")
        assert set(lab["made"]) == set(lab["expected"]) and len(lab["made"]) == 5
        for name, score in lab["made"].items():
            assert score["rmse"] == pytest.approx(lab["expected"][name], rel=2e-4), name
        assert lab["made"]["network, softmax layer"]["rmse"] < lab["made"]["bicubic+add"]["rmse"]
        page.click("#coarse", position={"x": 100, "y": 100})
        page.wait_for_function("window.lab.poured")
        worst = {name: score["worst"] for name, score in page.evaluate("window.lab.made").items()}
        assert max(worst[n] for n in ("nearest", "bicubic+add", "network, softmax layer")) < 1e-3
        assert min(worst["bicubic"], worst["network, no constraint"]) > 0.1
    assert not problems
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)


def test_binder_and_codespaces_name_what_is_there():
    """Files parse, and every command in them calls a file or target of the repository."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M)
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert container["postCreateCommand"].split()[:2] == ["make", "notebooks"] and "notebooks" in targets
    assert 5006 in container["forwardPorts"] and container["image"].endswith(":3.11")
    assert (ROOT / "binder" / "runtime.txt").read_text().strip() == "python-3.11"
    lines = (ROOT / "binder" / "requirements.txt").read_text().splitlines()
    pinned = next(line.split()[1] for line in lines if line.startswith("-r "))
    assert (ROOT / "binder" / pinned).resolve() == ROOT / "requirements.txt"
    for name in ("postBuild", "start"):
        script = ROOT / "binder" / name
        assert os.access(script, os.X_OK) and script.read_text().startswith("#!/usr/bin/env bash\n")
        assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
        for file in re.findall(r"(?:python|serve) ((?:book|apps)/\S+\.py)", script.read_text()):
            assert (ROOT / file).is_file()
    assert 'exec "$@"' in (ROOT / "binder" / "start").read_text()


@pytest.mark.slow
def test_what_binder_runs_after_the_packages_makes_the_notebooks(tmp_path):
    """The last line of postBuild, in a copy; `pip install` of the package itself is what test_wheels.py tries."""
    line = (ROOT / "binder" / "postBuild").read_text().strip().splitlines()[-1]
    assert line == "python book/build.py notebooks"
    (tmp_path / "book").symlink_to(ROOT / "book")
    assert len(build.make_notebooks(folder=tmp_path / "made")) == len(build.chapters())


def test_a_notebook_begins_with_a_cell_for_colab_that_does_nothing_elsewhere(tmp_path, monkeypatch):
    for path in build.make_notebooks(folder=tmp_path)[:2]:
        first = json.loads(path.read_text())["cells"][0]
        assert "".join(first["source"]) == build.COLAB and first["metadata"]["jupyter"]["source_hidden"]
    code, asked = compile(ast.parse(build.COLAB), "cell", "exec"), []
    exec(code, {})

    class Shell:
        def run_line_magic(self, name, line):
            asked.append((name, line))

    monkeypatch.setitem(sys.modules, "google.colab", object())
    exec(code, {"get_ipython": Shell})
    assert asked == [("pip", "install --quiet physlab[book] physlab-assets")]
