"""The rules that observations have to keep, as part of a method."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, ClassVar, TypeVar

from physlab.data.screening import Checks

Self = TypeVar("Self", bound="Checked")


class Checked:
    """Base of methods that screen their observations, see :mod:`physlab.data.screening`.

    Attributes
    ----------
    checks : the rules; the usual ones unless others were chosen by :meth:`with_checks`.
    """

    checks: ClassVar[Checks] = Checks()

    def with_checks(self: Self, checks: Checks | None = None, **rules: Any) -> Self:
        """The same method with other rules for observations.

        >>> FieldAssimilator("letkf").with_checks(window=3.0, sigmas=4.0).analyse(background, stations)

        Parameters
        ----------
        checks : None for those that it has.  rules : what is to be changed of them.
        """
        made = copy.copy(self)
        made.__dict__["checks"] = dataclasses.replace(checks or self.checks, **rules)
        return made
