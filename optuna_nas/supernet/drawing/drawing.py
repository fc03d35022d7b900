"""What every way of drawing the networks of a step is, and the registry of them."""

from __future__ import annotations

import abc
from typing import ClassVar

from optuna_nas.names import registrar
from optuna_nas.supernet.drawing.candidates import Candidates, Params

__all__ = ["DRAWINGS", "Drawing", "register"]


class Drawing(abc.ABC):
    """Draws the networks that learn in a step, as a function of the seed and the step alone.

    Attributes:
        distils: Whether all but the first learn from the first one's outputs.
    """

    distils: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(
        self, candidates: Candidates, step: int, paths: int, progress: float
    ) -> list[Params]:
        """Parameters of the space for each network.

        Args:
            candidates: The networks that may learn, and the seed of the training.
            step: Counted from 0.
            paths: How many networks.
            progress: Share of the training that is done, from 0 up to but not including 1.

        Raises:
            SpaceError: No network is found that keeps the caps.
        """


DRAWINGS: dict[str, type[Drawing]] = {}
"""Name -> way of drawing, which can be constructed without arguments."""

register = registrar("way of drawing", DRAWINGS)
"""Decorator `register(name)`: makes a way of drawing known under a name."""
