"""A short tour for the first visit: a note above the maps, in the flow of the page, so that it covers nothing anywhere.

It comes with an address without selections alone (a lesson's link leads somewhere), and not again once it was closed.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

import panel as pn

from apps.views import text_pane

COOKIE = "physlab-tour"
STEPS = (
    ("What you see", "A coarse input, the result of a method and the truth, with the error and "
     "with what the result breaks of its law. All maps of a quantity share their colours and move together; what lies "
     "under the pointer is read out."),
    ("Choose", "The controls (on a phone below the maps, behind the button at the top) change data, factor, method and "
     "constraint. Every view has its own: analyses, ensembles, a world to paint observations into, tables of all "
     "methods."),
    ("Predict, then look", "The question above the maps comes before what you see. Numbers are beside the maps: "
     "this frame, then the whole test set, always with baselines that know no network."),
    ("Take parts", "A drag over the spectrum shows the map of a band of waves; a region has scores of its own. "
     "Keep as B sets any two results side by side."),
    ("Take it with you", "The address holds every selection: send it. Code is a script that gives the same "
     "numbers without this page."),
)  # fmt: skip
_NEXT = (
    "const t=this.closest('.tour'),s=[...t.querySelectorAll('[data-step]')],at=s.findIndex(e=>!e.hidden);"
    "s[at].hidden=true;s[at+1].hidden=false;this.hidden=at+2==s.length"
)
_CLOSE = f"document.cookie='{COOKIE}=seen; path=/; max-age=31536000; samesite=lax';this.closest('.tour').remove()"


def wanted(cookies: Mapping[str, str], search: str) -> bool:
    """Whether this is a first visit."""
    return not search.strip("?") and cookies.get(COOKIE) != "seen"


def tour() -> pn.pane.HTML:
    """The note."""
    steps = "".join(
        f"<span data-step{'' if at == 1 else ' hidden'}><b>{at} of {len(STEPS)} · {title}.</b> {words}</span>"
        for at, (title, words) in enumerate(STEPS, 1)
    )
    buttons = "".join(
        f'<button onclick="{html.escape(code)}">{label}</button> '
        for label, code in (("Next", _NEXT), ("Close", _CLOSE))
    )
    return text_pane(f'<div class="note tour" role="region" aria-label="Tour">{steps} {buttons}</div>', margin=(0, 0))
