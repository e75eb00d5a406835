"""The sources of the book keep the shape of a chapter: length, alt texts, citations, assertions, explorer links."""

from __future__ import annotations

import ast
import re

import pytest

from .conftest import build

CHAPTERS = build.chapters()
SMALL = ("dataflow", "attention")  # pages that teach one thing
FULL = [path for path in CHAPTERS if path.stem not in ("preface", *SMALL)]
CODE = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", flags=re.M | re.S)
HIDDEN = ":tags: [hide-input]"
FOUNDATIONS = ("training", "probability", "diffusion")


def cells(source: str) -> list[tuple[str, str]]:
    """(kind, text) of the cells of a chapter, front matter and solutions left out."""
    body = build.without_solutions(source).split("---\n", 2)[2]
    out, end = [], 0
    for match in CODE.finditer(body):
        out += [("markdown", body[end : match.start()].strip()), ("code", match[1])]
        end = match.end()
    out.append(("markdown", body[end:].strip()))
    return [(kind, text) for kind, text in out if text]


def code_lines(text: str) -> list[str]:
    """The lines of a code cell that a reader sees: no options, no blank lines, nothing of a folded cell."""
    if HIDDEN in text:
        return []
    text = re.sub(r"\A---\n.*?^---\n", "", text, flags=re.M | re.S)
    return [line for line in text.splitlines() if line.strip()]


def words(source: str) -> int:
    """Words of prose: no code, no formulas, no directives, no links' targets."""
    text = "\n".join(text for kind, text in cells(source) if kind == "markdown")
    text = re.sub(r"\$\$.*?\$\$", " ", text, flags=re.S)
    text = re.sub(r"^(`{3,}|:{3,}).*$|^:[\w-]+:.*$|\{[\w:]+\}`[^`]*`", " ", text, flags=re.M)
    text = re.sub(r"\$[^$]*\$", " symbol ", text)
    return len(re.findall(r"[A-Za-z][\w’'-]*", text))


def test_chapters_in_order():
    from physlab.teach.check import ORDER

    assert tuple(path.stem for path in CHAPTERS) == ORDER


@pytest.mark.parametrize("path", FULL, ids=lambda path: path.stem)
def test_length(path):
    """Long enough to teach; the logic lives in the library, except where students write a method themselves."""
    source = path.read_text()
    parts = cells(source)
    assert len(parts) >= 25, f"{len(parts)} cells"
    assert words(source) >= 1500, f"{words(source)} words"
    visible = sum(len(code_lines(text)) for kind, text in parts if kind == "code")
    assert visible <= (180 if path.stem in FOUNDATIONS else 120), f"{visible} visible lines of code"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_folded_cells_hold_sentences_or_assertions_and_code_is_narrow(path):
    for kind, text in cells(path.read_text()):
        if kind == "code" and HIDDEN in text:
            assert "say(" in text or re.search(r"^ *assert ", text, flags=re.M), text
        elif kind == "code":
            wide = [line for line in code_lines(text) if len(line) > 120]
            assert not wide, f"too wide for the page: {wide[0]}"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_anatomy(path):
    source = path.read_text()
    text = build.without_solutions(source)
    assert "What you need, what you get" in text and "**Time**" in text
    assert re.search(r"\*\*(Before|Predict|Write\s+down)", text), "no Socratic prompt"
    assert "slider(" in text
    if path.stem in SMALL:
        assert re.search(r"\{exercise(?:-start)?\}.*\(code\)", text)
        return
    assert "explorer_link(" in text
    assert 5 <= len(re.findall(r"\{exercise(?:-start)?\}", text)) <= 8
    for kind in ("predict and check", "code", "derivation", "bug hunt", "open"):
        assert f"({kind}" in text, kind
    if path in FULL:
        assert len(re.findall(r"\(predict and check\)", text)) >= 2 and len(re.findall(r"\(code\)", text)) >= 2
        assert "## Honest discussion" in text


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_at_least_three_physics_assertions_outside_solutions(path):
    code = "\n".join(text for kind, text in cells(path.read_text()) if kind == "code")
    assert len(re.findall(r"^\s*assert ", code, flags=re.M)) >= 3


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_figure_has_alt_text(path):
    found = 0
    for kind, text in cells(path.read_text()):
        if kind == "code" and re.search(r"^(map_panels|(?:\w+\.)*draw_\w+|slider)\(", text, flags=re.M):
            found += 1
            alt = re.search(r"^    alt: (.+)$", text, flags=re.M)
            assert alt and len(alt[1].split()) >= 12, f"no alt text: {text[:200]}"
            assert ": " not in alt[1], f"a colon breaks the YAML of the alt text: {alt[1]}"
    assert found >= 2


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_figure_has_a_number_and_a_caption(path):
    found = 0
    for kind, text in cells(path.read_text()):
        if kind == "code" and re.search(r"^\s*(map_panels|(?:\w+\.)*draw_\w+|slider)\(|^    alt:", text, flags=re.M):
            caption = re.search(r"^  figure:\n    caption: (.+)\n    name: fig-([\w-]+)$", text, flags=re.M)
            assert caption and "    alt: " in text, f"no caption, name or alt text: {text[:200]}"
            assert caption[1].endswith(".") and ": " not in caption[1] and caption[2].startswith(path.stem)
            found += 1
    assert found >= 2


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_there_is_a_prediction_to_give_away(path):
    """Else the test of what is asserted between a prediction and its figure would have nothing to look at."""
    asked = re.findall(r"\*\*[^*]*(?:[Pp]redict|Before\s+you|Write\s+down)", path.read_text())
    assert asked and any(kind == "code" and "assert " in text for kind, text in cells(path.read_text()))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_chapter_has_a_schematic_of_its_method(path):
    from physlab.teach.methods import METHODS

    text = path.read_text()
    named = re.findall(r'^draw_method\("(\w+)"\)$', text, flags=re.M)
    assert set(named) <= set(METHODS)
    assert named or re.search(r"^\w+\.draw_(method|loop|ideas|steps|unet|block)\(\)$", text, flags=re.M)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_nothing_that_should_be_shown_is_swallowed(path):
    """A notebook shows what the last line of a cell returns, and nothing else."""
    for kind, text in cells(path.read_text()):
        if kind == "code":
            body = ast.parse(re.sub(r"\A---\n.*?^---\n|^:tags:[^\n]*$", "", text, flags=re.M | re.S)).body
            for node in body[:-1]:
                called = ast.unparse(node.value.func) if isinstance(getattr(node, "value", None), ast.Call) else ""
                shows = re.search(r"^(say|table|slider|map_panels|.*\bdraw_\w+)$", called)
                assert not (isinstance(node, ast.Expr) and shows), f"{called}(...) is not the last line of its cell"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_displayed_equation_has_a_number(path):
    blocks = re.findall(r"^\$\$.*?\$\$([^\n]*)$", path.read_text(), flags=re.M | re.S)
    for after in blocks:
        assert re.fullmatch(rf" \(eq-{path.stem}-[\w-]+\)", after), f"an equation without a label: {after!r}"


def test_labels_of_figures_and_equations_are_used_once_and_references_arrive():
    text = "".join(path.read_text() for path in CHAPTERS)
    labels = re.findall(r"^    name: (fig-[\w-]+)$|\$\$ \((eq-[\w-]+)\)$", text, flags=re.M)
    labels = [figure or equation for figure, equation in labels]
    assert len(labels) == len(set(labels)) > 100
    assert set(labels) == set(build.numbers())
    assert set(re.findall(r"\{(?:numref|eq)\}`([\w-]+)`", text)) <= set(labels)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_solutions_answer_their_exercise_and_are_graded(path):
    source = path.read_text()
    labels = set(re.findall(r"^:label: ([\w-]+)$", source, flags=re.M))
    solved = re.findall(r"\{solution(?:-start)?\} ([\w-]+)$", source, flags=re.M)
    assert set(solved) <= labels
    assert len(solved) >= max(1, len(labels) - 1)  # only the open exercise has none
    assert source.count(":class: dropdown") == len(solved)
    for block in re.findall(r"\{solution-start\}.*?\{solution-end\}", source, flags=re.S):
        assert "assert check(" in block


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_solution_gives_its_reasons_in_words(path):
    source = path.read_text()
    blocks = re.findall(r"\{solution(?:-start)?\} .*?(?=^```\{solution-end|^```$\n\n)", source, flags=re.M | re.S)
    assert len(blocks) == len(re.findall(r"^`+\{solution(?:-start)?\}", source, flags=re.M)) >= 1
    for block in blocks:
        prose = re.sub(r"^```\{code-cell\}.*?^```$", "", block, flags=re.M | re.S)
        prose = re.sub(r"^:\w+:.*$", "", prose, flags=re.M)
        assert len(re.findall(r"[A-Za-z]{2,}", prose)) >= 9, f"a solution without reasons: {block[:120]}"


def gives_away(source: str) -> list[str]:
    """Visible assertions between a prompt to predict and the figure, table or sentence that answers it."""
    found, asked = [], False
    for kind, text in cells(source):
        if kind == "markdown":
            asked |= bool(re.search(r"\*\*[^*]*(?:[Pp]redict|Before\s+you|Write\s+down)", text))
            continue
        body = "\n".join(code_lines(text))
        if not asked or not body:
            continue
        found += re.findall(r"^assert .*$", body, flags=re.M)
        last = ast.parse(body).body[-1]
        asked = not (isinstance(last, ast.Expr) and isinstance(last.value, ast.Call))
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_nothing_is_asserted_between_a_prediction_and_its_figure(path):
    assert not gives_away(path.read_text())


def test_what_gives_an_answer_away_is_found():
    cell = "```{code-cell} ipython3\nx = 1\nassert x == 1\ntable(x)\n```\n"
    assert gives_away("---\n---\n**Predict** it.\n\n" + cell) == ["assert x == 1"]
    assert not gives_away("---\n---\nLook.\n\n" + cell)


def test_labels_are_used_once_in_the_book():
    labels = [x for path in CHAPTERS for x in re.findall(r"^:label: ([\w-]+)$", path.read_text(), flags=re.M)]
    twice = {x for x in labels if labels.count(x) > 1}
    assert not twice, f"labels of two exercises: {twice}"


def test_every_registered_exercise_is_in_the_book():
    from physlab.teach import exercises

    text = "".join(path.read_text() for path in CHAPTERS)
    for name in exercises():
        assert f'assert check("{name}"' in text, f"exercise {name} has no solution in the book"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_citations_exist(path):
    known = build.bibliography()
    keys = {
        key.strip() for group in re.findall(r"\{cite:[tp]\}`([^`]+)`", path.read_text()) for key in group.split(",")
    }
    assert keys and keys <= set(known)


WORDS = build.words()
TERMS = WORDS.terms()


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_no_term_is_used_before_it_is_taught(term):
    assert not WORDS.too_early(term, [path.stem for path in CHAPTERS])


def test_the_diffusion_chapter_stands_on_what_was_taught():
    taught = {term.name: term.chapter for term in TERMS}
    for name in ("convolution", "loss", "over-fitting", "prior", "posterior", "U-Net", "Kalman gain", "attention"):
        assert taught[name] in ("training", "dataflow", "probability", "kalman", "attention"), name
    for name in (
        "forward process", "noise schedule", "denoiser", "denoising loss", "score of a density", "sampler",
        "probability flow", "stochastic differential equation", "guidance",
    ):  # fmt: skip
        assert taught[name] == "diffusion", name
    assert len(taught) == len(TERMS) > 70


def test_the_first_use_of_a_term_is_a_link(monkeypatch):
    page = "---\nx\n---\n\n# A loss\n\nThe `loss` and $loss$, a **loss**.\n\n"
    page += "```{code-cell} ipython3\nloss\n```\n\nIts losses\nand loss.\n"
    assert WORDS.linked(page, "cnn") == page.replace("Its losses", "Its {term}`losses <loss>`")
    assert WORDS.linked(page, "training") == page
    for path in CHAPTERS:
        out = WORDS.linked(path.read_text(), path.stem)
        assert re.sub(r"\{term\}`([^`]*?) <[^>]*>`", r"\1", out).split() == path.read_text().split()


def test_a_term_before_its_definition_is_found(monkeypatch, tmp_path):
    lead = "---\n---\n\nWhat you need, what you get\n\n"
    (tmp_path / "a.md").write_text(lead + "A loss.\n")
    (tmp_path / "b.md").write_text(lead + "A loss.\n\nThe **loss** is small.\n")
    monkeypatch.setattr(WORDS, "BOOK", tmp_path)
    found = WORDS.too_early(WORDS.Term("loss", "b", "loss", ""), ["a", "b"])
    assert [text.split()[0] for text in found] == ["a", "b"]
    (tmp_path / "a.md").write_text(lead + "A loss, see {doc}`there <b>`.\n")
    (tmp_path / "b.md").write_text(lead + "The **loss** is small.\n\nA loss.\n")
    assert not WORDS.too_early(WORDS.Term("loss", "b", "loss", ""), ["a", "b"])


def test_the_glossary_has_every_term_and_its_symbols():
    page = WORDS.glossary(build.titles())
    assert all(f"\n{term.name}\n  {term.definition}" in page for term in TERMS)
    assert "Symbols: $x_b$" in page and "<diffusion>`" in page


def test_next_and_last_chapters_are_the_next_and_the_last():
    order = [path.stem for path in CHAPTERS]
    found = 0
    for path in CHAPTERS:
        for which, target in re.findall(r"\{doc\}`(next|last|previous)\s+chapter\s*<(\w+)>`", path.read_text()):
            assert order.index(target) - order.index(path.stem) == (1 if which == "next" else -1), (path.stem, target)
            found += 1
    assert found > 5


def test_citations_of_notebooks_are_grammatical():
    text = build.plain_markdown(
        "As in {cite:t}`keys1981` and elsewhere {cite:p}`wang2004,keys1981`.", build.bibliography(), {}
    )
    assert text == "As in Keys (1981) and elsewhere (Wang et al., 2004; Keys, 1981)."


def test_numbers_reach_the_notebooks():
    text = build.plain_markdown(
        "$$ a = b $$ (eq-x)\n\nSee {eq}`eq-x` and {numref}`fig-y`.", {}, {"eq-x": "2.1", "fig-y": "2.3"}
    )
    assert text == "$$ a = b\n\\tag{2.1} $$\n\nSee (2.1) and Fig. 2.3."


def test_every_reference_is_used():
    text = "".join(path.read_text() for path in [*CHAPTERS, build.BOOK / "notation.md"])
    unused = [key for key in build.bibliography() if key not in text]
    assert not unused, f"in references.bib but never cited: {unused}"


@pytest.mark.parametrize("path", [p for p in CHAPTERS if p.stem not in SMALL], ids=lambda path: path.stem)
def test_explorer_links_are_read_without_complaint(path):
    state = pytest.importorskip("apps.state")
    from physlab.teach import explorer_url

    links = re.findall(r"^at = \{(.*)\}$", path.read_text(), flags=re.M)
    assert links
    for link in links:
        given = {"v": "1"} | dict(re.findall(r'"(\w+)": "?([\w.-]+)"?', re.sub(r"storm\.index|\bi\b(?=,)", "7", link)))
        choice, hide, problems = state.parse_query(explorer_url(**given).split("?", 1)[1])
        assert not problems
        if given.get("view") == "continuous":
            given["moment"] = given.pop("hour")
        elif given.get("view") not in ("assimilate", "ensemble"):
            assert {"frame", "dataset", "constraint"} <= set(given)
        shown = {name: f"{x:g}" if isinstance(x, float) else str(x) for name, x in vars(choice).items()}
        assert {name: shown[name] for name in given if name != "v"} == {k: x for k, x in given.items() if k != "v"}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_symbols_are_on_the_notation_page(path):
    notation = (build.BOOK / "notation.md").read_text()
    body = "\n".join(text for kind, text in cells(path.read_text()) if kind == "markdown")
    for symbol in (
        r"\Phi",
        r"T_v",
        r"p_s",
        r"\mathbf{Q}",
        r"\tilde y",
        r"\alpha",
        r"\mu",
        r"C_E",
        r"T_\mathrm{eq}",
        r"\omega",
        r"\kappa",
    ):
        if symbol in body:
            assert symbol in notation, symbol


def test_no_numbers_of_results_are_typed():
    """Scores of our own come from cells: the prose holds no RMSE except the published ones."""
    for path in FULL:
        prose = "\n".join(text for kind, text in cells(path.read_text()) if kind == "markdown")
        for number in re.findall(r"RMSE (?:of )?(\d+\.\d+)", prose):
            assert number in {"0.98", "0.80"}, f"{path.stem}: RMSE {number} is typed in the prose"
