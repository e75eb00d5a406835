"""What the explorer and the chapters look at: a window between its hours, and a twin experiment with its observations.

>>> from physlab.views import Twin, Window
>>> Window.open().field("equations", 100.5)["q"]
>>> Twin.open().case(time=0, share=0.02).observations
"""

from __future__ import annotations

from physlab.views.twin import Case, Twin
from physlab.views.window import Box, Window

__all__ = ["Box", "Case", "Twin", "Window"]
