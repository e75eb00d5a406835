"""Words: both files have the same keys, no view shows English in German, what is missing is said and stays English."""

from __future__ import annotations

import json
import logging

import panel as pn
import pytest
from bokeh.document import Document
from panel.io.state import set_curdoc

from apps import dress, language
from apps.language import ENGLISH, key_of
from apps.state import parse_query
from apps.tour import tour
from apps.views import Words
from tests.apps.pages import session

VIEWS = (
    "?band=3-9&region=-10,40,20,60&mode=applied&constraint=add&method=bicubic",
    "?network=gan&constraint=add",
    "?listen=0.500.9999999&mode=applied&constraint=add&method=bicubic",
    "?dataset=tcw-t2&hour=1",
    "?view=benchmark",
    "?view=continuous&moment=30.25",
    "?view=assimilate&share=0&own=3000.6412&members=1&band=4-9&region=-10,40,20,60",
    "?view=ensemble&draws=2&band=4-9&region=-10,40,20,60",
    "?view=paint",
)


def files() -> tuple[dict[str, str], dict[str, str]]:
    return tuple(json.loads((language.FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in ("en", "de"))


def test_both_files_have_the_same_phrases_with_as_many_places():
    english, german = files()
    assert list(english) == list(german) and len(english) > 500
    assert all(key == value == key.strip() for key, value in english.items())
    for key, value in german.items():
        assert value and value == value.strip(), key
        assert (key.count("#"), key.count("{}")) == (value.count("#"), value.count("{}")), key
    assert sum(key != value for key, value in german.items()) > 400


def shown(part, found: dict[str, list[str]]) -> None:
    """What the parts of a page say: sentences in English as they are given, labels as they are sent."""
    if isinstance(part, Words):
        found["phrases"] += language.phrases(part.object or "")
        found["sent"] += language.phrases(language.page(part.object or ""))
    for name in ("label", "placeholder"):
        if isinstance(text := getattr(part, name, None), str) and text:
            found["sent"].append(text)
    options = getattr(part, "options", None)
    found["sent"] += map(str, options) if isinstance(options, dict) else []
    for heading, names in (getattr(part, "groups", None) or {}).items():
        found["sent"] += [heading, *names]
    found["sent"] += getattr(part, "_names", [])
    for inner in getattr(part, "objects", None) or []:
        if isinstance(inner, pn.viewable.Viewable):
            shown(inner, found)


@pytest.mark.slow
@pytest.mark.parametrize("query", VIEWS)
def test_no_view_shows_english_in_german(store, query):
    german, document, found = files()[1], Document(), {"phrases": [], "sent": []}
    language.speak(document, "de")
    with set_curdoc(document):
        page = session(store, query)
        for part in (page.sidebar, page.main, tour()):
            shown(part, found)
        root = pn.Row(page.sidebar, page.main).get_root()
    models = list(root.references())
    found["sent"] += [m.axis_label for m in models if getattr(m, "axis_label", None)]
    found["sent"] += [m.label.value for m in models if type(m).__name__ == "LegendItem"]
    attributes = [getattr(m, "html_attributes", {}) for m in models]
    said = [told["aria-label"] for told in attributes if told.get("role") == "img"]
    left = {text for text in found["phrases"] if language.translated(text, "de") is None}
    assert not left
    english = {key for key, value in german.items() if key != value}
    assert not {text for text in found["sent"] if key_of(text) in english}
    assert len(found["phrases"]) > 30 and len(found["sent"]) > 40
    assert not [text for text in said if "degrees" in text or "Arrow keys" in text]
    assert any("Ansicht" in m.text for m in models if type(m).__name__ == "HTML")
    assert page.groups["view"][0].object == "View"  # inside, all is English


def test_a_phrase_keeps_its_numbers_its_names_and_its_code():
    say = lambda text: language.word(text, "de")  # noqa: E731
    assert say("This frame") == "Dieses Bild" and say("nobody knows this") == "nobody knows this"
    assert say("frame 3 of 300") == "Bild 3 von 300"
    assert say("With 164 columns PhyDA takes 12 % off the background's error of geopotential at 500 hPa.") == (
        "Mit 164 Säulen nimmt PhyDA 12 % vom Fehler des Hintergrunds: Geopotential in 500 hPa."
    )
    assert language.page("<p>This frame</p><pre>This frame</pre>", "de") == "<p>Dieses Bild</p><pre>This frame</pre>"
    assert language.page('<div lang="en"><div>Truth</div>Truth</div>Truth', "de").endswith("Truth</div>Wahrheit")
    assert language.page("<b>&lt;Truth&gt;</b>", "de") == "<b>&lt;Truth&gt;</b>"
    assert language.page('<a aria-label="Tour" href="x">Truth</a>', "de") == (
        '<a aria-label="Rundgang" href="x">Wahrheit</a>'
    )
    assert language.word("Truth") == "Truth"  # of no page


def test_the_language_is_the_links_the_browsers_the_settings_or_english(monkeypatch):
    monkeypatch.delenv(language.SETTING, raising=False)
    german = {"Accept-Language": "fr;q=0.9, de-AT, en;q=0.8, x;q=much"}
    assert language.chosen("", {}, {}) == (ENGLISH, [])
    assert language.chosen("?lang=de&frame=3", {}, {})[0] == "de"
    assert language.chosen("", {}, german)[0] == "de" and language.chosen("?lang=en", {}, german)[0] == "en"
    assert language.chosen("", {language.COOKIE: "en"}, german)[0] == "en"
    monkeypatch.setenv(language.SETTING, "de")
    assert language.chosen("", {}, {})[0] == "de" and language.chosen("", {language.COOKIE: "en"}, {})[0] == "en"
    choice, _, problems = parse_query("?lang=de&frame=3")
    assert choice.frame == 3 and not problems
    assert '"de"' in dress.template(language="de") and '"Wie weit die Arbeit ist"' in dress.template(language="de")


def test_what_is_missing_stays_english_and_is_said(monkeypatch, tmp_path, caplog):
    spoken, notes = language.chosen("?lang=fr", {}, {})
    assert spoken == ENGLISH and notes == [
        "There is no file of words for 'fr': this page is in English; there are de, en."
    ]
    english = dict(list(files()[0].items())[:3])
    (tmp_path / "en.json").write_text(json.dumps(english), encoding="utf-8")
    (tmp_path / "fr.json").write_text(json.dumps({next(iter(english)): "un"}), encoding="utf-8")
    (tmp_path / "it.json").write_text("not JSON", encoding="utf-8")
    monkeypatch.setattr(language, "FOLDER", tmp_path)
    language.forget()
    try:
        assert language.chosen("?lang=fr", {}, {}) == (
            "fr", ["2 phrases of this page have no words in 'fr' yet: they are English."]
        )  # fmt: skip
        first, second, _ = english
        assert language.word(first, "fr") == "un" and language.word(second, "fr") == second
        with caplog.at_level(logging.ERROR):
            assert language.word(first, "it") == first and "no words of 'it'" in caplog.text
    finally:
        monkeypatch.undo()
        language.forget()
