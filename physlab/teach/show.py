"""What the chapters show besides figures: sentences with computed numbers, sliders, and links into the explorer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

from matplotlib.figure import Figure

from physlab.teach.frames import Frames


class Text:
    """Markdown that a notebook renders: prose whose numbers were computed in the cell above it."""

    def __init__(self, markdown: str) -> None:
        self.markdown = markdown

    def __repr__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown


class Link(Text):
    """A link with a lead; as HTML too, because Markdown renderers disagree about the ampersands of an address."""

    def __init__(self, lead: str, text: str, url: str, tail: str) -> None:
        super().__init__(f"**{lead}** [{text}]({url}) {tail}")
        self.html = f'<p><strong>{lead}</strong> <a href="{escape(url)}">{text}</a> {tail}</p>'

    def _repr_html_(self) -> str:
        return self.html


def say(*sentences: str) -> Text:
    """Join sentences (f-strings with computed numbers) into one Markdown paragraph."""
    return Text(" ".join(sentences))


def table(frame: Any, digits: int = 3, name: str = "") -> Text:
    """A pandas DataFrame as a Markdown table with `digits` significant digits.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows are methods, columns scores; strings pass through.
    digits : int
        Significant digits of the numbers.
    name : str
        Heading of the index column.
    """

    def cell(value: Any) -> str:
        return f"{value:.{digits}g}" if isinstance(value, float) else str(value)

    lines = [f"| {name} | " + " | ".join(map(str, frame.columns)) + " |", "|---" * (len(frame.columns) + 1) + "|"]
    lines += [
        f"| {index} | " + " | ".join(cell(v) for v in row) + " |"
        for index, row in zip(frame.index, frame.to_numpy().tolist(), strict=True)
    ]
    return Text("\n".join(lines))


def with_spread(frame: Any, columns: Mapping[str, str], index: str = "method", digits: int = 3) -> Any:
    """Columns of a results table as "mean ± spread over seeds"; the spread is left out where there is one run.

    Parameters
    ----------
    frame : pandas.DataFrame
        With `<column>` and `<column>_spread`, as made by `physlab.train.results_table`.
    columns : mapping from column to heading
        Scores to show.
    index : str
        Column that names the rows.
    digits : int
        Significant digits of the means; two for the spreads.
    """
    import pandas as pd

    def cell(row: Any, column: str) -> str:
        mean, spread = row[column], row.get(f"{column}_spread", float("nan"))
        return f"{mean:.{digits}g}" + (f" ± {spread:.2g}" if spread == spread else "")

    shown = {heading: [cell(row, column) for _, row in frame.iterrows()] for column, heading in columns.items()}
    return pd.DataFrame(shown, index=list(frame[index]))


def explorer_link(text: str, **state: Any) -> Link:
    """A link into the explorer at exactly the given state (start it with `make explore`).

    Parameters
    ----------
    text : str
        What the link says.
    state : parameters of the explorer's address, as in its own URL.
    """
    return Link("In the explorer:", text, explorer_url(**state), "(start it with <code>make explore</code>).")


def explorer_address() -> str:
    """Where the explorer is: what `PHYSLAB_EXPLORER` names; on a hub behind its proxy; otherwise on this machine.

    The port is that of `make explore PORT=...`, which `PHYSLAB_PORT` holds; 5006 without it.
    """
    named = os.environ.get("PHYSLAB_EXPLORER", "").strip().rstrip("/")
    if named:
        return named
    port, hub = os.environ.get("PHYSLAB_PORT") or "5006", os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    return f"{hub.rstrip('/')}/proxy/{port}/explorer" if hub else f"http://localhost:{port}/explorer"


def explorer_url(**state: Any) -> str:
    """The address of the explorer at a state."""
    return (
        f"{explorer_address()}?{urlencode({k: str(v).lower() if isinstance(v, bool) else v for k, v in state.items()})}"
    )


def slider(draw: Callable[[Any], Figure], values: Sequence[Any], start: Any, label: str) -> Figure | Frames | None:
    """A slider over `values` that redraws a figure: in a notebook by its kernel, in a page of the book without one.

    Parameters
    ----------
    draw : callable
        `draw(value)` returns a figure.
    values : sequence
        The positions of the slider.
    start : object
        The value shown first, and in print.
    label : str
        Name of the quantity.

    Returns
    -------
    Frames, Figure or None
        When the book is built (environment variable PHYSLAB_STATIC), all positions as pictures with a slider that needs
        no kernel; without ipywidgets the picture at `start`; otherwise None: the widget has been displayed.

    Raises
    ------
    PhysLabError
        If `start` is none of the values, or if the pictures are too large for a page.
    """
    if os.environ.get("PHYSLAB_STATIC") == "1":
        return Frames(draw, values, start, label)
    try:
        import ipywidgets
        from IPython.core.interactiveshell import InteractiveShell
        from IPython.display import display
    except ImportError:
        return draw(start)
    out = ipywidgets.Output()
    control = ipywidgets.SelectionSlider(options=list(values), value=start, description=label, continuous_update=False)

    def redraw(change: dict) -> None:
        # not `with out`: that swallows the errors of `draw`, and nbclient may wait for its messages until its limit
        formatter = InteractiveShell.instance().display_formatter
        assert formatter is not None
        data, metadata = formatter.format(draw(change["new"]))
        out.outputs = ({"output_type": "display_data", "data": data, "metadata": metadata},)

    control.observe(redraw, names="value")
    redraw({"new": start})
    display(ipywidgets.VBox([control, out]))
    return None
