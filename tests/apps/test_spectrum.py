"""The figure of spectra: what is not there is hidden, axes follow what is."""

from __future__ import annotations

import numpy as np
import pytest

from apps.spectrum import Spectrum

LABELS = {"truth": "truth", "input": "input", "no-equations": "without"}


@pytest.fixture
def spectrum():
    return Spectrum(LABELS, dict.fromkeys(LABELS, "#000000"), "waves", 1.0)


def test_what_is_not_there_is_hidden_and_axes_follow_what_is(spectrum):
    k = np.arange(1.0, 9.0)
    spectrum.update(k, {"truth": k**-3.0, "input": 4.0 * k**-6.0}, cutoff=4.0)
    assert {name: item.visible for name, item in spectrum.items.items()} == {
        "truth": True, "input": True, "no-equations": False,
    }  # fmt: skip
    assert np.isnan(spectrum.source.data["no-equations"]).all() and spectrum.cutoff.visible
    assert (spectrum.cutoff.location, spectrum.figure.x_range.end) == (4.0, 8.0)
    assert spectrum.figure.y_range.start == pytest.approx(8.0**-3 / 10) and spectrum.figure.y_range.end == 8.0
    spectrum.update(k[:4], {"input": np.array([0.0, 4.0, 2.0, 1.0])})  # no truth, no end of the input, a zero
    assert not spectrum.cutoff.visible and not spectrum.items["truth"].visible
    assert spectrum.hover.renderers == [spectrum.curves["input"]]
    assert spectrum.figure.y_range.start == pytest.approx(0.1)
