"""What every way of drawing the networks of a step is, and the registry of them."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

from optuna_nas.names import registrar
from optuna_nas.supernet.extent import Extent

__all__ = ["DRAWINGS", "Drawing", "register"]


class Drawing(abc.ABC):
    """Draws the networks that learn in a step, as a function of the seed and the step alone.

    Attributes:
        distils: Whether all but the first learn from the first one's outputs.
    """

    distils: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(
        self, extent: Extent, seed: int, step: int, paths: int, progress: float
    ) -> list[Mapping[str, Any]]:
        """Parameters of the space for each network.

        Args:
            extent: The space, and what was seen of it.
            seed: Of the training.
            step: Counted from 0.
            paths: How many networks.
            progress: Share of the training that is done, from 0 up to but not including 1.
        """

    def another(
        self, extent: Extent, seed: int, step: int, path: int, progress: float, attempt: int
    ) -> Mapping[str, Any] | None:
        """Parameters to take the place of a network that breaks a cap.

        None where it is not there by chance, as the ends of a sandwich are not: it stays then.

        Args:
            extent: The space, and what was seen of it.
            seed: Of the training.
            step: Counted from 0.
            path: Which of the step's networks, counted from 0.
            progress: Share of the training that is done.
            attempt: Counted from 0.
        """
        return None


DRAWINGS: dict[str, type[Drawing]] = {}
"""Name -> way of drawing, which can be constructed without arguments."""

register = registrar("way of drawing", DRAWINGS)
"""Decorator `register(name)`: makes a way of drawing known under a name."""
